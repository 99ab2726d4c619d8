//! Slices of CPU tensors.

use candle_core::{CpuStorage, Error, Layout, Result, Shape, Storage, Tensor};
use tdrm_kernels::ShapeError;

/// Lends the elements of a contiguous 32-bit CPU tensor.
pub(crate) fn with_slice<R>(tensor: &Tensor, work: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => work(slice(storage, layout)?),
        _ => Err(Error::Msg("a fused operation needs a tensor on the CPU".to_owned())),
    }
}

/// The elements of a contiguous 32-bit tensor.
pub(super) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
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
