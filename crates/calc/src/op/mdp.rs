//! The op `mdp`: exact values of listed problems.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tdrm_core::{Discount, Outcome, Positive};
use tdrm_envs::dp::{
    StateActions, action_values, entropy, evaluate, expected_return, kl, occupancy, optimal, policy_gradient,
    soft_optimal,
};
use tdrm_envs::tabular::{Settings, Table, catalogue};

use crate::{CalcError, OpDoc};

/// Its fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    query: Query,
    gamma: Discount,
    /// `[S][A]` lists of (probability, next state, reward, terminated); or `environment`.
    transitions: Option<Vec<Vec<Vec<Listed>>>>,
    /// `[S]`, state 0 unless stated.
    initial: Option<Vec<f64>>,
    /// A name of `tdrm env dump`.
    environment: Option<String>,
    #[serde(default)]
    settings: BTreeMap<String, Value>,
}

/// Probability, next state, reward, terminated.
type Listed = (f64, usize, f64, bool);

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Query {
    /// Of a policy, uniform where it is not given.
    Policy { policy: Option<StateActions>, reference: Option<StateActions> },
    /// Of the best policy.
    Optimal {},
    /// Of the best policy under reward − τ KL to a reference, uniform where it is not given.
    SoftOptimal { temperature: Positive, reference: Option<StateActions> },
}

/// Its answer; what a query does not give is absent.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Answer {
    values: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_values: Option<StateActions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<StateActions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_return: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    occupancy: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_gradient: Option<StateActions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entropy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kl: Option<f64>,
}

/// Most states of a request: values are a linear system.
const STATES: usize = 2_000;

impl Request {
    pub(crate) fn run(self) -> Result<Answer, CalcError> {
        let (gamma, table) = (self.gamma, self.table()?);
        match self.query {
            Query::Policy { policy, reference } => {
                let policy = policy.unwrap_or_else(|| StateActions::uniform(&table));
                of_policy(&table, gamma, &policy, reference.as_ref())
            }
            Query::Optimal {} => {
                let best = optimal(&table, gamma).map_err(CalcError::invalid)?;
                let (action_values, actions) = (Some(best.action_values), Some(best.actions));
                Ok(Answer { values: best.values, action_values, actions, ..Answer::default() })
            }
            Query::SoftOptimal { temperature, reference } => {
                let reference = reference.unwrap_or_else(|| StateActions::uniform(&table));
                let best = soft_optimal(&table, gamma, temperature, &reference).map_err(CalcError::invalid)?;
                let action_values = Some(action_values(&table, gamma, &best.values));
                Ok(Answer { values: best.values, action_values, policy: Some(best.policy), ..Answer::default() })
            }
        }
    }

    fn table(&self) -> Result<Table, CalcError> {
        let table = match (&self.transitions, &self.environment) {
            (Some(listed), None) => {
                let outcome = |&(probability, next_state, reward, terminated): &Listed| Outcome {
                    probability,
                    next_state,
                    reward,
                    terminated,
                };
                let row = |row: &Vec<Listed>| row.iter().map(outcome).collect();
                let first = (0..listed.len()).map(|s| if s == 0 { 1.0 } else { 0.0 });
                let initial = self.initial.clone().unwrap_or_else(|| first.collect());
                Table::new(listed.iter().map(|state| state.iter().map(row).collect()).collect(), initial)
                    .map_err(CalcError::invalid)?
            }
            (None, Some(name)) => catalogue(name, self.settings()?).map_err(CalcError::invalid)?,
            _ => return Err(CalcError::invalid("expected either `transitions` or `environment`")),
        };
        let states = tdrm_core::TabularMdp::n_states(&table);
        if states > STATES {
            return Err(CalcError::invalid(format!("expected at most {STATES} states, got {states}")));
        }
        Ok(table)
    }

    fn settings(&self) -> Result<Settings, CalcError> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let pairs: Vec<String> = self.settings.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
        Settings::parse(pairs.iter().map(String::as_str)).map_err(CalcError::invalid)
    }
}

fn of_policy(
    table: &Table,
    gamma: Discount,
    policy: &StateActions,
    reference: Option<&StateActions>,
) -> Result<Answer, CalcError> {
    let values = evaluate(table, gamma, policy).map_err(CalcError::invalid)?;
    let divergence = reference.map(|mu| kl(table, gamma, policy, mu)).transpose();
    Ok(Answer {
        action_values: Some(action_values(table, gamma, &values)),
        expected_return: Some(expected_return(table, gamma, policy).map_err(CalcError::invalid)?),
        occupancy: Some(occupancy(table, gamma, policy).map_err(CalcError::invalid)?),
        policy_gradient: Some(policy_gradient(table, gamma, policy).map_err(CalcError::invalid)?),
        entropy: Some(entropy(table, gamma, policy).map_err(CalcError::invalid)?),
        kl: divergence.map_err(CalcError::invalid)?,
        values,
        ..Answer::default()
    })
}

macro_rules! query {
    ($kind:literal, $own:literal, $formula:literal, $example:literal) => {
        OpDoc { name: "mdp", kind: $kind, fields: concat!($own, "gamma, transitions[S][A] = lists of [probability, next, reward, terminated] with initial[S] = state 0, or environment with settings {name: value}"), formula: $formula, example: concat!(
            r#"{"op":"mdp","query":{"kind":""#, $kind, r#"""#, $example,
            r#"},"gamma":0.5,"transitions":[[[[1,0,0,false]],[[1,0,1,true]]]]}"#
        ) }
    };
}

/// Its lines of the list.
pub(crate) const OPS: &[OpDoc] = &[
    query!(
        "policy",
        "query.{policy[S][A] = uniform, reference[S][A] = none}, ",
        "V = r_π + γ P_π V, Q, J = ρ·V, d = ρ + γ P_πᵀ d, ∂J/∂θ = d π (Q − V) of a softmax table, Σ d H, Σ d KL(π‖μ)",
        ""
    ),
    query!("optimal", "", "V* = max_a Q*, Q* = r + γ P V*, the first best actions", ""),
    query!(
        "soft_optimal",
        "query.{temperature, reference[S][A] = uniform}, ",
        "V = τ ln Σ_a μ e^{Q/τ}, π = μ e^{(Q − V)/τ}",
        r#","temperature":0.5"#
    ),
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn ask(request: &Value) -> Value {
        crate::evaluate(&request.to_string()).unwrap_or_else(|e| json!({ "error": e.to_string() }))
    }

    /// One state: wait, or leave with 1.
    fn door(query: &Value) -> Value {
        json!({"op": "mdp", "query": query, "gamma": 0.5, "transitions": [[[[1, 0, 0, false]], [[1, 0, 1, true]]]]})
    }

    #[test]
    fn a_door_by_hand() {
        // V = ½ (½ V) + ½ · 1 = 2/3;  Q = (1/3, 1);  d = 1 + ¼ d = 4/3;  ∂J = 4/3 · ½ · (∓1/3) = ∓2/9
        let answer = ask(&door(&json!({"kind": "policy", "reference": [[0.25, 0.75]]})));
        let number = |x: &Value| x.as_f64().unwrap_or(f64::NAN);
        assert!((number(&answer["values"][0]) - 2.0 / 3.0).abs() < 1e-12, "{answer}");
        assert!((number(&answer["action_values"][0][0]) - 1.0 / 3.0).abs() < 1e-12);
        assert!((number(&answer["occupancy"][0]) - 4.0 / 3.0).abs() < 1e-12);
        assert!((number(&answer["policy_gradient"][0][1]) - 2.0 / 9.0).abs() < 1e-12);
        assert!((number(&answer["entropy"]) - 4.0 / 3.0 * 2.0_f64.ln()).abs() < 1e-12);
        // KL(½, ½ ‖ ¼, ¾) = ½ ln 2 + ½ ln ⅔ = ½ ln(4/3)
        assert!((number(&answer["kl"]) - 2.0 / 3.0 * (4.0_f64 / 3.0).ln()).abs() < 1e-12);
        let best = ask(&door(&json!({"kind": "optimal"})));
        assert_eq!(best, json!({"values": [1.0], "action_values": [[0.5, 1.0]], "actions": [1]}));
    }

    #[test]
    fn a_soft_optimum_satisfies_its_equation() {
        let answer = ask(&door(&json!({"kind": "soft_optimal", "temperature": 0.5})));
        let number = |x: &Value| x.as_f64().unwrap_or(f64::NAN);
        let v = number(&answer["values"][0]);
        let equation = 0.5 * (0.5 * (0.5 * v / 0.5).exp() + 0.5 * (1.0_f64 / 0.5).exp()).ln();
        assert!((v - equation).abs() < 1e-12);
        assert!((number(&answer["policy"][0][0]) + number(&answer["policy"][0][1]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_named_environment_is_that_of_the_dump() {
        let answer =
            ask(&json!({"op": "mdp", "query": {"kind": "optimal"}, "gamma": 0.9, "environment": "FrozenLake-v1",
            "settings": {"map": "SF/HG", "is_slippery": false}}));
        assert_eq!(answer["values"], json!([0.9, 1.0, 0.0, 0.0]), "{answer}");
        let nothing = ask(&json!({"op": "mdp", "query": {"kind": "optimal"}, "gamma": 0.9}));
        assert!(nothing["error"].to_string().contains("either `transitions` or `environment`"));
    }
}
