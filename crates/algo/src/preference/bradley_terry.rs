//! Scores of a reward model on pairs.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Real};

use super::{PairEvaluation, sigmoid, softplus};

/// Scores of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardPair<F> {
    /// r_w.
    pub chosen: F,
    /// r_l.
    pub rejected: F,
    /// m: by how much the chosen one ought to be better; 0 ordinarily.
    pub margin: F,
}

/// Bradley–Terry with margin and centring.
///
/// ```text
/// ℓ = −ln σ(r_w − r_l − m) + c (r_w + r_l)²
/// ```
///
/// Bradley & Terry (1952); the margin as in Llama 2 (2307.09288) eq. 2; centring as in 2312.09244.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BradleyTerry {
    /// c; 0: scores are free up to a constant.
    #[serde(default = "free")]
    pub centering: NonNegative,
}

fn free() -> NonNegative {
    NonNegative::ZERO
}

impl BradleyTerry {
    /// Mean over the pairs, and its derivative in both scores.
    #[must_use]
    pub fn evaluate<F: Real>(&self, pairs: &[RewardPair<F>]) -> PairEvaluation<F> {
        let share = F::count(pairs.len().max(1)).recip();
        let mut out = PairEvaluation { loss: F::zero(), chosen: Vec::new(), rejected: Vec::new() };
        for pair in pairs {
            let (z, sum) = (pair.chosen - pair.rejected - pair.margin, pair.chosen + pair.rejected);
            let pull = self.centering.get::<F>() * sum;
            out.loss = out.loss + share * (softplus(-z) + pull * sum);
            out.chosen.push(share * (pull + pull - sigmoid(-z)));
            out.rejected.push(share * (pull + pull + sigmoid(-z)));
        }
        out
    }
}
