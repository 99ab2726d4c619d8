//! Matching a reward distribution instead of maximising the reward.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Positive, Real};

use super::{Clip, Dual, Point, TokenLoss};

/// FlowRL: the squared residual of trajectory balance, with an importance weight held fixed.
///
/// ```text
/// ℓ = w ( ln Z + log π − β r̂ − log π_ref )²,     w = sg[clip(Π ρ, 1−ε₋, 1+ε₊)]
/// ```
///
/// The advantage is the normalised reward r̂. At `sequence_mean` the log-probabilities are per token, as in the
/// paper (2509.15207 eq. 7); at `sequence_sum` the optimum is π_ref e^{βr̂}/Z exactly. `w` uses the ratio of the
/// whole segment at either. ∂L/∂ln Z is [`crate::objective::Coefficients::log_z`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrajectoryBalance {
    /// β; the paper: 15.
    pub beta: Positive,
    /// ε₋ and ε₊; none: w = 1.
    #[serde(default)]
    pub clip: Option<(NonNegative, NonNegative)>,
}

impl TrajectoryBalance {
    fn weight<F: Real>(&self, log_ratio: F) -> F {
        self.clip.map_or(F::one(), |(low, high)| log_ratio.exp().max(F::one() - low.get()).min(F::one() + high.get()))
    }
}

impl<F: Real> TokenLoss<F> for TrajectoryBalance {
    fn at(&self, p: &Point<F>) -> Dual<F> {
        let weight = self.weight(p.log_ratio_sum);
        let residual = p.log_z + p.logp - self.beta.get::<F>() * p.advantage - p.ref_logp;
        Dual {
            loss: weight * residual * residual,
            dratio: F::zero(),
            dlogp: F::of(2.0) * weight * residual,
            clip: Clip::None,
        }
    }

    fn learns_log_z(&self) -> bool {
        true
    }
}
