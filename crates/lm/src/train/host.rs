//! Gradient and moments beside a parameter in 32 bits on the processor.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, Var};
use tdrm_kernels::adamw::{self, AdamW};

use super::slot::{Saved, Squares};
use crate::LmError;
use crate::model::to_vec;
use crate::ops::Sink;

#[derive(Debug, Default)]
pub(super) struct Host {
    /// The accumulated gradient; empty where no loss has depended on the parameter since the last step.
    gradient: Sink,
    /// Made with the first step.
    first_moment: Vec<f32>,
    second_moment: Vec<f32>,
}

impl Host {
    /// Where the fused form adds the gradient.
    pub(super) fn sink(&self) -> Sink {
        Arc::clone(&self.gradient)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<f32>> {
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&mut self, gradient: &Tensor) -> std::result::Result<(), LmError> {
        let values = to_vec(gradient)?;
        let mut total = self.lock();
        total.resize(values.len(), 0.0);
        total.iter_mut().zip(values).for_each(|(t, g)| *t += g);
        Ok(())
    }

    pub(super) fn gradient(&self) -> Option<Vec<f32>> {
        let gradient = self.lock();
        (!gradient.is_empty()).then(|| gradient.clone())
    }

    pub(super) fn squares(&self, trained: &[Range<usize>], squares: &mut Squares) {
        let gradient = self.lock();
        let trained = trained.iter().filter(|_| !gradient.is_empty());
        squares.add(trained.map(|range| adamw::sum_of_squares(&gradient[range.clone()])).sum());
    }

    pub(super) fn clear(&mut self) {
        self.lock().clear();
    }

    pub(super) fn saved(&self, values: Vec<f32>) -> Saved {
        let zeros = || vec![0.0; values.len()];
        let moment = |moment: &Vec<f32>| if moment.is_empty() { zeros() } else { moment.clone() };
        let (first, second) = (moment(&self.first_moment), moment(&self.second_moment));
        [values, first, second]
    }

    pub(super) fn restore(&mut self, [_, first, second]: Saved) {
        self.first_moment = first;
        self.second_moment = second;
    }

    pub(super) fn step(
        &mut self,
        parts: &[(Range<usize>, AdamW)],
        parameter: &Var,
    ) -> std::result::Result<(), LmError> {
        let gradient = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        if gradient.is_empty() {
            return Ok(());
        }
        self.first_moment.resize(gradient.len(), 0.0);
        self.second_moment.resize(gradient.len(), 0.0);
        let moments = Mutex::new((self.first_moment.as_mut_slice(), self.second_moment.as_mut_slice()));
        Ok(parameter.inplace_op1(&Step { parts, gradient: &gradient, moments })?)
    }
}

/// The step as an operation on a parameter's storage.
struct Step<'a> {
    parts: &'a [(Range<usize>, AdamW)],
    gradient: &'a [f32],
    moments: Mutex<(&'a mut [f32], &'a mut [f32])>,
}

impl InplaceOp1 for Step<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
        let CpuStorage::F32(theta) = storage else {
            return Err(candle_core::Error::Msg("AdamW in place needs 32-bit weights".to_owned()));
        };
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, second) = &mut *moments;
        for (range, constants) in self.parts {
            let (m, v) = (&mut first[range.clone()], &mut second[range.clone()]);
            let (theta, gradient) = (&mut theta[range.clone()], &self.gradient[range.clone()]);
            adamw::step(constants, theta, gradient, m, v).map_err(candle_core::Error::wrap)?;
        }
        Ok(())
    }
}
