//! What the golden tests share: the reference files beside the repository, and one question to the calculator.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::print_stderr, reason = "a skip must be heard")]
#![allow(clippy::needless_pass_by_value, reason = "requests are made on the spot")]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A file of `../shared/golden`, or a loud skip where the folder is absent.
pub(crate) fn golden(file: &str) -> Option<Value> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = here.ancestors().map(|dir| dir.join("shared/golden").join(file)).find(|path| path.exists());
    if found.is_none() {
        eprintln!("SKIPPED: no shared/golden/{file} above {}: golden cases NOT run", here.display());
    }
    found.map(|path| read(&path))
}

/// A golden file of this crate.
pub(crate) fn own(file: &str) -> Value {
    read(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file))
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a readable golden file");
    serde_json::from_str(&text).expect("a golden file in JSON")
}

/// The cases of a golden file.
pub(crate) fn cases(file: &Value) -> &[Value] {
    file.as_array().or(file["cases"].as_array()).expect("a list of cases")
}

/// The calculator's answer, which must not be an error.
pub(crate) fn ask(request: &Value) -> Value {
    let answer: Value = serde_json::from_str(&tdrm_calc::line(&request.to_string())).expect("an answer in JSON");
    assert!(answer.get("error").is_none(), "{request} -> {answer}");
    answer
}

/// Numbers of a list.
pub(crate) fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().expect("a list").iter().map(number).collect()
}

/// Rows of a table.
pub(crate) fn rows(table: &Value) -> Vec<Vec<f64>> {
    table.as_array().expect("a table").iter().map(numbers).collect()
}

/// A number, or a switch as 0 or 1.
pub(crate) fn number(x: &Value) -> f64 {
    x.as_f64().or(x.as_bool().map(f64::from)).unwrap_or_else(|| panic!("no number: {x}"))
}

/// Asserts agreement to a relative tolerance (absolute below 1).
pub(crate) fn assert_close(got: &[f64], expected: &[f64], tolerance: f64, case: &Value) {
    assert_eq!(got.len(), expected.len(), "{case}");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let scale = e.abs().max(1.0);
        assert!((g - e).abs() <= tolerance * scale, "entry {i}: got {g}, expected {e} in {case}");
    }
}

/// The same for a list of an answer.
pub(crate) fn assert_list(answer: &Value, field: &str, expected: &[f64], case: &Value) {
    assert_close(&numbers(&answer[field]), expected, 1e-9, case);
}

/// A value target of plain columns.
pub(crate) fn value_target(target: Value, rewards: &[f64], discounts: &[f64], values: &[f64]) -> Value {
    json!({"op": "value_target", "target": target, "rewards": rewards, "discounts": discounts, "values": values})
}
