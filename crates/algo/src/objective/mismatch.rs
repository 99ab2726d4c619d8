//! Weights for samples whose engine computes other log-probabilities than the trainer.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Real};

use super::SequenceTerms;

/// A weight `c_t` of the policy term, held fixed in the gradient, from `u_t = π_old/μ`: trainer over sampling engine.
///
/// ```text
/// token_truncated     clamp(u_t, low, high)                             TIS (Yao et al. 2025)
/// token_masked        u_t if low ≤ u_t ≤ high, else 0                   IcePop (2510.18855)
/// sequence_masked     u_t if low ≤ (Π u)^{1/|y|} ≤ high, else 0         sequence-masked TIS
/// sequence_truncated  clamp(Π u, low, high) for every token
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Mismatch {
    /// Each token's weight clamped.
    TokenTruncated {
        /// Lower bound, 0 by default.
        #[serde(default = "none")]
        low: NonNegative,
        /// Upper bound.
        high: NonNegative,
    },
    /// Tokens outside the band dropped.
    TokenMasked {
        /// Lower bound.
        low: NonNegative,
        /// Upper bound.
        high: NonNegative,
    },
    /// Sequences whose geometric mean is outside the band dropped; others keep their token weights.
    SequenceMasked {
        /// Lower bound.
        low: NonNegative,
        /// Upper bound.
        high: NonNegative,
    },
    /// The weight of the whole sequence, clamped.
    SequenceTruncated {
        /// Lower bound, 0 by default.
        #[serde(default = "none")]
        low: NonNegative,
        /// Upper bound.
        high: NonNegative,
    },
}

fn none() -> NonNegative {
    NonNegative::ZERO
}

/// A mismatch with the statistic of one sequence.
pub(super) enum Weights<F> {
    Equal,
    Constant(F),
    Clamped(F, F),
    Masked(F, F),
    Raw,
}

impl Mismatch {
    /// Reads what the rule needs of the whole sequence.
    pub(super) fn weights<F: Real>(&self, terms: &SequenceTerms<'_, F>) -> Weights<F> {
        let total: F = (0..terms.logp.len()).filter(|&t| terms.active(t)).map(|t| log_weight(terms, t)).sum();
        match *self {
            Self::TokenTruncated { low, high } => Weights::Clamped(low.get(), high.get()),
            Self::TokenMasked { low, high } => Weights::Masked(low.get(), high.get()),
            Self::SequenceTruncated { low, high } => Weights::Constant(clamp(total.exp(), low.get(), high.get())),
            Self::SequenceMasked { low, high } => {
                let geometric = (total / F::count(terms.tokens().max(1))).exp();
                let inside = geometric >= low.get() && geometric <= high.get();
                if inside { Weights::Raw } else { Weights::Constant(F::zero()) }
            }
        }
    }
}

impl<F: Real> Weights<F> {
    /// c_t.
    pub(super) fn at(&self, terms: &SequenceTerms<'_, F>, t: usize) -> F {
        let weight = || log_weight(terms, t).exp();
        match *self {
            Self::Equal => F::one(),
            Self::Constant(weight) => weight,
            Self::Raw => weight(),
            Self::Clamped(low, high) => clamp(weight(), low, high),
            Self::Masked(low, high) => {
                let u = weight();
                if u >= low && u <= high { u } else { F::zero() }
            }
        }
    }
}

fn log_weight<F: Real>(terms: &SequenceTerms<'_, F>, t: usize) -> F {
    terms.old(t) - terms.rollout_logp[t]
}

fn clamp<F: Real>(x: F, low: F, high: F) -> F {
    x.max(low).min(high)
}
