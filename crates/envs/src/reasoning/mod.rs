//! Reasoning tasks as text, with exact ground truth.
//!
//! [`ChainTask`] draws problems of chained arithmetic such as `47+35-18:`. A solution writes one operation a line,
//! may look back at the last operation with a check line, and closes with the answer:
//!
//! ```text
//! 47+35=72        a carry was forgotten: the chain is off track
//! ?47+35=82       a check repairs it
//! 82-18=64
//! #64
//! ```
//!
//! Because an error can be repaired, a wrong step does not decide the outcome: step labels ([`check_steps`]) and
//! outcome ([`ChainVerifier`]) differ, which is what makes comparing process reward models meaningful. [`Habits`]
//! writes flawed demonstrations of which a language model learns its policy.

mod chain;
mod check;
mod habits;

pub use chain::{ChainError, ChainProblem, ChainTask, Operation};
pub use check::{ChainVerifier, StepCheck, StepKind, check_steps};
pub use habits::Habits;
