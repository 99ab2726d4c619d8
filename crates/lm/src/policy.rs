//! A language model behind the traits of [`tdrm_core`].

use tdrm_core::{Behaviour, Decision, Draw, Given, LogProb, LogProbs, Policy, PolicyError, Temperature};

use crate::{Completion, Generation, LmError, Model, Prompt, Sequence};

/// A language model as a policy: a context is a token prefix, an action its continuation.
///
/// A decision's log-probabilities are those of the distribution that drew: with filters (`top_k` and the like), a
/// [`LogProb`] of the same temperature is lower. Greedy decisions carry those of temperature 1.
#[derive(Debug, Clone)]
pub struct LmPolicy {
    /// The model.
    pub model: Model,
    /// How it continues.
    pub generation: Generation,
    /// Optimiser steps behind these weights; stamped on every decision.
    pub version: u64,
}

impl From<LmError> for PolicyError {
    fn from(error: LmError) -> Self {
        Self::backend(error)
    }
}

impl LmPolicy {
    fn decision(&self, completion: Completion) -> Decision<Vec<u32>> {
        let Completion { tokens, log_probs, log_probs_full, .. } = completion;
        let sampling = &self.generation.sampling;
        let (log_probs, temperature) =
            if sampling.do_sample { (log_probs, sampling.temperature) } else { (log_probs_full, Temperature::ONE) };
        let log_probs = log_probs.into_iter().collect();
        let behaviour = Behaviour { log_probs, temperature, policy_version: self.version };
        Decision { action: tokens, behaviour }
    }
}

impl Policy for LmPolicy {
    type Context = [u32];
    type Action = Vec<u32>;

    fn act(&self, draws: &[Draw<'_, [u32]>]) -> Result<Vec<Decision<Vec<u32>>>, PolicyError> {
        let prompts: Vec<_> = draws.iter().map(|draw| Prompt::new(draw.context, draw.seed)).collect();
        let completions = self.model.generate(&prompts, &self.generation)?;
        Ok(completions.into_iter().map(|completion| self.decision(completion)).collect())
    }
}

impl LogProb for LmPolicy {
    fn log_prob(
        &self,
        given: &[Given<'_, [u32], Vec<u32>>],
        temperature: Temperature,
    ) -> Result<Vec<LogProbs>, PolicyError> {
        let sequences: Vec<_> = given.iter().map(|given| Sequence::new(given.context, given.action)).collect();
        let scores = self.model.scores(&sequences, temperature.get::<f32>())?;
        Ok(scores.log_probs.into_iter().map(|row| row.into_iter().collect()).collect())
    }
}
