//! Numbers that are valid by construction: checked once, at the edge.

use serde::{Deserialize, Serialize};

use crate::Real;

/// A number outside its range.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{name} must lie in {range}, got {got}")]
#[non_exhaustive]
pub struct OutOfRange {
    /// What the number is, as in a config key.
    pub name: &'static str,
    /// The range in interval notation.
    pub range: &'static str,
    /// The number that came.
    pub got: f64,
}

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident, $label:literal, $range:literal, |$x:ident| $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            #[doc = concat!("Checks that the number lies in ", $range, ".")]
            ///
            /// # Errors
            /// If it does not, or is NaN.
            pub const fn new($x: f64) -> Result<Self, OutOfRange> {
                if $valid {
                    Ok(Self($x))
                } else {
                    Err(OutOfRange { name: $label, range: $range, got: $x })
                }
            }

            /// The value as a plain number.
            #[must_use]
            pub fn get<F: Real>(self) -> F {
                F::of(self.0)
            }
        }

        impl TryFrom<f64> for $name {
            type Error = OutOfRange;

            fn try_from(x: f64) -> Result<Self, OutOfRange> {
                Self::new(x)
            }
        }

        impl From<$name> for f64 {
            fn from(x: $name) -> f64 {
                x.0
            }
        }
    };
}

unit!(
    /// Discount γ, in [0, 1]. Zero means terminal.
    Discount, "discount", "[0, 1]", |x| x >= 0.0 && x <= 1.0
);
unit!(
    /// Trace decay λ, in [0, 1].
    Lambda, "lambda", "[0, 1]", |x| x >= 0.0 && x <= 1.0
);
unit!(
    /// A probability, in [0, 1].
    Probability, "probability", "[0, 1]", |x| x >= 0.0 && x <= 1.0
);
unit!(
    /// Sampling temperature, in (0, ∞). Greedy decoding is a choice of its own, not a temperature of zero.
    Temperature, "temperature", "(0, inf)", |x| x > 0.0 && x < f64::INFINITY
);
unit!(
    /// A number in (0, ∞): a learning rate, a clip range, a β.
    Positive, "positive number", "(0, inf)", |x| x > 0.0 && x < f64::INFINITY
);
unit!(
    /// A number in [0, ∞): an ε, a coefficient that may be switched off.
    NonNegative, "non-negative number", "[0, inf)", |x| x >= 0.0 && x < f64::INFINITY
);

impl Discount {
    /// γ = 0, the discount of a terminal step.
    pub const TERMINAL: Self = Self(0.0);
    /// γ = 1.
    pub const ONE: Self = Self(1.0);
}

impl Lambda {
    /// λ = 0, one-step targets.
    pub const ZERO: Self = Self(0.0);
    /// λ = 1, Monte-Carlo targets.
    pub const ONE: Self = Self(1.0);
}

impl NonNegative {
    /// Zero: the term is switched off.
    pub const ZERO: Self = Self(0.0);
}

impl Probability {
    /// 0.
    pub const NEVER: Self = Self(0.0);
    /// 1.
    pub const ALWAYS: Self = Self(1.0);
}

impl Temperature {
    /// The temperature at which a policy is itself.
    pub const ONE: Self = Self(1.0);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_config_with_a_number_out_of_range_says_what_was_expected_and_what_came() {
        let error = serde_json::from_str::<Lambda>("1.9").unwrap_err().to_string();
        assert!(error.starts_with("lambda must lie in [0, 1], got 1.9"), "{error}");
    }

    #[test]
    fn nan_is_in_no_range() {
        assert!(Discount::new(f64::NAN).is_err());
        assert!(Temperature::new(f64::NAN).is_err());
        assert!(NonNegative::new(f64::INFINITY).is_err());
    }

    #[test]
    fn zero_is_a_discount_but_no_temperature() {
        assert_eq!(Discount::new(0.0), Ok(Discount::TERMINAL));
        assert!(Temperature::new(0.0).is_err());
    }

    #[test]
    fn units_round_trip_through_serde_as_plain_numbers() {
        let text = serde_json::to_string(&Discount::new(0.8).unwrap()).unwrap();
        assert_eq!(text, "0.8");
        assert_eq!(serde_json::from_str::<Discount>(&text).unwrap(), Discount::new(0.8).unwrap());
    }
}
