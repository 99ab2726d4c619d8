//! Replays a training run of TRL on our learner: the same micro-batches, another implementation of everything else.
//!
//! A trace is a JSON file with the trainer's settings, every tensor of every micro-batch, and what the trainer logged:
//! `trainer`, `config`, `micro_steps` and `log_history` (loss, gradient norm and learning rate of each step), and beside
//! it `<name>.final.safetensors` with the weights in the end. Log-probabilities, losses, gradients and steps are ours;
//! of the trace only inputs, advantages and behaviour log-probabilities are used, and the learning rates. A setting that
//! a trace does not have is TRL 1.16's default.

mod dpo;
mod grpo;
mod trace;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tdrm_lm::{Model, Trainer};

use crate::RecipeError;
use trace::{MicroStep, Trace};

/// One optimiser step, ours beside theirs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplayedStep {
    /// Number of the step, from 1.
    pub step: usize,
    /// Our loss, summed over the step's micro-batches.
    pub loss: f64,
    /// Theirs.
    pub reference_loss: f64,
    /// Our gradient norm before clipping.
    pub grad_norm: f64,
    /// Theirs, where it was logged.
    pub reference_grad_norm: Option<f64>,
    /// Learning rate.
    pub learning_rate: f64,
}

/// A replayed run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replay {
    /// The trainer of the trace.
    pub trainer: String,
    /// The steps.
    pub steps: Vec<ReplayedStep>,
    /// Largest |our loss − theirs|.
    pub max_loss_difference: f64,
    /// Largest relative difference of gradient norms.
    pub max_grad_norm_difference: f64,
    /// Largest |our weight − theirs| in the end, if the trace has its final weights.
    pub max_weight_difference: Option<f64>,
}

impl Replay {
    /// Whether losses agree within 1e-5 (relative where they are above 1), gradient norms within 1e-3 relative, and final
    /// weights within 1e-4.
    ///
    /// Weights whose gradient is zero but for rounding differ by as much as `AdamW` moves them, whatever computes them: key
    /// biases of coordinates that are not rotated, as half of them are in GLM.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.steps.iter().all(|s| (s.loss - s.reference_loss).abs() <= 1e-5 * s.reference_loss.abs().max(1.0))
            && self.max_grad_norm_difference <= 1e-3
            && self.max_weight_difference.is_none_or(|difference| difference <= 1e-4)
    }
}

/// What a micro-batch's loss is and how its gradient is accumulated.
trait Method {
    /// Adds the gradient of the micro-batch's loss; returns the loss.
    fn accumulate(&self, trainer: &mut Trainer, step: &MicroStep) -> Result<f64, RecipeError>;

    /// Is told of each step of the optimiser, from 1.
    fn stepped(&mut self, _step: usize, _model: &Model) -> Result<(), RecipeError> {
        Ok(())
    }
}

/// Replays a trace from the weights that the run started with.
///
/// # Errors
/// If a file is missing or malformed, or the trace uses a trainer or a setting that we do not have.
pub fn replay(path: &Path, model: Model) -> Result<Replay, RecipeError> {
    let trace = Trace::read(path)?;
    let mut method: Box<dyn Method> = match trace.trainer.as_str() {
        "GRPOTrainer" => Box::new(grpo::Grpo::new(&trace)?),
        "DPOTrainer" => Box::new(dpo::Dpo::new(&trace, &model)?),
        other => return Err(trace.wrong(format!("trainer: expected GRPOTrainer or DPOTrainer, got {other}"))),
    };
    let mut trainer = Trainer::new(model, trace.optimiser()?)?.decaying(has_decay);
    let mut steps = Vec::new();
    for (i, (micro_steps, logged)) in
        trace.micro_steps.chunks(trace.accumulation()?).zip(&trace.log_history).enumerate()
    {
        trainer.set_learning_rate(logged.learning_rate as f32);
        let (mut loss, mut reference_loss) = (0.0, 0.0);
        for micro_step in micro_steps {
            loss += method.accumulate(&mut trainer, micro_step)?;
            reference_loss += micro_step.loss;
        }
        let report = trainer.step()?;
        method.stepped(i + 1, trainer.model())?;
        steps.push(ReplayedStep {
            step: i + 1,
            loss,
            // What the trainers record of a micro-batch is divided by their number in some and not in others.
            reference_loss: logged.loss.unwrap_or(reference_loss),
            grad_norm: report.gradient_norm,
            reference_grad_norm: logged.grad_norm,
            learning_rate: report.learning_rate,
        });
    }
    let largest = |differences: &mut dyn Iterator<Item = f64>| differences.fold(0.0, f64::max);
    let norms = steps.iter().filter_map(|s| s.reference_grad_norm.map(|norm| (s.grad_norm, norm)));
    Ok(Replay {
        trainer: trace.trainer.clone(),
        max_loss_difference: largest(&mut steps.iter().map(|s| (s.loss - s.reference_loss).abs())),
        max_grad_norm_difference: largest(&mut norms.map(|(ours, theirs)| (ours - theirs).abs() / theirs.max(1e-12))),
        max_weight_difference: weights(path, trainer.model())?,
        steps,
    })
}

/// Hugging Face's trainer decays matrices only: no biases, no norms.
fn has_decay(name: &str) -> bool {
    !name.ends_with("bias") && !name.contains("norm")
}

/// Largest difference from the weights beside the trace.
fn weights(trace: &Path, model: &Model) -> Result<Option<f64>, RecipeError> {
    let path = trace.with_extension("final.safetensors");
    if !path.exists() {
        return Ok(None);
    }
    let wanted = read_tensors(&path)?;
    let mut largest: f64 = 0.0;
    for (name, wanted) in wanted {
        // A tied output embedding may be written twice.
        let Ok(got) = model.tensor(&name) else {
            if name == "lm_head.weight" && model.config().tie_word_embeddings {
                continue;
            }
            return Err(RecipeError::Content { path, message: format!("tensor {name} is not the model's") });
        };
        if got.len() != wanted.len() {
            let message = format!("tensor {name}: expected {} elements, got {}", got.len(), wanted.len());
            return Err(RecipeError::Content { path, message });
        }
        let differences = got.iter().zip(&wanted).map(|(a, b)| f64::from((a - b).abs()));
        largest = differences.fold(largest, |a, b| if b > a || b.is_nan() { b } else { a });
    }
    Ok(Some(largest))
}

/// 32-bit tensors of a safetensors file.
fn read_tensors(path: &PathBuf) -> Result<BTreeMap<String, Vec<f32>>, RecipeError> {
    let bytes = fs::read(path).map_err(|source| RecipeError::File { path: path.clone(), source })?;
    let wrong = |message: String| RecipeError::Content { path: path.clone(), message };
    let file = safetensors::SafeTensors::deserialize(&bytes).map_err(|error| wrong(error.to_string()))?;
    let read = |(name, view): (String, safetensors::tensor::TensorView<'_>)| match view.dtype() {
        safetensors::Dtype::F32 => {
            Ok((name, view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()))
        }
        other => Err(wrong(format!("tensor {name}: expected F32, got {other:?}"))),
    };
    file.tensors().into_iter().map(read).collect()
}
