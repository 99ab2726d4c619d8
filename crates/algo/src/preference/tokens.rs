//! From tokens to responses and back.

use serde::{Deserialize, Serialize};
use tdrm_core::{Probability, Real};

use super::{Pair, PreferenceError, PreferenceLoss, Response, same_length};

/// Log-probabilities of the tokens of a pair; each response has its own length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenPair<'a, F> {
    /// log π of the chosen tokens, `[T_w]`.
    pub chosen: &'a [F],
    /// log π of the rejected tokens, `[T_l]`.
    pub rejected: &'a [F],
    /// log π_ref of the chosen tokens; empty for losses without a reference.
    pub ref_chosen: &'a [F],
    /// log π_ref of the rejected tokens; empty for losses without a reference.
    pub ref_rejected: &'a [F],
    /// `ln Σ_a π(a)²` at the chosen tokens, for [`Weighting::Wpo`]; empty: 0.
    pub collision_chosen: &'a [F],
    /// `ln Σ_a π(a)²` at the rejected tokens, for [`Weighting::Wpo`]; empty: 0.
    pub collision_rejected: &'a [F],
}

impl<'a, F> TokenPair<'a, F> {
    /// A pair with a reference.
    #[must_use]
    pub fn new(chosen: &'a [F], rejected: &'a [F], ref_chosen: &'a [F], ref_rejected: &'a [F]) -> Self {
        Self { chosen, rejected, ref_chosen, ref_rejected, collision_chosen: &[], collision_rejected: &[] }
    }
}

/// How much a pair counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Weighting {
    /// All pairs count the same.
    #[default]
    Equal,
    /// WPO (2406.11827) eq. 2: by the mean log-probability of both responses under the policy, aligned by the
    /// probability of drawing the same token twice, held fixed.
    ///
    /// ```text
    /// w = exp( mean_t(log π_w − ln Σ π²) + mean_t(log π_l − ln Σ π²) )
    /// ```
    Wpo,
}

/// A preference loss with what happens between tokens and responses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreferenceObjective {
    /// The loss of a pair of responses.
    pub loss: PreferenceLoss,
    /// LD-DPO (2409.06411): tokens beyond the length of the shorter response count α.
    #[serde(default)]
    pub tail_weight: Option<Probability>,
    /// How much a pair counts.
    #[serde(default)]
    pub weighting: Weighting,
}

/// A preference objective on a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenEvaluation<F> {
    /// Mean over the pairs.
    pub loss: F,
    /// ∂loss/∂log π of the chosen tokens, `[n][T_w]`.
    pub chosen: Vec<Vec<F>>,
    /// ∂loss/∂log π of the rejected tokens, `[n][T_l]`.
    pub rejected: Vec<Vec<F>>,
}

impl From<PreferenceLoss> for PreferenceObjective {
    fn from(loss: PreferenceLoss) -> Self {
        Self { loss, tail_weight: None, weighting: Weighting::Equal }
    }
}

impl PreferenceObjective {
    /// The loss and its derivative in the log-probability of every token.
    ///
    /// # Errors
    /// If a reference or collision column is given with another length than its tokens.
    pub fn evaluate<F: Real>(&self, batch: &[TokenPair<'_, F>]) -> Result<TokenEvaluation<F>, PreferenceError> {
        let pairs = batch.iter().map(|pair| self.pool(pair)).collect::<Result<Vec<_>, _>>()?;
        let pooled = self.loss.evaluate(&pairs);
        let spread = |derivative: F, own: usize, other: usize| {
            (0..own).map(|t| derivative * self.token_weight(t, other)).collect::<Vec<F>>()
        };
        Ok(TokenEvaluation {
            loss: pooled.loss,
            chosen: batch
                .iter()
                .zip(&pooled.chosen)
                .map(|(p, &d)| spread(d, p.chosen.len(), p.rejected.len()))
                .collect(),
            rejected: batch
                .iter()
                .zip(&pooled.rejected)
                .map(|(p, &d)| spread(d, p.rejected.len(), p.chosen.len()))
                .collect(),
        })
    }

    fn pool<F: Real>(&self, pair: &TokenPair<'_, F>) -> Result<Pair<F>, PreferenceError> {
        let weight = match self.weighting {
            Weighting::Equal => F::one(),
            Weighting::Wpo => {
                (aligned(pair.chosen, pair.collision_chosen)? + aligned(pair.rejected, pair.collision_rejected)?).exp()
            }
        };
        Ok(Pair {
            chosen: self.response(pair.chosen, pair.ref_chosen, pair.rejected.len(), "ref_chosen")?,
            rejected: self.response(pair.rejected, pair.ref_rejected, pair.chosen.len(), "ref_rejected")?,
            weight,
        })
    }

    fn response<F: Real>(
        &self,
        logp: &[F],
        ref_logp: &[F],
        other: usize,
        column: &'static str,
    ) -> Result<Response<F>, PreferenceError> {
        if !ref_logp.is_empty() {
            same_length(column, logp.len(), ref_logp.len())?;
        }
        let sum = |column: &[F]| column.iter().enumerate().map(|(t, &x)| x * self.token_weight(t, other)).sum();
        Ok(Response { logp: sum(logp), ref_logp: sum(ref_logp), length: F::count(logp.len()) })
    }

    /// 1, or α beyond the length of the other response.
    fn token_weight<F: Real>(&self, t: usize, other: usize) -> F {
        match self.tail_weight {
            Some(alpha) if t >= other => alpha.get(),
            _ => F::one(),
        }
    }
}

/// Mean of log π − ln Σ π².
fn aligned<F: Real>(logp: &[F], collision: &[F]) -> Result<F, PreferenceError> {
    if !collision.is_empty() {
        same_length("collision", logp.len(), collision.len())?;
    }
    let total = logp.iter().copied().sum::<F>() - collision.iter().copied().sum::<F>();
    Ok(total / F::count(logp.len().max(1)))
}
