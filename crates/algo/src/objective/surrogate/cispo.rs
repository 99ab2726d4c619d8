//! Clipped importance-sampling weights.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Real};

use super::{Clip, Dual, Point, TokenLoss};

/// What the bounds of [`Cispo`] are measured from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClipConvention {
    /// ρ is clipped to [1 − low, 1 + high], as in the paper and in verl.
    #[default]
    AroundOne,
    /// ρ is clipped to [low, high], as TRL does with `epsilon_high`.
    Absolute,
}

/// CISPO: a clipped weight that is held fixed, so that every token keeps a gradient.
///
/// ```text
/// ℓ = −sg[clip(ρ, 1−ε₋, 1+ε₊)] A log π,     ∂ℓ/∂log π = −clip(ρ) A
/// ```
///
/// MiniMax-M1 (2506.13585) eq. 4–5, which leaves ε₋ open ("we did not impose a lower bound"): `low` is optional.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cispo {
    /// ε₋, or the smallest ratio; none: no lower bound.
    #[serde(default)]
    pub low: Option<NonNegative>,
    /// ε₊, or the largest ratio.
    pub high: NonNegative,
    /// What the bounds are measured from.
    #[serde(default)]
    pub convention: ClipConvention,
}

impl Cispo {
    fn bounds<F: Real>(&self) -> (F, F) {
        let low = self.low.map(NonNegative::get::<F>);
        match self.convention {
            ClipConvention::AroundOne => (low.map_or(F::zero(), |low| F::one() - low), F::one() + self.high.get()),
            ClipConvention::Absolute => (low.unwrap_or_else(F::zero), self.high.get()),
        }
    }
}

impl<F: Real> TokenLoss<F> for Cispo {
    fn at(&self, p: &Point<F>) -> Dual<F> {
        let (low, high) = self.bounds();
        let (above, below) = (p.ratio > high, p.ratio < low);
        // Three choices that wait for nothing: they become selections, where one branch over all three would be guessed.
        let weight = if above { high } else { p.ratio };
        let weight = if below { low } else { weight };
        Dual::weighted_score(weight * p.advantage, p.logp, Clip::of(below, above))
    }
}
