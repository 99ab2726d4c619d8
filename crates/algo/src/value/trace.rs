//! Trace decay: one λ, or one per step.

use serde::{Deserialize, Serialize};
use tdrm_core::{Lambda, Real, ShapeError};

/// λ of every step; in a config a number or a list of T.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Trace {
    /// The same for all steps.
    Constant(Lambda),
    /// λ_t, `[T]`. Steps past a list that is too short take its last entry, or 1 if it is empty.
    PerStep(Vec<Lambda>),
}

impl Trace {
    /// λ = 1, no decay.
    pub const ONE: Self = Self::Constant(Lambda::ONE);

    /// λ_t.
    #[must_use]
    pub fn at<F: Real>(&self, t: usize) -> F {
        match self {
            Self::Constant(lambda) => lambda.get(),
            Self::PerStep(lambdas) => lambdas.get(t).or(lambdas.last()).copied().unwrap_or(Lambda::ONE).get(),
        }
    }

    /// Checks a list against a trajectory; a constant fits any.
    ///
    /// # Errors
    /// If it has not T entries.
    pub fn check(&self, steps: usize) -> Result<(), ShapeError> {
        match self {
            Self::Constant(_) => Ok(()),
            Self::PerStep(lambdas) => ShapeError::check("lambda", steps, lambdas.len()),
        }
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::ONE
    }
}

impl From<Lambda> for Trace {
    fn from(lambda: Lambda) -> Self {
        Self::Constant(lambda)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests state exact values")]
    use super::*;

    #[test]
    fn a_config_gives_a_number_or_a_list() {
        let read = |text| serde_json::from_str::<Trace>(text);
        assert_eq!(read("0.9").unwrap().at::<f64>(7), 0.9);
        assert_eq!(read("[0.5, 1]").unwrap().at::<f64>(0), 0.5);
        assert!(read("1.9").is_err());
        assert!(read("[0.5, 1.9]").is_err());
    }

    #[test]
    fn a_list_is_checked_against_the_steps() {
        let list = Trace::PerStep(vec![Lambda::ZERO]);
        assert_eq!(list.check(2).unwrap_err().to_string(), "`lambda` has 1 entries, expected 2");
        assert_eq!(list.at::<f64>(9), 0.0);
        assert_eq!(Trace::PerStep(vec![]).at::<f64>(0), 1.0);
        assert!(Trace::ONE.check(2).is_ok());
    }
}
