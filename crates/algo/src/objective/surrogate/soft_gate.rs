//! A sigmoid in place of the clip.

use serde::{Deserialize, Serialize};
use tdrm_core::{Positive, Real};

use super::{Clip, Dual, Point, TokenLoss};

/// SAPO's soft gate.
///
/// ```text
/// ℓ = −(4/τ) σ(τ(ρ − 1)) A,    ∂ℓ/∂x = −4 σ(1 − σ) ρ A,    τ = τ₊ if A > 0 else τ₋
/// ```
///
/// "Soft Adaptive Policy Optimization" (2511.20347): the gate is 1 at ρ = 1, so the gradient there is `−A`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftGate {
    /// τ₊, for A > 0; 1.0 in the paper according to verl and ms-swift.
    pub tau_positive: Positive,
    /// τ₋, for A ≤ 0; 1.05 there.
    pub tau_negative: Positive,
}

impl<F: Real> TokenLoss<F> for SoftGate {
    fn at(&self, p: &Point<F>) -> Dual<F> {
        let tau: F = if p.advantage > F::zero() { self.tau_positive.get() } else { self.tau_negative.get() };
        let gate = sigmoid(tau * (p.ratio - F::one()));
        let four = F::of(4.0);
        Dual::through_ratio(
            -four / tau * gate * p.advantage,
            -four * gate * (F::one() - gate) * p.ratio * p.advantage,
            Clip::None,
        )
    }
}

fn sigmoid<F: Real>(x: F) -> F {
    (F::one() + (-x).exp()).recip()
}
