//! Which implementation of the model a trainer runs.

use dfdx::tensor::Cpu;

use crate::composed::{self, Ask};
use crate::tape::{Graph, Outputs, Pool, floats};
use crate::{Lm, LmError};
use tdrm_kernels::batch::Packed;

/// Which implementation of the model a [`Trainer`](crate::Trainer) runs; results agree up to rounding.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Engine {
    /// The fused kernels on the CPU.
    #[default]
    Fused,
    /// dfdx's own operations on one of its devices.
    Composed(Device),
}

/// A device of dfdx.
#[derive(Debug, Clone)]
pub struct Device(Inner);

#[derive(Debug, Clone)]
enum Inner {
    Cpu(Cpu),
    #[cfg(feature = "cuda")]
    Cuda(dfdx::tensor::Cuda),
}

impl Device {
    /// The CPU: slower than [`Engine::Fused`], for checking.
    #[must_use]
    pub fn cpu() -> Self {
        Self(Inner::Cpu(Cpu::default()))
    }

    /// An NVIDIA GPU, by number.
    ///
    /// # Errors
    /// If there is no such device or the driver fails.
    #[cfg(feature = "cuda")]
    pub fn cuda(ordinal: usize) -> Result<Self, LmError> {
        let device = dfdx::tensor::Cuda::try_build(ordinal, 0).map_err(|error| LmError::Tape(format!("{error:?}")))?;
        Ok(Self(Inner::Cuda(device)))
    }
}

impl Engine {
    /// Outputs `[log π (P) | entropy (P)]` go to `ask`; ∂(c·outputs)/∂parameters is added to `gradient`.
    pub(crate) fn policy(
        &self,
        lm: &Lm,
        packed: Packed,
        temperature: f32,
        pool: &Pool,
        ask: Ask<'_>,
        gradient: &mut Vec<f32>,
    ) -> Result<(), LmError> {
        match self {
            Self::Fused => {
                let graph = Graph::new(lm, packed, pool.clone());
                let outputs = graph.scores(graph.hidden()?, temperature)?;
                finish(&graph, outputs, ask, gradient)
            }
            Self::Composed(Device(Inner::Cpu(cpu))) => composed::policy(lm, &packed, temperature, cpu, ask, gradient),
            #[cfg(feature = "cuda")]
            Self::Composed(Device(Inner::Cuda(cuda))) => {
                composed::policy(lm, &packed, temperature, cuda, ask, gradient)
            }
        }
    }

    /// As [`Engine::policy`] for the scalar head's outputs, `[P]`.
    pub(crate) fn value(
        &self,
        lm: &Lm,
        packed: Packed,
        pool: &Pool,
        ask: Ask<'_>,
        gradient: &mut Vec<f32>,
    ) -> Result<(), LmError> {
        match self {
            Self::Fused => {
                let graph = Graph::new(lm, packed, pool.clone());
                let outputs = graph.values(graph.hidden()?)?;
                finish(&graph, outputs, ask, gradient)
            }
            Self::Composed(Device(Inner::Cpu(cpu))) => composed::value(lm, &packed, cpu, ask, gradient),
            #[cfg(feature = "cuda")]
            Self::Composed(Device(Inner::Cuda(cuda))) => composed::value(lm, &packed, cuda, ask, gradient),
        }
    }
}

/// Asks for the coefficients and lends the gradient buffer to the backward pass.
fn finish(graph: &Graph, outputs: Outputs, ask: Ask<'_>, gradient: &mut Vec<f32>) -> Result<(), LmError> {
    let coefficients = ask(&floats(&outputs))?;
    let len = gradient.len();
    match graph.backward(outputs, coefficients, std::mem::take(gradient)) {
        Ok(buffer) => *gradient = buffer,
        Err(error) => {
            // The buffer is gone with the tape: what was accumulated is lost, and the caller learns of it.
            gradient.resize(len, 0.0);
            return Err(error);
        }
    }
    Ok(())
}
