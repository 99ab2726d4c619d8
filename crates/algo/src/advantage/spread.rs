//! Division by a spread, in one place.

use serde::{Deserialize, Serialize};
use tdrm_core::Real;

/// What a deviation becomes where there is no spread to divide it by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ZeroSpread {
    /// 0: a group of equal rewards teaches nothing.
    #[default]
    Zero,
    /// Itself, undivided.
    Keep,
    /// Itself over ε, as a formula without a rule would have it.
    OverEpsilon,
}

/// `x / (spread + ε)`, and the declared rule where the spread is 0.
///
/// ```
/// use tdrm_algo::advantage::{ZeroSpread, over_spread};
/// assert_eq!(over_spread(3.0, 1.5, 0.0, ZeroSpread::Zero), 2.0);
/// assert_eq!(over_spread(3.0, 0.0, 1e-6, ZeroSpread::Zero), 0.0);
/// ```
#[must_use]
pub fn over_spread<F: Real>(x: F, spread: F, epsilon: F, zero: ZeroSpread) -> F {
    match zero {
        ZeroSpread::Zero if spread == F::zero() => F::zero(),
        ZeroSpread::Keep if spread == F::zero() => x,
        _ => x / (spread + epsilon),
    }
}

/// Mean; NaN of nothing.
#[must_use]
pub fn mean<F: Real>(xs: &[F]) -> F {
    xs.iter().copied().sum::<F>() / F::count(xs.len())
}

/// Standard deviation in two passes.
///
/// ```text
/// s = √( Σ (x − x̄)² / (n − ddof) )
/// ```
///
/// Exactly 0 where all x are equal (also where rounding moves their mean off them), and where `n ≤ ddof`.
#[must_use]
pub fn standard_deviation<F: Real>(xs: &[F], ddof: u8) -> F {
    let freedom = xs.len().saturating_sub(usize::from(ddof));
    if freedom == 0 || xs.windows(2).all(|w| w[0] == w[1]) {
        return F::zero();
    }
    let centre = mean(xs);
    let squares: F = xs.iter().map(|&x| (x - centre) * (x - centre)).sum();
    (squares / F::count(freedom)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_by_hand() {
        // mean 3, squares 4 + 1 + 9 = 14
        let xs = [1.0_f64, 2.0, 6.0];
        assert!((standard_deviation(&xs, 1) - 7.0_f64.sqrt()).abs() < 1e-15);
        assert!((standard_deviation(&xs, 0) - (14.0_f64 / 3.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn equal_numbers_have_no_spread_though_their_mean_is_rounded() {
        assert_eq!(standard_deviation(&[0.1_f64; 3], 1).to_bits(), 0);
        assert_eq!(standard_deviation(&[5.0_f64], 1).to_bits(), 0);
        assert_eq!(standard_deviation::<f64>(&[], 0).to_bits(), 0);
    }

    #[test]
    fn a_large_offset_does_not_swallow_the_spread() {
        // E[x²] − E[x]² would lose all digits here.
        let s = standard_deviation(&[1e9_f64 + 1.0, 1e9 + 2.0, 1e9 + 3.0], 1);
        assert!((s - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_rule_decides_only_where_there_is_no_spread() {
        for rule in [ZeroSpread::Zero, ZeroSpread::Keep, ZeroSpread::OverEpsilon] {
            assert!((over_spread(1.0_f64, 0.5, 0.0, rule) - 2.0).abs() < 1e-15);
        }
        assert!((over_spread(2.0_f64, 0.0, 0.5, ZeroSpread::Keep) - 2.0).abs() < 1e-15);
        assert!((over_spread(2.0_f64, 0.0, 0.5, ZeroSpread::OverEpsilon) - 4.0).abs() < 1e-15);
        assert!(over_spread(2.0_f64, f64::NAN, 0.5, ZeroSpread::Zero).is_nan());
    }
}
