//! Preference losses.

use serde_json::{Value, json};

use crate::support::{Case, Translated, floats, without_nulls};

pub(crate) fn translate(case: &Case) -> Option<Translated> {
    match case.function.as_str() {
        "trl_kto" | "trl_apo_zero_unpaired" => Some(unpaired(case)),
        "trl_bradley_terry" => Some(scores(case, "rewards")),
        "openrlhf_pairwise" | "openrlhf_logexp" => Some(scores_by_side(case)),
        "openrlhf_dpo" => Some(openrlhf(case)),
        name => name.strip_prefix("trl_dpo_").map(|kind| pairs(case, kind)),
    }
}

/// The entries of a row where its mask is set.
fn active(case: &Case, row: &Value, i: usize) -> Vec<f64> {
    let mask = floats(&case.row("completion_mask_shifted", i));
    floats(row).into_iter().zip(mask).filter(|&(_, m)| m > 0.0).map(|(x, _)| x).collect()
}

fn pairs(case: &Case, kind: &str) -> Translated {
    let half = case.rows("logp") / 2;
    let pair = |i: usize| {
        json!({
            "chosen": active(case, &case.row("logp", i), i),
            "rejected": active(case, &case.row("logp", half + i), half + i),
            "ref_chosen": active(case, &case.row("ref_logp", i), i),
            "ref_rejected": active(case, &case.row("ref_logp", half + i), half + i),
        })
    };
    let gradient = |rows: std::ops::Range<usize>| -> Value {
        rows.map(|i| json!(active(case, &case.outputs["grad"]["logp"][i], i))).collect()
    };
    let mut request =
        json!({"op": "preference", "loss": trl(case, kind), "pairs": (0..half).map(pair).collect::<Value>()});
    if let Some(alpha) = case.params["ld_alpha"].as_f64() {
        request["tail_weight"] = json!(alpha);
    }
    if case.params["use_weighting"].as_bool() == Some(true) {
        request["weighting"] = json!("wpo");
    }
    Translated {
        request,
        expected: vec![
            ("loss", case.expected(&["loss"])),
            ("dchosen", gradient(0..half)),
            ("drejected", gradient(half..2 * half)),
        ],
    }
}

fn trl(case: &Case, kind: &str) -> Value {
    let p = &case.params;
    let (beta, smoothing) = (&p["beta"], &p["label_smoothing"]);
    let divergence = match case.text("f_divergence") {
        "js_divergence" => json!({"kind": "jensen_shannon"}),
        "alpha_divergence" => json!({"kind": "alpha", "alpha": p["alpha"]}),
        other => json!({"kind": other}),
    };
    match kind {
        "sigmoid" => json!({"kind": "dpo", "beta": beta, "divergence": divergence}),
        "sigmoid_norm" => json!({"kind": "dpo", "beta": beta, "divergence": divergence, "length_normalised": true}),
        "ipo" => json!({"kind": "ipo", "beta": beta, "divergence": divergence, "length_normalised": true}),
        "hinge" => json!({"kind": "hinge", "beta": beta, "divergence": divergence}),
        "robust" => json!({"kind": "robust", "beta": beta, "label_smoothing": smoothing, "divergence": divergence}),
        "exo_pair" => json!({"kind": "exo", "beta": beta, "label_smoothing": smoothing, "divergence": divergence}),
        "discopop" => {
            json!({"kind": "discopop", "beta": beta, "tau": p["discopop_tau"], "divergence": divergence})
        }
        "aot" | "aot_unpaired" => json!({"kind": kind, "beta": beta, "label_smoothing": smoothing}),
        "nca_pair" => json!({"kind": "nca", "beta": beta}),
        "bco_pair" => json!({"kind": "bco", "beta": beta}),
        "sppo_hard" => json!({"kind": "sppo", "beta": beta}),
        "apo_zero" | "apo_down" => json!({"kind": kind, "beta": beta}),
        "sft" => json!({"kind": "sft"}),
        other => panic!("{other}"),
    }
}

/// TRL sums over the whole padded row; so do we, which makes the gradient of the padding comparable too.
fn unpaired(case: &Case) -> Translated {
    let desirable = |i: usize| case.inputs["label"][i].as_i64() == Some(1);
    let pair = |i: usize| {
        let (logp, reference) = (case.row("logp", i), case.row("ref_logp", i));
        if desirable(i) {
            json!({"chosen": logp, "ref_chosen": reference})
        } else {
            json!({"rejected": logp, "ref_rejected": reference})
        }
    };
    let n = case.rows("logp");
    let side = |chosen: bool| -> Value {
        let row = |i: usize| if desirable(i) == chosen { case.outputs["grad"]["logp"][i].clone() } else { json!([]) };
        (0..n).map(row).collect()
    };
    let kind = if case.function == "trl_kto" { "kto" } else { "apo_zero_unpaired" };
    let loss = json!({"kind": kind, "beta": case.params["beta"], "desirable_weight": case.params["desirable_weight"],
        "undesirable_weight": case.params["undesirable_weight"]});
    let request = json!({"op": "preference", "loss": loss, "pairs": (0..n).map(pair).collect::<Value>(),
        "kl_logp": case.inputs["kl_logps"], "ref_kl_logp": case.inputs["ref_kl_logps"]});
    Translated {
        request,
        expected: vec![("loss", case.expected(&["loss"])), ("dchosen", side(true)), ("drejected", side(false))],
    }
}

fn scores(case: &Case, name: &str) -> Translated {
    let half = case.rows(name) / 2;
    let pair = |i: usize| {
        without_nulls(json!({"chosen": case.row(name, i), "rejected": case.row(name, half + i),
            "margin": case.inputs["margin"][i]}))
    };
    let gradient =
        |rows: std::ops::Range<usize>| -> Value { rows.map(|i| case.outputs["grad"][name][i].clone()).collect() };
    let centering = case.number("center_rewards_coefficient", 0.0);
    Translated {
        request: json!({"op": "preference", "loss": {"kind": "bradley_terry", "centering": centering},
            "pairs": (0..half).map(pair).collect::<Value>()}),
        expected: vec![
            ("loss", case.expected(&["loss"])),
            ("dchosen", gradient(0..half)),
            ("drejected", gradient(half..2 * half)),
        ],
    }
}

fn scores_by_side(case: &Case) -> Translated {
    let pair = |i: usize| {
        without_nulls(json!({"chosen": case.row("chosen", i), "rejected": case.row("rejected", i),
            "margin": case.inputs["margin"][i]}))
    };
    Translated {
        request: json!({"op": "preference", "loss": {"kind": "bradley_terry"},
            "pairs": (0..case.rows("chosen")).map(pair).collect::<Value>()}),
        expected: vec![
            ("loss", case.expected(&["loss"])),
            ("dchosen", case.expected(&["grad", "chosen"])),
            ("drejected", case.expected(&["grad", "rejected"])),
        ],
    }
}

fn openrlhf(case: &Case) -> Translated {
    let pair = |i: usize| {
        json!({"chosen": case.row("policy_chosen", i), "rejected": case.row("policy_rejected", i),
            "ref_chosen": case.row("ref_chosen", i), "ref_rejected": case.row("ref_rejected", i)})
    };
    let beta = &case.params["beta"];
    let loss = if case.params["ipo"].as_bool() == Some(true) {
        json!({"kind": "ipo", "beta": beta})
    } else {
        json!({"kind": "cdpo", "beta": beta, "label_smoothing": case.number("label_smoothing", 0.0)})
    };
    Translated {
        request: json!({"op": "preference", "loss": loss,
            "pairs": (0..case.rows("policy_chosen")).map(pair).collect::<Value>()}),
        expected: vec![
            ("loss", case.expected(&["loss"])),
            ("dchosen", case.expected(&["grad", "policy_chosen"])),
            ("drejected", case.expected(&["grad", "policy_rejected"])),
        ],
    }
}
