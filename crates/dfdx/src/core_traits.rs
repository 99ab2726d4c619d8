//! The language model behind the traits of [`tdrm_core`].

use tdrm_core::{
    Behaviour, Coefficients, Decision, Draw, Given, LogProb, LogProbs, Outputs, Policy, PolicyError, Temperature,
    Trainable, Update,
};

use crate::{Lm, LmError, PolicyCoefficients, Prompt, Ragged, SamplingConfig, Scores, Sequence, Trainer};
use tdrm_kernels::batch::micro_batches;

/// A language model as a policy: a context is a token prefix, an action its continuation.
#[derive(Debug, Clone)]
pub struct LmPolicy {
    /// The model.
    pub lm: Lm,
    /// How it continues.
    pub sampling: SamplingConfig,
    /// Optimiser steps behind these weights; stamped on every decision.
    pub version: u64,
}

impl From<LmError> for PolicyError {
    fn from(error: LmError) -> Self {
        match error {
            LmError::NotFinite { step, .. } => Self::NotFinite { what: "gradient or coefficient", step, got: f64::NAN },
            other => Self::backend(other),
        }
    }
}

impl Policy for LmPolicy {
    type Context = [u32];
    type Action = Vec<u32>;

    fn act(&self, draws: &[Draw<'_, [u32]>]) -> Result<Vec<Decision<Vec<u32>>>, PolicyError> {
        let prompt = |draw: &Draw<'_, [u32]>| Prompt { tokens: draw.context.to_vec(), seed: draw.seed };
        let prompts: Vec<_> = draws.iter().map(prompt).collect();
        let completions = self.lm.generate(&prompts, &self.sampling)?;
        let temperature = Temperature::new(f64::from(self.sampling.temperature())).map_err(PolicyError::backend)?;
        let decision = |completion: crate::Completion| Decision {
            behaviour: Behaviour {
                log_probs: completion.log_probs.iter().map(|&l| f64::from(l)).collect(),
                temperature,
                policy_version: self.version,
            },
            action: completion.tokens,
        };
        Ok(completions.into_iter().map(decision).collect())
    }
}

impl LogProb for LmPolicy {
    fn log_prob(
        &self,
        given: &[Given<'_, [u32], Vec<u32>>],
        temperature: Temperature,
    ) -> Result<Vec<LogProbs>, PolicyError> {
        let sequences: Vec<_> = given.iter().map(|given| Sequence::new(given.context, given.action)).collect();
        let log_probs = self.lm.log_probs(&sequences, temperature.get::<f32>())?;
        Ok(log_probs.into_iter().map(|row| row.into_iter().map(f64::from).collect()).collect())
    }
}

/// A trainer as a learner: one update is one optimiser step over the whole batch, in micro-batches.
#[derive(Debug)]
pub struct LmLearner {
    /// The model, its moments, its settings.
    pub trainer: Trainer,
    /// Temperature of the log-probabilities that the loss sees.
    pub temperature: Temperature,
    /// Most tokens in a micro-batch; bounds memory, changes no result beyond rounding.
    pub micro_batch_tokens: usize,
}

impl LmLearner {
    /// Micro-batches of 16384 tokens.
    #[must_use]
    pub fn new(trainer: Trainer, temperature: Temperature) -> Self {
        Self { trainer, temperature, micro_batch_tokens: 1 << 14 }
    }

    fn accumulate(
        &mut self,
        batch: &[Sequence],
        loss: &mut dyn FnMut(Outputs<'_>) -> Coefficients,
    ) -> Result<(), LmError> {
        for range in micro_batches(batch, self.micro_batch_tokens, |sequence| sequence.tokens.len()) {
            let part = &batch[range.clone()];
            let coefficients = &mut |scores: &Scores| {
                let (log_probs, entropies) = (widen(&scores.log_probs), widen(&scores.entropies));
                let outputs = Outputs { range: &range, log_probs: &log_probs, entropies: &entropies, values: &[] };
                let wanted = loss(outputs);
                let zeros = || scores.log_probs.iter().map(|row| vec![0.0; row.len()]).collect();
                let log_probs = if wanted.log_probs.is_empty() { zeros() } else { narrow(&wanted.log_probs) };
                PolicyCoefficients { log_probs, entropies: narrow(&wanted.entropies) }
            };
            self.trainer.accumulate_policy_and_entropy(part, self.temperature.get::<f32>(), coefficients)?;
        }
        Ok(())
    }
}

impl Trainable for LmLearner {
    type Sequence = Sequence;

    fn update(
        &mut self,
        batch: &[Sequence],
        loss: &mut dyn FnMut(Outputs<'_>) -> Coefficients,
    ) -> Result<Update, PolicyError> {
        let accumulated = self.accumulate(batch, loss);
        if accumulated.is_err() {
            self.trainer.clear();
        }
        accumulated?;
        let report = self.trainer.step()?;
        let learning_rate = f64::from(report.learning_rate);
        Ok(Update { step: report.step, gradient_norm: report.gradient_norm, learning_rate })
    }
}

fn widen(ragged: &[Vec<f32>]) -> Vec<Vec<f64>> {
    ragged.iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
}

fn narrow(ragged: &[Vec<f64>]) -> Ragged {
    ragged.iter().map(|row| row.iter().map(|&x| x as f32).collect()).collect()
}
