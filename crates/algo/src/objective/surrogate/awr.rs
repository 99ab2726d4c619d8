//! Regression weighted by exponentiated advantages.

use serde::{Deserialize, Serialize};
use tdrm_core::{Positive, Real};

use super::{Clip, Dual, Point, TokenLoss};

/// AWR: `ℓ = −min(e^{A/τ}, w_max) log π`.
///
/// Peng et al. (1910.00177) eq. 10 with the weight clip of §5.1 (their 20); a supervised step on the samples, no
/// ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdvantageWeighted {
    /// τ.
    pub temperature: Positive,
    /// w_max; none: no bound.
    #[serde(default)]
    pub max_weight: Option<Positive>,
}

impl<F: Real> TokenLoss<F> for AdvantageWeighted {
    fn at(&self, p: &Point<F>) -> Dual<F> {
        let raw = (p.advantage / self.temperature.get()).exp();
        match self.max_weight {
            Some(bound) if raw > bound.get() => Dual::weighted_score(bound.get(), p.logp, Clip::High),
            _ => Dual::weighted_score(raw, p.logp, Clip::None),
        }
    }
}
