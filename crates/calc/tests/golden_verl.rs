//! All cases of verl's advantages through the calculator.
//!
//! verl's tables are padded: here each row is the tokens under its mask. A group of one gets mean 0 and deviation 1
//! there, which is `"singleton": "raw"` here.
#![allow(clippy::needless_pass_by_value, reason = "requests are made on the spot")]

mod support;

use std::collections::HashMap;

use serde_json::{Value, json};
use support::{ask, assert_close, cases, golden, number, numbers, rows, value_target};

const TIGHT: f64 = 1e-9;

/// A padded table with its mask.
struct Case<'a> {
    json: &'a Value,
    rewards: Vec<Vec<f64>>,
    mask: Vec<Vec<f64>>,
}

impl<'a> Case<'a> {
    fn new(json: &'a Value) -> Self {
        let inputs = &json["inputs"];
        Self { json, rewards: rows(&inputs["token_level_rewards"]), mask: rows(&inputs["response_mask"]) }
    }

    fn inputs(&self, name: &str) -> &Value {
        &self.json["inputs"][name]
    }

    /// The numbers of a table under the mask, row by row.
    fn kept(&self, table: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let row = |(xs, mask): (&Vec<f64>, &Vec<f64>)| {
            xs.iter().zip(mask).filter(|(_, m)| **m > 0.5).map(|(x, _)| *x).collect()
        };
        table.iter().zip(&self.mask).map(row).collect()
    }

    fn expected(&self, name: &str) -> Vec<Vec<f64>> {
        self.kept(&rows(&self.json["outputs"][name]))
    }

    fn lengths(&self) -> Vec<f64> {
        self.mask.iter().map(|mask| mask.iter().sum()).collect()
    }

    /// One reward per sample: all of the row's, as verl sums them.
    fn scores(&self) -> Vec<f64> {
        self.rewards.iter().map(|row| row.iter().sum()).collect()
    }

    /// The prompts as integers.
    fn groups(&self) -> Vec<usize> {
        let names = self.inputs("index").as_array().expect("prompt names");
        let mut seen = HashMap::new();
        names
            .iter()
            .map(|name| {
                let next = seen.len();
                *seen.entry(name.to_string()).or_insert(next)
            })
            .collect()
    }

    /// Asserts that every kept token of a row has the row's advantage.
    fn assert_broadcast(&self, advantages: &[f64]) {
        let wide: Vec<f64> =
            self.kept(&self.mask).iter().zip(advantages).flat_map(|(m, &a)| vec![a; m.len()]).collect();
        assert_close(&wide, &self.expected("adv").concat(), TIGHT, self.json);
    }

    fn advantages(&self, estimator: Value) -> Vec<f64> {
        let request = json!({"op": "advantage", "estimator": estimator, "rewards": self.scores(),
            "groups": self.groups(), "lengths": self.lengths()});
        numbers(&ask(&request)["advantages"])
    }
}

#[test]
fn every_case_of_verl_comes_out() {
    let Some(file) = golden("targets/verl_advantages.json") else { return };
    for case in cases(&file) {
        check(&Case::new(case));
    }
}

fn check(case: &Case<'_>) {
    let group = |kind: &str| case.assert_broadcast(&case.advantages(json!({"kind": kind, "singleton": "raw"})));
    match case.json["fn"].as_str().expect("a name") {
        "grpo" => group("group_z_score"),
        "dr_grpo" => group("group_mean"),
        "rloo" => group("leave_one_out"),
        "opo" => group("length_weighted"),
        "gpg" => group("gpg"),
        "grpo_passk" => case.assert_broadcast(&case.advantages(json!({"kind": "pass_at_k"}))),
        "gae(masked_whiten)" => gae(case),
        "reinforce_pp" => reinforce_plus_plus(case),
        "reinforce_pp_baseline" => reinforce_plus_plus_baseline(case),
        "remax" => remax(case),
        other => panic!("unknown reference function {other}"),
    }
}

fn whiten(case: &Case<'_>, table: &[Vec<f64>]) {
    let request = json!({"op": "advantage", "estimator": {"kind": "batch_whiten"}, "rewards": table.concat()});
    let advantages = numbers(&ask(&request)["advantages"]);
    assert_close(&advantages, &case.expected("adv").concat(), TIGHT, case.json);
}

/// Tool tokens leave the trajectory; nothing follows the last token.
fn gae(case: &Case<'_>) {
    let params = &case.json["params"];
    let values = case.kept(&rows(case.inputs("values")));
    let (mut advantages, mut returns) = (vec![], vec![]);
    for (rewards, mut values) in case.kept(&case.rewards).into_iter().zip(values) {
        values.push(0.0);
        let discounts = vec![number(&params["gamma"]); rewards.len()];
        let answer = ask(&value_target(json!({"kind": "gae", "lambda": params["lam"]}), &rewards, &discounts, &values));
        advantages.push(numbers(&answer["advantages"]));
        returns.push(numbers(&answer["targets"]));
    }
    assert_close(&returns.concat(), &case.expected("returns").concat(), TIGHT, case.json);
    whiten(case, &advantages);
}

/// Tool tokens leave the trajectory.
fn reinforce_plus_plus(case: &Case<'_>) {
    let estimator = json!({"kind": "reinforce_plus_plus", "gamma": case.json["params"]["gamma"]});
    let rewards = case.kept(&case.rewards);
    let answer = ask(&json!({"op": "step_advantage", "rewards": rewards, "estimator": estimator}));
    assert_close(&rows(&answer["returns"]).concat(), &case.expected("returns").concat(), TIGHT, case.json);
    assert_close(&rows(&answer["advantages"]).concat(), &case.expected("adv").concat(), TIGHT, case.json);
}

fn reinforce_plus_plus_baseline(case: &Case<'_>) {
    let centred = case.advantages(json!({"kind": "group_mean", "singleton": "raw"}));
    let wide: Vec<Vec<f64>> = case.kept(&case.mask).iter().zip(centred).map(|(m, a)| vec![a; m.len()]).collect();
    whiten(case, &wide);
}

fn remax(case: &Case<'_>) {
    let request = json!({"op": "step_advantage", "estimator": {"kind": "remax"},
        "rewards": case.kept(&case.rewards), "baselines": case.inputs("reward_baselines")});
    let advantages = rows(&ask(&request)["advantages"]);
    assert_close(&advantages.concat(), &case.expected("adv").concat(), TIGHT, case.json);
    let request =
        json!({"op": "step_advantage", "estimator": {"kind": "suffix_sum"}, "rewards": case.kept(&case.rewards)});
    let returns = rows(&ask(&request)["advantages"]);
    assert_close(&returns.concat(), &case.expected("returns").concat(), TIGHT, case.json);
}
