//! Where each named parameter lies in the one flat parameter vector.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::LmConfig;

/// The weight of the scalar head, `[1, d]`.
pub(crate) const SCORE_WEIGHT: &str = "score.weight";
/// The bias of the scalar head, `[1]`.
pub(crate) const SCORE_BIAS: &str = "score.bias";

/// A named parameter's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) range: Range<usize>,
    pub(crate) shape: Vec<usize>,
}

/// Places of all parameters: `[embedding | layers… | final norm | output embedding | scalar head]`.
///
/// Everything up to the final norm is the body, which every loss trains; the output embedding is empty if it is tied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) embedding: Range<usize>,
    pub(crate) layers: Vec<Range<usize>>,
    pub(crate) norm: Range<usize>,
    pub(crate) head: Range<usize>,
    pub(crate) score: Range<usize>,
}

impl Layout {
    pub(crate) fn new(config: &LmConfig) -> Self {
        let mut builder = Builder::default();
        let (v, d) = (config.vocab_size, config.hidden_size);
        let embedding = builder.add("model.embed_tokens.weight", &[v, d]);
        let layers = (0..config.num_hidden_layers).map(|i| builder.layer(config, i)).collect();
        let norm = builder.add("model.norm.weight", &[d]);
        let head = if config.tie_word_embeddings { norm.end..norm.end } else { builder.add("lm_head.weight", &[v, d]) };
        let score = builder.add(SCORE_WEIGHT, &[1, d]).start..builder.add(SCORE_BIAS, &[1]).end;
        Self { entries: builder.entries, embedding, layers, norm, head, score }
    }

    /// Parameters in all.
    pub(crate) fn len(&self) -> usize {
        self.score.end
    }

    /// The matrix that makes logits: its own, or the embedding.
    pub(crate) fn output(&self) -> Range<usize> {
        if self.head.is_empty() { self.embedding.clone() } else { self.head.clone() }
    }

    /// What every loss trains.
    pub(crate) fn body(&self) -> Range<usize> {
        0..self.norm.end
    }
}

#[derive(Default)]
struct Builder {
    entries: BTreeMap<String, Entry>,
    end: usize,
}

impl Builder {
    fn add(&mut self, name: &str, shape: &[usize]) -> Range<usize> {
        let range = self.end..self.end + shape.iter().product::<usize>();
        self.end = range.end;
        self.entries.insert(name.to_owned(), Entry { range: range.clone(), shape: shape.to_vec() });
        range
    }

    /// In the order that [`LayerParts`](tdrm_kernels::layer::LayerParts) prescribes.
    fn layer(&mut self, config: &LmConfig, i: usize) -> Range<usize> {
        let (start, d, f) = (self.end, config.hidden_size, config.intermediate_size);
        let heads = config.layer().heads;
        let mut add = |name: &str, shape: &[usize]| self.add(&format!("model.layers.{i}.{name}"), shape);
        add("input_layernorm.weight", &[d]);
        let projections =
            [("q_proj", heads.query_width()), ("k_proj", heads.key_value_width()), ("v_proj", heads.key_value_width())];
        for (name, width) in projections {
            add(&format!("self_attn.{name}.weight"), &[width, d]);
        }
        if config.layer().bias == tdrm_kernels::layer::QkvBias::With {
            for (name, width) in projections {
                add(&format!("self_attn.{name}.bias"), &[width]);
            }
        }
        add("self_attn.o_proj.weight", &[d, heads.query_width()]);
        add("post_attention_layernorm.weight", &[d]);
        add("mlp.gate_proj.weight", &[f, d]);
        add("mlp.up_proj.weight", &[f, d]);
        add("mlp.down_proj.weight", &[d, f]);
        start..self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_as_long_as_the_kernel_expects() {
        for architecture in [crate::Architecture::Llama, crate::Architecture::Qwen2] {
            let config = LmConfig { architecture, num_key_value_heads: 2, ..LmConfig::llama(16, 8, 3, 4) };
            let layout = Layout::new(&config);
            assert!(layout.layers.iter().all(|layer| layer.len() == config.layer().parameters()));
            assert_eq!(layout.entries.values().map(|entry| entry.range.len()).sum::<usize>(), layout.len());
        }
    }

    #[test]
    fn a_tied_model_makes_logits_from_its_embedding() {
        let config = LmConfig::llama(16, 8, 1, 2);
        let tied = Layout::new(&config);
        assert_eq!(tied.output(), tied.embedding);
        let untied = Layout::new(&LmConfig { tie_word_embeddings: false, ..config });
        assert_eq!(untied.output().len(), 16 * 8);
        assert_ne!(untied.output(), untied.embedding);
    }
}
