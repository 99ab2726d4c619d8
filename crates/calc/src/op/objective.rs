//! The op `objective`.

pub(crate) mod mask;

use serde::{Deserialize, Serialize};
use tdrm_algo::objective::{Advantages, Denominators, Evaluation, Metrics, Objective, SequenceTerms};

use crate::{CalcError, OpDoc};
use mask::Mask;

/// Its fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    objective: Objective,
    sequences: Vec<Sequence>,
    #[serde(default)]
    denominators: Counts,
}

/// One sequence of `T` tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sequence {
    logp: Vec<f64>,
    advantages: NumberOrList,
    #[serde(default)]
    old_logp: Option<Vec<f64>>,
    #[serde(default)]
    ref_logp: Option<Vec<f64>>,
    #[serde(default)]
    rollout_logp: Option<Vec<f64>>,
    #[serde(default)]
    entropy: Option<Vec<f64>>,
    #[serde(default)]
    full_kl: Option<Vec<f64>>,
    #[serde(default)]
    mask: Option<Mask>,
    #[serde(default)]
    step_ends: Vec<usize>,
    #[serde(default)]
    log_z: f64,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "advantages: a number or a list of numbers")]
enum NumberOrList {
    Number(f64),
    List(Vec<f64>),
}

/// Counts of the whole batch that replace those of the sequences given.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Counts {
    tokens: Option<f64>,
    sequences: Option<f64>,
}

/// Its answer.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    loss: f64,
    dlogp: Vec<Vec<f64>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dentropy: Vec<Vec<f64>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dfull_kl: Vec<Vec<f64>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dlog_z: Vec<f64>,
    metrics: Metrics,
}

impl Request {
    pub(crate) fn run(self) -> Result<Answer, CalcError> {
        let terms: Vec<SequenceTerms<'_, f64>> = self.sequences.iter().map(Sequence::terms).collect();
        let counted = self.objective.prepare(&terms).map_err(CalcError::invalid)?;
        let denominators = self.denominators.replace(counted);
        self.objective.evaluate(&terms, &denominators).map(Answer::from).map_err(CalcError::invalid)
    }
}

impl Sequence {
    fn terms(&self) -> SequenceTerms<'_, f64> {
        let advantages = match &self.advantages {
            NumberOrList::Number(advantage) => Advantages::Sequence(*advantage),
            NumberOrList::List(advantages) => Advantages::Token(advantages),
        };
        SequenceTerms {
            old_logp: column(self.old_logp.as_deref()),
            ref_logp: column(self.ref_logp.as_deref()),
            rollout_logp: column(self.rollout_logp.as_deref()),
            entropy: column(self.entropy.as_deref()),
            full_kl: column(self.full_kl.as_deref()),
            mask: mask::slice(self.mask.as_ref()),
            step_ends: &self.step_ends,
            log_z: self.log_z,
            ..SequenceTerms::new(&self.logp, advantages)
        }
    }
}

/// An absent column is an empty one.
pub(crate) fn column(values: Option<&[f64]>) -> &[f64] {
    values.unwrap_or_default()
}

impl Counts {
    pub(crate) fn replace(&self, counted: Denominators) -> Denominators {
        Denominators {
            tokens: self.tokens.unwrap_or(counted.tokens),
            sequences: self.sequences.unwrap_or(counted.sequences),
            all_sequences: self.sequences.unwrap_or(counted.all_sequences),
            ..counted
        }
    }
}

impl From<Evaluation<f64>> for Answer {
    fn from(e: Evaluation<f64>) -> Self {
        Self {
            loss: e.loss,
            dlogp: e.coefficients.log_probs,
            dentropy: e.coefficients.entropies,
            dfull_kl: e.coefficients.full_kls,
            dlog_z: e.coefficients.log_z,
            metrics: e.metrics,
        }
    }
}

macro_rules! forms {
    ($($kind:literal, $fields:literal, $formula:literal, $objective:literal;)*) => {
        &[$(OpDoc {
            name: "objective",
            kind: $kind,
            fields: $fields,
            formula: $formula,
            example: concat!(
                r#"{"op":"objective","objective":"#, $objective,
                r#","sequences":[{"logp":[-0.5,-1.0],"old_logp":[-0.6,-0.8],"ref_logp":[-0.7,-0.9],"advantages":1.0}]}"#
            ),
        },)*]
    };
}

/// Its lines of the list.
pub(crate) const OPS: &[OpDoc] = forms! {
    "ppo_clip", "low, high, dual = null", "−min(ρA, clip(ρ, 1−low, 1+high)A); A < 0: at most −dual·A",
        r#"{"ratio":"token","surrogate":{"kind":"ppo_clip","low":0.2,"high":0.28},"aggregation":"token_mean","kl":{"estimator":"k3","coefficient":0.04}}"#;
    "score_function", "", "−A log π", r#"{"surrogate":{"kind":"score_function"},"aggregation":"sequence_mean_token_sum"}"#;
    "importance", "", "−ρA", r#"{"surrogate":{"kind":"importance"},"aggregation":{"kind":"constant","denominator":8}}"#;
    "cispo", "high, low = null, convention = around_one | absolute", "−sg[clip(ρ)] A log π",
        r#"{"surrogate":{"kind":"cispo","high":0.2},"aggregation":"token_mean"}"#;
    "gmpo", "low, high, length_epsilon = 0", "−A exp(mean of one-sidedly clipped log-ratios)",
        r#"{"ratio":"sequence_mean","surrogate":{"kind":"gmpo","low":0.4,"high":0.4},"aggregation":"sequence_mean"}"#;
    "soft_gate", "tau_positive, tau_negative", "−(4/τ) σ(τ(ρ−1)) A",
        r#"{"surrogate":{"kind":"soft_gate","tau_positive":1.0,"tau_negative":1.05},"aggregation":"sequence_mean_token_mean"}"#;
    "vespo", "k_positive, lambda_positive, k_negative, lambda_negative", "−sg[e^λ w^k e^{−λw}] A log π",
        r#"{"ratio":"sequence_sum_token","surrogate":{"kind":"vespo","k_positive":2,"lambda_positive":3,"k_negative":3,"lambda_negative":2},"aggregation":"token_mean"}"#;
    "awr", "temperature, max_weight = null", "−min(e^{A/τ}, w_max) log π",
        r#"{"surrogate":{"kind":"awr","temperature":1.0},"aggregation":"token_mean"}"#;
    "mirror_descent", "tau", "(A − τx)²",
        r#"{"ratio":"sequence_sum","surrogate":{"kind":"mirror_descent","tau":0.1},"aggregation":"sequence_mean"}"#;
    "dro", "beta", "−A log π + (β/2)x²", r#"{"surrogate":{"kind":"dro","beta":0.1},"aggregation":"token_mean"}"#;
    "trajectory_balance", "beta, clip = null", "w (log_z + log π − βA − log π_ref)²",
        r#"{"ratio":"sequence_mean","surrogate":{"kind":"trajectory_balance","beta":15,"clip":[0.2,0.2]},"aggregation":"sequence_mean"}"#;
    "divergence_mask", "divergence = total_variation | kl, low, high, max_ratio = null", "−sg[min(ρ, c)] A log π where the token has not moved too far",
        r#"{"surrogate":{"kind":"divergence_mask","divergence":"kl","low":0.2,"high":0.2},"aggregation":"token_mean"}"#;
    "preset", "reinforce | ppo | grpo | dr_grpo | dapo | rloo | gspo | gspo_token | gmpo | cispo | gpg | sapo | kimi | dro | flow_rl | awr | vespo | luspo | dppo_tv | dppo_kl | kl_cov, and any field of an objective to override",
        "the published composition", r#"{"preset":"grpo"}"#;
    "ratio", "token | step_mean | step_sum | sequence_mean | sequence_sum | sequence_mean_token | sequence_sum_token, default token", "over what x = log π − log π_old is pooled; ρ = e^x",
        r#"{"ratio":"sequence_mean_token","surrogate":{"kind":"ppo_clip","low":0.0003,"high":0.0004},"aggregation":"sequence_mean_token_mean"}"#;
    "aggregation", "token_mean | sequence_mean_token_mean | sequence_mean_token_sum | sequence_mean | constant {denominator}; length_epsilon = 0 for the means over |y|", "Σℓ/N_tokens, mean_i Σℓ/|y_i|, mean_i Σℓ, the same with empty sequences counted, Σℓ/denominator",
        r#"{"surrogate":{"kind":"score_function"},"aggregation":{"kind":"constant","denominator":8}}"#;
    "kl", "estimator = k1 | k2 | k3 | abs | k1+ | k3+ | full, coefficient, weighted_by_ratio = false, place = loss | reward, value_limit = null", "+ β k(log π − log π_ref), in the loss or (see token_rewards) in the reward; needs ref_logp, or full_kl for `full`",
        r#"{"surrogate":{"kind":"score_function"},"aggregation":"token_mean","kl":{"estimator":"k3","coefficient":0.04,"weighted_by_ratio":true}}"#;
    "entropy_coefficient", "entropy_coefficient = 0, entropy_aggregation = as the loss", "− η H_t; needs entropy, answers dentropy",
        r#"{"surrogate":{"kind":"score_function"},"aggregation":"token_mean","entropy_coefficient":0}"#;
    "mismatch", "kind = token_truncated | token_masked | sequence_masked | sequence_truncated, low, high", "the policy term times u = π_old/μ, clamped or dropped outside [low, high], held fixed; needs rollout_logp",
        r#"{"surrogate":{"kind":"score_function"},"aggregation":"token_mean","mismatch":null}"#;
    "filters", "list of top_entropy {fraction} | off_policy_sequence {threshold}", "which tokens take part in the policy term",
        r#"{"surrogate":{"kind":"score_function"},"aggregation":"token_mean","filters":[{"kind":"off_policy_sequence","threshold":0.5}]}"#;
    "covariance_penalty", "fraction, coefficient", "+ c |x_t| for the tokens with the largest (A_t − Ā)(log π_t − mean)",
        r#"{"surrogate":{"kind":"ppo_clip","low":0.2,"high":0.2},"aggregation":"token_mean","covariance_penalty":{"fraction":0.5,"coefficient":1}}"#;
    "log_ratio_limit", "log_ratio_limit = 20, null for none", "|x| ≤ limit before e^x; flat beyond",
        r#"{"surrogate":{"kind":"importance"},"aggregation":"token_mean","log_ratio_limit":null}"#;
    "sequences", "per sequence: logp[T], advantages (number or [T]), old_logp = logp, ref_logp, rollout_logp, entropy, full_kl [T], mask = all, step_ends = one step, log_z = 0; denominators {tokens, sequences} of the whole batch", "answers loss, dlogp[T] per sequence, metrics; dentropy, dfull_kl, dlog_z where they are used",
        r#"{"preset":"ppo"}"#;
};
