//! Where a model lies, and in which type.

use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Shape, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::LmError;
use crate::ops::cuda::open_gpu;

/// A device that runs passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An Nvidia GPU by its number; needs the cargo feature `cuda`.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl FromStr for Device {
    type Err = LmError;

    /// `cpu`, `cuda` or `cuda:N`.
    fn from_str(text: &str) -> Result<Self, LmError> {
        let wrong = || LmError::setting("device", "cpu, cuda or cuda:N", text);
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", ordinal)) => ordinal.parse().map(Self::Cuda).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

/// The type of weights and activations. Norms, rotations, softmax, losses and the optimiser are computed in 32 bits
/// either way, and weights that are trained have a copy in 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16: 8 bits of precision, the range of 32-bit floats.
    Bf16,
}

impl FromStr for Precision {
    type Err = LmError;

    /// `f32` or `bf16`, or the names that `config.json` has.
    fn from_str(text: &str) -> Result<Self, LmError> {
        match text {
            "f32" | "float32" => Ok(Self::F32),
            "bf16" | "bfloat16" => Ok(Self::Bf16),
            _ => Err(LmError::setting("dtype", "f32 or bf16", text)),
        }
    }
}

/// Where a model lies, and in which type. The fused engine runs on the processor; elsewhere the composed one does, on a
/// GPU with kernels of its own where nothing is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// The device.
    pub device: Device,
    /// The type.
    pub precision: Precision,
}

impl Placement {
    /// This placement as candle has it.
    pub(crate) fn open(self) -> Result<Storage, LmError> {
        let device = match self.device {
            Device::Cpu => candle_core::Device::Cpu,
            Device::Cuda(_) if !cfg!(feature = "cuda") => {
                return Err(LmError::setting("device", "cpu, as this was built without the feature cuda", self.device));
            }
            Device::Cuda(ordinal) => open_gpu(ordinal)?,
        };
        let dtype = match self.precision {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::BF16,
        };
        Ok(Storage { device, dtype })
    }
}

/// An opened [`Placement`].
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    pub(crate) device: candle_core::Device,
    pub(crate) dtype: DType,
}

impl Storage {
    /// Whether the fused kernels can run here.
    pub(crate) fn is_fused(&self) -> bool {
        self.device.is_cpu()
    }

    /// Values as a tensor here, rounded to its type.
    pub(crate) fn tensor(&self, values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor, LmError> {
        let tensor = Tensor::from_vec(values, shape.into(), &candle_core::Device::Cpu)?;
        Ok(tensor.to_dtype(self.dtype)?.to_device(&self.device)?)
    }

    /// A tensor moved here.
    pub(crate) fn place(&self, tensor: &Tensor) -> Result<Tensor, LmError> {
        Ok(tensor.to_dtype(self.dtype)?.to_device(&self.device)?)
    }

    /// Values as a variable here.
    pub(crate) fn variable(&self, values: Vec<f32>, shape: impl Into<Shape>) -> Result<Var, LmError> {
        Ok(Var::from_tensor(&self.tensor(values, shape)?)?)
    }
}
