//! Squared mirror-descent objectives.

use serde::{Deserialize, Serialize};
use tdrm_core::{Positive, Real};

use super::{Clip, Dual, Point, TokenLoss};

/// Kimi k1.5: the squared residual of the mirror-descent optimum.
///
/// ```text
/// ℓ = (A − τx)²,    ∂ℓ/∂x = −2τ(A − τx),    A = r − τ ln Z  (or r − r̄),  x = log π/π_i of the sequence
/// ```
///
/// Zero exactly at π* = π_i e^{r/τ}/Z. 2501.12599 §2.3.2; the paper's gradient is this one over 2τ, which is that of
/// [`DirectOptimisation`]. Use it at `sequence_sum`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorDescent {
    /// τ.
    pub tau: Positive,
}

impl<F: Real> TokenLoss<F> for MirrorDescent {
    fn at(&self, p: &Point<F>) -> Dual<F> {
        let tau: F = self.tau.get();
        let residual = p.advantage - tau * p.log_ratio;
        Dual::through_ratio(residual * residual, -F::of(2.0) * tau * residual, Clip::None)
    }
}

/// Direct reward optimisation: the score function with a quadratic leash on the log-ratio.
///
/// ```text
/// ℓ = −A log π + (β/2) x²,    ∂ℓ/∂log π = −A + βx
/// ```
///
/// 2405.19107 eq. 4 up to a constant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectOptimisation {
    /// β.
    pub beta: Positive,
}

impl<F: Real> TokenLoss<F> for DirectOptimisation {
    fn at(&self, p: &Point<F>) -> Dual<F> {
        let (beta, x): (F, F) = (self.beta.get(), p.log_ratio);
        Dual {
            loss: -p.advantage * p.logp + F::of(0.5) * beta * x * x,
            dratio: beta * x,
            dlogp: -p.advantage,
            clip: Clip::None,
        }
    }
}
