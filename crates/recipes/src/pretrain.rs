//! Makes the embedded language model: imitation of flawed demonstrations, reproducible from a seed.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tdrm_core::Verifier;
use tdrm_core::{Event, Probability, Seed, Temperature};
use tdrm_dfdx::{Decay, Lm, LmConfig, Optimiser, Schedule, Sequence, Trainer};
use tdrm_envs::reasoning::{ChainError, ChainProblem, ChainTask, ChainVerifier, Habits};

use crate::model::{Context, Draws, END, Model};
use crate::text::CharTokenizer;
use crate::{Problem, RecipeError};

/// Characters of the reasoning task.
const CHARACTERS: &str = "\n0123456789+-=:?#";
/// Special tokens.
const SPECIALS: [&str; 3] = ["<pad>", "<eos>", "<unk>"];
/// Steps between two saved states.
const SAVE_EVERY: u64 = 250;

/// What to train, on what, for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// Root of all randomness.
    pub seed: Seed,
    /// The problems.
    pub task: ChainTask,
    /// The demonstrator.
    pub habits: Habits,
    /// Width d of the network.
    pub hidden_size: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key-value heads.
    pub key_value_heads: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Optimiser steps.
    pub steps: u64,
    /// Demonstrations per step, each seen once.
    pub batch: usize,
    /// Peak learning rate.
    pub learning_rate: f32,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        let p = |x| Probability::new(x).unwrap_or(Probability::NEVER);
        Self {
            seed: Seed::root(2509),
            task: ChainTask { min_operations: 3, max_operations: 6 },
            habits: Habits {
                strong_carry_habit: p(0.8),
                weak_carry_habit: p(0.4),
                slip: p(0.015),
                repair: p(0.45),
                needless_check: p(0.02),
            },
            hidden_size: 96,
            layers: 3,
            heads: 6,
            key_value_heads: 2,
            intermediate_size: 256,
            steps: 4500,
            batch: 128,
            learning_rate: 2e-3,
        }
    }
}

/// How good the trained model is at its task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainReport {
    /// Parameters.
    pub parameters: usize,
    /// Mean negative log-likelihood per token over the last hundred steps, in nats.
    pub loss: f64,
    /// Share of right answers at temperature 1.
    pub sampled_accuracy: f64,
    /// Share of right answers of greedy decoding.
    pub greedy_accuracy: f64,
    /// Responses judged for each.
    pub judged: usize,
}

/// Trains the model and writes it to `directory`; an interrupted run resumes from `directory/state.safetensors`.
///
/// # Errors
/// If a setting makes no sense, a loss is not a number, the file system refuses, or the run was asked to stop.
pub fn pretrain(
    config: &PretrainConfig,
    directory: &Path,
    context: &mut Context<'_>,
) -> Result<PretrainReport, RecipeError> {
    let tokenizer = CharTokenizer::new(&SPECIALS, CHARACTERS);
    let lm = Lm::init(network(config, &tokenizer), config.seed.named("weights"))?;
    let mut trainer = Trainer::new(lm, optimiser(config))?;
    std::fs::create_dir_all(directory).map_err(RecipeError::file(directory))?;
    let state = directory.join("state.safetensors");
    if state.exists() {
        trainer.load_state(&state)?;
    }
    let loss = imitate(config, &tokenizer, &mut trainer, &state, context)?;
    let model = Model::new(trainer.into_lm(), tokenizer)?;
    model.save(directory)?;
    if state.exists() {
        std::fs::remove_file(&state).map_err(RecipeError::file(&state))?;
    }
    assess(config, &model, loss)
}

fn network(config: &PretrainConfig, tokenizer: &CharTokenizer) -> LmConfig {
    LmConfig {
        intermediate_size: config.intermediate_size,
        num_key_value_heads: config.key_value_heads,
        max_position_embeddings: 256,
        initializer_range: 0.05,
        eos_token_id: tokenizer.special(END).into_iter().collect(),
        pad_token_id: tokenizer.special("<pad>"),
        ..LmConfig::llama(tokenizer.vocab_size(), config.hidden_size, config.layers, config.heads)
    }
}

fn optimiser(config: &PretrainConfig) -> Optimiser {
    let decay = Decay::Cosine { total_steps: config.steps };
    Optimiser {
        schedule: Schedule { warmup_steps: config.steps / 40, decay },
        ..Optimiser::adamw(config.learning_rate)
    }
}

/// Demonstration `i` of step `t`, drawn from its own seed.
fn demonstration(config: &PretrainConfig, tokenizer: &CharTokenizer, seed: Seed) -> Result<Sequence, RecipeError> {
    let rng = &mut seed.rng();
    let problem = draw(config, rng)?;
    let mut response = tokenizer.encode(&config.habits.demonstrate(&problem, rng))?;
    response.extend(tokenizer.special(END));
    Ok(Sequence::new(&tokenizer.encode(&problem.to_string())?, &response))
}

fn draw(config: &PretrainConfig, rng: &mut dyn rand::Rng) -> Result<ChainProblem, RecipeError> {
    config.task.sample(rng).map_err(|e: ChainError| RecipeError::Setting {
        field: "task",
        expected: "a task that can be drawn from".to_owned(),
        got: e.to_string(),
    })
}

fn imitate(
    config: &PretrainConfig,
    tokenizer: &CharTokenizer,
    trainer: &mut Trainer,
    state: &Path,
    context: &mut Context<'_>,
) -> Result<f64, RecipeError> {
    const STAGE: &str = "pretrain";
    context.observer.on(&Event::Started { stage: STAGE, total: config.steps });
    let mut recent = Vec::new();
    while trainer.steps() < config.steps {
        let step = trainer.steps();
        if context.stop.is_requested() {
            trainer.save_state(state)?;
            context.stop.check(state)?;
        }
        let seeds = (0..config.batch as u64).map(|i| config.seed.named("demonstrations").child(step).child(i));
        let batch = seeds.map(|s| demonstration(config, tokenizer, s)).collect::<Result<Vec<_>, _>>()?;
        let loss = imitation_step(trainer, &batch)?;
        if !loss.is_finite() {
            return Err(RecipeError::Loss { stage: STAGE.to_owned(), step, got: loss });
        }
        let report = trainer.step()?;
        recent.push(loss);
        let metrics = [("loss", loss), ("gradient_norm", report.gradient_norm)];
        context.observer.on(&Event::Metrics { stage: STAGE, step: report.step, metrics: &metrics });
        context.observer.on(&Event::Progress { stage: STAGE, done: report.step });
        if report.step % SAVE_EVERY == 0 {
            trainer.save_state(state)?;
        }
    }
    context.observer.on(&Event::Finished { stage: STAGE });
    let last = &recent[recent.len().saturating_sub(100)..];
    Ok(last.iter().sum::<f64>() / last.len().max(1) as f64)
}

/// Adds the gradient of the mean negative log-likelihood per token; returns the loss.
pub(crate) fn imitation_step(trainer: &mut Trainer, batch: &[Sequence]) -> Result<f64, RecipeError> {
    let tokens: usize = batch.iter().map(|s| s.targets().len()).sum();
    let weight = -1.0 / tokens.max(1) as f32;
    let mut loss = 0.0;
    trainer.accumulate_policy(batch, 1.0, &mut |log_probs| {
        loss = log_probs.iter().flatten().map(|&x| f64::from(x) * f64::from(weight)).sum();
        log_probs.iter().map(|row| vec![weight; row.len()]).collect()
    })?;
    Ok(loss)
}

fn assess(config: &PretrainConfig, model: &Model, loss: f64) -> Result<PretrainReport, RecipeError> {
    const JUDGED: usize = 2000;
    let rng = &mut config.seed.named("assessment").rng();
    let chains = (0..JUDGED).map(|_| draw(config, rng)).collect::<Result<Vec<_>, _>>()?;
    let problems: Vec<_> = chains.iter().map(Problem::from).collect();
    let accuracy = |draws| -> Result<f64, RecipeError> {
        let responses = model.respond(&problems, draws, 160)?;
        let right = responses
            .iter()
            .zip(&chains)
            .filter(|(r, chain)| r.iter().all(|r| ChainVerifier.verify(chain, &model.text(&r.tokens)).is_correct()));
        Ok(right.count() as f64 / JUDGED as f64)
    };
    let seed = config.seed.named("assessment").named("samples");
    Ok(PretrainReport {
        parameters: model.lm.len(),
        loss,
        sampled_accuracy: accuracy(Draws::Sampled { count: 1, temperature: Temperature::ONE, seed })?,
        greedy_accuracy: accuracy(Draws::Greedy)?,
        judged: JUDGED,
    })
}
