//! KL, entropy, value losses and reward fitting.

use serde_json::{Value, json};

use crate::objectives::verl_aggregation;
use crate::support::{Case, Translated, floats, without_nulls};

pub(crate) fn translate(case: &Case) -> Option<Translated> {
    match case.function.as_str() {
        "verl_value_loss" => Some(value_loss(case, "vpreds", "values", &verl_aggregation(case, case.text("agg")))),
        "openrlhf_value" => {
            let by_token = case.params["token_level_loss"].as_bool() == Some(true);
            let by_token_mean = json!("token_mean");
            let by_sequence = json!({"kind": "sequence_mean", "length_epsilon": 1e-8});
            Some(value_loss(case, "values", "old_values", if by_token { &by_token_mean } else { &by_sequence }))
        }
        "verl_entropy" => Some(entropy(case)),
        "prm_bce_soft" => Some(fit(case, "bce", &case.inputs["targets"], flat)),
        "prm_mse_sigmoid" => Some(fit(case, "mse_sigmoid", &case.inputs["targets"], flat)),
        "prm_ce_soft" => Some(fit(case, "cross_entropy", &two_classes(&case.inputs["targets"]), flat)),
        "prm_ce" => Some(labels(case)),
        name if name.starts_with("verl_kl_k") || name == "verl_kl_abs" => {
            (!case.params["kl"].is_null()).then(|| kl_as_loss(case))
        }
        _ => None,
    }
}

/// The estimates themselves.
pub(crate) fn estimates(case: &Case) -> Option<Translated> {
    let estimator = case.params["kl"].as_str()?;
    Some(Translated {
        request: without_nulls(json!({"op": "kl", "estimator": estimator, "logp": flat(&case.inputs["logp"]),
            "ref_logp": flat(&case.inputs["ref_logp"]), "value_limit": limit(estimator)})),
        expected: vec![("kl", flat(&case.outputs["per_token"]))],
    })
}

/// verl clamps k3 to ±10.
fn limit(estimator: &str) -> Value {
    if estimator.starts_with("k3") { json!(10.0) } else { Value::Null }
}

/// The masked mean as a loss: an objective whose advantages are all zero.
fn kl_as_loss(case: &Case) -> Translated {
    let estimator = case.text("kl");
    let kl = json!({"estimator": estimator, "coefficient": 1.0, "value_limit": limit(estimator)});
    let sequence = |i: usize| json!({"logp": case.row("logp", i), "ref_logp": case.row("ref_logp", i), "mask": case.row("mask", i), "advantages": 0.0});
    Translated {
        request: json!({"op": "objective", "sequences": (0..case.rows("logp")).map(sequence).collect::<Value>(),
            "objective": {"surrogate": {"kind": "score_function"}, "aggregation": "token_mean", "kl": kl}}),
        expected: vec![("loss", case.expected(&["loss"])), ("dlogp", case.expected(&["grad", "logp"]))],
    }
}

fn value_loss(case: &Case, values: &str, old: &str, aggregation: &Value) -> Translated {
    let clip = if case.params["cliprange_value"].is_null() {
        &case.params["clip_eps"]
    } else {
        &case.params["cliprange_value"]
    };
    let sequence = |i: usize| json!({"values": case.row(values, i), "old_values": case.row(old, i), "returns": case.row("returns", i), "mask": case.row("mask", i)});
    Translated {
        request: json!({"op": "value_loss", "loss": {"clip": clip, "aggregation": aggregation},
            "sequences": (0..case.rows(values)).map(sequence).collect::<Value>()}),
        expected: vec![("loss", case.expected(&["loss"])), ("dvalues", case.expected(&["grad", values]))],
    }
}

fn entropy(case: &Case) -> Translated {
    let sequence = |i: usize| json!({"logits": case.row("logits", i), "mask": case.row("mask", i)});
    Translated {
        request: json!({"op": "entropy", "aggregation": verl_aggregation(case, case.text("agg")),
            "sequences": (0..case.rows("logits")).map(sequence).collect::<Value>()}),
        expected: vec![("loss", case.expected(&["loss"])), ("dlogits", case.expected(&["grad", "logits"]))],
    }
}

/// Rows joined to one list.
fn flat(rows: &Value) -> Value {
    rows.as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap().clone()).collect()
}

fn fit(case: &Case, kind: &str, targets: &Value, join: fn(&Value) -> Value) -> Translated {
    Translated {
        request: json!({"op": "fit", "loss": {"kind": kind}, "outputs": join(&case.inputs["logits"]),
            "targets": join(targets), "mask": flat(&case.inputs["mask"])}),
        expected: vec![("loss", case.expected(&["loss"])), ("doutputs", join(&case.outputs["grad"]["logits"]))],
    }
}

/// A probability of the second class as a distribution.
fn two_classes(targets: &Value) -> Value {
    let row = |row: &Value| -> Value { floats(row).iter().map(|p| json!([1.0 - p, p])).collect() };
    targets.as_array().unwrap().iter().map(row).collect()
}

/// Hard labels, −100 where there is none.
fn labels(case: &Case) -> Translated {
    let labels = floats(&flat(&case.inputs["labels"]));
    let mask: Value = labels.iter().map(|&label| json!(label >= 0.0)).collect();
    let targets: Value = labels.iter().map(|&label| json!(label.max(0.0))).collect();
    Translated {
        request: json!({"op": "fit", "loss": {"kind": "cross_entropy"}, "outputs": flat(&case.inputs["logits"]),
            "targets": targets, "mask": mask}),
        expected: vec![("loss", case.expected(&["loss"])), ("doutputs", flat(&case.outputs["grad"]["logits"]))],
    }
}
