//! Times the training step and batched sampling of the compact language model.
//!
//! ```text
//! cargo run --release -p tdrm-bench-lm -- --threads 2 --rounds 5
//! ```
//!
//! One JSON line per measurement: wall seconds, CPU seconds, tokens. `compare.py` runs it side by side with PyTorch.
#![expect(clippy::print_stdout, reason = "the measurements are the output")]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use serde::Serialize;
use tdrm_core::Seed;
use tdrm_dfdx::{Lm, LmConfig, Optimiser, Prompt, SamplingConfig, Sequence, Trainer};

/// Speed of the compact language model.
#[derive(Debug, Parser)]
struct Args {
    /// What to time.
    #[arg(long, value_enum, num_args = 1.., default_values = ["train", "sample"])]
    what: Vec<What>,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Measurements of each kind; one more is made first and thrown away.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Shape: small (d 128, 4 layers, 64 × 96 tokens) or medium (d 256, 6 layers, 32 × 128).
    #[arg(long, value_enum, default_value = "small")]
    shape: Shape,
    /// Saves the initial weights in this folder, for the peer.
    #[arg(long)]
    save: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    Train,
    Sample,
    Score,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shape {
    Small,
    Medium,
}

impl Shape {
    fn config(self) -> LmConfig {
        match self {
            Self::Small => LmConfig::llama(64, 128, 4, 4),
            Self::Medium => LmConfig::llama(64, 256, 6, 8),
        }
    }

    /// Sequences and tokens of each in a training batch.
    fn batch(self) -> (usize, usize) {
        match self {
            Self::Small => (64, 96),
            Self::Medium => (32, 128),
        }
    }
}

/// Sequences and new tokens of a sampling batch.
const SAMPLES: (usize, usize) = (64, 64);

#[derive(Debug, Serialize)]
struct Measurement {
    what: &'static str,
    threads: usize,
    wall: f64,
    cpu: f64,
    tokens: usize,
    /// Loss after the step, or tokens drawn: the same on every machine and for every number of threads.
    check: f64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tdrm_kernels::alloc::tune();
    rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global()?;
    let lm = Lm::init(args.shape.config(), Seed::root(7))?;
    if let Some(folder) = &args.save {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        lm.save(folder)?;
    }
    for what in &args.what {
        match what {
            What::Train => train(&args, &lm)?,
            What::Sample => sample(&args, &lm)?,
            What::Score => score(&args, &lm)?,
        }
    }
    Ok(())
}

/// Sequences that both sides of the comparison make by the same rule.
fn batch(shape: Shape) -> Vec<Sequence> {
    let (sequences, length) = shape.batch();
    let token = |i: usize, j: usize| ((i * 7 + j * j * 3 + j * (i % 5)) % 64) as u32;
    (0..sequences).map(|i| Sequence { tokens: (0..=length).map(|j| token(i, j)).collect(), prompt_len: 1 }).collect()
}

fn train(args: &Args, lm: &Lm) -> anyhow::Result<()> {
    let batch = batch(args.shape);
    let tokens = batch.iter().map(|sequence| sequence.targets().len()).sum::<usize>();
    let optimiser = Optimiser { beta2: 0.95, weight_decay: 0.01, clip_norm: f32::INFINITY, ..Optimiser::adamw(1e-3) };
    let mut trainer = Trainer::new(lm.clone(), optimiser)?;
    for round in 0..=args.rounds {
        let mut loss = 0.0;
        let time = Stopwatch::start();
        trainer.accumulate_policy(&batch, 1.0, &mut |log_probs| {
            loss = -log_probs.iter().flatten().map(|l| f64::from(*l)).sum::<f64>() / tokens as f64;
            log_probs.iter().map(|row| vec![-1.0 / tokens as f32; row.len()]).collect()
        })?;
        trainer.step()?;
        time.print(
            round,
            &Measurement { what: "train", threads: args.threads, wall: 0.0, cpu: 0.0, tokens, check: loss },
        )?;
    }
    Ok(())
}

fn sample(args: &Args, lm: &Lm) -> anyhow::Result<()> {
    let (rows, new) = SAMPLES;
    for round in 0..=args.rounds {
        let prompts: Vec<_> = (0..rows).map(|i| Prompt { tokens: vec![0], seed: Seed::root(i as u64) }).collect();
        let time = Stopwatch::start();
        let completions = lm.generate(&prompts, &SamplingConfig::sample(1.0, new, &[]))?;
        let check = completions.iter().flat_map(|c| &c.tokens).map(|t| f64::from(*t)).sum();
        let tokens = rows * new;
        time.print(round, &Measurement { what: "sample", threads: args.threads, wall: 0.0, cpu: 0.0, tokens, check })?;
    }
    Ok(())
}

fn score(args: &Args, lm: &Lm) -> anyhow::Result<()> {
    let batch = batch(args.shape);
    let tokens = batch.iter().map(|sequence| sequence.targets().len()).sum::<usize>();
    for round in 0..=args.rounds {
        let time = Stopwatch::start();
        let check = lm.log_probs(&batch, 1.0)?.iter().flatten().map(|l| f64::from(*l)).sum::<f64>();
        time.print(round, &Measurement { what: "score", threads: args.threads, wall: 0.0, cpu: 0.0, tokens, check })?;
    }
    Ok(())
}

/// Wall clock and CPU time of this process.
struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_time() }
    }

    /// Prints the measurement, unless it is the one that warms up.
    fn print(&self, round: usize, measurement: &Measurement) -> anyhow::Result<()> {
        let (wall, cpu) = (self.wall.elapsed().as_secs_f64(), cpu_time().saturating_sub(self.cpu).as_secs_f64());
        if round > 0 {
            println!("{}", serde_json::to_string(&Measurement { wall, cpu, ..*measurement })?);
        }
        Ok(())
    }
}

/// User and system time of this process in ticks of 1/100 s; zero where `/proc` does not exist.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    // After the command's closing bracket: state is field 3 of proc(5); utime and stime are fields 14 and 15.
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
