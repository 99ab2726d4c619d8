//! Operations on the kernels, with hand-written backward passes.
//!
//! Only activations are tracked. A parameter's gradient is added to its [`Sink`] in the backward pass, so several
//! micro-batches accumulate without a tensor of the parameter's size in between.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use tdrm_kernels::attention::{self, Heads};
use tdrm_kernels::panels::Panels;
use tdrm_kernels::rope::Rotation;
use tdrm_kernels::{linear, rmsnorm, swiglu};

use super::storage::{kernel, output, slice, with_matrix, with_slice};
use super::{Packing, Sink, Weight};

/// Rows of a parallel part of a row-wise operation.
const ROWS: usize = 64;

/// Adds to a gradient, making it first if it is new.
fn add_to(sink: &Sink, len: usize, work: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<()> {
    // A poisoned lock means that another thread panicked; its error is on its way.
    let mut gradient = sink.lock().unwrap_or_else(PoisonError::into_inner);
    gradient.resize(len, 0.0);
    work(&mut gradient)
}

/// Adds `part` to `total`.
fn add(total: &mut [f32], part: &[f32]) {
    total.par_chunks_mut(1 << 14).zip(part.par_chunks(1 << 14)).for_each(|(total, part)| {
        total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
    });
}

/// `x + y`, outside any graph.
pub(super) fn sum(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let mut total = with_slice(x, |x| Ok(x.to_vec()))?;
    with_slice(y, |y| {
        add(&mut total, y);
        Ok(())
    })?;
    Tensor::from_vec(total, x.shape(), &Device::Cpu)
}

pub(super) struct RmsNorm {
    w: Weight,
    epsilon: f32,
    /// Of each row, for the backward pass.
    scale: Mutex<Vec<f32>>,
}

impl RmsNorm {
    pub(super) fn new(w: &Weight, epsilon: f32) -> Self {
        Self { w: w.clone(), epsilon, scale: Mutex::default() }
    }
}

impl CustomOp1 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(storage, layout)?;
        let d = self.w.tensor.elem_count();
        let (mut y, mut scale) = (vec![0.0; x.len()], vec![0.0; x.len() / d]);
        with_slice(&self.w.tensor, |w| {
            let parts = x.par_chunks(ROWS * d).zip(y.par_chunks_mut(ROWS * d)).zip(scale.par_chunks_mut(ROWS));
            parts.try_for_each(|((x, y), scale)| rmsnorm::forward(x, w, self.epsilon, y, scale)).map_err(kernel)
        })?;
        *self.scale.lock().unwrap_or_else(PoisonError::into_inner) = scale;
        Ok(output(y, layout.shape()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let d = self.w.tensor.elem_count();
        let scale = std::mem::take(&mut *self.scale.lock().unwrap_or_else(PoisonError::into_inner));
        let mut dx = vec![0.0; x.elem_count()];
        let mut partial = vec![0.0; scale.len().div_ceil(ROWS) * d];
        with_slice(x, |xs| {
            with_slice(dy, |dy| {
                with_slice(&self.w.tensor, |w| {
                    let rows = xs.par_chunks(ROWS * d).zip(dy.par_chunks(ROWS * d)).zip(scale.par_chunks(ROWS));
                    let outputs = dx.par_chunks_mut(ROWS * d).zip(partial.par_chunks_mut(d));
                    let parts = rows.zip(outputs);
                    parts
                        .try_for_each(|(((x, dy), scale), (dx, dw))| rmsnorm::backward(x, w, scale, dy, dx, dw))
                        .map_err(kernel)
                })
            })
        })?;
        if let Some(sink) = &self.w.sink {
            add_to(sink, d, |dw| {
                partial.chunks_exact(d).for_each(|part| add(dw, part));
                Ok(())
            })?;
        }
        Tensor::from_vec(dx, x.shape(), &Device::Cpu).map(Some)
    }
}

pub(super) struct Linear {
    w: Weight,
    bias: Option<Weight>,
}

impl Linear {
    pub(super) fn new(w: &Weight, bias: Option<&Weight>) -> Self {
        Self { w: w.clone(), bias: bias.cloned() }
    }
}

impl CustomOp1 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(storage, layout)?;
        let (outputs, inputs) = self.w.tensor.dims2()?;
        let n = x.len() / inputs;
        let mut y = vec![0.0; n * outputs];
        with_matrix(&self.w.tensor, |w| match &self.bias {
            None => linear::forward(x, w, &[], inputs, &mut y).map_err(kernel),
            Some(bias) => with_slice(&bias.tensor, |bias| linear::forward(x, w, bias, inputs, &mut y).map_err(kernel)),
        })?;
        Ok(output(y, (n, outputs)))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (outputs, inputs) = self.w.tensor.dims2()?;
        let mut dx = vec![0.0; x.elem_count()];
        with_slice(dy, |dy| {
            if let Some(sink) = &self.w.sink {
                with_slice(x, |x| {
                    add_to(sink, outputs * inputs, |dw| linear::backward_weight(dy, x, inputs, dw).map_err(kernel))
                })?;
            }
            if let Some(sink) = self.bias.as_ref().and_then(|bias| bias.sink.as_ref()) {
                add_to(sink, outputs, |db| linear::backward_bias(dy, db).map_err(kernel))?;
            }
            with_slice(&self.w.tensor, |w| linear::backward_input(dy, w, inputs, &mut dx).map_err(kernel))
        })?;
        Tensor::from_vec(dx, x.shape(), &Device::Cpu).map(Some)
    }
}

pub(super) fn linear_panels(x: &Tensor, w: &Panels, bias: Option<&Weight>) -> Result<Tensor> {
    let (n, outputs) = (x.elem_count() / w.inputs(), w.outputs());
    let mut y = vec![0.0; n * outputs];
    with_slice(x, |x| match bias {
        None => linear::forward_panels(x, w, &[], &mut y).map_err(kernel),
        Some(bias) => with_slice(&bias.tensor, |bias| linear::forward_panels(x, w, bias, &mut y).map_err(kernel)),
    })?;
    Tensor::from_vec(y, (n, outputs), &Device::Cpu)
}

pub(super) fn linear_rows(x: &Tensor, w: &Tensor, bias: Option<&Weight>) -> Result<Tensor> {
    let (outputs, inputs) = w.dims2()?;
    let n = x.elem_count() / inputs;
    let mut y = vec![0.0; n * outputs];
    let mut product =
        |x: &[f32], bias: &[f32]| with_matrix(w, |w| linear::forward_rows(x, w, bias, inputs, &mut y).map_err(kernel));
    with_slice(x, |x| match bias {
        None => product(x, &[]),
        Some(bias) => with_slice(&bias.tensor, |bias| product(x, bias)),
    })?;
    Tensor::from_vec(y, (n, outputs), &Device::Cpu)
}

pub(super) struct SwiGlu;

impl CustomOp1 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let gate_up = slice(storage, layout)?;
        let (n, width) = layout.shape().dims2()?;
        let f = width / 2;
        let mut a = vec![0.0; n * f];
        let parts = gate_up.par_chunks(ROWS * width).zip(a.par_chunks_mut(ROWS * f));
        parts.try_for_each(|(gate_up, a)| swiglu::forward(gate_up, f, a)).map_err(kernel)?;
        Ok(output(a, (n, f)))
    }

    fn bwd(&self, gate_up: &Tensor, _: &Tensor, da: &Tensor) -> Result<Option<Tensor>> {
        let (n, width) = gate_up.dims2()?;
        let f = width / 2;
        let (mut d_gate_up, mut a) = (vec![0.0; n * width], vec![0.0; n * f]);
        with_slice(gate_up, |gate_up| {
            with_slice(da, |da| {
                let inputs = gate_up.par_chunks(ROWS * width).zip(da.par_chunks(ROWS * f));
                let outputs = d_gate_up.par_chunks_mut(ROWS * width).zip(a.par_chunks_mut(ROWS * f));
                inputs
                    .zip(outputs)
                    .try_for_each(|((gate_up, da), (d, a))| swiglu::backward(gate_up, f, da, d, a))
                    .map_err(kernel)
            })
        })?;
        Tensor::from_vec(d_gate_up, (n, width), &Device::Cpu).map(Some)
    }
}

pub(super) struct Attention {
    heads: Heads,
    window: Option<usize>,
    packing: Packing,
    saved: Mutex<Saved>,
}

/// What the backward pass of attention needs.
#[derive(Default)]
struct Saved {
    /// Rotated, `[N, (H+2K)·D]`.
    qkv: Vec<f32>,
    /// `[N, H]`.
    log_sum: Vec<f32>,
}

impl Attention {
    pub(super) fn new(heads: Heads, window: Option<usize>, packing: &Packing) -> Self {
        Self { heads, window, packing: packing.clone(), saved: Mutex::default() }
    }

    fn sequences(&self) -> impl Iterator<Item = usize> + '_ {
        let rows = &self.packing.rows;
        (0..rows.sequences()).map(|i| rows.range(i).len())
    }

    /// Cuts rows of `width` elements into the sequences'.
    fn cut<'a>(&self, width: usize, mut rows: &'a [f32]) -> Vec<&'a [f32]> {
        let cut = |len: usize| {
            let (head, tail) = rows.split_at(len * width);
            rows = tail;
            head
        };
        self.sequences().map(cut).collect()
    }

    fn cut_mut<'a>(&self, width: usize, mut rows: &'a mut [f32]) -> Vec<&'a mut [f32]> {
        let cut = |len: usize| {
            let (head, tail) = std::mem::take(&mut rows).split_at_mut(len * width);
            rows = tail;
            head
        };
        self.sequences().map(cut).collect()
    }

    fn rotate(&self, qkv: &mut [f32], rotation: Rotation) -> std::result::Result<(), tdrm_kernels::ShapeError> {
        let (width, rotated) = (self.heads.width(), self.heads.query + self.heads.key_value);
        self.packing.rope.rotate(qkv, width, rotated, 0..qkv.len() / width, rotation)
    }
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (heads, n) = (&self.heads, self.packing.rows.len());
        let mut qkv = slice(storage, layout)?.to_vec();
        let (mut o, mut log_sum) = (vec![0.0; n * heads.query_width()], vec![0.0; n * heads.query]);
        let outputs = self.cut_mut(heads.query_width(), &mut o).into_par_iter();
        let outputs = outputs.zip(self.cut_mut(heads.query, &mut log_sum));
        let tasks = self.cut_mut(heads.width(), &mut qkv).into_par_iter().zip(outputs);
        tasks
            .try_for_each(|(qkv, (o, log_sum))| {
                self.rotate(qkv, Rotation::Forward)?;
                attention::forward(heads, self.window, qkv, o, log_sum)
            })
            .map_err(kernel)?;
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = Saved { qkv, log_sum };
        Ok(output(o, (n, heads.query_width())))
    }

    fn bwd(&self, qkv: &Tensor, o: &Tensor, d_o: &Tensor) -> Result<Option<Tensor>> {
        let heads = &self.heads;
        let saved = std::mem::take(&mut *self.saved.lock().unwrap_or_else(PoisonError::into_inner));
        let mut d_qkv = vec![0.0; saved.qkv.len()];
        with_slice(o, |o| {
            with_slice(d_o, |d_o| {
                let (out, width) = (heads.query_width(), heads.width());
                let outputs = self.cut(out, o).into_par_iter().zip(self.cut(out, d_o));
                let inputs = self.cut(width, &saved.qkv).into_par_iter().zip(self.cut(heads.query, &saved.log_sum));
                let tasks = inputs.zip(outputs).zip(self.cut_mut(width, &mut d_qkv));
                tasks
                    .try_for_each(|(((qkv, log_sum), (o, d_o)), d_qkv)| {
                        attention::backward(heads, self.window, qkv, o, log_sum, d_o, d_qkv)?;
                        self.rotate(d_qkv, Rotation::Backward)
                    })
                    .map_err(kernel)
            })
        })?;
        Tensor::from_vec(d_qkv, qkv.shape(), &Device::Cpu).map(Some)
    }
}
