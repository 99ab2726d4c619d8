//! Improving the policy: group-relative policy optimisation with a verifier, a reward model, or both.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tdrm_algo::advantage::Outcomes;
use tdrm_algo::objective::{Advantages, Denominators, Objective, SequenceTerms};
use tdrm_core::{Event, Seed, Temperature};
use tdrm_dfdx::{Lm, Optimiser, Sequence, Trainer};

use super::fit::{prefix_logits, sigmoid};
use super::{CycleConfig, Sampled, sample};
use crate::model::{Context, Draws, Model};
use crate::{Judge, Problem, RecipeError};

/// What is rewarded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Signal {
    /// 1 for a right answer, 0 otherwise (an unreadable one included: that is this recipe's choice).
    Rule,
    /// The reward model's value of the complete response.
    RewardModel,
    /// `w_rule · rule + w_prm · V(s_{T−1})`: the value before the answer is given, as published (TDRM card, §4.2).
    Both,
}

impl Signal {
    /// All signals, in the order of the report.
    pub const ALL: [Self; 3] = [Self::Rule, Self::RewardModel, Self::Both];

    /// Name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::RewardModel => "reward model",
            Self::Both => "rule + reward model",
        }
    }
}

/// A point of the learning curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// Optimiser steps so far.
    pub step: usize,
    /// Greedy accuracy on the validation problems.
    pub greedy_accuracy: f64,
    /// Mean reward of the last batch (0 before the first).
    pub reward: f64,
    /// Share of right answers in the last batch.
    pub accuracy: f64,
    /// Groups of the last batch whose rewards are all equal: they teach nothing.
    pub equal_groups: f64,
}

/// An improved policy.
#[derive(Debug, Clone)]
pub struct Improved {
    /// The policy.
    pub model: Model,
    /// How it went.
    pub curve: Vec<CurvePoint>,
}

/// One run of reinforcement learning.
#[derive(Debug)]
pub struct Run<'a> {
    /// Settings.
    pub config: &'a CycleConfig,
    /// What is rewarded.
    pub signal: Signal,
    /// The policy to start from.
    pub policy: &'a Model,
    /// The reward model.
    pub reward: &'a Lm,
    /// Who judges.
    pub judge: Judge,
    /// Problems to learn from.
    pub problems: &'a [Problem],
    /// Problems for the learning curve.
    pub validation: &'a [Problem],
    /// Root of the seeds.
    pub seed: Seed,
}

impl Run<'_> {
    /// Learns.
    ///
    /// # Errors
    /// If a loss is not a number, the network fails, or the run was asked to stop.
    pub fn learn(&self, state: &Path, context: &mut Context<'_>) -> Result<Improved, RecipeError> {
        let rl = &self.config.rl;
        let stage = format!("grpo with {}", self.signal.name());
        let mut trainer = Trainer::new(self.policy.lm.clone(), Optimiser::adamw(rl.learning_rate))?;
        let mut curve = vec![self.point(0, self.policy, None)?];
        context.observer.on(&Event::Started { stage: &stage, total: rl.steps as u64 });
        for step in 0..rl.steps {
            context.stop.check(state)?;
            let model = self.policy.with_lm(trainer.lm().clone());
            let batch = self.rollouts(step, &model)?;
            if batch.equal_groups() >= 1.0 {
                let message = format!("step {step}: all rewards are equal within their groups, nothing to learn from");
                context.observer.on(&Event::Warning { stage: &stage, message: &message });
            }
            let loss = self.update(&mut trainer, &batch)?;
            if !loss.is_finite() {
                return Err(RecipeError::Loss { stage, step: step as u64, got: loss });
            }
            let done = step + 1;
            let metrics = [("loss", loss), ("reward", batch.mean_reward()), ("accuracy", batch.accuracy())];
            context.observer.on(&Event::Metrics { stage: &stage, step: done as u64, metrics: &metrics });
            context.observer.on(&Event::Progress { stage: &stage, done: done as u64 });
            if done % rl.evaluate_every == 0 || done == rl.steps {
                let model = self.policy.with_lm(trainer.lm().clone());
                curve.push(self.point(done, &model, Some(&batch))?);
            }
        }
        context.observer.on(&Event::Finished { stage: &stage });
        Ok(Improved { model: self.policy.with_lm(trainer.into_lm()), curve })
    }

    fn rollouts(&self, step: usize, model: &Model) -> Result<Batch, RecipeError> {
        let rl = &self.config.rl;
        let problems: Vec<_> =
            (0..rl.problems).map(|i| self.problems[(step * rl.problems + i) % self.problems.len()].clone()).collect();
        let seed = self.seed.named("rollouts").child(step as u64);
        let draws = Draws::Sampled { count: rl.group, temperature: Temperature::ONE, seed };
        let responses = model.respond(&problems, draws, self.config.data.max_tokens)?;
        let mut groups = Vec::with_capacity(problems.len());
        for (problem, responses) in problems.into_iter().zip(responses) {
            let prompt = model.tokenizer().encode(&problem.prompt)?;
            let samples = responses.into_iter().map(|r| sample::judge(model, self.judge, &problem, r)).collect();
            groups.push(Sampled { problem, prompt, samples });
        }
        let rewards = self.rewards(&groups)?;
        Ok(Batch { groups, rewards })
    }

    /// One reward per sample, `[problems][G]`.
    fn rewards(&self, groups: &[Sampled]) -> Result<Vec<Vec<f64>>, RecipeError> {
        let rl = &self.config.rl;
        let rule = |g: &Sampled| g.samples.iter().map(|s| f64::from(u8::from(s.correct))).collect::<Vec<_>>();
        if matches!(self.signal, Signal::Rule) {
            return Ok(groups.iter().map(rule).collect());
        }
        let sequences: Vec<_> = groups.iter().flat_map(|g| g.samples.iter().map(|s| g.value_sequence(s))).collect();
        let logits = prefix_logits(self.reward, &sequences)?;
        let mut values = logits.iter().map(|z| match self.signal {
            Signal::Both => z[z.len().saturating_sub(2)], // s_{T−1}
            _ => z[z.len() - 1],
        });
        let mut group = |g: &Sampled| -> Vec<f64> {
            let values = values.by_ref().take(g.samples.len()).map(sigmoid);
            match self.signal {
                Signal::Both => values.zip(rule(g)).map(|(v, r)| rl.mixture.reward(r, v)).collect(),
                _ => values.collect(),
            }
        };
        Ok(groups.iter().map(&mut group).collect())
    }

    /// One optimiser step; returns the loss.
    fn update(&self, trainer: &mut Trainer, batch: &Batch) -> Result<f64, RecipeError> {
        let objective = self.config.rl.objective.objective();
        let advantages = self.advantages(batch)?;
        let samples: Vec<_> = batch.groups.iter().flat_map(|g| g.samples.iter().map(move |s| (g, s))).collect();
        let sequences: Vec<_> = samples.iter().map(|(g, s)| Sequence::new(&g.prompt, &s.response.tokens)).collect();
        let reference = self.policy.lm.log_probs(&sequences, 1.0)?;
        let denominators = Denominators::of_lengths(sequences.iter().map(|s| s.targets().len()));
        let mut outcome = Ok(0.0);
        trainer.accumulate_policy(&sequences, 1.0, &mut |logp| match loss_and_coefficients(
            &objective,
            logp,
            &reference,
            &advantages,
            &denominators,
        ) {
            Ok((loss, coefficients)) => {
                outcome = Ok(loss);
                coefficients
            }
            Err(e) => {
                outcome = Err(e);
                logp.iter().map(|row| vec![0.0; row.len()]).collect()
            }
        })?;
        let loss = outcome?;
        trainer.step()?;
        Ok(loss)
    }

    /// One advantage per sample, in the order of the samples.
    fn advantages(&self, batch: &Batch) -> Result<Vec<f64>, RecipeError> {
        let rewards = batch.rewards.concat();
        let groups: Vec<_> = batch.rewards.iter().zip(0..).flat_map(|(g, id)| vec![id; g.len()]).collect();
        let lengths: Vec<_> =
            batch.groups.iter().flat_map(|g| &g.samples).map(|s| s.response.tokens.len() as f64).collect();
        let outcomes = Outcomes::new(&rewards)?.with_groups(&groups)?.with_lengths(&lengths)?;
        Ok(self.config.rl.advantage.advantages(outcomes)?)
    }

    fn point(&self, step: usize, model: &Model, batch: Option<&Batch>) -> Result<CurvePoint, RecipeError> {
        Ok(CurvePoint {
            step,
            greedy_accuracy: greedy_accuracy(self.config, model, self.judge, self.validation)?.iter().sum::<f64>()
                / self.validation.len().max(1) as f64,
            reward: batch.map_or(0.0, Batch::mean_reward),
            accuracy: batch.map_or(0.0, Batch::accuracy),
            equal_groups: batch.map_or(0.0, Batch::equal_groups),
        })
    }
}

/// 1 where the greedy response is right, else 0, per problem.
pub(super) fn greedy_accuracy(
    config: &CycleConfig,
    model: &Model,
    judge: Judge,
    problems: &[Problem],
) -> Result<Vec<f64>, RecipeError> {
    let responses = model.respond(problems, Draws::Greedy, config.data.max_tokens)?;
    let judged = problems
        .iter()
        .zip(responses)
        .map(|(problem, mut r)| r.pop().is_some_and(|r| judge.verdict(problem, &model.text(&r.tokens)).is_correct()));
    Ok(judged.map(|right| f64::from(u8::from(right))).collect())
}

/// The objective on a batch drawn by the present weights: loss and ∂L/∂log π.
fn loss_and_coefficients(
    objective: &Objective,
    logp: &[Vec<f32>],
    reference: &[Vec<f32>],
    advantages: &[f64],
    denominators: &Denominators,
) -> Result<(f64, Vec<Vec<f32>>), RecipeError> {
    let wide = |rows: &[Vec<f32>]| -> Vec<Vec<f64>> {
        rows.iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
    };
    let (logp, reference) = (wide(logp), wide(reference));
    let terms: Vec<_> = logp
        .iter()
        .zip(&reference)
        .zip(advantages)
        .map(|((logp, ref_logp), &a)| SequenceTerms { ref_logp, ..SequenceTerms::new(logp, Advantages::Sequence(a)) })
        .collect();
    let evaluation = objective.evaluate(&terms, denominators)?;
    let narrow = |row: Vec<f64>| row.into_iter().map(|x| x as f32).collect();
    Ok((evaluation.loss, evaluation.coefficients.log_probs.into_iter().map(narrow).collect()))
}

/// Judged and rewarded groups.
#[derive(Debug)]
struct Batch {
    groups: Vec<Sampled>,
    rewards: Vec<Vec<f64>>,
}

impl Batch {
    fn mean_reward(&self) -> f64 {
        mean(self.rewards.iter().flatten().copied())
    }

    fn accuracy(&self) -> f64 {
        mean(self.groups.iter().flat_map(|g| &g.samples).map(|s| f64::from(u8::from(s.correct))))
    }

    fn equal_groups(&self) -> f64 {
        mean(self.rewards.iter().map(|r| f64::from(u8::from(r.windows(2).all(|w| w[0].to_bits() == w[1].to_bits())))))
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0_usize), |(sum, n), x| (sum + x, n + 1));
    sum / n.max(1) as f64
}
