//! A tokenizer with one token per character, in the Hugging Face file format.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use crate::RecipeError;

/// One token per character, plus special tokens that no text encodes to.
///
/// Reads and writes `tokenizer.json` files whose model is a `WordLevel` vocabulary of single characters, so that
/// Hugging Face's `tokenizers` gives the same tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharTokenizer {
    ids: HashMap<char, u32>,
    characters: BTreeMap<u32, char>,
    specials: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
struct File {
    added_tokens: Vec<Added>,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

#[derive(Deserialize)]
struct Model {
    r#type: String,
    vocab: BTreeMap<String, u32>,
}

impl CharTokenizer {
    /// Special tokens first, then the characters, in the order given.
    #[must_use]
    pub fn new(specials: &[&str], characters: &str) -> Self {
        let specials: BTreeMap<_, _> = specials.iter().zip(0..).map(|(&s, id)| (s.to_owned(), id)).collect();
        let ids: HashMap<_, _> = characters.chars().zip(specials.len() as u32..).collect();
        let characters = ids.iter().map(|(&c, &id)| (id, c)).collect();
        Self { ids, characters, specials }
    }

    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// If the file is missing or its vocabulary is not one of single characters.
    pub fn load(path: &Path) -> Result<Self, RecipeError> {
        let text = fs::read_to_string(path).map_err(RecipeError::file(path))?;
        Self::from_json(&text).map_err(RecipeError::content(path))
    }

    /// Reads the content of a `tokenizer.json`.
    ///
    /// # Errors
    /// Says what in the vocabulary is not a single character.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if file.model.r#type != "WordLevel" {
            return Err(format!("expected a `WordLevel` vocabulary of characters, got `{}`", file.model.r#type));
        }
        let specials: BTreeMap<_, _> = file.added_tokens.into_iter().map(|t| (t.content, t.id)).collect();
        let mut ids = HashMap::new();
        for (token, id) in file.model.vocab.iter().filter(|(token, _)| !specials.contains_key(*token)) {
            let mut characters = token.chars();
            match (characters.next(), characters.next()) {
                (Some(c), None) => ids.insert(c, *id),
                _ => return Err(format!("expected single characters in the vocabulary, got {token:?}")),
            };
        }
        let characters = ids.iter().map(|(&c, &id)| (id, c)).collect();
        Ok(Self { ids, characters, specials })
    }

    /// The content of a `tokenizer.json` for this vocabulary.
    #[must_use]
    pub fn to_json(&self) -> String {
        let added: Vec<_> = self.by_id().filter(|(_, token)| self.specials.contains_key(token)).map(added).collect();
        let vocab: serde_json::Map<_, _> = self.by_id().map(|(id, token)| (token, json!(id))).collect();
        let every_character =
            json!({"type": "Split", "pattern": {"Regex": "[\\s\\S]"}, "behavior": "Isolated", "invert": false});
        let file = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
            "pre_tokenizer": every_character, "post_processor": null, "decoder": {"type": "Fuse"},
            "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
        });
        format!("{file:#}\n")
    }

    fn by_id(&self) -> impl Iterator<Item = (u32, String)> {
        let specials = self.specials.iter().map(|(s, &id)| (id, s.clone()));
        let all: BTreeMap<_, _> = specials.chain(self.characters.iter().map(|(&id, &c)| (id, c.to_string()))).collect();
        all.into_iter()
    }

    /// Size of the vocabulary: one more than its largest id.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.by_id().map(|(id, _)| id as usize + 1).max().unwrap_or(0)
    }

    /// The id of a special token.
    #[must_use]
    pub fn special(&self, token: &str) -> Option<u32> {
        self.specials.get(token).copied()
    }

    /// The id of a character.
    #[must_use]
    pub fn character(&self, c: char) -> Option<u32> {
        self.ids.get(&c).copied()
    }

    /// Tokens of a text.
    ///
    /// # Errors
    /// Names the first character that the vocabulary does not have, and its position.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, RecipeError> {
        let id = |(position, character)| {
            self.character(character).ok_or_else(|| RecipeError::Vocabulary {
                character,
                position,
                text: text.chars().take(80).collect(),
            })
        };
        text.chars().enumerate().map(id).collect()
    }

    /// The text of tokens; special and unknown tokens are left out.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        tokens.iter().filter_map(|id| self.characters.get(id)).collect()
    }
}

fn added((id, content): (u32, String)) -> serde_json::Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn tokenizer() -> CharTokenizer {
        CharTokenizer::new(&["<pad>", "<eos>"], "0123456789+=\n")
    }

    #[test]
    fn text_round_trips_and_special_tokens_have_none() {
        let t = tokenizer();
        let mut tokens = t.encode("1+2=3\n").unwrap();
        assert_eq!(tokens, [3, 12, 4, 13, 5, 14]);
        tokens.push(t.special("<eos>").unwrap());
        assert_eq!(t.decode(&tokens), "1+2=3\n");
    }

    #[test]
    fn the_file_form_round_trips() {
        let t = tokenizer();
        assert_eq!(CharTokenizer::from_json(&t.to_json()).unwrap(), t);
        assert_eq!(t.vocab_size(), 15);
    }

    #[test]
    fn an_unknown_character_is_named_with_its_position() {
        let error = tokenizer().encode("1+x").unwrap_err().to_string();
        assert_eq!(error, "character 'x' at position 2 of \"1+x\" is not in the model's vocabulary");
    }

    #[test]
    fn a_vocabulary_of_words_is_refused() {
        let json = tokenizer().to_json().replace("\"+\"", "\"plus\"");
        assert!(CharTokenizer::from_json(&json).unwrap_err().contains("\"plus\""));
        assert!(CharTokenizer::from_json("{}").is_err());
    }
}
