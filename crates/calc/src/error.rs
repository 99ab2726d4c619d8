//! What can be wrong with a request.

use std::error::Error;

/// A request that has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalcError {
    /// The line is no request: not JSON, an unknown op, a missing or unknown field, a number out of its range.
    #[error(transparent)]
    Request(#[from] serde_json::Error),
    /// The mathematics refuses the input.
    #[error(transparent)]
    Invalid(Box<dyn Error + Send + Sync>),
    /// The result overflowed, or the input was not finite.
    #[error("result `{field}` is not finite")]
    NotFinite {
        /// Path of the first such number.
        field: String,
    },
}

impl CalcError {
    /// Wraps the error of a formula, `map_err(CalcError::invalid)`.
    pub fn invalid(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Invalid(source.into())
    }

    /// Refuses a request that lacks a field this kind needs.
    #[must_use]
    pub fn missing(field: &'static str, kind: &'static str) -> Self {
        Self::invalid(format!("missing field `{field}`, which `{kind}` needs"))
    }
}

impl From<tdrm_core::ShapeError> for CalcError {
    fn from(error: tdrm_core::ShapeError) -> Self {
        Self::invalid(error)
    }
}
