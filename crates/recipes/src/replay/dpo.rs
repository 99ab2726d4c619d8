//! The DPO family as TRL's `DPOTrainer` has it.

use serde_json::{Value, json};
use tdrm_algo::preference::{PreferenceObjective, TokenPair};
use tdrm_lm::{Model, PolicyCoefficients, Sequence, Trainer};

use super::Method;
use super::grpo::setting;
use super::trace::{MicroStep, Trace, kept};
use crate::RecipeError;

/// The settings of a run, and its reference policy.
pub(super) struct Dpo {
    objectives: Vec<(PreferenceObjective, f64)>,
    weighted: bool,
    reference: Model,
    following: Option<Following>,
    scale: f64,
}

/// A reference policy that follows: every so many steps, `ref ← (1 − α) ref + α policy`.
struct Following {
    steps: usize,
    alpha: f32,
}

/// The columns of all sequences of a batch, the chosen ones first.
struct Columns<'a> {
    logp: &'a [Vec<f64>],
    ref_logp: &'a [Vec<f64>],
    /// `ln Σ π²`, where pairs are weighted.
    collision: &'a [Vec<f64>],
}

impl Dpo {
    /// The reference policy is the model that the run starts with.
    pub(super) fn new(trace: &Trace, model: &Model) -> Result<Self, RecipeError> {
        let weighted = trace.flag("use_weighting");
        let beta = trace.number_or("beta", 0.1)?;
        let smoothing = trace.number_or("label_smoothing", 0.0)?;
        let divergence = match trace.texts("f_divergence_type").first().map_or("reverse_kl", String::as_str) {
            "alpha_divergence" => {
                json!({"kind": "alpha", "alpha": trace.number_or("f_alpha_divergence_coef", 0.5)?})
            }
            "js_divergence" => json!({"kind": "jensen_shannon"}),
            other => json!({"kind": other}),
        };
        let loss = |kind: &str| {
            let plain = |kind: &str| json!({"kind": kind, "beta": beta});
            let with = |kind: &str, fields: &[(&str, Value)]| {
                let mut loss = plain(kind);
                for (field, value) in fields {
                    loss[*field] = value.clone();
                }
                loss
            };
            let (divergence, smoothing) = (("divergence", divergence.clone()), ("label_smoothing", json!(smoothing)));
            let normalised = ("length_normalised", json!(true));
            Some(match kind {
                "sigmoid" => with("dpo", &[divergence]),
                "sigmoid_norm" => with("dpo", &[divergence, normalised]),
                "hinge" => with("hinge", &[divergence]),
                "ipo" => with("ipo", &[divergence, normalised]),
                "robust" => with("robust", &[divergence, smoothing]),
                "exo_pair" => with("exo", &[divergence, smoothing]),
                "nca_pair" => plain("nca"),
                "bco_pair" => plain("bco"),
                "sppo_hard" => plain("sppo"),
                "aot" => with("aot", &[smoothing]),
                "aot_unpaired" => with("aot_unpaired", &[smoothing]),
                "apo_zero" => plain("apo_zero"),
                "apo_down" => plain("apo_down"),
                "discopop" => {
                    let tau = trace.number_or("discopop_tau", 0.05).ok()?;
                    with("discopop", &[divergence, ("tau", json!(tau))])
                }
                "sft" => json!({"kind": "sft"}),
                _ => return None,
            })
        };
        let kinds = match trace.texts("loss_type") {
            kinds if kinds.is_empty() => vec!["sigmoid".to_owned()],
            kinds => kinds,
        };
        let weights = trace.get("loss_weights").and_then(Value::as_array).cloned().unwrap_or_default();
        let tail_weight = trace.number("ld_alpha")?;
        let weighting = if weighted { "wpo" } else { "equal" };
        let objective = |(i, kind): (usize, &String)| {
            let unknown = || trace.wrong(format!("config.loss_type: {kind} is not replayed"));
            let value =
                json!({"loss": loss(kind).ok_or_else(unknown)?, "tail_weight": tail_weight, "weighting": weighting});
            let objective =
                serde_json::from_value(value).map_err(|error| trace.wrong(format!("loss {kind}: {error}")))?;
            Ok((objective, weights.get(i).and_then(Value::as_f64).unwrap_or(1.0)))
        };
        let objectives = kinds.iter().enumerate().map(objective).collect::<Result<_, RecipeError>>()?;
        let following = if trace.flag("sync_ref_model") {
            let steps = trace.number_or("ref_model_sync_steps", 512.0)?;
            Some(Following {
                steps: steps.max(1.0) as usize,
                alpha: trace.number_or("ref_model_mixup_alpha", 0.6)? as f32,
            })
        } else {
            None
        };
        let scale = 1.0 / trace.accumulation()? as f64;
        Ok(Self { objectives, weighted, reference: model.snapshot()?, following, scale })
    }

    /// The loss and its derivatives in the log-probabilities of all sequences, the chosen ones first.
    fn evaluate(&self, columns: &Columns<'_>) -> Result<(f64, Vec<Vec<f64>>), RecipeError> {
        let Columns { logp, ref_logp, collision } = columns;
        let pairs = logp.len() / 2;
        let collisions = |i: usize| collision.get(i).map_or(&[][..], Vec::as_slice);
        let batch: Vec<_> = (0..pairs)
            .map(|i| TokenPair {
                collision_chosen: collisions(i),
                collision_rejected: collisions(pairs + i),
                ..TokenPair::new(&logp[i], &logp[pairs + i], &ref_logp[i], &ref_logp[pairs + i])
            })
            .collect();
        let mut loss = 0.0;
        let mut derivatives: Vec<Vec<f64>> = logp.iter().map(|row| vec![0.0; row.len()]).collect();
        for (objective, weight) in &self.objectives {
            let evaluated = objective.evaluate(&batch);
            let wrong =
                |error: tdrm_algo::preference::PreferenceError| setting("pairs", "whole columns", &error.to_string());
            let evaluation = evaluated.map_err(wrong)?;
            loss += weight * self.scale * evaluation.loss;
            let rows = evaluation.chosen.iter().chain(&evaluation.rejected);
            for (total, row) in derivatives.iter_mut().zip(rows) {
                total.iter_mut().zip(row).for_each(|(total, d)| *total += weight * self.scale * d);
            }
        }
        Ok((loss, derivatives))
    }
}

impl Method for Dpo {
    fn accumulate(&self, trainer: &mut Trainer, step: &MicroStep) -> Result<f64, RecipeError> {
        let batch = sequences(step)?;
        let ref_logp = self.reference.scores(&batch, 1.0)?.log_probs;
        let collision = if self.weighted {
            batch.iter().map(|sequence| collisions(trainer.model(), sequence)).collect::<Result<_, _>>()?
        } else {
            Vec::new()
        };
        let mut outcome = Ok(0.0);
        trainer.accumulate_policy(&batch, 1.0, &mut |scores| {
            let columns = Columns { logp: &scores.log_probs, ref_logp: &ref_logp, collision: &collision };
            match self.evaluate(&columns) {
                Ok((loss, log_probs)) => {
                    outcome = Ok(loss);
                    PolicyCoefficients { log_probs, entropies: Vec::new() }
                }
                Err(error) => {
                    outcome = Err(error);
                    PolicyCoefficients::default()
                }
            }
        })?;
        outcome
    }

    fn stepped(&mut self, step: usize, model: &Model) -> Result<(), RecipeError> {
        let Some(Following { alpha, .. }) = self.following.as_ref().filter(|f| step.is_multiple_of(f.steps)) else {
            return Ok(());
        };
        for (name, _) in model.tensors() {
            let (own, new) = (self.reference.tensor(name)?, model.tensor(name)?);
            let mixed: Vec<f32> = own.iter().zip(&new).map(|(own, new)| (1.0 - alpha) * own + alpha * new).collect();
            self.reference.set_tensor(name, &mixed)?;
        }
        Ok(())
    }
}

/// `ln Σ_a π(a)²` at each token of a completion: twice the logits' normaliser against the normaliser of twice the logits.
fn collisions(model: &Model, sequence: &Sequence) -> Result<Vec<f64>, RecipeError> {
    let last = sequence.tokens.len().saturating_sub(1);
    let before: Vec<usize> = (sequence.prompt_len.saturating_sub(1)..last).collect();
    let logits = model.logits_at(&sequence.tokens, &before)?;
    let normaliser = |row: &[f32], scale: f64| {
        let largest = row.iter().copied().map(f64::from).fold(f64::NEG_INFINITY, f64::max);
        scale * largest + row.iter().map(|z| (scale * (f64::from(*z) - largest)).exp()).sum::<f64>().ln()
    };
    let rows = logits.chunks_exact(model.config().vocab_size);
    Ok(rows.map(|row| normaliser(row, 2.0) - 2.0 * normaliser(row, 1.0)).collect())
}

/// Takes the padding off; a completion is the end of its sequence.
fn sequences(step: &MicroStep) -> Result<Vec<Sequence>, RecipeError> {
    let rows = step.input_ids.len();
    if !rows.is_multiple_of(2) || step.attention_mask.len() != rows || step.completion_mask.len() != rows {
        let got = format!("{rows}, {} and {}", step.attention_mask.len(), step.completion_mask.len());
        return Err(setting("micro_steps", "an even number of rows in every column", &got));
    }
    let sequence = |i: usize| {
        let tokens = kept(&step.input_ids[i], &step.attention_mask[i]);
        let completion = kept(&step.completion_mask[i], &step.attention_mask[i]);
        let prompt_len = completion.iter().position(|m| *m == 1).unwrap_or(tokens.len());
        if completion[prompt_len..].contains(&0) {
            return Err(setting("completion_mask", "ones up to the end of the sequence", "a gap"));
        }
        Ok(Sequence { tokens, prompt_len })
    };
    (0..rows).map(sequence).collect()
}
