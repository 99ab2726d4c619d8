//! Training: accumulate gradients through the caller's coefficients, then step.

use serde::{Deserialize, Serialize};
use std::ops::Range;
use tdrm_kernels::adamw;

use crate::batch::Packed;
use crate::score::{Ragged, Scores, check_temperature};
use crate::tape::{Graph, Outputs, Pool, floats};
use crate::{Lm, LmError, Optimiser, Sequence, ValueSequence};

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
        let (touched, pool) = (Touched::default(), Pool::default());
        Ok(Self { lm, optimiser, gradient, first_moment, second_moment, step: 0, touched, pool })
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
        let graph = Graph::new(&self.lm, Packed::for_targets(self.lm.config(), batch)?, self.pool.clone());
        let outputs = graph.scores(graph.hidden()?, temperature)?;
        let (values, packed) = (floats(&outputs), graph.packed());
        let (log_probs, entropies) = values.split_at(packed.picks.len());
        let wanted = coefficients(&Scores { log_probs: packed.ragged(log_probs), entropies: packed.ragged(entropies) });
        let mut c = packed.flat("log-probabilities", &wanted.log_probs, self.step)?;
        if wanted.entropies.is_empty() {
            c.resize(2 * packed.picks.len(), 0.0);
        } else {
            c.extend(packed.flat("entropies", &wanted.entropies, self.step)?);
        }
        self.touched.policy = true;
        self.back_propagate(&graph, outputs, c)
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
        let graph = Graph::new(&self.lm, Packed::for_positions(self.lm.config(), batch)?, self.pool.clone());
        let outputs = graph.values(graph.hidden()?)?;
        let (values, packed) = (floats(&outputs), graph.packed());
        let c = packed.flat("values", &coefficients(&packed.ragged(&values)), self.step)?;
        self.touched.value = true;
        self.back_propagate(&graph, outputs, c)
    }

    /// Lends the gradient buffer to a backward pass; without outputs there is nothing to do (and dfdx cannot sum them).
    fn back_propagate(&mut self, graph: &Graph, outputs: Outputs, coefficients: Vec<f32>) -> Result<(), LmError> {
        if coefficients.is_empty() {
            return Ok(());
        }
        let result = graph.backward(outputs, coefficients, std::mem::take(&mut self.gradient));
        if result.is_err() {
            self.clear();
        }
        self.gradient = result?;
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
        let constants = self.constants(gradient_norm);
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

    fn constants(&self, gradient_norm: f64) -> adamw::AdamW {
        let Optimiser { learning_rate, beta1, beta2, epsilon, weight_decay, clip_norm, schedule } = self.optimiser;
        adamw::AdamW {
            learning_rate: (f64::from(learning_rate) * schedule.factor(self.step)) as f32,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            step: i32::try_from(self.step + 1).unwrap_or(i32::MAX),
            gradient_scale: (f64::from(clip_norm) / (gradient_norm + 1e-6)).min(1.0) as f32,
        }
    }

    /// Forgets the accumulated gradient.
    pub fn clear(&mut self) {
        self.gradient.clear();
        self.gradient.resize(self.lm.len(), 0.0);
        self.touched = Touched::default();
    }
}
