//! Our side of `compare.py`: Hugging Face language models of `tdrm-lm`, timed.
//!
//! ```text
//! tdrm-bench-models init --config config.json DIRECTORY      # random weights, for both sides
//! echo 3 | tdrm-bench-models run --what score DIRECTORY      # one line in, one measurement out
//! echo 3 | tdrm-bench-models run --what score --device cuda --dtype bf16 DIRECTORY      # built with the feature cuda
//! tdrm-bench-models products                                 # multiply-adds per second, a table
//! ```
//!
//! A worker first prints what it computes, for the comparison of results; then, for each line with a number n on its
//! standard input, it does its work n times and prints wall and CPU seconds. So two workers can take turns.
#![expect(clippy::print_stdout, reason = "the measurements are the output")]

mod products;
mod stopwatch;
mod work;

use std::fs;
use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tdrm_core::Seed;
use tdrm_lm::{Device, Model, ModelConfig, Placement, Precision};

use stopwatch::{Stopwatch, memory};
use work::Work;

/// Speed of Hugging Face language models.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes a model with random weights.
    Init {
        /// Its `config.json`.
        #[arg(long)]
        config: PathBuf,
        /// Where to.
        directory: PathBuf,
    },
    /// Works on request.
    Run(Run),
    /// Times the products of projections.
    Products,
}

#[derive(Debug, Parser)]
struct Run {
    /// What to do.
    #[arg(long, value_enum)]
    what: What,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Where it runs: cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Type of the weights: f32 or bf16.
    #[arg(long, default_value = "f32")]
    dtype: Precision,
    #[command(flatten)]
    shape: Shape,
    /// Of the model.
    directory: PathBuf,
}

/// Numbers of tokens.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Shape {
    /// Sequences to score or to train on, or to generate.
    #[arg(long, default_value_t = 8)]
    rows: usize,
    /// Tokens of a sequence to score or to train on, or of a prompt.
    #[arg(long, default_value_t = 128)]
    length: usize,
    /// New tokens.
    #[arg(long, default_value_t = 32)]
    new: usize,
    /// Steps of a trajectory.
    #[arg(long, default_value_t = 10)]
    steps: usize,
}

/// What is timed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum What {
    /// Logits after one prompt.
    Prefill,
    /// Log-probabilities of all tokens but the first of each sequence.
    Score,
    /// Samples at temperature 1.
    Decode,
    /// The most probable continuations.
    Greedy,
    /// One step of `AdamW` on the mean negative log-probability.
    Train,
    /// One step of GRPO: generate, score, gradient, update.
    Grpo,
    /// Scores of all steps of a trajectory in one pass.
    Steps,
    /// The same scores, one pass for each prefix.
    Prefixes,
    /// The same scores, all prefixes in one batch.
    PrefixBatch,
}

fn main() -> anyhow::Result<()> {
    tdrm_kernels::alloc::tune();
    match Args::parse().command {
        Command::Init { config, directory } => init(&config, &directory),
        Command::Run(run) => serve(&run),
        Command::Products => products::run(),
    }
}

fn init(config: &Path, directory: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(config).with_context(|| format!("cannot read {}", config.display()))?;
    let model = Model::init(ModelConfig::from_value(serde_json::from_str(&text)?)?, Seed::root(7))?;
    model.save(directory)?;
    say(&json!({ "parameters": model.len() }))
}

fn serve(run: &Run) -> anyhow::Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(run.threads).build_global()?;
    let empty = memory();
    let model = Model::load_on(&run.directory, Placement { device: run.device, precision: run.dtype })?;
    let mut work = Work::new(run.what, &run.shape, model)?;
    say(&json!({ "check": work.check()?, "empty": empty, "parameters": work.parameters() }))?;
    for line in stdin().lock().lines() {
        let times: usize = line?.trim().parse().context("expected a number of repetitions")?;
        let time = Stopwatch::start();
        let (mut tokens, mut check) = (0, 0.0);
        for _ in 0..times {
            (tokens, check) = work.once()?;
        }
        let (wall, cpu) = time.seconds();
        let tokens = tokens * times;
        let rate = tokens as f64 / wall;
        say(&json!({
            "wall": wall, "cpu": cpu, "tokens": tokens, "tokens_per_second": rate, "check": check, "memory": memory(),
        }))?;
    }
    Ok(())
}

fn say(line: &Value) -> anyhow::Result<()> {
    println!("{line}");
    Ok(stdout().flush()?)
}
