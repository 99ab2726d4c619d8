//! Definitions summed term by term in exact fractions (`golden/make.py`), through the calculator.

mod support;

use support::{ask, assert_close, cases, numbers, own};

#[test]
fn every_definition_comes_out() {
    for case in cases(&own("own.json")) {
        let answer = ask(&case["request"]);
        for (field, expected) in case["answer"].as_object().expect("an answer") {
            let flat = |x: &serde_json::Value| x.as_f64().map_or_else(|| numbers(x), |x| vec![x]);
            assert_close(&flat(&answer[field]), &flat(expected), 1e-12, case);
        }
    }
}
