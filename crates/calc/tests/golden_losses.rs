//! The losses of TRL, verl, OpenRLHF and torch, reproduced through the calculator.
//!
//! The references lie outside the repository, in a folder `shared` beside it; without it these tests say so and pass.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

#[path = "losses/objectives.rs"]
mod objectives;
#[path = "losses/preferences.rs"]
mod preferences;
#[path = "losses/support.rs"]
mod support;
#[path = "losses/values.rs"]
mod values;

use support::{Case, cases};

/// Runs every case of the functions that `translate` knows; returns how many there were.
fn run(translate: impl Fn(&Case) -> Option<support::Translated>) -> usize {
    let (mut known, mut failures) = (0, Vec::new());
    for case in cases() {
        let Some(translated) = translate(&case) else { continue };
        known += 1;
        if let Err(difference) = translated.check() {
            failures.push(format!("{} {} {}: {difference}", case.function, case.tag, case.params));
        }
    }
    assert!(failures.is_empty(), "{} of {known} differ:\n{}", failures.len(), failures.join("\n"));
    known
}

#[test]
fn policy_losses_agree_with_trl_verl_and_openrlhf() {
    let known = run(|case| objectives::translate(case).filter(|_| !tied(case)));
    assert!(known == 0 || known >= 300, "{known}");
    eprintln!("{known} policy-loss cases");
}

#[test]
fn preference_losses_agree_with_trl_and_openrlhf() {
    let known = run(preferences::translate);
    assert!(known == 0 || known >= 90, "{known}");
    eprintln!("{known} preference cases");
}

#[test]
fn kl_entropy_value_and_fitting_losses_agree_with_verl_openrlhf_and_torch() {
    let known = run(values::translate);
    assert!(known == 0 || known >= 130, "{known}");
    eprintln!("{known} value cases, {} lists of estimates", run(values::estimates));
}

#[test]
fn every_case_of_the_references_is_translated() {
    let unknown = |case: &Case| {
        let known =
            objectives::translate(case).or_else(|| preferences::translate(case)).or_else(|| values::translate(case));
        known.is_none().then(|| case.function.clone())
    };
    let unknown: Vec<String> = cases().iter().filter_map(unknown).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// KL-Cov where every advantage is zero: every covariance is 0, and which tokens are "the largest" is arbitrary.
fn tied(case: &Case) -> bool {
    let advantages = || (0..case.rows("advantages")).flat_map(|i| support::floats(&case.row("advantages", i)));
    case.function == "verl_kl_cov" && advantages().all(|a| a.abs() < 1e-300)
}

/// By hand: with A = 0 the loss is `w c |x|` summed over the penalised tokens, its gradient `± w c` on them and 0
/// elsewhere. The reference penalises ⌊0.2 N⌋ tokens that a sort happened to leave in front; we penalise all ties.
#[test]
fn where_all_covariances_tie_the_reference_penalises_an_arbitrary_part_of_the_ties() {
    for case in cases().iter().filter(|case| tied(case)) {
        let ours = objectives::translate(case).unwrap().answer();
        let (mut theirs_by_hand, mut ours_by_hand, mut taken, mut tokens) = (0.0, 0.0, 0, 0);
        for i in 0..case.rows("logp") {
            let row = |name: &str| support::floats(&case.row(name, i));
            let theirs = support::floats(&case.outputs["grad"]["logp"][i]);
            let slopes = support::floats(&ours["dlogp"][i]);
            for (t, ((new, old), mask)) in row("logp").iter().zip(row("old_logp")).zip(row("mask")).enumerate() {
                let x = new - old;
                theirs_by_hand += theirs[t] * x;
                ours_by_hand += slopes[t] * x;
                taken += usize::from(theirs[t].abs() > 0.0);
                tokens += usize::from(mask > 0.0);
            }
        }
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(theirs_by_hand, case.outputs["loss"].as_f64().unwrap()));
        assert!(close(ours_by_hand, ours["loss"].as_f64().unwrap()));
        assert_eq!(taken, tokens / 5, "the reference takes a fifth of {tokens} equal tokens");
    }
}

/// Our own numbers, which are in the repository: decimal arithmetic with 60 digits.
#[test]
fn losses_and_gradients_agree_with_high_precision_arithmetic() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/losses.json");
    let file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in file["cases"].as_array().unwrap() {
        let fields = ["loss", "dlogp", "dchosen", "drejected"];
        let expected =
            fields.into_iter().filter_map(|field| Some((field, case["answer"].get(field)?.clone()))).collect();
        let translated = support::Translated { request: case["request"].clone(), expected };
        translated.check().unwrap();
    }
}
