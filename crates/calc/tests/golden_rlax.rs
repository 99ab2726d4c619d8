//! All cases of rlax 0.1.9 through the calculator.
#![allow(clippy::needless_pass_by_value, reason = "requests are made on the spot")]

mod support;

use serde_json::{Value, json};
use support::{ask, assert_close, assert_list, cases, golden, number, numbers, rows, value_target};

const TIGHT: f64 = 1e-9;

/// Columns of one case.
struct Case<'a>(&'a Value);

impl Case<'_> {
    fn input(&self, name: &str) -> Vec<f64> {
        numbers(&self.0["inputs"][name])
    }

    fn output(&self, name: &str) -> Vec<f64> {
        numbers(&self.0["outputs"][name])
    }

    fn lambda(&self) -> Value {
        self.0["params"]["lambda_"].clone()
    }

    /// v_0 is of no consequence where rlax gives only v_1 … v_T.
    fn values(&self) -> Vec<f64> {
        let inputs = &self.0["inputs"];
        if inputs["values"].is_array() {
            return self.input("values");
        }
        let first = if inputs["v_tm1"].is_array() { self.input("v_tm1")[0] } else { 0.0 };
        let values: Vec<f64> = std::iter::once(first).chain(self.input("v_t")).collect();
        if inputs["v_tm1"].is_array() {
            assert_eq!(values[..values.len() - 1], self.input("v_tm1"), "one value per state: {}", self.0);
        }
        values
    }

    fn request(&self, target: Value) -> Value {
        value_target(target, &self.input("r_t"), &self.input("discount_t"), &self.values())
    }

    /// With the importance ratios of the actions as log-ratios.
    fn off_policy(&self, target: Value) -> Value {
        let mut request = self.request(target);
        request["log_ratios"] = self.input("rho_tm1").into_iter().map(f64::ln).collect();
        request
    }

    /// Target minus v, as rlax reports errors.
    fn errors(&self, answer: &Value) -> Vec<f64> {
        numbers(&answer["targets"]).iter().zip(self.values()).map(|(g, v)| g - v).collect()
    }
}

fn lambda_or_list(case: &Case<'_>) -> Value {
    for name in ["lambda_t", "lambda_"] {
        if case.0["inputs"][name].is_array() {
            return case.0["inputs"][name].clone();
        }
    }
    if case.lambda().is_null() { json!(1.0) } else { case.lambda() }
}

#[test]
fn every_case_of_rlax_comes_out() {
    let Some(file) = golden("targets/rlax.json") else { return };
    for case in cases(&file) {
        check(&Case(case));
    }
}

fn check(case: &Case<'_>) {
    match case.0["fn"].as_str().expect("a name") {
        "truncated_generalized_advantage_estimation" => {
            let answer = ask(&case.request(json!({"kind": "gae", "lambda": case.lambda()})));
            assert_list(&answer, "advantages", &case.output("adv"), case.0);
        }
        "td_lambda_errors" => {
            let answer = ask(&case.request(json!({"kind": "td_lambda", "lambda": case.lambda()})));
            assert_close(&case.errors(&answer), &case.output("td"), TIGHT, case.0);
        }
        "lambda_returns" => {
            let answer = ask(&case.request(json!({"kind": "td_lambda", "lambda": lambda_or_list(case)})));
            assert_list(&answer, "targets", &case.output("returns"), case.0);
        }
        "n_step_bootstrapped_returns" => {
            let n = &case.0["params"]["n"];
            let answer = ask(&case.request(json!({"kind": "n_step", "n": n, "lambda": lambda_or_list(case)})));
            assert_list(&answer, "targets", &case.output("returns"), case.0);
        }
        "discounted_returns" => discounted_returns(case),
        "vtrace_td_error_and_advantage" => v_trace(case),
        "vtrace_sample_mask" => masked_v_trace(case),
        "leaky_vtrace" => {
            let (alpha, lambda) = (&case.0["params"]["alpha_"], case.lambda());
            let answer = ask(&case.off_policy(json!({"kind": "leaky_v_trace", "alpha": alpha, "lambda": lambda})));
            assert_close(&case.errors(&answer), &case.output("errors"), TIGHT, case.0);
        }
        "importance_corrected_td_errors" => {
            let answer = ask(&case.off_policy(json!({"kind": "importance_sampling", "lambda": case.lambda()})));
            assert_close(&case.errors(&answer), &case.output("errors"), TIGHT, case.0);
        }
        "q_lambda_errors" => q_lambda(case),
        "retrace_errors" => retrace(case),
        "general_off_policy_returns_from_q_and_v" => general_off_policy(case),
        "td_step" => td_step(case),
        "categorical_l2_project" => projection(case),
        "transforms" => transforms(case),
        "pg_losses" => policy_gradients(case),
        other => panic!("unknown reference function {other}"),
    }
}

fn discounted_returns(case: &Case<'_>) {
    let (rewards, discounts) = (case.input("r_t"), case.input("discount_t"));
    let mut values = vec![0.0; rewards.len()];
    values.push(number(&case.0["inputs"]["bootstrap"]));
    let answer = ask(&value_target(json!({"kind": "monte_carlo"}), &rewards, &discounts, &values));
    assert_list(&answer, "targets", &case.output("returns"), case.0);
}

fn v_trace(case: &Case<'_>) {
    let params = &case.0["params"];
    let target = json!({"kind": "v_trace", "lambda": case.lambda(), "rho_clip": params["clip_rho_threshold"],
        "c_clip": 1.0, "pg_rho_clip": params["clip_pg_rho_threshold"]});
    let answer = ask(&case.off_policy(target));
    assert_close(&case.errors(&answer), &case.output("errors"), TIGHT, case.0);
    assert_list(&answer, "pg_advantages", &case.output("pg_advantage"), case.0);
}

/// rlax carries the accumulator over masked steps; with ragged trajectories the same is a step that earns exactly
/// what its values differ by, at γ = ρ = λ = 1.
fn masked_v_trace(case: &Case<'_>) {
    let mask = case.input("sample_mask");
    let lambda = number(&case.lambda());
    let values = case.values();
    let pick = |kept: Vec<f64>, masked: &dyn Fn(usize) -> f64| -> Vec<f64> {
        kept.into_iter().enumerate().map(|(t, x)| if mask[t] > 0.5 { x } else { masked(t) }).collect()
    };
    let rewards = pick(case.input("r_t"), &|t| values[t] - values[t + 1]);
    let discounts = pick(case.input("discount_t"), &|_| 1.0);
    let lambdas = pick(vec![lambda; mask.len()], &|_| 1.0);
    let log_ratios = pick(case.input("rho_tm1").into_iter().map(f64::ln).collect(), &|_| 0.0);
    let target = json!({"kind": "v_trace", "lambda": lambdas, "rho_clip": case.0["params"]["clip_rho_threshold"]});
    let mut request = value_target(target, &rewards, &discounts, &values);
    request["log_ratios"] = json!(log_ratios);
    assert_close(&case.errors(&ask(&request)), &case.output("errors"), TIGHT, case.0);
}

/// Q(s_t, a_t) of the actions taken.
fn chosen(table: &Value, actions: &Value) -> Vec<f64> {
    rows(table).iter().zip(numbers(actions)).map(|(row, a)| row[a as usize]).collect()
}

fn q_lambda(case: &Case<'_>) {
    let inputs = &case.0["inputs"];
    let greedy = rows(&inputs["q_t"]).into_iter().map(|row| row.into_iter().fold(f64::NEG_INFINITY, f64::max));
    let values: Vec<f64> = std::iter::once(0.0).chain(greedy).collect();
    let target = json!({"kind": "q_lambda", "lambda": case.lambda()});
    let answer = ask(&value_target(target, &case.input("r_t"), &case.input("discount_t"), &values));
    let q = chosen(&inputs["q_tm1"], &inputs["a_tm1"]);
    let td: Vec<f64> = numbers(&answer["targets"]).iter().zip(q).map(|(g, q)| g - q).collect();
    assert_close(&td, &case.output("td"), TIGHT, case.0);
}

/// rlax divides by μ + 1e-8, which moves a ratio below 1 by up to 1e-8/μ: in the case `last`,
/// c_1 = 0.9 · 0.37535465/0.44149423 = 0.7651723502 becomes 0.7651723329, and
/// td_0 = r + γ (v + c_1 (G_1 − q_1)) − q_0 = −1.2874522961 where the exact formula gives −1.2874522991. The exact formula is ours; the reference is met by giving it its own μ.
const RLAX_EPSILON: f64 = 1e-8;

fn retrace(case: &Case<'_>) {
    let inputs = &case.0["inputs"];
    let dot = |(q, p): (Vec<f64>, Vec<f64>)| -> f64 { q.iter().zip(&p).map(|(q, p)| q * p).sum() };
    let (q_t, pi_t) = (rows(&inputs["q_t"]), rows(&inputs["pi_t"]));
    let values: Vec<f64> = std::iter::once(0.0).chain(q_t.into_iter().zip(pi_t).map(dot)).collect();
    let q_tm1 = chosen(&inputs["q_tm1"], &inputs["a_tm1"]);
    let ratio = chosen(&inputs["pi_t"], &inputs["a_t"])
        .into_iter()
        .zip(case.input("mu_t"))
        .map(|(p, m)| (p / (m + RLAX_EPSILON)).ln());
    // One column per transition: the first entry belongs to the action that is given, not chosen.
    let shift = |xs: Vec<f64>| -> Vec<f64> { std::iter::once(0.0).chain(xs).take(q_tm1.len()).collect() };
    let target = json!({"kind": "retrace", "lambda": case.lambda()});
    let mut request = value_target(target, &case.input("r_t"), &case.input("discount_t"), &values);
    request["log_ratios"] = json!(shift(ratio.collect()));
    request["q_values"] = json!(shift(chosen(&inputs["q_t"], &inputs["a_t"])));
    let td: Vec<f64> = numbers(&ask(&request)["targets"]).iter().zip(&q_tm1).map(|(g, q)| g - q).collect();
    assert_close(&td, &case.output("td"), TIGHT, case.0);
}

fn general_off_policy(case: &Case<'_>) {
    let first = |name| -> Vec<f64> { std::iter::once(0.0).chain(case.input(name)).collect() };
    let target = json!({"kind": "off_policy", "traces": first("c_t")});
    let mut request = value_target(target, &case.input("r_t"), &case.input("discount_t"), &first("v_t"));
    request["q_values"] = json!(first("q_t"));
    assert_list(&ask(&request), "targets", &case.output("returns"), case.0);
}

fn td_step(case: &Case<'_>) {
    let inputs = &case.0["inputs"];
    let action = inputs["a_tm1"].as_u64().expect("an index") as usize;
    let error = |rule: Value, q: f64| {
        let (reward, discount) = (&inputs["r_t"], &inputs["discount_t"]);
        let next = &inputs["q_t"];
        let request = json!({"op": "action_target", "rule": rule, "reward": reward, "discount": discount,
            "next_q_values": next, "q_value": q});
        number(&ask(&request)["td_error"])
    };
    let q = case.input("q_tm1");
    // The reference reads the first entries as state values here.
    let state_value = json!({"kind": "sarsa", "next_action": 0});
    let rules = [
        ("td_learning", state_value, q[0]),
        ("sarsa", json!({"kind": "sarsa", "next_action": inputs["a_t"]}), q[action]),
        ("expected_sarsa", json!({"kind": "expected_sarsa", "probabilities": inputs["probs_a_t"]}), q[action]),
        ("q_learning", json!({"kind": "q_learning"}), q[action]),
        ("double_q_learning", json!({"kind": "double_q_learning", "selector": inputs["q_t_selector"]}), q[action]),
        ("persistent", json!({"kind": "persistent", "action": action, "gap": 0.3}), q[action]),
    ];
    for (name, rule, q) in rules {
        assert_close(&[error(rule, q)], &[number(&case.0["outputs"][name])], TIGHT, case.0);
    }
}

fn projection(case: &Case<'_>) {
    let inputs = &case.0["inputs"];
    let answer = ask(&json!({"op": "categorical_projection", "atoms": inputs["z_p"],
        "probabilities": inputs["probs"], "support": inputs["z_q"]}));
    assert_list(&answer, "probabilities", &case.output("probs"), case.0);
}

fn transforms(case: &Case<'_>) {
    let x = case.input("x");
    let transform = |extra: Value| {
        let mut request = json!({"op": "transform", "x": x});
        request.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        numbers(&ask(&request)["y"])
    };
    for kind in ["signed_hyperbolic", "signed_parabolic"] {
        assert_close(&transform(json!({"kind": kind})), &case.output(kind), TIGHT, case.0);
    }
    assert_close(&transform(json!({"kind": "signed_log1p"})), &case.output("signed_logp1"), TIGHT, case.0);
    // The reference file scales x by 1/50 (δ = 0.7) and by 1/40 before these two.
    let scaled: Vec<f64> = x.iter().map(|x| x / 50.0).collect();
    let huber = transform(json!({"kind": "huber", "delta": 0.7, "x": scaled}));
    assert_close(&huber, &case.output("huber"), TIGHT, case.0);
    for (i, x) in x.iter().enumerate() {
        two_hot(x / 40.0, &rows(&case.0["outputs"]["twohot"])[i], case.output("untwohot")[i], case.0);
    }
}

/// rlax adds 1e-5 to the gap between atoms, so that its two-hot code of x does not decode to x: with atoms ½ apart
/// the lower probability is 0.5/0.50001 of the exact one, and 41.195…/40 = 1.029888 comes back as 1.029897.
fn two_hot(x: f64, expected: &[f64], decoded: f64, case: &Value) {
    let support: Vec<f64> = (-6..=6).map(|i| f64::from(i) / 2.0).collect();
    let answer = ask(&json!({"op": "two_hot", "x": x, "support": support}));
    assert_close(&[number(&answer["mean"])], &[x], TIGHT, case);
    let mut probabilities = numbers(&answer["probabilities"]);
    let lower = probabilities.iter().position(|&p| p > 0.0).expect("some mass");
    let moved = probabilities[lower] * (1.0 - 0.5 / 0.500_01);
    probabilities[lower] -= moved;
    probabilities[lower + 1] += moved;
    assert_close(&probabilities, expected, TIGHT, case);
    let mean: f64 = probabilities.iter().zip(&support).map(|(p, z)| p * z).sum();
    assert_close(&[mean], &[decoded], TIGHT, case);
}

/// π and its logarithm from logits.
fn softmax(logits: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = top + logits.iter().map(|z| (z - top).exp()).sum::<f64>().ln();
    let log_pi: Vec<f64> = logits.iter().map(|z| z - log_sum).collect();
    (log_pi.iter().map(|l| l.exp()).collect(), log_pi)
}

fn objective(surrogate: Value, sequence: Value) -> Value {
    let objective = json!({"ratio": "token", "surrogate": surrogate, "aggregation": "token_mean",
        "entropy_coefficient": if sequence["entropy"].is_array() { 1.0 } else { 0.0 }});
    ask(&json!({"op": "objective", "objective": objective, "sequences": [sequence]}))
}

/// The chain rule from log-probabilities and entropies to logits is the test's own.
fn policy_gradients(case: &Case<'_>) {
    let (adv, w) = (case.input("adv"), case.input("w"));
    let actions: Vec<usize> = case.input("a").into_iter().map(|a| a as usize).collect();
    let policies: Vec<_> = rows(&case.0["inputs"]["logits"]).iter().map(|row| softmax(row)).collect();
    let weighted: Vec<f64> = adv.iter().zip(&w).map(|(a, w)| a * w).collect();
    let logp: Vec<f64> = policies.iter().zip(&actions).map(|((_, log_pi), &a)| log_pi[a]).collect();
    let zeros = vec![0.0; adv.len()];

    let score = json!({"kind": "score_function"});
    let answer = objective(score.clone(), json!({"logp": logp, "advantages": weighted}));
    assert_close(&[number(&answer["loss"])], &[number(&case.0["outputs"]["pg"])], TIGHT, case.0);
    let dlogp = numbers(&answer["dlogp"][0]);
    let onehot = |k: usize, a: usize| f64::from(u8::from(k == a));
    let gradient: Vec<f64> = (0..adv.len())
        .flat_map(|t| policies[t].0.iter().enumerate().map(move |(k, p)| (t, k, *p)))
        .map(|(t, k, p)| dlogp[t] * (onehot(k, actions[t]) - p))
        .collect();
    assert_close(&gradient, &rows(&case.0["outputs"]["pg_grad"]).concat(), TIGHT, case.0);

    let entropy: Vec<f64> = policies.iter().map(|(pi, l)| -pi.iter().zip(l).map(|(p, l)| p * l).sum::<f64>()).collect();
    let weighted: Vec<f64> = entropy.iter().zip(&w).map(|(h, w)| h * w).collect();
    let answer = objective(score, json!({"logp": logp, "advantages": zeros, "entropy": weighted}));
    assert_close(&[number(&answer["loss"])], &[number(&case.0["outputs"]["ent"])], TIGHT, case.0);
    let dentropy = numbers(&answer["dentropy"][0]);
    let gradient: Vec<f64> = (0..adv.len())
        .flat_map(|t| policies[t].0.iter().zip(&policies[t].1).map(move |(p, l)| (t, *p, *l)))
        .map(|(t, p, l)| -dentropy[t] * w[t] * p * (l + entropy[t]))
        .collect();
    assert_close(&gradient, &rows(&case.0["outputs"]["ent_grad"]).concat(), TIGHT, case.0);

    let ratios = case.input("prob_ratios");
    let logp: Vec<f64> = ratios.iter().map(|r| r.ln()).collect();
    let epsilon = &case.0["params"]["epsilon"];
    let clip = json!({"kind": "ppo_clip", "low": epsilon, "high": epsilon});
    let answer = objective(clip, json!({"logp": logp, "old_logp": zeros, "advantages": adv}));
    assert_close(&[number(&answer["loss"])], &[number(&case.0["outputs"]["ppo"])], TIGHT, case.0);
    let gradient: Vec<f64> = numbers(&answer["dlogp"][0]).iter().zip(&ratios).map(|(d, r)| d / r).collect();
    assert_close(&gradient, &case.output("ppo_grad"), TIGHT, case.0);
}
