//! The clipped surrogate of PPO.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Positive, Real};

use super::{Clip, Dual, Point, TokenLoss};

/// PPO's clip, asymmetric and optionally dual.
///
/// ```text
/// ℓ = −min( ρA, clip(ρ, 1−ε₋, 1+ε₊) A ),     A < 0: ℓ = min( −cA, that )
/// ∂ℓ/∂x = −ρA where no bound is active, else 0
/// ```
///
/// Schulman et al. (1707.06347) eq. 7; ε₊ > ε₋ is DAPO's clip-higher (2503.14476) §3.1; c is the dual clip of
/// Ye et al. (1912.09729) eq. 5. TRL's `delta` is the same bound as long as it is at least 1 + ε₊.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PpoClip {
    /// ε₋.
    pub low: NonNegative,
    /// ε₊.
    pub high: NonNegative,
    /// c > 1; none: no dual clip.
    #[serde(default)]
    pub dual: Option<Positive>,
}

impl<F: Real> TokenLoss<F> for PpoClip {
    fn at(&self, p: &Point<F>) -> Dual<F> {
        let (raw, bound) = (p.ratio * p.advantage, self.clip(p.ratio) * p.advantage);
        let cap = match self.dual {
            Some(dual) if p.advantage < F::zero() => dual.get::<F>() * p.advantage,
            _ => F::neg_infinity(),
        };
        let free = raw <= bound || raw.is_nan();
        if (if free { raw } else { bound }) < cap {
            Dual::through_ratio(-cap, F::zero(), Clip::Dual)
        } else if free {
            Dual::through_ratio(-raw, -raw, Clip::None)
        } else {
            let clip = if p.advantage > F::zero() { Clip::High } else { Clip::Low };
            Dual::through_ratio(-bound, F::zero(), clip)
        }
    }
}

impl PpoClip {
    fn clip<F: Real>(&self, ratio: F) -> F {
        ratio.max(F::one() - self.low.get()).min(F::one() + self.high.get())
    }
}
