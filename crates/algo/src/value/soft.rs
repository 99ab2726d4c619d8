//! Entropy- and KL-regularised returns.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Real};

use super::Trace;
use super::recursion::{Backward, Recursion, Seen};
use super::td::LambdaReturn;

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

impl Backward for Soft {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        Priced { alpha: self.alpha.get() }
    }

    fn lambda(&self) -> Option<&Trace> {
        Some(&self.lambda)
    }
}

/// The λ-return of r − α ℓ.
#[derive(Debug, Clone, Copy)]
struct Priced<F> {
    alpha: F,
}

impl<F: Real> Recursion<F> for Priced<F> {
    #[inline]
    fn coefficients(self, mut seen: Seen<F>) -> (F, F) {
        seen.step.reward = seen.step.reward - seen.log_ratio.map_or_else(F::zero, |l| self.alpha * l);
        LambdaReturn.coefficients(seen)
    }
}
