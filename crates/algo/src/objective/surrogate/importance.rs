//! The ratio without a bound.

use serde::{Deserialize, Serialize};
use tdrm_core::Real;

use super::{Clip, Dual, Point, TokenLoss};

/// `ℓ = −ρA`, `∂ℓ/∂x = −ρA`: PPO's surrogate with ε = ∞ (1707.06347 eq. 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Importance {}

impl<F: Real> TokenLoss<F> for Importance {
    fn at(&self, p: &Point<F>) -> Dual<F> {
        let loss = -p.ratio * p.advantage;
        Dual::through_ratio(loss, loss, Clip::None)
    }
}
