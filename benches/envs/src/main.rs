//! Times steps of tabular environments and of CartPole on one thread.
//!
//! ```text
//! cargo run --release -p tdrm-bench-envs -- --rounds 5
//! ```
//!
//! One JSON line per measurement: environment, steps, CPU seconds of the thread, steps per CPU-second. Actions are
//! drawn beforehand; resets count as part of the steps that cause them. `compare.py` runs it side by side with
//! Gymnasium.
#![expect(clippy::print_stdout, reason = "the measurements are the output")]

use std::num::NonZeroU32;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Parser;
use rand::RngExt;
use serde::Serialize;
use tdrm_core::{Environment, Seed, TabularMdp};
use tdrm_envs::TimeLimit;
use tdrm_envs::classic::{CartPole, MountainCar};
use tdrm_envs::tabular::{Settings, catalogue};

/// Speed of the environments.
#[derive(Debug, Parser)]
struct Args {
    /// Measurements of each environment; one more is made first and thrown away.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Steps per measurement.
    #[arg(long, default_value_t = 20_000_000)]
    steps: usize,
}

/// Tabular environments, with settings after the name.
const TABLES: &[&str] = &[
    "FrozenLake-v1",
    "FrozenLake-v1 is_slippery=false",
    "CliffWalking-v1",
    "Taxi-v4",
    "Taxi-v4 is_rainy=true",
    "Blackjack-v1",
    "random_mdp states=1000 actions=4 branching=5",
];

#[derive(Serialize)]
struct Measurement<'a> {
    environment: &'a str,
    round: usize,
    steps: usize,
    cpu_seconds: f64,
    steps_per_cpu_second: f64,
    /// Sum of rewards: the same on every machine.
    check: f64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    for name in TABLES {
        let mut words = name.split(' ');
        let table = catalogue(words.next().unwrap_or_default(), Settings::parse(words)?)?;
        measure(&args, name, &table, table.n_actions())?;
        if name.starts_with("random_mdp") {
            timed(&args, &format!("{name} vector of 64"), table.n_actions(), |actions| {
                vector(&table, actions, 64, args.steps)
            })?;
        }
    }
    let limited = |limit| NonZeroU32::new(limit).context("a limit is positive");
    let cart_pole = TimeLimit { inner: CartPole::default(), limit: limited(500)? };
    measure(&args, "CartPole-v1", &cart_pole, 2)?;
    for size in [64, 1024, 8192] {
        timed(&args, &format!("CartPole-v1 vector of {size}"), 2, |actions| {
            vector(&cart_pole, actions, size, args.steps)
        })?;
    }
    measure(&args, "MountainCar-v0", &TimeLimit { inner: MountainCar {}, limit: limited(200)? }, 3)
}

fn measure<E: Environment<Action = usize>>(args: &Args, name: &str, environment: &E, n_actions: usize) -> Result<()> {
    timed(args, name, n_actions, |actions| steps(environment, actions, args.steps))
}

fn timed(args: &Args, name: &str, n_actions: usize, mut run: impl FnMut(&[usize]) -> f64) -> Result<()> {
    let mut rng = Seed::root(1).rng();
    let actions: Vec<usize> = (0..4096).map(|_| rng.random_range(0..n_actions)).collect();
    for round in 0..=args.rounds {
        let start = cpu_seconds()?;
        let check = run(&actions);
        let cpu_seconds = cpu_seconds()? - start;
        let rate = args.steps as f64 / cpu_seconds;
        if round > 0 {
            let line = Measurement {
                environment: name,
                round,
                steps: args.steps,
                cpu_seconds,
                steps_per_cpu_second: rate,
                check,
            };
            println!("{}", serde_json::to_string(&line)?);
        }
    }
    Ok(())
}

fn steps<E: Environment<Action = usize>>(environment: &E, actions: &[usize], n: usize) -> f64 {
    let mut rng = Seed::root(2).rng();
    let (mut state, mut total) = (environment.reset(&mut rng), 0.0);
    for action in actions.iter().cycle().take(n) {
        let step = environment.step(&state, action, &mut rng);
        total += step.reward;
        state = if step.end.is_over() { environment.reset(&mut rng) } else { step.state };
    }
    total
}

/// As many states at once as a vector environment has, each taking one step in turn.
fn vector<E: Environment<Action = usize>>(environment: &E, actions: &[usize], size: usize, n: usize) -> f64 {
    let mut rng = Seed::root(2).rng();
    let mut states: Vec<_> = (0..size).map(|_| environment.reset(&mut rng)).collect();
    let mut total = 0.0;
    for round in 0..n / size {
        let actions = actions.iter().cycle().skip(round % actions.len());
        for (state, action) in states.iter_mut().zip(actions) {
            let step = environment.step(state, action, &mut rng);
            total += step.reward;
            *state = if step.end.is_over() { environment.reset(&mut rng) } else { step.state };
        }
    }
    total
}

/// CPU time of this thread where the system tells it, wall time elsewhere.
fn cpu_seconds() -> Result<f64> {
    thread_local!(static START: Instant = Instant::now());
    let Ok(text) = std::fs::read_to_string("/proc/thread-self/schedstat") else {
        return Ok(START.with(Instant::elapsed).as_secs_f64());
    };
    let nanoseconds: f64 = text.split_whitespace().next().context("schedstat has three numbers")?.parse()?;
    Ok(nanoseconds / 1e9)
}
