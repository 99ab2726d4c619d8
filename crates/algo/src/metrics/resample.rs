//! Intervals by resampling.

use std::num::NonZeroUsize;

use rand::Rng;
use serde::{Deserialize, Serialize};
use tdrm_core::{Probability, Seed};

use super::MetricError;
use super::error::{check, ordered};

/// A mean with a percentile interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Of the data.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Mean difference of paired samples with its interval and a two-sided p-value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairedDifference {
    /// a − b.
    pub difference: Interval,
    /// Twice the share of resamples on the other side of 0, in (0, 1].
    pub p_value: f64,
}

/// Percentile bootstrap of a mean.
///
/// ```text
/// low, high = the (1 ∓ level)/2 quantiles of the means of B resamples of size N with replacement
/// ```
///
/// The same seed gives the same interval. Efron & Tibshirani (1993), §13.3.
///
/// # Errors
/// If there is no sample or one is NaN.
pub fn bootstrap_mean(
    xs: &[f64],
    level: Probability,
    resamples: NonZeroUsize,
    seed: Seed,
) -> Result<Interval, MetricError> {
    if xs.is_empty() {
        return Err(MetricError::Empty);
    }
    ordered(("samples", xs))?;
    Ok(interval(xs, &means(xs, resamples, seed), level))
}

/// Percentile bootstrap of the mean difference of two columns measured on the same items.
///
/// ```text
/// d_i = a_i − b_i,     p = min(1, 2 (1 + min(#{d̄* ≤ 0}, #{d̄* ≥ 0})) / (B + 1))
/// ```
///
/// Pairs are resampled together, so that what is common to both arms cancels.
///
/// # Errors
/// If there is no pair, the columns differ in length, or hold a NaN.
pub fn paired_bootstrap(
    a: &[f64],
    b: &[f64],
    level: Probability,
    resamples: NonZeroUsize,
    seed: Seed,
) -> Result<PairedDifference, MetricError> {
    check(("a", a), ("b", b))?;
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let means = means(&differences, resamples, seed);
    let share = |side: fn(&f64) -> bool| means.iter().filter(|m| side(m)).count();
    let other_side = share(|m| *m <= 0.0).min(share(|m| *m >= 0.0));
    let p_value = (2.0 * (1 + other_side) as f64 / (means.len() + 1) as f64).min(1.0);
    Ok(PairedDifference { difference: interval(&differences, &means, level), p_value })
}

/// Means of the resamples, ascending.
fn means(xs: &[f64], resamples: NonZeroUsize, seed: Seed) -> Vec<f64> {
    let mut rng = seed.rng();
    let n = xs.len() as u64;
    let mut draw = || {
        // The high half of a 128-bit product is uniform on 0..n.
        let index = (u128::from(rng.next_u64()) * u128::from(n)) >> 64;
        xs[index as usize]
    };
    let mut means: Vec<f64> = (0..resamples.get()).map(|_| (0..n).map(|_| draw()).sum::<f64>() / n as f64).collect();
    means.sort_by(f64::total_cmp);
    means
}

fn interval(xs: &[f64], sorted_means: &[f64], level: Probability) -> Interval {
    let tail = (1.0 - level.get::<f64>()) / 2.0;
    let mean = xs.iter().sum::<f64>() / xs.len() as f64;
    Interval { mean, low: quantile(sorted_means, tail), high: quantile(sorted_means, 1.0 - tail) }
}

/// Linear interpolation between order statistics.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (low, share) = (position.floor() as usize, position.fract());
    let high = (low + 1).min(sorted.len() - 1);
    if share == 0.0 { sorted[low] } else { sorted[low] + share * (sorted[high] - sorted[low]) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn level() -> Probability {
        Probability::new(0.95).unwrap()
    }

    const B: NonZeroUsize = NonZeroUsize::new(2000).unwrap();

    #[test]
    fn the_interval_of_a_constant_is_a_point() {
        let i = bootstrap_mean(&[0.5; 10], level(), B, Seed::root(1)).unwrap();
        assert_eq!((i.mean, i.low, i.high), (0.5, 0.5, 0.5));
    }

    #[test]
    fn the_interval_of_a_coin_has_the_normal_width() {
        // 400 samples of variance ¼: ±1.96 · ½/20 = ±0.049
        let coin: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let i = bootstrap_mean(&coin, level(), B, Seed::root(1)).unwrap();
        assert!((i.high - i.low - 0.098).abs() < 0.01, "{i:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_and_another_seed_another() {
        let xs: Vec<f64> = (0..50).map(|i| f64::from(i * i % 17)).collect();
        let of = |seed| bootstrap_mean(&xs, level(), B, Seed::root(seed)).unwrap();
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }

    #[test]
    fn pairing_finds_what_columns_alone_hide() {
        // A constant gain of 0.1 on items that vary by 10.
        let b: Vec<f64> = (0..40).map(|i| f64::from(i % 11)).collect();
        let a: Vec<f64> = b.iter().map(|x| x + 0.1).collect();
        let d = paired_bootstrap(&a, &b, level(), B, Seed::root(5)).unwrap();
        assert!(d.difference.low > 0.09 && d.p_value < 0.01, "{d:?}");
        let none = paired_bootstrap(&b, &b, level(), B, Seed::root(5)).unwrap();
        assert!((none.p_value - 1.0).abs() < 1e-12);
    }

    #[test]
    fn columns_that_cannot_be_paired_are_refused() {
        assert!(paired_bootstrap(&[1.0], &[], level(), B, Seed::root(0)).is_err());
        assert!(bootstrap_mean(&[], level(), B, Seed::root(0)).is_err());
        assert!(bootstrap_mean(&[f64::NAN], level(), B, Seed::root(0)).is_err());
    }
}
