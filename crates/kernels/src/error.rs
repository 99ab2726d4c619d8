//! The one error of this crate: a slice of the wrong length.

/// A slice or an index does not fit the shape that it is used with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{what}: expected {expected}, got {got}")]
pub struct ShapeError {
    /// What was measured.
    pub what: &'static str,
    /// The length, bound or size that the shape asks for.
    pub expected: usize,
    /// What came.
    pub got: usize,
}

/// `Ok` if `got` is `expected`.
pub(crate) const fn same(what: &'static str, expected: usize, got: usize) -> Result<(), ShapeError> {
    if expected == got { Ok(()) } else { Err(ShapeError { what, expected, got }) }
}

/// `Ok` if `got` is at least `expected`.
pub(crate) const fn at_least(what: &'static str, expected: usize, got: usize) -> Result<(), ShapeError> {
    if got >= expected { Ok(()) } else { Err(ShapeError { what, expected, got }) }
}
