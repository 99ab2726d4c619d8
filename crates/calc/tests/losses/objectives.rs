//! Policy losses: how each option of a reference is written in our configuration.

use serde_json::{Value, json};

use crate::support::{Case, Translated, floats, without_nulls};

pub(crate) fn translate(case: &Case) -> Option<Translated> {
    let objective = match case.function.as_str() {
        "trl_rloo" => trl_rloo(case),
        name if name.starts_with("trl_") && case.params.get("loss_type").is_some() => trl(case),
        "openrlhf_policy" => openrlhf(case),
        name if name.starts_with("verl_") => verl(case)?,
        _ => return None,
    };
    let sequences: Vec<Value> = (0..case.rows("logp")).map(|i| sequence(case, i)).collect();
    let mut request = json!({"op": "objective", "objective": objective, "sequences": sequences});
    let accumulation = case.number("current_gradient_accumulation_steps", 1.0);
    if accumulation > 1.0 {
        request["denominators"] = json!({"sequences": accumulation * case.rows("logp") as f64});
    }
    let mut expected = vec![("loss", case.expected(&["loss"])), ("dlogp", case.expected(&["grad", "logp"]))];
    if !case.outputs["grad"]["entropy"].is_null() {
        expected.push(("dentropy", case.expected(&["grad", "entropy"])));
    }
    Some(Translated { request, expected })
}

fn sequence(case: &Case, i: usize) -> Value {
    let old = if case.rows("old_logps_seq") > 0 { spread(case, i) } else { case.row("old_logp", i) };
    without_nulls(json!({
        "logp": case.row("logp", i),
        "old_logp": old,
        "ref_logp": case.row("ref_logp", i),
        "rollout_logp": case.row("rollout_logp", i),
        "entropy": case.row("entropy", i),
        "advantages": case.row("advantages", i),
        "mask": case.row("mask", i),
    }))
}

/// TRL's RLOO keeps one old log-probability per sequence: here on its first active token.
fn spread(case: &Case, i: usize) -> Value {
    let mask = floats(&case.row("mask", i));
    let first = mask.iter().position(|&m| m > 0.0).unwrap();
    let mut old = vec![0.0; mask.len()];
    old[first] = case.row("old_logps_seq", i).as_f64().unwrap();
    json!(old)
}

fn trl_rloo(case: &Case) -> Value {
    json!({"ratio": "sequence_sum", "surrogate": clip(case, &Value::Null), "aggregation": "sequence_mean"})
}

fn clip(case: &Case, dual: &Value) -> Value {
    let (low, high) = (case.number("epsilon_low", 0.2), case.number("epsilon_high", 0.2));
    json!({"kind": "ppo_clip", "low": low, "high": high, "dual": dual})
}

fn trl(case: &Case) -> Value {
    let p = &case.params;
    let batch = case.rows("logp") as f64;
    let (surrogate, aggregation) = match case.text("loss_type") {
        "grpo" => (clip(case, &p["delta"]), json!("sequence_mean")),
        "bnpo" | "dapo" => (clip(case, &p["delta"]), json!("token_mean")),
        "dr_grpo" => (
            clip(case, &p["delta"]),
            json!({"kind": "constant", "denominator": batch * case.number("max_completion_length", 0.0)}),
        ),
        "luspo" => (clip(case, &p["delta"]), json!("sequence_mean_token_sum")),
        "cispo" => (
            json!({"kind": "cispo", "high": case.number("epsilon_high", 0.2), "convention": "absolute"}),
            json!("token_mean"),
        ),
        "sapo" => (json!({"kind": "soft_gate", "tau_positive": 1.0, "tau_negative": 1.05}), json!("sequence_mean")),
        "vespo" => (
            json!({"kind": "vespo", "k_positive": 2, "lambda_positive": 3, "k_negative": 3, "lambda_negative": 2}),
            json!("token_mean"),
        ),
        other => panic!("{other}"),
    };
    let ratio = match (case.text("loss_type"), case.text("importance_sampling_level")) {
        ("vespo", _) => "sequence_sum_token",
        (_, "sequence") => "sequence_mean",
        _ => "token",
    };
    let mut objective = json!({"ratio": ratio, "surrogate": surrogate, "aggregation": aggregation});
    if case.number("beta", 0.0) > 0.0 {
        objective["kl"] = json!({"estimator": "k3", "coefficient": p["beta"],
            "weighted_by_ratio": p["use_bias_correction_kl"].as_bool().unwrap_or(false)});
    }
    if p["_entropy_bonus_enabled"].as_bool() == Some(true) {
        objective["entropy_coefficient"] = p["entropy_coef"].clone();
        objective["entropy_aggregation"] = json!("token_mean");
    }
    let mut filters = Vec::new();
    if let Some(fraction) = p["top_entropy_quantile"].as_f64() {
        filters.push(json!({"kind": "top_entropy", "fraction": fraction}));
    }
    if let Some(threshold) = p["off_policy_mask_threshold"].as_f64() {
        filters.push(json!({"kind": "off_policy_sequence", "threshold": threshold}));
    }
    objective["filters"] = json!(filters);
    objective
}

/// verl adds 1e-8 to the length of a sequence where it averages over it.
pub(crate) fn verl_aggregation(case: &Case, mode: &str) -> Value {
    let nonempty = (0..case.rows("mask")).filter(|&i| floats(&case.row("mask", i)).iter().sum::<f64>() > 0.0).count();
    let width = floats(&case.row("mask", 0)).len();
    match mode {
        "token-mean" => json!("token_mean"),
        "token-sum" => json!({"kind": "constant", "denominator": 1}),
        "seq-mean-token-sum" => json!("sequence_mean_token_sum"),
        "seq-mean-token-sum-norm" => json!({"kind": "constant", "denominator": nonempty * width}),
        "seq-mean-token-mean" => json!({"kind": "sequence_mean_token_mean", "length_epsilon": 1e-8}),
        other => panic!("{other}"),
    }
}

fn verl(case: &Case) -> Option<Value> {
    let default = case.number("clip_default", 0.2);
    let (low, high) = (case.number("clip_ratio_low", default), case.number("clip_ratio_high", default));
    let aggregation = verl_aggregation(case, case.params["agg"].as_str()?);
    let sequence_mean = json!({"kind": "sequence_mean_token_mean", "length_epsilon": 1e-8});
    let point = |ratio: &str, surrogate: Value, aggregation: &Value| json!({"ratio": ratio, "surrogate": surrogate, "aggregation": aggregation});
    let clip = |dual: Value| json!({"kind": "ppo_clip", "low": low, "high": high, "dual": dual});
    let divergence = |name: &str| {
        json!({"kind": "divergence_mask", "divergence": name, "low": low, "high": high,
            "max_ratio": case.number("clip_ratio_c", 3.0)})
    };
    Some(match case.function.as_str() {
        "verl_vanilla" => point("token", clip(json!(case.number("clip_ratio_c", 3.0))), &aggregation),
        "verl_gspo" => point("sequence_mean_token", clip(Value::Null), &sequence_mean),
        "verl_sapo" => {
            point("token", json!({"kind": "soft_gate", "tau_positive": 1.0, "tau_negative": 1.05}), &sequence_mean)
        }
        "verl_cispo" => point("token", json!({"kind": "cispo", "low": low, "high": high}), &aggregation),
        "verl_gpg" => point("token", json!({"kind": "score_function"}), &aggregation),
        "verl_dppo_tv" => point("token", divergence("total_variation"), &aggregation),
        "verl_dppo_kl" => point("token", divergence("kl"), &aggregation),
        "verl_dro" => point("token", json!({"kind": "dro", "beta": case.params["pl"]["dro_beta"]}), &aggregation),
        "verl_geo_mean" => point(
            "sequence_mean",
            json!({"kind": "gmpo", "low": low, "high": high, "length_epsilon": 1e-8}),
            &json!({"kind": "sequence_mean", "length_epsilon": 1e-8}),
        ),
        "verl_kl_cov" => {
            let mut objective = point("token", json!({"kind": "importance"}), &aggregation);
            objective["covariance_penalty"] =
                json!({"fraction": case.params["pl"]["kl_cov_ratio"], "coefficient": 0.1});
            objective
        }
        _ => return None,
    })
}

fn openrlhf(case: &Case) -> Value {
    let p = &case.params;
    let (low, high) = (case.number("clip_eps_low", 0.2), case.number("clip_eps_high", 0.2));
    let by_token = p["token_level_loss"].as_bool().unwrap_or(true);
    let gspo = case.text("policy_loss_type") == "gspo";
    let mut objective = json!({
        "ratio": if gspo { "sequence_mean" } else { "token" },
        "surrogate": {"kind": "ppo_clip", "low": low, "high": high, "dual": p["dual_clip"]},
        "aggregation": if by_token && !gspo { json!("token_mean") } else { json!({"kind": "sequence_mean", "length_epsilon": 1e-8}) },
    });
    let band = &p["vllm_is_truncated_threshold"];
    if p["enable_vllm_is_correction"].as_bool() == Some(true) {
        let kind = match case.text("vllm_is_correction_type") {
            "tis" => "token_truncated",
            "icepop" => "token_masked",
            "seq-mask-tis" => "sequence_masked",
            other => panic!("{other}"),
        };
        objective["mismatch"] = json!({"kind": kind, "low": band[0], "high": band[1]});
    }
    objective
}
