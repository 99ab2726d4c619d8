//! One-step, Monte-Carlo and λ-returns.

use serde::{Deserialize, Serialize};
use tdrm_core::{Real, Steps, Transition, ValueTarget};

use super::Trace;
use super::batch::recursions;

/// One-step target.
///
/// ```text
/// G_t = r_t + γ_t v_{t+1}
/// ```
///
/// Sutton & Barto (2018), §6.1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Td0 {}

impl<F: Real> ValueTarget<F> for Td0 {
    fn targets_into(&self, steps: Steps<'_, F>, out: &mut Vec<F>) {
        out.clear();
        out.extend(steps.iter().map(|s| s.reward + s.discount * s.next_value));
    }
}

/// Discounted return, bootstrapped from v(s_T) unless the last step terminates.
///
/// ```text
/// G_t = r_t + γ_t G_{t+1},     G_T = v_T
/// ```
///
/// Sutton & Barto (2018), §3.3.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MonteCarlo {}

impl<F: Real> ValueTarget<F> for MonteCarlo {
    fn targets_into(&self, steps: Steps<'_, F>, out: &mut Vec<F>) {
        backward(steps.bootstrap(), steps.rewards().iter().zip(steps.discounts()), out, |g, (&r, &discount)| {
            r + discount * g
        });
    }
}

/// λ-return: a geometric mixture of all n-step returns.
///
/// ```text
/// G_t = r_t + γ_t [ (1 − λ_t) v_{t+1} + λ_t G_{t+1} ],     G_T = v_T
/// ```
///
/// `λ = 0` is [`Td0`], `λ = 1` is [`MonteCarlo`] with bootstrap. Sarsa(λ) is the same with v = q(s, a), Expected
/// Sarsa(λ) with v = E_π q. Sutton & Barto (2018), §12.1.
///
/// ```
/// use tdrm_algo::value::TdLambda;
/// use tdrm_core::{Lambda, Steps, ValueTarget};
/// let target = TdLambda { lambda: Lambda::try_from(0.5)?.into() };
/// let steps = Steps::new(&[1.0, 2.0], &[1.0, 0.0], &[0.0, 4.0, 9.0])?;
/// assert_eq!(target.targets(steps), [4.0, 2.0]); // 1 + (½·4 + ½·2); the second step terminates
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TdLambda {
    /// Trace decay λ, one or one per step.
    pub lambda: Trace,
}

impl<F: Real> ValueTarget<F> for TdLambda {
    fn targets_into(&self, steps: Steps<'_, F>, out: &mut Vec<F>) {
        match &self.lambda {
            Trace::Constant(lambda) => {
                let lambda: F = lambda.get();
                lambda_returns(steps, |_| lambda, out);
            }
            per_step @ Trace::PerStep(_) => lambda_returns(steps, |t| per_step.at(t), out),
        }
    }
}

impl TdLambda {
    /// The targets of a ragged batch, one trajectory after the other, `[ΣT]`.
    ///
    /// The same numbers as one by one, several times as fast for short trajectories.
    pub fn batch_into<F: Real>(&self, batch: &[Steps<'_, F>], out: &mut Vec<F>) {
        match &self.lambda {
            Trace::Constant(lambda) => {
                let lambda: F = lambda.get();
                recursions(batch, |steps| steps.bootstrap(), |s| lambda_backup(s, lambda), out);
            }
            Trace::PerStep(_) => concatenated(batch, |steps, out| self.targets_into(steps, out), out),
        }
    }
}

/// The recursion, for any λ_t.
pub(crate) fn lambda_returns<F: Real>(steps: Steps<'_, F>, lambda: impl Fn(usize) -> F, out: &mut Vec<F>) {
    backward(steps.bootstrap(), steps.iter().enumerate(), out, |g, (t, s)| {
        let (one_step, trace) = lambda_backup(s, lambda(t));
        one_step + trace * g
    });
}

/// `G_t = a + b G_{t+1}` with `a = r_t + γ_t (1 − λ_t) v_{t+1}`, `b = γ_t λ_t`: what does not wait for `G_{t+1}`,
/// and what does.
#[inline]
fn lambda_backup<F: Real>(s: Transition<F>, lambda: F) -> (F, F) {
    (s.reward + s.discount * (F::one() - lambda) * s.next_value, s.discount * lambda)
}

/// One trajectory after the other, where nothing is gained by taking turns.
pub(crate) fn concatenated<F: Real>(
    batch: &[Steps<'_, F>],
    single: impl Fn(Steps<'_, F>, &mut Vec<F>),
    out: &mut Vec<F>,
) {
    let mut one = Vec::new();
    out.clear();
    for &steps in batch {
        single(steps, &mut one);
        out.extend_from_slice(&one);
    }
}

/// Folds from the last item to the first, leaving each intermediate result in its place.
pub(crate) fn backward<F: Real, X>(
    last: F,
    items: impl DoubleEndedIterator<Item = X> + ExactSizeIterator,
    out: &mut Vec<F>,
    step: impl Fn(F, X) -> F,
) {
    // Every entry is written below: what `out` held needs no clearing.
    out.resize(items.len(), last);
    let mut g = last;
    for (slot, item) in out.iter_mut().rev().zip(items.rev()) {
        g = step(g, item);
        *slot = g;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn truncated() -> Steps<'static, f64> {
        Steps::new(&[1.0, 2.0], &[0.5, 0.5], &[7.0, 4.0, 8.0]).unwrap()
    }

    #[test]
    fn one_step_by_hand() {
        assert_eq!(Td0 {}.targets(truncated()), [3.0, 6.0]); // 1 + ½·4, 2 + ½·8
    }

    #[test]
    fn monte_carlo_by_hand() {
        assert_eq!(MonteCarlo {}.targets(truncated()), [4.0, 6.0]); // 1 + ½·6, 2 + ½·8
    }

    #[test]
    fn truncation_bootstraps_termination_does_not() {
        let terminated = Steps::new(&[1.0, 2.0], &[0.5, 0.0], &[7.0, 4.0, 8.0]).unwrap();
        assert_eq!(MonteCarlo {}.targets(terminated), [2.0, 2.0]);
    }

    #[test]
    fn each_step_may_have_a_lambda_of_its_own() {
        let list = serde_json::from_str::<TdLambda>(r#"{"lambda":[0.25,0.9]}"#).unwrap();
        // G_1 = 6 whatever λ is; G_0 = 1 + ½(¾·4 + ¼·6) = 3.25
        assert_eq!(list.targets(truncated()), [3.25, 6.0]);
    }

    #[test]
    fn structs_without_options_refuse_options() {
        assert!(serde_json::from_str::<Td0>(r#"{"n":1}"#).is_err());
        assert!(serde_json::from_str::<TdLambda>(r#"{"lamda":1}"#).is_err());
    }
}
