//! A parameter in training: what of it is trained, its gradient and its moments.

use std::ops::Range;

use candle_core::{DType, Tensor, Var};
use tdrm_kernels::adamw::AdamW;

use super::host::Host;
use super::tensors::Tensors;
use crate::LmError;
use crate::ops::{Engine, Weight};
use crate::placement::Storage;
use crate::weights::Spec;

/// A parameter's part of the training.
#[derive(Debug)]
pub(super) struct Slot {
    len: usize,
    /// Elements that are trained.
    trained: Vec<Range<usize>>,
    /// Of these, the ones that weight decay leaves alone.
    undecayed: Vec<Range<usize>>,
    state: State,
}

/// Gradient and moments, where the parameter lies.
#[derive(Debug)]
enum State {
    /// Beside a parameter in 32 bits on the processor.
    Host(Host),
    /// On the device of any other.
    Tensors(Tensors),
}

/// What a saved run knows of a parameter: weights in 32 bits, first and second moments.
pub(super) type Saved = [Vec<f32>; 3];

/// `Σ g²` of a gradient, perhaps not read from a device yet.
#[derive(Debug, Default)]
pub(super) struct Squares {
    host: f64,
    /// Partial sums in 64 bits.
    device: Vec<Tensor>,
}

impl Squares {
    pub(super) fn add(&mut self, sum: f64) {
        self.host += sum;
    }

    pub(super) fn push(&mut self, sums: Tensor) {
        self.device.push(sums);
    }

    /// Reads what lies on a device, in one transfer.
    pub(super) fn total(&self) -> Result<f64, LmError> {
        if self.device.is_empty() {
            return Ok(self.host);
        }
        Ok(self.host + Tensor::cat(&self.device, 0)?.to_vec1::<f64>()?.into_iter().sum::<f64>())
    }
}

impl Slot {
    pub(super) fn new(spec: &Spec, storage: &Storage, trained: impl Fn(&str) -> bool) -> Self {
        let parts = spec.parts.iter().zip(spec.ranges()).filter(|(part, _)| trained(&part.name));
        let trained: Vec<_> = parts.map(|(_, range)| range).collect();
        let in_place = storage.is_fused() && storage.dtype == DType::F32;
        let state = if in_place { State::Host(Host::default()) } else { State::Tensors(Tensors::default()) };
        Self { len: spec.len(), trained, undecayed: Vec::new(), state }
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
        let sink = || match &self.state {
            State::Host(host) => host.sink(),
            State::Tensors(tensors) => tensors.sink(),
        };
        let sink = (engine == Engine::Fused && self.is_trained()).then(sink);
        let tracked = self.is_trained() && sink.is_none();
        Weight { tensor: if tracked { parameter.as_tensor().clone() } else { parameter.as_detached_tensor() }, sink }
    }

    /// Adds a gradient that candle found.
    pub(super) fn add(&mut self, gradient: &Tensor) -> Result<(), LmError> {
        match &mut self.state {
            State::Host(host) => host.add(gradient),
            State::Tensors(tensors) => tensors.add(gradient),
        }
    }

    /// The accumulated gradient, if there is any that can be read.
    pub(super) fn gradient(&self) -> Option<Vec<f32>> {
        let gradient = match &self.state {
            State::Host(host) => host.gradient(),
            State::Tensors(tensors) => tensors.gradient(),
        };
        gradient.filter(|_| self.is_trained())
    }

    /// Adds the squares of the trained elements' gradient.
    pub(super) fn squares(&self, squares: &mut Squares) -> Result<(), LmError> {
        match &self.state {
            State::Host(host) => host.squares(&self.trained, squares),
            State::Tensors(tensors) => tensors.squares(&self.trained, squares)?,
        }
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        match &mut self.state {
            State::Host(host) => host.clear(),
            State::Tensors(tensors) => tensors.clear(),
        }
    }

    /// What is saved of a parameter of this type that has these values. Where it was set to something else than the rounded weights,
    /// the new value counts.
    pub(super) fn saved(&self, values: Vec<f32>, dtype: DType) -> Result<Saved, LmError> {
        match &self.state {
            State::Host(host) => Ok(host.saved(values)),
            State::Tensors(tensors) => tensors.saved(values, dtype),
        }
    }

    /// Continues from what was saved; the parameter is set by the caller.
    pub(super) fn restore(&mut self, saved: Saved, parameter: &Var) -> Result<(), LmError> {
        match &mut self.state {
            State::Host(host) => host.restore(saved),
            State::Tensors(tensors) => tensors.restore(&saved, parameter)?,
        }
        Ok(())
    }

    /// One step of `AdamW`.
    pub(super) fn step(&mut self, constants: &AdamW, parameter: &Var) -> Result<(), LmError> {
        let constants_of = |range: &Range<usize>| {
            let weight_decay = if self.undecayed.contains(range) { 0.0 } else { constants.weight_decay };
            (range.clone(), AdamW { weight_decay, ..*constants })
        };
        let parts: Vec<_> = self.trained.iter().map(constants_of).collect();
        if parts.is_empty() {
            return Ok(());
        }
        match &mut self.state {
            State::Host(host) => host.step(&parts, parameter),
            State::Tensors(tensors) => tensors.step(&parts, parameter),
        }
    }
}
