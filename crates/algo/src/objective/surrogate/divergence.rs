//! A trust region on the probability of the token itself.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Positive, Real};

use super::{Clip, Dual, Point, TokenLoss};

/// How far the probability of the sampled token may move: p = π_old(a), q = π(a), all other actions lumped together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Divergence {
    /// |q − p|.
    TotalVariation,
    /// p ln(p/q) + (1 − p) ln((1 − p)/(1 − q)), with 1e-8 added to both complements.
    Kl,
}

/// DPPO: the token counts unless it has already moved too far in the direction of its advantage.
///
/// ```text
/// ℓ = −sg[min(ρ, c)] A log π · 1[inside]
/// A > 0: inside if q ≤ p or D ≤ δ₊;    A ≤ 0: inside if q ≥ p or D ≤ δ₋
/// ```
///
/// "Rethinking the Trust Region in LLM Reinforcement Learning" (2602.04879) eq. 11–14, binary forms. Only at the level
/// `token`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DivergenceMask {
    /// The divergence.
    pub divergence: Divergence,
    /// δ₋.
    pub low: NonNegative,
    /// δ₊.
    pub high: NonNegative,
    /// c; verl: 20.
    #[serde(default)]
    pub max_ratio: Option<Positive>,
}

impl Divergence {
    fn between<F: Real>(self, old_logp: F, logp: F) -> F {
        let (p, q) = (old_logp.exp(), logp.exp());
        let rest = |x: F| F::one() - x + F::of(1e-8);
        match self {
            Self::TotalVariation => (q - p).abs(),
            Self::Kl => p * (old_logp - logp) + (F::one() - p) * (rest(p) / rest(q)).ln(),
        }
    }
}

impl<F: Real> TokenLoss<F> for DivergenceMask {
    fn at(&self, p: &Point<F>) -> Dual<F> {
        let old_logp = p.logp - p.log_ratio_sum;
        let moved = self.divergence.between(old_logp, p.logp);
        let (q, was) = (p.logp.exp(), old_logp.exp());
        let outside = if p.advantage > F::zero() {
            (q > was && moved > self.high.get()).then_some(Clip::High)
        } else {
            (q < was && moved > self.low.get()).then_some(Clip::Low)
        };
        let ratio = self.max_ratio.map_or(p.ratio, |bound| p.ratio.min(bound.get()));
        let weight = if outside.is_some() { F::zero() } else { ratio * p.advantage };
        Dual::weighted_score(weight, p.logp, outside.unwrap_or_default())
    }
}
