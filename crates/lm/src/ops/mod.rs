//! The operations of a decoder, on candle tensors.
//!
//! Each has two forms that give the same numbers: [`fused`] runs the kernels of [`tdrm_kernels`] and their hand-written
//! backward passes on the CPU, [`composed`] is made of candle's differentiable operations and runs on any device.
//! (candle's own fused RMSNorm, softmax and rotary embedding have no backward pass, so neither form uses them.)

pub(crate) mod composed;
pub(crate) mod fused;
pub(crate) mod head;
mod storage;

use std::sync::{Arc, Mutex};

use candle_core::{Result, Tensor};
use tdrm_kernels::Rows;
use tdrm_kernels::attention::Heads;
use tdrm_kernels::panels::Panels;
use tdrm_kernels::rope::RopeTable;

pub(crate) use storage::with_slice;

/// Which form of the operations runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Engine {
    /// Fused kernels, on the CPU.
    #[default]
    Fused,
    /// candle's operations, on any device.
    Composed,
}

/// Where the fused form adds a parameter's gradient.
pub(crate) type Sink = Arc<Mutex<Vec<f32>>>;

/// A parameter as one pass sees it.
#[derive(Debug, Clone)]
pub(crate) struct Weight {
    pub(crate) tensor: Tensor,
    /// In the fused form of a training pass, for parameters that are trained; candle does not track them then.
    pub(crate) sink: Option<Sink>,
}

/// A batch's sequences, packed, and the rotation of their positions.
#[derive(Debug, Clone)]
pub(crate) struct Packing {
    pub(crate) rows: Arc<Rows>,
    pub(crate) rope: Arc<RopeTable>,
}

/// `y = w ⊙ x / √(mean(x²) + ε)` over the last dimension.
pub(crate) fn rms_norm(engine: Engine, x: &Tensor, w: &Weight, epsilon: f64) -> Result<Tensor> {
    match engine {
        Engine::Fused => fused::rms_norm(x, w, epsilon as f32),
        Engine::Composed => composed::rms_norm(x, &w.tensor, epsilon),
    }
}

/// `y = x Wᵀ + b`: x `[n, inputs]`, W `[outputs, inputs]`.
pub(crate) fn linear(engine: Engine, x: &Tensor, w: &Weight, bias: Option<&Weight>) -> Result<Tensor> {
    match engine {
        Engine::Fused => fused::linear(x, w, bias),
        Engine::Composed => composed::linear(x, &w.tensor, bias.map(|b| &b.tensor)),
    }
}

/// `y = x Wᵀ + b` with W in panels, in the fused form where nothing is trained.
pub(crate) fn linear_panels(x: &Tensor, w: &Panels, bias: Option<&Weight>) -> Result<Tensor> {
    fused::linear_panels(x, w, bias)
}

/// `a = silu(g) ⊙ u` of rows `[n, 2F]`, gate before up.
pub(crate) fn swiglu(engine: Engine, gate_up: &Tensor) -> Result<Tensor> {
    match engine {
        Engine::Fused => fused::swiglu(gate_up),
        Engine::Composed => composed::swiglu(gate_up),
    }
}

/// Rotates queries and keys, then attends causally within each sequence: qkv `[N, (H+2K)·D]` to `[N, H·D]`.
pub(crate) fn attention(
    engine: Engine,
    qkv: &Tensor,
    heads: Heads,
    window: Option<usize>,
    packing: &Packing,
) -> Result<Tensor> {
    match engine {
        Engine::Fused => fused::attention(qkv, heads, window, packing),
        Engine::Composed => composed::attention(qkv, heads, window, packing),
    }
}
