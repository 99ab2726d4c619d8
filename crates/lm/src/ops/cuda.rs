//! Operations that are one kernel on an Nvidia GPU, where nothing is tracked.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{D, Device, Result, Tensor};
use tdrm_kernels::ShapeError;
use tdrm_kernels::adamw::AdamW;
use tdrm_kernels::attention::Heads;
use tdrm_kernels::cuda::{self, Attention, Launch, Seen};
use tdrm_kernels::rope::RopeTable;

pub(crate) use super::launch::open_gpu;
use super::launch::{emulates, fresh, in_place};
use super::storage::kernel;

/// Whether the kernels run on a device.
pub(crate) fn is_gpu(device: &Device) -> bool {
    device.is_cuda() || emulates()
}

/// Whether the kernels run on these tensors: on a GPU, and no derivative is asked for.
pub(crate) fn runs(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|tensor| is_gpu(tensor.device()) && !tensor.track_op())
}

fn checked(launch: std::result::Result<Launch, ShapeError>) -> Result<Launch> {
    launch.map_err(kernel)
}

/// Rows of the last dimension, and their width.
fn rows(x: &Tensor) -> Result<(usize, usize)> {
    let width = x.dim(D::Minus1)?;
    Ok((x.elem_count() / width.max(1), width))
}

pub(super) fn rms_norm(x: &Tensor, w: &Tensor, epsilon: f64) -> Result<Tensor> {
    let (n, width) = rows(x)?;
    fresh(&checked(cuda::rms_norm(n, width, epsilon as f32))?, x.dtype(), &[x, w], x.shape())
}

/// `x + y` and its norm.
pub(super) fn add_norm(x: &Tensor, y: &Tensor, w: &Tensor, epsilon: f64) -> Result<(Tensor, Tensor)> {
    let (n, width) = rows(x)?;
    let both = fresh(&checked(cuda::add_rms_norm(n, width, epsilon as f32))?, x.dtype(), &[x, y, w], (2, n, width))?;
    Ok((both.get(0)?.reshape(x.shape())?, both.get(1)?.reshape(x.shape())?))
}

pub(super) fn norm_heads(qkv: &Tensor, heads: &Heads, wq: &Tensor, wk: &Tensor, epsilon: f64) -> Result<Tensor> {
    let launch = checked(cuda::norm_heads(rows(qkv)?.0, heads, epsilon as f32))?;
    fresh(&launch, qkv.dtype(), &[qkv, wq, wk], qkv.shape())
}

/// `x + b` for each row.
pub(super) fn add_bias(x: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (n, width) = rows(x)?;
    fresh(&checked(cuda::add_bias(n, width))?, x.dtype(), &[x, b], x.shape())
}

pub(super) fn swiglu(gate_up: &Tensor) -> Result<Tensor> {
    let (n, width) = rows(gate_up)?;
    fresh(&checked(cuda::swiglu(n, width / 2))?, gate_up.dtype(), &[gate_up], (n, width / 2))
}

/// log π of targets and entropies, `[n, 2]`, in 32 bits.
pub(crate) fn score_rows(logits: &Tensor, targets: &[u32], temperature: f32) -> Result<Tensor> {
    let (n, vocabulary) = rows(logits)?;
    let targets = Tensor::from_slice(targets, targets.len(), logits.device())?;
    fresh(&checked(cuda::score_rows(n, vocabulary, temperature))?, logits.dtype(), &[logits, &targets], (n, 2))
}

/// One step of `AdamW` on a range: state `[3, len]`, gradient and parameter `[len]`.
pub(crate) fn adamw(
    state: &Tensor,
    gradient: &Tensor,
    parameter: &Tensor,
    range: &Range<usize>,
    constants: &AdamW,
) -> Result<()> {
    in_place(
        &checked(cuda::adamw(gradient.elem_count(), range, constants))?,
        parameter.dtype(),
        state,
        &[gradient, parameter],
    )
}

/// Sums whose sum is `Σ g²` over a range, in 64 bits.
pub(crate) fn squares(gradient: &Tensor, range: &Range<usize>) -> Result<Tensor> {
    let launch = checked(cuda::squares(gradient.elem_count(), range))?;
    fresh(&launch, gradient.dtype(), &[gradient], launch.grid()[0] as usize)
}

/// A table of rotations on a GPU.
#[derive(Debug, Clone)]
pub(crate) struct Angles {
    table: Arc<RopeTable>,
    /// Cosines, then sines, `[P, R/2]` each.
    tensor: Tensor,
}

impl Angles {
    pub(crate) fn new(table: &Arc<RopeTable>, device: &Device) -> Result<Self> {
        let (cos, sin) = table.tables();
        let tensor = Tensor::from_vec([cos, sin].concat(), 2 * cos.len(), device)?;
        Ok(Self { table: Arc::clone(table), tensor })
    }

    /// Whether they are those of this table.
    pub(crate) fn are_of(&self, table: &Arc<RopeTable>) -> bool {
        Arc::ptr_eq(&self.table, table)
    }
}

/// What rows of a pass see, on a GPU; the same for all layers.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    seen: Seen,
    /// `[2, n]`.
    index: Tensor,
    /// `[m, 2]`, where tiles pay.
    tiles: Option<Tensor>,
    angles: Angles,
}

impl Reach {
    /// Sends up what the kernels need to know of the rows, in one transfer.
    pub(crate) fn new(seen: Seen, angles: &Angles) -> Result<Self> {
        let (rows, tiles) = (seen.index(), seen.tiles().unwrap_or_default());
        let both = Tensor::from_vec([rows, tiles].concat(), rows.len() + tiles.len(), angles.tensor.device())?;
        let index = both.narrow(0, 0, rows.len())?;
        let tiles = seen.tiles().map(|tiles| both.narrow(0, rows.len(), tiles.len())).transpose()?;
        Ok(Self { seen, index, tiles, angles: angles.clone() })
    }

    fn attention(&self, heads: Heads, room: usize, window: Option<usize>) -> Result<Attention> {
        Attention::new(heads, &self.angles.table, &self.seen, room, window).map_err(kernel)
    }

    /// Rotates rows `[n, (H+2K)·D]`, writes their keys and values to a cache `[2, room, K·D]`, and attends: `[n, H·D]`.
    pub(crate) fn append_and_attend(
        &self,
        kv: &Tensor,
        qkv: &Tensor,
        heads: Heads,
        window: Option<usize>,
    ) -> Result<Tensor> {
        let attention = self.attention(heads, kv.dim(1)?, window)?;
        in_place(&checked(attention.append())?, kv.dtype(), kv, &[qkv, &self.angles.tensor, &self.index])?;
        self.attend(&attention, kv, qkv)
    }

    /// The same for all rows of packed sequences `[N, (H+2K)·D]`.
    pub(super) fn attend_packed(&self, qkv: &Tensor, heads: Heads, window: Option<usize>) -> Result<Tensor> {
        let n = qkv.dim(0)?;
        let attention = self.attention(heads, n, window)?;
        let shape = (2, n, heads.key_value_width());
        let kv = fresh(&checked(attention.append())?, qkv.dtype(), &[qkv, &self.angles.tensor, &self.index], shape)?;
        self.attend(&attention, &kv, qkv)
    }

    fn attend(&self, attention: &Attention, kv: &Tensor, qkv: &Tensor) -> Result<Tensor> {
        let inputs = [kv, qkv, &self.angles.tensor, &self.index];
        let (dtype, shape) = (qkv.dtype(), (qkv.dim(0)?, attention.output_width()));
        if let Some(tiles) = &self.tiles {
            let [kv, qkv, angles, index] = inputs;
            return fresh(&checked(attention.attend_tiles())?, dtype, &[kv, qkv, angles, index, tiles], shape);
        }
        match attention.parts() {
            1 => fresh(&checked(attention.attend_rows())?, dtype, &inputs, shape),
            parts => {
                let part = fresh(&checked(attention.attend_parts(parts))?, dtype, &inputs, attention.part_len(parts))?;
                fresh(&checked(attention.join_parts(parts))?, dtype, &[&part], shape)
            }
        }
    }
}

#[cfg(all(test, not(feature = "cuda")))]
mod tests;
