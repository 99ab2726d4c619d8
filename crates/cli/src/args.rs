//! What can be said on the command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Reward models and reinforcement learning of language models.
///
/// Without a command: the whole cycle on one machine. Samples reasoning, verifies it, trains reward models by
/// temporal difference and their rivals, compares them in best-of-N and tree search, improves the policy with GRPO,
/// prints the tables and writes one HTML report.
#[derive(Debug, Parser)]
#[command(name = "tdrm", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) cycle: CycleArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train the embedded language model anew, from its seed.
    Pretrain(PretrainArgs),
    /// Verify and learn from real model solutions of grade-school problems (GSM8K).
    Gsm8k(Gsm8kArgs),
    /// Calculate targets, advantages, objectives and metrics: JSON lines in, JSON lines out.
    Calc(CalcArgs),
    /// Judge responses against reference answers: JSON lines in, JSON lines out.
    Verify(VerifyArgs),
    /// Look at environments.
    #[command(subcommand)]
    Env(EnvCommand),
}

#[derive(Debug, Args)]
pub(crate) struct CycleArgs {
    /// Seed of the first run.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Number of seeds; the report gives intervals over them.
    #[arg(long)]
    pub(crate) seeds: Option<NonZeroUsize>,
    /// Problems of your own, JSON lines {"prompt": …, "gold": …}.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) problems: Option<PathBuf>,
    /// A checkpoint of your own, a Hugging Face directory with a character vocabulary.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Settings; what is absent keeps its default. `--print-config` shows all of them.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Print the settings as TOML and do nothing.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Where the report and the unfinished state go.
    #[arg(long, value_name = "DIR", default_value = "runs/cycle")]
    pub(crate) out: PathBuf,
    /// Append every event as a JSON line to this file.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) events: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PretrainArgs {
    /// Where the model goes, in Hugging Face format.
    #[arg(long, value_name = "DIR", default_value = "runs/pretrain")]
    pub(crate) out: PathBuf,
    /// Settings; what is absent keeps the defaults that made the embedded model.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Append every event as a JSON line to this file.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) events: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Gsm8kArgs {
    /// Folder with `test.jsonl` and `example_model_solutions.jsonl` of the GSM8K repository.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Settings; what is absent keeps its default.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Where the report and the unfinished state go.
    #[arg(long, value_name = "DIR", default_value = "runs/gsm8k")]
    pub(crate) out: PathBuf,
    /// Append every event as a JSON line to this file.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) events: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CalcArgs {
    /// Print each operation with its fields and formula.
    #[arg(long)]
    pub(crate) list: bool,
    /// Read from this file instead of standard input.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) input: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Read from this file instead of standard input.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) input: Option<PathBuf>,
    /// Threads; the order of the output stays that of the input.
    #[arg(long, default_value = "1")]
    pub(crate) threads: NonZeroUsize,
    /// Steps that one judgement may take.
    #[arg(long)]
    pub(crate) fuel: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EnvCommand {
    /// Print transitions, V*, Q* and the initial distribution of a tabular environment as one JSON object.
    Dump {
        /// Name, as in Gymnasium: FrozenLake-v1, CliffWalking-v1, Taxi-v3, …
        name: String,
        /// A setting, as in `--set gamma=0.99 --set map=SF/HG`.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        settings: Vec<String>,
    },
}
