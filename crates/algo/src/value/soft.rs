//! Entropy- and KL-regularised returns.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Real, Steps, ValueTarget};

use super::Trace;
use super::td::backward;

/// λ-return in which every action pays for its log-probability.
///
/// ```text
/// G_t = r_t − α ℓ_t + γ_t [ (1 − λ_t) v_{t+1} + λ_t G_{t+1} ],     G_T = v_T
/// ```
///
/// ℓ is the column `log_ratios`: log π(a|s) for entropy regularisation (the ratio to μ = 1), log π − log π_ref for
/// KL regularisation. The target is one for the soft value V(s) = E[Q − α ℓ]; α = 0 is [`super::TdLambda`].
/// Nachum et al. (2017), eq. 14; Haarnoja et al. (2018), §4.1.
///
/// ```
/// use tdrm_algo::value::Soft;
/// use tdrm_core::{NonNegative, Steps, ValueTarget};
/// let soft = Soft { alpha: NonNegative::try_from(0.5)?, lambda: Default::default() };
/// let log_pi = [-2.0, -4.0];
/// let steps = Steps::new(&[1.0, 2.0], &[1.0, 0.0], &[0.0, 0.0, 0.0])?.with_log_ratios(&log_pi)?;
/// assert_eq!(soft.targets(steps), [6.0, 4.0]); // (1 + ½·2) + 4, 2 + ½·4
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Soft {
    /// α, the price of a nat.
    pub alpha: NonNegative,
    /// Trace decay λ, one or one per step.
    #[serde(default)]
    pub lambda: Trace,
}

impl<F: Real> ValueTarget<F> for Soft {
    fn targets_into(&self, steps: Steps<'_, F>, out: &mut Vec<F>) {
        let alpha: F = self.alpha.get();
        let price = |t: usize| steps.log_ratios().map_or(F::zero(), |l| alpha * l[t]);
        backward(steps.bootstrap(), steps.iter().enumerate(), out, |g, (t, s)| {
            let lambda: F = self.lambda.at(t);
            s.reward - price(t) + s.discount * ((F::one() - lambda) * s.next_value + lambda * g)
        });
    }
}
