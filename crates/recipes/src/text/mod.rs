//! Between text and tokens.

mod chars;
mod steps;

pub use chars::CharTokenizer;
pub use steps::{Response, step_ends};
