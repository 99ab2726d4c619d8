//! The shape of a model, as Hugging Face's `config.json` has it.

mod fields;
mod rope;

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use tdrm_kernels::attention::Heads;
use tdrm_kernels::batch::Limits;
use tdrm_kernels::rope::Pairs;

use crate::LmError;
use fields::Fields;
pub use rope::{Rope, RopeScaling};

/// The family of a model: which switches its `config.json` has, and their defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// Qwen2, Qwen2.5, and what is distilled into them: biases on queries, keys and values.
    Qwen2,
    /// Qwen3: norms of queries and keys.
    Qwen3,
    /// Llama 2 and 3.
    Llama,
    /// Mistral: a sliding window in every layer.
    Mistral,
    /// GLM: half of a head is rotated, in neighbouring pairs; gate and up projections are one matrix.
    Glm,
    /// GLM-4-0414: GLM with two more norms in a layer.
    Glm4,
}

impl Family {
    const ALL: [(&'static str, Self); 6] = [
        ("qwen2", Self::Qwen2),
        ("qwen3", Self::Qwen3),
        ("llama", Self::Llama),
        ("mistral", Self::Mistral),
        ("glm", Self::Glm),
        ("glm4", Self::Glm4),
    ];

    /// The `model_type`.
    #[must_use]
    pub fn model_type(self) -> &'static str {
        Self::ALL.iter().find(|(_, family)| *family == self).map_or("", |(name, _)| name)
    }

    fn is_glm(self) -> bool {
        matches!(self, Self::Glm | Self::Glm4)
    }
}

/// What stands on top of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadKind {
    /// Next-token logits.
    CausalLm,
    /// One row of scores for the whole sequence, from its last token: `score.weight` `[labels, d]`.
    SequenceClassification {
        /// Scores in the row.
        labels: usize,
    },
    /// Scores at every token: `score.weight` `[labels, d]` and `score.bias`.
    TokenClassification {
        /// Scores in each row.
        labels: usize,
    },
    /// Qwen2.5-Math-PRM: scores at every token through a hidden layer, `score.0`, ReLU, `score.2`.
    ProcessReward {
        /// Scores in each row.
        labels: usize,
    },
    /// Qwen2.5-Math-RM: the same head with one output, read at the last token.
    Reward,
}

/// Which projections of a layer have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Biases {
    /// Queries, keys and values.
    pub qkv: bool,
    /// The output projection of attention.
    pub output: bool,
    /// The three projections of the feed-forward block.
    pub mlp: bool,
}

/// Shape of a decoder language model.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "switches that config.json has and that do not depend on each other")]
pub struct ModelConfig {
    /// The family.
    pub family: Family,
    /// The class in `architectures`, as the file has it.
    pub architecture: String,
    /// What stands on top.
    pub head: HeadKind,
    /// Tokens V.
    pub vocab_size: usize,
    /// Width of the residual stream, d.
    pub hidden_size: usize,
    /// Width of the feed-forward block, F.
    pub intermediate_size: usize,
    /// Attention heads.
    pub heads: Heads,
    /// Longest sequence that the model was made for.
    pub max_position_embeddings: usize,
    /// ε of the norms.
    pub rms_norm_eps: f64,
    /// Rotary position embedding.
    pub rope: Rope,
    /// Sliding window of each layer, `None` for full attention.
    pub windows: Vec<Option<usize>>,
    /// Which projections have a bias.
    pub biases: Biases,
    /// Whether queries and keys are normalised head by head.
    pub qk_norm: bool,
    /// Whether the outputs of attention and of the feed-forward block are normalised before they are added.
    pub sandwich_norm: bool,
    /// Whether the file has gate and up projections as one matrix.
    pub fused_gate_up: bool,
    /// Whether the output embedding is the input embedding.
    pub tie_word_embeddings: bool,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// Token that begins a text, if the file names one.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_id: Vec<u32>,
    /// Padding token. As in transformers, its input embedding is not trained, and a sequence classifier does not read a
    /// text at it.
    pub pad_token_id: Option<u32>,
    /// The file as it was read: what [`ModelConfig::to_json`] writes again.
    source: Map<String, Value>,
}

impl ModelConfig {
    /// Reads `config.json` of a directory.
    ///
    /// # Errors
    /// If the file is missing, is not JSON, or describes a model that this crate does not compute.
    pub fn load(directory: &Path) -> Result<Self, LmError> {
        let path = directory.join("config.json");
        let text = fs::read_to_string(&path).map_err(LmError::io(&path))?;
        let source: Value = serde_json::from_str(&text).map_err(LmError::json(&path))?;
        Self::from_value(source)
    }

    /// Reads the contents of a `config.json`.
    ///
    /// # Errors
    /// As [`ModelConfig::load`].
    pub fn from_value(source: Value) -> Result<Self, LmError> {
        let Value::Object(source) = source else {
            return Err(LmError::config("the file", "an object", kind(&source)));
        };
        let f = Fields::new(&source);
        let model_type = f.text("model_type")?.unwrap_or("nothing");
        let Some((_, family)) = Family::ALL.iter().find(|(name, _)| *name == model_type) else {
            let known: Vec<&str> = Family::ALL.iter().map(|(name, _)| *name).collect();
            return Err(LmError::config("model_type", format!("one of {}", known.join(", ")), model_type));
        };
        let family = *family;
        let activation = f.text("hidden_act")?.unwrap_or("silu");
        if !matches!(activation, "silu" | "swish") {
            return Err(LmError::config("hidden_act", "silu", activation));
        }
        let heads = heads(f, family)?;
        let layers = f.required_size("num_hidden_layers")?;
        if layers > 1 << 12 {
            return Err(LmError::config("num_hidden_layers", "at most 4096", layers));
        }
        let positions = f.size("max_position_embeddings")?.unwrap_or(match family {
            Family::Qwen2 | Family::Qwen3 => 32_768,
            Family::Llama => 2_048,
            Family::Mistral | Family::Glm | Family::Glm4 => 131_072,
        });
        let (partial, pairs) = if family.is_glm() { (0.5, Pairs::Neighbours) } else { (1.0, Pairs::Halves) };
        let qkv = f.flag("attention_bias")?.unwrap_or(family.is_glm());
        let biases = Biases {
            qkv: family == Family::Qwen2 || (qkv && family != Family::Mistral),
            output: qkv && matches!(family, Family::Llama | Family::Qwen3),
            mlp: family == Family::Llama && f.flag("mlp_bias")?.unwrap_or(false),
        };
        let (architecture, head) = head(f)?;
        let config = Self {
            family,
            architecture,
            head,
            vocab_size: f.required_size("vocab_size")?,
            hidden_size: f.required_size("hidden_size")?,
            intermediate_size: f.required_size("intermediate_size")?,
            heads,
            max_position_embeddings: positions,
            rms_norm_eps: f.positive("rms_norm_eps")?.unwrap_or(if family.is_glm() { 1.562_5e-7 } else { 1e-6 }),
            rope: Rope::read(f, heads.dim, partial, pairs, positions)?,
            windows: windows(f, family, layers)?,
            biases,
            qk_norm: family == Family::Qwen3,
            sandwich_norm: family == Family::Glm4,
            fused_gate_up: family.is_glm(),
            tie_word_embeddings: f.flag("tie_word_embeddings")?.unwrap_or(false),
            initializer_range: f.positive("initializer_range")?.unwrap_or(0.02),
            bos_token_id: f.tokens("bos_token_id")?.first().copied(),
            eos_token_id: f.tokens("eos_token_id")?,
            pad_token_id: match f.tokens("pad_token_id")?.first() {
                None if family.is_glm() && !source.contains_key("pad_token_id") => Some(151_329),
                padding => padding.copied(),
            },
            source: Map::new(),
        };
        if config.parameters() > 1 << 40 {
            return Err(LmError::config("parameters in all", "at most 2^40", config.parameters()));
        }
        Ok(Self { source, ..config })
    }

    /// The same body under a head for labels.
    pub(crate) fn with_labels(&self, head: HeadKind) -> Result<Self, LmError> {
        let (class, labels) = match head {
            HeadKind::TokenClassification { labels } => ("ForTokenClassification", labels),
            HeadKind::SequenceClassification { labels } => ("ForSequenceClassification", labels),
            _ => return Err(LmError::setting("head", "one for labels", format!("{head:?}"))),
        };
        let stem = self.architecture.split("For").next().unwrap_or_default();
        let name = |i: usize| format!("LABEL_{i}");
        let names: Map<_, _> = (0..labels).map(|i| (i.to_string(), json!(name(i)))).collect();
        let numbers: Map<_, _> = (0..labels).map(|i| (name(i), json!(i))).collect();
        self.changed([
            ("architectures", json!([format!("{stem}{class}")])),
            ("num_labels", Value::Null),
            ("id2label", Value::Object(names)),
            ("label2id", Value::Object(numbers)),
        ])
    }

    /// The same model with an output embedding of its own.
    pub(crate) fn untied(&self) -> Result<Self, LmError> {
        self.changed([("tie_word_embeddings", json!(false))])
    }

    /// The file with other values; without a field for which null is given.
    fn changed<const N: usize>(&self, fields: [(&str, Value); N]) -> Result<Self, LmError> {
        let mut source = self.source.clone();
        for (field, value) in fields {
            source.remove(field);
            if !value.is_null() {
                source.insert(field.to_owned(), value);
            }
        }
        Self::from_value(Value::Object(source))
    }

    /// A `config.json` that transformers reads: the file that was read, with weights declared as 32-bit floats.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.to_json_of("float32")
    }

    /// A `config.json` that declares this type of weights.
    pub(crate) fn to_json_of(&self, dtype: &str) -> String {
        let mut map = self.source.clone();
        for field in ["dtype", "torch_dtype"] {
            if map.contains_key(field) {
                map.insert(field.to_owned(), Value::from(dtype));
            }
        }
        format!("{:#}\n", Value::Object(map))
    }

    /// Decoder layers.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.windows.len()
    }

    /// What a batch must fit.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { vocabulary: self.vocab_size, longest: self.longest() }
    }

    /// Longest sequence that is computed as the reference implementation computes it.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.rope.limit.unwrap_or(usize::MAX).min(self.max_position_embeddings)
    }

    /// Weights of all matrices, computed without overflow.
    fn parameters(&self) -> u128 {
        let wide = |size: usize| size as u128;
        let heads = wide(self.heads.width()) + wide(self.heads.query_width());
        let layer = (heads + 3 * wide(self.intermediate_size)) * wide(self.hidden_size);
        wide(self.layers()) * layer + 2 * wide(self.vocab_size) * wide(self.hidden_size)
    }
}

/// Numbers of heads and their width.
fn heads(f: Fields<'_>, family: Family) -> Result<Heads, LmError> {
    let query = f.required_size("num_attention_heads")?;
    let absent = match family {
        Family::Qwen2 | Family::Qwen3 => 32,
        Family::Mistral => 8,
        Family::Glm | Family::Glm4 => 2,
        Family::Llama => query,
    };
    let absent = if f.is_null("num_key_value_heads") { query } else { absent };
    let key_value = f.size("num_key_value_heads")?.unwrap_or(absent);
    if query % key_value != 0 {
        let expected = format!("a multiple of num_key_value_heads, {key_value}");
        return Err(LmError::config("num_attention_heads", expected, query));
    }
    let hidden = f.required_size("hidden_size")?;
    let dim = match (f.size("head_dim")?, family) {
        (Some(dim), _) => dim,
        (None, Family::Qwen3 | Family::Glm | Family::Glm4) if !f.is_null("head_dim") => 128,
        (None, _) if hidden % query == 0 => hidden / query,
        (None, _) => return Err(LmError::config("hidden_size", format!("a multiple of {query} heads"), hidden)),
    };
    // Products of these sizes are made everywhere; each factor alone is at most 2²⁴.
    let width = (query + 2 * key_value).checked_mul(dim).filter(|width| *width <= 1 << 28);
    width.ok_or_else(|| LmError::config("head_dim", "at most 2^28 / heads", dim))?;
    Ok(Heads { query, key_value, dim })
}

/// The sliding window of each layer.
fn windows(f: Fields<'_>, family: Family, layers: usize) -> Result<Vec<Option<usize>>, LmError> {
    let given = |absent: usize| {
        if f.is_null("sliding_window") {
            Ok(None)
        } else {
            Ok::<_, LmError>(Some(f.size("sliding_window")?.unwrap_or(absent)))
        }
    };
    let window = match family {
        Family::Mistral => given(4_096)?,
        Family::Qwen2 | Family::Qwen3 if f.flag("use_sliding_window")?.unwrap_or(false) => given(4_096)?,
        _ => None,
    };
    if family == Family::Mistral {
        return Ok(vec![window; layers]);
    }
    let Some(types) = f.texts("layer_types")? else {
        let full = f.count("max_window_layers")?.unwrap_or(28);
        return Ok((0..layers).map(|i| window.filter(|_| i >= full)).collect());
    };
    if types.len() != layers {
        return Err(LmError::config("layer_types", format!("{layers} layers"), types.len()));
    }
    let layer = |kind: &&str| match *kind {
        "full_attention" => Ok(None),
        "sliding_attention" => Ok(window),
        other => Err(LmError::config("layer_types", "full_attention or sliding_attention", other)),
    };
    types.iter().map(layer).collect()
}

/// The class and the head that it has.
fn head(f: Fields<'_>) -> Result<(String, HeadKind), LmError> {
    let names = f.texts("architectures")?.unwrap_or_default();
    let name = names.first().copied().unwrap_or("CausalLM");
    // transformers writes one label per class, and two where it writes none.
    let labels = match (f.count("num_labels")?, f.object("id2label")?) {
        (Some(n), _) => n.max(1),
        (None, Some(map)) => map.len().max(1),
        (None, None) => 2,
    };
    let head = if name.ends_with("ForSequenceClassification") {
        HeadKind::SequenceClassification { labels }
    } else if name.ends_with("ForTokenClassification") {
        HeadKind::TokenClassification { labels }
    } else if name.ends_with("ForProcessRewardModel") {
        HeadKind::ProcessReward { labels }
    } else if name.ends_with("ForRewardModel") {
        HeadKind::Reward
    } else {
        // Base models, causal models, and wrappers whose extra tensors tell what they are.
        HeadKind::CausalLm
    };
    Ok((name.to_owned(), head))
}

/// What a JSON value is, for messages.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
