//! What different value targets make of one episode, and why termination is not truncation.
//!
//! `cargo run --package tdrm-examples --example 01_td_targets`
#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use anyhow::Result;
use tdrm::prelude::*;
use tdrm::value::Target;

const REWARDS: [f64; 3] = [0.0, 0.0, 1.0];
const VALUES: [f64; 4] = [0.5, 0.5, 0.5, 0.8]; // one more than rewards: the last one is the bootstrap
const GAMMA: f64 = 0.9;

const KINDS: [&str; 4] = [
    r#"{"kind":"td0"}"#,
    r#"{"kind":"n_step","n":2}"#,
    r#"{"kind":"td_lambda","lambda":0.5}"#,
    r#"{"kind":"monte_carlo"}"#,
];

fn main() -> Result<()> {
    for end in [StepEnd::Terminated, StepEnd::Truncated] {
        println!("{end:?}");
        for kind in KINDS {
            println!("  {kind:38} {:.4?}", targets(kind, end)?);
        }
    }
    Ok(())
}

/// The targets of the episode if its last step ends so: a discount of 0, or γ and the value of the successor.
fn targets(kind: &str, end: StepEnd) -> Result<Vec<f64>> {
    let target: Target = serde_json::from_str(kind)?;
    let discounts = [GAMMA, GAMMA, end.discount(GAMMA)];
    Ok(target.targets(Steps::new(&REWARDS, &discounts, &VALUES)?))
}

#[test]
fn termination_ends_the_sum_and_truncation_bootstraps() -> Result<()> {
    let close = |a: Vec<f64>, b: [f64; 3]| a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-12);
    assert!(close(targets(KINDS[0], StepEnd::Terminated)?, [0.45, 0.45, 1.0])); // 0.9·0.5, 0.9·0.5, 1
    assert!(close(targets(KINDS[0], StepEnd::Truncated)?, [0.45, 0.45, 1.72])); // 1 + 0.9·0.8
    assert!(close(targets(KINDS[3], StepEnd::Terminated)?, [0.81, 0.9, 1.0])); // 0.9², 0.9, 1
    assert!(close(targets(KINDS[3], StepEnd::Truncated)?, [1.3932, 1.548, 1.72])); // 0.9²·1.72, 0.9·1.72
    main()
}
