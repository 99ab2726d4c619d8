//! Smoothness of a value function along its trajectories.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tdrm_core::Real;

use super::MetricError;

/// One transition s_t → s_{t+1} of a held-out trajectory, as the measures read it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueRow<F> {
    /// t.
    pub step: usize,
    /// V(s_t).
    pub value: F,
    /// V(s_{t+1}).
    pub next_value: F,
    /// y_t, what V(s_t) is regressed to.
    pub target: F,
    /// d(s_t, s_{t+1}) > 0, 1 where no distance is defined.
    pub distance: F,
    /// Whether s_t ends its trajectory; its `next_value` then belongs to nothing that was seen.
    pub terminal: bool,
}

/// Mean and population standard deviation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeanStd {
    /// Mean.
    pub mean: f64,
    /// Standard deviation (ddof 0).
    pub std: f64,
}

/// The measures of the TDRM card, §6. A constant value function is perfectly smooth: read them beside accuracy.
///
/// ```text
/// M1  change          |V(s_{t+1}) − V(s_t)| / d(s_t, s_{t+1})     non-terminal rows, mean and std
/// M2  td_error        |δ|,  δ = y − V(s_t)                        mean and std
/// M3  value change    dV = V(s_{t+1}) − V(s_t)                    non-terminal rows, mean and std of |dV|
/// M4  relative_error  |δ| / V(s_t)                                rows with V(s_t) > 0
/// ```
///
/// M5, the mean reward per step, is [`mean_by_step`]. Terminal rows compare V(s_T) with a label and would dominate
/// M1 and M3, so that they are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smoothness {
    /// Rows that are not terminal.
    pub transitions: usize,
    /// Rows that are.
    pub terminals: usize,
    /// M1; `None` without transitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<MeanStd>,
    /// M2 on all rows.
    pub td_error: MeanStd,
    /// M2 on transitions; `None` without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub td_error_transitions: Option<MeanStd>,
    /// M2 on terminal rows; `None` without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub td_error_terminals: Option<MeanStd>,
    /// M3; `None` without transitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_change: Option<MeanStd>,
    /// M4; `None` where no value is positive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_error: Option<MeanStd>,
}

/// Measures the smoothness of a value function on held-out rows.
///
/// # Errors
/// If there is no row.
pub fn smoothness<F: Real>(rows: &[ValueRow<F>]) -> Result<Smoothness, MetricError> {
    let delta = |row: &ValueRow<F>| (row.target - row.value).abs().as_f64();
    let change = |row: &ValueRow<F>| (row.next_value - row.value).abs().as_f64();
    let of = |keep: fn(&ValueRow<F>) -> bool, measure: &dyn Fn(&ValueRow<F>) -> f64| {
        mean_std(rows.iter().filter(|row| keep(row)).map(measure))
    };
    let transitions = rows.iter().filter(|row| !row.terminal).count();
    Ok(Smoothness {
        transitions,
        terminals: rows.len() - transitions,
        change: of(|row| !row.terminal, &|row| change(row) / row.distance.as_f64()),
        td_error: of(|_| true, &delta).ok_or(MetricError::Empty)?,
        td_error_transitions: of(|row| !row.terminal, &delta),
        td_error_terminals: of(|row| row.terminal, &delta),
        value_change: of(|row| !row.terminal, &change),
        relative_error: of(|row| row.value > F::zero(), &|row| delta(row) / row.value.as_f64()),
    })
}

/// `None` of nothing.
fn mean_std(xs: impl Iterator<Item = f64>) -> Option<MeanStd> {
    let xs: Vec<f64> = xs.collect();
    let n = xs.len() as f64;
    let mean = xs.iter().sum::<f64>() / n;
    let std = (xs.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt();
    (!xs.is_empty()).then_some(MeanStd { mean, std })
}

/// Mean of a number per step index (M5), for each index that occurs, ascending.
///
/// ```
/// let means = tdrm_algo::metrics::mean_by_step(&[(0, 1.0), (2, 5.0), (0, 3.0)]);
/// assert_eq!(means, [(0, 2.0), (2, 5.0)]);
/// ```
#[must_use]
pub fn mean_by_step<F: Real>(rows: &[(usize, F)]) -> Vec<(usize, F)> {
    let mut sums = BTreeMap::new();
    for &(step, x) in rows {
        let (count, sum) = sums.entry(step).or_insert((0, F::zero()));
        *count += 1;
        *sum = *sum + x;
    }
    sums.into_iter().map(|(step, (count, sum))| (step, sum / F::count(count))).collect()
}

/// Gaussian smoothing with mirrored ends, the kernel cut at 4 σ.
///
/// ```text
/// out_i = Σ_{|j| ≤ ⌊4σ + ½⌋} w_j x_{i+j},     w_j ∝ exp(−j²/2σ²),     x mirrored about its edges (d c b a | a b c d | d c b a)
/// ```
///
/// What the card's plots use, with σ = 1. A σ of 0 or less changes nothing.
#[must_use]
pub fn gaussian_smooth<F: Real>(xs: &[F], sigma: F) -> Vec<F> {
    if xs.is_empty() || sigma.is_nan() || sigma <= F::zero() {
        return xs.to_vec();
    }
    // A kernel wider than the data only wraps around it.
    let radius = (F::of(4.0) * sigma + F::of(0.5)).to_usize().unwrap_or(usize::MAX).min(8 * xs.len());
    let weight = |j: usize| (-F::of(0.5) * (F::count(j) / sigma) * (F::count(j) / sigma)).exp();
    let weights: Vec<F> = (0..=radius).map(weight).collect();
    let total = weights[0] + F::of(2.0) * weights[1..].iter().copied().sum::<F>();
    let around = |i: usize| {
        let sides = (1..=radius).map(|j| weights[j] * (mirrored(xs, i, j) + mirrored_below(xs, i, j)));
        (weights[0] * xs[i] + sides.sum::<F>()) / total
    };
    (0..xs.len()).map(around).collect()
}

/// x_{i+j} of the mirrored sequence, of period 2n.
fn mirrored<F: Real>(xs: &[F], i: usize, j: usize) -> F {
    let n = xs.len();
    let k = (i + j) % (2 * n);
    xs[if k < n { k } else { 2 * n - 1 - k }]
}

/// x_{i−j}: the mirror image of x_{(n−1−i)+j} read backwards.
fn mirrored_below<F: Real>(xs: &[F], i: usize, j: usize) -> F {
    let n = xs.len();
    let k = (n - 1 - i + j) % (2 * n);
    xs[if k < n { n - 1 - k } else { k - n }]
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn row(value: f64, next_value: f64, target: f64, terminal: bool) -> ValueRow<f64> {
        ValueRow { step: 0, value, next_value, target, distance: 2.0, terminal }
    }

    #[test]
    fn measures_by_hand() {
        let rows = [row(0.5, 0.25, 1.0, false), row(0.25, 0.5, 0.0, false), row(0.5, 0.9, 1.0, true)];
        let s = smoothness(&rows).unwrap();
        assert_eq!((s.transitions, s.terminals), (2, 1));
        assert_eq!(s.change.unwrap(), MeanStd { mean: 0.125, std: 0.0 }); // ¼ / 2, twice
        assert_eq!(s.value_change.unwrap(), MeanStd { mean: 0.25, std: 0.0 });
        assert!((s.td_error.mean - 1.25 / 3.0).abs() < 1e-15); // ½, ¼, ½
        assert_eq!(s.td_error_transitions.unwrap(), MeanStd { mean: 0.375, std: 0.125 });
        assert_eq!(s.relative_error.unwrap().mean.to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn a_constant_is_perfectly_smooth() {
        let s = smoothness(&[row(0.5, 0.5, 0.5, false)]).unwrap();
        assert_eq!(s.change.unwrap(), MeanStd { mean: 0.0, std: 0.0 });
        assert_eq!(smoothness::<f64>(&[]), Err(MetricError::Empty));
    }

    #[test]
    fn smoothing_keeps_constants_and_total_mass() {
        assert!(gaussian_smooth(&[2.0_f64; 5], 1.0).iter().all(|x| (x - 2.0).abs() < 1e-12));
        let smooth = gaussian_smooth(&[0.0, 0.0, 1.0, 0.0, 0.0_f64], 1.0);
        assert!((smooth.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(smooth[2] > smooth[1] && (smooth[1] - smooth[3]).abs() < 1e-15, "{smooth:?}");
    }

    #[test]
    fn ends_are_mirrored() {
        // σ = ¼: radius 1, w_1 = e^{−8}; the left end sees itself beyond the edge.
        let w = (-8.0_f64).exp();
        let smooth = gaussian_smooth(&[1.0, 3.0], 0.25);
        assert!((smooth[0] - (1.0 + w * (1.0 + 3.0)) / (1.0 + 2.0 * w)).abs() < 1e-15);
    }
}
