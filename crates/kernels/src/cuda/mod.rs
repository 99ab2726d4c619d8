//! Kernels for Nvidia GPUs.
//!
//! A [`Launch`] says which kernel of `kernels.cu` runs, on how many blocks, and how long its operands must be. It is made
//! and checked on the host, where no GPU is needed; a test compiles the same kernels with a C++ compiler and holds every
//! launch against the kernels for the processor. The feature `cuda` compiles them with nvcc and adds `Module`, which runs
//! launches.
//!
//! The kernels check what they read from index operands: a wrong index leaves a row out, it reads nothing foreign.

mod attention;
#[cfg(feature = "cuda")]
mod device;
mod launch;

pub use attention::{Attention, Seen, fits};
#[cfg(feature = "cuda")]
pub use device::{Buffer, DeviceError, Module, Number, room, without_events};
pub use launch::{Access, Element, Kind, Launch, Operand, Scalar};

use std::ops::Range;

use crate::adamw::AdamW;
use crate::attention::Heads;
use crate::{ShapeError, error};
use launch::int;

/// Threads of a block where nothing else is said.
const THREADS: u32 = 256;
/// Bytes of shared memory for sums over a block.
const SUMS: u32 = 32 * 4;
/// Blocks that sum a gradient's squares.
const BLOCKS: usize = 256;

/// Threads for rows of this width: whole warps, up to 1024.
fn threads(width: usize) -> u32 {
    (width.div_ceil(32) * 32).clamp(32, 1024) as u32
}

/// `y = w ⊙ x / √(mean(x²) + ε)`: x, w, y; x and y are `[n, width]`.
///
/// # Errors
/// If a size exceeds 31 bits.
pub fn rms_norm(n: usize, width: usize, epsilon: f32) -> Result<Launch, ShapeError> {
    let launch = Launch::new("rms_norm", [n, 1, 1], threads(width), SUMS)?;
    let launch = launch.reads(Kind::Element, n * width).reads(Kind::Element, width).writes(Kind::Element, n * width);
    Ok(launch.with([Scalar::Int(int("width of a row", width)?), Scalar::Float(epsilon)]))
}

/// The sum `x + r`, and its norm: x, r, w, y; y is `[2, n, width]`.
///
/// # Errors
/// If a size exceeds 31 bits.
pub fn add_rms_norm(n: usize, width: usize, epsilon: f32) -> Result<Launch, ShapeError> {
    let launch = Launch::new("add_rms_norm", [n, 1, 1], threads(width), SUMS)?;
    let launch = launch.reads(Kind::Element, n * width).reads(Kind::Element, n * width).reads(Kind::Element, width);
    let launch = launch.writes(Kind::Element, 2 * n * width);
    Ok(launch.with([Scalar::Int(int("width of a row", width)?), Scalar::Float(epsilon)]))
}

/// The norm of each query and each key: qkv, weights of queries `[D]`, weights of keys `[D]`, the new qkv; rows are
/// `[n, (H+2K)·D]`.
///
/// # Errors
/// If a size exceeds 31 bits.
pub fn norm_heads(n: usize, heads: &Heads, epsilon: f32) -> Result<Launch, ShapeError> {
    let blocks = [n, heads.query + 2 * heads.key_value, 1];
    let launch = Launch::new("norm_heads", blocks, threads(heads.dim.min(128)), SUMS)?;
    let launch = launch.reads(Kind::Element, n * heads.width()).reads(Kind::Element, heads.dim);
    let launch = launch.reads(Kind::Element, heads.dim).writes(Kind::Element, n * heads.width());
    let int = |count| int("heads", count).map(Scalar::Int);
    Ok(launch.with([int(heads.query)?, int(heads.key_value)?, int(heads.dim)?, Scalar::Float(epsilon)]))
}

/// `x + b`: rows `[n, width]`, b, the sums.
///
/// # Errors
/// If a size exceeds 31 bits.
pub fn add_bias(n: usize, width: usize) -> Result<Launch, ShapeError> {
    let elements = n * width;
    let launch = Launch::new("add_bias", [elements.div_ceil(THREADS as usize), 1, 1], THREADS, 0)?;
    let launch = launch.reads(Kind::Element, elements).reads(Kind::Element, width).writes(Kind::Element, elements);
    let int = |count| int("elements", count).map(Scalar::Int);
    Ok(launch.with([int(width)?, int(elements)?]))
}

/// `silu(g) ⊙ u`: rows `[n, 2·width]`, gate before up, and the products `[n, width]`.
///
/// # Errors
/// If a size exceeds 31 bits.
pub fn swiglu(n: usize, width: usize) -> Result<Launch, ShapeError> {
    let elements = n * width;
    let launch = Launch::new("swiglu", [elements.div_ceil(THREADS as usize), 1, 1], THREADS, 0)?;
    let launch = launch.reads(Kind::Element, 2 * elements).writes(Kind::Element, elements);
    let int = |count| int("elements", count).map(Scalar::Int);
    Ok(launch.with([int(width)?, int(elements)?]))
}

/// log softmax of a target and entropy at a temperature: logits `[n, V]`, targets `[n]`, scores `[n, 2]`.
///
/// # Errors
/// If a size exceeds 31 bits.
pub fn score_rows(n: usize, vocabulary: usize, temperature: f32) -> Result<Launch, ShapeError> {
    let launch = Launch::new("score_rows", [n, 1, 1], 512, SUMS)?;
    let launch = launch.reads(Kind::Element, n * vocabulary).reads(Kind::U32, n).writes(Kind::F32, 2 * n);
    Ok(launch.with([Scalar::Int(int("vocabulary", vocabulary)?), Scalar::Float(temperature)]))
}

/// One step of `AdamW` on a range of a parameter of `len` elements: state `[3, len]` (weights in 32 bits, first and second
/// moments), gradient `[len]`, parameter `[len]`.
///
/// # Errors
/// If the range lies outside the parameter, or a size exceeds 31 bits.
pub fn adamw(len: usize, range: &Range<usize>, constants: &AdamW) -> Result<Launch, ShapeError> {
    error::at_least("elements of a parameter", range.end, len)?;
    let launch = Launch::new("adamw", [range.len().div_ceil(THREADS as usize), 1, 1], THREADS, 0)?;
    let launch = launch.writes(Kind::F32, 3 * len).reads(Kind::F32, len).reads(Kind::Element, len);
    let long = |count: usize| Scalar::Long(count as i64);
    let launch = launch.with([long(len), long(range.start), long(range.len())]);
    let (keep, rate, root) = constants.factors();
    let &AdamW { beta1, beta2, epsilon, gradient_scale, .. } = constants;
    Ok(launch.with([beta1, beta2, epsilon, keep, rate, root, gradient_scale].map(Scalar::Float)))
}

/// `Σ g²` over a range of a gradient of `len` elements, as sums of blocks in 64 bits: gradient, sums; the number of
/// sums is that of the blocks.
///
/// # Errors
/// If the range lies outside the gradient.
pub fn squares(len: usize, range: &Range<usize>) -> Result<Launch, ShapeError> {
    error::at_least("elements of a gradient", range.end, len)?;
    let blocks = range.len().div_ceil(THREADS as usize).clamp(1, BLOCKS);
    let launch = Launch::new("squares", [blocks, 1, 1], THREADS, THREADS * 8)?;
    let launch = launch.reads(Kind::F32, len).writes(Kind::F64, blocks);
    Ok(launch.with([range.start, range.len()].map(|count| Scalar::Long(count as i64))))
}
