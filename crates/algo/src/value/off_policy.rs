//! Targets for action values: one recursion, many traces.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Real};

use super::Trace;
use super::recursion::{Backward, Recursion, Seen};
use super::td::LambdaReturn;

/// Off-policy λ-return of action values with the traces as they are given.
///
/// ```text
/// G_t = r_t + γ_t [ v_{t+1} + c_{t+1} (G_{t+1} − q_{t+1}) ],     G_{T−1} = r_{T−1} + γ_{T−1} v_T
/// v = E_π Q(s, ·),   q = Q(s, a)
/// ```
///
/// Reads `q_values`; where they are absent `q = v`. The first trace and the first q are unused. [`Retrace`],
/// [`TreeBackup`] and [`Watkins`] choose the traces. Munos et al. (2016), eq. 3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffPolicy {
    /// c_t, `[T]`; missing ones are 0.
    pub traces: Vec<NonNegative>,
}

impl Backward for OffPolicy {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        ActionReturns(|seen: &Seen<F>| self.traces.get(seen.t).map_or(F::zero(), |c| c.get()))
    }

    fn lambda(&self) -> Option<&Trace> {
        None
    }
}

/// Retrace(λ): safe for any behaviour, efficient near the target policy.
///
/// ```text
/// c_t = λ_t min(1, ρ_t),     ρ_t = π(a_t|s_t) / μ(a_t|s_t)
/// ```
///
/// Munos et al. (2016), §3.
///
/// ```
/// use tdrm_algo::value::Retrace;
/// use tdrm_core::{Steps, ValueTarget};
/// let (q, log_ratios) = ([9.0, 2.0], [9.0, 0.5_f64.ln()]);
/// let steps = Steps::new(&[1.0, 3.0], &[1.0, 0.0], &[9.0, 4.0, 9.0])?.with_q_values(&q)?.with_log_ratios(&log_ratios)?;
/// assert_eq!(Retrace::default().targets(steps), [5.5, 3.0]); // 1 + 4 + ½(3 − 2)
/// # Ok::<(), tdrm_core::ShapeError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retrace {
    /// Trace decay λ, one or one per step.
    pub lambda: Trace,
}

impl Backward for Retrace {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        ActionReturns(|seen: &Seen<F>| seen.lambda * seen.ratio().min(F::one()))
    }

    fn lambda(&self) -> Option<&Trace> {
        Some(&self.lambda)
    }
}

/// Tree-backup: needs no behaviour probabilities.
///
/// ```text
/// c_t = λ_t π(a_t|s_t)
/// ```
///
/// The formula has no μ, so the column `log_ratios` holds log π(a_t|s_t) (the ratio to μ = 1). Precup et al. (2000).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TreeBackup {
    /// Trace decay λ, one or one per step.
    pub lambda: Trace,
}

impl Backward for TreeBackup {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        ActionReturns(|seen: &Seen<F>| seen.lambda * seen.ratio())
    }

    fn lambda(&self) -> Option<&Trace> {
        Some(&self.lambda)
    }
}

/// Watkins's Q(λ): the trace ends before the first action that is not greedy.
///
/// ```text
/// c_t = λ_t 1[q_t ≥ v_t],     v = max_a Q(s, a)
/// ```
///
/// Sutton & Barto (2018), §12.10.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Watkins {
    /// Trace decay λ, one or one per step.
    pub lambda: Trace,
}

impl Backward for Watkins {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        ActionReturns(|seen: &Seen<F>| if seen.q_or_value() >= seen.step.value { seen.lambda } else { F::zero() })
    }

    fn lambda(&self) -> Option<&Trace> {
        Some(&self.lambda)
    }
}

/// Peng's Q(λ): the λ-return on greedy values, never cut.
///
/// ```text
/// G_t = r_t + γ_t [ (1 − λ_t) v_{t+1} + λ_t G_{t+1} ],     v = max_a Q(s, a)
/// ```
///
/// Peng & Williams (1994).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QLambda {
    /// Trace decay λ, one or one per step.
    pub lambda: Trace,
}

impl Backward for QLambda {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        LambdaReturn
    }

    fn lambda(&self) -> Option<&Trace> {
        Some(&self.lambda)
    }
}

/// Upgoing policy update: follows the trajectory as long as it does better than expected.
///
/// ```text
/// G_t = r_t + γ_t max-or-not(t+1),     G_T = v_T
/// max-or-not(t) = G_t if q_t ≥ v_t else v_t,     q_t = r_t + γ_t v_{t+1} unless given
/// ```
///
/// Vinyals et al. (2019), supplement, "UPGO".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgo {}

impl Backward for Upgo {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        Upgoing
    }

    fn lambda(&self) -> Option<&Trace> {
        None
    }
}

/// G_t = r_t + γ_t c_{t+1}, c_t = G_t or v_t.
#[derive(Debug, Clone, Copy)]
struct Upgoing;

impl<F: Real> Recursion<F> for Upgoing {
    const CARRIES_ITSELF: bool = false;

    #[inline]
    fn coefficients(self, seen: Seen<F>) -> (F, F) {
        (seen.step.reward, seen.step.discount)
    }

    /// G_t if the action did at least as well as expected.
    #[inline]
    fn carried(self, seen: Seen<F>, g: F) -> F {
        if seen.q.unwrap_or_else(|| seen.one_step()) >= seen.step.value { g } else { seen.step.value }
    }
}

/// G_t = r_t + γ_t v_{t+1} + γ_t h_{t+1}, h_t = c_t (G_t − q_t); the function gives the trace c_t.
#[derive(Clone, Copy)]
struct ActionReturns<C>(C);

impl<F: Real, C: Fn(&Seen<F>) -> F + Copy> Recursion<F> for ActionReturns<C> {
    const CARRIES_ITSELF: bool = false;

    fn last(self, _: F) -> F {
        F::zero()
    }

    #[inline]
    fn coefficients(self, seen: Seen<F>) -> (F, F) {
        (seen.one_step(), seen.step.discount)
    }

    #[inline]
    fn carried(self, seen: Seen<F>, g: F) -> F {
        (self.0)(&seen) * (g - seen.q_or_value())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tdrm_core::{Steps, ValueTarget};

    use super::super::Td0;
    use super::*;

    const R: [f64; 3] = [1.0, 2.0, 4.0];
    const D: [f64; 3] = [0.5, 0.5, 0.5];
    const V: [f64; 4] = [3.0, 8.0, 6.0, 2.0];
    const Q: [f64; 3] = [1.0, 8.0, 5.0];

    fn steps() -> Steps<'static, f64> {
        Steps::new(&R, &D, &V).unwrap().with_q_values(&Q).unwrap()
    }

    #[test]
    fn given_traces_by_hand() {
        // G_2 = 4 + 1 = 5; G_1 = 2 + ½(6 + 1·(5 − 5)) = 5; G_0 = 1 + ½(8 + ½·(5 − 8)) = 4.25
        let c = [9.0, 0.5, 1.0].map(|c| NonNegative::new(c).unwrap()).to_vec();
        assert_eq!(OffPolicy { traces: c }.targets(steps()), [4.25, 5.0, 5.0]);
        assert_eq!(OffPolicy { traces: vec![] }.targets(steps()), Td0 {}.targets(steps()));
    }

    #[test]
    fn watkins_cuts_where_the_action_was_not_greedy() {
        // s_1: q = v = 8 greedy, s_2: q = 5 < 6 not. G_1 = 2 + 3 = 5, G_0 = 1 + ½(8 + 5 − 8) = 3.5
        assert_eq!(Watkins::default().targets(steps()), [3.5, 5.0, 5.0]);
    }

    #[test]
    fn tree_backup_weights_by_the_probability_of_the_action() {
        let log_pi = [0.0, 0.5_f64.ln(), 1.0_f64.ln()];
        let targets = TreeBackup::default().targets(steps().with_log_ratios(&log_pi).unwrap());
        assert_eq!(targets, [4.25, 5.0, 5.0]); // the traces of the first test
    }

    #[test]
    fn retrace_never_amplifies_a_trace() {
        let log_ratios = [9.0; 3];
        let capped = Retrace::default().targets(steps().with_log_ratios(&log_ratios).unwrap());
        assert_eq!(capped, Retrace::default().targets(steps()));
    }

    #[test]
    fn upgo_follows_only_what_went_better_than_expected() {
        // q_2 = 4 + 1 = 5 < 6: stop at v_2; q_1 = 2 + 3 = 5 < 8: stop at v_1
        let plain = Steps::new(&R, &D, &V).unwrap();
        assert_eq!(Upgo {}.targets(plain), [5.0, 5.0, 5.0]);
        // v_1 = 4 ≤ q_1 = 5: G_0 = 1 + ½·G_1, G_1 = 2 + ½·6
        let lucky = Steps::new(&R, &D, &[3.0, 4.0, 6.0, 2.0]).unwrap();
        assert_eq!(Upgo {}.targets(lucky), [3.5, 5.0, 5.0]);
    }

    #[test]
    fn the_empty_trajectory_has_no_targets() {
        let nothing = Steps::new(&[], &[], &[1.0]).unwrap();
        assert_eq!(Retrace::default().targets(nothing), Vec::<f64>::new());
        assert_eq!(Upgo {}.targets(nothing), Vec::<f64>::new());
    }
}
