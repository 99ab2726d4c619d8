//! Slices of CPU tensors.

use candle_core::{CpuStorage, Error, Layout, Result, Shape, Storage, Tensor, WithDType};
use tdrm_kernels::ShapeError;
use tdrm_kernels::linear::Matrix;

/// Lends the elements of a CPU tensor in 32 bits; those of another type are copied.
pub(crate) fn with_slice<R>(tensor: &Tensor, work: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    with_matrix(tensor, |elements| work(&elements.widened()))
}

/// Lends the elements of a CPU tensor in its own type.
pub(crate) fn with_matrix<R>(tensor: &Tensor, work: impl FnOnce(Matrix<'_>) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage @ CpuStorage::BF16(_)) => work(Matrix::Bf16(elements(storage, layout)?)),
        Storage::Cpu(storage) => work(Matrix::F32(slice(storage, layout)?)),
        _ => Err(Error::Msg("a fused operation needs a tensor on the CPU".to_owned())),
    }
}

/// The elements of a contiguous 32-bit tensor.
pub(super) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    elements(storage, layout)
}

fn elements<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<T>()?[start..end]),
        None => Err(Error::Msg("a fused operation needs a contiguous tensor".to_owned())),
    }
}

/// What a custom operation returns.
pub(super) fn output(values: Vec<f32>, shape: impl Into<Shape>) -> (CpuStorage, Shape) {
    (CpuStorage::F32(values), shape.into())
}

/// A kernel's error as candle's.
pub(super) fn kernel(error: ShapeError) -> Error {
    Error::wrap(error)
}
