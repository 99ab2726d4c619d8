//! All cases of torchrl, Stable-Baselines3, slime and the TDRM release through the calculator.
//!
//! Their batches have flags (`done`, `terminated`) and several episodes in a row. Here each row is cut after every
//! `done`, and a terminated end is a discount of 0.

mod support;

use std::ops::Range;

use serde_json::{Value, json};
use support::{ask, assert_close, cases, golden, number, numbers, rows, value_target};

const TIGHT: f64 = 1e-9;

/// The episodes of one row: each ends with a `done`, the last with the data.
fn episodes(done: &[f64]) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut found = Vec::new();
    for (t, &d) in done.iter().enumerate() {
        if d > 0.5 || t + 1 == done.len() {
            found.push(start..t + 1);
            start = t + 1;
        }
    }
    found
}

/// One row of a torchrl case.
struct Row {
    rewards: Vec<f64>,
    values: Vec<f64>,
    next_values: Vec<f64>,
    done: Vec<f64>,
    terminated: Vec<f64>,
    log_ratios: Option<Vec<f64>>,
}

impl Row {
    /// The answers of all episodes, `field` concatenated.
    fn ask(&self, target: &Value, gamma: f64, fields: [&str; 2]) -> [Vec<f64>; 2] {
        let mut columns = [vec![], vec![]];
        for episode in episodes(&self.done) {
            let answer = ask(&self.request(target, gamma, episode));
            for (column, field) in columns.iter_mut().zip(fields) {
                column.extend(answer[field].as_array().map_or(vec![], |_| numbers(&answer[field])));
            }
        }
        columns
    }

    fn request(&self, target: &Value, gamma: f64, episode: Range<usize>) -> Value {
        let last = episode.end - 1;
        let mut values = self.values[episode.clone()].to_vec();
        assert!(episode.clone().skip(1).all(|t| self.next_values[t - 1].to_bits() == self.values[t].to_bits()));
        values.push(self.next_values[last]);
        let discounts: Vec<f64> = episode.clone().map(|t| gamma * (1.0 - self.terminated[t])).collect();
        let mut request = value_target(target.clone(), &self.rewards[episode.clone()], &discounts, &values);
        if let Some(log_ratios) = &self.log_ratios {
            request["log_ratios"] = json!(log_ratios[episode]);
        }
        request
    }
}

fn batch(case: &Value) -> Vec<Row> {
    let column = |name: &str| rows(&case["inputs"][name]);
    let (rewards, values, next_values) = (column("reward"), column("value"), column("next_value"));
    let (done, terminated) = (column("done"), column("terminated"));
    let log_ratios = case["inputs"]["log_pi"].is_array().then(|| (column("log_pi"), column("log_mu")));
    (0..rewards.len())
        .map(|i| Row {
            rewards: rewards[i].clone(),
            values: values[i].clone(),
            next_values: next_values[i].clone(),
            done: done[i].clone(),
            terminated: terminated[i].clone(),
            log_ratios: log_ratios.as_ref().map(|(pi, mu)| pi[i].iter().zip(&mu[i]).map(|(p, m)| p - m).collect()),
        })
        .collect()
}

#[test]
fn every_case_of_torchrl_comes_out() {
    let Some(file) = golden("targets/torchrl.json") else { return };
    for case in cases(&file) {
        let gamma = number(&case["params"]["gamma"]);
        for (i, row) in batch(case).iter().enumerate() {
            let expected = |name: &str| numbers(&case["outputs"][name][i]);
            check(case, row, gamma, &expected);
        }
    }
}

fn check(case: &Value, row: &Row, gamma: f64, expected: &dyn Fn(&str) -> Vec<f64>) {
    let params = &case["params"];
    match case["fn"].as_str().expect("a name") {
        "gae" => {
            let target = json!({"kind": "gae", "lambda": params["lmbda"]});
            let [advantages, targets] = row.ask(&target, gamma, ["advantages", "targets"]);
            assert_close(&advantages, &expected("adv"), TIGHT, case);
            assert_close(&targets, &expected("value_target"), TIGHT, case);
        }
        "vtrace" => {
            let target = json!({"kind": "v_trace", "rho_clip": params["rho"], "c_clip": params["c"],
                "pg_rho_clip": params["rho"]});
            let [advantages, targets] = row.ask(&target, gamma, ["pg_advantages", "targets"]);
            assert_close(&advantages, &expected("adv"), TIGHT, case);
            assert_close(&targets, &expected("vs"), TIGHT, case);
        }
        "td0_return" => {
            let [targets, _] = row.ask(&json!({"kind": "td0"}), gamma, ["targets", ""]);
            assert_close(&targets, &expected("ret"), TIGHT, case);
        }
        "td1_return" => {
            let [targets, _] = row.ask(&json!({"kind": "monte_carlo"}), gamma, ["targets", ""]);
            assert_close(&targets, &expected("ret"), TIGHT, case);
        }
        "td_lambda_return" => {
            let target = json!({"kind": "td_lambda", "lambda": params["lmbda"]});
            let [targets, _] = row.ask(&target, gamma, ["targets", ""]);
            assert_close(&targets, &expected("ret"), TIGHT, case);
        }
        "reward2go" => {
            // The reference knows no values: every end is one of rewards.
            let none = vec![0.0; row.rewards.len()];
            let row = Row {
                rewards: row.rewards.clone(),
                done: row.done.clone(),
                terminated: row.done.clone(),
                values: none.clone(),
                next_values: none,
                log_ratios: None,
            };
            let [targets, _] = row.ask(&json!({"kind": "monte_carlo"}), gamma, ["targets", ""]);
            assert_close(&targets, &expected("ret"), TIGHT, case);
        }
        other => panic!("unknown reference function {other}"),
    }
}

/// A column of a table in time order.
fn column(table: &Value, i: usize) -> Vec<f64> {
    rows(table).iter().map(|row| row[i]).collect()
}

/// The reference rounds one number to f32: γ v_T, the product of a Python float and a float32 tensor. In the first
/// case 0.9 · (−0.5018531) = −0.45166779756 becomes −0.45166778564, and A_0 = r + γ v_1 − v_0 = −0.37897589516
/// becomes −0.37897588324. The reward of the last step can carry the difference.
fn rounding_of_the_bootstrap(gamma: f64, last_value: f64, done: f64) -> f64 {
    let rounded = gamma as f32 * last_value as f32;
    (f64::from(rounded) - gamma * last_value) * (1.0 - done)
}

#[test]
fn every_case_of_stable_baselines_comes_out() {
    let Some(file) = golden("targets/sb3.json") else { return };
    for case in cases(&file) {
        let inputs = &case["inputs"];
        let (gamma, lambda) = (number(&case["params"]["gamma"]), &case["params"]["lam"]);
        for env in 0..numbers(&inputs["dones"]).len() {
            // A start at t + 1 says that step t terminated.
            let mut done = column(&inputs["episode_starts"], env)[1..].to_vec();
            done.push(numbers(&inputs["dones"])[env]);
            let values = column(&inputs["values"], env);
            let next_values = values[1..].iter().copied().chain([numbers(&inputs["last_values"])[env]]).collect();
            let mut rewards = column(&inputs["rewards"], env);
            if let Some(last) = rewards.last_mut() {
                *last += rounding_of_the_bootstrap(gamma, numbers(&inputs["last_values"])[env], done[done.len() - 1]);
            }
            let row = Row { rewards, values, next_values, terminated: done.clone(), done, log_ratios: None };
            let target = json!({"kind": "gae", "lambda": lambda});
            let [advantages, targets] = row.ask(&target, gamma, ["advantages", "targets"]);
            assert_close(&advantages, &column(&case["outputs"]["adv"], env), TIGHT, case);
            assert_close(&targets, &column(&case["outputs"]["returns"], env), TIGHT, case);
        }
    }
}

#[test]
fn every_case_of_slime_comes_out() {
    let Some(file) = golden("targets/slime_gae.json") else { return };
    for case in cases(&file) {
        let gamma = number(&case["params"]["gamma"]);
        for (i, rewards) in rows(&case["inputs"]["rewards"]).iter().enumerate() {
            let mut values = numbers(&case["inputs"]["values"][i]);
            values.push(0.0);
            let target = json!({"kind": "gae", "lambda": case["params"]["lam"]});
            let answer = ask(&value_target(target, rewards, &vec![gamma; rewards.len()], &values));
            assert_close(&numbers(&answer["advantages"]), &numbers(&case["outputs"]["adv"][i]), TIGHT, case);
            assert_close(&numbers(&answer["targets"]), &numbers(&case["outputs"]["returns"][i]), TIGHT, case);
        }
    }
}

#[test]
fn every_case_of_the_tdrm_release_comes_out() {
    let Some(file) = golden("losses/tdrm_td.json") else { return };
    for case in cases(&file) {
        let (inputs, params, outputs) = (&case["inputs"], &case["params"], &case["outputs"]);
        let mut request = json!({"op": "tdrm_rows", "logits": inputs["logit_s1"], "bootstrap_logits": inputs["logit_boot"],
            "rewards": inputs["rewards"], "label": inputs["label"], "done": inputs["done"],
            "gamma": params["gamma"], "clamp": params["clamp"], "terminal_weight": params["terminal_weight"],
            "epsilon": params["eps"]});
        if inputs["boot_mask"].is_array() {
            request["bootstrap_mask"] = inputs["boot_mask"].clone();
        }
        let answer = ask(&request);
        assert_close(&numbers(&answer["targets"]), &numbers(&outputs["td_target"]), TIGHT, case);
        assert_close(&[number(&answer["loss"])], &[number(&outputs["loss"])], TIGHT, case);
        assert_close(&numbers(&answer["dlogits"]), &numbers(&outputs["grad_logit_s1"]), TIGHT, case);
    }
}

#[test]
fn every_tdrm_row_is_a_value_target() {
    let Some(file) = golden("losses/tdrm_td.json") else { return };
    for case in cases(&file) {
        let (inputs, n) = (&case["inputs"], case["n_step"].as_u64().expect("n") as usize);
        for (i, z) in numbers(&inputs["logit_boot"]).into_iter().enumerate() {
            let rewards = column(&inputs["rewards"], i);
            let masked = inputs["boot_mask"].is_array() && numbers(&inputs["boot_mask"])[i] < 0.5;
            let mut discounts = vec![1.0; n];
            discounts[n - 1] = f64::from(u8::from(!masked));
            let mut values = vec![0.0; n];
            values.push(1.0 / (1.0 + (-z).exp()));
            let target = json!({"kind": "tdrm", "n": n, "gamma": case["params"]["gamma"]});
            let answer = ask(&value_target(target, &rewards, &discounts, &values));
            let expected = numbers(&case["outputs"]["td_target"])[i];
            assert_close(&numbers(&answer["targets"])[..1], &[expected], TIGHT, case);
        }
    }
}
