//! Forward passes without gradients: logits, log-probabilities, values.

use tdrm_kernels::head::{self, Picks};
use tdrm_kernels::layer::{self, Saved};
use tdrm_kernels::logprob::Score;

use crate::{Lm, LmError, Sequence};
use tdrm_kernels::batch::{Packed, micro_batches};

/// One list of numbers for each sequence.
pub type Ragged = Vec<Vec<f32>>;

/// What a model says about the targets of a batch, `[B][targets]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scores {
    /// log π of each target, at most 0.
    pub log_probs: Ragged,
    /// Entropy of the distribution that each target comes from, in nats.
    pub entropies: Ragged,
}

/// Tokens that go through the model together.
const BUDGET: usize = 1 << 14;

impl Lm {
    /// Logits after each token of one sequence, row-major `[T, V]`.
    ///
    /// # Errors
    /// If the sequence is empty, too long, or has a token outside the vocabulary.
    pub fn logits(&self, tokens: &[u32]) -> Result<Vec<f32>, LmError> {
        let hidden = self.hidden(&Packed::for_all(self.config().limits(), &[tokens])?)?;
        let mut logits = vec![0.0; tokens.len() * self.config().vocab_size];
        head::logits(self.norm(), self.output(), &hidden, &mut logits)?;
        Ok(logits)
    }

    /// `log π` of each sequence's targets at this temperature.
    ///
    /// # Errors
    /// If a sequence is malformed or the temperature is not positive.
    pub fn log_probs(&self, batch: &[Sequence], temperature: f32) -> Result<Ragged, LmError> {
        Ok(self.scores(batch, temperature)?.log_probs)
    }

    /// `log π` of each sequence's targets, and the entropy of each distribution in nats.
    ///
    /// # Errors
    /// As [`Lm::log_probs`].
    pub fn scores(&self, batch: &[Sequence], temperature: f32) -> Result<Scores, LmError> {
        check_temperature(temperature)?;
        let mut all = Scores::default();
        for part in micro_batches(batch, BUDGET, |sequence| sequence.tokens.len()) {
            let packed = Packed::for_targets(self.config().limits(), &batch[part])?;
            let hidden = self.hidden(&packed)?;
            let mut scores = vec![Score::default(); packed.picks.len()];
            let picks = Picks::new(&packed.rows, &packed.picks)?;
            head::log_probs(self.norm(), self.output(), temperature, picks, &packed.targets, &hidden, &mut scores)?;
            let (log_prob, entropy): (Vec<_>, Vec<_>) = scores.iter().map(|s| (s.log_prob, s.entropy)).unzip();
            all.log_probs.extend(packed.outputs.ragged(&log_prob));
            all.entropies.extend(packed.outputs.ragged(&entropy));
        }
        Ok(all)
    }

    /// Output of the scalar head (a logit) after each token of each sequence: all prefixes in one pass.
    ///
    /// # Errors
    /// If a sequence is empty, too long, or has a token outside the vocabulary.
    pub fn values(&self, batch: &[&[u32]]) -> Result<Ragged, LmError> {
        let mut all = Vec::with_capacity(batch.len());
        for part in micro_batches(batch, BUDGET, |tokens| tokens.len()) {
            let packed = Packed::for_all(self.config().limits(), &batch[part])?;
            let hidden = self.hidden(&packed)?;
            let mut values = vec![0.0; packed.picks.len()];
            let (weight, bias) = self.score();
            let picks = Picks::new(&packed.rows, &packed.picks)?;
            head::values(self.norm(), weight, bias, picks, &hidden, &mut values)?;
            all.extend(packed.outputs.ragged(&values));
        }
        Ok(all)
    }

    /// The residual stream after the last layer, before the final norm, `[N, d]`.
    fn hidden(&self, packed: &Packed) -> Result<Vec<f32>, LmError> {
        let (shape, mut saved) = (self.config().layer(), Saved::default());
        let mut hidden = self.embed(&packed.tokens);
        for layer in &self.layout().layers {
            std::mem::swap(&mut saved.input, &mut hidden);
            hidden.resize(saved.input.len(), 0.0);
            layer::forward(&shape, &self.theta()[layer.clone()], self.rope(), &packed.rows, &mut saved, &mut hidden)?;
        }
        Ok(hidden)
    }

    /// Rows of the embedding, `[N, d]`; the tokens have been checked.
    pub(crate) fn embed(&self, tokens: &[u32]) -> Vec<f32> {
        let d = self.config().hidden_size;
        let embedding = &self.theta()[self.layout().embedding.clone()];
        let mut rows = Vec::with_capacity(tokens.len() * d);
        for &token in tokens {
            rows.extend_from_slice(&embedding[token as usize * d..(token as usize + 1) * d]);
        }
        rows
    }
}

/// `Ok` for a positive, finite temperature.
pub(crate) fn check_temperature(temperature: f32) -> Result<(), LmError> {
    if temperature.is_finite() && temperature > 0.0 {
        return Ok(());
    }
    Err(LmError::Setting { what: "temperature", expected: "a positive number", got: f64::from(temperature) })
}
