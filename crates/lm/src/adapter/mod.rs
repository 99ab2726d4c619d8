//! Low-rank adapters (LoRA). Hu et al. (2021), arXiv 2106.09685, §4.1.
//!
//! ```text
//! y = W x + b + s · B A x,   A [r, inputs], B [outputs, r],   s = α/r, or α/√r where it is rank-stabilised
//! ```
//!
//! Files are PEFT's: `adapter_config.json` and `adapter_model.safetensors`.

mod peft;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use candle_core::{DType, Tensor, Var};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tdrm_core::Seed;

use crate::LmError;
use crate::model::Model;
use crate::ops::{Form, Weight};
use crate::weights::{Fresh, Id, Part, Spec};
use peft::PREFIX;

/// Settings of a low-rank adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank r, at least 1.
    pub rank: usize,
    /// α, positive: the adapter's product is multiplied by α/r.
    pub alpha: f64,
    /// Share of the inputs that is dropped while training, in [0, 1).
    #[serde(default)]
    pub dropout: f64,
    /// Last components of the module names that are adapted: `q_proj`, `v_proj`, …
    pub target_modules: Vec<String>,
    /// Multiply by α/√r instead.
    #[serde(default)]
    pub rank_stabilised: bool,
}

impl LoraConfig {
    /// The factor s.
    #[must_use]
    pub fn scale(&self) -> f64 {
        scale(self.alpha, self.rank, self.rank_stabilised)
    }

    fn check(&self) -> Result<(), LmError> {
        if self.rank == 0 {
            return Err(LmError::setting("LoRA rank", "at least 1", self.rank));
        }
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(LmError::setting("LoRA alpha", "a positive number", self.alpha));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(LmError::setting("LoRA dropout", "a number in [0, 1)", self.dropout));
        }
        Ok(())
    }
}

/// What the product of factors of a rank is multiplied by.
fn scale(alpha: f64, rank: usize, stabilised: bool) -> f64 {
    let rank = rank as f64;
    alpha / if stabilised { rank.sqrt() } else { rank }
}

/// The two factors of a part of a matrix.
#[derive(Debug, Clone, Copy)]
struct Factors {
    /// Index of A among the model's parameters.
    a: Id,
    /// Index of B.
    b: Id,
    /// s.
    scale: f64,
}

/// How a module is adapted.
#[derive(Debug, Clone, Copy)]
struct Rank {
    rank: usize,
    scale: f64,
}

/// An adapter's place among a model's parameters.
#[derive(Debug)]
pub(crate) struct Adapter {
    pub(crate) config: LoraConfig,
    /// Its parameters, which follow the model's.
    pub(crate) specs: Vec<Spec>,
    /// For each adapted matrix: outputs and factors of each of its parts.
    parts: BTreeMap<Id, Vec<(usize, Option<Factors>)>>,
    /// Tensors of the model that belong to the adapter: trained and saved with it.
    saved: BTreeSet<String>,
    /// The settings that it was loaded with.
    source: Option<Map<String, Value>>,
}

impl Adapter {
    /// Finds the modules to adapt: those that have a rank. The head for scores belongs to every adapter.
    fn new(
        model: &Model,
        config: LoraConfig,
        mut saved: BTreeSet<String>,
        rank: impl Fn(&str) -> Option<Rank>,
    ) -> Result<Self, LmError> {
        config.check()?;
        let first = model.layout().specs.len();
        let (mut specs, mut parts) = (Vec::new(), BTreeMap::new());
        for (id, spec) in model.layout().specs.iter().enumerate() {
            let heads = spec.parts.iter().filter(|part| is_score_head(&part.name));
            saved.extend(heads.map(|part| part.name.clone()));
            let mut factors = |part: &Part| {
                let module = part.name.strip_suffix(".weight").filter(|_| part.shape.len() == 2)?;
                let Rank { rank, scale } = rank(module).filter(|_| module.starts_with("model.layers."))?;
                let mut push = |which: &str, shape: Vec<usize>| {
                    let name = format!("{PREFIX}{module}.lora_{which}.weight");
                    let fresh = if which == "A" { Fresh::Normal } else { Fresh::Zeros };
                    specs.push(Spec { parts: vec![Part { name, shape: shape.clone() }], shape, fresh });
                    first + specs.len() - 1
                };
                let a = push("A", vec![rank, part.shape[1]]);
                Some(Factors { a, b: push("B", vec![part.shape[0], rank]), scale })
            };
            let found: Vec<_> = spec.parts.iter().map(|part| (part.shape[0], factors(part))).collect();
            if found.iter().any(|(_, factors)| factors.is_some()) {
                parts.insert(id, found);
            }
        }
        if specs.is_empty() {
            let got = config.target_modules.join(", ");
            return Err(LmError::setting("target_modules", "names of modules in the layers, as q_proj", got));
        }
        Ok(Self { config, specs, parts, saved, source: None })
    }

    /// Whether a tensor of the model is trained with the adapter.
    pub(crate) fn trains(&self, name: &str) -> bool {
        name.starts_with(PREFIX) || self.saved.contains(name)
    }

    /// Adds the adapter's product to `y = W x + b` of parameter `id`.
    pub(crate) fn apply(
        &self,
        form: &Form,
        weights: &[Weight],
        id: Id,
        x: &Tensor,
        y: Tensor,
        dropout: Option<Seed>,
    ) -> Result<Tensor, LmError> {
        let Some(parts) = self.parts.get(&id) else { return Ok(y) };
        let x = match dropout.filter(|_| self.config.dropout > 0.0) {
            Some(seed) => &self.drop(x, seed.child(id as u64))?,
            None => x,
        };
        let part = |(outputs, factors): &(usize, Option<Factors>)| match factors {
            Some(Factors { a, b, scale }) => {
                let low = form.linear(x, &weights[*a], None)?;
                Ok::<_, LmError>((form.linear(&low, &weights[*b], None)? * *scale)?)
            }
            None => Ok(Tensor::zeros((x.dim(0)?, *outputs), x.dtype(), x.device())?),
        };
        let parts = parts.iter().map(part).collect::<Result<Vec<_>, _>>()?;
        let delta = if let [one] = parts.as_slice() { one.clone() } else { Tensor::cat(&parts, 1)? };
        Ok((y + delta)?)
    }

    /// Zeroes a share of the inputs and enlarges the others, so that the mean stays.
    fn drop(&self, x: &Tensor, seed: Seed) -> Result<Tensor, LmError> {
        let (share, mut rng) = (self.config.dropout, seed.rng());
        let kept = (1.0 / (1.0 - share)) as f32;
        let mask = (0..x.elem_count()).map(|_| if rng.random::<f64>() < share { 0.0 } else { kept }).collect();
        let mask = Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?;
        Ok((x * mask)?)
    }
}

impl Model {
    /// Adds a fresh adapter: A uniform as PEFT draws it, B zero, so that nothing changes at first.
    ///
    /// # Errors
    /// If a setting is out of its range, no module has a target's name, or there is an adapter already.
    pub fn with_adapter(self, config: LoraConfig, seed: Seed) -> Result<Self, LmError> {
        let draw = |spec: &Spec| {
            let mut values = vec![0.0; spec.len()];
            if spec.fresh == Fresh::Normal {
                // Kaiming's uniform with a = √5 is uniform within 1/√inputs.
                let bound = (spec.shape[1] as f32).sqrt().recip();
                let mut rng = seed.named(&spec.parts[0].name).rng();
                values.fill_with(|| (2.0 * rng.random::<f32>() - 1.0) * bound);
            }
            Ok(values)
        };
        self.without_adapter()?;
        let rank = Rank { rank: config.rank, scale: config.scale() };
        let targets = config.target_modules.clone();
        let named = |module: &str| targets.iter().any(|target| module.rsplit('.').next() == Some(target));
        let adapter = Adapter::new(&self, config, BTreeSet::new(), |module| named(module).then_some(rank))?;
        self.attach(adapter, draw)
    }

    /// `Ok` if there is none: an adapter's parameters follow the model's, whose number is then fixed.
    pub(crate) fn without_adapter(&self) -> Result<(), LmError> {
        if self.adapter.is_some() {
            return Err(LmError::setting("adapter", "a model without one", "one"));
        }
        Ok(())
    }

    fn attach(
        mut self,
        adapter: Adapter,
        mut values: impl FnMut(&Spec) -> Result<Vec<f32>, LmError>,
    ) -> Result<Self, LmError> {
        for spec in &adapter.specs {
            let parameter = self.storage().variable(values(spec)?, spec.shape.as_slice())?;
            self.parameters_mut().push(parameter);
        }
        self.adapter = Some(Arc::new(adapter));
        Ok(self)
    }

    /// Adds the adapter's products to the matrices and removes it: `W ← W + s·B A`.
    ///
    /// # Errors
    /// If candle fails.
    pub fn merge_adapter(self) -> Result<Self, LmError> {
        self.fold(1.0, true)
    }

    /// Subtracts the adapter's products from matrices into which they were merged, and keeps the adapter:
    /// `W ← W − s·B A`.
    ///
    /// # Errors
    /// If candle fails.
    pub fn unmerge_adapter(self) -> Result<Self, LmError> {
        self.fold(-1.0, false)
    }

    fn fold(mut self, sign: f64, remove: bool) -> Result<Self, LmError> {
        let Some(adapter) = self.adapter.clone() else { return Ok(self) };
        for (&id, parts) in &adapter.parts {
            let matrix = self.parameters()[id].as_detached_tensor();
            let mut start = 0;
            let mut rows = Vec::new();
            for (outputs, factors) in parts {
                let part = matrix.narrow(0, start, *outputs)?.to_dtype(DType::F32)?;
                start += outputs;
                rows.push(match factors {
                    Some(Factors { a, b, scale }) => {
                        let of = |id: Id| self.parameters()[id].as_detached_tensor().to_dtype(DType::F32);
                        (part + (of(*b)?.matmul(&of(*a)?)? * (sign * scale))?)?
                    }
                    None => part,
                });
            }
            let changed = Tensor::cat(&rows, 0)?.to_dtype(matrix.dtype())?;
            self.parameters_mut()[id] = Var::from_tensor(&changed)?;
        }
        if remove {
            let base = self.layout().specs.len();
            self.parameters_mut().truncate(base);
            self.adapter = None;
        }
        Ok(self)
    }
}

/// Whether a tensor belongs to a head for scores.
fn is_score_head(name: &str) -> bool {
    !name.starts_with("model.") && name != "lm_head.weight"
}
