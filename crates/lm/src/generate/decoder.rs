//! A model and the sequences in its cache.

use candle_core::Tensor;
use tdrm_kernels::decode::Place;

use super::{Cache, NewRows};
use crate::LmError;
use crate::model::{Model, Pass, Via, pick, to_vec};
use crate::ops::Engine;

/// Fewest tokens that are worth copying from another slot.
const SHARED: usize = 8;

/// Slots of a cache, with the tokens that each of them holds.
///
/// In the fused form everything is computed row by row: what a slot holds depends on its tokens alone, bit for bit.
#[derive(Debug)]
pub(super) struct Decoder {
    pass: Pass,
    cache: Cache,
    held: Vec<Vec<u32>>,
    capacity: usize,
}

impl Decoder {
    /// Copies the model's matrices into a form made for few rows, an adapter merged into them.
    pub(super) fn new(model: &Model, slots: usize, capacity: usize) -> Result<Self, LmError> {
        model.lm_head()?;
        let merged = model.adapter.is_some() && model.engine() == Engine::Fused;
        let model = if merged { model.snapshot()?.merge_adapter()? } else { model.clone() };
        let cache = Cache::new(&model, slots, capacity)?;
        Ok(Self { pass: model.pass().row_by_row()?, cache, held: vec![Vec::new(); slots], capacity })
    }

    /// Tokens in the cache of a slot.
    pub(super) fn held(&self, slot: usize) -> &[u32] {
        &self.held[slot]
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn model(&self) -> &Model {
        &self.pass.model
    }

    /// Forgets what a slot holds beyond its common beginning with `tokens`.
    pub(super) fn keep(&mut self, slot: usize, tokens: &[u32]) {
        let common = common(&self.held[slot], tokens);
        self.held[slot].truncate(common);
    }

    /// Makes one slot hold what another holds.
    pub(super) fn copy(&mut self, from: usize, to: usize) -> Result<(), LmError> {
        self.take(from, to, self.held[from].len())
    }

    /// Copies what another slot holds of `tokens` to this one, where that is enough more than it holds itself.
    pub(super) fn reuse(&mut self, slot: usize, tokens: &[u32]) -> Result<(), LmError> {
        let own = common(&self.held[slot], tokens);
        let best = (0..self.held.len()).map(|other| (common(&self.held[other], tokens), other)).max();
        match best.filter(|(most, _)| *most >= own + SHARED) {
            Some((most, from)) => self.take(from, slot, most),
            None => Ok(()),
        }
    }

    /// Whether a slot gains by waiting until another one holds all of `theirs`.
    pub(super) fn gains(&self, slot: usize, tokens: &[u32], theirs: &[u32]) -> bool {
        common(theirs, tokens) >= common(&self.held[slot], tokens) + SHARED
    }

    fn take(&mut self, from: usize, to: usize, positions: usize) -> Result<(), LmError> {
        if from != to {
            self.cache.fork(from, to, positions)?;
            self.held[to] = self.held[from][..positions].to_vec();
        }
        Ok(())
    }

    /// Appends tokens to different slots; returns the residual stream after the last token of each part, `[parts, d]`.
    ///
    /// Long prompts run in pieces, so that the activations stay small.
    pub(super) fn append(&mut self, parts: &[(usize, &[u32])]) -> Result<Tensor, LmError> {
        let (mut tokens, mut places, mut last) = (Vec::new(), Vec::new(), Vec::new());
        for &(slot, part) in parts {
            let positions = (self.held[slot].len()..).take(part.len());
            places.extend(positions.map(|position| Place { slot, position }));
            tokens.extend_from_slice(part);
            last.push(tokens.len().saturating_sub(1));
        }
        let piece = self.cache.piece();
        let mut wanted = Vec::new();
        for (i, (tokens, places)) in tokens.chunks(piece).zip(places.chunks(piece)).enumerate() {
            let embedded = self.pass.model.embed(&self.pass.weights, tokens)?;
            let new = NewRows::new(&self.pass.model, &self.cache, places)?;
            let hidden = self.pass.body(embedded, &mut Via::Cached { cache: &mut self.cache, rows: &new })?;
            let rows = i * piece..i * piece + tokens.len();
            let picked: Vec<usize> = last.iter().filter(|row| rows.contains(row)).map(|row| row - rows.start).collect();
            match picked.len() {
                0 => {}
                all if all == tokens.len() => wanted.push(hidden),
                _ => wanted.push(pick(&hidden, &picked)?),
            }
        }
        for &(slot, part) in parts {
            self.held[slot].extend_from_slice(part);
        }
        if let [one] = wanted.as_slice() { Ok(one.clone()) } else { Ok(Tensor::cat(&wanted, 0)?) }
    }

    /// Logits of rows, row-major `[n, V]`.
    pub(super) fn logits(&self, rows: &Tensor) -> Result<Vec<f32>, LmError> {
        to_vec(&self.pass.logits(rows)?)
    }
}

/// Length of the common beginning, the last token of `tokens` left out: it must run to be continued.
fn common(held: &[u32], tokens: &[u32]) -> usize {
    let tokens = &tokens[..tokens.len().saturating_sub(1)];
    held.iter().zip(tokens).take_while(|(a, b)| a == b).count()
}
