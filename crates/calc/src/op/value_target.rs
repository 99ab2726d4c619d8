//! Ops of value targets: `value_target`, `redistribute`, `action_target`.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tdrm_algo::value::tdrm::{CosineShaping, Sign};
use tdrm_algo::value::{NextValue, Redistribution, Target};
use tdrm_core::{ShapeError, Steps, ValueTarget};

use crate::{CalcError, OpDoc};

/// Fields of `value_target`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    target: Shaped,
    rewards: Vec<f64>,
    discounts: Vec<f64>,
    values: Vec<f64>,
    /// log π − log μ, `[T]`.
    log_ratios: Option<Vec<f64>>,
    /// log π, `[T]`, for the targets without a μ: the same column.
    log_probs: Option<Vec<f64>>,
    q_values: Option<Vec<f64>>,
    /// Tokens of the answer prefix s_t, `[T]`, for shaping.
    lengths: Option<Vec<usize>>,
    /// The outcome that chooses the curve, for shaping.
    label: Option<f64>,
}

/// A target; that of `tdrm` may shape the rewards first.
#[derive(Debug)]
struct Shaped {
    target: Target,
    shaping: Option<CosineShaping>,
}

impl<'de> Deserialize<'de> for Shaped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Value::deserialize(deserializer)?;
        let shaping = match fields.as_object_mut() {
            Some(map) if map.get("kind").and_then(Value::as_str) == Some("tdrm") => map.remove("shaping"),
            _ => None,
        };
        let read = serde_json::from_value(fields)
            .and_then(|target| Ok(Self { target, shaping: shaping.map_or(Ok(None), serde_json::from_value)? }));
        read.map_err(D::Error::custom)
    }
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
    pub(crate) fn run(mut self) -> Result<Answer, CalcError> {
        self.shape()?;
        let (steps, target) = (self.steps()?, &self.target.target);
        target.check(steps.len())?;
        let targets = target.targets(steps);
        let (mut advantages, mut pg_advantages) = (None, None);
        match target {
            Target::Gae(gae) => advantages = Some(gae.advantages(steps)),
            Target::VTrace(v_trace) => {
                v_trace.pg_advantages_into(steps, &targets, pg_advantages.insert(Vec::new()));
            }
            _ => {}
        }
        Ok(Answer { targets, advantages, pg_advantages })
    }

    /// Adds the curve of the outcome to the reward of each state that does not end the trajectory.
    fn shape(&mut self) -> Result<(), CalcError> {
        let Some(shaping) = &self.target.shaping else {
            return match (&self.lengths, self.label) {
                (None, None) => Ok(()),
                _ => Err(CalcError::invalid("expected `lengths` and `label` with `target.shaping` only")),
            };
        };
        let lengths = self.lengths.as_ref().ok_or(CalcError::missing("lengths", "target.shaping"))?;
        let sign = Sign::of_label(self.label.ok_or(CalcError::missing("label", "target.shaping"))?);
        ShapeError::check("lengths", self.rewards.len(), lengths.len())?;
        ShapeError::check("discounts", self.rewards.len(), self.discounts.len())?;
        for ((reward, &length), &discount) in self.rewards.iter_mut().zip(lengths).zip(&self.discounts) {
            if discount != 0.0 {
                *reward += shaping.reward::<f64>(sign, length);
            }
        }
        Ok(())
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
        "target.{n = 1, gamma = 0.8, clamp = true | [low, high], shaping = none | cosine_shaping's}; rewards[T], discounts[T] (0 = terminal), values[T+1]; with shaping lengths[T], label",
        "y_t = clamp(Σ_{k<n} γ^k r_{t+k} + γ^n v_{t+n}, 0, 1); with shaping r_t + cosine(lengths_t) where not terminal",
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn ask(request: &Value) -> Value {
        crate::evaluate(&request.to_string()).unwrap_or_else(|e| json!({ "error": e.to_string() }))
    }

    #[test]
    fn a_shaped_target_is_the_published_one() {
        let steps = json!({"op": "value_target", "target": {"kind": "tdrm", "shaping": {"max_len": 512}},
            "rewards": [0, 0, 0], "discounts": [1, 1, 0], "values": [0.5, 0.5, 0.9, 0], "lengths": [430, 497, 508], "label": 0});
        let prefixes = json!({"op": "tdrm_targets", "mode": {"kind": "published", "n": 1, "gamma": 0.8, "shaping": {}},
            "lengths": [0, 430, 497, 508], "values": [0.5, 0.5, 0.5, 0.9], "label": 0});
        assert_eq!(ask(&steps)["targets"], ask(&prefixes)["targets"]);
        // −0.02116 + 0.8 · 0.9, the soft case of the card
        assert!((ask(&steps)["targets"][1].as_f64().unwrap_or_default() - 0.69884).abs() < 1e-5);
    }

    #[test]
    fn shaping_needs_its_columns_and_nothing_else_takes_them() {
        let mut request = json!({"op": "value_target", "target": {"kind": "tdrm", "shaping": {}},
            "rewards": [0], "discounts": [1], "values": [0.5, 0.5]});
        assert!(ask(&request)["error"].to_string().contains("missing field `lengths`"));
        request["target"] = json!({"kind": "td0"});
        request["label"] = json!(1);
        assert!(ask(&request)["error"].to_string().contains("with `target.shaping` only"));
        request["target"] = json!({"kind": "td0", "shaping": {}});
        assert!(ask(&request)["error"].to_string().contains("unknown field"), "{}", ask(&request));
    }
}
