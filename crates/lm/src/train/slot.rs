//! A parameter in training: its gradient and its moments.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Result, Tensor, Var};
use half::bf16;
use tdrm_kernels::adamw::{self, AdamW};

use crate::LmError;
use crate::model::to_vec;
use crate::ops::{Engine, Sink, Weight};
use crate::weights::Spec;

/// A parameter's part of the training.
#[derive(Debug)]
pub(super) struct Slot {
    len: usize,
    /// Elements that are trained.
    trained: Vec<Range<usize>>,
    /// Of these, the ones that weight decay leaves alone.
    undecayed: Vec<Range<usize>>,
    /// The accumulated gradient; empty where no loss has depended on the parameter since the last step.
    gradient: Sink,
    /// The weights in 32 bits, where the parameter has fewer; empty before the first step.
    master: Vec<f32>,
    pub(super) first_moment: Vec<f32>,
    pub(super) second_moment: Vec<f32>,
}

impl Slot {
    pub(super) fn new(spec: &Spec, trained: impl Fn(&str) -> bool) -> Self {
        let parts = spec.parts.iter().zip(spec.ranges()).filter(|(part, _)| trained(&part.name));
        let trained: Vec<_> = parts.map(|(_, range)| range).collect();
        // Moments are made with the first step.
        let (first_moment, second_moment) = (Vec::new(), Vec::new());
        let (undecayed, gradient, master) = (Vec::new(), Sink::default(), Vec::new());
        Self { len: spec.len(), trained, undecayed, gradient, master, first_moment, second_moment }
    }

    /// Decays only the parts whose names satisfy `decayed`.
    pub(super) fn decay(&mut self, spec: &Spec, decayed: impl Fn(&str) -> bool) {
        let parts = spec.parts.iter().zip(spec.ranges()).filter(|(part, _)| !decayed(&part.name));
        self.undecayed = parts.map(|(_, range)| range).collect();
    }

    /// Elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether anything is trained.
    pub(super) fn is_trained(&self) -> bool {
        !self.trained.is_empty()
    }

    /// Whether these elements are trained.
    pub(super) fn trains(&self, range: &Range<usize>) -> bool {
        self.trained.contains(range)
    }

    /// The parameter as a training pass sees it.
    pub(super) fn weight(&self, engine: Engine, parameter: &Var) -> Weight {
        match (self.trained.is_empty(), engine) {
            (true, _) => Weight { tensor: parameter.as_detached_tensor(), sink: None },
            (false, Engine::Fused) => {
                Weight { tensor: parameter.as_detached_tensor(), sink: Some(Arc::clone(&self.gradient)) }
            }
            (false, Engine::Composed) => Weight { tensor: parameter.as_tensor().clone(), sink: None },
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<f32>> {
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a gradient that candle found.
    pub(super) fn add(&mut self, gradient: &Tensor) -> std::result::Result<(), LmError> {
        let values = to_vec(gradient)?;
        let mut total = self.lock();
        total.resize(self.len, 0.0);
        total.iter_mut().zip(values).for_each(|(t, g)| *t += g);
        Ok(())
    }

    /// The accumulated gradient, if there is any.
    pub(super) fn gradient(&self) -> Option<Vec<f32>> {
        let gradient = self.lock();
        (!gradient.is_empty() && !self.trained.is_empty()).then(|| gradient.clone())
    }

    pub(super) fn sum_of_squares(&self) -> f64 {
        let gradient = self.lock();
        let trained = self.trained.iter().filter(|_| !gradient.is_empty());
        trained.map(|range| adamw::sum_of_squares(&gradient[range.clone()])).sum()
    }

    pub(super) fn clear(&mut self) {
        self.lock().clear();
    }

    /// The weights in 32 bits of a parameter that has these values. Where it was set to something else than the rounded
    /// weights, the new value counts.
    pub(super) fn weights(&self, mut values: Vec<f32>) -> Vec<f32> {
        for (value, &master) in values.iter_mut().zip(&self.master) {
            if bf16::from_f32(master) == bf16::from_f32(*value) {
                *value = master;
            }
        }
        values
    }

    /// Keeps weights in 32 bits where the parameter has fewer.
    pub(super) fn set_master(&mut self, weights: &[f32], parameter: &Var) {
        self.master.clear();
        if parameter.dtype() == DType::BF16 {
            self.master.extend_from_slice(weights);
        }
    }

    /// One step of `AdamW`.
    pub(super) fn step(&mut self, constants: &AdamW, parameter: &Var) -> std::result::Result<(), LmError> {
        if self.trained.is_empty() || self.lock().is_empty() {
            return Ok(());
        }
        let on_cpu = parameter.device().is_cpu() && parameter.dtype() == DType::F32;
        let mut weights = Vec::new();
        if !on_cpu {
            weights = self.weights(to_vec(&parameter.as_detached_tensor())?);
        }
        self.first_moment.resize(self.len, 0.0);
        self.second_moment.resize(self.len, 0.0);
        let gradient = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        let moments = Mutex::new((self.first_moment.as_mut_slice(), self.second_moment.as_mut_slice()));
        let step = Step { constants, gradient: &gradient, trained: &self.trained, undecayed: &self.undecayed, moments };
        if on_cpu {
            parameter.inplace_op1(&step)?;
            return Ok(());
        }
        // Master weights and moments stay on the host.
        step.apply(&mut weights)?;
        drop(gradient);
        let values = Tensor::from_slice(&weights, parameter.shape(), &Device::Cpu)?.to_dtype(parameter.dtype())?;
        parameter.set(&values.to_device(parameter.device())?)?;
        self.set_master(&weights, parameter);
        Ok(())
    }
}

/// The step as an operation on a parameter's storage.
struct Step<'a> {
    constants: &'a AdamW,
    gradient: &'a [f32],
    trained: &'a [Range<usize>],
    undecayed: &'a [Range<usize>],
    moments: Mutex<(&'a mut [f32], &'a mut [f32])>,
}

impl Step<'_> {
    fn apply(&self, theta: &mut [f32]) -> Result<()> {
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, second) = &mut *moments;
        for range in self.trained {
            let (m, v) = (&mut first[range.clone()], &mut second[range.clone()]);
            let weight_decay = if self.undecayed.contains(range) { 0.0 } else { self.constants.weight_decay };
            let constants = AdamW { weight_decay, ..*self.constants };
            adamw::step(&constants, &mut theta[range.clone()], &self.gradient[range.clone()], m, v)
                .map_err(candle_core::Error::wrap)?;
        }
        Ok(())
    }
}

impl InplaceOp1 for Step<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
        match storage {
            CpuStorage::F32(theta) => self.apply(theta),
            _ => Err(candle_core::Error::Msg("AdamW in place needs 32-bit weights".to_owned())),
        }
    }
}
