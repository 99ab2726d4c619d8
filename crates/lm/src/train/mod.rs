//! Training: accumulate gradients through the caller's coefficients, then step.

mod host;
mod learner;
mod run;
mod slot;
mod state;
mod tensors;

use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};
use tdrm_core::Seed;
use tdrm_kernels::batch::{Packed, Sequence, ValueSequence};
use tdrm_kernels::optimiser::Optimiser;

use crate::LmError;
use crate::model::{Model, Pass, Scores, check_temperature, pick, to_vec};
use crate::ops::on_pool;
pub use learner::LmLearner;
use run::Run;
use slot::{Slot, Squares};

/// What an optimiser step did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepReport {
    /// Steps taken so far, this one included.
    pub step: u64,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate of this step.
    pub learning_rate: f64,
}

/// Derivatives of a loss in the targets' log-probabilities and entropies, ragged as the outputs were; none stands for
/// zeros.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PolicyCoefficients {
    /// ∂L/∂log π.
    pub log_probs: Vec<Vec<f64>>,
    /// ∂L/∂H.
    pub entropies: Vec<Vec<f64>>,
}

/// Outputs of the head for scores in one sequence, `[positions][labels]`.
pub type HeadOutputs = Vec<Vec<f64>>;

/// A model in training: weights, moments of `AdamW`, and the gradient that is being accumulated.
#[derive(Debug)]
pub struct Trainer {
    model: Model,
    optimiser: Optimiser,
    /// One for each parameter.
    slots: Vec<Slot>,
    step: u64,
    checkpointing: bool,
    dropout: bool,
    seed: Seed,
    /// Micro-batches since the last step.
    micro_batch: u64,
}

impl Trainer {
    /// Starts with zero moments. An adapter is trained with what belongs to it: the head for scores, and tensors that it
    /// was loaded with; without one, everything.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(model: Model, optimiser: Optimiser) -> Result<Self, LmError> {
        optimiser.check()?;
        let trained = |name: &str| model.adapter.as_ref().is_none_or(|adapter| adapter.trains(name));
        let slots = model.specs().map(|spec| Slot::new(spec, model.storage(), trained)).collect();
        let seed = Seed::root(0);
        Ok(Self { model, optimiser, slots, step: 0, checkpointing: false, dropout: true, seed, micro_batch: 0 })
    }

    /// Trains only the tensors whose names satisfy `trained`; the others stay as they are, weight decay included.
    #[must_use]
    pub fn only(mut self, trained: impl Fn(&str) -> bool) -> Self {
        let storage = self.model.storage();
        self.slots = self.model.specs().map(|spec| Slot::new(spec, storage, &trained)).collect();
        self
    }

    /// Decays only the tensors whose names satisfy `decayed`.
    #[must_use]
    pub fn decaying(mut self, decayed: impl Fn(&str) -> bool) -> Self {
        for (slot, spec) in self.slots.iter_mut().zip(self.model.specs()) {
            slot.decay(spec, &decayed);
        }
        self
    }

    /// Keeps only the inputs of the layers in the forward pass and computes each layer again in the backward pass:
    /// memory of one layer instead of all, for a third more work.
    #[must_use]
    pub fn with_checkpointing(self, checkpointing: bool) -> Self {
        Self { checkpointing, ..self }
    }

    /// Trains without an adapter's dropout, or with it, as it does at first.
    #[must_use]
    pub fn with_dropout(self, dropout: bool) -> Self {
        Self { dropout, ..self }
    }

    /// Randomness of an adapter's dropout.
    #[must_use]
    pub fn with_seed(self, seed: Seed) -> Self {
        Self { seed, ..self }
    }

    /// The model as it is now; [`Model::snapshot`] copies it.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Ends the training.
    #[must_use]
    pub fn into_model(self) -> Model {
        self.model
    }

    /// Changes the peak learning rate from the next step on.
    pub fn set_learning_rate(&mut self, learning_rate: f32) {
        self.optimiser.learning_rate = learning_rate;
    }

    /// Steps taken so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The accumulated gradient by Hugging Face name; tensors that no loss depends on, that are not trained, or whose
    /// gradient a device does not give back, are left out.
    #[must_use]
    pub fn gradients(&self) -> Vec<(String, Vec<f32>)> {
        let mut all = Vec::new();
        for (slot, spec) in self.slots.iter().zip(self.model.specs()) {
            let Some(gradient) = slot.gradient() else { continue };
            for (part, range) in spec.parts.iter().zip(spec.ranges()) {
                if slot.trains(&range) {
                    all.push((part.name.clone(), gradient[range].to_vec()));
                }
            }
        }
        all
    }

    /// Adds the gradient of `Σ c · log π + Σ h · H` over the batch's targets.
    ///
    /// `coefficients` sees log π at this temperature and the entropies, ragged `[B][targets]`, and returns ∂L/∂ of both.
    ///
    /// # Errors
    /// If a sequence is malformed, or a coefficient is missing or not finite; nothing is added then.
    pub fn accumulate_policy(
        &mut self,
        batch: &[Sequence],
        temperature: f32,
        coefficients: &mut dyn FnMut(&Scores) -> PolicyCoefficients,
    ) -> Result<(), LmError> {
        check_temperature(temperature)?;
        if batch.is_empty() {
            return Ok(());
        }
        let packed = Packed::for_targets(self.model.config().limits(), batch)?;
        let ask = &mut |log_probs: &[f64], entropies: &[f64]| {
            let shape = &packed.outputs;
            let wanted =
                coefficients(&Scores { log_probs: shape.ragged(log_probs), entropies: shape.ragged(entropies) });
            // None at all stands for zeros.
            let flat = |what, wanted: &[Vec<f64>]| {
                if wanted.is_empty() { Ok(vec![0.0; shape.len()]) } else { shape.flat(what, wanted) }
            };
            let log_probs = flat("log-probabilities", &wanted.log_probs)?;
            Ok((log_probs, flat("entropies", &wanted.entropies)?))
        };
        if packed.outputs.is_empty() {
            // Nothing to score; the caller's function is still told, so that it sees every sequence.
            return ask(&[], &[]).map(|_: (Vec<f32>, Vec<f32>)| ());
        }
        let (run, (log_probs, entropies)) = on_pool(|| {
            let run = self.forward(&packed)?;
            let scores = self.model.score_targets(&run.pass, &run.hidden, &packed, temperature)?;
            Ok::<_, LmError>((run, scores))
        })?;
        let derivatives = ask(&log_probs, &entropies)?;
        on_pool(|| {
            let mut found = Vec::new();
            let d_hidden = run.head_backward(&packed, temperature, &derivatives, &mut found)?;
            run.body_backward(&packed, &d_hidden, &mut found)?;
            self.add(found)
        })
    }

    /// Adds the gradient of `Σ c · z` over the outputs z of the head for scores at the given positions.
    ///
    /// `coefficients` sees z, `[B][positions][labels]`, and returns ∂L/∂z of the same shape.
    ///
    /// # Errors
    /// As [`Trainer::accumulate_policy`].
    pub fn accumulate_values(
        &mut self,
        batch: &[ValueSequence],
        coefficients: &mut dyn FnMut(&[HeadOutputs]) -> Vec<HeadOutputs>,
    ) -> Result<(), LmError> {
        if batch.is_empty() {
            return Ok(());
        }
        let labels = self.model.score_head()?.labels;
        let packed = Packed::for_positions(self.model.config().limits(), batch)?;
        let run = on_pool(|| self.forward(&packed))?;
        let leaf = Var::from_tensor(&run.hidden)?;
        let scores = run.pass.scores(&pick(leaf.as_tensor(), &packed.picks)?)?;
        let rows = to_vec(&scores)?;
        let rows: Vec<Vec<f64>> =
            rows.chunks_exact(labels).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
        let outputs = packed.outputs.ragged(&rows);
        let c = flat_values(&outputs, &coefficients(&outputs))?;
        if c.is_empty() {
            return Ok(());
        }
        let c = Tensor::from_vec(c, scores.shape(), scores.device())?;
        let gradients = (scores * c)?.sum_all()?.backward()?;
        let d_hidden = gradients.get(leaf.as_tensor()).map_or_else(|| run.hidden.zeros_like(), |g| Ok(g.clone()))?;
        let mut found = run.tracked(&gradients);
        on_pool(|| run.body_backward(&packed, &d_hidden, &mut found))?;
        self.add(found)
    }

    /// Clips the accumulated gradient, takes one step of `AdamW`, and clears the gradient.
    ///
    /// Parameters that no accumulated loss depends on stay as they are, weight decay included.
    ///
    /// # Errors
    /// If the gradient is not finite; the weights and moments are untouched then, and the gradient is cleared.
    pub fn step(&mut self) -> Result<StepReport, LmError> {
        let mut squares = Squares::default();
        self.slots.iter().try_for_each(|slot| slot.squares(&mut squares))?;
        let gradient_norm = squares.total()?.sqrt();
        if !gradient_norm.is_finite() {
            self.clear();
            return Err(LmError::NotFinite { what: format!("the gradient at step {}", self.step) });
        }
        let constants = self.optimiser.constants(self.step, gradient_norm);
        let mut slots = self.slots.iter_mut().zip(self.model.parameters());
        on_pool(|| slots.try_for_each(|(slot, parameter)| slot.step(&constants, parameter)))?;
        self.clear();
        self.step += 1;
        Ok(StepReport { step: self.step, gradient_norm, learning_rate: f64::from(constants.learning_rate) })
    }

    /// Forgets the accumulated gradient.
    pub fn clear(&mut self) {
        self.slots.iter_mut().for_each(Slot::clear);
        self.micro_batch = 0;
    }

    /// The forward pass of the body.
    fn forward(&mut self, packed: &Packed) -> Result<Run, LmError> {
        let engine = self.model.engine();
        let weights = self.slots.iter().zip(self.model.parameters()).map(|(slot, p)| slot.weight(engine, p)).collect();
        let seed = self.seed.child(self.step).child(self.micro_batch);
        self.micro_batch += 1;
        let pass = Pass::new(&self.model, weights);
        let pass = if self.dropout { pass.with_dropout(seed) } else { pass };
        Run::new(pass, packed, self.checkpointing)
    }

    /// Adds gradients that candle found.
    fn add(&mut self, found: Vec<(usize, Tensor)>) -> Result<(), LmError> {
        found.into_iter().try_for_each(|(id, gradient)| self.slots[id].add(&gradient))
    }
}

/// Checks coefficients of the scores and joins them, `[P · labels]`.
fn flat_values(outputs: &[HeadOutputs], wanted: &[HeadOutputs]) -> Result<Vec<f32>, LmError> {
    let wrong = |expected, got| LmError::Coefficients { what: "scores", expected, got };
    let mut flat = Vec::new();
    if wanted.len() != outputs.len() {
        return Err(wrong(outputs.len(), wanted.len()));
    }
    for (outputs, wanted) in outputs.iter().zip(wanted) {
        if wanted.len() != outputs.len() {
            return Err(wrong(outputs.len(), wanted.len()));
        }
        for (outputs, wanted) in outputs.iter().zip(wanted) {
            if wanted.len() != outputs.len() {
                return Err(wrong(outputs.len(), wanted.len()));
            }
            flat.extend(wanted.iter().map(|&c| c as f32));
        }
    }
    if flat.iter().all(|c| c.is_finite()) {
        Ok(flat)
    } else {
        Err(LmError::NotFinite { what: "a coefficient of scores".to_owned() })
    }
}
