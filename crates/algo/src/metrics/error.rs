//! What a metric can refuse.

use tdrm_core::ShapeError;

/// Data from which no metric follows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// There is no data.
    #[error("expected at least one sample, got none")]
    Empty,
    /// Columns disagree.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// One of two classes is missing.
    #[error("expected samples of both classes, got {positive} positive of {total}")]
    OneClass {
        /// Positive samples.
        positive: usize,
        /// All samples.
        total: usize,
    },
    /// A subset larger than the set, or empty.
    #[error("expected k in 1..={n}, got {k}")]
    Subset {
        /// Samples.
        n: usize,
        /// Size of the subset.
        k: usize,
    },
    /// A number that cannot be ordered.
    #[error("`{column}` holds a NaN at {index}")]
    NotANumber {
        /// Which column.
        column: &'static str,
        /// Where.
        index: usize,
    },
}

/// At least one sample, as many in `b` as in `a`, and no NaN in either.
pub(super) fn check<F: tdrm_core::Real>(a: (&'static str, &[F]), b: (&'static str, &[F])) -> Result<(), MetricError> {
    if a.1.is_empty() {
        return Err(MetricError::Empty);
    }
    ShapeError::check(b.0, a.1.len(), b.1.len())?;
    ordered(a)?;
    ordered(b)
}

/// No NaN.
pub(super) fn ordered<F: tdrm_core::Real>((column, xs): (&'static str, &[F])) -> Result<(), MetricError> {
    match xs.iter().position(|x| x.is_nan()) {
        Some(index) => Err(MetricError::NotANumber { column, index }),
        None => Ok(()),
    }
}
