//! Verifiers of answers: exact arithmetic, canonical forms, bounded work.

mod extract;
mod fuel;
mod math;
mod rational;
mod words;

pub use extract::{Extracted, How, extract};
pub use math::MathVerifier;
