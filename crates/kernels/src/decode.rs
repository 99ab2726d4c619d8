//! New rows of a decoder layer against a static key-value cache.
//!
//! A row is a token at a position of a slot; a call may bring one row for each of many slots (decoding), all rows of a
//! prompt (prefill), or both at once. Each row is computed by itself: its result depends on its slot's earlier tokens
//! and on nothing else, bit for bit. One call runs on one thread; threads own different slots.

use crate::layer::LayerShape;
use crate::matmul::Into;
use crate::panels::Panels;
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

/// Keys and values of one layer for a fixed number of slots.
#[derive(Debug, Clone)]
pub struct Cache {
    /// `[slots, K, D, capacity]`: a query meets one coordinate of many keys at a time.
    keys: Vec<f32>,
    /// `[slots, K, capacity, D]`.
    values: Vec<f32>,
    slots: usize,
    capacity: usize,
    key_value_heads: usize,
    dim: usize,
}

impl Cache {
    /// Room for `slots` sequences of up to `capacity` tokens.
    #[must_use]
    pub fn new(shape: &LayerShape, slots: usize, capacity: usize) -> Self {
        let len = slots * capacity * shape.heads.key_value_width();
        Self {
            keys: vec![0.0; len],
            values: vec![0.0; len],
            slots,
            capacity,
            key_value_heads: shape.heads.key_value,
            dim: shape.heads.dim,
        }
    }

    /// Copies the first `positions` tokens of one slot to another.
    ///
    /// # Errors
    /// If a slot does not exist or `positions` exceeds the capacity.
    pub fn fork(&mut self, from: usize, to: usize, positions: usize) -> Result<(), ShapeError> {
        error::at_least("slots of the cache", from.max(to) + 1, self.slots)?;
        error::at_least("capacity of the cache", positions, self.capacity)?;
        let slot = self.key_value_heads * self.dim * self.capacity;
        for coordinate in 0..self.key_value_heads * self.dim {
            let start = coordinate * self.capacity;
            self.keys.copy_within(from * slot + start..from * slot + start + positions, to * slot + start);
        }
        for head in 0..self.key_value_heads {
            let start = head * self.capacity * self.dim;
            self.values.copy_within(from * slot + start..from * slot + start + positions * self.dim, to * slot + start);
        }
        Ok(())
    }

    /// Writes the key and the value of a token; `key_value` is `[K·D keys | K·D values]`.
    fn write(&mut self, place: Place, key_value: &[f32]) {
        let (k, v) = key_value.split_at(self.key_value_heads * self.dim);
        for head in 0..self.key_value_heads {
            let start = (place.slot * self.key_value_heads + head) * self.capacity * self.dim;
            for (i, k) in k[head * self.dim..(head + 1) * self.dim].iter().enumerate() {
                self.keys[start + i * self.capacity + place.position] = *k;
            }
            let to = start + place.position * self.dim;
            self.values[to..to + self.dim].copy_from_slice(&v[head * self.dim..(head + 1) * self.dim]);
        }
    }

    /// The keys `[D, capacity]` and values `[capacity, D]` of a head.
    fn head(&self, slot: usize, head: usize) -> (&[f32], &[f32]) {
        let len = self.capacity * self.dim;
        let start = (slot * self.key_value_heads + head) * len;
        (&self.keys[start..start + len], &self.values[start..start + len])
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
        scratch::with(cache.capacity, |scores| {
            for ((place, row), attended) in
                places.iter().zip(qkv.chunks_exact(width)).zip(attended.chunks_exact_mut(out))
            {
                self.attend_row(cache, *place, &row[..out], scores, attended);
            }
        });
        self.output.apply(attended, x, Into::Add)
    }

    /// Attention of one row over its slot's tokens up to itself.
    fn attend_row(&self, cache: &Cache, place: Place, q: &[f32], scores: &mut [f32], attended: &mut [f32]) {
        let heads = &self.shape.heads;
        let scores = &mut scores[..=place.position];
        for (h, (q, out)) in q.chunks_exact(heads.dim).zip(attended.chunks_exact_mut(heads.dim)).enumerate() {
            let (keys, values) = cache.head(place.slot, h / (heads.query / heads.key_value));
            attend_head(q, keys, values, cache.capacity, heads.scale(), scores, out);
        }
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
    /// `out = softmax(q K / √D) V` for one query; `scores` has one place for each key that it may see.
    fn attend_head<S>(
        q: &[f32],
        keys: &[f32],
        values: &[f32],
        capacity: usize,
        scale: f32,
        scores: &mut [f32],
        out: &mut [f32],
    ) {
        scores.fill(0.0);
        for (q, keys) in q.iter().zip(keys.chunks_exact(capacity)) {
            for (s, k) in scores.iter_mut().zip(keys) {
                *s = S::madd(*q, *k, *s);
            }
        }
        let top = simd::max(scores) * scale;
        for s in scores.iter_mut() {
            *s = simd::exp::<S>(S::madd(*s, scale, -top));
        }
        let inverse = simd::sum(scores).recip();
        out.fill(0.0);
        for (p, values) in scores.iter().zip(values.chunks_exact(q.len())) {
            let p = p * inverse;
            for (o, v) in out.iter_mut().zip(values) {
                *o = S::madd(p, *v, *o);
            }
        }
    }
}
