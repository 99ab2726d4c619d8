//! Rigorous numbers: every value carries a bound on its own error.
//!
//! A [`Ball`] is an integer midpoint and an integer radius in units of `2^-256`; each operation encloses the exact
//! result. Two balls that do not meet prove that two numbers differ. Two that meet while both radii are below
//! `2^-128 · max(1, |x|)` are called equal: that is the stated error bound of a comparison.

mod ball;
mod complex;
mod elementary;
mod evaluate;

pub(crate) use ball::Ball;
pub(crate) use complex::Complex;
pub(crate) use evaluate::Comparison;
