//! The whole model on rows at places of a cache.

use tdrm_kernels::decode::{Cache, LayerDecoder, Place};
use tdrm_kernels::matmul::Into;
use tdrm_kernels::panels::Panels;
use tdrm_kernels::rmsnorm;

use crate::{Lm, LmError};

/// A model's matrices, rearranged for products with few rows.
#[derive(Debug)]
pub(crate) struct Decoder {
    layers: Vec<LayerDecoder>,
    output: Panels,
}

impl Decoder {
    pub(crate) fn new(lm: &Lm) -> Result<Self, LmError> {
        let shape = lm.config().layer();
        let layers = lm.layout().layers.iter().map(|layer| LayerDecoder::new(&shape, &lm.theta()[layer.clone()]));
        let output = Panels::new(lm.output(), lm.config().vocab_size, lm.config().hidden_size)?;
        Ok(Self { layers: layers.collect::<Result<_, _>>()?, output })
    }

    /// An empty cache for each layer.
    pub(super) fn caches(&self, lm: &Lm, slots: usize, capacity: usize) -> Vec<Cache> {
        let shape = lm.config().layer();
        self.layers.iter().map(|_| Cache::new(&shape.heads, slots, capacity)).collect()
    }

    /// Appends tokens to the cache; returns the residual stream at their places, `[n, d]`.
    pub(super) fn append(
        &self,
        lm: &Lm,
        caches: &mut [Cache],
        tokens: &[u32],
        places: &[Place],
    ) -> Result<Vec<f32>, LmError> {
        let mut x = lm.embed(tokens);
        for (layer, cache) in self.layers.iter().zip(caches) {
            layer.forward(lm.rope(), cache, places, &mut x)?;
        }
        Ok(x)
    }

    /// Logits of rows of the residual stream, `[n, V]`.
    pub(super) fn logits(&self, lm: &Lm, x: &[f32]) -> Result<Vec<f32>, LmError> {
        let norm = lm.norm();
        let n = x.len() / norm.weight.len();
        let (mut normed, mut scale) = (vec![0.0; x.len()], vec![0.0; n]);
        rmsnorm::forward(x, norm.weight, norm.epsilon, &mut normed, &mut scale)?;
        let mut logits = vec![0.0; n * self.output.outputs()];
        self.output.apply(&normed, &mut logits, Into::Store)?;
        Ok(logits)
    }
}
