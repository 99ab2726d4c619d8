//! Verifiers of answers: exact arithmetic, canonical forms, bounded work.

mod algebra;
mod cli;
mod compare;
mod extract;
mod fuel;
mod math;
mod numeric;
mod options;
mod rational;
mod reading;
mod syntax;
mod text;
mod words;

pub use cli::{Request, Response, cli_line};
pub use extract::{Extracted, How, extract};
pub use math::MathVerifier;
pub use options::{Lists, Marks, Options, Relations, Variables};
