//! What to generate, and what came out.

use serde::{Deserialize, Serialize};
use tdrm_algo::sampling::SamplingConfig;
use tdrm_core::{Seed, Temperature};

use crate::LmError;

/// A prompt and the randomness of its continuation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// At least one token.
    pub tokens: Vec<u32>,
    /// Seed of this very continuation: its t-th token takes the t-th uniform number.
    pub seed: Seed,
    /// The continuation begins with these tokens, which count as generated; empty: the settings' `forced_prefix`.
    #[serde(default)]
    pub forced: Vec<u32>,
}

impl Prompt {
    /// A prompt whose continuation is free.
    #[must_use]
    pub fn new(tokens: &[u32], seed: Seed) -> Self {
        Self { tokens: tokens.to_vec(), seed, forced: Vec::new() }
    }

    /// The same prompt, its continuation beginning with these tokens.
    #[must_use]
    pub fn forced(self, tokens: &[u32]) -> Self {
        Self { forced: tokens.to_vec(), ..self }
    }
}

/// Settings of [`Model::generate`](crate::Model::generate).
///
/// ```
/// use tdrm_core::Temperature;
/// use tdrm_lm::Generation;
///
/// let settings: Generation = serde_json::from_str(r#"{"sampling": {"top_k": 20}, "max_new_tokens": 9}"#)?;
/// assert_eq!(settings.slots, 64);
/// assert_eq!(Generation::sample(Temperature::ONE, 9).sampling.top_k, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// How the next token is chosen. A continuation ends after a token of `eos_token_id`; a caller who wants none to end
    /// it leaves that list empty.
    pub sampling: SamplingConfig,
    /// Longest continuation; it ends earlier where the model's longest sequence is reached.
    pub max_new_tokens: usize,
    /// More tokens that end a continuation, as its last token; the least lengths of `sampling` do not hold them back.
    #[serde(default)]
    pub stop_tokens: Vec<u32>,
    /// Strings that end a continuation as soon as its text holds one of them; they need a tokenizer.
    #[serde(default)]
    pub stop_strings: Vec<String>,
    /// Most sequences in the cache at the same time; changes speed and memory, no result.
    #[serde(default = "slots")]
    pub slots: usize,
    /// Most bytes of the cache; where they do not suffice, there are fewer slots.
    #[serde(default = "cache_bytes")]
    pub cache_bytes: usize,
}

const fn slots() -> usize {
    64
}

const fn cache_bytes() -> usize {
    1 << 30
}

impl Generation {
    /// These rules, at most `max_new_tokens`; 64 slots, a cache of at most 1 GiB.
    #[must_use]
    pub fn new(sampling: SamplingConfig, max_new_tokens: usize) -> Self {
        let (stop_tokens, stop_strings) = (Vec::new(), Vec::new());
        Self { sampling, max_new_tokens, stop_tokens, stop_strings, slots: slots(), cache_bytes: cache_bytes() }
    }

    /// The most probable tokens.
    #[must_use]
    pub fn greedy(max_new_tokens: usize) -> Self {
        Self::new(SamplingConfig::greedy(), max_new_tokens)
    }

    /// Draws at this temperature, without a filter.
    #[must_use]
    pub fn sample(temperature: Temperature, max_new_tokens: usize) -> Self {
        Self::new(SamplingConfig { temperature, ..SamplingConfig::default() }, max_new_tokens)
    }

    /// The same settings, with these ends of sequence.
    #[must_use]
    pub fn until(mut self, eos: &[u32]) -> Self {
        self.sampling.eos_token_id = eos.to_vec();
        self
    }

    /// Every token that ends a continuation, ascending.
    pub(super) fn ends(&self) -> Vec<u32> {
        let mut ends = [&self.sampling.eos_token_id[..], &self.stop_tokens].concat();
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    pub(super) fn check(&self) -> Result<(), LmError> {
        self.sampling.validate()?;
        if self.slots == 0 {
            return Err(LmError::setting("slots", "at least 1", 0));
        }
        if self.stop_strings.iter().any(String::is_empty) {
            return Err(LmError::setting("stop_strings", "strings of at least one character", "an empty one"));
        }
        Ok(())
    }
}

/// Why a continuation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finish {
    /// An end of sequence or a stop token came; it is the last token.
    Stop,
    /// A stop string came, in the text of all tokens with the last one, and not before it.
    StopString,
    /// There was no room for more.
    Length,
}

/// A continuation. Its tokens are those that were drawn; they never went through text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// The new tokens, `[T]`.
    pub tokens: Vec<u32>,
    /// ln π of each under the distribution it was drawn from, after all filters; 0 where greedy or forced, `[T]`.
    pub log_probs: Vec<f64>,
    /// ln π of each at temperature 1 without filters, `[T]`.
    pub log_probs_full: Vec<f64>,
    /// Why it ended.
    pub finish: Finish,
    /// The text, without special tokens, up to the stop string (which is not in it); where a tokenizer was given.
    pub text: Option<String>,
}

/// How far [`Model::generate_watched`](crate::Model::generate_watched) has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Continuations that are finished.
    pub finished: usize,
    /// Prompts.
    pub total: usize,
    /// New tokens so far, of unfinished continuations too.
    pub tokens: usize,
    /// Tokens that have run through the model so far; what was copied from another sequence's cache has not.
    pub rows: usize,
}
