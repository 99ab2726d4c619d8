//! V-trace and its unclipped and leaky relatives: value targets from another policy's actions.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Probability, Real, Steps};

use super::Trace;
use super::recursion::{Backward, PlusValue, Recursion, Seen};
use crate::exponential::exp;

const ONE: NonNegative = match NonNegative::new(1.0) {
    Ok(one) => one,
    Err(_) => unreachable!(),
};

/// V-trace target of IMPALA.
///
/// ```text
/// ρ_t   = exp(log π(a_t|s_t) − log μ(a_t|s_t))
/// ρ̄_t   = min(rho_clip, ρ_t),     c_t = λ_t min(c_clip, ρ_t)
/// vs_t  = v_t + e_t,     e_t = ρ̄_t (r_t + γ_t v_{t+1} − v_t) + γ_t c_t e_{t+1},     e_T = 0
/// A_t   = min(pg_rho_clip, ρ_t) (r_t + γ_t [λ_t vs_{t+1} + (1 − λ_t) v_{t+1}] − v_t),     vs_T = v_T
/// ```
///
/// On-policy (no `log_ratios`, clips ≥ 1) it is [`super::TdLambda`]. `rho_clip` decides the fixed point, `c_clip`
/// only the speed. Espeholt et al. (2018), §4.1; the advantage's mixture by λ is rlax's.
///
/// ```
/// use tdrm_algo::value::VTrace;
/// use tdrm_core::{Steps, ValueTarget};
/// let log_ratios = [2.0_f64.ln(), 0.5_f64.ln()];
/// let steps = Steps::new(&[1.0, 2.0], &[1.0, 0.0], &[1.0, 4.0, 9.0])?.with_log_ratios(&log_ratios)?;
/// // e_1 = ½(2 − 4) = −1, e_0 = 1·(1 + 4 − 1) + 1·1·(−1) = 3
/// assert_eq!(VTrace::default().targets(steps), [4.0, 3.0]);
/// # Ok::<(), tdrm_core::ShapeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VTrace {
    /// Trace decay λ, one or one per step.
    pub lambda: Trace,
    /// ρ̄, the largest weight of a temporal difference.
    pub rho_clip: NonNegative,
    /// c̄, the largest weight of a trace.
    pub c_clip: NonNegative,
    /// The largest weight of an advantage.
    pub pg_rho_clip: NonNegative,
}

impl Default for VTrace {
    fn default() -> Self {
        Self { lambda: Trace::ONE, rho_clip: ONE, c_clip: ONE, pg_rho_clip: ONE }
    }
}

impl Backward for VTrace {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        let (rho_clip, c_clip): (F, F) = (self.rho_clip.get(), self.c_clip.get());
        PlusValue(Corrections(move |rho: F| (rho.min(rho_clip), rho.min(c_clip))))
    }

    fn lambda(&self) -> Option<&Trace> {
        Some(&self.lambda)
    }
}

impl VTrace {
    /// Replaces `out` by the advantages of the policy gradient, `[T]`, given the targets of the same steps.
    pub fn pg_advantages_into<F: Real>(&self, steps: Steps<'_, F>, targets: &[F], out: &mut Vec<F>) {
        let clip: F = self.pg_rho_clip.get();
        let later = targets.iter().copied().skip(1).chain([steps.bootstrap()]);
        out.clear();
        out.extend(steps.iter().zip(later).enumerate().map(|(t, (s, later))| {
            let lambda: F = self.lambda.at(t);
            let next = lambda * later + (F::one() - lambda) * s.next_value;
            ratio(steps, t).min(clip) * (s.reward + s.discount * next - s.value)
        }));
    }
}

/// V-trace with ρ̄ = c̄ = α min(1, ρ) + (1 − α) ρ: α = 1 is V-trace, α = 0 plain importance sampling.
///
/// ```text
/// vs_t = v_t + e_t,     e_t = w_t (r_t + γ_t v_{t+1} − v_t) + γ_t λ_t w_t e_{t+1},     w = α min(1, ρ) + (1 − α) ρ
/// ```
///
/// Zahavy et al. (2020), §4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakyVTrace {
    /// α, the share of the clipped weight.
    pub alpha: Probability,
    /// Trace decay λ, one or one per step.
    #[serde(default)]
    pub lambda: Trace,
}

impl Backward for LeakyVTrace {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        let alpha: F = self.alpha.get();
        let weight = move |rho: F| alpha * rho.min(F::one()) + (F::one() - alpha) * rho;
        PlusValue(Corrections(move |rho| (weight(rho), weight(rho))))
    }

    fn lambda(&self) -> Option<&Trace> {
        Some(&self.lambda)
    }
}

/// λ-return with a full importance weight per decision.
///
/// ```text
/// G_t = v_t + ρ_t (δ_t + γ_t λ_t ρ_{t+1} (δ_{t+1} + …)),     δ_t = r_t + γ_t v_{t+1} − v_t
/// ```
///
/// Unbiased, of unbounded variance. Sutton & Barto (2018), §12.9.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImportanceSampling {
    /// Trace decay λ, one or one per step.
    pub lambda: Trace,
}

impl Backward for ImportanceSampling {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        PlusValue(Corrections(|rho| (rho, rho)))
    }

    fn lambda(&self) -> Option<&Trace> {
        Some(&self.lambda)
    }
}

/// e_t = ρ̄_t δ_t + γ_t λ_t c_t e_{t+1}; the function gives (ρ̄_t, c_t) of ρ_t.
#[derive(Clone, Copy)]
struct Corrections<W>(W);

impl<F: Real, W: Fn(F) -> (F, F) + Copy> Recursion<F> for Corrections<W> {
    fn last(self, _: F) -> F {
        F::zero()
    }

    #[inline]
    fn coefficients(self, seen: Seen<F>) -> (F, F) {
        let (rho, c) = (self.0)(seen.ratio());
        (rho * seen.delta(), seen.step.discount * (seen.lambda * c))
    }
}

/// ρ_t = π/μ; 1 on-policy.
fn ratio<F: Real>(steps: Steps<'_, F>, t: usize) -> F {
    steps.log_ratios().map_or(F::one(), |ratios| exp(ratios[t]))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tdrm_core::ValueTarget;

    use super::*;

    #[test]
    fn advantages_look_at_the_next_target() {
        // vs = (4, 3) as in the doctest; A_0 = min(1, 2)(1 + 3 − 1) = 3, A_1 = ½(2 − 4) = −1
        let log_ratios = [2.0_f64.ln(), 0.5_f64.ln()];
        let steps =
            Steps::new(&[1.0, 2.0], &[1.0, 0.0], &[1.0, 4.0, 9.0]).unwrap().with_log_ratios(&log_ratios).unwrap();
        let mut out = vec![];
        VTrace::default().pg_advantages_into(steps, &[4.0, 3.0], &mut out);
        assert_eq!(out, [3.0, -1.0]);
    }

    #[test]
    fn a_step_that_the_policy_would_never_take_teaches_nothing() {
        let log_ratios = [f64::NEG_INFINITY];
        let steps = Steps::new(&[100.0], &[1.0], &[1.0, 4.0]).unwrap().with_log_ratios(&log_ratios).unwrap();
        assert_eq!(VTrace::default().targets(steps), [1.0]);
    }

    #[test]
    fn leaks_interpolate_between_v_trace_and_importance_sampling() {
        let log_ratios = [0.7, -0.3, 1.1];
        let steps = Steps::new(&[1.0, 2.0, -1.0], &[0.9; 3], &[0.5, 4.0, 9.0, 2.0]).unwrap();
        let steps = steps.with_log_ratios(&log_ratios).unwrap();
        let leaky = |alpha| LeakyVTrace { alpha: Probability::new(alpha).unwrap(), lambda: Trace::ONE }.targets(steps);
        assert_eq!(leaky(1.0), VTrace::default().targets(steps));
        assert_eq!(leaky(0.0), ImportanceSampling::default().targets(steps));
    }

    #[test]
    fn an_empty_config_is_impala() {
        assert_eq!(serde_json::from_str::<VTrace>("{}").unwrap(), VTrace::default());
        assert!(serde_json::from_str::<VTrace>(r#"{"rho_clip":-1}"#).is_err());
    }
}
