//! Decoding while tokens arrive.

use super::cleanup::{clean_up, settled};
use super::error::TokensError;
use super::stages::{Stage, stages};
use super::tokenizer::{Special, Tokenizer};

/// Text of a stream of tokens, as soon as no later token can change it.
///
/// The pieces of [`Self::push`] and [`Self::finish`] together are [`Tokenizer::decode_known`] of all tokens, whatever the
/// tokens are: characters cut in the middle wait for their rest, and bytes that are not UTF-8 become U+FFFD exactly where
/// the whole decoding has them. Ids without a token give no text.
///
/// The tokens are read, never replaced: what was sampled is what the caller keeps.
#[derive(Debug, Clone)]
pub struct StreamDecoder {
    tokenizer: Tokenizer,
    special: Special,
    stages: Vec<Stage>,
    /// Decoded and not yet cleaned up.
    raw: String,
}

impl StreamDecoder {
    /// A decoder at the start of a text.
    #[must_use]
    pub fn new(tokenizer: &Tokenizer, special: Special) -> Self {
        Self { tokenizer: tokenizer.clone(), special, stages: stages(tokenizer.decoder()), raw: String::new() }
    }

    /// Takes a token, gives the text it settles: often its own, sometimes none, sometimes that of tokens before.
    ///
    /// # Errors
    ///
    /// [`TokensError::Tokenizer`] where the tokenizer's decoder fails.
    pub fn push(&mut self, id: u32) -> Result<String, TokensError> {
        let Some(token) = self.tokenizer.visible(id, self.special) else { return Ok(String::new()) };
        let text = run(&mut self.stages, token)?;
        self.raw.push_str(&text);
        if !self.tokenizer.cleans_up() {
            return Ok(std::mem::take(&mut self.raw));
        }
        let rest = self.raw.split_off(settled(&self.raw));
        Ok(clean_up(&std::mem::replace(&mut self.raw, rest)))
    }

    /// Gives the text that was waiting, and ends the stream.
    ///
    /// # Errors
    ///
    /// [`TokensError::Tokenizer`] where the tokenizer's decoder fails.
    pub fn finish(mut self) -> Result<String, TokensError> {
        for place in 0..self.stages.len() {
            for held in self.stages[place].finish()? {
                let text = run(&mut self.stages[place + 1..], held)?;
                self.raw.push_str(&text);
            }
        }
        Ok(if self.tokenizer.cleans_up() { clean_up(&self.raw) } else { self.raw })
    }
}

/// A string through all stages.
fn run(stages: &mut [Stage], token: String) -> Result<String, TokensError> {
    let Some((stage, later)) = stages.split_first_mut() else { return Ok(token) };
    stage.push(token)?.into_iter().map(|piece| run(later, piece)).collect()
}
