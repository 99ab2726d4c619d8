//! Preferences and reward fitting: losses with their derivative in every input.
//!
//! * [`PreferenceLoss`]: a chosen and a rejected response under the policy and a reference: DPO and its relatives.
//!   [`PreferenceObjective`] adds what happens between tokens and responses (LD-DPO, WPO).
//! * [`Kto`]: single responses, desirable or not.
//! * [`BradleyTerry`]: scores of a reward model, with margin.
//! * [`FitLoss`]: one prediction against one target: soft-target BCE on logits, squared error, focal, cross-entropy.
//! * [`PlackettLuce`], [`Ordinal`], [`GroupPairwise`], [`InfoNce`], [`ReturnDecomposition`]: rankings and groups.
//!
//! Logistic terms go through [`softplus`], so that they are finite at any finite input.

mod bradley_terry;
mod divergence;
mod fit;
mod group;
mod kto;
mod loss;
mod ordinal;
mod ranking;
mod sigmoid;
mod tokens;

pub use bradley_terry::{BradleyTerry, RewardPair};
pub use divergence::Divergence;
pub use fit::{FitLoss, Fitted, cross_entropy};
pub use group::{GroupPairwise, InfoNce, ReturnDecomposition};
pub use kto::{Example, Kto, KtoLoss};
pub use loss::{Pair, PairEvaluation, PreferenceLoss, Response};
pub use ordinal::{Ordinal, OrdinalEvaluation};
pub use ranking::PlackettLuce;
pub use sigmoid::{log_sigmoid, log1m_exp, sigmoid, softplus};
pub use tokens::{PreferenceObjective, TokenEvaluation, TokenPair, Weighting};

/// What can be wrong with the input of a preference or fitting loss.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PreferenceError {
    /// Two columns that belong together differ in length.
    #[error("expected {expected} entries of `{column}`, got {got}")]
    Length {
        /// The column.
        column: &'static str,
        /// Number of entries needed.
        expected: usize,
        /// Number of entries that came.
        got: usize,
    },
    /// A class or position that does not exist.
    #[error("expected `{column}` below {expected}, got {got}")]
    Index {
        /// The column.
        column: &'static str,
        /// One past the largest index.
        expected: usize,
        /// The index that came.
        got: usize,
    },
    /// Cut points that do not increase.
    #[error("expected cut points that increase, got {got} after {before}")]
    Cuts {
        /// A cut point.
        before: f64,
        /// The one after it.
        got: f64,
    },
}

pub(crate) fn same_length(column: &'static str, expected: usize, got: usize) -> Result<(), PreferenceError> {
    if expected == got { Ok(()) } else { Err(PreferenceError::Length { column, expected, got }) }
}
