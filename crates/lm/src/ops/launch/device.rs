//! Launches on a GPU.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::CudaDType;
use candle_core::{
    CpuStorage, CudaDevice, CudaStorage, CustomOp1, DType, Device, Error, InplaceOp1, Layout, Result, Shape, Storage,
    Tensor,
};
use half::bf16;
use tdrm_kernels::cuda::{Access, Buffer, DeviceError, Element, Kind, Launch, Module, room, without_events};

/// A GPU, opened once: everything on it is done in the order of one stream, on whatever thread it is started. (candle's
/// usual stream is another one on each thread, and passes run on a pool.)
pub(crate) fn open_gpu(ordinal: usize) -> Result<Device> {
    static OPEN: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = open.get(&ordinal) {
        return Ok(device.clone());
    }
    let device = Device::new_cuda_with_stream(ordinal)?;
    without_events(&device.as_cuda_device()?.cuda_stream());
    open.insert(ordinal, device.clone());
    Ok(device)
}

/// What a launch of the kernels for a type writes, given what it reads, in the order of its operands.
pub(in crate::ops) fn fresh(
    launch: &Launch,
    dtype: DType,
    inputs: &[&Tensor],
    shape: impl Into<Shape>,
) -> Result<Tensor> {
    let inputs = inputs.iter().map(|input| input.contiguous()).collect::<Result<Vec<_>>>()?;
    let [first, others @ ..] = inputs.as_slice() else {
        return Err(Error::Msg("a launch reads nothing".to_owned()));
    };
    first.apply_op1_no_bwd(&Work { launch, element: element(dtype), others, shape: shape.into() })
}

/// Changes the one operand that a launch of the kernels for a type writes, given what it reads.
pub(in crate::ops) fn in_place(launch: &Launch, dtype: DType, target: &Tensor, inputs: &[&Tensor]) -> Result<()> {
    let others = inputs.iter().map(|input| input.contiguous()).collect::<Result<Vec<_>>>()?;
    target.inplace_op1(&Work { launch, element: element(dtype), others: &others, shape: Shape::from(()) })
}

/// A launch as an operation of candle.
struct Work<'a> {
    launch: &'a Launch,
    element: Element,
    others: &'a [Tensor],
    shape: Shape,
}

fn element(dtype: DType) -> Element {
    if dtype == DType::BF16 { Element::Bf16 } else { Element::F32 }
}

fn range(layout: &Layout) -> Result<std::ops::Range<usize>> {
    let offsets = layout.contiguous_offsets();
    let (start, end) = offsets.ok_or_else(|| Error::Msg("a launch needs contiguous tensors".to_owned()))?;
    Ok(start..end)
}

/// The elements of a tensor, to be read.
fn lend<'a>(storage: &'a CudaStorage, layout: &Layout) -> Result<Buffer<'a>> {
    let range = range(layout)?;
    match storage.dtype() {
        DType::F32 => Ok(Buffer::F32(storage.as_cuda_slice::<f32>()?.slice(range))),
        DType::BF16 => Ok(Buffer::Bf16(storage.as_cuda_slice::<bf16>()?.slice(range))),
        DType::U32 => Ok(Buffer::U32(storage.as_cuda_slice::<u32>()?.slice(range))),
        other => Err(Error::Msg(format!("a launch does not read {other:?}"))),
    }
}

/// The elements of a tensor, to be written.
fn lend_mut<'a>(storage: &'a mut CudaStorage, layout: &Layout) -> Result<Buffer<'a>> {
    let range = range(layout)?;
    match storage.dtype() {
        DType::F32 => Ok(Buffer::F32Mut(storage.as_cuda_slice_mut::<f32>()?.slice_mut(range))),
        DType::BF16 => Ok(Buffer::Bf16Mut(storage.as_cuda_slice_mut::<bf16>()?.slice_mut(range))),
        DType::F64 => Ok(Buffer::F64Mut(storage.as_cuda_slice_mut::<f64>()?.slice_mut(range))),
        other => Err(Error::Msg(format!("a launch does not write {other:?}"))),
    }
}

/// Room for what a launch writes.
fn output(device: &CudaDevice, launch: &Launch, element: Element) -> Result<CudaStorage> {
    fn of<T: CudaDType + tdrm_kernels::cuda::Number>(device: &CudaDevice, len: usize) -> Result<CudaStorage> {
        let memory = room::<T>(&device.cuda_stream(), len).map_err(wrap)?;
        Ok(CudaStorage::wrap_cuda_slice(memory, device.clone()))
    }
    let written = launch.operands().iter().find(|operand| operand.access == Access::Write);
    let written = written.ok_or_else(|| Error::Msg("a launch writes nothing".to_owned()))?;
    match (written.kind, element) {
        (Kind::Element, Element::Bf16) => of::<bf16>(device, written.len),
        (Kind::Element | Kind::F32, _) => of::<f32>(device, written.len),
        (Kind::F64, _) => of::<f64>(device, written.len),
        (Kind::U32, _) => Err(Error::Msg("no kernel writes integers".to_owned())),
    }
}

fn wrap(error: DeviceError) -> Error {
    Error::wrap(error)
}

impl Work<'_> {
    /// Launches with `written` where the launch writes, and `first` before the other inputs.
    fn run(&self, device: &CudaDevice, written: Buffer<'_>, first: Option<Buffer<'_>>) -> Result<()> {
        let guards: Vec<_> = self.others.iter().map(Tensor::storage_and_layout).collect();
        let others = guards.iter().map(|(storage, layout)| match &**storage {
            Storage::Cuda(storage) => lend(storage, layout),
            _ => Err(Error::Msg("a launch needs tensors on its GPU".to_owned())),
        });
        let mut inputs = first.map(Ok).into_iter().chain(others);
        let mut written = Some(written);
        let mut buffers = Vec::with_capacity(self.launch.operands().len());
        for operand in self.launch.operands() {
            let next = match operand.access {
                Access::Write => written.take().map(Ok),
                Access::Read => inputs.next(),
            };
            buffers.push(next.unwrap_or_else(|| Err(Error::Msg("an operand is missing".to_owned())))?);
        }
        let stream = device.cuda_stream();
        let module = Module::of(&stream, self.element).map_err(wrap)?;
        module.launch(&stream, self.launch, &mut buffers).map_err(wrap)
    }
}

impl CustomOp1 for Work<'_> {
    fn name(&self) -> &'static str {
        self.launch.kernel()
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Err(Error::Msg(format!("{} is for GPUs", self.launch.kernel())))
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let device = storage.device();
        let mut output = output(device, self.launch, self.element)?;
        let whole = Layout::contiguous(self.shape.clone());
        self.run(device, lend_mut(&mut output, &whole)?, Some(lend(storage, layout)?))?;
        Ok((output, self.shape.clone()))
    }
}

impl InplaceOp1 for Work<'_> {
    fn name(&self) -> &'static str {
        self.launch.kernel()
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        Err(Error::Msg(format!("{} is for GPUs", self.launch.kernel())))
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let device = storage.device().clone();
        self.run(&device, lend_mut(storage, layout)?, None)
    }
}
