//! Times the loss and gradient of policy objectives on one thread.
//!
//! ```text
//! cargo run --release -p tdrm-bench-objective -- --rounds 5
//! ```
//!
//! One JSON line per measurement: preset, scalar, CPU seconds of one evaluation, tokens per CPU-second, the loss and
//! the largest coefficient, which `compare.py` checks against the same formula in torch before it compares any time.
#![expect(clippy::print_stdout, reason = "the measurements are the output")]

use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Parser;
use serde::Serialize;
use tdrm_algo::objective::{Advantages, Evaluation, Objective, Preset, SequenceTerms, Surrogate};
use tdrm_core::Real;

/// Speed of the objectives.
#[derive(Debug, Parser)]
struct Args {
    /// Measurements of each case; one more is made first and thrown away.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Evaluations per measurement.
    #[arg(long, default_value_t = 200)]
    repeats: usize,
    /// Sequences.
    #[arg(long, default_value_t = 64)]
    sequences: usize,
    /// Longest sequence; the shortest has half of it.
    #[arg(long, default_value_t = 1024)]
    tokens: usize,
    /// One preset in place of all.
    #[arg(long)]
    preset: Option<String>,
}

const PRESETS: [Preset; 10] = [
    Preset::Grpo,
    Preset::Dapo,
    Preset::DrGrpo,
    Preset::Gspo,
    Preset::Cispo,
    Preset::Gmpo,
    Preset::Sapo,
    Preset::Rloo,
    Preset::Gpg,
    Preset::Kimi,
];

#[derive(Serialize)]
struct Measurement {
    preset: Preset,
    scalar: &'static str,
    round: usize,
    tokens: usize,
    cpu_seconds: f64,
    tokens_per_cpu_second: f64,
    loss: f64,
    largest_coefficient: f64,
}

/// A batch by formula, so that another program can make the same one.
struct Batch<F> {
    rows: Vec<Row<F>>,
}

struct Row<F> {
    logp: Vec<F>,
    old: Vec<F>,
    reference: Vec<F>,
    advantage: F,
}

impl<F: Real> Batch<F> {
    fn new(sequences: usize, tokens: usize) -> Self {
        let row = |i: usize| {
            let length = tokens / 2 + i * 97 % (tokens / 2 + 1);
            let column = |phase: f64, shift: f64| -> Vec<F> {
                let wave = |t: usize| ((i * 31 + t) as f64 * 0.7 + phase).sin();
                (0..length).map(|t| F::of(-1.5 + (t as f64 * 0.37 + i as f64).sin() + shift * wave(t))).collect()
            };
            Row {
                logp: column(0.0, 0.0),
                old: column(0.1, 0.2),
                reference: column(0.5, 0.4),
                advantage: F::of((i as f64 * 1.3).cos()),
            }
        };
        Self { rows: (0..sequences).map(row).collect() }
    }

    /// The score function reads no ratio and gets no π_old, as on the other side.
    fn terms(&self, objective: &Objective) -> Vec<SequenceTerms<'_, F>> {
        let without = matches!(objective.surrogate, Surrogate::ScoreFunction(_));
        let terms = |row| if without { SequenceTerms { old_logp: &[], ..Row::terms(row) } } else { Row::terms(row) };
        self.rows.iter().map(terms).collect()
    }
}

impl<F: Real> Row<F> {
    fn terms(&self) -> SequenceTerms<'_, F> {
        SequenceTerms {
            old_logp: &self.old,
            ref_logp: &self.reference,
            ..SequenceTerms::new(&self.logp, Advantages::Sequence(self.advantage))
        }
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let chosen = match &args.preset {
        Some(name) => vec![serde_json::from_value(name.as_str().into())?],
        None => PRESETS.to_vec(),
    };
    for preset in chosen {
        measure::<f32>(&args, preset, "f32")?;
        measure::<f64>(&args, preset, "f64")?;
    }
    Ok(())
}

fn measure<F: Real>(args: &Args, preset: Preset, scalar: &'static str) -> Result<()> {
    let batch = Batch::<F>::new(args.sequences, args.tokens);
    let objective = preset.objective();
    for round in 0..=args.rounds {
        let start = cpu_seconds()?;
        for _ in 0..args.repeats {
            std::hint::black_box(evaluate(&objective, &batch)?);
        }
        let cpu_seconds = (cpu_seconds()? - start) / args.repeats as f64;
        let last = evaluate(&objective, &batch)?;
        let largest = last.coefficients.log_probs.iter().flatten().fold(F::zero(), |a, &c| a.max(c.abs()));
        let tokens = batch.rows.iter().map(|row| row.logp.len()).sum();
        let line = Measurement {
            preset,
            scalar,
            round,
            tokens,
            cpu_seconds,
            tokens_per_cpu_second: tokens as f64 / cpu_seconds,
            loss: last.loss.as_f64(),
            largest_coefficient: largest.as_f64(),
        };
        if round > 0 {
            println!("{}", serde_json::to_string(&line)?);
        }
    }
    Ok(())
}

/// The loss and its gradient, from the columns on: what a learner does once per micro-batch.
fn evaluate<F: Real>(objective: &Objective, batch: &Batch<F>) -> Result<Evaluation<F>> {
    let terms = batch.terms(objective);
    let denominators = objective.prepare(&terms)?;
    Ok(objective.evaluate(&terms, &denominators)?)
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
