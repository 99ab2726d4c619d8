//! The processor in place of a GPU: the same kernels, compiled by a C++ compiler.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use candle_core::{DType, Device, Result, Shape, Tensor};
use half::bf16;
use tdrm_kernels::cuda::{Access, Element, Kind, Launch};

#[path = "../../../../kernels/tests/emulator/mod.rs"]
mod emulator;

pub(in crate::ops) fn fresh(
    launch: &Launch,
    dtype: DType,
    inputs: &[&Tensor],
    shape: impl Into<Shape>,
) -> Result<Tensor> {
    let element = element(dtype);
    let written = launch.operands().iter().find(|operand| operand.access == Access::Write).unwrap();
    let room = vec![0; written.len * emulator::size(written.kind, element)];
    let dtype = match (written.kind, element) {
        (Kind::Element, Element::Bf16) => DType::BF16,
        (Kind::F64, _) => DType::F64,
        _ => DType::F32,
    };
    tensor(&run(launch, element, inputs, room), dtype)?.reshape(shape.into())
}

pub(in crate::ops) fn in_place(launch: &Launch, dtype: DType, target: &Tensor, inputs: &[&Tensor]) -> Result<()> {
    let after = run(launch, element(dtype), inputs, bytes(target));
    target.flatten_all()?.slice_set(&tensor(&after, target.dtype())?, 0, 0)
}

fn element(dtype: DType) -> Element {
    if dtype == DType::BF16 { Element::Bf16 } else { Element::F32 }
}

/// What is written.
fn run(launch: &Launch, element: Element, inputs: &[&Tensor], target: Vec<u8>) -> Vec<u8> {
    let (mut inputs, mut target) = (inputs.iter(), Some(target));
    let operand = |access| match access {
        Access::Write => target.take().unwrap(),
        Access::Read => bytes(inputs.next().unwrap()),
    };
    let operands: Vec<_> = launch.operands().iter().map(|operand| operand.access).map(operand).collect();
    assert!(inputs.next().is_none(), "{}", launch.kernel());
    let place = launch.operands().iter().position(|operand| operand.access == Access::Write).unwrap();
    emulator::run(element, launch, &operands).expect("a C++ compiler").remove(place)
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let flat = tensor.flatten_all().unwrap();
    match tensor.dtype() {
        DType::BF16 => flat.to_vec1::<bf16>().unwrap().into_iter().flat_map(bf16::to_ne_bytes).collect(),
        DType::U32 => flat.to_vec1::<u32>().unwrap().into_iter().flat_map(u32::to_ne_bytes).collect(),
        _ => flat.to_vec1::<f32>().unwrap().into_iter().flat_map(f32::to_ne_bytes).collect(),
    }
}

fn tensor(bytes: &[u8], dtype: DType) -> Result<Tensor> {
    let len = bytes.len() / dtype.size_in_bytes();
    match dtype {
        DType::BF16 => Tensor::from_iter(bytes.as_chunks().0.iter().map(|x| bf16::from_ne_bytes(*x)), &Device::Cpu),
        DType::F64 => Tensor::from_iter(bytes.as_chunks().0.iter().map(|x| f64::from_ne_bytes(*x)), &Device::Cpu),
        _ => Tensor::from_iter(bytes.as_chunks().0.iter().map(|x| f32::from_ne_bytes(*x)), &Device::Cpu),
    }?
    .reshape(len)
}
