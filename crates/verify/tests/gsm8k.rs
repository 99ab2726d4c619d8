//! Agreement with the published labels of 5,276 real solutions of GSM8K.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod shared;

use serde_json::Value;
use tdrm_core::Verifier;
use tdrm_verify::MathVerifier;

const MODELS: [&str; 4] = ["6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"];

#[test]
fn published_labels_of_gsm8k_solutions_are_reproduced() {
    let Some(solutions) = shared::read("data/gsm8k/example_model_solutions.jsonl") else { return };
    let Some(test) = shared::read("data/gsm8k/test.jsonl") else { return };
    let verifier = MathVerifier::new();
    let (mut total, mut agree) = (0, 0);
    for (line, problem) in solutions.lines().zip(test.lines()) {
        let line: Value = serde_json::from_str(line).unwrap();
        let problem: Value = serde_json::from_str(problem).unwrap();
        assert_eq!(line["question"], problem["question"]);
        let gold = problem["answer"].as_str().unwrap().rsplit("####").next().unwrap().trim();
        for model in MODELS {
            let text = line[model]["solution"].as_str().unwrap();
            let label = line[model]["is_correct"].as_bool().unwrap();
            let verdict = verifier.verify(gold, text);
            total += 1;
            if verdict.is_correct() == label {
                agree += 1;
            } else {
                eprintln!("label {label} gold {gold:?} {verdict:?} … {:?}", text.lines().last());
            }
        }
    }
    eprintln!("gsm8k: {agree}/{total}");
    assert_eq!(total, 5276);
    assert!(f64::from(agree) >= 0.995 * f64::from(total));
}
