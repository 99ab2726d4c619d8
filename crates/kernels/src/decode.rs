//! New rows of a decoder layer against a static key-value cache.
//!
//! A row is a token at a position of a slot; a call may bring one row for each of many slots (decoding), all rows of a
//! prompt (prefill), or both at once. Each row is computed by itself: its result depends on its slot's earlier tokens
//! and on nothing else, bit for bit. One call runs on one thread; threads own different slots.

use std::ops::Range;

use rayon::prelude::*;

use crate::attention::Heads;
use crate::layer::LayerShape;
use crate::matmul::Into;
use crate::panels::{Kernel, Lanes, Panels, WIDTH};
use crate::rope::{RopeTable, Rotation};
use crate::scratch::{self, carve};
use crate::{ShapeError, error, rmsnorm, simd, swiglu};

/// A token's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Slot of the cache.
    pub slot: usize,
    /// Position within the slot's sequence, from 0.
    pub position: usize,
}

/// Keys and values of one layer for a fixed number of slots, laid out so that both products of attention are products of
/// a row with a panel.
#[derive(Debug, Clone)]
pub struct Cache {
    /// `[slots, K, capacity/32, D, 32]`: panels of 32 keys.
    keys: Vec<Lanes>,
    /// `[slots, K, D/32, capacity, 32]`: panels of 32 coordinates.
    values: Vec<Lanes>,
    slots: usize,
    capacity: usize,
    key_value_heads: usize,
    dim: usize,
}

impl Cache {
    /// Room for `slots` sequences of up to `capacity` tokens.
    #[must_use]
    pub fn new(heads: &Heads, slots: usize, capacity: usize) -> Self {
        let Heads { key_value, dim, .. } = *heads;
        let heads = slots * key_value;
        Self {
            keys: vec![[0.0; WIDTH]; heads * capacity.div_ceil(WIDTH) * dim],
            values: vec![[0.0; WIDTH]; heads * dim.div_ceil(WIDTH) * capacity],
            slots,
            capacity,
            key_value_heads: key_value,
            dim,
        }
    }

    /// Floats that one key-value head of one slot takes.
    #[must_use]
    pub fn floats(heads: &Heads, capacity: usize) -> usize {
        let (positions, width) = (capacity.next_multiple_of(WIDTH), heads.dim.next_multiple_of(WIDTH));
        (positions * heads.dim).saturating_add(capacity * width)
    }

    /// Copies the first `positions` tokens of one slot to another.
    ///
    /// # Errors
    /// If a slot does not exist or `positions` exceeds the capacity.
    pub fn fork(&mut self, from: usize, to: usize, positions: usize) -> Result<(), ShapeError> {
        error::at_least("slots of the cache", from.max(to) + 1, self.slots)?;
        error::at_least("capacity of the cache", positions, self.capacity)?;
        for head in 0..self.key_value_heads {
            let (start, end) = (self.keys_of(from, head).start, self.keys_of(to, head).start);
            self.keys.copy_within(start..start + positions.div_ceil(WIDTH) * self.dim, end);
            let (start, end) = (self.values_of(from, head).start, self.values_of(to, head).start);
            for panel in 0..self.dim.div_ceil(WIDTH) {
                let offset = panel * self.capacity;
                self.values.copy_within(start + offset..start + offset + positions, end + offset);
            }
        }
        Ok(())
    }

    fn keys_of(&self, slot: usize, head: usize) -> Range<usize> {
        let len = self.capacity.div_ceil(WIDTH) * self.dim;
        let start = (slot * self.key_value_heads + head) * len;
        start..start + len
    }

    fn values_of(&self, slot: usize, head: usize) -> Range<usize> {
        let len = self.dim.div_ceil(WIDTH) * self.capacity;
        let start = (slot * self.key_value_heads + head) * len;
        start..start + len
    }

    /// Writes the key and the value of a token; `key_value` is `[K·D keys | K·D values]`.
    fn write(&mut self, Place { slot, position }: Place, key_value: &[f32]) {
        let (k, v) = key_value.split_at(self.key_value_heads * self.dim);
        for (head, (k, v)) in k.chunks_exact(self.dim).zip(v.chunks_exact(self.dim)).enumerate() {
            let keys = self.keys_of(slot, head).start + position / WIDTH * self.dim;
            for (row, k) in self.keys[keys..keys + self.dim].iter_mut().zip(k) {
                row[position % WIDTH] = *k;
            }
            let values = self.values_of(slot, head).start + position;
            for (panel, v) in v.chunks(WIDTH).enumerate() {
                self.values[values + panel * self.capacity][..v.len()].copy_from_slice(v);
            }
        }
    }

    /// `out = softmax(q Kᵀ / √D) V` over the tokens `seen` of a slot.
    fn attend(&self, slot: usize, head: usize, q: &[f32], seen: Range<usize>, scale: f32, out: &mut [f32]) {
        let kernel = Kernel::best();
        let mut total = [[0.0; WIDTH]];
        let first = seen.start / WIDTH;
        let panels = self.keys[self.keys_of(slot, head)].chunks_exact(self.dim).skip(first);
        scratch::with(seen.end.next_multiple_of(WIDTH) - first * WIDTH, |scores| {
            for (scores, keys) in scores.as_chunks_mut::<WIDTH>().0.iter_mut().zip(panels) {
                kernel.row(q.as_chunks::<1>().0, keys, &mut total);
                *scores = total[0];
            }
            let p = &mut scores[seen.start - first * WIDTH..seen.end - first * WIDTH];
            softmax(p, scale);
            let panels = self.values[self.values_of(slot, head)].chunks_exact(self.capacity);
            for (out, values) in out.chunks_mut(WIDTH).zip(panels) {
                kernel.row(p.as_chunks::<1>().0, &values[seen.clone()], &mut total);
                out.copy_from_slice(&total[0][..out.len()]);
            }
        });
    }

    /// Appends the keys and values of rotated rows `qkv` `[n, (H+2K)·D]` to their places.
    ///
    /// # Errors
    /// If the lengths do not fit or a place lies outside the cache.
    pub fn append(&mut self, heads: &Heads, places: &[Place], qkv: &[f32]) -> Result<(), ShapeError> {
        self.check(heads, places, qkv.len())?;
        for (place, row) in places.iter().zip(qkv.chunks_exact(heads.width())) {
            self.write(*place, &row[heads.query_width()..]);
        }
        Ok(())
    }

    /// Attention of rotated rows `qkv` `[n, (H+2K)·D]` over their slots' tokens up to themselves, or over the last
    /// `window` of those, into `out` `[n, H·D]`; in parallel over rows.
    ///
    /// The rows' own keys and values must have been [appended](Self::append).
    ///
    /// # Errors
    /// If the lengths do not fit, a place lies outside the cache, or the window is empty.
    pub fn attend_rows(
        &self,
        heads: &Heads,
        window: Option<usize>,
        places: &[Place],
        qkv: &[f32],
        out: &mut [f32],
    ) -> Result<(), ShapeError> {
        self.check(heads, places, qkv.len())?;
        error::same("attention output", places.len() * heads.query_width(), out.len())?;
        error::at_least("sliding window", 1, window.unwrap_or(1))?;
        let rows = (places, qkv.par_chunks_exact(heads.width()), out.par_chunks_exact_mut(heads.query_width()));
        rows.into_par_iter()
            .with_min_len(4)
            .for_each(|(place, q, out)| self.attend_row(heads, window.unwrap_or(usize::MAX), *place, q, out));
        Ok(())
    }

    /// Attention of one row.
    fn attend_row(&self, heads: &Heads, window: usize, place: Place, q: &[f32], out: &mut [f32]) {
        let end = place.position + 1;
        for (h, (q, out)) in q.chunks_exact(heads.dim).zip(out.chunks_exact_mut(heads.dim)).enumerate() {
            let key_value = h / (heads.query / heads.key_value);
            self.attend(place.slot, key_value, q, end.saturating_sub(window)..end, heads.scale(), out);
        }
    }

    fn check(&self, heads: &Heads, places: &[Place], elements: usize) -> Result<(), ShapeError> {
        heads.check()?;
        error::same("key-value heads of the cache", self.key_value_heads, heads.key_value)?;
        error::same("width of a head of the cache", self.dim, heads.dim)?;
        error::same("queries, keys and values", places.len() * heads.width(), elements)?;
        for place in places {
            error::at_least("slots of the cache", place.slot + 1, self.slots)?;
            error::at_least("capacity of the cache", place.position + 1, self.capacity)?;
        }
        Ok(())
    }
}

/// A layer's parameters, rearranged for [`LayerDecoder::forward`].
#[derive(Debug, Clone)]
pub struct LayerDecoder {
    shape: LayerShape,
    input_norm: Vec<f32>,
    qkv: Panels,
    bias: Vec<f32>,
    output: Panels,
    post_norm: Vec<f32>,
    gate_up: Panels,
    down: Panels,
}

impl LayerDecoder {
    /// Rearranges a layer's flat parameters.
    ///
    /// # Errors
    /// If their number does not fit the shape.
    pub fn new(shape: &LayerShape, parameters: &[f32]) -> Result<Self, ShapeError> {
        let weights = shape.weights(parameters)?;
        let (d, f, heads) = (shape.hidden, shape.intermediate, &shape.heads);
        Ok(Self {
            shape: *shape,
            input_norm: weights.input_norm.to_vec(),
            qkv: Panels::new(weights.qkv, heads.width(), d)?,
            bias: weights.bias.to_vec(),
            output: Panels::new(weights.output, d, heads.query_width())?,
            post_norm: weights.post_norm.to_vec(),
            gate_up: Panels::new(weights.gate_up, 2 * f, d)?,
            down: Panels::new(weights.down, d, f)?,
        })
    }

    /// Runs the layer on rows `x` `[n, d]`, in place, after appending their keys and values to the cache.
    ///
    /// The rows of a slot must continue what the slot holds, in order.
    ///
    /// # Errors
    /// If the lengths do not fit, or a place lies outside the cache or the rotary table.
    pub fn forward(
        &self,
        rope: &RopeTable,
        cache: &mut Cache,
        places: &[Place],
        x: &mut [f32],
    ) -> Result<(), ShapeError> {
        let (n, d, f, heads) = (places.len(), self.shape.hidden, self.shape.intermediate, &self.shape.heads);
        error::same("rows of a decoder", n * d, x.len())?;
        for place in places {
            error::at_least("slots of the cache", place.slot + 1, cache.slots)?;
            error::at_least("capacity of the cache", place.position + 1, cache.capacity)?;
        }
        scratch::with(n * (1 + d + (heads.width() + heads.query_width()).max(3 * f)), |mut buffer| {
            let (scale, normed) = (carve(&mut buffer, n), carve(&mut buffer, n * d));
            self.attend(rope, cache, places, x, scale, normed, buffer)?;
            self.feed_forward(x, scale, normed, &mut buffer[..n * 3 * f])
        })
    }

    fn attend(
        &self,
        rope: &RopeTable,
        cache: &mut Cache,
        places: &[Place],
        x: &mut [f32],
        scale: &mut [f32],
        normed: &mut [f32],
        mut buffer: &mut [f32],
    ) -> Result<(), ShapeError> {
        let (n, heads) = (places.len(), &self.shape.heads);
        let (width, out) = (heads.width(), heads.query_width());
        let (qkv, attended) = (carve(&mut buffer, n * width), carve(&mut buffer, n * out));
        rmsnorm::forward(x, &self.input_norm, self.shape.epsilon, normed, scale)?;
        self.qkv.apply(normed, qkv, Into::Store)?;
        crate::layer::add_bias(qkv, &self.bias);
        let positions = places.iter().map(|place| place.position);
        rope.rotate(qkv, width, heads.query + heads.key_value, positions, Rotation::Forward)?;
        for (place, row) in places.iter().zip(qkv.chunks_exact(width)) {
            cache.write(*place, &row[out..]);
        }
        for ((place, q), out) in places.iter().zip(qkv.chunks_exact(width)).zip(attended.chunks_exact_mut(out)) {
            cache.attend_row(heads, usize::MAX, *place, q, out);
        }
        self.output.apply(attended, x, Into::Add)
    }

    fn feed_forward(
        &self,
        x: &mut [f32],
        scale: &mut [f32],
        normed: &mut [f32],
        buffer: &mut [f32],
    ) -> Result<(), ShapeError> {
        let f = self.shape.intermediate;
        let (gate_up, activated) = buffer.split_at_mut(buffer.len() / 3 * 2);
        rmsnorm::forward(x, &self.post_norm, self.shape.epsilon, normed, scale)?;
        self.gate_up.apply(normed, gate_up, Into::Store)?;
        swiglu::forward(gate_up, f, activated)?;
        self.down.apply(activated, x, Into::Add)
    }
}

dispatch! {
    /// `x ← softmax(scale · x)`.
    fn softmax<S>(x: &mut [f32], scale: f32) {
        let top = simd::max(x) * scale;
        for x in x.iter_mut() {
            *x = simd::exp::<S>(S::madd(*x, scale, -top));
        }
        let inverse = simd::sum(x).recip();
        for x in x.iter_mut() {
            *x *= inverse;
        }
    }
}
