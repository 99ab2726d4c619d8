//! The clamp of the published target, and how often it decides.

use serde::{Deserialize, Serialize};
use tdrm_core::Real;

/// An interval whose ends are out of order.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("clamp expects low < high, got [{low}, {high}]")]
#[non_exhaustive]
pub struct ClampError {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What happens to a target outside the range of a probability.
///
/// In a config `true` (to [0, 1]), `false`, or `[low, high]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub enum Clamp {
    /// It stays.
    Off,
    /// It moves to the nearer end of `[low, high]`, `low < high`.
    To {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
}

/// How a config writes it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Switch(bool),
    Range([f64; 2]),
}

impl Clamp {
    /// To the range of a probability.
    pub const UNIT: Self = Self::To { low: 0.0, high: 1.0 };

    /// To `[low, high]`.
    ///
    /// # Errors
    /// If `low < high` does not hold.
    pub const fn to(low: f64, high: f64) -> Result<Self, ClampError> {
        if low < high { Ok(Self::To { low, high }) } else { Err(ClampError { low, high }) }
    }

    /// The clamped number; NaN stays NaN.
    #[must_use]
    pub fn apply<F: Real>(self, u: F) -> F {
        match self {
            Self::To { low, .. } if u <= F::of(low) => F::of(low),
            Self::To { high, .. } if u >= F::of(high) => F::of(high),
            _ => u,
        }
    }

    /// Whether `u` ends up at an end of the interval.
    #[must_use]
    pub fn saturates<F: Real>(self, u: F) -> bool {
        match self {
            Self::Off => false,
            Self::To { low, high } => u <= F::of(low) || u >= F::of(high),
        }
    }
}

impl Default for Clamp {
    fn default() -> Self {
        Self::UNIT
    }
}

impl TryFrom<Form> for Clamp {
    type Error = ClampError;

    fn try_from(form: Form) -> Result<Self, ClampError> {
        match form {
            Form::Switch(true) => Ok(Self::UNIT),
            Form::Switch(false) => Ok(Self::Off),
            Form::Range([low, high]) => Self::to(low, high),
        }
    }
}

impl From<Clamp> for Form {
    fn from(clamp: Clamp) -> Self {
        match clamp {
            Clamp::Off => Self::Switch(false),
            Clamp::To { low, high } => Self::Range([low, high]),
        }
    }
}

/// How often the clamp, and not the bootstrap, decided a target.
///
/// Terminal rows are not counted: their target is the label. Add up over a data set with `+=`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saturation {
    /// Non-terminal targets.
    pub rows: usize,
    /// Those at an end of the clamp's interval.
    pub saturated: usize,
    /// Those that a bootstrap value of 0 would leave as they are: the value function says nothing there.
    pub inert: usize,
}

impl Saturation {
    /// Share of saturated targets, in [0, 1]; 0 without rows.
    #[must_use]
    pub fn share(&self) -> f64 {
        share(self.saturated, self.rows)
    }

    /// Share of targets in which the bootstrap is inert, in [0, 1]; 0 without rows.
    #[must_use]
    pub fn inert_share(&self) -> f64 {
        share(self.inert, self.rows)
    }

    /// Counts one non-terminal target.
    pub(super) fn count<F: Real>(&mut self, clamp: Clamp, with_bootstrap: F, without: F) {
        self.rows += 1;
        self.saturated += usize::from(clamp.saturates(with_bootstrap));
        self.inert += usize::from(clamp.apply(with_bootstrap) == clamp.apply(without));
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl std::ops::AddAssign for Saturation {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.saturated += other.saturated;
        self.inert += other.inert;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests state exact values")]
    use super::*;

    #[test]
    fn a_config_switches_the_clamp_or_states_its_range() {
        let read = |text| serde_json::from_str::<Clamp>(text);
        assert_eq!(read("true").unwrap(), Clamp::UNIT);
        assert_eq!(read("false").unwrap(), Clamp::Off);
        assert_eq!(read("[0, 1]").unwrap(), Clamp::UNIT);
        assert_eq!(read("[1, 0]").unwrap_err().to_string(), "clamp expects low < high, got [1, 0]");
    }

    #[test]
    fn the_ends_count_as_saturated_and_the_inside_does_not() {
        assert_eq!([-3.0, 0.0, 0.4, 1.0, 7.0].map(|u| Clamp::UNIT.apply(u)), [0.0, 0.0, 0.4, 1.0, 1.0]);
        assert_eq!([-3.0, 0.0, 0.4, 1.0].map(|u| Clamp::UNIT.saturates(u)), [true, true, false, true]);
        assert!(!Clamp::Off.saturates(7.0));
    }

    #[test]
    fn nan_is_not_clamped_into_a_target() {
        assert!(Clamp::UNIT.apply(f64::NAN).is_nan());
    }

    #[test]
    fn an_empty_count_has_no_share() {
        assert_eq!(Saturation::default().share(), 0.0);
        let mut total = Saturation { rows: 3, saturated: 1, inert: 2 };
        total += Saturation { rows: 1, saturated: 1, inert: 1 };
        assert_eq!((total.share(), total.inert_share()), (0.5, 0.75));
    }
}
