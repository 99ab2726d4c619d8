//! Hugging Face language models on candle: load, score, generate, train, save.

mod adapter;
mod config;
mod error;
mod generate;
#[cfg(feature = "hub")]
pub mod hub;
mod model;
mod ops;
mod placement;
mod policy;
mod scorer;
pub mod tokens;
mod train;
mod weights;

pub use adapter::LoraConfig;
pub use config::{Biases, Family, HeadKind, ModelConfig, Rope, RopeScaling};
pub use error::LmError;
pub use generate::{Branch, Completion, Finish, Generation, Progress, Prompt, Session};
pub use model::{Model, Scores};
pub use ops::Engine;
pub use placement::{Device, Placement, Precision};
pub use policy::LmPolicy;
pub use scorer::{Reader, ScoreInput, Scorer, StepFormat, StepScores};
pub use tdrm_algo::sampling::{BeamConfig, EarlyStopping, GenerationConfig, Hypothesis, SamplingConfig};
pub use tdrm_kernels::batch::{Limits, Sequence, ValueSequence};
pub use tdrm_kernels::optimiser::{Decay, Optimiser, Schedule};
pub use train::{HeadOutputs, LmLearner, PolicyCoefficients, StepReport, Trainer};
