//! The decoders of `tokenizer.json`, one token at a time.
//!
//! A decoder turns the list of token strings into the list of text pieces that are joined. Each kind is here as a stage
//! that takes one string, writes the strings it can no longer take back, and gives up the rest at the end.

use tokenizers::{Decoder, DecoderWrapper};

use super::error::TokensError;
use super::tokenizer::guarded;
use super::utf8::{Utf8, byte_level};

/// One decoder, with what it still holds.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// No decoder: a space between tokens.
    Spaces { first: bool },
    /// Bytes in disguise, over all tokens together.
    ByteLevel(Utf8),
    /// Tokens `<0x41>` are bytes; a run of them is text if all of it is UTF-8, otherwise one U+FFFD each.
    ByteFallback { run: Vec<u8> },
    /// A decoder that treats every token by itself. `context` is a token to put before, once there has been one, for the
    /// decoders that treat the first token differently.
    EachToken { decoder: Box<DecoderWrapper>, context: Option<&'static str>, first: bool },
    /// Takes up to `start` characters `content` off the front of the joined text and up to `stop` off its end.
    Strip { content: char, start: usize, stop: usize, tail: usize },
    /// Anything else: all of it at the end.
    Whole { decoder: Box<DecoderWrapper>, tokens: Vec<String> },
}

/// The stages of a tokenizer's decoder.
pub(super) fn stages(decoder: Option<&DecoderWrapper>) -> Vec<Stage> {
    let Some(decoder) = decoder else { return vec![Stage::Spaces { first: true }] };
    let mut stages = Vec::new();
    match decoder {
        DecoderWrapper::Sequence(sequence) => {
            let mut joined = false;
            for part in sequence.get_decoders() {
                match stage(part, &mut joined) {
                    Some(stage) => stages.extend(stage),
                    None => return vec![whole(decoder)],
                }
            }
        }
        one => stages.extend(stage(one, &mut false).unwrap_or_else(|| vec![whole(one)])),
    }
    stages
}

fn whole(decoder: &DecoderWrapper) -> Stage {
    Stage::Whole { decoder: Box::new(decoder.clone()), tokens: Vec::new() }
}

/// The stage of one decoder, or `None` where only the whole text will do. `joined` says whether an earlier decoder has made
/// one string of all tokens, so that "each token" means "the text".
fn stage(decoder: &DecoderWrapper, joined: &mut bool) -> Option<Vec<Stage>> {
    let was_joined = *joined;
    match decoder {
        DecoderWrapper::Fuse(_) => {
            *joined = true;
            Some(Vec::new())
        }
        DecoderWrapper::Strip(strip) if was_joined => {
            Some(vec![Stage::Strip { content: strip.content, start: strip.start, stop: strip.stop, tail: 0 }])
        }
        _ if was_joined => None,
        DecoderWrapper::ByteLevel(_) => {
            *joined = true;
            Some(vec![Stage::ByteLevel(Utf8::default())])
        }
        DecoderWrapper::ByteFallback(_) => Some(vec![Stage::ByteFallback { run: Vec::new() }]),
        DecoderWrapper::Replace(_) | DecoderWrapper::Strip(_) => {
            Some(vec![Stage::EachToken { decoder: Box::new(decoder.clone()), context: None, first: true }])
        }
        DecoderWrapper::Metaspace(_) | DecoderWrapper::WordPiece(_) => {
            Some(vec![Stage::EachToken { decoder: Box::new(decoder.clone()), context: Some("x"), first: true }])
        }
        _ => None,
    }
}

impl Stage {
    /// Takes one string, gives those it settles.
    pub(super) fn push(&mut self, token: String) -> Result<Vec<String>, TokensError> {
        Ok(match self {
            Stage::Spaces { first } => {
                let token = if *first { token } else { format!(" {token}") };
                *first = false;
                vec![token]
            }
            Stage::ByteLevel(utf8) => {
                let mut out = String::new();
                utf8.push(&byte_level(&token), &mut out);
                vec![out]
            }
            Stage::ByteFallback { run } => {
                if let Some(byte) = fallback_byte(&token) {
                    run.push(byte);
                    Vec::new()
                } else {
                    end_run(run).into_iter().chain([token]).collect()
                }
            }
            Stage::EachToken { decoder, context, first } => {
                let before = context.filter(|_| !*first).map(str::to_owned);
                let place = usize::from(before.is_some());
                *first = false;
                let tokens = before.into_iter().chain([token]).collect();
                guarded("decode a token", || decoder.decode_chain(tokens))?.into_iter().skip(place).collect()
            }
            Stage::Strip { content, start, stop, tail } => vec![strip(&token, *content, start, *stop, tail)],
            Stage::Whole { tokens, .. } => {
                tokens.push(token);
                Vec::new()
            }
        })
    }

    /// Gives up what was held.
    pub(super) fn finish(&mut self) -> Result<Vec<String>, TokensError> {
        Ok(match self {
            Stage::Spaces { .. } | Stage::EachToken { .. } | Stage::Strip { .. } => Vec::new(),
            Stage::ByteLevel(utf8) => {
                let mut out = String::new();
                utf8.finish(&mut out);
                vec![out]
            }
            Stage::ByteFallback { run } => end_run(run),
            Stage::Whole { tokens, .. } if tokens.is_empty() => Vec::new(),
            Stage::Whole { decoder, tokens } => {
                let tokens = std::mem::take(tokens);
                guarded("decode tokens", || decoder.decode_chain(tokens))?
            }
        })
    }
}

/// The byte of a token such as `<0x41>`.
fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// The strings of a finished run of bytes: one if it is text, as many as bytes if not, none without bytes.
fn end_run(run: &mut Vec<u8>) -> Vec<String> {
    let bytes = std::mem::take(run);
    let count = bytes.len();
    match String::from_utf8(bytes) {
        Ok(text) if count > 0 => vec![text],
        Ok(_) => Vec::new(),
        Err(_) => vec![char::REPLACEMENT_CHARACTER.to_string(); count],
    }
}

/// One more piece of a text of which the ends are stripped: `start` characters are still to go at the front, and `tail`
/// characters `content` wait at the end because they may be the last.
fn strip(piece: &str, content: char, start: &mut usize, stop: usize, tail: &mut usize) -> String {
    let mut out = String::new();
    for character in piece.chars() {
        if character == content && *start > 0 {
            *start -= 1;
        } else if character == content && *tail < stop {
            *start = 0;
            *tail += 1;
        } else {
            *start = 0;
            let before = if character == content { 0 } else { std::mem::take(tail) };
            out.extend(std::iter::repeat_n(content, before));
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strip_takes_both_ends_of_a_text_in_pieces() {
        let (mut start, mut tail) = (1, 0);
        let pieces: String =
            ["  a", " ", " b", "  ", " "].iter().map(|p| strip(p, ' ', &mut start, 2, &mut tail)).collect();
        assert_eq!(pieces, " a  b ");
    }

    #[test]
    fn a_run_of_bytes_is_text_or_marks() {
        let mut stage = Stage::ByteFallback { run: Vec::new() };
        let mut out = Vec::new();
        for token in ["<0xE2>", "<0x82>", "<0xAC>", "a", "<0xE2>", "<0x82>", "<0xg1>"] {
            out.extend(stage.push(token.to_owned()).expect("no library call"));
        }
        out.extend(stage.finish().expect("no library call"));
        assert_eq!(out.concat(), "€a\u{FFFD}\u{FFFD}<0xg1>");
    }
}
