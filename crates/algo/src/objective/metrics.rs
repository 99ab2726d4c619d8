//! What an objective reports besides the loss.

use serde::{Deserialize, Serialize};

/// Means over the active tokens of the sequences that were evaluated; zero where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Active tokens.
    pub tokens: f64,
    /// Mean of the ratio that the surrogate saw, at its level.
    pub ratio_mean: f64,
    /// Largest such ratio.
    pub ratio_max: f64,
    /// Fraction of tokens whose gradient is cut because the ratio is too small.
    pub clip_fraction_low: f64,
    /// Fraction of tokens whose gradient is cut because the ratio is too large.
    pub clip_fraction_high: f64,
    /// Fraction of tokens whose gradient is cut by the dual clip.
    pub clip_fraction_dual: f64,
    /// Mean of `log π_old − log π`: k1 of KL(π_old‖π), signed.
    pub approx_kl: f64,
    /// Mean of the KL term before its coefficient, 0 without one.
    pub kl: f64,
    /// Mean entropy in nats, 0 where it is not given.
    pub entropy: f64,
    /// Fraction of tokens that the filters dropped.
    pub dropped: f64,
}

impl Metrics {
    /// The metrics of two micro-batches taken together.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let mut merged = Self::default();
        merged.add(self, self.tokens);
        merged.add(other, other.tokens);
        merged.scale(1.0 / (self.tokens + other.tokens).max(1.0));
        merged.tokens = self.tokens + other.tokens;
        merged.ratio_max = self.ratio_max.max(other.ratio_max);
        merged
    }

    fn means(&mut self) -> [&mut f64; 8] {
        [
            &mut self.ratio_mean,
            &mut self.clip_fraction_low,
            &mut self.clip_fraction_high,
            &mut self.clip_fraction_dual,
            &mut self.approx_kl,
            &mut self.kl,
            &mut self.entropy,
            &mut self.dropped,
        ]
    }

    fn add(&mut self, other: &Self, weight: f64) {
        let mut other = *other;
        for (sum, &mut mean) in self.means().into_iter().zip(other.means()) {
            *sum += weight * mean;
        }
    }

    fn scale(&mut self, factor: f64) {
        for sum in self.means() {
            *sum *= factor;
        }
    }

    /// Adds the sums of a sequence.
    pub(super) fn absorb(&mut self, sequence: &Self) {
        self.add(sequence, 1.0);
        self.tokens += sequence.tokens;
        self.ratio_max = self.ratio_max.max(sequence.ratio_max);
    }

    /// Turns the sums that an evaluation collected into means.
    pub(super) fn finish(mut self) -> Self {
        self.scale(1.0 / self.tokens.max(1.0));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_micro_batches_merge_by_tokens() {
        let a = Metrics { tokens: 1.0, entropy: 4.0, ratio_max: 1.5, ..Metrics::default() };
        let b = Metrics { tokens: 3.0, entropy: 8.0, ratio_max: 1.2, ..Metrics::default() };
        let both = a.merge(&b); // (1·4 + 3·8) / 4 = 7
        assert!((both.entropy - 7.0).abs() < 1e-12 && (both.ratio_max - 1.5).abs() < 1e-12);
    }
}
