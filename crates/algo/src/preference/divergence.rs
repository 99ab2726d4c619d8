//! From a log-ratio to a score: the divergence that keeps the policy near its reference.

use serde::{Deserialize, Serialize};
use tdrm_core::Real;

use super::{log_sigmoid, sigmoid};

/// The f-divergence of f-DPO (2309.16240) §4: a response scores `f'(t)` at `t = π/π_ref = e^x`.
///
/// ```text
/// reverse_kl  x                          forward_kl  1 − e^{−x}
/// jensen_shannon  ln 2 + ln σ(x)         alpha  (e^{(α−1)x} − 1)/(α − 1), reverse_kl at α = 1
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Divergence {
    /// DPO's own.
    #[default]
    ReverseKl,
    /// KL(π_ref‖π).
    ForwardKl,
    /// Jensen–Shannon.
    JensenShannon,
    /// α-divergence.
    Alpha {
        /// α.
        alpha: f64,
    },
}

/// Largest exponent of the alpha divergence; the score is flat beyond it.
const EXPONENT_LIMIT: f64 = 80.0;

impl Divergence {
    /// The score at a log-ratio, and its derivative.
    pub(super) fn score<F: Real>(self, x: F) -> (F, F) {
        match self {
            Self::ReverseKl => (x, F::one()),
            Self::ForwardKl => (-(-x).exp_m1(), (-x).exp()),
            Self::JensenShannon => (F::of(std::f64::consts::LN_2) + log_sigmoid(x), sigmoid(-x)),
            Self::Alpha { alpha } if (alpha - 1.0).abs() < 1e-6 => (x, F::one()),
            Self::Alpha { alpha } => {
                let slope = F::of(alpha - 1.0);
                let exponent = slope * x;
                let flat = exponent > F::of(EXPONENT_LIMIT);
                let clamped = if flat { F::of(EXPONENT_LIMIT) } else { exponent };
                (clamped.exp_m1() / slope, if flat { F::zero() } else { clamped.exp() })
            }
        }
    }
}
