//! A gamma-shaped weight of the sequence ratio.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Positive, Real};

use super::{Clip, Dual, Point, TokenLoss};

/// VESPO: a smooth weight that is 1 on-policy and falls on both sides, held fixed.
///
/// ```text
/// φ(w) = e^λ w^k e^{−λw},   ℓ = −sg[φ(w)] A log π,   (k, λ) = (k₊, λ₊) if A ≥ 0 else (k₋, λ₋)
/// ```
///
/// With w the ratio of the whole sequence (`sequence_sum_token`), never below 1e-8. 2602.10693.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vespo {
    /// k₊.
    pub k_positive: NonNegative,
    /// λ₊.
    pub lambda_positive: Positive,
    /// k₋.
    pub k_negative: NonNegative,
    /// λ₋.
    pub lambda_negative: Positive,
}

const SMALLEST_RATIO: f64 = 1e-8;

impl<F: Real> TokenLoss<F> for Vespo {
    fn at(&self, p: &Point<F>) -> Dual<F> {
        let (k, lambda): (F, F) = if p.advantage >= F::zero() {
            (self.k_positive.get(), self.lambda_positive.get())
        } else {
            (self.k_negative.get(), self.lambda_negative.get())
        };
        let log_w = p.log_ratio.max(F::of(SMALLEST_RATIO.ln()));
        let phi = (lambda + k * log_w - lambda * log_w.exp()).exp();
        Dual::weighted_score(phi * p.advantage, p.logp, Clip::None)
    }
}
