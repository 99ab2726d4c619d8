//! What a model says, without training it.

use candle_core::{DType, Device, Tensor};

use tdrm_kernels::batch::{Packed, Sequence, ValueSequence, micro_batches};

use super::{MICRO_BATCH_TOKENS, Model, Pass, Via};
use crate::LmError;
use crate::ops::{self, Engine, composed, on_pool, with_slice};

/// Rows whose logits exist at the same time in the composed form.
pub(crate) const CHUNK: usize = 128;

/// What a model says about the targets of a batch, ragged, `[B][targets]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scores {
    /// log π of each target, at most 0.
    pub log_probs: Vec<Vec<f64>>,
    /// Entropy of the distribution that each target comes from, in nats.
    pub entropies: Vec<Vec<f64>>,
}

impl Model {
    /// Logits after each token of a sequence, row-major `[T, V]`.
    ///
    /// # Errors
    /// If the sequence is empty, too long, or has a token outside the vocabulary, or the model has no language-model
    /// head.
    pub fn logits(&self, tokens: &[u32]) -> Result<Vec<f32>, LmError> {
        self.logits_from(tokens, 0)
    }

    /// Logits after the last token of a sequence, `[V]`.
    ///
    /// # Errors
    /// As [`Model::logits`].
    pub fn last_logits(&self, tokens: &[u32]) -> Result<Vec<f32>, LmError> {
        self.logits_from(tokens, tokens.len().saturating_sub(1))
    }

    /// Logits after the tokens at ascending positions, row-major `[P, V]`.
    ///
    /// # Errors
    /// As [`Model::logits`]; if a position lies outside the sequence or the positions do not ascend.
    pub fn logits_at(&self, tokens: &[u32], positions: &[usize]) -> Result<Vec<f32>, LmError> {
        self.lm_head()?;
        let sequence = ValueSequence { tokens: tokens.to_vec(), positions: positions.to_vec() };
        let packed = Packed::for_positions(self.config().limits(), &[sequence])?;
        let pass = self.pass();
        on_pool(|| {
            let hidden = self.hidden(&pass, &packed)?;
            to_vec(&pass.logits(&pick(&hidden, &packed.picks)?)?)
        })
    }

    fn logits_from(&self, tokens: &[u32], first: usize) -> Result<Vec<f32>, LmError> {
        self.lm_head()?;
        let pass = self.pass();
        on_pool(|| {
            let hidden = self.hidden(&pass, &Packed::for_all(self.config().limits(), &[tokens])?)?;
            to_vec(&pass.logits(&hidden.narrow(0, first, tokens.len() - first)?)?)
        })
    }

    /// The residual stream of a sequence before the first layer and after each, row-major `[T, d]`; the last one is
    /// normalised, as transformers has it.
    ///
    /// # Errors
    /// If the sequence is empty, too long, or has a token outside the vocabulary.
    pub fn hidden_states(&self, tokens: &[u32]) -> Result<Vec<Vec<f32>>, LmError> {
        let packed = Packed::for_all(self.config().limits(), &[tokens])?;
        let (pass, packing) = (self.pass(), self.packing(&packed)?);
        let mut x = self.embed(&pass.weights, tokens)?;
        let mut states = vec![to_vec(&x)?];
        for i in 0..self.config().layers() {
            x = pass.layer(i, &x, &mut Via::Packed(&packing))?;
            let last = i + 1 == self.config().layers();
            states.push(to_vec(&if last { pass.final_norm(&x)? } else { x.clone() })?);
        }
        Ok(states)
    }

    /// `log π` of each sequence's targets at this temperature, and the entropy of each distribution.
    ///
    /// The logits of all rows never exist at the same time, however large the vocabulary.
    ///
    /// # Errors
    /// If a sequence is malformed, the temperature is not positive, or the model has no language-model head.
    pub fn scores(&self, batch: &[Sequence], temperature: f32) -> Result<Scores, LmError> {
        check_temperature(temperature)?;
        let pass = self.pass();
        let mut all = Scores::default();
        for part in micro_batches(batch, MICRO_BATCH_TOKENS, |sequence| sequence.tokens.len()) {
            let packed = Packed::for_targets(self.config().limits(), &batch[part])?;
            let (log_probs, entropies) = on_pool(|| {
                let hidden = self.hidden(&pass, &packed)?;
                self.score_targets(&pass, &hidden, &packed, temperature)
            })?;
            all.log_probs.extend(packed.outputs.ragged(&log_probs));
            all.entropies.extend(packed.outputs.ragged(&entropies));
        }
        Ok(all)
    }

    /// Output of the head for scores (logits) at the positions of each sequence, `[B][positions][labels]`: all steps of
    /// a trajectory in one pass.
    ///
    /// # Errors
    /// If a sequence is malformed or the model has no such head.
    pub fn values(&self, batch: &[ValueSequence]) -> Result<Vec<Vec<Vec<f64>>>, LmError> {
        let labels = self.score_head()?.labels;
        let pass = self.pass();
        let mut all = Vec::with_capacity(batch.len());
        for part in micro_batches(batch, MICRO_BATCH_TOKENS, |sequence| sequence.tokens.len()) {
            let packed = Packed::for_positions(self.config().limits(), &batch[part])?;
            let scores = on_pool(|| {
                let hidden = self.hidden(&pass, &packed)?;
                to_vec(&pass.scores(&pick(&hidden, &packed.picks)?)?)
            })?;
            let rows: Vec<Vec<f64>> =
                scores.chunks_exact(labels).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
            all.extend(packed.outputs.ragged(&rows));
        }
        Ok(all)
    }

    /// The residual stream after the last layer, before the final norm, `[N, d]`.
    fn hidden(&self, pass: &Pass, packed: &Packed) -> Result<Tensor, LmError> {
        let packing = self.packing(packed)?;
        pass.body(self.embed(&pass.weights, &packed.tokens)?, &mut Via::Packed(&packing))
    }

    /// log π and entropy of the targets, `[P]` each.
    pub(crate) fn score_targets(
        &self,
        pass: &Pass,
        hidden: &Tensor,
        packed: &Packed,
        temperature: f32,
    ) -> Result<(Vec<f64>, Vec<f64>), LmError> {
        if self.engine() == Engine::Composed {
            return composed_scores(pass, hidden, packed, temperature);
        }
        let scores = pass.with_head(temperature, |head| {
            with_slice(hidden, |x| head.scores(x, &packed.picks, &packed.targets).map_err(candle_core::Error::wrap))
        })?;
        Ok(scores.iter().map(|s| (f64::from(s.log_prob), f64::from(s.entropy))).unzip())
    }
}

fn composed_scores(
    pass: &Pass,
    hidden: &Tensor,
    packed: &Packed,
    temperature: f32,
) -> Result<(Vec<f64>, Vec<f64>), LmError> {
    // Read when all chunks have been started: a GPU does not wait between them.
    let (mut log_probs, mut entropies) = (Vec::new(), Vec::new());
    for (rows, targets) in packed.picks.chunks(CHUNK).zip(packed.targets.chunks(CHUNK)) {
        let (log_prob, entropy) = target_scores(pass, &pick(hidden, rows)?, targets, temperature)?;
        log_probs.push(log_prob.detach());
        entropies.push(entropy.detach());
    }
    let read = |parts: &[Tensor]| -> Result<Vec<f64>, LmError> {
        if parts.is_empty() {
            Ok(Vec::new())
        } else {
            Ok(to_vec(&Tensor::cat(parts, 0)?)?.into_iter().map(f64::from).collect())
        }
    };
    Ok((read(&log_probs)?, read(&entropies)?))
}

/// log π of targets and entropies, `[n]` each, as tensors.
pub(crate) fn target_scores(
    pass: &Pass,
    rows: &Tensor,
    targets: &[u32],
    temperature: f32,
) -> Result<(Tensor, Tensor), LmError> {
    let logits = pass.logits(rows)?;
    if ops::cuda::runs(&[&logits]) {
        let scores = ops::cuda::score_rows(&logits, targets, temperature)?;
        return Ok((scores.narrow(1, 0, 1)?.squeeze(1)?, scores.narrow(1, 1, 1)?.squeeze(1)?));
    }
    let logits = (logits.to_dtype(DType::F32)? / f64::from(temperature))?;
    let log_p = composed::log_softmax(&logits)?;
    let index = Tensor::from_slice(targets, (targets.len(), 1), logits.device())?;
    let entropy = (log_p.exp()? * &log_p)?.sum(1)?.neg()?;
    Ok((log_p.gather(&index, 1)?.squeeze(1)?, entropy))
}

/// Rows of a matrix.
pub(crate) fn pick(x: &Tensor, rows: &[usize]) -> Result<Tensor, LmError> {
    let index: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
    Ok(x.index_select(&Tensor::from_vec(index, rows.len(), x.device())?, 0)?)
}

/// A tensor's elements, row-major.
pub(crate) fn to_vec(x: &Tensor) -> Result<Vec<f32>, LmError> {
    let x = x.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
    Ok(with_slice(&x, |x| Ok(x.to_vec()))?)
}

/// `Ok` for a positive, finite temperature.
pub(crate) fn check_temperature(temperature: f32) -> Result<(), LmError> {
    if temperature.is_finite() && temperature > 0.0 {
        return Ok(());
    }
    Err(LmError::setting("temperature", "a positive number", temperature))
}
