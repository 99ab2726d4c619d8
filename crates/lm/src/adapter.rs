//! Low-rank adapters (LoRA). Hu et al. (2021), arXiv 2106.09685, §4.1.
//!
//! ```text
//! y = W x + b + s · B A x,   A [r, inputs], B [outputs, r],   s = α/r, or α/√r where it is rank-stabilised
//! ```
//!
//! Files are PEFT's: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Tensor, Var};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tdrm_core::Seed;

use crate::LmError;
use crate::model::Model;
use crate::ops::{Form, Weight};
use crate::weights::{self, Checkpoint, Fresh, Id, Part, Spec};

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
        let rank = self.rank as f64;
        self.alpha / if self.rank_stabilised { rank.sqrt() } else { rank }
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

    /// Reads PEFT's `adapter_config.json`.
    fn load(path: &Path) -> Result<Self, LmError> {
        let text = fs::read_to_string(path).map_err(LmError::io(path))?;
        let file: Value = serde_json::from_str(&text).map_err(LmError::json(path))?;
        let wrong = |what: &str, expected: &str| {
            LmError::setting(&format!("{}, {what}", path.display()), expected, file.get(what).unwrap_or(&Value::Null))
        };
        for (field, plain) in [("use_dora", json!(false)), ("fan_in_fan_out", json!(false)), ("bias", json!("none"))] {
            if file.get(field).is_some_and(|value| !value.is_null() && *value != plain) {
                return Err(wrong(field, &plain.to_string()));
            }
        }
        for field in ["rank_pattern", "alpha_pattern", "modules_to_save", "layers_to_transform"] {
            let empty = |value: &Value| {
                value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty) || *value == json!([])
            };
            if file.get(field).is_some_and(|value| !empty(value)) {
                return Err(wrong(field, "nothing"));
            }
        }
        let targets = file.get("target_modules").and_then(Value::as_array);
        let targets = targets.and_then(|list| list.iter().map(|name| name.as_str().map(str::to_owned)).collect());
        let config = Self {
            rank: file.get("r").and_then(Value::as_u64).ok_or_else(|| wrong("r", "an integer"))? as usize,
            alpha: file.get("lora_alpha").and_then(Value::as_f64).ok_or_else(|| wrong("lora_alpha", "a number"))?,
            dropout: file.get("lora_dropout").and_then(Value::as_f64).unwrap_or(0.0),
            target_modules: targets.ok_or_else(|| wrong("target_modules", "a list of module names"))?,
            rank_stabilised: file.get("use_rslora").and_then(Value::as_bool).unwrap_or(false),
        };
        config.check()?;
        Ok(config)
    }

    fn to_json(&self) -> String {
        let file = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": null,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": self.target_modules,
            "use_rslora": self.rank_stabilised,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
        });
        format!("{file:#}\n")
    }
}

/// The two factors of a part of a matrix.
#[derive(Debug, Clone, Copy)]
struct Factors {
    /// Index of A among the model's parameters.
    a: Id,
    /// Index of B.
    b: Id,
}

/// An adapter's place among a model's parameters.
#[derive(Debug)]
pub(crate) struct Adapter {
    pub(crate) config: LoraConfig,
    /// Its parameters, which follow the model's.
    pub(crate) specs: Vec<Spec>,
    /// For each adapted matrix: outputs and factors of each of its parts.
    parts: BTreeMap<Id, Vec<(usize, Option<Factors>)>>,
}

impl Adapter {
    /// Finds the modules to adapt.
    fn new(model: &Model, config: LoraConfig) -> Result<Self, LmError> {
        config.check()?;
        let first = model.layout().specs.len();
        let (mut specs, mut parts) = (Vec::new(), BTreeMap::new());
        for (id, spec) in model.layout().specs.iter().enumerate().filter(|(_, spec)| spec.shape.len() == 2) {
            let mut factors = |part: &Part| {
                let module = part.name.strip_suffix(".weight")?;
                let last = module.rsplit('.').next()?;
                let head = !module.starts_with("model.layers.");
                if head || !config.target_modules.iter().any(|target| target == last) {
                    return None;
                }
                let mut push = |which: &str, shape: Vec<usize>| {
                    let name = format!("base_model.model.{module}.lora_{which}.weight");
                    let fresh = if which == "A" { Fresh::Normal } else { Fresh::Zeros };
                    specs.push(Spec { parts: vec![Part { name, shape: shape.clone() }], shape, fresh });
                    first + specs.len() - 1
                };
                let a = push("A", vec![config.rank, part.shape[1]]);
                Some(Factors { a, b: push("B", vec![part.shape[0], config.rank]) })
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
        Ok(Self { config, specs, parts })
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
            Some(Factors { a, b }) => {
                let low = form.linear(x, &weights[*a], None)?;
                Ok::<_, LmError>(form.linear(&low, &weights[*b], None)?)
            }
            None => Ok(Tensor::zeros((x.dim(0)?, *outputs), x.dtype(), x.device())?),
        };
        let parts = parts.iter().map(part).collect::<Result<Vec<_>, _>>()?;
        let delta = if let [one] = parts.as_slice() { one.clone() } else { Tensor::cat(&parts, 1)? };
        Ok((y + (delta * self.config.scale())?)?)
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
        self.attach(config, draw)
    }

    /// Adds an adapter that PEFT or [`Model::save_adapter`] saved.
    ///
    /// # Errors
    /// If a file is missing or malformed, or its tensors do not fit this model.
    pub fn load_adapter(self, directory: &Path) -> Result<Self, LmError> {
        let config = LoraConfig::load(&directory.join("adapter_config.json"))?;
        let path = directory.join("adapter_model.safetensors");
        let mut checkpoint = Checkpoint::of_file(&path)?;
        let model = self.attach(config, |spec| {
            let mut values = Vec::new();
            for part in &spec.parts {
                checkpoint.read_into(&part.name, &part.shape, &mut values)?;
            }
            Ok(values)
        })?;
        match checkpoint.unread().first() {
            Some(name) => {
                let reason = format!("tensor {name} belongs to no module that adapter_config.json names");
                Err(LmError::Format { path, reason })
            }
            None => Ok(model),
        }
    }

    fn attach(
        mut self,
        config: LoraConfig,
        mut values: impl FnMut(&Spec) -> Result<Vec<f32>, LmError>,
    ) -> Result<Self, LmError> {
        if self.adapter.is_some() {
            return Err(LmError::setting("adapter", "a model without one", "one"));
        }
        let adapter = Adapter::new(&self, config)?;
        for spec in &adapter.specs {
            let parameter = self.storage().variable(values(spec)?, spec.shape.as_slice())?;
            self.parameters_mut().push(parameter);
        }
        self.adapter = Some(std::sync::Arc::new(adapter));
        Ok(self)
    }

    /// Saves the adapter under PEFT's names.
    ///
    /// # Errors
    /// If there is no adapter or a file cannot be written.
    pub fn save_adapter(&self, directory: &Path) -> Result<(), LmError> {
        let Some(adapter) = &self.adapter else {
            return Err(LmError::setting("adapter", "a model with one", "none"));
        };
        fs::create_dir_all(directory).map_err(LmError::io(directory))?;
        let first = self.layout().specs.len();
        let values =
            (0..adapter.specs.len()).map(|i| self.parameter_values(first + i)).collect::<Result<Vec<_>, _>>()?;
        let tensors = adapter.specs.iter().zip(&values);
        let tensors = tensors.map(|(spec, values)| (spec.parts[0].name.clone(), spec.shape.clone(), values.as_slice()));
        weights::write_atomically(&directory.join("adapter_config.json"), adapter.config.to_json().as_bytes())?;
        weights::write_tensors(&directory.join("adapter_model.safetensors"), DType::F32, tensors)
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
                    Some(Factors { a, b }) => {
                        let of = |id: Id| self.parameters()[id].as_detached_tensor().to_dtype(DType::F32);
                        (part + (of(*b)?.matmul(&of(*a)?)? * (sign * adapter.config.scale()))?)?
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
