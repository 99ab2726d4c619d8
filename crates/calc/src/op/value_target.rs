//! Ops of value targets: `value_target`, `redistribute`, `action_target`.

use serde::{Deserialize, Serialize};
use tdrm_algo::value::{NextValue, Redistribution, Target};
use tdrm_core::{Steps, ValueTarget};

use crate::{CalcError, OpDoc};

/// Fields of `value_target`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    target: Target,
    rewards: Vec<f64>,
    discounts: Vec<f64>,
    values: Vec<f64>,
    /// log π − log μ, `[T]`.
    log_ratios: Option<Vec<f64>>,
    /// log π, `[T]`, for the targets without a μ: the same column.
    log_probs: Option<Vec<f64>>,
    q_values: Option<Vec<f64>>,
}

/// Answer of `value_target`.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    targets: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advantages: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pg_advantages: Option<Vec<f64>>,
}

impl Request {
    pub(crate) fn run(self) -> Result<Answer, CalcError> {
        let steps = self.steps()?;
        self.target.check(steps.len())?;
        let targets = self.target.targets(steps);
        let (mut advantages, mut pg_advantages) = (None, None);
        match &self.target {
            Target::Gae(gae) => advantages = Some(gae.advantages(steps)),
            Target::VTrace(v_trace) => {
                v_trace.pg_advantages_into(steps, &targets, pg_advantages.insert(Vec::new()));
            }
            _ => {}
        }
        Ok(Answer { targets, advantages, pg_advantages })
    }

    fn steps(&self) -> Result<Steps<'_, f64>, CalcError> {
        let mut steps = Steps::new(&self.rewards, &self.discounts, &self.values)?;
        match (&self.log_ratios, &self.log_probs) {
            (Some(_), Some(_)) => return Err(CalcError::invalid("give `log_ratios` or `log_probs`, not both")),
            (Some(column), None) | (None, Some(column)) => steps = steps.with_log_ratios(column)?,
            (None, None) => {}
        }
        match &self.q_values {
            Some(q) => Ok(steps.with_q_values(q)?),
            None => Ok(steps),
        }
    }
}

/// Fields of `redistribute`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redistribute {
    kind: Redistribution,
    rewards: Vec<f64>,
    /// Only `value_difference` reads them.
    values: Option<Vec<f64>>,
}

/// Answer of `redistribute`.
#[derive(Debug, Serialize)]
pub(crate) struct Redistributed {
    rewards: Vec<f64>,
}

impl Redistribute {
    pub(crate) fn run(self) -> Result<Redistributed, CalcError> {
        let values = match (self.values, self.kind) {
            (Some(values), _) => values,
            (None, Redistribution::Uniform) => vec![0.0; self.rewards.len() + 1],
            (None, _) => return Err(CalcError::missing("values", "value_difference")),
        };
        let discounts = vec![1.0; self.rewards.len()];
        let steps = Steps::new(&self.rewards, &discounts, &values)?;
        Ok(Redistributed { rewards: self.kind.rewards(steps) })
    }
}

/// Fields of `action_target`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActionTarget {
    rule: NextValue<f64>,
    reward: f64,
    discount: f64,
    next_q_values: Vec<f64>,
    /// q(s, a); with it the answer has the error too.
    q_value: Option<f64>,
}

/// Answer of `action_target`.
#[derive(Debug, Serialize)]
pub(crate) struct ActionAnswer {
    target: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    td_error: Option<f64>,
}

impl ActionTarget {
    pub(crate) fn run(self) -> Result<ActionAnswer, CalcError> {
        let next = self.rule.of(&self.next_q_values).map_err(CalcError::invalid)?;
        let target = self.reward + self.discount * next;
        Ok(ActionAnswer { target, td_error: self.q_value.map(|q| target - q) })
    }
}

const STEPS: &str = "rewards[T], discounts[T], values[T+1]";
const OFF_POLICY: &str = "rewards[T], discounts[T], values[T+1], log_ratios[T]";
const ACTIONS: &str = "rewards[T], discounts[T], values[T+1] = E_π Q, q_values[T], log_ratios[T]";

const fn target(kind: &'static str, fields: &'static str, formula: &'static str, example: &'static str) -> OpDoc {
    OpDoc { name: "value_target", kind, fields, formula, example }
}

/// Their lines of the list.
pub(crate) const OPS: &[OpDoc] = &[
    target(
        "td0",
        STEPS,
        "G_t = r_t + γ_t v_{t+1}",
        r#"{"op":"value_target","target":{"kind":"td0"},"rewards":[1,2],"discounts":[0.9,0],"values":[0.5,0.4,0]}"#,
    ),
    target(
        "n_step",
        "target.n, target.lambda = 1; rewards[T], discounts[T], values[T+1]",
        "G_t = Σ_{i<n} γ^i r_{t+i} + γ^n v_{t+n}, cut at T",
        r#"{"op":"value_target","target":{"kind":"n_step","n":2},"rewards":[1,2],"discounts":[0.9,0],"values":[0.5,0.4,0]}"#,
    ),
    target(
        "td_lambda",
        "target.lambda (number or [T]); rewards[T], discounts[T], values[T+1]",
        "G_t = r_t + γ_t [(1−λ) v_{t+1} + λ G_{t+1}], G_T = v_T",
        r#"{"op":"value_target","target":{"kind":"td_lambda","lambda":0.9},"rewards":[1,2],"discounts":[0.9,0],"values":[0.5,0.4,0]}"#,
    ),
    target(
        "monte_carlo",
        STEPS,
        "G_t = r_t + γ_t G_{t+1}, G_T = v_T",
        r#"{"op":"value_target","target":{"kind":"monte_carlo"},"rewards":[1,2],"discounts":[0.9,0],"values":[0.5,0.4,0]}"#,
    ),
    target(
        "gae",
        "target.lambda (number or [T]); rewards[T], discounts[T], values[T+1]",
        "A_t = δ_t + γ_t λ A_{t+1}, G = A + v; answers advantages and targets",
        r#"{"op":"value_target","target":{"kind":"gae","lambda":0.95},"rewards":[1,2],"discounts":[0.9,0],"values":[0.5,0.4,0]}"#,
    ),
    target(
        "v_trace",
        "target.{lambda, rho_clip, c_clip, pg_rho_clip} = 1; rewards[T], discounts[T], values[T+1], log_ratios[T]",
        "vs_t = v_t + e_t, e_t = min(ρ̄,ρ_t) δ_t + γ_t λ min(c̄,ρ_t) e_{t+1}; answers targets and pg_advantages",
        r#"{"op":"value_target","target":{"kind":"v_trace"},"rewards":[1,2],"discounts":[0.9,0],"values":[0.5,0.4,0],"log_ratios":[0.1,-0.2]}"#,
    ),
    target(
        "leaky_v_trace",
        "target.alpha, target.lambda = 1; rewards[T], discounts[T], values[T+1], log_ratios[T]",
        "V-trace with ρ̄ = c̄ = α min(1,ρ) + (1−α) ρ",
        r#"{"op":"value_target","target":{"kind":"leaky_v_trace","alpha":0.7},"rewards":[1],"discounts":[0.9],"values":[0.5,0.4],"log_ratios":[0.1]}"#,
    ),
    target(
        "importance_sampling",
        OFF_POLICY,
        "G_t = v_t + ρ_t (δ_t + γ_t λ ρ_{t+1} (δ_{t+1} + …))",
        r#"{"op":"value_target","target":{"kind":"importance_sampling","lambda":0.9},"rewards":[1],"discounts":[0.9],"values":[0.5,0.4],"log_ratios":[0.1]}"#,
    ),
    target(
        "retrace",
        ACTIONS,
        "G_t = r_t + γ_t [v_{t+1} + c_{t+1} (G_{t+1} − q_{t+1})], c = λ min(1, ρ)",
        r#"{"op":"value_target","target":{"kind":"retrace","lambda":0.9},"rewards":[1,2],"discounts":[0.9,0],"values":[0.5,0.4,0],"q_values":[0.3,0.6],"log_ratios":[0,-0.2]}"#,
    ),
    target(
        "tree_backup",
        "target.lambda = 1; rewards[T], discounts[T], values[T+1] = E_π Q, q_values[T], log_probs[T]",
        "as retrace with c = λ π(a|s)",
        r#"{"op":"value_target","target":{"kind":"tree_backup","lambda":0.9},"rewards":[1,2],"discounts":[0.9,0],"values":[0.5,0.4,0],"q_values":[0.3,0.6],"log_probs":[0,-0.2]}"#,
    ),
    target(
        "q_lambda",
        "target.lambda; rewards[T], discounts[T], values[T+1] = max_a Q",
        "Peng: the λ-return on greedy values",
        r#"{"op":"value_target","target":{"kind":"q_lambda","lambda":0.9},"rewards":[1],"discounts":[0.9],"values":[0.5,0.4]}"#,
    ),
    target(
        "watkins",
        "target.lambda = 1; rewards[T], discounts[T], values[T+1] = max_a Q, q_values[T]",
        "as retrace with c = λ 1[q ≥ v]",
        r#"{"op":"value_target","target":{"kind":"watkins","lambda":0.9},"rewards":[1],"discounts":[0.9],"values":[0.5,0.4],"q_values":[0.5]}"#,
    ),
    target(
        "off_policy",
        "target.traces[T]; rewards[T], discounts[T], values[T+1] = E_π Q, q_values[T]",
        "as retrace with c as given",
        r#"{"op":"value_target","target":{"kind":"off_policy","traces":[0.5]},"rewards":[1],"discounts":[0.9],"values":[0.5,0.4],"q_values":[0.5]}"#,
    ),
    target(
        "upgo",
        "rewards[T], discounts[T], values[T+1], q_values[T] = one-step",
        "G_t = r_t + γ_t (G_{t+1} if q_{t+1} ≥ v_{t+1} else v_{t+1})",
        r#"{"op":"value_target","target":{"kind":"upgo"},"rewards":[1],"discounts":[0.9],"values":[0.5,0.4]}"#,
    ),
    target(
        "soft",
        "target.alpha, target.lambda = 1; rewards[T], discounts[T], values[T+1], log_probs[T] or log_ratios[T]",
        "the λ-return of r_t − α log π(a_t|s_t)",
        r#"{"op":"value_target","target":{"kind":"soft","alpha":0.1},"rewards":[1],"discounts":[0.9],"values":[0.5,0.4],"log_probs":[-0.7]}"#,
    ),
    target(
        "tdrm",
        "target.n = 1, target.gamma = 0.8, target.clamp = true; rewards[T], discounts[T] (0 = terminal), values[T+1]",
        "y_t = clamp(Σ_{k<n} γ^k r_{t+k} + γ^n v_{t+n}, 0, 1)",
        r#"{"op":"value_target","target":{"kind":"tdrm","n":1,"gamma":0.8},"rewards":[-0.1,1],"discounts":[1,0],"values":[0.5,0.4,0]}"#,
    ),
    OpDoc {
        name: "redistribute",
        kind: "uniform",
        fields: "rewards[T]",
        formula: "r̃_t = (1/T) Σ r",
        example: r#"{"op":"redistribute","kind":"uniform","rewards":[0,0,3]}"#,
    },
    OpDoc {
        name: "redistribute",
        kind: "value_difference",
        fields: "rewards[T], values[T+1]",
        formula: "r̃_t = v_{t+1} − v_t + (1/T)(Σ r − (v_T − v_0))",
        example: r#"{"op":"redistribute","kind":"value_difference","rewards":[0,1],"values":[0.5,0.25,1]}"#,
    },
    OpDoc {
        name: "action_target",
        kind: "sarsa",
        fields: "rule.next_action; reward, discount, next_q_values[A], q_value optional",
        formula: "r + γ q(s', a')",
        example: r#"{"op":"action_target","rule":{"kind":"sarsa","next_action":1},"reward":1,"discount":0.9,"next_q_values":[0.5,0.4]}"#,
    },
    OpDoc {
        name: "action_target",
        kind: "expected_sarsa",
        fields: "rule.probabilities[A]; reward, discount, next_q_values[A], q_value optional",
        formula: "r + γ Σ_a π(a|s') q(s', a)",
        example: r#"{"op":"action_target","rule":{"kind":"expected_sarsa","probabilities":[0.5,0.5]},"reward":1,"discount":0.9,"next_q_values":[0.5,0.4]}"#,
    },
    OpDoc {
        name: "action_target",
        kind: "q_learning",
        fields: "reward, discount, next_q_values[A], q_value optional",
        formula: "r + γ max_a q(s', a)",
        example: r#"{"op":"action_target","rule":{"kind":"q_learning"},"reward":1,"discount":0.9,"next_q_values":[0.5,0.4],"q_value":0.2}"#,
    },
    OpDoc {
        name: "action_target",
        kind: "double_q_learning",
        fields: "rule.selector[A]; reward, discount, next_q_values[A], q_value optional",
        formula: "r + γ q(s', argmax_a q̃(s', a))",
        example: r#"{"op":"action_target","rule":{"kind":"double_q_learning","selector":[0.1,0.2]},"reward":1,"discount":0.9,"next_q_values":[0.5,0.4]}"#,
    },
    OpDoc {
        name: "action_target",
        kind: "persistent",
        fields: "rule.action, rule.gap; reward, discount, next_q_values[A], q_value optional",
        formula: "r + γ [(1−κ) max_a q(s', a) + κ q(s', a)]",
        example: r#"{"op":"action_target","rule":{"kind":"persistent","action":0,"gap":0.3},"reward":1,"discount":0.9,"next_q_values":[0.5,0.4]}"#,
    },
];
