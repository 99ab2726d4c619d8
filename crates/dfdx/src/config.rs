//! Shape of a decoder language model, as Hugging Face's `config.json` has it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tdrm_kernels::attention::Heads;
use tdrm_kernels::batch::Limits;
use tdrm_kernels::layer::{LayerShape, QkvBias};

use crate::LmError;

/// Largest size of any one dimension: a hostile file cannot ask for more memory than its tensors have.
const LARGEST: usize = 1 << 24;

/// The family whose Hugging Face class loads the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Architecture {
    /// `LlamaForCausalLM`: projections without bias.
    Llama,
    /// `Qwen2ForCausalLM`: biases on queries, keys and values.
    Qwen2,
}

impl Architecture {
    /// The name in `architectures`.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
        }
    }

    const fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
        }
    }
}

/// Shape of a decoder language model; the fields keep their names of `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LmConfig {
    /// The family.
    pub architecture: Architecture,
    /// Tokens V.
    pub vocab_size: usize,
    /// Width of the residual stream, d.
    pub hidden_size: usize,
    /// Width of the feed-forward block, F.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads, a multiple of the key-value heads.
    pub num_attention_heads: usize,
    /// Key-value heads.
    pub num_key_value_heads: usize,
    /// Width of a head, even.
    pub head_dim: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Base of the rotary frequencies θ, positive.
    pub rope_theta: f64,
    /// ε of the norms, positive.
    pub rms_norm_eps: f64,
    /// Whether the output embedding is the input embedding.
    pub tie_word_embeddings: bool,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// Token that begins a text, if the tokenizer has one.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_id: Vec<u32>,
    /// Padding token, if the tokenizer has one (this crate never pads).
    pub pad_token_id: Option<u32>,
}

impl LmConfig {
    /// A Llama with tied embeddings and as many key-value heads as query heads; change fields for anything else.
    #[must_use]
    pub fn llama(vocab_size: usize, hidden_size: usize, num_hidden_layers: usize, num_attention_heads: usize) -> Self {
        Self {
            architecture: Architecture::Llama,
            vocab_size,
            hidden_size,
            intermediate_size: 4 * hidden_size,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads: num_attention_heads,
            head_dim: hidden_size / num_attention_heads.max(1),
            max_position_embeddings: 512,
            rope_theta: 10_000.0,
            rms_norm_eps: 1e-6,
            tie_word_embeddings: true,
            initializer_range: 0.02,
            bos_token_id: None,
            eos_token_id: Vec::new(),
            pad_token_id: None,
        }
    }

    /// Reads Hugging Face's `config.json`.
    ///
    /// # Errors
    /// If the text is not JSON, a field is missing, or the model is of a kind that this crate does not compute.
    pub fn from_json(text: &str) -> Result<Self, LmError> {
        let config = serde_json::from_str::<HuggingFace>(text)?.into_config()?;
        config.check()?;
        Ok(config)
    }

    /// Writes a `config.json` that transformers reads.
    #[must_use]
    pub fn to_json(&self) -> String {
        let eos = match self.eos_token_id.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            several => json!(several),
        };
        let value = json!({
            "architectures": [self.architecture.class()],
            "model_type": self.architecture.model_type(),
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "max_position_embeddings": self.max_position_embeddings,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": self.rms_norm_eps,
            "tie_word_embeddings": self.tie_word_embeddings,
            "initializer_range": self.initializer_range,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": eos,
            "pad_token_id": self.pad_token_id,
            "attention_bias": self.architecture == Architecture::Qwen2,
            "attention_dropout": 0.0,
            "mlp_bias": false,
            "hidden_act": "silu",
            "use_sliding_window": false,
            "dtype": "float32",
            "torch_dtype": "float32",
            "use_cache": true,
        });
        format!("{value:#}\n")
    }

    /// `Ok` if such a model can exist.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn check(&self) -> Result<(), LmError> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        for (field, size) in sizes {
            ensure(field, (1..=LARGEST).contains(&size), "1 to 2^24", size)?;
        }
        ensure("num_hidden_layers", self.num_hidden_layers <= 1 << 12, "at most 4096", self.num_hidden_layers)?;
        ensure("parameters in all", self.parameters() <= 1 << 36, "at most 2^36", self.parameters())?;
        ensure("head_dim", self.head_dim.is_multiple_of(2), "an even number", self.head_dim)?;
        let groups = self.num_attention_heads.is_multiple_of(self.num_key_value_heads);
        ensure("num_attention_heads", groups, "a multiple of num_key_value_heads", self.num_attention_heads)?;
        let angles = self.max_position_embeddings.saturating_mul(self.head_dim);
        ensure("max_position_embeddings", angles <= 1 << 28, "at most 2^28 / head_dim", self.max_position_embeddings)?;
        ensure(
            "rope_theta",
            self.rope_theta.is_finite() && self.rope_theta > 0.0,
            "a positive number",
            self.rope_theta,
        )?;
        let epsilon = self.rms_norm_eps;
        ensure("rms_norm_eps", epsilon.is_finite() && epsilon > 0.0, "a positive number", epsilon)?;
        let range = self.initializer_range;
        ensure("initializer_range", range.is_finite() && range >= 0.0, "a number not below 0", range)
    }

    /// Weights of all matrices (without norms and biases), computed without overflow.
    fn parameters(&self) -> u128 {
        let wide = |size: usize| size as u128;
        let heads = 2 * (wide(self.num_attention_heads) + wide(self.num_key_value_heads)) * wide(self.head_dim);
        let layer = (heads + 3 * wide(self.intermediate_size)) * wide(self.hidden_size);
        wide(self.num_hidden_layers) * layer + 2 * wide(self.vocab_size) * wide(self.hidden_size)
    }

    /// What a batch must fit.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { vocabulary: self.vocab_size, longest: self.max_position_embeddings }
    }

    /// The shape of one layer.
    #[must_use]
    pub fn layer(&self) -> LayerShape {
        LayerShape {
            hidden: self.hidden_size,
            heads: Heads { query: self.num_attention_heads, key_value: self.num_key_value_heads, dim: self.head_dim },
            intermediate: self.intermediate_size,
            epsilon: self.rms_norm_eps as f32,
            bias: match self.architecture {
                Architecture::Llama => QkvBias::Without,
                Architecture::Qwen2 => QkvBias::With,
            },
        }
    }
}

fn ensure(field: &'static str, holds: bool, expected: &str, got: impl std::fmt::Display) -> Result<(), LmError> {
    if holds { Ok(()) } else { Err(LmError::Config { field, expected: expected.to_owned(), got: got.to_string() }) }
}

/// The fields of `config.json` that decide what is computed; others are ignored, as transformers ignores them.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the file's fields are what they are")]
struct HuggingFace {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    rope_theta: Option<f64>,
    rope_parameters: Option<RopeParameters>,
    rope_scaling: Option<Value>,
    rms_norm_eps: f64,
    #[serde(default)]
    tie_word_embeddings: bool,
    initializer_range: Option<f64>,
    bos_token_id: Option<u32>,
    eos_token_id: Option<OneOrMany>,
    pad_token_id: Option<u32>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    hidden_act: Option<String>,
}

/// The newer home of `rope_theta`.
#[derive(Debug, Deserialize)]
struct RopeParameters {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

impl HuggingFace {
    fn into_config(self) -> Result<LmConfig, LmError> {
        let architecture = match self.model_type.as_str() {
            "llama" => Architecture::Llama,
            "qwen2" => Architecture::Qwen2,
            other => {
                let expected = "llama or qwen2".to_owned();
                return Err(LmError::Config { field: "model_type", expected, got: other.to_owned() });
            }
        };
        self.check_supported(architecture)?;
        let theta = self.rope_theta.or(self.rope_parameters.and_then(|p| p.rope_theta));
        Ok(LmConfig {
            architecture,
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_dim: self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1)),
            max_position_embeddings: self.max_position_embeddings,
            rope_theta: theta.unwrap_or(10_000.0),
            rms_norm_eps: self.rms_norm_eps,
            tie_word_embeddings: self.tie_word_embeddings,
            initializer_range: self.initializer_range.unwrap_or(0.02),
            bos_token_id: self.bos_token_id,
            eos_token_id: match self.eos_token_id {
                None => Vec::new(),
                Some(OneOrMany::One(one)) => vec![one],
                Some(OneOrMany::Many(many)) => many,
            },
            pad_token_id: self.pad_token_id,
        })
    }

    /// Refuses what would be computed differently.
    fn check_supported(&self, architecture: Architecture) -> Result<(), LmError> {
        let plain = |kind: &str| kind == "default";
        let scaled = self.rope_scaling.as_ref().filter(|s| !s.is_null());
        let kind = |s: &Value| s.get("rope_type").or(s.get("type")).and_then(Value::as_str).unwrap_or("?").to_owned();
        let scaling = scaled.map(kind).or(self.rope_parameters.as_ref().and_then(|p| p.rope_type.clone()));
        let scaling = scaling.unwrap_or_else(|| "default".to_owned());
        ensure("rope_scaling", plain(&scaling), "no scaling", scaling)?;
        let activation = self.hidden_act.as_deref().unwrap_or("silu");
        ensure("hidden_act", activation == "silu", "silu", activation)?;
        let bias = self.attention_bias && architecture == Architecture::Llama;
        ensure("attention_bias", !bias, "false in a Llama", true)?;
        ensure("mlp_bias", !self.mlp_bias, "false", true)?;
        ensure("use_sliding_window", !self.use_sliding_window, "false", true)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests state exact values")]
mod tests {
    use super::*;

    #[test]
    fn a_written_configuration_reads_back() {
        for architecture in [Architecture::Llama, Architecture::Qwen2] {
            let eos_token_id = vec![3, 5];
            let config =
                LmConfig { architecture, eos_token_id, num_key_value_heads: 2, ..LmConfig::llama(64, 32, 2, 4) };
            assert_eq!(LmConfig::from_json(&config.to_json()).unwrap(), config);
        }
    }

    #[test]
    fn what_would_be_computed_differently_is_refused() {
        let text = LmConfig::llama(64, 32, 2, 4).to_json();
        let changes = [
            ("\"llama\"", "\"gpt2\""),
            ("\"silu\"", "\"gelu\""),
            ("\"mlp_bias\": false", "\"mlp_bias\": true"),
            ("\"attention_bias\": false", "\"attention_bias\": true"),
            ("\"head_dim\": 8", "\"head_dim\": 7"),
            ("\"hidden_size\": 32", "\"hidden_size\": 0"),
            ("\"max_position_embeddings\": 512", "\"max_position_embeddings\": 99999999"),
            ("\"num_key_value_heads\": 4", "\"num_key_value_heads\": 3"),
            ("\"use_cache\"", "\"rope_scaling\": {\"rope_type\": \"yarn\"}, \"use_cache\""),
        ];
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            assert!(matches!(LmConfig::from_json(&text.replace(from, to)), Err(LmError::Config { .. })), "{to}");
        }
        assert!(matches!(LmConfig::from_json("{}"), Err(LmError::Json(_))));
    }

    #[test]
    fn both_homes_of_theta_are_read() {
        let text = LmConfig::llama(64, 32, 2, 4).to_json();
        let newer = text.replace(
            "\"rope_theta\": 10000.0",
            "\"rope_parameters\": {\"rope_theta\": 5.0, \"rope_type\": \"default\"}",
        );
        assert!((LmConfig::from_json(&newer).unwrap().rope_theta - 5.0).abs() < f64::EPSILON);
    }
}
