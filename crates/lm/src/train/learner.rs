//! A trainer behind the trait of [`tdrm_core`].

use tdrm_core::{Coefficients, Outputs, PolicyError, Temperature, Trainable, Update};

use tdrm_kernels::batch::{Sequence, micro_batches};

use super::{PolicyCoefficients, Trainer};
use crate::LmError;
use crate::model::{MICRO_BATCH_TOKENS, Scores};

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
    /// Micro-batches of 4096 tokens.
    #[must_use]
    pub fn new(trainer: Trainer, temperature: Temperature) -> Self {
        Self { trainer, temperature, micro_batch_tokens: MICRO_BATCH_TOKENS }
    }

    fn accumulate(
        &mut self,
        batch: &[Sequence],
        loss: &mut dyn FnMut(Outputs<'_>) -> Coefficients,
    ) -> Result<(), LmError> {
        for range in micro_batches(batch, self.micro_batch_tokens, |sequence| sequence.tokens.len()) {
            let part = &batch[range.clone()];
            let coefficients = &mut |Scores { log_probs, entropies }: &Scores| {
                let wanted = loss(Outputs { range: &range, log_probs, entropies, values: &[] });
                PolicyCoefficients { log_probs: wanted.log_probs, entropies: wanted.entropies }
            };
            self.trainer.accumulate_policy(part, self.temperature.get::<f32>(), coefficients)?;
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
        let report = self.accumulate(batch, loss).and_then(|()| self.trainer.step());
        if report.is_err() {
            self.trainer.clear();
        }
        let report = report.map_err(PolicyError::backend)?;
        Ok(Update { step: report.step, gradient_norm: report.gradient_norm, learning_rate: report.learning_rate })
    }
}
