//! The model as operations on dfdx's tape.
//!
//! The residual stream is a dfdx tensor `[N, d]`; each decoder layer is one operation, made of the public parts of dfdx
//! (`split_tape`, `add_backward_op`, `ghost`, `Gradients::get_or_alloc_mut`). All parameters are one leaf, whose
//! gradient buffer is lent to the tape and taken back, so neither weights nor their gradients are ever copied.
//!
//! An operation needs its output's gradient while it writes its inputs'. Both live in one map, so the buffer that is
//! read is taken out of the map first: nothing else will ask for it again.

use std::ops::DerefMut;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dfdx::prelude::*;
use dfdx::tensor::{Cpu, CpuError, OwnedTape, Tape as _};
use tdrm_kernels::ShapeError;
use tdrm_kernels::head::{self, HeadGradients, Picks};
use tdrm_kernels::layer::{self, Saved, Workspace};
use tdrm_kernels::logprob::Score;

use crate::{Lm, LmError};
use tdrm_kernels::batch::Packed;

type Tape = OwnedTape<f32, Cpu>;
type Leaf = Tensor<(usize,), f32, Cpu>;
/// The residual stream, `[N, d]`, and the tape so far.
pub(crate) type Stream = Tensor<(usize, usize), f32, Cpu, Tape>;
/// Outputs at the picked rows, `[P]` or `[2·P]`, and the tape.
pub(crate) type Outputs = Tensor<(usize,), f32, Cpu, Tape>;

/// Buffers that survive from step to step.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    saved: Vec<Saved>,
    workspace: Workspace,
}

/// Buffers shared by the operations of a tape.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Buffers>>);

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Buffers> {
        // The content of the buffers is unspecified between uses, so a poisoned lock loses nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One batch on its way through one model.
pub(crate) struct Graph {
    lm: Lm,
    packed: Arc<Packed>,
    /// Stands for the flat parameter vector; its own single element is never read.
    parameters: Leaf,
    device: Cpu,
    pool: Pool,
}

/// The kernels' error in dfdx's vocabulary; lengths are checked before the tape is built, so it does not occur.
fn wrong_shape(_: ShapeError) -> CpuError {
    CpuError::WrongNumElements
}

fn dfdx_error(error: CpuError) -> LmError {
    LmError::Tape(error.to_string())
}

/// A place in the map of gradients, as dfdx hands it out.
type Place<'a, B> = Result<&'a mut B, CpuError>;

/// Takes a tensor's gradient out of its place.
fn take(place: Place<'_, impl DerefMut<Target = Vec<f32>>>) -> Result<Vec<f32>, CpuError> {
    place.map(|buffer| std::mem::take(&mut **buffer))
}

/// Puts a gradient in its place.
fn put(place: Place<'_, impl DerefMut<Target = Vec<f32>>>, gradient: Vec<f32>) -> Result<(), CpuError> {
    place.map(|buffer| **buffer = gradient)
}

/// Adds to the gradient in its place.
fn add(place: Place<'_, impl DerefMut<Target = Vec<f32>>>, term: &[f32]) -> Result<(), CpuError> {
    place.map(|buffer| buffer.iter_mut().zip(term).for_each(|(g, t)| *g += t))
}

/// A tensor's elements. dfdx's own `as_vec` walks them one by one, and panics if there are none.
pub(crate) fn floats<S: Shape, T>(tensor: &Tensor<S, f32, Cpu, T>) -> Vec<f32> {
    let mut elements = vec![0.0; tensor.shape().num_elements()];
    tensor.copy_into(&mut elements);
    elements
}

impl Graph {
    pub(crate) fn new(lm: &Lm, packed: Packed, pool: Pool) -> Self {
        let device = Cpu::default();
        let parameters = device.tensor_from_vec(vec![0.0], (1,));
        Self { lm: lm.clone(), packed: Arc::new(packed), parameters, device, pool }
    }

    /// Embeds the tokens and runs all layers.
    pub(crate) fn hidden(&self) -> Result<Stream, LmError> {
        let mut stream = self.embed(Tape::default());
        for i in 0..self.lm.layout().layers.len() {
            stream = self.layer(i, stream)?;
        }
        Ok(stream)
    }

    fn embed(&self, mut tape: Tape) -> Stream {
        let d = self.lm.config().hidden_size;
        let x = self.device.tensor_from_vec(self.lm.embed(&self.packed.tokens), (self.packed.tokens.len(), d));
        let (output, parameters) = (x.ghost(), self.parameters.clone());
        let (packed, embedding) = (Arc::clone(&self.packed), self.lm.layout().embedding.clone());
        tape.add_backward_op(move |gradients| {
            let dx = take(gradients.get_or_alloc_mut(&output))?;
            let mut gradient = take(gradients.get_or_alloc_mut(&parameters))?;
            for (dx, &token) in dx.chunks_exact(d).zip(&packed.tokens) {
                let row = &mut gradient[embedding.clone()][token as usize * d..(token as usize + 1) * d];
                row.iter_mut().zip(dx).for_each(|(g, x)| *g += x);
            }
            put(gradients.get_or_alloc_mut(&parameters), gradient)
        });
        x.put_tape(tape)
    }

    fn layer(&self, i: usize, x: Stream) -> Result<Stream, LmError> {
        let (x, mut tape) = x.split_tape();
        let (shape, range) = (self.lm.config().layer(), self.lm.layout().layers[i].clone());
        let mut saved = self.pool.lock().saved.pop().unwrap_or_default();
        saved.resize(&shape, self.packed.tokens.len());
        x.copy_into(&mut saved.input);
        let mut y = vec![0.0; saved.input.len()];
        layer::forward(&shape, &self.lm.theta()[range.clone()], self.lm.rope(), &self.packed.rows, &mut saved, &mut y)?;
        let y = self.device.tensor_from_vec(y, *x.shape());
        let (input, output, parameters) = (x.ghost(), y.ghost(), self.parameters.clone());
        let (lm, packed, pool) = (self.lm.clone(), Arc::clone(&self.packed), self.pool.clone());
        tape.add_backward_op(move |gradients| {
            let mut stream = take(gradients.get_or_alloc_mut(&output))?;
            let mut gradient = take(gradients.get_or_alloc_mut(&parameters))?;
            let mut buffers = pool.lock();
            layer::backward(
                &shape,
                &lm.theta()[range.clone()],
                lm.rope(),
                &packed.rows,
                &saved,
                &mut stream,
                &mut gradient[range],
                &mut buffers.workspace,
            )
            .map_err(wrong_shape)?;
            buffers.saved.push(saved);
            put(gradients.get_or_alloc_mut(&parameters), gradient)?;
            add(gradients.get_or_alloc_mut(&input), &stream)
        });
        Ok(y.put_tape(tape))
    }

    /// `[log π (P) | entropy (P)]` of the targets.
    pub(crate) fn scores(&self, x: Stream, temperature: f32) -> Result<Outputs, LmError> {
        let (x, mut tape) = x.split_tape();
        let hidden = floats(&x);
        let (lm, packed) = (self.lm.clone(), Arc::clone(&self.packed));
        let mut scores = vec![Score::default(); packed.picks.len()];
        let picks = Picks::new(&packed.rows, &packed.picks)?;
        head::log_probs(lm.norm(), lm.output(), temperature, picks, &packed.targets, &hidden, &mut scores)?;
        let values = scores.iter().map(|s| s.log_prob).chain(scores.iter().map(|s| s.entropy)).collect();
        let y = self.device.tensor_from_vec(values, (2 * scores.len(),));
        let (input, output, parameters) = (x.ghost(), y.ghost(), self.parameters.clone());
        tape.add_backward_op(move |gradients| {
            let dy = take(gradients.get_or_alloc_mut(&output))?;
            let (d_log_prob, d_entropy) = dy.split_at(packed.picks.len());
            let (mut dx, mut gradient) =
                (take(gradients.get_or_alloc_mut(&input))?, take(gradients.get_or_alloc_mut(&parameters))?);
            let layout = lm.layout();
            // The head's gradient may lie before the norm's (tied) or after it, so the two are computed apart.
            let (mut norm, mut weight) = (vec![0.0; layout.norm.len()], vec![0.0; layout.output().len()]);
            let targets = HeadGradients { x: &mut dx, norm: &mut norm, weight: &mut weight };
            Picks::new(&packed.rows, &packed.picks)
                .and_then(|picks| {
                    let (norm, output) = (lm.norm(), lm.output());
                    let tokens = &packed.targets;
                    head::log_probs_backward(
                        norm,
                        output,
                        temperature,
                        picks,
                        tokens,
                        &hidden,
                        d_log_prob,
                        d_entropy,
                        targets,
                    )
                })
                .map_err(wrong_shape)?;
            gradient[layout.norm.clone()].iter_mut().zip(norm).for_each(|(g, d)| *g += d);
            gradient[layout.output()].iter_mut().zip(weight).for_each(|(g, d)| *g += d);
            put(gradients.get_or_alloc_mut(&input), dx)?;
            put(gradients.get_or_alloc_mut(&parameters), gradient)
        });
        Ok(y.put_tape(tape))
    }

    /// The scalar head at the picked rows, `[P]`.
    pub(crate) fn values(&self, x: Stream) -> Result<Outputs, LmError> {
        let (x, mut tape) = x.split_tape();
        let hidden = floats(&x);
        let (lm, packed) = (self.lm.clone(), Arc::clone(&self.packed));
        let mut values = vec![0.0; packed.picks.len()];
        let (weight, bias) = lm.score();
        head::values(lm.norm(), weight, bias, Picks::new(&packed.rows, &packed.picks)?, &hidden, &mut values)?;
        let y = self.device.tensor_from_vec(values, (packed.picks.len(),));
        let (input, output, parameters) = (x.ghost(), y.ghost(), self.parameters.clone());
        tape.add_backward_op(move |gradients| {
            let dz = take(gradients.get_or_alloc_mut(&output))?;
            let (mut dx, mut gradient) =
                (take(gradients.get_or_alloc_mut(&input))?, take(gradients.get_or_alloc_mut(&parameters))?);
            let layout = lm.layout();
            let (before, score) = gradient.split_at_mut(layout.score.start);
            let (d_weight, d_bias) = score.split_at_mut(layout.score.len() - 1);
            let targets = HeadGradients { x: &mut dx, norm: &mut before[layout.norm.clone()], weight: d_weight };
            d_bias[0] += Picks::new(&packed.rows, &packed.picks)
                .and_then(|picks| head::values_backward(lm.norm(), lm.score().0, picks, &hidden, &dz, targets))
                .map_err(wrong_shape)?;
            put(gradients.get_or_alloc_mut(&input), dx)?;
            put(gradients.get_or_alloc_mut(&parameters), gradient)
        });
        Ok(y.put_tape(tape))
    }

    /// Back-propagates `Σ c · output` into the parameters' gradient buffer, which is handed back.
    pub(crate) fn backward(
        &self,
        outputs: Outputs,
        coefficients: Vec<f32>,
        gradient: Vec<f32>,
    ) -> Result<Vec<f32>, LmError> {
        let c = self.device.tensor_from_vec(coefficients, *outputs.shape());
        let (loss, mut tape) = (outputs * c).sum::<Rank0, _>().split_tape();
        let parameters = self.parameters.clone();
        // The last operation of the tape is the first of the backward pass.
        tape.add_backward_op(move |gradients| put(gradients.get_or_alloc_mut(&parameters), gradient));
        let mut gradients = loss.put_tape(tape).try_backward().map_err(dfdx_error)?;
        take(gradients.get_or_alloc_mut(&self.parameters)).map_err(dfdx_error)
    }
}
