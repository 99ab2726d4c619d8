//! n-step returns in linear time for any n.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_core::{Real, Steps, ValueTarget};

use super::Trace;

/// n-step return, cut at T.
///
/// ```text
/// G_t = Σ_{i<m} (Π_{j<i} γ_{t+j}) r_{t+i} + (Π_{j<m} γ_{t+j}) v_{t+m},     m = min(n, T − t)
/// ```
///
/// A discount of 0 ends the window early, without a bootstrap. `n = 1` is [`super::Td0`], `n ≥ T` is
/// [`super::MonteCarlo`]. With `lambda < 1` the window is the truncated λ-return, `[(1−λ) v + λ G]` in place of `G`
/// inside. Sutton & Barto (2018), §7.1, §12.3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NStep {
    /// n ≥ 1.
    pub n: NonZeroUsize,
    /// Trace decay inside the window, 1 unless stated.
    #[serde(default)]
    pub lambda: Trace,
}

impl<F: Real> ValueTarget<F> for NStep {
    fn targets_into(&self, steps: Steps<'_, F>, out: &mut Vec<F>) {
        let (rewards, discounts, values) = (steps.rewards(), steps.discounts(), steps.values());
        let backup = |t: usize| {
            let lambda: F = self.lambda.at(t);
            (rewards[t] + discounts[t] * (F::one() - lambda) * values[t + 1], discounts[t] * lambda)
        };
        windows(values, self.n.get(), backup, out);
    }
}

/// Applies the backups `x ↦ a_t + b_t x` of each window `[t, t+n)`, cut at T, to the value at its end.
///
/// Windows are cut at multiples of n: the part in the own block is a suffix of it and the part in the next block a
/// prefix of that, so one pass over each suffices, T·O(1) for every n (van Herk 1992). `out` holds the prefixes
/// until the suffixes come.
pub(crate) fn windows<F: Real>(values: &[F], n: usize, backup: impl Fn(usize) -> (F, F), out: &mut Vec<F>) {
    let end = values.len() - 1;
    out.clear();
    let mut block = 0;
    while block < end {
        let next = block.saturating_add(n).min(end);
        prefixes(values, block..next, &backup, out);
        suffixes(block, &backup, &mut out[block..next]);
        block = next;
    }
}

/// Σ_{next ≤ j < t+n} (Π b) a_j + (Π b) v_{t+n} for each t of the block.
fn prefixes<F: Real>(values: &[F], block: std::ops::Range<usize>, backup: &impl Fn(usize) -> (F, F), out: &mut Vec<F>) {
    let (mut sum, mut weight) = (F::zero(), F::one());
    let mut cut = block.end;
    for _ in block {
        out.push(sum + weight * values[cut]);
        if cut + 1 < values.len() {
            let (a, b) = backup(cut);
            sum = sum + weight * a;
            weight = weight * b;
            cut += 1;
        }
    }
}

/// Puts the suffix of the block before each prefix.
fn suffixes<F: Real>(start: usize, backup: &impl Fn(usize) -> (F, F), out: &mut [F]) {
    let (mut sum, mut weight) = (F::zero(), F::one());
    for (t, g) in out.iter_mut().enumerate().rev() {
        let (a, b) = backup(start + t);
        sum = a + b * sum;
        weight = b * weight;
        *g = sum + weight * *g;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn n_step(n: usize) -> NStep {
        NStep { n: NonZeroUsize::new(n).unwrap(), lambda: Trace::ONE }
    }

    #[test]
    fn two_steps_by_hand() {
        // G_0 = 1 + ½·2 + ¼·16 = 6; G_1 = 2 + ½·4 + ¼·32 = 12; G_2 = 4 + ½·32 = 20
        let steps = Steps::new(&[1.0, 2.0, 4.0], &[0.5; 3], &[0.0, 8.0, 16.0, 32.0]).unwrap();
        assert_eq!(n_step(2).targets(steps), [6.0, 12.0, 20.0]);
    }

    #[test]
    fn termination_ends_the_window_without_a_bootstrap() {
        let steps = Steps::new(&[1.0, 2.0, 4.0], &[1.0, 0.0, 1.0], &[0.0, 8.0, 16.0, 32.0]).unwrap();
        assert_eq!(n_step(3).targets(steps), [3.0, 2.0, 36.0]);
    }

    #[test]
    fn a_window_of_any_length_is_total() {
        let steps = Steps::new(&[1.0; 3], &[1.0; 3], &[0.0; 4]).unwrap();
        assert_eq!(n_step(usize::MAX).targets(steps), [3.0, 2.0, 1.0]);
        assert!(n_step(2).targets(Steps::new(&[], &[], &[1.0_f64]).unwrap()).is_empty());
    }

    proptest! {
        #[test]
        fn the_linear_pass_is_the_definition(
            rows in prop::collection::vec((-2.0..2.0f64, prop::sample::select(vec![0.0, 0.5, 0.97, 1.0]), -2.0..2.0f64), 0..40),
            n in 1usize..12,
        ) {
            let r: Vec<f64> = rows.iter().map(|x| x.0).collect();
            let d: Vec<f64> = rows.iter().map(|x| x.1).collect();
            let v: Vec<f64> = std::iter::once(0.5).chain(rows.iter().map(|x| x.2)).collect();
            let g = n_step(n).targets(Steps::new(&r, &d, &v).unwrap());
            prop_assert_eq!(g.len(), r.len());
            for (t, g) in g.into_iter().enumerate() {
                let cut = (t + n).min(r.len());
                let definition = (t..cut).rev().fold(v[cut], |x, i| r[i] + d[i] * x);
                prop_assert!((g - definition).abs() < 1e-12);
            }
        }
    }
}
