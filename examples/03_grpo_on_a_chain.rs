//! GRPO teaches a table to walk a chain where only the last of five right decisions pays.
//!
//! `cargo run --package tdrm-examples --example 03_grpo_on_a_chain`
#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use anyhow::Result;
use tdrm::advantage::{GroupZScore, Outcomes};
use tdrm::envs::dp::{StateActions, expected_return};
use tdrm::envs::learner::{Optimiser, StateAction, TablePolicy};
use tdrm::envs::tabular::{Table, chain};
use tdrm::envs::{Episode, run_episode};
use tdrm::objective::{Advantages, Denominators, Objective, Preset, SequenceTerms};
use tdrm::prelude::*;

const GROUP: usize = 32; // episodes per step, all from the same start
const GAMMA: f64 = 0.95;
const LIMIT: usize = 10; // decisions per episode

fn main() -> Result<()> {
    for (step, value) in train(Seed::root(7))?.iter().enumerate().step_by(20) {
        println!("step {step:3}: expected return {value:.3}");
    }
    Ok(())
}

/// J(π) before each of 100 steps and after the last, exactly, by dynamic programming.
fn train(seed: Seed) -> Result<Vec<f64>> {
    let table = chain(5, Probability::new(0.05)?)?;
    let mut policy = TablePolicy::new(5, 2, Optimiser::Sgd { learning_rate: Positive::new(5.0)? });
    let mut values = vec![];
    for step in 0..=100 {
        values.push(expected_return(&table, Discount::new(GAMMA)?, &policy.probabilities())?);
        learn(&table, &mut policy, seed.child(step))?;
    }
    Ok(values)
}

/// One group of episodes, one step on it: the verbs of a language model's loop, on a table.
fn learn(table: &Table, policy: &mut TablePolicy, seed: Seed) -> Result<Update> {
    let probabilities = policy.probabilities();
    let episodes: Vec<_> = (0..GROUP as u64).map(|i| rollout(table, &probabilities, seed.child(i))).collect();
    let returns: Vec<f64> = episodes.iter().map(|e| e.discounted_return(GAMMA)).collect();
    let advantages = GroupZScore::default().advantages(Outcomes::new(&returns)?.with_groups(&[0; GROUP])?)?;
    let batch: Vec<_> = episodes.iter().map(visits).collect();

    let objective = Objective { kl: None, ..Preset::Grpo.objective() };
    let mut refused = Ok(());
    let update = policy.update(&batch, &mut |outputs| {
        let sequences = outputs.log_probs.iter().zip(&advantages);
        let terms: Vec<_> = sequences.map(|(logp, &a)| SequenceTerms::new(logp, Advantages::Sequence(a))).collect();
        let evaluation = objective.evaluate(&terms, &Denominators::of(&terms));
        // No coefficients, no gradient.
        evaluation.map_err(|e| refused = Err(e)).map_or(Coefficients::default(), |e| e.coefficients.into())
    })?;
    refused?;
    Ok(update)
}

fn visits(episode: &Episode<usize, usize>) -> Vec<StateAction> {
    episode.states.iter().copied().zip(episode.actions.iter().copied()).collect()
}

fn rollout(table: &Table, probabilities: &StateActions, seed: Seed) -> Episode<usize, usize> {
    let forward = |state: &usize, rng: &mut dyn Rng| usize::from(uniform(rng) < probabilities.row(*state)[1]);
    run_episode(table, LIMIT, forward, &mut seed.rng())
}

/// A number in [0, 1).
fn uniform(rng: &mut dyn Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[test]
fn the_table_comes_close_to_the_best_policy() -> Result<()> {
    use tdrm::envs::dp::optimal;
    let best = optimal(&chain(5, Probability::new(0.05)?)?, Discount::new(GAMMA)?)?.values[0];
    for seed in 0..3 {
        let values = train(Seed::root(seed))?;
        assert!(values[0] < 0.3 * best && *values.last().unwrap_or(&0.0) > 0.95 * best, "{values:?} of {best}");
    }
    main()
}
