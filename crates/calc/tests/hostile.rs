//! Whatever number or length stands in a request, the answer is one line of JSON.

use serde_json::{Value, json};

/// Every request that differs from `value` in one place: a number that is hostile, a list that is empty or doubled.
fn mutants(value: &Value) -> Vec<Value> {
    match value {
        Value::Number(_) => [0.0, -1.0, 0.5, 3.0, 1e308, -1e308, 5e-324, 1e19].iter().map(|x| json!(x)).collect(),
        Value::Array(items) => {
            let changed = items.iter().enumerate().flat_map(|(i, item)| {
                mutants(item).into_iter().map(move |mutant| {
                    let mut items = items.clone();
                    items[i] = mutant;
                    Value::Array(items)
                })
            });
            let doubled = [items.clone(), items.clone()].concat();
            changed.chain([json!([]), Value::Array(doubled), json!([1e308, -1e308]), json!([null])]).collect()
        }
        Value::Object(fields) => {
            let changed = fields.iter().flat_map(|(name, field)| {
                mutants(field).into_iter().map(move |mutant| {
                    let mut fields = fields.clone();
                    fields[name] = mutant;
                    Value::Object(fields)
                })
            });
            let removed = fields.keys().map(|name| {
                let mut fields = fields.clone();
                fields.remove(name);
                Value::Object(fields)
            });
            changed.chain(removed).collect()
        }
        _ => vec![json!(null), json!(7), json!("?")],
    }
}

/// A number that is not finite would have become a null.
fn finite(answer: &Value) -> bool {
    match answer {
        Value::Null => false,
        Value::Array(items) => items.iter().all(finite),
        Value::Object(fields) => fields.values().all(finite),
        _ => true,
    }
}

#[test]
fn a_hostile_number_gets_an_answer_or_an_error() {
    for doc in tdrm_calc::ops() {
        let request: Value = serde_json::from_str(doc.example).expect("an example in JSON");
        // a resampling of a few is enough
        if request.get("resamples").is_some() {
            continue;
        }
        for mutant in mutants(&request) {
            let line = tdrm_calc::line(&mutant.to_string());
            let answer: Value = serde_json::from_str(&line).expect("one line of JSON");
            assert!(answer.is_object() && finite(&answer), "{mutant} -> {line}");
        }
    }
}

#[test]
fn a_million_steps_fit_on_a_line() {
    let ones = vec![1.0; 1_000_000];
    let values = vec![0.5; 1_000_001];
    for kind in ["td0", "monte_carlo"] {
        let request = json!({"op": "value_target", "target": {"kind": kind}, "rewards": ones, "discounts": ones, "values": values});
        let answer: Value = serde_json::from_str(&tdrm_calc::line(&request.to_string())).expect("an answer in JSON");
        assert_eq!(answer["targets"].as_array().map(Vec::len), Some(1_000_000), "{kind}");
    }
}
