//! The score function.

use serde::{Deserialize, Serialize};
use tdrm_core::Real;

use super::{Clip, Dual, Point, TokenLoss};

/// REINFORCE: `ℓ = −A log π`, `∂ℓ/∂log π = −A`.
///
/// Williams (1992); the loss of GPG (2504.02546) and of RLOO in its first form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreFunction {}

impl<F: Real> TokenLoss<F> for ScoreFunction {
    fn at(&self, p: &Point<F>) -> Dual<F> {
        Dual::weighted_score(p.advantage, p.logp, Clip::None)
    }
}
