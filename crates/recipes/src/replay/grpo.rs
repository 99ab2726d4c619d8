//! The GRPO family as TRL's `GRPOTrainer` has it.

use serde_json::{Value, json};
use tdrm_algo::objective::{Advantages, Objective, SequenceTerms};
use tdrm_lm::{PolicyCoefficients, Scores, Sequence, Trainer};

use super::Method;
use super::trace::{Advantage, MicroStep, Trace, kept};
use crate::RecipeError;

/// The settings of a run.
pub(super) struct Grpo {
    objective: Objective,
    temperature: f32,
    /// What the loss is multiplied by, for accumulation.
    scale: f64,
    denominator: Denominator,
}

/// What a token-sum loss is divided by.
enum Denominator {
    /// The aggregation says it.
    Own,
    /// Sequences times a longest completion.
    Length(f64),
    /// The trace's `num_items_in_batch`, times this.
    Items(f64),
}

/// A sequence's columns, at its completion tokens.
struct Columns {
    old_logp: Vec<f64>,
    ref_logp: Vec<f64>,
    advantages: Advantage,
    mask: Vec<bool>,
}

impl Grpo {
    pub(super) fn new(trace: &Trace) -> Result<Self, RecipeError> {
        for field in ["use_vllm", "use_adaptive_entropy"] {
            if trace.flag(field) {
                return Err(trace.wrong(format!("config.{field}: expected false, got true")));
            }
        }
        let loss = trace.texts("loss_type").first().cloned().unwrap_or_else(|| "dapo".to_owned());
        let (surrogate, aggregation) = policy_term(trace, &loss)?;
        let (denominator, scale) = divisor(trace, &loss)?;
        let beta = trace.number_or("beta", 0.0)?;
        let weighted = trace.flag_or("use_bias_correction_kl", true);
        let kl = json!({"estimator": "k3", "coefficient": beta, "weighted_by_ratio": weighted});
        // The entropy bonus is a mean over a micro-batch's tokens, whatever the rest is divided by.
        let entropy = trace.number_or("entropy_coef", 0.0)? / trace.accumulation()? as f64 / scale;
        let objective = json!({
            "ratio": ratio(trace, &loss)?,
            "filters": filters(trace)?,
            "surrogate": surrogate,
            "aggregation": aggregation,
            "kl": if beta > 0.0 { kl } else { Value::Null },
            "entropy_coefficient": entropy,
            "entropy_aggregation": "token_mean",
        });
        let objective: Objective =
            serde_json::from_value(objective).map_err(|error| trace.wrong(format!("objective: {error}")))?;
        let objective = Objective { log_ratio_limit: None, ..objective };
        let temperature = trace.number_or("temperature", 1.0)? as f32;
        Ok(Self { objective, temperature, scale, denominator })
    }

    /// The objective of a micro-batch.
    fn objective(&self, step: &MicroStep) -> Result<Objective, RecipeError> {
        let denominator = match self.denominator {
            Denominator::Own => return Ok(self.objective.clone()),
            Denominator::Length(longest) => step.completion_ids.len() as f64 * longest,
            Denominator::Items(share) => step.num_items_in_batch.unwrap_or(1.0).max(1.0) * share,
        };
        let aggregation = serde_json::from_value(json!({"kind": "constant", "denominator": denominator}));
        let wrong = |error: serde_json::Error| setting("num_items_in_batch", "a positive number", &error.to_string());
        Ok(Objective { aggregation: aggregation.map_err(wrong)?, ..self.objective.clone() })
    }
}

/// The surrogate of a loss and its aggregation, which is a placeholder where the divisor comes from the trace.
fn policy_term(trace: &Trace, loss: &str) -> Result<(Value, Value), RecipeError> {
    let low = trace.number_or("epsilon", 0.2)?;
    let high = trace.number_or("epsilon_high", low)?;
    let clip = json!({"kind": "ppo_clip", "low": low, "high": high, "dual": trace.number("delta")?});
    let placeholder = json!({"kind": "constant", "denominator": 1.0});
    Ok(match loss {
        "grpo" => (clip, json!("sequence_mean")),
        "bnpo" => (clip, json!("token_mean")),
        "luspo" => (clip, json!("sequence_mean_token_sum")),
        "dr_grpo" | "dapo" => (clip, placeholder),
        "cispo" => (json!({"kind": "cispo", "high": high, "convention": "absolute"}), placeholder),
        "sapo" => {
            let positive = trace.number_or("sapo_temperature_pos", 1.0)?;
            let negative = trace.number_or("sapo_temperature_neg", 1.05)?;
            let gate = json!({"kind": "soft_gate", "tau_positive": positive, "tau_negative": negative});
            (gate, json!("sequence_mean"))
        }
        "vespo" => {
            let gamma = json!({
                "kind": "vespo",
                "k_positive": trace.number_or("vespo_k_pos", 2.0)?,
                "lambda_positive": trace.number_or("vespo_lambda_pos", 3.0)?,
                "k_negative": trace.number_or("vespo_k_neg", 3.0)?,
                "lambda_negative": trace.number_or("vespo_lambda_neg", 2.0)?,
            });
            (gamma, placeholder)
        }
        other => {
            let expected = "grpo, bnpo, dr_grpo, dapo, luspo, cispo, sapo or vespo";
            return Err(trace.wrong(format!("config.loss_type: expected {expected}, got {other}")));
        }
    })
}

/// The level of the importance ratio.
fn ratio(trace: &Trace, loss: &str) -> Result<&'static str, RecipeError> {
    match trace.texts("importance_sampling_level").first().map_or("token", String::as_str) {
        "token" if loss == "vespo" => Ok("sequence_sum_token"),
        "token" => Ok("token"),
        "sequence" => Ok("sequence_mean"),
        other => {
            let field = "importance_sampling_level";
            Err(trace.wrong(format!("config.{field}: expected token or sequence, got {other}")))
        }
    }
}

/// Which tokens take part.
fn filters(trace: &Trace) -> Result<Vec<Value>, RecipeError> {
    let fraction = trace.number_or("top_entropy_quantile", 1.0)?;
    let entropy = (fraction < 1.0).then(|| json!({"kind": "top_entropy", "fraction": fraction}));
    let threshold = trace.number("off_policy_mask_threshold")?;
    let mask = threshold.map(|threshold| json!({"kind": "off_policy_sequence", "threshold": threshold}));
    Ok(entropy.into_iter().chain(mask).collect())
}

/// What the loss of a micro-batch is divided by, and multiplied by for accumulation.
fn divisor(trace: &Trace, loss: &str) -> Result<(Denominator, f64), RecipeError> {
    let accumulation = trace.accumulation()? as f64;
    Ok(match loss {
        "dr_grpo" => (Denominator::Length(trace.number_or("max_completion_length", 512.0)?), 1.0 / accumulation),
        "dapo" | "cispo" | "vespo" => {
            let share = accumulation / trace.number_or("steps_per_generation", accumulation)?;
            (Denominator::Items(share), 1.0)
        }
        _ => (Denominator::Own, 1.0 / accumulation),
    })
}

impl Method for Grpo {
    fn accumulate(&self, trainer: &mut Trainer, step: &MicroStep) -> Result<f64, RecipeError> {
        let (batch, columns) = sequences(step)?;
        let objective = self.objective(step)?;
        let mut outcome = Ok(0.0);
        trainer.accumulate_policy(&batch, self.temperature, &mut |scores: &Scores| {
            let terms: Vec<_> = columns.iter().enumerate().map(|(i, c)| c.terms(scores, i)).collect();
            let evaluated = objective.prepare(&terms).and_then(|counts| objective.evaluate(&terms, &counts));
            match evaluated {
                Ok(evaluation) => {
                    outcome = Ok(evaluation.loss * self.scale);
                    let scaled = |ragged: Vec<Vec<f64>>| -> Vec<Vec<f64>> {
                        ragged.into_iter().map(|row| row.into_iter().map(|c| c * self.scale).collect()).collect()
                    };
                    let coefficients = evaluation.coefficients;
                    PolicyCoefficients {
                        log_probs: scaled(coefficients.log_probs),
                        entropies: scaled(coefficients.entropies),
                    }
                }
                Err(error) => {
                    outcome = Err(error);
                    PolicyCoefficients::default()
                }
            }
        })?;
        Ok(outcome?)
    }
}

impl Columns {
    fn terms<'a>(&'a self, scores: &'a Scores, i: usize) -> SequenceTerms<'a, f64> {
        let advantages = match &self.advantages {
            Advantage::Sequence(advantage) => Advantages::Sequence(*advantage),
            Advantage::Token(advantages) => Advantages::Token(advantages),
        };
        SequenceTerms {
            old_logp: &self.old_logp,
            ref_logp: &self.ref_logp,
            entropy: &scores.entropies[i],
            mask: &self.mask,
            ..SequenceTerms::new(&scores.log_probs[i], advantages)
        }
    }
}

/// Takes the padding off.
fn sequences(step: &MicroStep) -> Result<(Vec<Sequence>, Vec<Columns>), RecipeError> {
    let count = step.completion_ids.len();
    let lengths = [step.prompt_ids.len(), step.prompt_mask.len(), step.completion_mask.len(), step.advantages.len()];
    if lengths.iter().any(|len| *len != count) {
        return Err(setting("micro_steps", &format!("{count} rows in every column"), &format!("{lengths:?}")));
    }
    let all: Vec<_> = (0..count)
        .map(|i| {
            let mask = &step.completion_mask[i];
            let column = |rows: &Option<Vec<Vec<f64>>>| {
                rows.as_ref().and_then(|rows| rows.get(i)).map(|row| kept(row, mask)).unwrap_or_default()
            };
            let tools = step.tool_mask.as_ref().and_then(|rows| rows.get(i));
            let columns = Columns {
                old_logp: column(&step.old_per_token_logps),
                ref_logp: column(&step.ref_per_token_logps),
                advantages: match &step.advantages[i] {
                    Advantage::Token(row) => Advantage::Token(kept(row, mask)),
                    one @ Advantage::Sequence(_) => one.clone(),
                },
                mask: tools.map(|row| kept(row, mask).iter().map(|m| *m == 1).collect()).unwrap_or_default(),
            };
            let prompt = kept(&step.prompt_ids[i], &step.prompt_mask[i]);
            (Sequence::new(&prompt, &kept(&step.completion_ids[i], mask)), columns)
        })
        .collect();
    Ok(all.into_iter().unzip())
}

/// An error about a field of the trace.
pub(super) fn setting(field: &'static str, expected: &str, got: &str) -> RecipeError {
    RecipeError::Setting { field, expected: expected.to_owned(), got: got.to_owned() }
}
