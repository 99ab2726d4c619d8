//! The geometric mean of clipped token ratios.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Real};

use super::{Clip, Dual, Point, TokenLoss};

/// GMPO: token log-ratios are clipped one-sidedly, then averaged; the loss is that of the geometric mean.
///
/// ```text
/// x̃_t = min(x_t, ε₊) if A > 0,  max(x_t, −ε₋) if A < 0,  0 if A = 0
/// s = exp( Σ_t x̃_t / (|y| + ε) ),   ℓ = −s A
/// ```
///
/// 2507.20673 eq. 4, with the clip in log space: (e^{−0.4}, e^{0.4}). At the level `token` it runs as
/// `sequence_mean`, since the mean is the method; `step_mean` makes it a step method.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gmpo {
    /// ε₋, in nats.
    pub low: NonNegative,
    /// ε₊, in nats.
    pub high: NonNegative,
    /// Added to `|y|` in the mean (verl: 1e-8).
    #[serde(default = "none")]
    pub length_epsilon: NonNegative,
}

fn none() -> NonNegative {
    NonNegative::ZERO
}

impl<F: Real> TokenLoss<F> for Gmpo {
    fn at(&self, p: &Point<F>) -> Dual<F> {
        let loss = -p.ratio * p.advantage;
        Dual::through_ratio(loss, loss, Clip::None)
    }

    fn contribution(&self, log_ratio: F, advantage: F) -> (F, F) {
        let (low, high) = (-self.low.get::<F>(), self.high.get::<F>());
        if advantage > F::zero() && log_ratio > high {
            (high, F::zero())
        } else if advantage < F::zero() && log_ratio < low {
            (low, F::zero())
        } else if advantage == F::zero() {
            (F::zero(), F::zero())
        } else {
            (log_ratio, F::one())
        }
    }

    fn reshapes(&self) -> bool {
        true
    }

    fn length_epsilon(&self) -> F {
        self.length_epsilon.get()
    }
}
