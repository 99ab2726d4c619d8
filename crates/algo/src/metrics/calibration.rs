//! Whether probabilities mean what they say.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_core::Real;

use super::MetricError;
use super::error::check;

/// Mean squared distance between probability and label.
///
/// ```text
/// (1/N) Σ (p_i − y_i)²
/// ```
///
/// A proper score: the true probability minimises it. Brier (1950).
///
/// # Errors
/// If there is no sample, the columns differ in length, or hold a NaN.
pub fn brier<F: Real>(probabilities: &[F], labels: &[F]) -> Result<F, MetricError> {
    check(("probabilities", probabilities), ("labels", labels))?;
    let squares = probabilities.iter().zip(labels).map(|(&p, &y)| (p - y) * (p - y));
    Ok(squares.sum::<F>() / F::count(labels.len()))
}

/// The samples whose probability falls into one bin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bin {
    /// How many there are.
    pub count: usize,
    /// Their mean probability, 0 in an empty bin.
    pub confidence: f64,
    /// Their mean label, 0 in an empty bin.
    pub accuracy: f64,
}

/// Bins of equal width with what they tell together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Expected calibration error, in [0, 1].
    pub ece: f64,
    /// The largest gap of a bin that is not empty.
    pub mce: f64,
    /// From probability 0 to 1.
    pub bins: Vec<Bin>,
}

/// Compares confidence with accuracy bin by bin.
///
/// ```text
/// ECE = Σ_b (n_b / N) |accuracy_b − confidence_b|,     MCE = max_b |accuracy_b − confidence_b|
/// ```
///
/// Bin b of B holds `b/B ≤ p < (b+1)/B`, the last one also p = 1; probabilities outside [0, 1] go to the nearest
/// bin. Naeini et al. (2015).
///
/// ```
/// use std::num::NonZeroUsize;
/// let c = tdrm_algo::metrics::calibration(&[0.25, 0.75], &[0.0, 1.0], NonZeroUsize::new(2).unwrap())?;
/// assert_eq!(c.ece, 0.25);
/// # Ok::<(), tdrm_algo::metrics::MetricError>(())
/// ```
///
/// # Errors
/// If there is no sample, the columns differ in length, or hold a NaN.
pub fn calibration<F: Real>(probabilities: &[F], labels: &[F], bins: NonZeroUsize) -> Result<Calibration, MetricError> {
    check(("probabilities", probabilities), ("labels", labels))?;
    let mut sums = vec![(0_usize, 0.0, 0.0); bins.get()];
    for (p, y) in probabilities.iter().zip(labels) {
        // `as` saturates: negative numbers land in the first bin, large ones in the last.
        let bin = ((p.as_f64() * bins.get() as f64) as usize).min(bins.get() - 1);
        sums[bin] = (sums[bin].0 + 1, sums[bin].1 + p.as_f64(), sums[bin].2 + y.as_f64());
    }
    let mean = |sum: f64, count: usize| if count == 0 { 0.0 } else { sum / count as f64 };
    let bins: Vec<Bin> =
        sums.into_iter().map(|(n, p, y)| Bin { count: n, confidence: mean(p, n), accuracy: mean(y, n) }).collect();
    let gap = |bin: &Bin| (bin.accuracy - bin.confidence).abs();
    let ece = bins.iter().map(|b| b.count as f64 * gap(b)).sum::<f64>() / labels.len() as f64;
    let mce = bins.iter().map(gap).fold(0.0, f64::max);
    Ok(Calibration { ece, mce, bins })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn bins(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    #[test]
    fn squares_by_hand() {
        assert!((brier(&[0.5, 1.0], &[0.0, 1.0]).unwrap() - 0.125_f64).abs() < 1e-15);
        assert!(brier::<f64>(&[], &[]).is_err());
    }

    #[test]
    fn bins_by_hand() {
        // [0, ½): p 0.1, 0.3, y 0, 1: gap 0.3; [½, 1]: p 1, y 1: gap 0. ECE = ⅔·0.3
        let c = calibration(&[0.1, 0.3, 1.0_f64], &[0.0, 1.0, 1.0], bins(2)).unwrap();
        assert!((c.ece - 0.2).abs() < 1e-15 && (c.mce - 0.3).abs() < 1e-15, "{c:?}");
        assert_eq!(c.bins.iter().map(|b| b.count).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn numbers_outside_go_to_the_ends() {
        let c = calibration(&[-3.0, 7.0, f64::INFINITY], &[0.0; 3], bins(4)).unwrap();
        assert_eq!(c.bins.iter().map(|b| b.count).collect::<Vec<_>>(), [1, 0, 0, 2]);
    }
}
