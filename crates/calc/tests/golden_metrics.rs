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

/// The answers that its searches give: the best by the search's own aggregate, and three ways to pick by the last score.
#[test]
fn every_choice_among_the_solutions_of_a_search_comes_out() {
    let Some(file) = golden("search/sal_searches.json") else { return };
    let searches = file["searches"].as_array().expect("searches");
    for search in searches {
        let (out, config) = (&search["out"], &search["config"]);
        let steps = out["scores"].as_array().expect("scores");
        let aggregated = |kind: &str| -> Vec<f64> {
            let kind = if kind == "prod" { "product" } else { kind };
            let one = |row| number(&ask(&json!({"op": "aggregate", "kind": kind, "step_scores": row}))["aggregate"]);
            steps.iter().map(one).collect()
        };
        let (own, last) = (aggregated(text(&config["agg_strategy"])), aggregated("last"));
        assert_eq!(out["completions"][best(&own)], out["pred"], "{search}");
        let answers: Vec<&str> = out["answers"].as_array().expect("answers").iter().map(text).collect();
        let boxed = |answer: &str| format!("\\boxed{{{answer}}}");
        assert_eq!(boxed(answers[best(&last)]), text(&out["naive"]), "{search}");
        assert_eq!(boxed(&winner(&answers, Some(last))), text(&out["weighted"]), "{search}");
        assert_eq!(boxed(&winner(&answers, None)), text(&out["maj"]), "{search}");
    }
    assert_eq!(searches.len(), 42);
}

/// The first of the largest.
fn best(scores: &[f64]) -> usize {
    (0..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best })
}
