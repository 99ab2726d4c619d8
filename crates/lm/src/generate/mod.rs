//! Generation with a static key-value cache.
//!
//! | what | where |
//! |---|---|
//! | continue many prompts | [`Model::generate`], [`Model::generate_watched`] |
//! | the most probable sequence as a whole | [`Model::beam_search`] |
//! | a tree of continuations | [`Session`] |
//!
//! A batch has a number of slots. A step runs the new tokens of every slot through the model together, without padding:
//! the one that was drawn last where a slot is running, the whole prompt where it is new. Then each slot draws. Who has
//! finished leaves, and the next prompt takes the slot. A prompt whose beginning another slot holds already copies that
//! part of the cache instead of running it; samples of one prompt wait until the first of them has read it.
//!
//! In the fused form ([`Engine::Fused`](crate::Engine)) a row is computed by itself, bit for bit, on every step of the way.
//! So a completion depends on the weights, its prompt, its seed and the settings; not on the other prompts, their order,
//! the slots, the threads, or what was copied. In the composed form candle chooses its products by the number of rows and
//! sums may differ in their last bits, so that a draw near the edge between two tokens can fall to either side.
//!
//! The fused form copies the matrices of a small model for each call into panels made for few rows; those of a large one
//! (2²⁶ elements and more) are multiplied as they are.

mod beam;
mod cache;
mod decoder;
mod engine;
mod session;
mod settings;
mod text;

use std::ops::ControlFlow;

pub(crate) use cache::{Cache, NewRows};
pub use session::{Branch, Session};
pub use settings::{Completion, Finish, Generation, Progress, Prompt};

use crate::tokens::Tokenizer;
use crate::{LmError, Model};
use decoder::Decoder;
use engine::Engine;

impl Model {
    /// Continues each prompt; `out[i]` belongs to `prompts[i]`.
    ///
    /// # Errors
    /// If a setting is out of its range, a prompt is empty, fills the model's longest sequence or has a token outside the
    /// vocabulary, not even one sequence fits into the cache, no token may be chosen, or the model has no language-model
    /// head.
    pub fn generate(&self, prompts: &[Prompt], settings: &Generation) -> Result<Vec<Completion>, LmError> {
        self.generate_watched(prompts, settings, None, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`Model::generate`]; a tokenizer gives the completions their texts, and `watch` is told of every step and may
    /// stop the work.
    ///
    /// # Errors
    /// As [`Model::generate`]; [`LmError::Interrupted`] if `watch` breaks; if there are stop strings and no tokenizer.
    pub fn generate_watched(
        &self,
        prompts: &[Prompt],
        settings: &Generation,
        tokenizer: Option<&Tokenizer>,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, LmError> {
        settings.check()?;
        if tokenizer.is_none() && !settings.stop_strings.is_empty() {
            return Err(LmError::setting(
                "stop_strings",
                "none where there is no tokenizer",
                settings.stop_strings.len(),
            ));
        }
        for (i, prompt) in prompts.iter().enumerate() {
            self.check_prompt(i, &prompt.tokens)?;
        }
        if settings.max_new_tokens == 0 || prompts.is_empty() {
            self.lm_head()?;
            let text = tokenizer.map(|_| String::new());
            let (tokens, log_probs, log_probs_full) = (Vec::new(), Vec::new(), Vec::new());
            let empty = Completion { tokens, log_probs, log_probs_full, finish: Finish::Length, text };
            return Ok(vec![empty; prompts.len()]);
        }
        let longest = prompts.iter().map(|prompt| prompt.tokens.len()).max().unwrap_or(0);
        let capacity = longest.saturating_add(settings.max_new_tokens).min(self.config().longest());
        let slots = self.slots(settings, capacity)?.min(prompts.len());
        let decoder = Decoder::new(self, slots, capacity)?;
        Engine::new(decoder, slots, prompts, settings, tokenizer)?.run(watch)
    }

    /// `Ok` if something can follow the prompt.
    fn check_prompt(&self, sequence: usize, tokens: &[u32]) -> Result<(), LmError> {
        self.config().limits().check(sequence, tokens)?;
        let longest = self.config().longest();
        if tokens.len() < longest {
            return Ok(());
        }
        let expected = format!("below {longest}");
        Err(LmError::Sequence { sequence, what: "length of a prompt", expected, got: tokens.len() })
    }

    /// Slots for which there is memory.
    fn slots(&self, settings: &Generation, capacity: usize) -> Result<usize, LmError> {
        let one = Cache::bytes(self, 1, capacity);
        match settings.cache_bytes / one.max(1) {
            0 => {
                let expected = format!("at least {one} for one sequence of {capacity} tokens");
                Err(LmError::setting("cache_bytes", expected, settings.cache_bytes))
            }
            slots => Ok(slots.min(settings.slots)),
        }
    }
}
