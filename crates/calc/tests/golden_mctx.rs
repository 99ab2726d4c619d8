//! Searches of mctx on listed models through the calculator.

mod support;

use serde_json::{Value, json};
use support::{ask, assert_close, cases, golden, number, numbers};

#[test]
fn every_search_of_mctx_comes_out() {
    let Some(file) = golden("search/mctx.json") else { return };
    for case in cases(&file) {
        let answer = ask(&request(case));
        let expected = &case["out"];
        assert_eq!(numbers(&answer["visit_counts"]), numbers(&expected["visit_counts"]), "{case}");
        if let Some(action) = expected["action"].as_u64() {
            assert_eq!(answer["action"], json!(action), "{case}");
        }
        for (field, theirs) in [("q_values", "qvalues"), ("action_weights", "action_weights")] {
            assert_close(&numbers(&answer[field]), &numbers(&expected[theirs]), SINGLE, case);
        }
        assert_close(&[number(&answer["value"])], &[number(&expected["root_value"])], SINGLE, case);
        assert_tree(&answer["nodes"], case);
    }
}

/// mctx computes in single precision.
const SINGLE: f64 = 2e-5;

/// A node that a depth limit left out stands in their tree with a visit count of 0; ours lists what exists, in the same
/// order.
fn assert_tree(nodes: &Value, case: &Value) {
    let expected = &case["out"];
    let visits = numbers(&expected["node_visits"]);
    let exists: Vec<usize> = (0..visits.len()).filter(|&i| visits[i] > 0.0).collect();
    let nodes = nodes.as_array().expect("nodes");
    assert_eq!(nodes.len(), exists.len(), "{case}");
    let (values, parents) = (numbers(&expected["node_values"]), numbers(&expected["parents"]));
    let actions = numbers(&expected["action_from_parent"]);
    for (node, &i) in nodes.iter().zip(&exists) {
        assert_close(&[number(&node["visits"]), number(&node["value"])], &[visits[i], values[i]], SINGLE, case);
        let origin = [&node["parent"], &node["action"]].map(|x| x.as_u64().map(|x| x as usize));
        let parent = exists.iter().position(|&j| parents[i] >= 0.0 && j == parents[i] as usize);
        let action = (actions[i] >= 0.0).then_some(actions[i] as usize);
        assert_eq!(origin, [parent, action], "{case}");
    }
}

fn request(case: &Value) -> Value {
    let (params, mdp) = (&case["params"], &case["mdp"]);
    let range = json!({"kind": "range", "low": 0, "high": 1});
    let puct = |q: Value| {
        json!({"kind": "puct", "simulations": case["num_simulations"], "depth": case["max_depth"],
            "init": params["pb_c_init"], "base": params["pb_c_base"], "q": q})
    };
    let gumbel = |rescale: &str| {
        json!({"kind": "gumbel", "simulations": case["num_simulations"], "depth": case["max_depth"],
            "considered": params["max_num_considered_actions"], "q": {"rescale": rescale}})
    };
    let planner = match case["qtransform"].as_str().expect("a name") {
        "parent_siblings" => puct(json!({"kind": "parent_and_siblings"})),
        "minmax01" => puct(range),
        "completed" => gumbel("unit"),
        "completed_norescale" => gumbel("off"),
        other => panic!("unknown transform {other}"),
    };
    json!({"op": "plan", "planner": planner, "root": mdp["root_state"], "forbidden": mdp["invalid_actions"],
        "model": {"next": mdp["next"], "rewards": mdp["reward"], "discounts": mdp["discount"],
            "logits": mdp["prior_logits"], "values": mdp["value"]}})
}
