//! Return decomposition: one return, spread over the steps that earned it.

use serde::{Deserialize, Serialize};
use tdrm_core::{Real, Steps};

/// How the undiscounted return of a trajectory is spread over its steps.
///
/// The redistributed rewards sum to the return, so that optimal policies stay optimal. Discounts are not read.
///
/// ```
/// use tdrm_algo::value::Redistribution;
/// use tdrm_core::Steps;
/// let steps = Steps::new(&[0.0, 1.0], &[1.0, 0.0], &[0.5, 0.25, 1.0])?;
/// // differences −0.25 and 0.75 sum to ½; the other ½ goes to both
/// assert_eq!(Redistribution::ValueDifference.rewards(steps), [0.0, 1.0]);
/// # Ok::<(), tdrm_core::ShapeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Redistribution {
    /// The same for every step.
    ///
    /// ```text
    /// r̃_t = (1/T) Σ_i r_i
    /// ```
    ///
    /// Gangwani et al. (2020), IRCR.
    Uniform,
    /// To each step what it changed in the predicted return; what the prediction misses, equally to all.
    ///
    /// ```text
    /// r̃_t = v_{t+1} − v_t + (1/T) ( Σ_i r_i − (v_T − v_0) )
    /// ```
    ///
    /// `values[t]` predicts the return from the prefix up to t. Arjona-Medina et al. (2019), RUDDER, §3.
    ValueDifference,
}

impl Redistribution {
    /// Replaces `out` by the redistributed rewards, `[T]`.
    pub fn rewards_into<F: Real>(self, steps: Steps<'_, F>, out: &mut Vec<F>) {
        let share = |total: F| total / F::count(steps.len());
        let earned: F = steps.rewards().iter().copied().sum();
        out.clear();
        match self {
            Self::Uniform => out.resize(steps.len(), share(earned)),
            Self::ValueDifference => {
                let missed = share(earned - (steps.bootstrap() - steps.values()[0]));
                out.extend(steps.iter().map(|s| s.next_value - s.value + missed));
            }
        }
    }

    /// The redistributed rewards in a fresh vector, `[T]`.
    #[must_use]
    pub fn rewards<F: Real>(self, steps: Steps<'_, F>) -> Vec<F> {
        let mut out = Vec::new();
        self.rewards_into(steps, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_spread_sums_to_what_was_earned() {
        let steps = Steps::new(&[0.0, 0.5, 1.0, 3.0], &[1.0; 4], &[0.3, 2.0, -1.0, 4.0, 5.0]).unwrap();
        for rule in [Redistribution::Uniform, Redistribution::ValueDifference] {
            let total: f64 = rule.rewards(steps).iter().sum();
            assert!((total - 4.5).abs() < 1e-12, "{rule:?}");
        }
        assert_eq!(Redistribution::Uniform.rewards(steps), [1.125; 4]);
    }

    #[test]
    fn nothing_is_spread_over_no_steps() {
        let nothing = Steps::new(&[], &[], &[1.0_f64]).unwrap();
        assert!(Redistribution::Uniform.rewards(nothing).is_empty());
    }
}
