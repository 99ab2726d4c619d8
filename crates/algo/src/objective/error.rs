//! What can be wrong with the terms of an objective.

/// An objective cannot be evaluated on these terms.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectiveError {
    /// A column of a sequence has another length than its `logp`.
    #[error("sequence {sequence}: expected {expected} entries of `{column}`, got {got}")]
    Length {
        /// Index of the sequence in the slice that was passed.
        sequence: usize,
        /// The column.
        column: &'static str,
        /// Number of tokens.
        expected: usize,
        /// Length of the column.
        got: usize,
    },
    /// The objective needs a column that is empty.
    #[error("sequence {sequence}: {needed_by} needs `{column}`, got none")]
    Missing {
        /// Index of the sequence in the slice that was passed.
        sequence: usize,
        /// The column.
        column: &'static str,
        /// The part of the objective that needs it.
        needed_by: &'static str,
    },
    /// Step ends do not grow up to the number of tokens.
    #[error("sequence {sequence}: expected step ends that increase up to {expected}, got {got:?}")]
    Steps {
        /// Index of the sequence in the slice that was passed.
        sequence: usize,
        /// Number of tokens.
        expected: usize,
        /// The step ends.
        got: Vec<usize>,
    },
    /// A surrogate that is defined at other ratio levels only.
    #[error("surrogate `{surrogate}` works at {expected}, got `{got}`")]
    Level {
        /// The surrogate.
        surrogate: &'static str,
        /// The levels that it works at.
        expected: &'static str,
        /// The level that was asked for.
        got: &'static str,
    },
    /// A statistic of the whole batch is missing; `Objective::prepare` computes it.
    #[error("{needed_by} needs a statistic of the whole batch, got none (see Objective::prepare)")]
    Unprepared {
        /// The part of the objective that needs it.
        needed_by: &'static str,
    },
    /// A configuration without a part that it must name.
    #[error("an objective without a preset needs `{field}`")]
    Incomplete {
        /// The missing field.
        field: &'static str,
    },
}
