//! How the next token is chosen.

use serde::{Deserialize, Deserializer, Serialize};
use tdrm_core::{Positive, Probability, Temperature};

use super::SamplingConfigError;

/// Filters of one decoding step, with the names and the order of transformers' `generation_config.json`.
///
/// ```text
/// processors, always:           sequence_bias → repetition_penalty → no_repeat_ngram_size → bad_words_ids
///                               → min_length → min_new_tokens → forced_prefix → suppress_tokens → begin_suppress_tokens
/// warpers, if do_sample:        temperature → top_k → top_p → min_p → typical_p
/// ```
///
/// The default is the policy itself: a draw at temperature 1 without any filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplingConfig {
    /// Draw from the distribution; if not, take its mode (and no warper applies).
    pub do_sample: bool,
    /// T: scores are divided by it.
    pub temperature: Temperature,
    /// Keep the k largest scores and all that equal the k-th; 0: all.
    pub top_k: usize,
    /// Keep the smallest set of the most probable tokens whose mass reaches p; 1: all.
    pub top_p: Probability,
    /// Keep tokens at least this many times as probable as the most probable one; 0: all.
    pub min_p: Probability,
    /// Keep the tokens of this mass whose surprise is nearest to the entropy (2202.00666); 1: all.
    pub typical_p: Probability,
    /// θ: scores of tokens in the history are divided by it if positive, multiplied if negative (1909.05858 §4.1); 1: off.
    pub repetition_penalty: Positive,
    /// No n-gram of this length occurs twice in the history; 0: off.
    pub no_repeat_ngram_size: usize,
    /// End-of-sequence tokens; one number or a list.
    #[serde(deserialize_with = "one_or_many")]
    pub eos_token_id: Vec<u32>,
    /// No end of sequence before prompt and generated tokens are this many.
    pub min_length: usize,
    /// No end of sequence before this many generated tokens.
    pub min_new_tokens: usize,
    /// The generated tokens begin with these.
    pub forced_prefix: Vec<u32>,
    /// Tokens that are never chosen.
    pub suppress_tokens: Vec<u32>,
    /// Tokens that are not chosen first.
    pub begin_suppress_tokens: Vec<u32>,
    /// Sequences that must not be completed. An end of sequence alone is exempt, as in transformers.
    pub bad_words_ids: Vec<Vec<u32>>,
    /// What is added to the score of the last token of a sequence when it would complete the sequence. Sequences of
    /// one token are a logit bias.
    pub sequence_bias: Vec<(Vec<u32>, f32)>,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self {
            do_sample: true,
            temperature: Temperature::ONE,
            top_k: 0,
            top_p: Probability::ALWAYS,
            min_p: Probability::NEVER,
            typical_p: Probability::ALWAYS,
            repetition_penalty: ONE,
            no_repeat_ngram_size: 0,
            eos_token_id: Vec::new(),
            min_length: 0,
            min_new_tokens: 0,
            forced_prefix: Vec::new(),
            suppress_tokens: Vec::new(),
            begin_suppress_tokens: Vec::new(),
            bad_words_ids: Vec::new(),
            sequence_bias: Vec::new(),
        }
    }
}

pub(super) const ONE: Positive = match Positive::new(1.0) {
    Ok(one) => one,
    Err(_) => panic!("1 is positive"),
};

impl SamplingConfig {
    /// The mode of the policy.
    #[must_use]
    pub fn greedy() -> Self {
        Self { do_sample: false, ..Self::default() }
    }

    /// Checks what the types of the fields do not.
    ///
    /// # Errors
    /// If a sequence to ban or to bias is empty, or a bias not finite.
    pub fn validate(&self) -> Result<(), SamplingConfigError> {
        let empty = |key, mut sequences: std::slice::Iter<'_, _>| match sequences.position(Vec::is_empty) {
            Some(at) => Err(SamplingConfigError::EmptySequence { key, at }),
            None => Ok(()),
        };
        empty("bad_words_ids", self.bad_words_ids.iter())?;
        for (at, (sequence, bias)) in self.sequence_bias.iter().enumerate() {
            if sequence.is_empty() {
                return Err(SamplingConfigError::EmptySequence { key: "sequence_bias", at });
            }
            if !bias.is_finite() {
                return Err(SamplingConfigError::Bias { at, got: *bias });
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

/// A token, a list of tokens, or null.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    Ok(match Option::<OneOrMany>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(OneOrMany::One(token)) => vec![token],
        Some(OneOrMany::Many(tokens)) => tokens,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_empty_object_is_the_policy_itself() {
        assert_eq!(serde_json::from_str::<SamplingConfig>("{}").unwrap(), SamplingConfig::default());
    }

    #[test]
    fn a_config_survives_a_round_trip() {
        let text = r#"{"do_sample":true,"temperature":0.7,"top_k":20,"top_p":0.8,"eos_token_id":[3,5],
            "sequence_bias":[[[1,2],-0.5]],"bad_words_ids":[[4]]}"#;
        let config: SamplingConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.sequence_bias, [(vec![1, 2], -0.5)]);
        let again = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(config, again);
    }

    #[test]
    fn what_is_out_of_range_or_unknown_is_refused_with_its_name() {
        for (text, expected) in [
            (r#"{"temperature":0}"#, "temperature must lie in (0, inf), got 0"),
            (r#"{"top_p":1.5}"#, "probability must lie in [0, 1], got 1.5"),
            (r#"{"topp":0.5}"#, "unknown field `topp`"),
        ] {
            let error = serde_json::from_str::<SamplingConfig>(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn empty_sequences_and_infinite_biases_are_refused() {
        let config = SamplingConfig { bad_words_ids: vec![vec![1], vec![]], ..SamplingConfig::default() };
        let error = config.validate().unwrap_err();
        assert_eq!(error, SamplingConfigError::EmptySequence { key: "bad_words_ids", at: 1 });
        let config = SamplingConfig { sequence_bias: vec![(vec![1], f32::INFINITY)], ..SamplingConfig::default() };
        assert_eq!(config.validate().unwrap_err(), SamplingConfigError::Bias { at: 0, got: f32::INFINITY });
    }
}
