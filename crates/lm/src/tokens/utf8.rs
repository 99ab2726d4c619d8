//! UTF-8 that arrives in pieces.

use std::str::from_utf8;

/// Bytes of which the last few may be the beginning of a character.
///
/// What is written is what `String::from_utf8_lossy` makes of all bytes together: each maximal part of an ill-formed
/// sequence becomes one U+FFFD (Unicode 16, §3.9). At most three bytes wait.
#[derive(Debug, Clone, Default)]
pub(super) struct Utf8 {
    waiting: Vec<u8>,
}

impl Utf8 {
    /// Takes bytes, writes the characters that they settle.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut String) {
        self.waiting.extend_from_slice(bytes);
        let mut rest = self.waiting.as_slice();
        loop {
            match from_utf8(rest) {
                Ok(text) => {
                    out.push_str(text);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (sound, after) = rest.split_at(error.valid_up_to());
                    out.push_str(from_utf8(sound).unwrap_or_default());
                    rest = after;
                    let Some(broken) = error.error_len() else { break };
                    out.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[broken..];
                }
            }
        }
        let waiting = rest.len();
        self.waiting.drain(..self.waiting.len() - waiting);
    }

    /// Writes what was waiting: the beginning of a character that never came.
    pub(super) fn finish(&mut self, out: &mut String) {
        out.push_str(&String::from_utf8_lossy(&self.waiting));
        self.waiting.clear();
    }
}

/// The bytes of a byte-level token: its characters taken back through the byte alphabet of GPT-2, or, where a character is
/// outside that alphabet (an added token), the token's own UTF-8.
pub(super) fn byte_level(token: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = token.chars().map(byte_of).collect();
    bytes.unwrap_or_else(|| token.as_bytes().to_vec())
}

/// The byte that a character of the GPT-2 alphabet stands for.
///
/// Printable Latin-1 bytes stand for themselves; the other 68, in order, are U+0100 and up.
fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    let byte = match code {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => code,
        0x100..=0x120 => code - 0x100,
        0x121..=0x142 => code - 0x121 + 0x7F,
        0x143 => 0xAD,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_alphabet_is_that_of_gpt_2() {
        let spelled: Vec<u8> = byte_level("ĠhÃ©");
        assert_eq!(spelled, " hé".as_bytes());
        let mut bytes: Vec<u8> = (0..0x400).filter_map(char::from_u32).filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(byte_level("日"), "日".as_bytes());
    }

    proptest! {
        #[test]
        fn pieces_give_what_the_whole_gives(
            parts in proptest::collection::vec(proptest::collection::vec(prop_oneof![any::<u8>(), 0xC0u8..=0xF5, 0x80u8..=0xBF], 0..4), 0..12),
        ) {
            let mut utf8 = Utf8::default();
            let mut out = String::new();
            for part in &parts {
                utf8.push(part, &mut out);
            }
            utf8.finish(&mut out);
            prop_assert_eq!(out, String::from_utf8_lossy(&parts.concat()).into_owned());
        }
    }
}
