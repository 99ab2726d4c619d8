//! The old clean-up of English: no space before punctuation and contractions.
//!
//! Tokenizers whose configuration says `clean_up_tokenization_spaces: true` (Llama 3 does) decode through it. It is ten
//! replacements of fixed strings, one after the other over the whole text, as `transformers` 4.57 does them.

/// What is replaced by what, in order.
const RULES: [(&str, &str); 10] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

/// Bytes of the longest pattern.
const LONGEST: usize = 4;

/// The text without spaces before punctuation and contractions.
pub(super) fn clean_up(text: &str) -> String {
    RULES.iter().fold(
        text.to_owned(),
        |text, (from, to)| {
            if text.contains(from) { text.replace(from, to) } else { text }
        },
    )
}

/// The length of the longest prefix of `text` whose clean-up no later text can change.
///
/// A match begins with a space and is at most [`LONGEST`] bytes long, and rules only ever delete spaces. So a cut is
/// safe where the `LONGEST` bytes before it hold no space: no match, of any rule on the text as the earlier rules left
/// it, can reach over it. The cut is the end of the text, or else just before the first space among its last bytes, moved
/// back until that holds there too.
pub(super) fn settled(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut cut = bytes.len();
    loop {
        let window = cut.saturating_sub(LONGEST);
        match bytes[window..cut].iter().position(|&byte| byte == b' ') {
            None => return cut,
            Some(place) => cut = window + place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spaces_before_punctuation_go() {
        assert_eq!(clean_up("Hello , world ! It 's n't"), "Hello, world! It'sn't");
        assert_eq!(settled("Hello , wor"), "Hello".len());
        assert_eq!(settled("Hello , world"), "Hello , world".len());
    }

    proptest! {
        #[test]
        fn a_settled_prefix_cleans_up_alone(text in "[ .,'nt vesrm?!xé]{0,24}", more in "[ .,'nt vesrm?!xé]{0,12}") {
            let cut = settled(&text);
            let whole = clean_up(&format!("{text}{more}"));
            let rest = format!("{}{more}", &text[cut..]);
            prop_assert_eq!(whole, clean_up(&text[..cut]) + &clean_up(&rest));
        }
    }
}
