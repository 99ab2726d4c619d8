//! What is timed.

use tdrm_core::{Seed, Temperature};
use tdrm_lm::{
    Completion, Generation, Model, Optimiser, PolicyCoefficients, Prompt, Scores, Sequence, Trainer, ValueSequence,
};

use crate::{Shape, What};

/// Completions that are compared with each other in GRPO.
const GROUP: usize = 8;

/// A model and what it has to do.
pub(crate) struct Work {
    what: What,
    shape: Shape,
    model: Model,
    trainer: Option<Trainer>,
    round: u64,
}

impl Work {
    pub(crate) fn new(what: What, shape: &Shape, model: Model) -> anyhow::Result<Self> {
        let trains = matches!(what, What::Train | What::Grpo);
        let clip_norm = if matches!(what, What::Grpo) { 1.0 } else { f32::INFINITY };
        let optimiser = Optimiser { weight_decay: 0.01, clip_norm, ..Optimiser::adamw(1e-4) };
        let trainer = if trains { Some(Trainer::new(model.clone(), optimiser)?) } else { None };
        Ok(Self { what, shape: shape.clone(), model, trainer, round: 0 })
    }

    pub(crate) fn parameters(&self) -> usize {
        self.model.len()
    }

    /// The token at position j of sequence i: the same rule on both sides.
    fn tokens(&self, i: usize, length: usize) -> Vec<u32> {
        let vocabulary = self.model.config().vocab_size;
        (0..length).map(|j| ((i * 7 + j * j * 3 + j * (i % 5) + 1) % vocabulary) as u32).collect()
    }

    fn sequences(&self) -> Vec<Sequence> {
        let Shape { rows, length, .. } = self.shape;
        (0..rows).map(|i| Sequence { tokens: self.tokens(i, length), prompt_len: 1 }).collect()
    }

    /// Numbers that the other side must reproduce.
    pub(crate) fn check(&self) -> anyhow::Result<Vec<f64>> {
        let few = |row: &[f32]| row.iter().step_by(row.len().div_ceil(8)).map(|&x| f64::from(x)).collect();
        match self.what {
            What::Prefill => Ok(few(&self.model.last_logits(&self.tokens(0, self.shape.length))?)),
            What::Score | What::Train => Ok(vec![sum(&self.model.scores(&self.sequences()[..1], 1.0)?.log_probs)]),
            What::Decode | What::Greedy | What::Grpo => {
                Ok(few(&self.model.last_logits(&self.tokens(0, self.shape.length))?))
            }
            What::Steps | What::Prefixes | What::PrefixBatch => Ok(self.steps()?.1),
        }
    }

    /// Tokens done and a number that says what came out.
    pub(crate) fn once(&mut self) -> anyhow::Result<(usize, f64)> {
        self.round += 1;
        match self.what {
            What::Prefill => {
                let logits = self.model.last_logits(&self.tokens(0, self.shape.length))?;
                Ok((self.shape.length, f64::from(logits[0])))
            }
            What::Score => {
                let sequences = self.sequences();
                let total = sum(&self.model.scores(&sequences, 1.0)?.log_probs);
                Ok((sequences.len() * self.shape.length, total))
            }
            What::Decode => self.generate(&Generation::sample(Temperature::ONE, self.shape.new)),
            What::Greedy => self.generate(&Generation::greedy(self.shape.new)),
            What::Train => self.train(),
            What::Grpo => self.grpo(),
            What::Steps | What::Prefixes | What::PrefixBatch => {
                let (tokens, scores) = self.steps()?;
                Ok((tokens, scores.iter().sum()))
            }
        }
    }

    fn prompts(&self, prompt_of: impl Fn(usize) -> usize) -> Vec<Prompt> {
        let seed = Seed::root(self.round);
        let prompt = |i: usize| Prompt::new(&self.tokens(prompt_of(i), self.shape.length), seed.child(i as u64));
        (0..self.shape.rows).map(prompt).collect()
    }

    fn generate(&self, settings: &Generation) -> anyhow::Result<(usize, f64)> {
        let completions = self.model.generate(&self.prompts(|i| i), settings)?;
        let tokens = completions.iter().map(|c| c.tokens.len()).sum();
        let check = completions.iter().flat_map(|c| &c.tokens).map(|&token| f64::from(token)).sum();
        Ok((tokens, check))
    }

    fn train(&mut self) -> anyhow::Result<(usize, f64)> {
        let sequences = self.sequences();
        let targets = sequences.iter().map(|s| s.targets().len()).sum::<usize>() as f64;
        let Some(trainer) = &mut self.trainer else { return Ok((0, 0.0)) };
        let mut loss = 0.0;
        trainer.accumulate_policy(&sequences, 1.0, &mut |scores| {
            loss = -sum(&scores.log_probs) / targets;
            PolicyCoefficients { log_probs: constant(scores, -1.0 / targets), entropies: Vec::new() }
        })?;
        trainer.step()?;
        Ok((sequences.len() * self.shape.length, loss))
    }

    /// Samples, which come with their log-probabilities, advantages of the group, the gradient of the clipped objective,
    /// and the update.
    fn grpo(&mut self) -> anyhow::Result<(usize, f64)> {
        let prompts = self.prompts(|i| i / GROUP);
        let settings = Generation::sample(Temperature::ONE, self.shape.new).until(&[2]);
        let completions = self.model.generate(&prompts, &settings)?;
        let joined = prompts.iter().zip(&completions).map(|(p, c)| Sequence::new(&p.tokens, &c.tokens));
        let sequences: Vec<Sequence> = joined.collect();
        let old = completions.iter().map(|c| &c.log_probs_full);
        let advantages: Vec<f64> = completions.chunks(GROUP).flat_map(advantages).collect();
        let tokens = completions.iter().map(|c| c.tokens.len()).sum::<usize>();
        let Some(trainer) = &mut self.trainer else { return Ok((0, 0.0)) };
        trainer.accumulate_policy(&sequences, 1.0, &mut |new| {
            let row = |((new, old), a): ((&Vec<f64>, &Vec<f64>), &f64)| {
                new.iter().zip(old).map(|(new, old)| clipped((new - old).exp(), *a) / tokens as f64).collect()
            };
            let log_probs = new.log_probs.iter().zip(old.clone()).zip(&advantages).map(row).collect();
            PolicyCoefficients { log_probs, entropies: Vec::new() }
        })?;
        Ok((tokens, trainer.step()?.gradient_norm))
    }

    fn steps(&self) -> anyhow::Result<(usize, Vec<f64>)> {
        let Shape { length, new, steps, .. } = self.shape;
        let tokens = self.tokens(0, length + steps * new);
        let ends: Vec<usize> = (1..=steps).map(|step| length + step * new - 1).collect();
        let prefix = |end: &usize| ValueSequence::at_the_end(&tokens[..=*end]);
        let scores = match self.what {
            What::Prefixes => {
                let pass = |end| Ok(self.model.values(&[prefix(end)])?.concat());
                ends.iter().map(pass).collect::<anyhow::Result<Vec<_>>>()?.concat()
            }
            What::PrefixBatch => self.model.values(&ends.iter().map(prefix).collect::<Vec<_>>())?.concat(),
            _ => self.model.values(&[ValueSequence { tokens: tokens.clone(), positions: ends }])?.concat(),
        };
        Ok((tokens.len(), scores.concat()))
    }
}

/// ∂L/∂log π of the clipped objective at ratio ρ.
fn clipped(ratio: f64, advantage: f64) -> f64 {
    let outside = (advantage > 0.0 && ratio > 1.2) || (advantage < 0.0 && ratio < 0.8);
    if outside { 0.0 } else { -advantage * ratio }
}

/// (r − mean) / (standard deviation + 1e-4), the reward being the part of odd tokens.
fn advantages(group: &[Completion]) -> Vec<f64> {
    let odd = |c: &Completion| c.tokens.iter().filter(|token| **token % 2 == 1).count() as f64 / c.tokens.len() as f64;
    let rewards: Vec<f64> = group.iter().map(odd).collect();
    let n = rewards.len() as f64;
    let mean = rewards.iter().sum::<f64>() / n;
    let deviation = (rewards.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    rewards.iter().map(|r| (r - mean) / (deviation + 1e-4)).collect()
}

fn sum(rows: &[Vec<f64>]) -> f64 {
    rows.iter().flatten().sum()
}

fn constant(scores: &Scores, value: f64) -> Vec<Vec<f64>> {
    scores.log_probs.iter().map(|row| vec![value; row.len()]).collect()
}
