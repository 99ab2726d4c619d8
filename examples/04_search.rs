//! Three ways to spend the same number of generated digits on the largest sum of six.
//!
//! `cargo run --package tdrm-examples --example 04_search`
#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use std::num::NonZeroUsize;

use anyhow::{Context, Result};
use tdrm::prelude::*;
use tdrm::search::{Beam, BestOfN, GreedySearch};

/// Six random digits, one after another; the value of a prefix is its sum.
struct Digits;

const LENGTH: usize = 6;

impl SearchSpace for Digits {
    type Node = Vec<u8>;

    fn root(&self) -> Vec<u8> {
        vec![]
    }

    fn expand(&mut self, requests: &[Expand<'_, Vec<u8>>]) -> Result<Vec<Vec<Vec<u8>>>, SearchError> {
        let digit = |seed: Seed| (seed.rng().next_u64() % 10) as u8;
        let child = |r: &Expand<'_, Vec<u8>>, i: u64| [r.node.as_slice(), &[digit(r.seed.child(i))]].concat();
        Ok(requests.iter().map(|r| (0..r.width as u64).map(|i| child(r, i)).collect()).collect())
    }

    fn value(&mut self, nodes: &[Vec<u8>]) -> Result<Vec<f64>, SearchError> {
        Ok(nodes.iter().map(|n| n.iter().copied().map(f64::from).sum()).collect())
    }

    fn is_complete(&self, node: &Vec<u8>) -> bool {
        node.len() == LENGTH
    }
}

const fn count(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("the counts below are positive")
}

/// Each may generate 120 digits: 20 samples of 6, or 20 children on each of 6 levels.
fn strategies() -> [(&'static str, Box<dyn SearchStrategy<Digits>>); 3] {
    [
        ("best of 20", Box::new(BestOfN { n: count(20), depth: LENGTH })),
        ("greedy, 20 branches", Box::new(GreedySearch { branching: count(20), depth: LENGTH })),
        ("beam 4 of 4 × 5", Box::new(Beam { beam: count(4), width: count(5), depth: LENGTH })),
    ]
}

/// The best sum and what it cost, averaged over seeds.
fn mean(strategy: &dyn SearchStrategy<Digits>, seeds: u64) -> Result<(f64, f64)> {
    let mut total = (0.0, 0.0);
    for seed in (0..seeds).map(Seed::root) {
        let found = strategy.search(&mut Digits, Budget::Units(120), seed)?;
        let best = found.best().context("a budget of 120 buys at least one candidate")?;
        total = (total.0 + best.score, total.1 + found.spent as f64);
    }
    Ok((total.0 / seeds as f64, total.1 / seeds as f64))
}

fn main() -> Result<()> {
    for (name, strategy) in strategies() {
        let (score, spent) = mean(&*strategy, 100)?;
        println!("{name:22} {score:5.1} of 54 for {spent:5.1} digits");
    }
    Ok(())
}

#[test]
fn a_value_of_prefixes_buys_more_than_a_value_of_whole_samples() -> Result<()> {
    let [best_of_n, greedy, beam] = strategies().map(|(_, strategy)| mean(&*strategy, 20));
    let (best_of_n, greedy, beam) = (best_of_n?, greedy?, beam?);
    assert!(best_of_n.1 <= 120.0 && greedy.1 <= 120.0 && beam.1 <= 120.0);
    assert!(best_of_n.0 + 5.0 < greedy.0.min(beam.0));
    main()
}
