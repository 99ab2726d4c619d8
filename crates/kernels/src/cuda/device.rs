//! Launches on a GPU.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{
    CudaFunction, CudaSlice, CudaStream, CudaView, CudaViewMut, DeviceRepr, DriverError, LaunchConfig,
    PushKernelArg as _,
};
use cudarc::nvrtc::Ptx;
use half::bf16;

use super::launch::{Access, Element, KERNELS, Kind, Launch, Operand, Scalar};
use crate::{ShapeError, error};

/// Why a launch did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// An operand does not fit the launch.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// An operand has another type, or is lent for reading where it is written.
    #[error("operand {index} of {kernel}: expected {expected:?} to {access:?}")]
    Operand {
        /// The kernel.
        kernel: &'static str,
        /// The operand, from 0.
        index: usize,
        /// The type that it must have.
        expected: Kind,
        /// What is done with it.
        access: Access,
    },
    /// There is no kernel of this name.
    #[error("there is no kernel {0}")]
    Kernel(&'static str),
    /// The driver refuses.
    #[error("the CUDA driver refuses")]
    Driver(#[from] DriverError),
}

/// Memory of an operand on the device, lent for reading or for writing.
#[derive(Debug)]
#[expect(missing_docs, reason = "named after the element's type")]
pub enum Buffer<'a> {
    F32(CudaView<'a, f32>),
    Bf16(CudaView<'a, bf16>),
    U32(CudaView<'a, u32>),
    F32Mut(CudaViewMut<'a, f32>),
    Bf16Mut(CudaViewMut<'a, bf16>),
    F64Mut(CudaViewMut<'a, f64>),
}

impl Buffer<'_> {
    /// Whether it is what the operand asks for, and how many elements it has.
    fn fits(&self, operand: &Operand, element: Element) -> (bool, usize) {
        let kind = match (operand.kind, element) {
            (Kind::Element, Element::F32) => Kind::F32,
            (kind, _) => kind,
        };
        let reads = operand.access == Access::Read;
        match self {
            Self::F32(view) => (kind == Kind::F32 && reads, view.len()),
            Self::Bf16(view) => (kind == Kind::Element && reads, view.len()),
            Self::U32(view) => (kind == Kind::U32 && reads, view.len()),
            Self::F32Mut(view) => (kind == Kind::F32 && !reads, view.len()),
            Self::Bf16Mut(view) => (kind == Kind::Element && !reads, view.len()),
            Self::F64Mut(view) => (kind == Kind::F64 && !reads, view.len()),
        }
    }
}

/// The kernels of an element type on a device.
#[derive(Debug)]
pub struct Module {
    element: Element,
    functions: HashMap<&'static str, CudaFunction>,
}

/// A number for which every pattern of bits is a value.
pub trait Number: DeviceRepr {}
impl Number for f32 {}
impl Number for f64 {}
impl Number for bf16 {}

/// Memory with arbitrary contents, for an operand that a launch writes.
///
/// # Errors
/// If the device has no room.
pub fn room<T: Number>(stream: &Arc<CudaStream>, len: usize) -> Result<CudaSlice<T>, DeviceError> {
    #[expect(unsafe_code, reason = "the launch writes it")]
    // SAFETY: whatever lies there is a value of T.
    let memory = unsafe { stream.alloc::<T>(len) };
    Ok(memory?)
}

/// Records no events for the memory of a stream's context from now on.
///
/// cudarc orders several streams of a context by two events for each piece of memory, made with it and recorded by every
/// launch. A caller whose context has this one stream needs none: work on a stream is done in its order, whichever thread
/// gave it.
pub fn without_events(stream: &CudaStream) {
    #[expect(unsafe_code, reason = "one stream has one order")]
    // SAFETY: all memory of the context is made, used and freed in the order of the one stream.
    unsafe {
        stream.context().disable_event_tracking();
    }
}

impl Module {
    /// The kernels on a stream's device; loaded at the first call.
    ///
    /// # Errors
    /// If the driver cannot load them.
    pub fn of(stream: &CudaStream, element: Element) -> Result<Arc<Self>, DeviceError> {
        static LOADED: Mutex<Vec<(usize, Arc<Module>)>> = Mutex::new(Vec::new());
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let ordinal = stream.context().ordinal();
        if let Some((_, module)) = loaded.iter().find(|(on, module)| *on == ordinal && module.element == element) {
            return Ok(Arc::clone(module));
        }
        let module = Arc::new(Self::load(stream, element)?);
        loaded.push((ordinal, Arc::clone(&module)));
        Ok(module)
    }

    fn load(stream: &CudaStream, element: Element) -> Result<Self, DeviceError> {
        let ptx = match element {
            Element::F32 => include_str!(concat!(env!("OUT_DIR"), "/f32.ptx")),
            Element::Bf16 => include_str!(concat!(env!("OUT_DIR"), "/bf16.ptx")),
        };
        let module = stream.context().load_module(Ptx::from_src(ptx))?;
        let function = |name: &&'static str| Ok((*name, module.load_function(name)?));
        let functions = KERNELS.iter().map(function).collect::<Result<_, DriverError>>()?;
        Ok(Self { element, functions })
    }

    /// Starts a launch on a stream of the device.
    ///
    /// # Errors
    /// If an operand is missing, too short, of another type or not lent for writing where it must be, or the driver refuses.
    pub fn launch(&self, stream: &CudaStream, launch: &Launch, buffers: &mut [Buffer<'_>]) -> Result<(), DeviceError> {
        error::same("operands of a kernel", launch.operands.len(), buffers.len())?;
        for (index, (buffer, operand)) in buffers.iter().zip(&launch.operands).enumerate() {
            let (fits, len) = buffer.fits(operand, self.element);
            if !fits {
                let Launch { kernel, .. } = *launch;
                return Err(DeviceError::Operand { kernel, index, expected: operand.kind, access: operand.access });
            }
            error::at_least("elements of an operand", operand.len, len)?;
        }
        if launch.is_empty() {
            return Ok(());
        }
        let function = self.functions.get(launch.kernel).ok_or(DeviceError::Kernel(launch.kernel))?;
        let mut arguments = stream.launch_builder(function);
        for buffer in buffers {
            match buffer {
                Buffer::F32(view) => arguments.arg(&*view),
                Buffer::Bf16(view) => arguments.arg(&*view),
                Buffer::U32(view) => arguments.arg(&*view),
                Buffer::F32Mut(view) => arguments.arg(view),
                Buffer::Bf16Mut(view) => arguments.arg(view),
                Buffer::F64Mut(view) => arguments.arg(view),
            };
        }
        for scalar in &launch.scalars {
            match scalar {
                Scalar::Int(x) => arguments.arg(x),
                Scalar::Long(x) => arguments.arg(x),
                Scalar::Float(x) => arguments.arg(x),
                Scalar::Heads(heads) => arguments.arg(heads),
            };
        }
        let [x, y, z] = launch.grid;
        let config =
            LaunchConfig { grid_dim: (x, y, z), block_dim: (launch.threads, 1, 1), shared_mem_bytes: launch.shared };
        #[expect(
            unsafe_code,
            reason = "a launch has the arguments of its kernel, and the operands are as long as it says"
        )]
        // SAFETY: a `Launch` is made in this module only, beside the kernel that it names: operands, values, blocks and
        // shared memory are those that the kernel needs for every content of its operands. Their lengths, types and the
        // right to write were checked above, and the views keep the memory alive; uses are ordered by their events, or by the one
        // stream of a context without events.
        unsafe {
            arguments.launch(config)?;
        }
        Ok(())
    }
}
