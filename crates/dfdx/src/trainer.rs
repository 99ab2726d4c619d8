//! Training: accumulate gradients through the caller's coefficients, then step.

use serde::{Deserialize, Serialize};
use std::ops::Range;
use tdrm_kernels::adamw;

use crate::score::{Ragged, Scores, check_temperature};
use crate::tape::Pool;
use crate::{Engine, Lm, LmError, Optimiser, Sequence, ValueSequence};
use tdrm_kernels::batch::Packed;

/// What an optimiser step did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepReport {
    /// Steps taken so far, this one included.
    pub step: u64,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate of this step.
    pub learning_rate: f32,
}

/// Derivatives of a loss in the targets' log-probabilities and entropies, ragged as the outputs were.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PolicyCoefficients {
    /// ∂L/∂log π.
    pub log_probs: Ragged,
    /// ∂L/∂H; empty for zero.
    pub entropies: Ragged,
}

/// Which parts of the parameter vector have received a gradient since the last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Touched {
    policy: bool,
    value: bool,
}

/// A model in training: weights, moments of `AdamW`, and the gradient that is being accumulated.
#[derive(Debug)]
pub struct Trainer {
    pub(crate) lm: Lm,
    optimiser: Optimiser,
    gradient: Vec<f32>,
    pub(crate) first_moment: Vec<f32>,
    pub(crate) second_moment: Vec<f32>,
    pub(crate) step: u64,
    touched: Touched,
    engine: Engine,
    pool: Pool,
}

impl Trainer {
    /// Starts with zero moments.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(lm: Lm, optimiser: Optimiser) -> Result<Self, LmError> {
        optimiser.check()?;
        let zeros = || vec![0.0; lm.len()];
        let (gradient, first_moment, second_moment) = (zeros(), zeros(), zeros());
        let (touched, engine, pool) = (Touched::default(), Engine::default(), Pool::default());
        Ok(Self { lm, optimiser, gradient, first_moment, second_moment, step: 0, touched, engine, pool })
    }

    /// Runs forward and backward passes on another engine.
    #[must_use]
    pub fn with_engine(self, engine: Engine) -> Self {
        Self { engine, ..self }
    }

    /// The model as it is now; a clone of it is a snapshot.
    #[must_use]
    pub fn lm(&self) -> &Lm {
        &self.lm
    }

    /// Ends the training.
    #[must_use]
    pub fn into_lm(self) -> Lm {
        self.lm
    }

    /// The settings.
    #[must_use]
    pub fn optimiser(&self) -> &Optimiser {
        &self.optimiser
    }

    /// Steps taken so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The accumulated gradient by Hugging Face name, as [`Lm::parameters`].
    pub fn gradients(&self) -> impl Iterator<Item = (&str, &[f32])> {
        let entries = &self.lm.layout().entries;
        entries.iter().map(|(name, entry)| (name.as_str(), &self.gradient[entry.range.clone()]))
    }

    /// Adds the gradient of `Σ c · log π` over the batch's targets, with `c = coefficients(log π)`.
    ///
    /// `coefficients` sees log π at this temperature, ragged `[B][targets]`, and returns ∂L/∂log π of the same shape.
    ///
    /// # Errors
    /// If a sequence is malformed, or a coefficient is missing or not finite; nothing is added then.
    pub fn accumulate_policy(
        &mut self,
        batch: &[Sequence],
        temperature: f32,
        coefficients: &mut dyn FnMut(&[Vec<f32>]) -> Ragged,
    ) -> Result<(), LmError> {
        self.accumulate_policy_and_entropy(batch, temperature, &mut |scores| PolicyCoefficients {
            log_probs: coefficients(&scores.log_probs),
            entropies: Vec::new(),
        })
    }

    /// As [`Trainer::accumulate_policy`] for a loss that also depends on the entropies of the distributions (nats).
    ///
    /// # Errors
    /// As [`Trainer::accumulate_policy`].
    pub fn accumulate_policy_and_entropy(
        &mut self,
        batch: &[Sequence],
        temperature: f32,
        coefficients: &mut dyn FnMut(&Scores) -> PolicyCoefficients,
    ) -> Result<(), LmError> {
        check_temperature(temperature)?;
        if batch.is_empty() {
            return Ok(());
        }
        let packed = Packed::for_targets(self.lm.config().limits(), batch)?;
        let (shape, refused) = (packed.outputs.clone(), LmError::coefficients(self.step));
        let ask = &mut |values: &[f32]| {
            let (log_probs, entropies) = values.split_at(shape.len());
            let scores = Scores { log_probs: shape.ragged(log_probs), entropies: shape.ragged(entropies) };
            let wanted = coefficients(&scores);
            let mut c = shape.flat("log-probabilities", &wanted.log_probs).map_err(&refused)?;
            if wanted.entropies.is_empty() {
                c.resize(2 * shape.len(), 0.0);
            } else {
                c.extend(shape.flat("entropies", &wanted.entropies).map_err(&refused)?);
            }
            Ok(c)
        };
        if shape.is_empty() {
            // Nothing to score; the caller's function is still told, so that it sees every sequence.
            return ask(&[]).map(|_| ());
        }
        self.engine.policy(&self.lm, packed, temperature, &self.pool, ask, &mut self.gradient)?;
        self.touched.policy = true;
        Ok(())
    }

    /// Adds the gradient of `Σ c · z` over the scalar head's outputs z at the given positions, with `c = coefficients(z)`.
    ///
    /// # Errors
    /// As [`Trainer::accumulate_policy`].
    pub fn accumulate_value(
        &mut self,
        batch: &[ValueSequence],
        coefficients: &mut dyn FnMut(&[Vec<f32>]) -> Ragged,
    ) -> Result<(), LmError> {
        if batch.is_empty() {
            return Ok(());
        }
        let packed = Packed::for_positions(self.lm.config().limits(), batch)?;
        let (shape, refused) = (packed.outputs.clone(), LmError::coefficients(self.step));
        let ask = &mut |values: &[f32]| shape.flat("values", &coefficients(&shape.ragged(values))).map_err(&refused);
        if shape.is_empty() {
            return ask(&[]).map(|_| ());
        }
        self.engine.value(&self.lm, packed, &self.pool, ask, &mut self.gradient)?;
        self.touched.value = true;
        Ok(())
    }

    /// Clips the accumulated gradient, takes one step of `AdamW`, and clears the gradient.
    ///
    /// Parameters that no accumulated loss depends on (the scalar head of a policy step, an untied output embedding of a
    /// value step) stay as they are, weight decay included.
    ///
    /// # Errors
    /// If the gradient is not finite; the weights and moments are untouched then, and the gradient is cleared.
    pub fn step(&mut self) -> Result<StepReport, LmError> {
        let ranges = self.trained();
        let squares: f64 = ranges.iter().map(|range| adamw::sum_of_squares(&self.gradient[range.clone()])).sum();
        let gradient_norm = squares.sqrt();
        if !gradient_norm.is_finite() {
            self.clear();
            return Err(LmError::NotFinite { what: "gradient".to_owned(), step: self.step });
        }
        let constants = self.optimiser.constants(self.step, gradient_norm);
        let theta = self.lm.theta_mut();
        for range in ranges {
            let (m, v) = (&mut self.first_moment[range.clone()], &mut self.second_moment[range.clone()]);
            adamw::step(&constants, &mut theta[range.clone()], &self.gradient[range], m, v)?;
        }
        self.clear();
        self.step += 1;
        Ok(StepReport { step: self.step, gradient_norm, learning_rate: constants.learning_rate })
    }

    /// The parameters that the accumulated losses depend on.
    fn trained(&self) -> Vec<Range<usize>> {
        let (layout, Touched { policy, value }) = (self.lm.layout(), self.touched);
        let body = (policy || value).then(|| layout.body());
        body.into_iter().chain(policy.then(|| layout.head.clone())).chain(value.then(|| layout.score.clone())).collect()
    }

    /// Forgets the accumulated gradient.
    pub fn clear(&mut self) {
        self.gradient.clear();
        self.gradient.resize(self.lm.len(), 0.0);
        self.touched = Touched::default();
    }
}
