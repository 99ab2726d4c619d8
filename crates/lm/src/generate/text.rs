//! The text of a continuation while it grows.

use crate::LmError;
use crate::tokens::{Special, StreamDecoder, Tokenizer};

/// Text so far, watched for stop strings.
#[derive(Debug)]
pub(super) struct Text<'a> {
    decoder: StreamDecoder,
    settled: String,
    stops: &'a [String],
}

impl<'a> Text<'a> {
    pub(super) fn new(tokenizer: &Tokenizer, stops: &'a [String]) -> Self {
        Self { decoder: StreamDecoder::new(tokenizer, Special::Without), settled: String::new(), stops }
    }

    /// Takes a token; whether the text of all tokens so far holds a stop string now.
    pub(super) fn push(&mut self, token: u32) -> Result<bool, LmError> {
        // A stop string that is new ends behind what was settled before.
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = self.settled.floor_char_boundary((self.settled.len() + 1).saturating_sub(longest));
        let piece = self.decoder.push(token)?;
        self.settled.push_str(&piece);
        if self.stops.is_empty() {
            return Ok(false);
        }
        let tail = [&self.settled[from..], &self.decoder.clone().finish()?].concat();
        Ok(first(&tail, self.stops).is_some())
    }

    /// The whole text, cut before its first stop string.
    pub(super) fn finish(self) -> Result<String, LmError> {
        let Self { decoder, settled: mut text, stops } = self;
        text.push_str(&decoder.finish()?);
        text.truncate(first(&text, stops).unwrap_or(text.len()));
        Ok(text)
    }
}

/// Where the first of the stop strings begins.
fn first(text: &str, stops: &[String]) -> Option<usize> {
    stops.iter().filter_map(|stop| text.find(stop.as_str())).min()
}
