//! Compositions: configs, drivers and published methods.

pub mod cycle;
mod error;
pub mod gsm8k;
pub mod methods;
mod model;
mod pretrain;
mod problem;
#[cfg(feature = "lm")]
pub mod replay;
pub mod report;
mod stop;
mod store;
pub mod text;

pub use error::RecipeError;
pub use model::{Context, Draws, Model};
pub use pretrain::{PretrainConfig, PretrainReport, pretrain};
pub use problem::{Judge, Problem, read_problems};
pub use stop::Stop;
pub use store::{Store, write_atomically};
