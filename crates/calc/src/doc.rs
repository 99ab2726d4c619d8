//! What the calculator can do, as data for `tdrm calc --list`.

use crate::op;

/// One op, or one kind of an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpDoc {
    /// The value of `op`.
    pub name: &'static str,
    /// The value of `kind` (or of what distinguishes it), empty for an op that has one form.
    pub kind: &'static str,
    /// Fields, optional ones with their default: `n, gamma = 0.8`.
    pub fields: &'static str,
    /// The formula on one line.
    pub formula: &'static str,
    /// A request that runs (a test runs it).
    pub example: &'static str,
}

/// Every op and kind, in the order of the list.
pub fn ops() -> impl Iterator<Item = &'static OpDoc> {
    op::OPS.iter().copied().flatten()
}
