//! The file of a trace.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tdrm_lm::Optimiser;

use crate::RecipeError;

/// A run of a trainer.
#[derive(Debug, Deserialize)]
pub(super) struct Trace {
    #[serde(skip)]
    path: PathBuf,
    pub(super) trainer: String,
    config: Map<String, Value>,
    pub(super) micro_steps: Vec<MicroStep>,
    #[serde(deserialize_with = "steps")]
    pub(super) log_history: Vec<Logged>,
}

/// What the trainer logged of a step.
#[derive(Debug, Deserialize)]
pub(super) struct Logged {
    pub(super) learning_rate: f64,
    pub(super) loss: Option<f64>,
    pub(super) grad_norm: Option<f64>,
}

/// The entries about steps: a log also has evaluations, and a summary in the end.
fn steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Logged>, D::Error> {
    let entries = Vec::<Map<String, Value>>::deserialize(deserializer)?;
    let steps = entries.into_iter().filter(|entry| entry.contains_key("learning_rate"));
    steps.map(|entry| serde_json::from_value(Value::Object(entry)).map_err(D::Error::custom)).collect()
}

/// The tensors of a micro-batch, `[B][T]`, as the trainer had them; masks are 0 and 1.
#[derive(Debug, Deserialize)]
pub(super) struct MicroStep {
    pub(super) loss: f64,
    #[serde(default)]
    pub(super) prompt_ids: Vec<Vec<u32>>,
    #[serde(default)]
    pub(super) prompt_mask: Vec<Vec<u8>>,
    #[serde(default)]
    pub(super) completion_ids: Vec<Vec<u32>>,
    pub(super) completion_mask: Vec<Vec<u8>>,
    pub(super) tool_mask: Option<Vec<Vec<u8>>>,
    #[serde(default)]
    pub(super) advantages: Vec<Advantage>,
    pub(super) num_items_in_batch: Option<f64>,
    pub(super) old_per_token_logps: Option<Vec<Vec<f64>>>,
    pub(super) ref_per_token_logps: Option<Vec<Vec<f64>>>,
    #[serde(default)]
    pub(super) input_ids: Vec<Vec<u32>>,
    #[serde(default)]
    pub(super) attention_mask: Vec<Vec<u8>>,
}

/// One number for a sequence, or one for each token.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Advantage {
    Sequence(f64),
    Token(Vec<f64>),
}

impl Trace {
    pub(super) fn read(path: &Path) -> Result<Self, RecipeError> {
        let text = fs::read_to_string(path).map_err(|source| RecipeError::File { path: path.to_owned(), source })?;
        let trace: Self = serde_json::from_str(&text)
            .map_err(|error| RecipeError::Content { path: path.to_owned(), message: error.to_string() })?;
        Ok(Self { path: path.to_owned(), ..trace })
    }

    /// An error that names the file.
    pub(super) fn wrong(&self, message: String) -> RecipeError {
        RecipeError::Content { path: self.path.clone(), message }
    }

    /// A setting, unless it is absent or `None`.
    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        self.config.get(field).filter(|value| !value.is_null() && value.as_str() != Some("None"))
    }

    /// A number, which may be written as a text.
    pub(super) fn number(&self, field: &str) -> Result<Option<f64>, RecipeError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
        number.map(Some).ok_or_else(|| self.wrong(format!("config.{field}: expected a number, got {value}")))
    }

    /// A number with a default.
    pub(super) fn number_or(&self, field: &str, default: f64) -> Result<f64, RecipeError> {
        Ok(self.number(field)?.unwrap_or(default))
    }

    /// A truth value, which may be written as Python writes it.
    pub(super) fn flag(&self, field: &str) -> bool {
        self.flag_or(field, false)
    }

    /// A truth value with a default.
    pub(super) fn flag_or(&self, field: &str, default: bool) -> bool {
        self.get(field).map_or(default, |value| *value == Value::Bool(true) || value.as_str() == Some("True"))
    }

    /// Texts: one, a list, or a list as Python prints it.
    pub(super) fn texts(&self, field: &str) -> Vec<String> {
        match self.get(field) {
            Some(Value::String(text)) => {
                let separators = |c: char| matches!(c, '[' | ']' | '\'' | '"' | ',' | ' ');
                text.split(separators).filter(|part| !part.is_empty()).map(str::to_owned).collect()
            }
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }

    /// Micro-batches in a step.
    pub(super) fn accumulation(&self) -> Result<usize, RecipeError> {
        let steps = self.log_history.len();
        if steps == 0 || !self.micro_steps.len().is_multiple_of(steps) || self.micro_steps.is_empty() {
            let message = format!("{} micro_steps for {steps} steps of log_history", self.micro_steps.len());
            return Err(self.wrong(message));
        }
        Ok(self.micro_steps.len() / steps)
    }

    /// AdamW as the trainer had it; learning rates come from the log.
    pub(super) fn optimiser(&self) -> Result<Optimiser, RecipeError> {
        if let Some(other) = self.texts("optim").first().filter(|name| !name.to_lowercase().contains("adamw_torch")) {
            return Err(self.wrong(format!("config.optim: expected adamw_torch, got {other}")));
        }
        Ok(Optimiser {
            beta1: self.number_or("adam_beta1", 0.9)? as f32,
            beta2: self.number_or("adam_beta2", 0.999)? as f32,
            epsilon: self.number_or("adam_epsilon", 1e-8)? as f32,
            weight_decay: self.number_or("weight_decay", 0.0)? as f32,
            clip_norm: match self.number_or("max_grad_norm", 1.0)? {
                // Hugging Face's trainer does not clip at 0.
                norm if norm > 0.0 => norm as f32,
                _ => f32::INFINITY,
            },
            ..Optimiser::adamw(0.0)
        })
    }
}

/// The elements where a mask is 1.
pub(super) fn kept<T: Copy>(row: &[T], mask: &[u8]) -> Vec<T> {
    row.iter().zip(mask).filter(|(_, kept)| **kept == 1).map(|(x, _)| *x).collect()
}
