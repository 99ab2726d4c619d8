//! What counts as the same answer.

use serde::{Deserialize, Serialize};

/// Choices of a comparison. The default is what Math-Verify does by default.
///
/// ```
/// use tdrm_core::Verifier;
/// use tdrm_verify::{MathVerifier, Options};
/// let exact = MathVerifier::with(Options { float_rounding: None, ..Options::default() });
/// assert!(MathVerifier::new().verify("1/3", r"\boxed{0.333333}").is_correct());
/// assert!(exact.verify("1/3", r"\boxed{0.333333}").is_incorrect());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Decimals `d` that a rounded answer is read to: if either side is written with a decimal point, numbers within
    /// `min(10^-d, 10^-3 · |x|)` of each other are the same. `None` compares exactly.
    pub float_rounding: Option<u32>,
    /// Whether the names of variables matter.
    pub variables: Variables,
    /// Whether a set may answer an inequality and the other way round.
    pub relations: Relations,
    /// Whether the order of a bare list matters.
    pub lists: Lists,
    /// Whether `28%`, `28` and `0.28` are the same.
    pub percent: Marks,
    /// Whether `15 cm` and `15` are the same. Two different known units are converted either way.
    pub units: Marks,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            float_rounding: Some(6),
            variables: Variables::Named,
            relations: Relations::SetForRelation,
            lists: Lists::Unordered,
            percent: Marks::Ignored,
            units: Marks::Ignored,
        }
    }
}

impl Options {
    /// No tolerance, nothing ignored, gold and prediction treated alike: the comparison is symmetric and transitive.
    pub const EXACT: Self = Self {
        float_rounding: None,
        variables: Variables::Named,
        relations: Relations::Either,
        lists: Lists::Ordered,
        percent: Marks::Read,
        units: Marks::Read,
    };
}

/// Whether the names of variables matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Variables {
    /// `f(x)` and `f(y)` differ.
    Named,
    /// Names may be exchanged one for one, in the order in which they appear.
    Renamed,
}

/// Whether a set may answer an inequality and the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Relations {
    /// If the reference is an inequality, its solution set is accepted; an inequality for a set is not.
    SetForRelation,
    /// Both are accepted.
    Either,
    /// Sets answer sets and inequalities answer inequalities.
    Neither,
}

/// Whether the order of a bare list matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Lists {
    /// `1, 2` and `2, 1` are the same.
    Unordered,
    /// They differ.
    Ordered,
}

/// What a percent sign or a unit means if only one side has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Marks {
    /// It may be left out.
    Ignored,
    /// It means what it says.
    Read,
}
