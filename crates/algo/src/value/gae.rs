//! Generalised advantage estimation.

use serde::{Deserialize, Serialize};
use tdrm_core::{Real, Steps};

use super::recursion::{Backward, PlusValue, Recursion, Seen, ragged, rectangle, single};
use super::{TimeMajor, Trace};

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
        single(Residuals, Some(&self.lambda), steps, out);
    }

    /// The advantages of a ragged batch, one trajectory after the other, `[ΣT]`; see [`super::BatchTarget`].
    pub fn advantages_batch_into<F: Real>(&self, batch: &[Steps<'_, F>], out: &mut Vec<F>) {
        ragged(Residuals, Some(&self.lambda), batch, out);
    }

    /// The advantages of a rectangle, `[T, B]`; see [`super::BatchTarget`].
    pub fn advantages_time_major_into<F: Real>(&self, steps: TimeMajor<'_, F>, out: &mut Vec<F>) {
        rectangle(Residuals, Some(&self.lambda), steps, out);
    }

    /// The advantages in a fresh vector, `[T]`.
    #[must_use]
    pub fn advantages<F: Real>(&self, steps: Steps<'_, F>) -> Vec<F> {
        let mut out = Vec::new();
        self.advantages_into(steps, &mut out);
        out
    }
}

impl Backward for Gae {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        PlusValue(Residuals)
    }

    fn lambda(&self) -> Option<&Trace> {
        Some(&self.lambda)
    }
}

/// a = δ, b = γ λ.
#[derive(Debug, Clone, Copy)]
struct Residuals;

impl<F: Real> Recursion<F> for Residuals {
    fn last(self, _: F) -> F {
        F::zero()
    }

    #[inline]
    fn coefficients(self, seen: Seen<F>) -> (F, F) {
        (seen.delta(), seen.step.discount * seen.lambda)
    }
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
}
