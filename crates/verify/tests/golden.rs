//! Agreement with the labels of the shared reference sets.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod shared;

use serde_json::Value;
use tdrm_core::Verifier;
use tdrm_verify::{MathVerifier, Options, Relations, Variables};

/// Cases agreed on, all cases, positives called correct, false positives.
#[derive(Debug, Default)]
struct Score {
    agree: usize,
    total: usize,
    false_positives: usize,
}

impl Score {
    fn add(&mut self, case: &Value, label: bool, options: Options) {
        let (gold, pred) = (case["gold"].as_str().unwrap(), case["pred"].as_str().unwrap());
        let verdict = MathVerifier::with(options).verify(gold, pred);
        self.total += 1;
        self.agree += usize::from(verdict.is_correct() == label);
        self.false_positives += usize::from(verdict.is_correct() && !label);
        if verdict.is_correct() != label {
            let tail: String = pred.chars().rev().take(160).collect::<Vec<_>>().into_iter().rev().collect();
            let source = case.get("source").or(case.get("kind")).and_then(Value::as_str).unwrap_or("");
            eprintln!(
                "  label {label}: gold {gold:?} pred …{tail:?} [{source} {}]\n      {verdict:?}",
                case.get("id").unwrap_or(&Value::Null)
            );
        }
    }

    fn print(&self, name: &str) {
        eprintln!("{name}: {}/{} agree, {} false positives", self.agree, self.total, self.false_positives);
    }

    fn at_least(&self, share: f64) -> bool {
        self.agree as f64 >= share * self.total as f64
    }
}

fn cases(file: &str) -> Option<Vec<Value>> {
    Some(serde_json::from_str(&shared::read(&format!("golden/verify/{file}"))?).unwrap())
}

fn options(case: &Value) -> Options {
    let mut options = Options::default();
    let given = &case["options"];
    if given["strict"] == Value::Bool(false) {
        options.variables = Variables::Renamed;
    }
    if given["allow_set_relation_comp"] == Value::Bool(true) {
        options.relations = Relations::Either;
    }
    if let Some(digits) = given["precision"].as_u64() {
        options.float_rounding = Some(digits as u32);
    }
    options
}

#[test]
fn math_verifys_own_suite_is_agreed_with() {
    let Some(cases) = cases("suite_cases.json") else { return };
    let mut score = Score::default();
    for case in
        cases.iter().filter(|c| c["source"].as_str().unwrap().starts_with("Math-Verify") && c["kind"] == "equal")
    {
        score.add(case, case["expected"].as_bool().unwrap(), options(case));
    }
    score.print("Math-Verify suite");
    assert!(score.at_least(0.98), "{score:?}");
}

#[test]
fn other_graders_suites_are_mostly_agreed_with() {
    let Some(cases) = cases("suite_cases.json") else { return };
    let mut score = Score::default();
    for case in &cases {
        let mine = case["source"].as_str().unwrap().starts_with("Math-Verify");
        let readable = case["gold"].is_string() && case["pred"].is_string();
        let label = case["expected"].as_bool().or_else(|| case["expected"].as_f64().map(|x| x > 0.0));
        if let (false, true, Some(label)) = (mine, readable, label) {
            score.add(case, label, options(case));
        }
    }
    score.print("other suites");
    assert!(score.at_least(0.85), "{score:?}");
}

#[test]
fn real_outputs_are_judged_like_their_labels() {
    for file in ["real_outputs_qwen800.json", "real_outputs_gsm1200.json"] {
        let Some(cases) = cases(file) else { return };
        let mut score = Score::default();
        for case in &cases {
            score.add(case, case["label"].as_bool().unwrap(), Options::default());
        }
        score.print(file);
        assert!(score.at_least(0.995), "{score:?}");
    }
}

#[test]
fn pairs_by_construction_are_judged_without_a_false_positive() {
    let Some(cases) = cases("metamorphic.json") else { return };
    let mut score = Score::default();
    for case in &cases {
        score.add(case, case["label"].as_bool().unwrap(), Options::default());
    }
    score.print("metamorphic");
    assert_eq!(score.false_positives, 0);
    assert!(score.at_least(0.998), "{score:?}");
}

#[test]
fn benchmark_answers_equal_themselves_and_no_other() {
    let Some(cases) = cases("gold_pairs.json") else { return };
    let mut score = Score::default();
    for case in cases.iter().filter(|c| c["label"].is_boolean()) {
        score.add(case, case["label"].as_bool().unwrap(), Options::default());
    }
    score.print("gold pairs");
    assert_eq!(score.false_positives, 0);
    assert!(score.at_least(0.995), "{score:?}");
}

#[test]
fn pairs_of_our_own_are_judged_as_elementary_mathematics_says() {
    let own: Value = serde_json::from_str(include_str!("golden/pairs.json")).unwrap();
    for case in own["pairs"].as_array().unwrap() {
        let (gold, response) = (case["gold"].as_str().unwrap(), case["response"].as_str().unwrap());
        let verdict = MathVerifier::new().verify(gold, response);
        assert_eq!(verdict.is_correct(), case["correct"].as_bool().unwrap(), "{gold:?} {response:?} {verdict:?}");
    }
}
