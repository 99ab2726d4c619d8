//! How long each on-policy objective takes to its optimum on the tasks of `tests/objective_learning.rs`.
//!
//! ```text
//! cargo run --release -p tdrm-algo --example learning_times
//! ```
#![expect(clippy::print_stdout, reason = "the table is the output")]

#[path = "../tests/learning/mod.rs"]
mod learning;

use std::time::Instant;

use learning::{Advantage, TASKS, advantages_of, grpo, sharp_trajectory_balance, standardised, train};
use tdrm_algo::objective::{Objective, Preset};
use tdrm_core::Seed;

fn main() {
    println!("| objective | bandit, s | chain, s | tree, s | worst V/V* |\n|---|---|---|---|---|");
    for preset in Preset::ALL {
        let name = format!("{preset:?}");
        match preset {
            Preset::Grpo => row(&name, &grpo(), standardised),
            Preset::FlowRl => row(&name, &sharp_trajectory_balance(), <[f64]>::to_vec),
            _ => row(&name, &preset.objective(), advantages_of(preset)),
        }
    }
}

/// The slowest of three seeds per task, and the worst value of all nine runs; V* is 1 everywhere.
fn row(name: &str, objective: &Objective, advantages: Advantage) {
    let (mut cells, mut worst) = (Vec::new(), f64::INFINITY);
    for task in &TASKS {
        let mut slowest = 0.0_f64;
        for seed in [1, 2, 3] {
            let start = Instant::now();
            worst = worst.min(train(task, objective, advantages, Seed::root(seed)));
            slowest = slowest.max(start.elapsed().as_secs_f64());
        }
        cells.push(format!("{slowest:.4}"));
    }
    println!("| {name} | {} | {worst:.4} |", cells.join(" | "));
}
