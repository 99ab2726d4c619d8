//! The losses of TRL, verl, OpenRLHF and torch, reproduced through the calculator.
//!
//! The references lie outside the repository, in a folder `shared` beside it; without it these tests say so and pass.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

#[path = "losses/objectives.rs"]
mod objectives;
#[path = "losses/support.rs"]
mod support;

use support::{Case, cases};

/// Runs every case of the functions that `translate` knows; returns how many there were.
fn run(translate: impl Fn(&Case) -> Option<support::Translated>) -> usize {
    let (mut known, mut failures) = (0, Vec::new());
    for case in cases() {
        let Some(translated) = translate(&case) else { continue };
        known += 1;
        if let Err(difference) = translated.check(&case) {
            failures.push(format!("{} {} {}: {difference}", case.function, case.tag, case.params));
        }
    }
    assert!(failures.is_empty(), "{} of {known} differ:\n{}", failures.len(), failures.join("\n"));
    known
}

#[test]
fn policy_losses_agree_with_trl_verl_and_openrlhf() {
    let known = run(|case| objectives::translate(case));
    assert!(known == 0 || known >= 300, "{known}");
    eprintln!("{known} policy-loss cases");
}
