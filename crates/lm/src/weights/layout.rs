//! Which parameters a model has, under which names Hugging Face keeps them.
//!
//! Matrices that are multiplied with the same input are one parameter here: queries, keys and values; gate and up. Their
//! [`Part`]s keep their own names in files, gradients and adapters.

use std::ops::Range;

use crate::config::{HeadKind, ModelConfig};

/// A tensor of the checkpoint: consecutive rows of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Hugging Face's name.
    pub(crate) name: String,
    /// Its shape in the file.
    pub(crate) shape: Vec<usize>,
}

impl Part {
    /// Elements.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What fresh weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fresh {
    /// Normal with the configuration's standard deviation.
    Normal,
    /// Ones: the weight of a norm.
    Ones,
    /// Zeros: a bias.
    Zeros,
}

/// A parameter: parts one below another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) parts: Vec<Part>,
    /// `[rows, columns]` or `[rows]`.
    pub(crate) shape: Vec<usize>,
    pub(crate) fresh: Fresh,
}

impl Spec {
    /// Elements.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Where each part's elements lie.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.parts.iter().scan(0, |end, part| {
            let start = *end;
            *end += part.len();
            Some(start..*end)
        })
    }
}

/// Index of a parameter.
pub(crate) type Id = usize;

/// A matrix and its bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Affine {
    pub(crate) weight: Id,
    pub(crate) bias: Option<Id>,
}

/// Parameters of a decoder layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LayerIds {
    pub(crate) input_norm: Id,
    pub(crate) qkv: Affine,
    /// Norms of queries and of keys.
    pub(crate) qk_norm: Option<(Id, Id)>,
    pub(crate) output: Affine,
    /// Norm of attention's output, before it is added.
    pub(crate) attended_norm: Option<Id>,
    pub(crate) mlp_norm: Id,
    pub(crate) gate_up: Affine,
    pub(crate) down: Affine,
    /// Norm of the feed-forward block's output, before it is added.
    pub(crate) fed_norm: Option<Id>,
}

/// A head that makes scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScoreIds {
    /// The hidden layer of Qwen's reward heads, with ReLU.
    pub(crate) hidden: Option<Affine>,
    pub(crate) output: Affine,
    pub(crate) labels: usize,
}

/// All parameters of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) specs: Vec<Spec>,
    pub(crate) embed: Id,
    pub(crate) layers: Vec<LayerIds>,
    pub(crate) norm: Id,
    /// The output embedding; the input embedding's index where they are tied.
    pub(crate) lm_head: Option<Id>,
    pub(crate) score: Option<ScoreIds>,
}

/// Where a value head's tensors are called what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueHead {
    /// None.
    Absent,
    /// TRL's and Skywork's `v_head.summary`, `[1, d]` with bias.
    Summary,
}

impl Layout {
    pub(crate) fn new(config: &ModelConfig, value_head: ValueHead) -> Self {
        let mut specs = Vec::new();
        let (d, v) = (config.hidden_size, config.vocab_size);
        let embed = matrix(&mut specs, &[("model.embed_tokens.weight", v)], d);
        let layers = (0..config.layers()).map(|i| layer(&mut specs, config, i)).collect();
        let norm = vector(&mut specs, "model.norm.weight", d, Fresh::Ones);
        let lm_head = match (config.head, config.tie_word_embeddings) {
            (HeadKind::CausalLm, true) => Some(embed),
            (HeadKind::CausalLm, false) => Some(matrix(&mut specs, &[("lm_head.weight", v)], d)),
            _ => None,
        };
        let score = score(&mut specs, config, value_head);
        Self { specs, embed, layers, norm, lm_head, score }
    }

    /// Every tensor: the parameter, where its elements lie, the part.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (Id, Range<usize>, &Part)> {
        let all = self.specs.iter().enumerate();
        all.flat_map(|(id, spec)| spec.parts.iter().zip(spec.ranges()).map(move |(part, range)| (id, range, part)))
    }
}

fn push(specs: &mut Vec<Spec>, spec: Spec) -> Id {
    specs.push(spec);
    specs.len() - 1
}

/// A matrix of parts `(name, rows)`.
fn matrix(specs: &mut Vec<Spec>, parts: &[(&str, usize)], columns: usize) -> Id {
    let rows = parts.iter().map(|(_, rows)| rows).sum();
    let part = |(name, rows): &(&str, usize)| Part { name: (*name).to_owned(), shape: vec![*rows, columns] };
    let parts = parts.iter().map(part).collect();
    push(specs, Spec { parts, shape: vec![rows, columns], fresh: Fresh::Normal })
}

fn vector(specs: &mut Vec<Spec>, name: &str, len: usize, fresh: Fresh) -> Id {
    push(specs, Spec { parts: vec![Part { name: name.to_owned(), shape: vec![len] }], shape: vec![len], fresh })
}

/// A matrix of modules `(name, rows)` and its bias.
fn affine(specs: &mut Vec<Spec>, modules: &[(String, usize)], columns: usize, bias: bool) -> Affine {
    let name = |module: &str, what: &str| format!("{module}.{what}");
    let weights: Vec<_> = modules.iter().map(|(module, rows)| (name(module, "weight"), *rows)).collect();
    let weights: Vec<_> = weights.iter().map(|(name, rows)| (name.as_str(), *rows)).collect();
    let weight = matrix(specs, &weights, columns);
    let bias = bias.then(|| {
        let parts = modules.iter().map(|(module, rows)| Part { name: name(module, "bias"), shape: vec![*rows] });
        let shape = vec![modules.iter().map(|(_, rows)| rows).sum()];
        push(specs, Spec { parts: parts.collect(), shape, fresh: Fresh::Zeros })
    });
    Affine { weight, bias }
}

fn layer(specs: &mut Vec<Spec>, config: &ModelConfig, i: usize) -> LayerIds {
    let (d, f, heads, biases) = (config.hidden_size, config.intermediate_size, config.heads, config.biases);
    let name = |what: &str| format!("model.layers.{i}.{what}");
    let norm = |specs: &mut Vec<Spec>, what: &str, len| vector(specs, &name(what), len, Fresh::Ones);
    let input_norm = norm(specs, "input_layernorm.weight", d);
    let (q, k) = (heads.query_width(), heads.key_value_width());
    let qkv = [(name("self_attn.q_proj"), q), (name("self_attn.k_proj"), k), (name("self_attn.v_proj"), k)];
    let qkv = affine(specs, &qkv, d, biases.qkv);
    let qk_norm = config.qk_norm.then(|| {
        let query = norm(specs, "self_attn.q_norm.weight", heads.dim);
        (query, norm(specs, "self_attn.k_norm.weight", heads.dim))
    });
    let output = affine(specs, &[(name("self_attn.o_proj"), d)], q, biases.output);
    let attended_norm = config.sandwich_norm.then(|| norm(specs, "post_self_attn_layernorm.weight", d));
    let mlp_norm = norm(specs, "post_attention_layernorm.weight", d);
    let gate_up = if config.fused_gate_up {
        vec![(name("mlp.gate_up_proj"), 2 * f)]
    } else {
        vec![(name("mlp.gate_proj"), f), (name("mlp.up_proj"), f)]
    };
    let gate_up = affine(specs, &gate_up, d, biases.mlp);
    let down = affine(specs, &[(name("mlp.down_proj"), d)], f, biases.mlp);
    let fed_norm = config.sandwich_norm.then(|| norm(specs, "post_mlp_layernorm.weight", d));
    LayerIds { input_norm, qkv, qk_norm, output, attended_norm, mlp_norm, gate_up, down, fed_norm }
}

fn score(specs: &mut Vec<Spec>, config: &ModelConfig, value_head: ValueHead) -> Option<ScoreIds> {
    let d = config.hidden_size;
    let mut plain = |name: &str, labels, bias| {
        let output = affine(specs, &[(name.to_owned(), labels)], d, bias);
        Some(ScoreIds { hidden: None, output, labels })
    };
    match config.head {
        HeadKind::CausalLm if value_head == ValueHead::Summary => plain("v_head.summary", 1, true),
        HeadKind::CausalLm => None,
        HeadKind::SequenceClassification { labels } => plain("score", labels, false),
        HeadKind::TokenClassification { labels } => plain("score", labels, true),
        HeadKind::ProcessReward { .. } | HeadKind::Reward => {
            let labels = if let HeadKind::ProcessReward { labels } = config.head { labels } else { 1 };
            let hidden = affine(specs, &[("score.0".to_owned(), d)], d, true);
            let output = affine(specs, &[("score.2".to_owned(), labels)], d, true);
            Some(ScoreIds { hidden: Some(hidden), output, labels })
        }
    }
}
