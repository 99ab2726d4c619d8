//! Batched sampling with a static key-value cache.
//!
//! Each thread owns some slots and takes prompts from one queue. A row leaves its slot when it is finished and the next
//! prompt takes its place; prompts and continuations run through the layers together. A slot that gets the same prompt
//! as another copies that one's cache, so n samples of a prompt read it once per thread.
//!
//! A completion depends on the weights, its prompt, its seed and the settings; not on the other prompts, their order,
//! the number of slots or of threads: every kernel on this path treats a row by itself, bit for bit.

mod decoder;
mod engine;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use tdrm_core::Seed;

pub(crate) use decoder::Decoder;

use crate::score::check_temperature;
use crate::{Lm, LmError};

/// A prompt and the randomness of its continuation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// At least one token.
    pub tokens: Vec<u32>,
    /// Seed of this very continuation.
    pub seed: Seed,
}

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
#[non_exhaustive]
pub enum Decoding {
    /// The most probable token; log-probabilities are those of temperature 1.
    Greedy,
    /// A draw from `softmax(logits / temperature)`; log-probabilities are those of this distribution.
    Sample {
        /// Temperature τ, positive.
        temperature: f32,
    },
}

/// Settings of [`Lm::generate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplingConfig {
    /// How the next token is chosen.
    pub decoding: Decoding,
    /// Longest continuation; it ends earlier where the model's longest sequence is reached.
    pub max_new_tokens: usize,
    /// Tokens that end a continuation, as its last token.
    pub stop_tokens: Vec<u32>,
    /// Sequences that are in the cache at the same time, over all threads; changes speed and memory, never a result.
    pub slots: usize,
}

impl SamplingConfig {
    /// Draws at this temperature, at most `max_new_tokens`, until one of `stop_tokens`; 64 slots.
    #[must_use]
    pub fn sample(temperature: f32, max_new_tokens: usize, stop_tokens: &[u32]) -> Self {
        let decoding = Decoding::Sample { temperature };
        Self { decoding, max_new_tokens, stop_tokens: stop_tokens.to_vec(), slots: 64 }
    }

    /// The most probable tokens, at most `max_new_tokens`, until one of `stop_tokens`; 64 slots.
    #[must_use]
    pub fn greedy(max_new_tokens: usize, stop_tokens: &[u32]) -> Self {
        Self { decoding: Decoding::Greedy, ..Self::sample(1.0, max_new_tokens, stop_tokens) }
    }

    /// The temperature of the log-probabilities.
    #[must_use]
    pub fn temperature(&self) -> f32 {
        match self.decoding {
            Decoding::Greedy => 1.0,
            Decoding::Sample { temperature } => temperature,
        }
    }
}

/// Why a continuation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finish {
    /// A stop token was drawn; it is the last token.
    Stop,
    /// There was no room for more.
    Length,
}

/// A continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// The new tokens.
    pub tokens: Vec<u32>,
    /// log π of each, under the distribution it was drawn from.
    pub log_probs: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

/// How far [`Lm::generate_watched`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Continuations that are finished.
    pub finished: usize,
    /// Prompts.
    pub total: usize,
    /// New tokens of the finished continuations.
    pub tokens: usize,
}

impl Lm {
    /// Continues each prompt; `out[i]` belongs to `prompts[i]`.
    ///
    /// # Errors
    /// If a prompt is empty, fills the model's longest sequence, or has a token outside the vocabulary; if the
    /// temperature is not positive.
    pub fn generate(&self, prompts: &[Prompt], config: &SamplingConfig) -> Result<Vec<Completion>, LmError> {
        self.generate_watched(prompts, config, &|_| ControlFlow::Continue(()))
    }

    /// As [`Lm::generate`]; `watch` is told of every finished continuation and may stop the work.
    ///
    /// # Errors
    /// As [`Lm::generate`], and [`LmError::Interrupted`] if `watch` breaks.
    pub fn generate_watched(
        &self,
        prompts: &[Prompt],
        config: &SamplingConfig,
        watch: &(dyn Fn(Progress) -> ControlFlow<()> + Sync),
    ) -> Result<Vec<Completion>, LmError> {
        check_temperature(config.temperature())?;
        for (i, prompt) in prompts.iter().enumerate() {
            self.config().limits().check(i, &prompt.tokens)?;
            let longest = self.config().max_position_embeddings;
            if prompt.tokens.len() >= longest {
                let (expected, got) = (format!("below {longest}"), prompt.tokens.len());
                return Err(LmError::Sequence { sequence: i, what: "length of a prompt", expected, got });
            }
        }
        if config.max_new_tokens == 0 {
            let empty = Completion { tokens: Vec::new(), log_probs: Vec::new(), finish: Finish::Length };
            return Ok(vec![empty; prompts.len()]);
        }
        engine::run(self, prompts, config, watch)
    }
}
