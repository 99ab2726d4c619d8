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
    /// Use a Hugging Face checkpoint: JSON lines in, JSON lines out.
    #[cfg(feature = "lm")]
    #[command(subcommand)]
    Lm(LmCommand),
    /// Score prompts, chats, texts or tokens with a reward model: JSON lines in, JSON lines out.
    ///
    /// Lines: {"prompt": …, "steps": […]}, {"messages": […]}, {"text": …}, {"tokens": […]}, or {"tokens": […],
    /// "step_ends": […]} with the positions of the steps' last tokens. Answers: {"step_scores": […], "score": …}.
    #[cfg(feature = "lm")]
    Score(ScoreArgs),
    /// Train Hugging Face checkpoints.
    #[cfg(feature = "lm")]
    #[command(subcommand)]
    Train(TrainCommand),
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

/// A Hugging Face model and how it runs.
#[cfg(feature = "lm")]
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckpointArgs {
    /// Hugging Face directory: config.json, model.safetensors or its shards, tokenizer files.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Directory of a LoRA adapter in PEFT's format.
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// Where it runs: cpu, cuda, or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: tdrm_lm::Device,
    /// Type of the weights: f32 or bf16. Half the memory in bf16; faster too where the processor has AMX.
    #[arg(long, default_value = "f32")]
    pub(crate) dtype: tdrm_lm::Precision,
    /// Fused kernels, or candle's own operations. Only the latter run on a GPU.
    #[arg(long, value_enum, default_value = "fused")]
    pub(crate) engine: EngineArg,
}

#[cfg(feature = "lm")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum EngineArg {
    Fused,
    Composed,
}

/// Where the lines come from.
#[cfg(feature = "lm")]
#[derive(Debug, Args)]
pub(crate) struct LmInput {
    /// Read from this file instead of standard input.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) input: Option<PathBuf>,
}

#[cfg(feature = "lm")]
#[derive(Debug, Subcommand)]
pub(crate) enum LmCommand {
    /// {"tokens": […]} → {"logits": [[V] of each token]}.
    Logits {
        #[command(flatten)]
        checkpoint: CheckpointArgs,
        #[command(flatten)]
        input: LmInput,
        /// Only those after the last token: {"logits": [V]}.
        #[arg(long)]
        last: bool,
    },
    /// {"tokens": […]}, {"prompt": …} or {"messages": […]} → new tokens, their log-probabilities, the text, and why it
    /// ended. What the command line does not say comes from the checkpoint's generation_config.json.
    Generate(Box<GenerateArgs>),
    /// {"tokens": […]} → {"loss": mean next-token loss, "grad_norms": {tensor: norm}}.
    Grads {
        #[command(flatten)]
        checkpoint: CheckpointArgs,
        #[command(flatten)]
        input: LmInput,
    },
    /// {"text": …, "add_special_tokens": true} → {"tokens": […], "offsets": […]}; needs tokenizer files only.
    Encode {
        /// Directory with tokenizer.json.
        #[arg(long, value_name = "DIR")]
        model: PathBuf,
        #[command(flatten)]
        input: LmInput,
    },
    /// {"tokens": […], "skip_special_tokens": false} → {"text": …}; needs tokenizer files only.
    Decode {
        /// Directory with tokenizer.json.
        #[arg(long, value_name = "DIR")]
        model: PathBuf,
        #[command(flatten)]
        input: LmInput,
    },
    /// {"messages": …, "tools": …, "add_generation_prompt": …, "template_args": …} → {"text": …, "tokens": […]}; needs
    /// tokenizer files only.
    Chat {
        /// Directory with tokenizer.json.
        #[arg(long, value_name = "DIR")]
        model: PathBuf,
        #[command(flatten)]
        input: LmInput,
    },
    /// Download a checkpoint from the Hugging Face Hub into its cache, and print the directory.
    #[cfg(feature = "hub")]
    Download {
        /// As Qwen/Qwen2.5-0.5B.
        #[arg(value_name = "OWNER/NAME")]
        name: String,
        /// A branch, tag or commit.
        #[arg(long, default_value = "main")]
        revision: String,
    },
}

#[cfg(feature = "lm")]
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) checkpoint: CheckpointArgs,
    #[command(flatten)]
    pub(crate) input: LmInput,
    /// The most probable tokens.
    #[arg(long)]
    pub(crate) greedy: bool,
    /// Draw, though the checkpoint's settings do not say so.
    #[arg(long, conflicts_with = "greedy")]
    pub(crate) sample: bool,
    /// Draw at this temperature.
    #[arg(long, conflicts_with = "greedy")]
    pub(crate) temperature: Option<f64>,
    /// Draw from the K most probable tokens; 0 for all.
    #[arg(long, conflicts_with = "greedy", value_name = "K")]
    pub(crate) top_k: Option<usize>,
    /// Draw from the most probable tokens that have this share together.
    #[arg(long, conflicts_with = "greedy", value_name = "P")]
    pub(crate) top_p: Option<f64>,
    /// Draw from tokens with at least this share of the largest probability.
    #[arg(long, conflicts_with = "greedy", value_name = "P")]
    pub(crate) min_p: Option<f64>,
    /// Draw from the locally typical tokens that have this share together.
    #[arg(long, conflicts_with = "greedy", value_name = "P")]
    pub(crate) typical_p: Option<f64>,
    /// Divide positive and multiply negative logits of tokens that have occurred.
    #[arg(long)]
    pub(crate) repetition_penalty: Option<f64>,
    /// No sequence of this many tokens occurs twice; 0 for no such rule.
    #[arg(long, value_name = "N")]
    pub(crate) no_repeat_ngram_size: Option<usize>,
    /// Beam search: {"tokens": […], "score": Σ ln π / length^α, "text": …}. Above 1 nothing is drawn.
    #[arg(long, value_name = "N", conflicts_with_all = ["sample", "temperature", "stop"])]
    pub(crate) num_beams: Option<NonZeroUsize>,
    /// The α of a beam search.
    #[arg(long, value_name = "ALPHA", allow_negative_numbers = true)]
    pub(crate) length_penalty: Option<f64>,
    /// When a beam search ends: as soon as as many hypotheses are finished as there are beams (true), when no live beam
    /// is likely to win (false), or when none can (never).
    #[arg(long, value_name = "true|false|never", value_parser = early_stopping)]
    pub(crate) early_stopping: Option<tdrm_lm::EarlyStopping>,
    /// Longest continuation.
    #[arg(long, value_name = "N")]
    pub(crate) max_new_tokens: Option<usize>,
    /// A token that ends a sequence, in place of the checkpoint's; may be given several times.
    #[arg(long, value_name = "ID", conflicts_with = "ignore_eos")]
    pub(crate) eos_token_id: Vec<u32>,
    /// Go on after an end of sequence.
    #[arg(long)]
    pub(crate) ignore_eos: bool,
    /// End when the text holds this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    /// Seed; each line has its own child of it.
    #[arg(long, default_value = "0")]
    pub(crate) seed: u64,
}

#[cfg(feature = "lm")]
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    pub(crate) checkpoint: CheckpointArgs,
    #[command(flatten)]
    pub(crate) input: LmInput,
    /// Implicit reward: β times the log-ratio to this reference policy.
    #[arg(long, value_name = "DIR")]
    pub(crate) reference: Option<PathBuf>,
    /// β of the implicit reward.
    #[arg(long, default_value = "1.0")]
    pub(crate) beta: f64,
    /// Read the next-token probability of this token …
    #[arg(long, value_name = "TOKEN")]
    pub(crate) positive: Option<String>,
    /// … against this one.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) negative: Option<String>,
    /// Read the single output of the head as a logit: its sigmoid is the score.
    #[arg(long, conflicts_with_all = ["reference", "positive"])]
    pub(crate) sigmoid: bool,
    /// Steps are followed by this text, where they are scored.
    #[arg(long, value_name = "TEXT", conflicts_with = "step_token")]
    pub(crate) step_separator: Option<String>,
    /// With --step-separator: the prompt goes through the chat template.
    #[arg(long)]
    pub(crate) chat: bool,
    /// Steps are followed by this special token inside of a chat, where they are scored.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) step_token: Option<String>,
    /// With --step-token: the system message of that chat.
    #[arg(long)]
    pub(crate) system: Option<String>,
    /// Steps are messages of a chat which are answered with this text; they are scored where the answers begin.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["step_token", "step_separator"])]
    pub(crate) step_reply: Option<String>,
}

#[cfg(feature = "lm")]
#[derive(Debug, Subcommand)]
pub(crate) enum TrainCommand {
    /// Replay a recorded run of TRL's trainers and compare losses, gradient norms and final weights.
    Replay {
        /// The trace, with `<name>.final.safetensors` beside it for the weights.
        #[arg(value_name = "TRACE.json")]
        trace: PathBuf,
        #[command(flatten)]
        checkpoint: CheckpointArgs,
    },
}

/// As transformers' `early_stopping` is written.
#[cfg(feature = "lm")]
fn early_stopping(text: &str) -> Result<tdrm_lm::EarlyStopping, String> {
    match text {
        "true" => Ok(tdrm_lm::EarlyStopping::Full),
        "false" => Ok(tdrm_lm::EarlyStopping::Heuristic),
        "never" => Ok(tdrm_lm::EarlyStopping::Never),
        _ => Err("expected true, false or never".to_owned()),
    }
}
