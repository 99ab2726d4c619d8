//! The forward pass of a decoder, written once for every family, engine and purpose.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use rayon::prelude::*;
use tdrm_core::Seed;
use tdrm_kernels::panels::Panels;

use super::Model;
use crate::LmError;
use crate::generate::{Cache, NewRows};
use crate::ops::head::LmHead;
use crate::ops::{self, Form, Packing, Tape, Weight, with_matrix, with_slice};
use crate::weights::{Affine, Id, LayerIds, ScoreIds};

/// How a row meets the other rows of its sequence.
#[derive(Debug)]
pub(crate) enum Via<'a> {
    /// All rows of the sequences are in the batch.
    Packed(&'a Packing),
    /// Earlier rows are in a cache, to which these rows are appended; nothing is trained.
    Cached { cache: &'a mut Cache, rows: &'a NewRows<'a> },
}

/// A model as one forward pass sees it.
#[derive(Debug, Clone)]
pub(crate) struct Pass {
    pub(crate) model: Model,
    pub(crate) weights: Vec<Weight>,
    form: Form,
    /// Randomness of an adapter's dropout, in training passes.
    dropout: Option<Seed>,
    /// Where a row's numbers must not depend on the other rows: how each matrix is multiplied, `[specs]`; else empty.
    alone: Arc<[Alone]>,
}

/// How a matrix is multiplied so that a row does not see the others.
#[derive(Debug)]
enum Alone {
    /// In a copy made for few rows.
    Panels(Panels),
    /// As it is.
    Rows,
}

/// Elements of all matrices together from which on they are not copied into panels: 256 MiB.
const PANELS: usize = 1 << 26;

impl Pass {
    pub(crate) fn new(model: &Model, weights: Vec<Weight>) -> Self {
        Self { model: model.clone(), weights, form: model.engine().into(), dropout: None, alone: Arc::from([]) }
    }

    /// A pass that drops an adapter's inputs.
    pub(crate) fn with_dropout(self, seed: Seed) -> Self {
        Self { dropout: Some(seed), ..self }
    }

    /// The same pass where a row's numbers are independent of the other rows, bit for bit. Small matrices are copied into
    /// panels for it. Nothing changes in the composed form.
    pub(crate) fn row_by_row(self) -> Result<Self, LmError> {
        self.row_by_row_within(PANELS)
    }

    fn row_by_row_within(self, limit: usize) -> Result<Self, LmError> {
        if matches!(self.form, Form::Composed) {
            return Ok(self);
        }
        let layout = self.model.layout();
        let ids = |ids: &LayerIds| [ids.qkv, ids.output, ids.gate_up, ids.down].map(|affine| affine.weight);
        let multiplied: Vec<Id> = layout.layers.iter().flat_map(ids).chain(layout.lm_head).collect();
        let elements: usize = multiplied.iter().map(|&id| layout.specs[id].len()).sum();
        let panels = |id: Id| {
            let tensor = &self.weights[id].tensor;
            let (outputs, inputs) = tensor.dims2()?;
            let panels = with_slice(tensor, |w| Panels::new(w, outputs, inputs).map_err(candle_core::Error::wrap));
            Ok(Alone::Panels(panels?))
        };
        let all = (0..layout.specs.len()).into_par_iter();
        // Those in bfloat16 are multiplied where they lie.
        let small = elements < limit && self.model.storage().dtype == DType::F32;
        let copied = |id: &Id| small && multiplied.contains(id);
        let all = all.map(|id| if copied(&id) { panels(id) } else { Ok(Alone::Rows) });
        let alone = all.collect::<Result<Vec<_>, LmError>>()?.into();
        Ok(Self { alone, ..self })
    }

    /// The same pass, in the fused form with a tape for its way back.
    pub(crate) fn with_tape(&self, tape: &Arc<Tape>) -> Self {
        Self { form: Form::Fused(Some(Arc::clone(tape))), ..self.clone() }
    }

    /// The same pass without a gradient.
    pub(crate) fn detached(&self) -> Self {
        let weights = self.weights.iter().map(|w| Weight { tensor: w.tensor.detach(), sink: None }).collect();
        Self { weights, ..self.clone() }
    }

    /// Runs the layers on embedded rows `[N, d]`; the result is not normalised yet.
    pub(crate) fn body(&self, x: Tensor, via: &mut Via<'_>) -> Result<Tensor, LmError> {
        (0..self.model.layout().layers.len()).try_fold(x, |x, i| self.layer(i, &x, via))
    }

    /// One layer.
    pub(crate) fn layer(&self, i: usize, x: &Tensor, via: &mut Via<'_>) -> Result<Tensor, LmError> {
        let ids = &self.model.layout().layers[i];
        let attended = self.attend(i, ids, &self.norm(ids.input_norm, x)?, via)?;
        let attended = self.optional_norm(ids.attended_norm, &attended)?;
        let (norm, epsilon) = (&self.weights[ids.mlp_norm], self.model.config().rms_norm_eps);
        let (x, normed) = self.form.add_norm(x, &attended, norm, epsilon)?;
        let fed = self.feed_forward(ids, &normed)?;
        Ok(self.form.add(&x, &self.optional_norm(ids.fed_norm, &fed)?)?)
    }

    fn attend(&self, i: usize, ids: &LayerIds, x: &Tensor, via: &mut Via<'_>) -> Result<Tensor, LmError> {
        let (heads, window) = (self.model.config().heads, self.model.config().windows[i]);
        let qkv = self.project(ids.qkv, x)?;
        let qkv = match ids.qk_norm {
            Some((q, k)) => {
                let norms = (&self.weights[q], &self.weights[k]);
                self.form.norm_heads(&qkv, heads, norms, self.model.config().rms_norm_eps)?
            }
            None => qkv,
        };
        let attended = match via {
            Via::Packed(packing) => self.form.attention(&qkv, heads, window, packing)?,
            Via::Cached { cache, rows } => cache.attend(&self.model, i, rows, &qkv)?,
        };
        self.project(ids.output, &attended)
    }

    fn feed_forward(&self, ids: &LayerIds, x: &Tensor) -> Result<Tensor, LmError> {
        let gate_up = self.project(ids.gate_up, x)?;
        self.project(ids.down, &self.form.swiglu(&gate_up)?)
    }

    /// `x Wᵀ + b`, plus what an adapter adds.
    fn project(&self, affine: Affine, x: &Tensor) -> Result<Tensor, LmError> {
        let y = self.linear(affine, x)?;
        match &self.model.adapter {
            Some(adapter) => self.form.by_candle(&[x, &y], |form, inputs| {
                adapter.apply(form, &self.weights, affine.weight, inputs[0], inputs[1].clone(), self.dropout)
            }),
            None => Ok(y),
        }
    }

    /// `x Wᵀ + b`.
    fn linear(&self, affine: Affine, x: &Tensor) -> Result<Tensor, LmError> {
        let bias = affine.bias.map(|id| &self.weights[id]);
        match self.alone.get(affine.weight) {
            Some(Alone::Panels(panels)) => Ok(ops::linear_panels(x, panels, bias)?),
            Some(Alone::Rows) => Ok(ops::linear_rows(x, &self.weights[affine.weight], bias)?),
            None => Ok(self.form.linear(x, &self.weights[affine.weight], bias)?),
        }
    }

    fn norm(&self, id: Id, x: &Tensor) -> Result<Tensor, LmError> {
        Ok(self.form.rms_norm(x, &self.weights[id], self.model.config().rms_norm_eps)?)
    }

    fn optional_norm(&self, id: Option<Id>, x: &Tensor) -> Result<Tensor, LmError> {
        id.map_or_else(|| Ok(x.clone()), |id| self.norm(id, x))
    }

    /// The final norm.
    pub(crate) fn final_norm(&self, x: &Tensor) -> Result<Tensor, LmError> {
        self.norm(self.model.layout().norm, x)
    }

    /// Logits of rows of the body's output, `[n, V]`.
    pub(crate) fn logits(&self, x: &Tensor) -> Result<Tensor, LmError> {
        let head = Affine { weight: self.model.lm_head()?, bias: None };
        self.linear(head, &self.final_norm(x)?)
    }

    /// Lends the final norm and the output embedding as slices, on the CPU.
    pub(crate) fn with_head<R>(
        &self,
        temperature: f32,
        work: impl FnOnce(LmHead<'_>) -> candle_core::Result<R>,
    ) -> Result<R, LmError> {
        let (head, norm) = (self.model.lm_head()?, self.model.layout().norm);
        let epsilon = self.model.config().rms_norm_eps as f32;
        Ok(with_slice(&self.weights[norm].tensor, |norm| {
            with_matrix(&self.weights[head].tensor, |weight| work(LmHead { norm, epsilon, weight, temperature }))
        })?)
    }

    /// Scores of rows of the body's output, `[n, labels]`, in 32 bits.
    pub(crate) fn scores(&self, x: &Tensor) -> Result<Tensor, LmError> {
        let ScoreIds { hidden, output, .. } = self.model.score_head()?;
        let x = self.final_norm(x)?;
        let x = match hidden {
            Some(hidden) => self.project(hidden, &x)?.relu()?,
            None => x,
        };
        Ok(self.project(output, &x)?.to_dtype(DType::F32)?)
    }
}

impl Model {
    /// The output embedding.
    pub(crate) fn lm_head(&self) -> Result<Id, LmError> {
        let architecture = || self.config().architecture.clone();
        self.layout()
            .lm_head
            .ok_or_else(|| LmError::Head { wanted: "language-model head", architecture: architecture() })
    }

    /// The head for scores.
    pub(crate) fn score_head(&self) -> Result<ScoreIds, LmError> {
        let architecture = || self.config().architecture.clone();
        self.layout().score.ok_or_else(|| LmError::Head { wanted: "head for scores", architecture: architecture() })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use tdrm_kernels::decode::Place;

    use super::*;
    use crate::ModelConfig;
    use crate::model::to_vec;

    #[test]
    fn large_and_small_models_are_multiplied_alike() {
        for family in ["qwen2", "llama", "glm4"] {
            let file = json!({
                "architectures": ["X"], "model_type": family, "vocab_size": 70, "hidden_size": 40, "intermediate_size": 56,
                "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.3,
            });
            let model = Model::init(ModelConfig::from_value(file).unwrap(), Seed::root(1)).unwrap();
            let mut cache = Cache::new(&model, 1, 8).unwrap();
            let places: Vec<Place> = (0..6).map(|position| Place { slot: 0, position }).collect();
            let mut run = |pass: Pass| {
                let x = model.embed(&pass.weights, &[3, 1, 4, 1, 5, 9]).unwrap();
                let rows = NewRows::new(&model, &cache, &places).unwrap();
                let x = pass.body(x, &mut Via::Cached { cache: &mut cache, rows: &rows }).unwrap();
                to_vec(&pass.logits(&x).unwrap()).unwrap()
            };
            let copied = run(model.pass().row_by_row_within(usize::MAX).unwrap());
            let uncopied = run(model.pass().row_by_row_within(0).unwrap());
            assert!(copied.iter().zip(&uncopied).all(|(a, b)| (a - b).abs() < 1e-4), "{family}");
            assert_ne!(copied, uncopied, "{family}: the sums are added in another order");
        }
    }
}
