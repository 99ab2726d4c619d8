//! `generation_config.json` as transformers writes it.

use std::num::NonZeroUsize;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use tdrm_core::{OutOfRange, Positive, Probability, Temperature};

use super::config::{ONE, one_or_many};
use super::{BeamConfig, EarlyStopping, SamplingConfig, SamplingConfigError};

/// transformers' `top_k` where a file names none.
const DEFAULT_TOP_K: usize = 50;

/// What a model's `generation_config.json` says, read with transformers' defaults.
///
/// Fields that do not bear on what is decoded (`transformers_version`, `_from_model_config`, `use_cache`, …) are passed
/// over. Fields that do and are not implemented (`epsilon_cutoff`, `guidance_scale`, `forced_eos_token_id`, …) are
/// refused unless they are absent, null or neutral. A file without `top_k` has `top_k` 50, as in transformers; 0 is
/// none; `min_new_tokens` goes before `min_length`. Greedy decoding forgives `temperature` and masses out of their range,
/// since it does not look at them. Negative token ids, which some files have for "none", are none.
///
/// ```
/// use tdrm_algo::sampling::GenerationConfig;
///
/// let text = r#"{"do_sample": true, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05,
///     "eos_token_id": [151645, 151643], "pad_token_id": 151643, "transformers_version": "4.37.0"}"#;
/// let config: GenerationConfig = serde_json::from_str(text)?;
/// assert_eq!((config.sampling.top_k, config.pad_token_id), (20, Some(151_643)));
/// assert_eq!(config.sampling.eos_token_id, [151_645, 151_643]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "File")]
pub struct GenerationConfig {
    /// How a token is chosen.
    #[serde(flatten)]
    pub sampling: SamplingConfig,
    /// Beam search, where `num_beams` is above 1.
    #[serde(flatten)]
    pub beam: BeamConfig,
    /// Most tokens to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_new_tokens: Option<usize>,
    /// Most tokens of prompt and response together; `max_new_tokens` goes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Begin of sequence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bos_token_id: Option<u32>,
    /// Padding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pad_token_id: Option<u32>,
}

impl GenerationConfig {
    /// Most tokens to generate after a prompt of this length: `max_new_tokens`, or what `max_length` leaves, which may be
    /// nothing; `None` where the file says neither.
    #[must_use]
    pub fn new_tokens(&self, prompt: usize) -> Option<usize> {
        self.max_new_tokens.or_else(|| Some(self.max_length?.saturating_sub(prompt)))
    }
}

impl Default for GenerationConfig {
    /// What transformers has for an empty file: greedy decoding without beams.
    fn default() -> Self {
        Self {
            sampling: SamplingConfig { top_k: DEFAULT_TOP_K, ..SamplingConfig::greedy() },
            beam: BeamConfig::default(),
            max_new_tokens: None,
            max_length: None,
            bos_token_id: None,
            pad_token_id: None,
        }
    }
}

/// The fields as they stand in a file. A null is an absent field.
#[derive(Deserialize)]
struct File {
    do_sample: Option<bool>,
    temperature: Option<f64>,
    top_k: Option<usize>,
    top_p: Option<f64>,
    min_p: Option<f64>,
    typical_p: Option<f64>,
    repetition_penalty: Option<f64>,
    no_repeat_ngram_size: Option<usize>,
    #[serde(default, deserialize_with = "one_or_many")]
    eos_token_id: Vec<u32>,
    min_length: Option<usize>,
    min_new_tokens: Option<usize>,
    forced_prefix: Option<Vec<u32>>,
    suppress_tokens: Option<Vec<u32>>,
    begin_suppress_tokens: Option<Vec<u32>>,
    bad_words_ids: Option<Vec<Vec<u32>>>,
    sequence_bias: Option<Vec<(Vec<u32>, f32)>>,
    num_beams: Option<NonZeroUsize>,
    length_penalty: Option<f64>,
    early_stopping: Option<EarlyStopping>,
    num_return_sequences: Option<NonZeroUsize>,
    max_new_tokens: Option<usize>,
    max_length: Option<usize>,
    #[serde(default, deserialize_with = "token")]
    bos_token_id: Option<u32>,
    #[serde(default, deserialize_with = "token")]
    pad_token_id: Option<u32>,
    // Not implemented.
    epsilon_cutoff: Option<f64>,
    eta_cutoff: Option<f64>,
    top_h: Option<f64>,
    encoder_repetition_penalty: Option<f64>,
    encoder_no_repeat_ngram_size: Option<f64>,
    guidance_scale: Option<f64>,
    diversity_penalty: Option<f64>,
    num_beam_groups: Option<f64>,
    penalty_alpha: Option<f64>,
    renormalize_logits: Option<bool>,
    forced_bos_token_id: Option<IgnoredAny>,
    forced_eos_token_id: Option<IgnoredAny>,
    exponential_decay_length_penalty: Option<IgnoredAny>,
    constraints: Option<IgnoredAny>,
    force_words_ids: Option<IgnoredAny>,
    watermarking_config: Option<IgnoredAny>,
    stop_strings: Option<IgnoredAny>,
}

fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(Option::<i64>::deserialize(deserializer)?.and_then(|token| u32::try_from(token).ok()))
}

impl File {
    /// The first field that asks for something we do not do.
    fn unsupported(&self) -> Option<&'static str> {
        let is = |field: Option<f64>, neutral: f64| field.is_none_or(|x| x.total_cmp(&neutral).is_eq());
        let absent = |field: Option<IgnoredAny>| field.is_none();
        let neutral = [
            ("epsilon_cutoff", is(self.epsilon_cutoff, 0.0)),
            ("eta_cutoff", is(self.eta_cutoff, 0.0)),
            ("top_h", self.top_h.is_none()),
            ("encoder_repetition_penalty", is(self.encoder_repetition_penalty, 1.0)),
            ("encoder_no_repeat_ngram_size", is(self.encoder_no_repeat_ngram_size, 0.0)),
            ("guidance_scale", is(self.guidance_scale, 1.0)),
            ("diversity_penalty", is(self.diversity_penalty, 0.0)),
            ("num_beam_groups", is(self.num_beam_groups, 1.0)),
            ("penalty_alpha", is(self.penalty_alpha, 0.0)),
            ("renormalize_logits", self.renormalize_logits != Some(true)),
            ("forced_bos_token_id", absent(self.forced_bos_token_id)),
            ("forced_eos_token_id", absent(self.forced_eos_token_id)),
            ("exponential_decay_length_penalty", absent(self.exponential_decay_length_penalty)),
            ("constraints", absent(self.constraints)),
            ("force_words_ids", absent(self.force_words_ids)),
            ("watermarking_config", absent(self.watermarking_config)),
            ("stop_strings", absent(self.stop_strings)),
        ];
        neutral.into_iter().find(|(_, neutral)| !neutral).map(|(key, _)| key)
    }
}

impl TryFrom<File> for GenerationConfig {
    type Error = SamplingConfigError;

    fn try_from(file: File) -> Result<Self, SamplingConfigError> {
        if let Some(key) = file.unsupported() {
            return Err(SamplingConfigError::Unsupported { key });
        }
        let do_sample = file.do_sample.unwrap_or(false);
        let beam = BeamConfig::default();
        let config = Self {
            sampling: SamplingConfig {
                do_sample,
                temperature: warper(file.temperature, Temperature::ONE, Temperature::new, do_sample)?,
                top_k: file.top_k.unwrap_or(DEFAULT_TOP_K),
                top_p: warper(file.top_p, Probability::ALWAYS, Probability::new, do_sample)?,
                min_p: warper(file.min_p, Probability::NEVER, Probability::new, do_sample)?,
                typical_p: warper(file.typical_p, Probability::ALWAYS, Probability::new, do_sample)?,
                repetition_penalty: file.repetition_penalty.map_or(Ok(ONE), Positive::new)?,
                no_repeat_ngram_size: file.no_repeat_ngram_size.unwrap_or(0),
                eos_token_id: file.eos_token_id,
                min_length: file.min_length.filter(|_| file.min_new_tokens.is_none()).unwrap_or(0),
                min_new_tokens: file.min_new_tokens.unwrap_or(0),
                forced_prefix: file.forced_prefix.unwrap_or_default(),
                suppress_tokens: file.suppress_tokens.unwrap_or_default(),
                begin_suppress_tokens: file.begin_suppress_tokens.unwrap_or_default(),
                bad_words_ids: file.bad_words_ids.unwrap_or_default(),
                sequence_bias: file.sequence_bias.unwrap_or_default(),
            },
            beam: BeamConfig {
                num_beams: file.num_beams.unwrap_or(beam.num_beams),
                length_penalty: file.length_penalty.unwrap_or(beam.length_penalty),
                early_stopping: file.early_stopping.unwrap_or(beam.early_stopping),
                num_return_sequences: file.num_return_sequences.unwrap_or(beam.num_return_sequences),
            },
            max_new_tokens: file.max_new_tokens,
            max_length: file.max_length,
            bos_token_id: file.bos_token_id,
            pad_token_id: file.pad_token_id,
        };
        config.sampling.validate()?;
        Ok(config)
    }
}

/// A number that only a draw looks at: checked if there is one.
fn warper<T>(
    field: Option<f64>,
    neutral: T,
    check: impl Fn(f64) -> Result<T, OutOfRange>,
    do_sample: bool,
) -> Result<T, OutOfRange> {
    match field.map(check) {
        None => Ok(neutral),
        Some(Err(_)) if !do_sample => Ok(neutral),
        Some(checked) => checked,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(text: &str) -> Result<GenerationConfig, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn an_empty_file_is_greedy() {
        assert_eq!(read("{}").unwrap(), GenerationConfig::default());
        assert!(!read("{}").unwrap().sampling.do_sample);
    }

    #[test]
    fn end_of_sequence_is_a_number_a_list_or_null() {
        for (text, expected) in [("694", vec![694]), ("[1, 2]", vec![1, 2]), ("null", vec![])] {
            let config = read(&format!(r#"{{"_from_model_config": true, "eos_token_id": {text}}}"#)).unwrap();
            assert_eq!(config.sampling.eos_token_id, expected);
        }
        assert_eq!(read(r#"{"pad_token_id": -1}"#).unwrap().pad_token_id, None);
    }

    #[test]
    fn lengths_of_new_tokens_go_before_whole_lengths() {
        let config = read(r#"{"max_length": 20, "min_length": 5}"#).unwrap();
        assert_eq!((config.sampling.min_length, config.new_tokens(12), config.new_tokens(30)), (5, Some(8), Some(0)));
        let config = read(r#"{"max_length": 20, "max_new_tokens": 9, "min_length": 5, "min_new_tokens": 2}"#).unwrap();
        assert_eq!(
            (config.sampling.min_length, config.sampling.min_new_tokens, config.new_tokens(12)),
            (0, 2, Some(9))
        );
        assert_eq!(read("{}").unwrap().new_tokens(1), None);
    }

    #[test]
    fn a_file_without_top_k_has_fifty_and_zero_is_none() {
        for (text, expected) in [("{}", 50), (r#"{"top_k": null}"#, 50), (r#"{"top_k": 0}"#, 0)] {
            assert_eq!(read(text).unwrap().sampling.top_k, expected, "{text}");
        }
    }

    #[test]
    fn a_draw_checks_its_temperature_and_greedy_decoding_does_not_look() {
        let error = read(r#"{"do_sample": true, "temperature": 0.0}"#).unwrap_err().to_string();
        assert!(error.starts_with("temperature must lie in (0, inf), got 0"), "{error}");
        let config = read(r#"{"temperature": 0.0, "top_p": 0.6}"#).unwrap();
        assert_eq!((config.sampling.temperature, f64::from(config.sampling.top_p)), (Temperature::ONE, 0.6));
        assert!(read(r#"{"repetition_penalty": 0.0}"#).is_err());
    }

    #[test]
    fn what_would_change_the_text_and_is_not_implemented_is_refused_by_name() {
        for text in [r#"{"epsilon_cutoff": 3e-4}"#, r#"{"guidance_scale": 1.5}"#, r#"{"forced_eos_token_id": 2}"#] {
            let (key, error) = (text.split('"').nth(1).unwrap(), read(text).unwrap_err().to_string());
            assert!(error.starts_with(&format!("{key} is not supported")), "{error}");
        }
        assert!(read(r#"{"epsilon_cutoff": 0.0, "guidance_scale": 1, "forced_eos_token_id": null}"#).is_ok());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = r#"{"do_sample": true, "temperature": 0.7, "top_k": 0, "eos_token_id": 7, "num_beams": 4,
            "early_stopping": "never", "length_penalty": 0.5, "max_new_tokens": 9, "sequence_bias": [[[3], 1.5]]}"#;
        let config = read(text).unwrap();
        assert_eq!(config.beam.early_stopping, EarlyStopping::Never);
        assert_eq!(read(&serde_json::to_string(&config).unwrap()).unwrap(), config);
    }
}
