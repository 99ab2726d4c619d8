//! A KL penalty for the few tokens that drive the collapse of entropy.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Probability, Real};

use super::SequenceTerms;

/// Adds `coefficient · |log π − log π_old|` to the tokens of largest covariance between log π and advantage.
///
/// ```text
/// cov_t = (A_t − Ā)(log π_t − mean log π),   the ⌊fraction · N⌋ largest, at least one
/// ```
///
/// KL-Cov of "The entropy mechanism" (2505.22617) §4. Tokens that tie with the last one are all taken, so that the
/// choice does not depend on their order (with Ā = A_t everywhere, that is all of them).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CovariancePenalty {
    /// Fraction of tokens to penalise.
    pub fraction: Probability,
    /// Weight of |log-ratio|.
    pub coefficient: NonNegative,
}

/// The statistics of a batch that decide which tokens are penalised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// Mean advantage over the tokens.
    pub advantage: f64,
    /// Mean log π over the tokens.
    pub logp: f64,
    /// Smallest covariance that is penalised.
    pub threshold: f64,
}

impl Cut {
    fn covariance(&self, advantage: f64, logp: f64) -> f64 {
        (advantage - self.advantage) * (logp - self.logp)
    }

    /// Whether a token is penalised.
    pub(super) fn takes<F: Real>(&self, advantage: F, logp: F) -> bool {
        self.covariance(advantage.as_f64(), logp.as_f64()) >= self.threshold
    }
}

impl CovariancePenalty {
    /// The statistics of a whole batch; `None` of nothing.
    pub(super) fn cut<F: Real>(&self, batch: &[SequenceTerms<'_, F>]) -> Option<Cut> {
        let tokens: Vec<(f64, f64)> = batch
            .iter()
            .flat_map(|s| (0..s.logp.len()).filter(|&t| s.active(t)).map(|t| (s.advantages.at(t), s.logp[t])))
            .map(|(advantage, logp)| (advantage.as_f64(), logp.as_f64()))
            .collect();
        let n = tokens.len();
        let mean = |x: fn(&(f64, f64)) -> f64| tokens.iter().map(x).sum::<f64>() / n as f64;
        let mut cut = Cut { advantage: mean(|x| x.0), logp: mean(|x| x.1), threshold: f64::NEG_INFINITY };
        let mut covariances: Vec<f64> = tokens.iter().map(|&(a, l)| cut.covariance(a, l)).collect();
        covariances.sort_by(|a, b| b.total_cmp(a));
        let taken = ((n as f64 * self.fraction.get::<f64>()) as usize).max(1);
        cut.threshold = *covariances.get(taken.min(n).checked_sub(1)?)?;
        Some(cut)
    }
}
