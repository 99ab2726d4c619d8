//! A reward from a verifier and a reward for the form of each step, added in named proportions.
//!
//! `cargo run --package tdrm-examples --example 02_reward_composition`
#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use anyhow::Result;
use tdrm::prelude::*;
use tdrm::verify::MathVerifier;

/// What is scored: the steps of a solution, the last of which holds the answer, and the reference answer.
struct Solution {
    steps: Vec<&'static str>,
    gold: &'static str,
}

/// 1 for a correct solution, 0 for an incorrect one; what cannot be read is an error, not a 0.
struct Outcome<V>(V);

impl<V: Verifier<Task = str>> RewardModel for Outcome<V> {
    type Input = Solution;
    type Scalar = f64;

    fn score(&self, batch: &[&Solution]) -> Result<Vec<Rewards<f64>>, RewardError> {
        batch.iter().enumerate().map(|(index, s)| self.judge(index, s)).collect()
    }
}

impl<V: Verifier<Task = str>> Outcome<V> {
    fn judge(&self, index: usize, solution: &Solution) -> Result<Rewards<f64>, RewardError> {
        let verdict = self.0.verify(solution.gold, solution.steps.last().unwrap_or(&""));
        match verdict.unparsable() {
            Some(reason) => Err(RewardError::Unjudged { index, reason: reason.to_string() }),
            None => Ok(Rewards::Trajectory(f64::from(u8::from(verdict.is_correct())))),
        }
    }
}

/// One point for every step that states an equation.
fn equations() -> impl RewardModel<Input = Solution, Scalar = f64> {
    reward_fn(|s: &Solution| {
        Rewards::Steps(s.steps.iter().map(|step| f64::from(u8::from(step.contains('=')))).collect())
    })
}

/// 0.1 for each equation; the outcome is paid at the last step.
fn reward() -> impl RewardModel<Input = Solution, Scalar = f64> {
    equations().scale(0.1).plus(1.0, Outcome(MathVerifier::new()))
}

fn main() -> Result<()> {
    let right = Solution { steps: vec!["3 + 5 = 8", "8 + 2 = 10", r"\boxed{10}"], gold: "10" };
    let wrong = Solution { steps: vec!["3 + 5 is eight", r"\boxed{11}"], gold: "10" };
    for rewards in reward().score(&[&right, &wrong])? {
        println!("{rewards:?}");
    }
    let silent = Solution { steps: vec!["I would rather not say"], gold: "10" };
    println!("{:?}", reward().score(&[&silent]).map_err(|e| e.to_string()));
    Ok(())
}

#[test]
fn the_outcome_is_paid_at_the_last_step_and_silence_is_not_a_zero() -> Result<()> {
    let right = Solution { steps: vec!["3 + 5 = 8", "8 + 2 = 10", r"\boxed{10}"], gold: "10" };
    assert_eq!(reward().score(&[&right])?, [Rewards::Steps(vec![0.1, 0.1, 1.0])]);
    let silent = Solution { steps: vec!["I would rather not say"], gold: "10" };
    assert!(matches!(reward().score(&[&silent]), Err(RewardError::Unjudged { index: 0, .. })));
    main()
}
