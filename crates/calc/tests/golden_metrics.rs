//! Votes and pass@k of search-and-learn through the calculator.

mod support;

use serde_json::{Value, json};
use support::{ask, assert_close, cases, golden, number, numbers};

#[test]
fn every_pass_at_k_comes_out() {
    let Some(file) = golden("search/sal_pass_at_k.json") else { return };
    for case in cases(&file) {
        let answer = ask(&json!({"op": "pass_at_k", "n": case["n"], "c": case["c"], "k": case["k"]}));
        assert_close(&[number(&answer["pass_at_k"])], &[number(&case["pass_at_k"])], 1e-9, case);
    }
}

/// What search-and-learn's symbolic canonical forms make equal among the answers of the file.
fn canonical(answer: &str) -> &str {
    match answer {
        "1+x" => "x+1",
        "\\frac{1}{2}" | "0.5" => "1/2",
        "3.0" => "3",
        "\\sqrt{4}" => "2",
        other => other,
    }
}

/// The winner of a vote on canonical forms, as the answer its class was first seen with.
fn winner(answers: &[&str], weights: Option<Vec<f64>>) -> String {
    let forms: Vec<&str> = answers.iter().map(|a| canonical(a)).collect();
    let mut request = json!({"op": "vote", "answers": forms});
    if let Some(weights) = weights {
        request["weights"] = json!(weights);
    }
    let first = ask(&request)["classes"][0]["voters"][0].as_u64().expect("a voter");
    answers[first as usize].to_owned()
}

#[test]
fn every_vote_comes_out() {
    let Some(file) = golden("search/sal_votes.json") else { return };
    for case in cases(&file) {
        let answers: Vec<&str> =
            case["answers"].as_array().expect("answers").iter().map(|a| a.as_str().expect("text")).collect();
        assert_eq!(winner(&answers, None), text(&case["majority"]), "{case}");
        assert_eq!(winner(&answers, Some(numbers(&case["scores"]))), text(&case["weighted"]), "{case}");
    }
}

fn text(x: &Value) -> &str {
    x.as_str().expect("text")
}
