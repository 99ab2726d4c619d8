//! Which tokens take part in the policy term.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Probability, Real};

use super::SequenceTerms;

/// Drops tokens from the policy term (and from an entropy bonus by token mean); the denominators stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Filter {
    /// Keeps the most uncertain tokens of the batch, "Beyond the 80/20 rule" (2506.01939): entropy at least the
    /// `(1 − fraction)` quantile (linear interpolation).
    TopEntropy {
        /// Fraction of tokens to keep.
        fraction: Probability,
    },
    /// Drops sequences with negative advantage whose mean `log μ − log π` exceeds the threshold: the off-policy
    /// sequence mask of DeepSeek-V3.2. μ is the engine's log-probability where given, else π_old.
    OffPolicySequence {
        /// Largest mean divergence per token, in nats.
        threshold: NonNegative,
    },
}

impl Filter {
    /// Mean `log μ − log π` over the active tokens.
    pub(super) fn divergence<F: Real>(terms: &SequenceTerms<'_, F>) -> F {
        let behaviour = |t: usize| terms.rollout_logp.get(t).copied().unwrap_or_else(|| terms.old(t));
        let total: F = (0..terms.logp.len()).filter(|&t| terms.active(t)).map(|t| behaviour(t) - terms.logp[t]).sum();
        total / F::count(terms.tokens().max(1))
    }
}

/// The `q` quantile by linear interpolation between order statistics; `None` of nothing.
pub(super) fn quantile(mut values: Vec<f64>, q: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let position = q * values.len().checked_sub(1)? as f64;
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    Some(values[below] + (position - position.floor()) * (values[above] - values[below]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_interpolates_between_order_statistics() {
        // position 0.8 · 3 = 2.4: 3 + 0.4 · (5 − 3)
        assert_eq!(quantile(vec![5.0, 1.0, 3.0, 2.0], 0.8).map(|q| (q * 1e9).round()), Some(3.8e9));
        assert_eq!(quantile(vec![], 0.5), None);
    }
}
