//! Gradient, weights in 32 bits and moments of a parameter of any type, on its device.
//!
//! The parameter is the rounded weights. A step reads it, so that a weight which somebody set in between counts, and
//! writes it; nothing but the gradient's norm leaves the device.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Result, Tensor, Var};
use half::bf16;
use tdrm_kernels::adamw::{self, AdamW};

use super::slot::{Saved, Squares};
use crate::LmError;
use crate::model::to_vec;
use crate::ops::{Sink, cuda, with_slice};

#[derive(Debug, Default)]
pub(super) struct Tensors {
    /// The gradient that candle found, `[len]` in 32 bits; none where no loss has depended on the parameter since the
    /// last step.
    gradient: Option<Tensor>,
    /// The gradient that the fused form adds on the processor; empty where there is none.
    sink: Sink,
    /// Weights in 32 bits, first moments, second moments: `[3, len]`. Made with the first step.
    state: Option<Tensor>,
}

impl Tensors {
    /// Where the fused form adds the gradient.
    pub(super) fn sink(&self) -> Sink {
        Arc::clone(&self.sink)
    }

    /// The accumulated gradient.
    fn total(&self) -> Result<Option<Tensor>> {
        let added = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if added.is_empty() {
            return Ok(self.gradient.clone());
        }
        let added = Tensor::from_slice(&added, added.len(), &Device::Cpu)?;
        Ok(Some(match &self.gradient {
            Some(gradient) => (gradient + added)?,
            None => added,
        }))
    }

    pub(super) fn add(&mut self, gradient: &Tensor) -> std::result::Result<(), LmError> {
        let gradient = gradient.detach().flatten_all()?.to_dtype(DType::F32)?;
        self.gradient = Some(match self.gradient.take() {
            Some(total) => (total + gradient)?,
            None => gradient,
        });
        Ok(())
    }

    pub(super) fn gradient(&self) -> Option<Vec<f32>> {
        self.total().ok().flatten().and_then(|gradient| to_vec(&gradient).ok())
    }

    pub(super) fn squares(&self, trained: &[Range<usize>], squares: &mut Squares) -> Result<()> {
        let Some(gradient) = self.total()? else { return Ok(()) };
        if cuda::runs(&[&gradient]) {
            for range in trained {
                squares.push(cuda::squares(&gradient, range)?);
            }
            return Ok(());
        }
        with_slice(&gradient, |gradient| {
            squares.add(trained.iter().map(|range| adamw::sum_of_squares(&gradient[range.clone()])).sum());
            Ok(())
        })
    }

    pub(super) fn clear(&mut self) {
        self.gradient = None;
        self.sink.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn saved(&self, mut values: Vec<f32>, dtype: DType) -> std::result::Result<Saved, LmError> {
        let Some(state) = &self.state else {
            let zeros = vec![0.0; values.len()];
            return Ok([values, zeros.clone(), zeros]);
        };
        let row = |i: usize| to_vec(&state.get(i)?);
        keep(&mut values, &row(0)?, dtype);
        Ok([values, row(1)?, row(2)?])
    }

    pub(super) fn restore(&mut self, saved: &Saved, parameter: &Var) -> Result<()> {
        let shape = (saved.len(), parameter.elem_count());
        self.state = Some(Tensor::from_vec(saved.concat(), shape, parameter.device())?);
        Ok(())
    }

    /// The state, with zero moments at first.
    fn state(&mut self, weights: &Tensor) -> Result<&Tensor> {
        match &mut self.state {
            Some(state) => Ok(state),
            none => {
                let weights = weights.to_dtype(DType::F32)?.unsqueeze(0)?;
                let moments = Tensor::zeros((2, weights.elem_count()), DType::F32, weights.device())?;
                Ok(none.insert(Tensor::cat(&[weights, moments], 0)?))
            }
        }
    }

    pub(super) fn step(
        &mut self,
        parts: &[(Range<usize>, AdamW)],
        parameter: &Var,
    ) -> std::result::Result<(), LmError> {
        let Some(gradient) = self.total()? else { return Ok(()) };
        // A view: what is written to it is in the parameter.
        let rounded = parameter.as_detached_tensor().flatten_all()?;
        let state = self.state(&rounded)?;
        if cuda::runs(&[state, &gradient, &rounded]) {
            parts
                .iter()
                .try_for_each(|(range, constants)| cuda::adamw(state, &gradient, &rounded, range, constants))?;
        } else {
            let values = to_vec(&rounded)?;
            with_slice(&gradient, |gradient| {
                state.inplace_op1(&Step { parts, gradient, values: &values, dtype: rounded.dtype() })
            })?;
        }
        for (range, _) in parts {
            let weights = state.get(0)?.narrow(0, range.start, range.len())?;
            rounded.slice_set(&weights.to_dtype(rounded.dtype())?, 0, range.start)?;
        }
        Ok(())
    }
}

/// Replaces values of a parameter by the weights behind them, where they are those weights rounded to its type.
fn keep(values: &mut [f32], weights: &[f32], dtype: DType) {
    if dtype != DType::BF16 {
        return;
    }
    for (value, &weight) in values.iter_mut().zip(weights) {
        if bf16::from_f32(weight) == bf16::from_f32(*value) {
            *value = weight;
        }
    }
}

/// The step as an operation on the state, on the processor.
struct Step<'a> {
    parts: &'a [(Range<usize>, AdamW)],
    gradient: &'a [f32],
    /// Of the parameter.
    values: &'a [f32],
    dtype: DType,
}

impl InplaceOp1 for Step<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
        let CpuStorage::F32(state) = storage else {
            return Err(candle_core::Error::Msg("the state of AdamW has 32 bits".to_owned()));
        };
        let (weights, moments) = state.split_at_mut(self.values.len());
        let (first, second) = moments.split_at_mut(self.values.len());
        for (range, constants) in self.parts {
            let range = range.clone();
            let mut theta = self.values[range.clone()].to_vec();
            keep(&mut theta, &weights[range.clone()], self.dtype);
            let (m, v) = (&mut first[range.clone()], &mut second[range.clone()]);
            adamw::step(constants, &mut theta, &self.gradient[range.clone()], m, v)
                .map_err(candle_core::Error::wrap)?;
            weights[range].copy_from_slice(&theta);
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_of_the_kernel_to_the_bit_and_leave_the_rest_alone() {
        let constants = |step| AdamW {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            weight_decay: 0.1,
            step,
            gradient_scale: 1.0,
        };
        let start = [0.5_f32, -0.25, 1.5, 2.0].map(|x| bf16::from_f32(x).to_f32());
        let on_device = |values: &[f32]| Tensor::from_slice(values, (2, 2), &Device::Cpu)?.to_dtype(DType::BF16);
        let parameter = Var::from_tensor(&on_device(&start).unwrap()).unwrap();
        let mut tensors = Tensors::default();
        let (mut theta, mut m, mut v) = ([start[0], start[1]], [0.0; 2], [0.0; 2]);
        for step in 1..=5 {
            let gradient = [0.1 * step as f32, -0.3, 9.0, 9.0];
            tensors.add(&Tensor::from_slice(&gradient, (2, 2), &Device::Cpu).unwrap()).unwrap();
            tensors.step(&[(0..2, constants(step))], &parameter).unwrap();
            tensors.clear();
            adamw::step(&constants(step), &mut theta, &gradient[..2], &mut m, &mut v).unwrap();
            let values = to_vec(parameter.as_tensor()).unwrap();
            assert_eq!(values, [bf16::from_f32(theta[0]).to_f32(), bf16::from_f32(theta[1]).to_f32(), values[2], 2.0]);
            let [weights, first, second] = tensors.saved(values.clone(), DType::BF16).unwrap();
            assert_eq!((&weights[..2], &first[..2], &second[..2]), (&theta[..], &m[..], &v[..]), "step {step}");

            // Somebody sets a trained weight and one that is not trained: both count.
            theta[1] = 0.125 * step as f32;
            let set = [values[0], theta[1], step as f32, 2.0];
            parameter.set(&on_device(&set).unwrap()).unwrap();
        }
        assert_eq!(to_vec(parameter.as_tensor()).unwrap()[2..], [5.0, 2.0]);
    }
}
