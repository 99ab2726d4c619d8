//! The files of an adapter as PEFT has them: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Adapter, LoraConfig, Rank, is_score_head, scale};
use crate::model::Model;
use crate::weights::{self, Checkpoint};
use crate::{HeadKind, LmError};

/// What stands before a tensor's name.
pub(super) const PREFIX: &str = "base_model.model.";

/// What PEFT calls the first factor of a module.
fn first_factor(module: &str) -> String {
    format!("{PREFIX}{module}.lora_A.weight")
}

/// What PEFT calls a tensor of the model: the bias of an adapted module lies a level deeper.
fn saved_name(name: &str, has: impl Fn(&str) -> bool) -> String {
    match name.strip_suffix(".bias") {
        Some(module) if has(&first_factor(module)) => format!("{PREFIX}{module}.base_layer.bias"),
        _ => format!("{PREFIX}{name}"),
    }
}

/// `adapter_config.json`.
#[derive(Debug)]
pub(super) struct Settings {
    config: LoraConfig,
    /// α of modules whose names end so.
    alphas: Vec<(String, f64)>,
    /// The file as it was read.
    source: Map<String, Value>,
}

impl Settings {
    pub(super) fn load(path: &Path) -> Result<Self, LmError> {
        let text = fs::read_to_string(path).map_err(LmError::io(path))?;
        let source: Map<String, Value> = serde_json::from_str(&text).map_err(LmError::json(path))?;
        let wrong = |field: &str, expected: &str| {
            LmError::setting(
                &format!("{}, {field}", path.display()),
                expected,
                source.get(field).unwrap_or(&Value::Null),
            )
        };
        let only = [
            ("peft_type", json!("LORA")),
            ("use_dora", json!(false)),
            ("fan_in_fan_out", json!(false)),
            ("lora_bias", json!(false)),
            ("target_parameters", json!([])),
            ("trainable_token_indices", json!([])),
            ("layer_replication", json!([])),
        ];
        for (field, plain) in only {
            if source.get(field).is_some_and(|value| !value.is_null() && *value != plain) {
                return Err(wrong(field, &plain.to_string()));
            }
        }
        // Others change the matrices that they adapt.
        let starts = ["gaussian", "orthogonal", "eva"];
        let start = source.get("init_lora_weights").and_then(Value::as_str);
        if start.is_some_and(|start| !starts.contains(&start)) {
            return Err(wrong("init_lora_weights", "true, false, gaussian, orthogonal or eva"));
        }
        let alphas = match source.get("alpha_pattern") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(map)) => {
                let plain = |name: &str| !name.contains(['^', '$', '*', '+', '?', '|', '(', '[', '{', '\\']);
                let pair = |(name, value): (&String, &Value)| {
                    let alpha = value.as_f64().filter(|_| plain(name))?;
                    Some((name.clone(), alpha))
                };
                let pairs: Option<Vec<_>> = map.iter().map(pair).collect();
                pairs.ok_or_else(|| wrong("alpha_pattern", "numbers by plain names of modules"))?
            }
            Some(_) => return Err(wrong("alpha_pattern", "an object")),
        };
        let targets = match source.get("target_modules") {
            Some(Value::String(pattern)) => vec![pattern.clone()],
            Some(Value::Array(list)) => {
                let names: Option<Vec<_>> = list.iter().map(|name| name.as_str().map(str::to_owned)).collect();
                names.ok_or_else(|| wrong("target_modules", "names of modules"))?
            }
            _ => return Err(wrong("target_modules", "names of modules")),
        };
        let config = LoraConfig {
            rank: source.get("r").and_then(Value::as_u64).ok_or_else(|| wrong("r", "an integer"))? as usize,
            alpha: source.get("lora_alpha").and_then(Value::as_f64).ok_or_else(|| wrong("lora_alpha", "a number"))?,
            dropout: source.get("lora_dropout").and_then(Value::as_f64).unwrap_or(0.0),
            target_modules: targets,
            rank_stabilised: source.get("use_rslora").and_then(Value::as_bool).unwrap_or(false),
        };
        config.check()?;
        Ok(Self { config, alphas, source })
    }

    /// The rank of a module's factors, as the file has them, and their scale.
    fn rank(&self, file: &Checkpoint, module: &str) -> Option<Rank> {
        let rank = *file.shape(&first_factor(module))?.first().filter(|rank| **rank > 0)?;
        let of = |name: &str| module.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let alpha = self.alphas.iter().find_map(|(name, alpha)| of(name).then_some(*alpha));
        Some(Rank { rank, scale: scale(alpha.unwrap_or(self.config.alpha), rank, self.config.rank_stabilised) })
    }
}

impl Model {
    /// Adds an adapter that PEFT or [`Model::save_adapter`] saved. Tensors that the file has in place of the model's
    /// (`modules_to_save`, biases) replace them; a causal language model becomes the classifier that the adapter was
    /// trained as, with its head.
    ///
    /// # Errors
    /// If a file is missing or malformed, or its tensors do not fit this model.
    pub fn load_adapter(self, directory: &Path) -> Result<Self, LmError> {
        self.without_adapter()?;
        let settings = Settings::load(&directory.join("adapter_config.json"))?;
        let path = directory.join("adapter_model.safetensors");
        let mut file = Checkpoint::of_file(&path)?;
        let mut model = self.under_the_head_of(&settings, &file)?;
        // PEFT trains a copy of a saved module: where the embeddings were tied, they are no longer.
        if ["model.embed_tokens.weight", "lm_head.weight"].iter().any(|name| file.has(&format!("{PREFIX}{name}"))) {
            model = model.untied()?;
        }
        let names = model.layout().parts().map(|(_, _, part)| &part.name);
        let saved = names.filter(|name| file.has(&saved_name(name, |n| file.has(n)))).cloned().collect();
        let adapter = Adapter::new(&model, settings.config.clone(), saved, |module| settings.rank(&file, module))?;
        let adapter = Adapter { source: Some(settings.source), ..adapter };
        let mut model = model.attach(adapter, |spec| {
            let mut values = Vec::new();
            for part in &spec.parts {
                file.read_into(&part.name, &part.shape, &mut values)?;
            }
            Ok(values)
        })?;
        model.replace(&mut file)?;
        match file.unread().first() {
            Some(name) => {
                Err(LmError::Format { path, reason: format!("tensor {name} belongs to no module of this model") })
            }
            None => Ok(model),
        }
    }

    /// A causal language model with the head that an adapter brings.
    fn under_the_head_of(self, settings: &Settings, file: &Checkpoint) -> Result<Self, LmError> {
        let task = settings.source.get("task_type").and_then(Value::as_str);
        let labels = file.shape(&format!("{PREFIX}score.weight")).and_then(|shape| shape.first().copied());
        match (self.config().head, task, labels) {
            (HeadKind::CausalLm, Some("SEQ_CLS"), Some(labels)) => {
                self.with_labels(HeadKind::SequenceClassification { labels })
            }
            (HeadKind::CausalLm, Some("TOKEN_CLS"), Some(labels)) => {
                self.with_labels(HeadKind::TokenClassification { labels })
            }
            _ => Ok(self),
        }
    }

    /// Takes the tensors that a file has in place of the model's.
    fn replace(&mut self, file: &mut Checkpoint) -> Result<(), LmError> {
        for (id, spec) in self.layout().clone().specs.iter().enumerate() {
            let named: Vec<_> = spec.parts.iter().map(|part| saved_name(&part.name, |n| file.has(n))).collect();
            if !named.iter().any(|name| file.has(name)) {
                continue;
            }
            let mut values = self.parameter_values(id)?;
            for ((part, range), name) in spec.parts.iter().zip(spec.ranges()).zip(&named) {
                if file.has(name) {
                    let mut new = Vec::new();
                    file.read_into(name, &part.shape, &mut new)?;
                    values[range].copy_from_slice(&new);
                }
            }
            let parameter = self.storage().variable(values, spec.shape.as_slice())?;
            self.parameters_mut()[id] = parameter;
        }
        Ok(())
    }

    /// Saves the adapter under PEFT's names, and with it the tensors of the model that are trained beside it: the head for
    /// scores, and what the adapter was loaded with.
    ///
    /// # Errors
    /// If there is no adapter or a file cannot be written.
    pub fn save_adapter(&self, directory: &Path) -> Result<(), LmError> {
        let Some(adapter) = &self.adapter else {
            return Err(LmError::setting("adapter", "a model with one", "none"));
        };
        fs::create_dir_all(directory).map_err(LmError::io(directory))?;
        let adapted: BTreeSet<&str> =
            adapter.specs.iter().flat_map(|spec| &spec.parts).map(|p| p.name.as_str()).collect();
        let mut tensors = Vec::new();
        for (name, shape) in self.tensors() {
            if name.starts_with(PREFIX) {
                tensors.push((name.to_owned(), shape.to_vec(), self.tensor(name)?));
            } else if adapter.saved.contains(name) {
                let saved = saved_name(name, |n| adapted.contains(n));
                tensors.push((saved, shape.to_vec(), self.tensor(name)?));
            }
        }
        let tensors = tensors.iter().map(|(name, shape, values)| (name.clone(), shape.clone(), values.as_slice()));
        let config = format!("{:#}\n", Value::Object(self.adapter_config(adapter)));
        weights::write_atomically(&directory.join("adapter_config.json"), config.as_bytes())?;
        weights::write_tensors(&directory.join("adapter_model.safetensors"), candle_core::DType::F32, tensors)
    }

    /// `adapter_config.json`: as it was read, or what PEFT needs to know.
    fn adapter_config(&self, adapter: &Adapter) -> Map<String, Value> {
        let config = &adapter.config;
        let fresh = || {
            let task = match self.config().head {
                HeadKind::SequenceClassification { .. } => "SEQ_CLS",
                HeadKind::TokenClassification { .. } => "TOKEN_CLS",
                _ => "CAUSAL_LM",
            };
            let fields = [
                ("peft_type", json!("LORA")),
                ("task_type", json!(task)),
                ("base_model_name_or_path", Value::Null),
                ("r", json!(config.rank)),
                ("lora_alpha", json!(config.alpha)),
                ("lora_dropout", json!(config.dropout)),
                ("target_modules", json!(config.target_modules)),
                ("use_rslora", json!(config.rank_stabilised)),
                ("bias", json!("none")),
                ("fan_in_fan_out", json!(false)),
                ("inference_mode", json!(true)),
            ];
            fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
        };
        let mut file: Map<String, Value> = adapter.source.clone().unwrap_or_else(fresh);
        // Heads for scores are modules at the top: score, or v_head.
        let heads = adapter.saved.iter().filter(|name| is_score_head(name));
        let heads = heads.filter_map(|name| name.split('.').next()).map(|head| json!(head));
        let mut modules = file.get("modules_to_save").and_then(Value::as_array).cloned().unwrap_or_default();
        for head in heads {
            if !modules.contains(&head) {
                modules.push(head);
            }
        }
        if !modules.is_empty() {
            file.insert("modules_to_save".to_owned(), Value::Array(modules));
        }
        file
    }
}
