//! Compositions: configs, drivers and published methods.

mod error;
mod problem;
pub mod report;
mod stop;
mod store;
pub mod text;

pub use error::RecipeError;
pub use problem::{Judge, Problem, read_problems};
pub use stop::Stop;
pub use store::{Store, write_atomically};
