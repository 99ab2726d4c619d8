//! One-step, Monte-Carlo and λ-returns.

use serde::{Deserialize, Serialize};
use tdrm_core::Real;

use super::Trace;
use super::recursion::{Backward, Recursion, Seen};

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

impl Backward for Td0 {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        OneStep
    }

    fn lambda(&self) -> Option<&Trace> {
        None
    }
}

/// a = r + γ v', b = 0: nothing is carried.
#[derive(Debug, Clone, Copy)]
struct OneStep;

impl<F: Real> Recursion<F> for OneStep {
    const CARRIES_ITSELF: bool = false;

    fn last(self, _: F) -> F {
        F::zero()
    }

    #[inline]
    fn coefficients(self, seen: Seen<F>) -> (F, F) {
        (seen.one_step(), F::zero())
    }

    #[inline]
    fn carried(self, _: Seen<F>, _: F) -> F {
        F::zero()
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

impl Backward for MonteCarlo {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        Discounted
    }

    fn lambda(&self) -> Option<&Trace> {
        None
    }
}

/// a = r, b = γ.
#[derive(Debug, Clone, Copy)]
struct Discounted;

impl<F: Real> Recursion<F> for Discounted {
    #[inline]
    fn coefficients(self, seen: Seen<F>) -> (F, F) {
        (seen.step.reward, seen.step.discount)
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

impl Backward for TdLambda {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        LambdaReturn
    }

    fn lambda(&self) -> Option<&Trace> {
        Some(&self.lambda)
    }
}

/// a = r + γ (1 − λ) v', b = γ λ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LambdaReturn;

impl<F: Real> Recursion<F> for LambdaReturn {
    #[inline]
    fn coefficients(self, seen: Seen<F>) -> (F, F) {
        let (s, lambda) = (seen.step, seen.lambda);
        (s.reward + s.discount * (F::one() - lambda) * s.next_value, s.discount * lambda)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tdrm_core::{Steps, ValueTarget};

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
