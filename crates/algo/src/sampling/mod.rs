//! Decoding: which token comes next.
//!
//! | question | answer |
//! |---|---|
//! | which tokens may come, and how probable are they | [`SamplingConfig`], [`Sampler::filtered`] |
//! | which one comes | [`Sampler::step`] |
//! | what does a model ask for | [`GenerationConfig`] |
//! | which sequence is the most probable as a whole | [`Beam`] |
//!
//! The filters are those of transformers, in its order and with its ties:
//!
//! ```text
//! sequence_bias          z_v += b                           when v completes the sequence
//! repetition_penalty     z_v ← z_v / θ if z_v ≥ 0, z_v θ    once for every v in the history
//! no_repeat_ngram_size   z_v ← −∞                           when v would repeat an n-gram
//! bad_words_ids          z_v ← −∞                           when v completes the sequence
//! temperature            z ← z / T
//! top_k                  keep z_v ≥ z_(k)                   z_(k) the k-th largest
//! top_p                  keep v unless Σ_{z_w ≤ z_v} π_w ≤ 1 − p
//! min_p                  keep π_v ≥ m max π
//! typical_p              keep |−ln π_v − H| ≤ c             c the least that keeps a mass of τ
//! ```
//!
//! A step is linear in the vocabulary: filters select, they do not sort. Sums are in double precision; what is
//! compared with a threshold is rounded to single precision first, as it is there.
//!
//! No tensor, no model and no text here: logits come in as a slice, a uniform number as an argument.

mod beam;
mod candidates;
mod config;
mod error;
mod generation;
mod history;
mod lanes;
mod processors;
mod sampler;
mod select;

pub use beam::{Beam, BeamConfig, BeamError, EarlyStopping, Fork, Hypothesis, Progress};
pub use config::SamplingConfig;
pub use error::{SamplingConfigError, SamplingError};
pub use generation::GenerationConfig;
pub use history::History;
pub use sampler::{Choice, Distribution, Sampler};
