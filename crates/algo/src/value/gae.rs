//! Generalised advantage estimation.

use serde::{Deserialize, Serialize};
use tdrm_core::{Real, Steps, Transition, ValueTarget};

use super::Trace;
use super::batch::recursions;
use super::td::{backward, concatenated};

/// Exponentially weighted temporal differences: advantages, and targets A + v.
///
/// ```text
/// δ_t = r_t + γ_t v_{t+1} − v_t
/// A_t = δ_t + γ_t λ_t A_{t+1},     A_T = 0
/// G_t = A_t + v_t                  (the λ-return)
/// ```
///
/// `λ = 0` gives δ, `λ = 1` gives the Monte-Carlo return minus v. Schulman et al. (2016), eq. 16.
///
/// ```
/// use tdrm_algo::value::Gae;
/// use tdrm_core::{Lambda, Steps, ValueTarget};
/// let gae = Gae { lambda: Lambda::try_from(0.5)?.into() };
/// let steps = Steps::new(&[1.0, 2.0], &[1.0, 0.0], &[0.0, 4.0, 9.0])?;
/// assert_eq!(gae.advantages(steps), [4.0, -2.0]); // δ = (5, −2), 5 + ½·(−2)
/// assert_eq!(gae.targets(steps), [4.0, 2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gae {
    /// Trace decay λ, one or one per step.
    pub lambda: Trace,
}

impl Gae {
    /// Replaces the contents of `out` by the advantages, `[T]`.
    pub fn advantages_into<F: Real>(&self, steps: Steps<'_, F>, out: &mut Vec<F>) {
        match &self.lambda {
            Trace::Constant(lambda) => {
                let lambda: F = lambda.get();
                advantages(steps, |_| lambda, out);
            }
            per_step @ Trace::PerStep(_) => advantages(steps, |t| per_step.at(t), out),
        }
    }

    /// The advantages of a ragged batch, one trajectory after the other, `[ΣT]`.
    ///
    /// The same numbers as one by one, several times as fast for short trajectories.
    pub fn batch_into<F: Real>(&self, batch: &[Steps<'_, F>], out: &mut Vec<F>) {
        match &self.lambda {
            Trace::Constant(lambda) => {
                let lambda: F = lambda.get();
                recursions(batch, |_| F::zero(), |s| gae_backup(s, lambda), out);
            }
            Trace::PerStep(_) => concatenated(batch, |steps, out| self.advantages_into(steps, out), out),
        }
    }

    /// The advantages in a fresh vector, `[T]`.
    #[must_use]
    pub fn advantages<F: Real>(&self, steps: Steps<'_, F>) -> Vec<F> {
        let mut out = Vec::new();
        self.advantages_into(steps, &mut out);
        out
    }
}

impl<F: Real> ValueTarget<F> for Gae {
    fn targets_into(&self, steps: Steps<'_, F>, out: &mut Vec<F>) {
        self.advantages_into(steps, out);
        for (a, &v) in out.iter_mut().zip(steps.values()) {
            *a = *a + v;
        }
    }
}

fn advantages<F: Real>(steps: Steps<'_, F>, lambda: impl Fn(usize) -> F, out: &mut Vec<F>) {
    backward(F::zero(), steps.iter().enumerate(), out, |a, (t, s)| {
        let (delta, trace) = gae_backup(s, lambda(t));
        delta + trace * a
    });
}

/// δ_t and γ_t λ_t.
#[inline]
fn gae_backup<F: Real>(s: Transition<F>, lambda: F) -> (F, F) {
    (s.reward + s.discount * s.next_value - s.value, s.discount * lambda)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_truncated_episode_bootstraps() {
        let gae = Gae { lambda: Trace::ONE };
        let steps = Steps::new(&[1.0, 2.0], &[0.5, 0.5], &[1.0, 4.0, 8.0]).unwrap();
        // δ = (1 + 2 − 1, 2 + 4 − 4) = (2, 2); A = (2 + ½·2, 2)
        assert_eq!(gae.advantages(steps), [3.0, 2.0]);
    }

    #[test]
    fn a_ragged_batch_is_its_trajectories_one_by_one() {
        let column =
            |n: usize, seed: usize| -> Vec<f64> { (0..n).map(|t| ((t * 7 + seed) % 11) as f64 / 3.0 - 1.5).collect() };
        let data: Vec<_> = (0..21).map(|i| (column(i, i), vec![0.9; i], column(i + 1, 3 * i))).collect();
        let batch: Vec<_> = data.iter().map(|(r, d, v)| Steps::new(r, d, v).unwrap()).collect();
        for lambda in [Trace::ONE, Trace::PerStep(vec![tdrm_core::Lambda::ZERO, tdrm_core::Lambda::ONE])] {
            let gae = Gae { lambda: lambda.clone() };
            let mut together = vec![7.0];
            gae.batch_into(&batch, &mut together);
            assert_eq!(together, batch.iter().flat_map(|&s| gae.advantages(s)).collect::<Vec<_>>());
            let td = super::super::TdLambda { lambda };
            td.batch_into(&batch, &mut together);
            assert_eq!(together, batch.iter().flat_map(|&s| td.targets(s)).collect::<Vec<_>>());
        }
    }
}
