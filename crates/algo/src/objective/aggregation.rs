//! How token losses become the loss of a batch.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Positive, Real};

use super::SequenceTerms;

/// The weight of a token's loss; every choice is a weight per sequence.
///
/// ```text
/// token_mean                 Σ_i Σ_t ℓ / N_tokens                  DAPO (2503.14476) §3.3
/// sequence_mean_token_mean   1/N Σ_i ( Σ_t ℓ / |y_i| )             GRPO (2402.03300) eq. 3
/// sequence_mean_token_sum    1/N Σ_i Σ_t ℓ                         REINFORCE on sequences
/// sequence_mean              1/N_all Σ_i ( Σ_t ℓ / |y_i| )         one loss per sequence: GSPO, RLOO, GMPO
/// constant                   Σ_i Σ_t ℓ / denominator               Dr. GRPO (2503.20783) §3.2
/// ```
///
/// `N` counts sequences with at least one active token, `N_all` counts all of them (an empty one adds a zero to the
/// mean). The counts are those of the **whole** batch, passed as [`Denominators`]: micro-batches then add up to the
/// same gradient. In a configuration, a string (`"token_mean"`) or a table (`{"kind": "constant", "denominator": 8}`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Aggregation {
    /// Mean over sequences of the mean over tokens; sequences without tokens do not count.
    SequenceMeanTokenMean {
        /// Added to `|y_i|` (verl: 1e-8); 0 by default.
        length_epsilon: NonNegative,
    },
    /// Mean over all tokens.
    TokenMean {},
    /// Mean over sequences of the sum over tokens; sequences without tokens do not count.
    SequenceMeanTokenSum {},
    /// Mean over all sequences of the mean over tokens; a sequence without tokens counts as a zero.
    SequenceMean {
        /// Added to `|y_i|` (verl's GMPO: 1e-8); 0 by default.
        length_epsilon: NonNegative,
    },
    /// Sum over all tokens divided by a number that does not depend on the data.
    Constant {
        /// The denominator, for instance group size × maximal length.
        denominator: Positive,
    },
}

impl Aggregation {
    /// `token_mean`.
    pub const TOKEN_MEAN: Self = Self::TokenMean {};
    /// `sequence_mean_token_mean` with exact lengths.
    pub const SEQUENCE_MEAN_TOKEN_MEAN: Self = Self::SequenceMeanTokenMean { length_epsilon: NonNegative::ZERO };
    /// `sequence_mean_token_sum`.
    pub const SEQUENCE_MEAN_TOKEN_SUM: Self = Self::SequenceMeanTokenSum {};
    /// `sequence_mean` with exact lengths.
    pub const SEQUENCE_MEAN: Self = Self::SequenceMean { length_epsilon: NonNegative::ZERO };

    /// Weight of each token of a sequence that has `tokens` active ones; 0 where there is nothing to weigh.
    #[must_use]
    pub fn weight<F: Real>(&self, tokens: usize, batch: &Denominators) -> F {
        let length = tokens as f64;
        let denominator = match self {
            Self::SequenceMeanTokenMean { length_epsilon } => batch.sequences * (length + length_epsilon.get::<f64>()),
            Self::TokenMean {} => batch.tokens,
            Self::SequenceMeanTokenSum {} => batch.sequences,
            Self::SequenceMean { length_epsilon } => batch.all_sequences * (length + length_epsilon.get::<f64>()),
            Self::Constant { denominator } => denominator.get::<f64>(),
        };
        if tokens == 0 || denominator == 0.0 { F::zero() } else { F::of(denominator.recip()) }
    }
}

/// Counts over the whole batch that one optimiser step sees, so that micro-batches add up.
///
/// To average over `n` micro-batches instead, as a trainer that divides each loss by the number of accumulation
/// steps does, use [`Denominators::of`] each micro-batch and [`Denominators::times`] `n`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denominators {
    /// Active tokens.
    pub tokens: f64,
    /// Sequences with at least one active token.
    pub sequences: f64,
    /// All sequences.
    pub all_sequences: f64,
    /// Tokens that the filters keep, the denominator of an entropy bonus by token mean; equal to `tokens` without filters.
    pub kept_tokens: f64,
    /// Entropy of the least uncertain token that [`super::Filter::TopEntropy`] keeps.
    #[serde(default)]
    pub entropy_cut: Option<f64>,
    /// What [`super::CovariancePenalty`] needs.
    #[serde(default)]
    pub covariance: Option<super::covariance::Cut>,
}

impl Denominators {
    /// Counts a batch. Objectives with filters need [`super::Objective::prepare`] instead.
    #[must_use]
    pub fn of<F: Real>(batch: &[SequenceTerms<'_, F>]) -> Self {
        Self::of_lengths(batch.iter().map(SequenceTerms::tokens))
    }

    /// Counts from the numbers of active tokens, known before any model runs.
    #[must_use]
    pub fn of_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut counts = Self {
            tokens: 0.0,
            sequences: 0.0,
            all_sequences: 0.0,
            kept_tokens: 0.0,
            entropy_cut: None,
            covariance: None,
        };
        for length in lengths {
            counts.tokens += length as f64;
            counts.sequences += f64::from(u8::from(length > 0));
            counts.all_sequences += 1.0;
        }
        counts.kept_tokens = counts.tokens;
        counts
    }

    /// All counts multiplied, the loss divided.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self {
            tokens: self.tokens * factor,
            sequences: self.sequences * factor,
            all_sequences: self.all_sequences * factor,
            kept_tokens: self.kept_tokens * factor,
            ..self
        }
    }
}

/// The tagged form, read by derive.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Tagged {
    SequenceMeanTokenMean {
        #[serde(default = "zero")]
        length_epsilon: NonNegative,
    },
    TokenMean {},
    SequenceMeanTokenSum {},
    SequenceMean {
        #[serde(default = "zero")]
        length_epsilon: NonNegative,
    },
    Constant {
        denominator: Positive,
    },
}

fn zero() -> NonNegative {
    NonNegative::ZERO
}

impl From<Tagged> for Aggregation {
    fn from(tagged: Tagged) -> Self {
        match tagged {
            Tagged::SequenceMeanTokenMean { length_epsilon } => Self::SequenceMeanTokenMean { length_epsilon },
            Tagged::TokenMean {} => Self::TokenMean {},
            Tagged::SequenceMeanTokenSum {} => Self::SequenceMeanTokenSum {},
            Tagged::SequenceMean { length_epsilon } => Self::SequenceMean { length_epsilon },
            Tagged::Constant { denominator } => Self::Constant { denominator },
        }
    }
}

impl<'de> Deserialize<'de> for Aggregation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = Aggregation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an aggregation, as a name or a table with `kind`")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Aggregation, E> {
        let entry = std::iter::once(("kind", name));
        Tagged::deserialize(MapDeserializer::new(entry.map(|(k, v)| (k, v.into_deserializer())))).map(Into::into)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Aggregation, A::Error> {
        Tagged::deserialize(MapAccessDeserializer::new(map)).map(Into::into)
    }
}
