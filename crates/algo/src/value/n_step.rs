//! n-step returns in linear time for any n.

use std::num::NonZeroUsize;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use tdrm_core::{Real, Steps, ValueTarget};

use super::batch::one_by_one;
use super::recursion::{BatchTarget, Recursion, decay};
use super::short_windows::{SHORT, across, along};
use super::span::{Column, Span, with_columns};
use super::td::LambdaReturn;
use super::{TimeMajor, Trace};

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

impl Windowed for NStep {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        LambdaReturn
    }

    fn lambda(&self) -> Option<&Trace> {
        Some(&self.lambda)
    }

    fn n(&self) -> usize {
        self.n.get()
    }
}

/// A target that is the first n steps of a recursion, from the value after them.
pub(crate) trait Windowed {
    /// The recursion; only its coefficients and its target count.
    fn recursion<F: Real>(&self) -> impl Recursion<F>;

    /// λ, where the formula has one.
    fn lambda(&self) -> Option<&Trace>;

    /// n ≥ 1.
    fn n(&self) -> usize;
}

macro_rules! windowed_targets {
    ($($target:ty),*) => {$(
        impl<F: Real> ValueTarget<F> for $target {
            fn targets_into(&self, steps: Steps<'_, F>, out: &mut Vec<F>) {
                out.resize(steps.len(), F::zero());
                alone(self, steps, out);
            }
        }

        impl<F: Real> BatchTarget<F> for $target {
            fn batch_into(&self, batch: &[Steps<'_, F>], out: &mut Vec<F>) {
                out.resize(batch.iter().map(Steps::len).sum(), F::zero());
                one_by_one(batch, out, |steps, out| alone(self, steps, out));
            }

            fn time_major_into(&self, steps: TimeMajor<'_, F>, out: &mut Vec<F>) {
                out.resize(steps.rewards().len(), F::zero());
                if self.n() <= SHORT {
                    across(self, steps, out);
                } else {
                    windows::<F, LANES>(self, steps, out);
                }
            }
        }
    )*};
}
windowed_targets!(NStep, super::tdrm::Tdrm);

/// The windows of one trajectory.
fn alone<F: Real>(target: &impl Windowed, steps: Steps<'_, F>, out: &mut [F]) {
    if target.n() <= SHORT {
        along(target, steps, out);
    } else {
        windows::<F, 1>(target, steps.into(), out);
    }
}

/// Trajectories that advance together.
const LANES: usize = 512;

/// The windows `[t, t+n)` of all trajectories, cut at T; `W` of them at a time.
///
/// Windows are cut at multiples of n: the part in the own block is a suffix of it and the part in the next block a
/// prefix of that, so one pass over each suffices, T·O(1) for every n (van Herk 1992). `out` holds the prefixes
/// until the suffixes come.
fn windows<F: Real, const W: usize>(target: &impl Windowed, steps: TimeMajor<'_, F>, out: &mut [F]) {
    let trajectories = steps.trajectories();
    for start in (0..trajectories).step_by(W) {
        let lanes = W.min(trajectories - start);
        with_columns!(steps, |log_ratios, q_values| {
            let columns = (log_ratios, q_values);
            let span = Span::rows(steps.rewards(), steps.discounts(), steps.values(), columns, trajectories);
            let rows = Rows { span, values: steps.values(), t_end: steps.rows(), trajectories, start, lanes };
            let mut block = 0;
            while block < rows.t_end {
                let next = block.saturating_add(target.n()).min(rows.t_end);
                let (recursion, lambda) = (target.recursion(), decay(target.lambda()));
                let mut affine = Affine { sum: [F::zero(); W], weight: [F::one(); W] };
                affine.prefixes(recursion, lambda, rows, block..next, out);
                affine = Affine { sum: [F::zero(); W], weight: [F::one(); W] };
                affine.suffixes(recursion, lambda, rows, block..next, out);
                block = next;
            }
        });
    }
}

/// The columns `start..start + lanes` of a rectangle.
#[derive(Clone, Copy)]
struct Rows<'a, F, L, Q> {
    span: Span<'a, F, L, Q>,
    values: &'a [F],
    t_end: usize,
    trajectories: usize,
    start: usize,
    lanes: usize,
}

impl<'a, F: Real, L: Column<F>, Q: Column<F>> Rows<'a, F, L, Q> {
    fn at(&self, t: usize) -> Span<'a, F, L, Q> {
        self.span.cut(t * self.trajectories + self.start, self.lanes)
    }

    fn values(&self, t: usize) -> &'a [F] {
        &self.values[t * self.trajectories + self.start..][..self.lanes]
    }

    fn out<'o>(&self, t: usize, out: &'o mut [F]) -> &'o mut [F] {
        &mut out[t * self.trajectories + self.start..][..self.lanes]
    }
}

/// The map x ↦ sum + weight x of each of W trajectories: backups composed.
struct Affine<F, const W: usize> {
    sum: [F; W],
    weight: [F; W],
}

impl<F: Real, const W: usize> Affine<F, W> {
    /// Σ_{next ≤ j < t+n} (Π b) a_j + (Π b) v_{t+n} for each t of the block.
    fn prefixes<L: Column<F>, Q: Column<F>>(
        &mut self,
        recursion: impl Recursion<F>,
        lambda: impl Fn(usize) -> F,
        rows: Rows<'_, F, L, Q>,
        block: Range<usize>,
        out: &mut [F],
    ) {
        let (sum, weight) = (&mut self.sum[..rows.lanes], &mut self.weight[..rows.lanes]);
        let mut cut = block.end;
        for t in block {
            let (out, values) = (rows.out(t, out), rows.values(cut));
            for i in 0..rows.lanes {
                out[i] = sum[i] + weight[i] * values[i];
            }
            if cut < rows.t_end {
                let (span, lambda) = (rows.at(cut), lambda(cut));
                for i in 0..rows.lanes {
                    let (a, b) = recursion.coefficients(span.seen(i, cut, lambda));
                    sum[i] = sum[i] + weight[i] * a;
                    weight[i] = weight[i] * b;
                }
                cut += 1;
            }
        }
    }

    /// Puts the suffix of the block before each prefix.
    fn suffixes<L: Column<F>, Q: Column<F>>(
        &mut self,
        recursion: impl Recursion<F>,
        lambda: impl Fn(usize) -> F,
        rows: Rows<'_, F, L, Q>,
        block: Range<usize>,
        out: &mut [F],
    ) {
        let (sum, weight) = (&mut self.sum[..rows.lanes], &mut self.weight[..rows.lanes]);
        for t in block.rev() {
            let (span, lambda, out) = (rows.at(t), lambda(t), rows.out(t, out));
            for i in 0..rows.lanes {
                let seen = span.seen(i, t, lambda);
                let (a, b) = recursion.coefficients(seen);
                sum[i] = a + b * sum[i];
                weight[i] = b * weight[i];
                out[i] = recursion.target(seen, sum[i] + weight[i] * out[i]);
            }
        }
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
