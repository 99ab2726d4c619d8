//! Exact test of paired successes, and many tests at once.

use std::f64::consts::{LN_2, TAU};

use serde::{Deserialize, Serialize};

/// McNemar's test of two classifiers on the same items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McNemar {
    /// Two-sided, exact.
    pub p_value: f64,
    /// (|b − c| − 1)² / (b + c), 0 without discordant items; about χ² with one degree of freedom.
    pub statistic: f64,
}

/// Whether one of two arms succeeds more often where only one of them succeeds.
///
/// ```text
/// p = min(1, 2 P(X ≤ min(b, c))),   X ~ Binomial(b + c, ½)
/// ```
///
/// `b` items only the first arm solves, `c` only the second; exact up to a trillion items. McNemar (1947).
///
/// ```
/// // 2 (1 + 5) / 2⁵
/// assert_eq!(tdrm_algo::metrics::mcnemar(1, 4).p_value, 0.375);
/// ```
#[must_use]
pub fn mcnemar(b: u64, c: u64) -> McNemar {
    let (n, least) = (b.saturating_add(c), b.min(c));
    if n == 0 {
        return McNemar { p_value: 1.0, statistic: 0.0 };
    }
    let excess = (b.abs_diff(c) as f64 - 1.0).max(0.0);
    McNemar { p_value: (2.0 * binomial_tail(n, least)).min(1.0), statistic: excess * excess / n as f64 }
}

/// P(X ≤ k) for n fair coins, summed down from k: a term is the next one times i/(n − i + 1).
fn binomial_tail(n: u64, k: u64) -> f64 {
    if n <= 60 {
        return exact_tail(n, k);
    }
    let (mut ratio, mut sum) = (1.0, 1.0);
    for i in (1..=k).rev().take(LONGEST) {
        ratio *= i as f64 / (n - i + 1) as f64;
        sum += ratio;
        if ratio < 1e-20 * sum {
            break;
        }
    }
    let log_choose = ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    (log_choose - n as f64 * LN_2).exp() * sum
}

/// Terms fall off over √n of them; this many are enough for a trillion items.
const LONGEST: usize = 10_000_000;

/// Stirling's series; k ≥ 0, exact to rounding from 16 on, by multiplication before.
fn ln_factorial(k: u64) -> f64 {
    if k < 16 {
        return (1..=k).map(|i| (i as f64).ln()).sum();
    }
    let x = k as f64;
    let correction = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1260.0 * x * x)) / (x * x)) / x;
    x * x.ln() - x + 0.5 * (TAU * x).ln() + correction
}

/// The same in integers, where they fit.
fn exact_tail(n: u64, k: u64) -> f64 {
    let (mut choose, mut sum) = (1_u128, 1_u128);
    for i in 1..=k {
        choose = choose * u128::from(n - i + 1) / u128::from(i);
        sum += choose;
    }
    sum as f64 / (1_u128 << n) as f64
}

/// Holm's correction: p-values that hold together, in the order given.
///
/// ```text
/// p̃_(i) = max_{j ≤ i} min(1, (m − j + 1) p_(j)),     p_(1) ≤ … ≤ p_(m)
/// ```
///
/// Rejecting where p̃ ≤ α keeps the chance of any false rejection at α. Holm (1979).
///
/// ```
/// assert_eq!(tdrm_algo::metrics::holm(&[0.03, 0.01, 0.5]), [0.06, 0.03, 0.5]);
/// ```
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&i, &j| p_values[i].total_cmp(&p_values[j]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut floor = 0.0_f64;
    for (rank, &i) in order.iter().enumerate() {
        floor = floor.max(((p_values.len() - rank) as f64 * p_values[i]).min(1.0));
        adjusted[i] = if p_values[i].is_nan() { p_values[i] } else { floor };
    }
    adjusted
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "tests state exact values")]
    use super::*;

    #[test]
    fn arms_that_never_differ_are_equal() {
        assert_eq!(mcnemar(0, 0).p_value, 1.0);
        assert_eq!(mcnemar(7, 7).p_value, 1.0);
    }

    #[test]
    fn tails_by_hand() {
        assert_eq!(mcnemar(0, 5).p_value, 2.0 / 32.0);
        assert_eq!(mcnemar(0, 5).statistic, 16.0 / 5.0);
    }

    #[test]
    fn the_long_form_agrees_with_the_exact_one() {
        for (n, k) in [(61, 20), (100, 40), (120, 60)] {
            let long = binomial_tail(n, k);
            let exact = exact_tail(n, k);
            assert!((long - exact).abs() < 1e-11 * exact, "{n} {k}: {long} {exact}");
        }
    }

    #[test]
    fn a_million_items_take_no_time_and_stay_in_range() {
        let p = mcnemar(500_000, 501_000).p_value;
        assert!((0.31..0.32).contains(&p), "{p}"); // z = 999/√1001000 = 0.9985, p ≈ 0.318
    }

    #[test]
    fn adjusted_values_never_decrease_and_never_exceed_one() {
        assert_eq!(holm(&[0.6, 0.7]), [1.0, 1.0]);
        assert_eq!(holm(&[0.01, 0.011]), [0.02, 0.02]);
        assert_eq!(holm(&[]), Vec::<f64>::new());
        assert!(holm(&[f64::NAN, 0.1])[0].is_nan());
    }
}
