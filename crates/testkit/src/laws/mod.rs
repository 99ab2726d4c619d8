//! What every implementation of a trait must satisfy.
//!
//! | function | trait | checks |
//! |---|---|---|
//! | [`policy`] | `Policy` | arity, determinism, batch invariance, order, log-probabilities ≤ 0 |
//! | [`log_prob`] | `LogProb` | agreement with what was drawn, batch invariance, ≤ 0 |
//! | [`trainable`] | `Trainable` | each sequence asked once, counting, determinism, refusal of NaN, descent |
//! | [`reward_model`] | `RewardModel` | arity, determinism, batch invariance, order, finite |
//! | [`value_target`] | `ValueTarget` | length, determinism, overwriting, cut at discount 0, linearity where declared |
//! | [`verifier`] | `Verifier` | determinism, no panic on hostile text, own answers never incorrect |
//! | [`search_strategy`] | `SearchStrategy` | determinism, budget, book-keeping, order |
//! | [`environment`] | `Environment` | determinism, finite rewards |
//! | [`tabular_mdp`], [`frequencies`] | `TabularMdp` | rows and start are distributions; samples follow them |
//!
//! `tolerance` is the largest difference allowed between two ways to the same number, absolute or relative,
//! whichever is larger: 0 for tables, about 1e-5 for a network in f32.

mod environment;
mod policy;
mod reward_model;
mod search;
mod trainable;
mod value_target;
mod verifier;

use std::fmt::Debug;

pub use environment::{environment, frequencies, tabular_mdp};
pub use policy::{log_prob, policy};
pub use reward_model::reward_model;
pub use search::{Metered, search_strategy};
pub use trainable::trainable;
pub use value_target::{Scaling, value_target};
pub use verifier::verifier;

/// A law that an implementation breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{law}: {detail}")]
#[non_exhaustive]
pub struct LawViolation {
    /// The law, as a sentence.
    pub law: &'static str,
    /// Where it breaks, and with which numbers.
    pub detail: String,
}

impl LawViolation {
    /// A violation of a law of one's own.
    #[must_use]
    pub const fn new(law: &'static str, detail: String) -> Self {
        Self { law, detail }
    }
}

/// What every law returns.
pub type Verdict = Result<(), LawViolation>;

fn require(law: &'static str, holds: bool, detail: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(LawViolation::new(law, detail())) }
}

fn succeed<T, E: std::error::Error>(law: &'static str, result: Result<T, E>) -> Result<T, LawViolation> {
    result.map_err(|e| LawViolation::new(law, format!("expected success, got the error: {e}")))
}

fn equal<T: PartialEq + Debug>(law: &'static str, what: &str, a: &T, b: &T) -> Verdict {
    require(law, a == b, || format!("{what}: {a:?} against {b:?}"))
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    a.to_bits() == b.to_bits() || (a - b).abs() <= tolerance * 1.0_f64.max(a.abs()).max(b.abs())
}

fn all_close(law: &'static str, what: &str, a: &[f64], b: &[f64], tolerance: f64) -> Verdict {
    let agree = a.len() == b.len() && a.iter().zip(b).all(|(x, y)| close(*x, *y, tolerance));
    require(law, agree, || format!("{what}: {a:?} against {b:?}"))
}

const ARITY: &str = "one answer per request";
const DETERMINISM: &str = "the same input gives the same output";
const BATCH: &str = "an answer does not depend on its neighbours in the batch";
const ORDER: &str = "answers follow the order of the requests";
