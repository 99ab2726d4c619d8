//! Losses of a group of responses to one prompt, and of the steps of one return.

use serde::{Deserialize, Serialize};
use tdrm_core::{Positive, Real};

use super::{PreferenceError, same_length, sigmoid, softplus};
use crate::objective::categorical::log_softmax;

/// Every correct response against every wrong one: a smooth 1 − AUC.
///
/// ```text
/// ℓ = mean over i right, j wrong of softplus(−(s_i − s_j))
/// ```
///
/// Zero for a group without both kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupPairwise {}

impl GroupPairwise {
    /// ℓ of one group and its derivative in each score.
    ///
    /// # Errors
    /// If the lengths differ.
    pub fn evaluate<F: Real>(&self, scores: &[F], correct: &[bool]) -> Result<(F, Vec<F>), PreferenceError> {
        same_length("labels", scores.len(), correct.len())?;
        let right = correct.iter().filter(|&&c| c).count();
        let pairs = right * (correct.len() - right);
        let share = F::count(pairs.max(1)).recip();
        let mut loss = F::zero();
        let mut gradient = vec![F::zero(); scores.len()];
        for i in (0..scores.len()).filter(|&i| correct[i]) {
            for j in (0..scores.len()).filter(|&j| !correct[j]) {
                let z = scores[i] - scores[j];
                loss = loss + share * softplus(-z);
                gradient[i] = gradient[i] - share * sigmoid(-z);
                gradient[j] = gradient[j] + share * sigmoid(-z);
            }
        }
        Ok((loss, gradient))
    }
}

/// One positive among candidates.
///
/// ```text
/// ℓ = −ln softmax(s/τ)_positive
/// ```
///
/// van den Oord et al. (1807.03748) eq. 4.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InfoNce {
    /// τ.
    pub temperature: Positive,
}

impl InfoNce {
    /// ℓ and its derivative in each score.
    ///
    /// # Errors
    /// If the positive is not among the candidates.
    pub fn evaluate<F: Real>(&self, scores: &[F], positive: usize) -> Result<(F, Vec<F>), PreferenceError> {
        if positive >= scores.len() {
            return Err(PreferenceError::Index { column: "positive", expected: scores.len(), got: positive });
        }
        let tau: F = self.temperature.get();
        let scaled: Vec<F> = scores.iter().map(|&s| s / tau).collect();
        let log_probs = log_softmax(&scaled);
        let indicator = |k: usize| if k == positive { F::one() } else { F::zero() };
        let gradient = log_probs.iter().enumerate().map(|(k, lp)| (lp.exp() - indicator(k)) / tau).collect();
        Ok((-log_probs[positive], gradient))
    }
}

/// A return explained as a sum of step rewards.
///
/// ```text
/// ℓ = (R − c Σ_t r_t)²,    c = 1, or T/K when K of T steps were sampled
/// ```
///
/// RUDDER (1806.07857) and randomised return decomposition (2111.13485) eq. 7, without its variance correction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReturnDecomposition {}

impl ReturnDecomposition {
    /// ℓ of one trajectory of `length` steps of which `rewards` are predicted, and its derivative in each.
    #[must_use]
    pub fn evaluate<F: Real>(&self, rewards: &[F], total: F, length: usize) -> (F, Vec<F>) {
        let scale = F::count(length) / F::count(rewards.len().max(1));
        let residual = total - scale * rewards.iter().copied().sum::<F>();
        (residual * residual, vec![-F::of(2.0) * scale * residual; rewards.len()])
    }
}
