//! The scalar type of the whole library.

use std::fmt::{Debug, Display};
use std::iter::Sum;

use num_traits::{Float, FromPrimitive};

/// `f32` or `f64`; an alias, blanket-implemented, never implemented by hand.
///
/// Pure mathematics is written once over `F: Real`: tests run it in `f64`, models in `f32`.
pub trait Real: Float + FromPrimitive + Sum + Debug + Display + Default + Send + Sync + 'static {
    /// Converts a literal, `F::of(0.5)`.
    #[must_use]
    fn of(x: f64) -> Self {
        Self::from_f64(x).unwrap_or_else(Self::nan)
    }

    /// Converts a count, `F::count(rewards.len())`.
    #[must_use]
    fn count(n: usize) -> Self {
        Self::of(n as f64)
    }

    /// The value as `f64`, exact for both scalars.
    #[must_use]
    fn as_f64(self) -> f64 {
        self.to_f64().unwrap_or(f64::NAN)
    }
}

impl<T: Float + FromPrimitive + Sum + Debug + Display + Default + Send + Sync + 'static> Real for T {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_round_trip_in_both_scalars() {
        assert_eq!(f32::of(0.5).as_f64().to_bits(), 0.5f64.to_bits());
        assert_eq!(f64::count(3).to_bits(), 3.0f64.to_bits());
    }
}
