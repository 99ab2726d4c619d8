//! A small word-level tokenizer, built from training texts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

/// Words by frequency, digits one by one, symbols, and a token for a line break.
///
/// ```text
/// text    → pieces: lower-cased runs of letters, single digits, single other characters, line breaks; blanks vanish
/// pieces  → ids: <unk> 0, <eos> 1, line break 2, digits 3 … 12, symbols, words by falling frequency
/// ```
///
/// A piece that is not in the vocabulary is `<unk>`, so that encoding never fails. The vocabulary does not depend on
/// the order of the texts.
///
/// ```
/// use tdrm_recipes::gsm8k::WordTokenizer;
/// let tokenizer = WordTokenizer::build(["Tom has 16 eggs.", "Ann has 4 eggs."], 2);
/// assert_eq!(tokenizer.decode(&tokenizer.encode("He HAS 41 eggs.")), "<unk> has 4 1 eggs .");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct WordTokenizer {
    pieces: Vec<String>,
    ids: HashMap<String, u32>,
}

const UNKNOWN: u32 = 0;
const END: u32 = 1;
const SEPARATOR: u32 = 2;

impl WordTokenizer {
    /// Counts the pieces of the texts; words that occur less than `floor` times stay unknown.
    #[must_use]
    pub fn build<'a>(texts: impl IntoIterator<Item = &'a str>, floor: usize) -> Self {
        let (mut words, mut symbols) = (BTreeMap::<String, usize>::new(), BTreeSet::new());
        for piece in texts.into_iter().flat_map(pieces) {
            match Kind::of(&piece) {
                Kind::Word => *words.entry(piece).or_default() += 1,
                Kind::Symbol => drop(symbols.insert(piece)),
                Kind::Digit | Kind::Break => {}
            }
        }
        let mut frequent: Vec<_> = words.into_iter().filter(|(_, count)| *count >= floor).collect();
        frequent.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        let specials = ["<unk>", "<eos>", "\n"].map(str::to_owned);
        let digits = ('0'..='9').map(String::from);
        let words = frequent.into_iter().map(|(word, _)| word);
        specials.into_iter().chain(digits).chain(symbols).chain(words).collect::<Vec<_>>().into()
    }

    /// Tokens of a text.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        pieces(text).map(|piece| self.ids.get(&piece).copied().unwrap_or(UNKNOWN)).collect()
    }

    /// The pieces, blanks between them; an id that is not there is `<unk>`.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        let piece = |&id: &u32| self.pieces.get(id as usize).unwrap_or(&self.pieces[UNKNOWN as usize]).as_str();
        tokens.iter().map(piece).collect::<Vec<_>>().join(" ")
    }

    /// Number of tokens.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.pieces.len()
    }

    /// What stands for a piece that is not in the vocabulary.
    #[must_use]
    pub const fn unknown(&self) -> u32 {
        UNKNOWN
    }

    /// What ends a solution.
    #[must_use]
    pub const fn end(&self) -> u32 {
        END
    }

    /// What ends a step: the line break.
    #[must_use]
    pub const fn separator(&self) -> u32 {
        SEPARATOR
    }
}

impl From<Vec<String>> for WordTokenizer {
    fn from(pieces: Vec<String>) -> Self {
        let ids = pieces.iter().zip(0..).skip(SEPARATOR as usize).map(|(piece, id)| (piece.clone(), id)).collect();
        Self { pieces, ids }
    }
}

impl From<WordTokenizer> for Vec<String> {
    fn from(tokenizer: WordTokenizer) -> Self {
        tokenizer.pieces
    }
}

enum Kind {
    Word,
    Digit,
    Symbol,
    Break,
}

impl Kind {
    fn of(piece: &str) -> Self {
        match piece.chars().next() {
            Some('\n') => Self::Break,
            Some(c) if c.is_ascii_digit() => Self::Digit,
            Some(c) if c.is_alphabetic() => Self::Word,
            _ => Self::Symbol,
        }
    }
}

/// Cuts a text: a run of letters is one piece, every other visible character and every line break is one of its own.
fn pieces(text: &str) -> impl Iterator<Item = String> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() && c != '\n');
        let first = rest.chars().next()?;
        let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(if letters > 0 { letters } else { first.len_utf8() });
        rest = after;
        Some(piece.to_lowercase())
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const TEXTS: [&str; 3] = ["Janet's ducks lay 16 eggs", "She eats 3 eggs\nA: $13", "eggs and ducks"];

    #[test]
    fn ids_are_specials_digits_symbols_and_words_by_frequency() {
        let t = WordTokenizer::build(TEXTS, 2);
        // symbols of the texts in order: $ ' : — then eggs (3 times), ducks (2); the rest occurs once
        assert_eq!(t.vocab_size(), 3 + 10 + 3 + 2);
        assert_eq!(t.encode("eggs ducks $':\n0"), [16, 17, 13, 14, 15, 2, 3]);
    }

    #[test]
    fn the_order_of_the_texts_does_not_matter() {
        let reversed = TEXTS.iter().rev().copied();
        assert_eq!(WordTokenizer::build(TEXTS, 1), WordTokenizer::build(reversed, 1));
    }

    #[test]
    fn what_is_not_known_is_unknown_and_nothing_fails() {
        let t = WordTokenizer::build(TEXTS, 1);
        let tokens = t.encode("Ünknown ¾ 七 \u{0}\t\r\n 1e9");
        assert!(tokens.iter().all(|&id| (id as usize) < t.vocab_size()));
        assert_eq!(t.decode(&t.encode("geese lay 70%")), "<unk> lay 7 0 <unk>");
        assert_eq!(t.encode(""), [0; 0]);
        assert_eq!(t.encode("<eos>")[0], t.unknown(), "no text encodes to a special token");
    }

    #[test]
    fn digits_stand_alone_and_words_stay_whole() {
        let pieces: Vec<_> = pieces("16eggs, 1.5x\n\nYes").collect();
        assert_eq!(pieces, ["1", "6", "eggs", ",", "1", ".", "5", "x", "\n", "\n", "yes"]);
    }

    #[test]
    fn lines_joined_are_tokens_joined_by_the_separator() {
        let t = WordTokenizer::build(TEXTS, 1);
        let (a, b) = ("She eats 3", "A: $13");
        let joined = t.encode(&format!("{a}\n{b}"));
        assert_eq!(joined, [t.encode(a), vec![t.separator()], t.encode(b)].concat());
    }

    #[test]
    fn decoded_text_encodes_to_the_same_tokens() {
        let t = WordTokenizer::build(TEXTS, 1);
        for text in TEXTS {
            let tokens = t.encode(text);
            assert_eq!(t.encode(&t.decode(&tokens)), tokens);
        }
    }

    #[test]
    fn the_vocabulary_is_stored_as_its_list() {
        let t = WordTokenizer::build(TEXTS, 1);
        let text = serde_json::to_string(&t).unwrap();
        assert_eq!(serde_json::from_str::<WordTokenizer>(&text).unwrap(), t);
    }
}
