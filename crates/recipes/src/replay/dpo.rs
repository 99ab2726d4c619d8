//! The DPO family as TRL's `DPOTrainer` has it.

use serde_json::{Value, json};
use tdrm_algo::preference::{PreferenceObjective, TokenPair};
use tdrm_lm::{Model, PolicyCoefficients, Scores, Sequence, Trainer};

use super::Method;
use super::grpo::setting;
use super::trace::{MicroStep, Trace, kept};
use crate::RecipeError;

/// The settings of a run, and its reference policy.
pub(super) struct Dpo {
    objectives: Vec<(PreferenceObjective, f64)>,
    reference: Model,
    scale: f64,
}

impl Dpo {
    /// The reference policy is the model that the run starts with.
    pub(super) fn new(trace: &Trace, model: &Model) -> Result<Self, RecipeError> {
        if trace.flag("use_weighting") {
            return Err(trace.wrong("config.use_weighting: expected false, got true".to_owned()));
        }
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
        let objective = |(i, kind): (usize, &String)| {
            let unknown = || trace.wrong(format!("config.loss_type: {kind} is not replayed"));
            let value = json!({"loss": loss(kind).ok_or_else(unknown)?, "tail_weight": tail_weight});
            let objective =
                serde_json::from_value(value).map_err(|error| trace.wrong(format!("loss {kind}: {error}")))?;
            Ok((objective, weights.get(i).and_then(Value::as_f64).unwrap_or(1.0)))
        };
        let objectives = kinds.iter().enumerate().map(objective).collect::<Result<_, RecipeError>>()?;
        Ok(Self { objectives, reference: model.snapshot()?, scale: 1.0 / trace.accumulation()? as f64 })
    }

    /// The loss and its derivatives in the log-probabilities of all sequences, the chosen ones first.
    fn evaluate(&self, scores: &Scores, reference: &Scores) -> Result<(f64, Vec<Vec<f64>>), RecipeError> {
        let pairs = scores.log_probs.len() / 2;
        let (logp, ref_logp) = (&scores.log_probs, &reference.log_probs);
        let batch: Vec<_> = (0..pairs)
            .map(|i| TokenPair::new(&logp[i], &logp[pairs + i], &ref_logp[i], &ref_logp[pairs + i]))
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
        let reference = self.reference.scores(&batch, 1.0)?;
        let mut outcome = Ok(0.0);
        trainer.accumulate_policy(&batch, 1.0, &mut |scores| match self.evaluate(scores, &reference) {
            Ok((loss, log_probs)) => {
                outcome = Ok(loss);
                PolicyCoefficients { log_probs, entropies: Vec::new() }
            }
            Err(error) => {
                outcome = Err(error);
                PolicyCoefficients::default()
            }
        })?;
        outcome
    }
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
