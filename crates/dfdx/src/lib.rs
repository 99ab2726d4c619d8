//! dfdx back end of tdrm: a compact decoder language model and actor-critics.
//!
//! [`Lm`] is a Llama or Qwen2 decoder whose shape is read from Hugging Face's `config.json`, with a scalar head. It loads,
//! scores, samples and saves; [`Trainer`] trains it. A loss never enters this crate: the trainer computes log π (or the
//! scalar head's logits), asks the caller for ∂L/∂ of them, and back-propagates `Σ c · output`.
//!
//! The forward and backward passes are the fused operations of [`tdrm_kernels`], put on dfdx's tape one decoder layer
//! at a time; batches are ragged and packed, without padding. Results do not depend on the number of threads.
//!
//! ```
//! use tdrm_core::Seed;
//! use tdrm_dfdx::{Lm, LmConfig, Optimiser, Prompt, SamplingConfig, Sequence, Trainer};
//!
//! let config = LmConfig { num_key_value_heads: 2, ..LmConfig::llama(16, 32, 2, 4) };
//! let mut trainer = Trainer::new(Lm::init(config, Seed::root(7))?, Optimiser::adamw(1e-2))?;
//!
//! // Maximum likelihood: L = −mean log π, so ∂L/∂log π = −1/n for each of the n targets.
//! let lesson = Sequence::new(&[1, 2], &[3, 4, 5, 0]);
//! for _ in 0..40 {
//!     trainer.accumulate_policy(&[lesson.clone()], 1.0, &mut |log_probs| {
//!         log_probs.iter().map(|row| vec![-1.0 / row.len() as f32; row.len()]).collect()
//!     })?;
//!     trainer.step()?;
//! }
//!
//! let prompt = Prompt { tokens: vec![1, 2], seed: Seed::root(0) };
//! let completions = trainer.lm().generate(&[prompt], &SamplingConfig::greedy(8, &[0]))?;
//! assert_eq!(completions[0].tokens, [3, 4, 5, 0]);
//! # Ok::<(), tdrm_dfdx::LmError>(())
//! ```
//!
//! [`ActorCritic`] is the small network for the classic environments, trained through the same seam.
//!
//! A program that trains should call [`tdrm_kernels::alloc::tune`] once, at its start.

mod actor_critic;
mod checkpoint;
mod composed;
mod config;
mod core_traits;
mod engine;
mod error;
mod layout;
mod lm;
mod sampling;
mod score;
mod state;
mod tape;
mod trainer;

pub use actor_critic::{ActorCritic, ActorCriticConfig, Episode};
pub use config::{Architecture, LmConfig};
pub use core_traits::{LmLearner, LmPolicy};
pub use engine::{Device, Engine};
pub use error::LmError;
pub use lm::Lm;
pub use sampling::{Completion, Decoding, Finish, Progress, Prompt, SamplingConfig};
pub use score::{Ragged, Scores};
pub use tdrm_kernels::batch::{Sequence, ValueSequence};
pub use tdrm_kernels::optimiser::{Decay, Optimiser, Schedule};
pub use trainer::{PolicyCoefficients, StepReport, Trainer};
