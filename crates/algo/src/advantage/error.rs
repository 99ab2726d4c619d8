//! What an estimator can refuse.

use tdrm_core::ShapeError;

/// Rewards from which no advantage follows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdvantageError {
    /// There is no sample.
    #[error("expected at least one sample, got none")]
    Empty,
    /// Columns disagree.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A column that this estimator reads is absent.
    #[error("missing column `{column}`, which `{estimator}` reads")]
    Missing {
        /// The column.
        column: &'static str,
        /// Who reads it.
        estimator: &'static str,
    },
    /// A group too small for the estimator.
    #[error("group {group} has {got} samples, expected at least {expected}")]
    GroupTooSmall {
        /// Its id.
        group: i64,
        /// Samples needed.
        expected: usize,
        /// Samples it has.
        got: usize,
    },
}
