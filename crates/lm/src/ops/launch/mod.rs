//! Launches of the kernels for Nvidia GPUs on candle's tensors.

#[cfg(feature = "cuda")]
mod device;
#[cfg(all(test, not(feature = "cuda")))]
mod emulated;

#[cfg(feature = "cuda")]
pub(crate) use device::open_gpu;
#[cfg(feature = "cuda")]
pub(super) use device::{fresh, in_place};
#[cfg(all(test, not(feature = "cuda")))]
pub(super) use emulated::{fresh, in_place};
#[cfg(not(any(test, feature = "cuda")))]
pub(super) use nowhere::{fresh, in_place};

/// Without the feature `cuda` there is no GPU.
#[cfg(not(feature = "cuda"))]
pub(crate) fn open_gpu(ordinal: usize) -> candle_core::Result<candle_core::Device> {
    Err(candle_core::Error::Msg(format!("cuda:{ordinal} needs a build with the feature cuda")))
}

/// Whether the processor stands in for a GPU: in the process of one test.
pub(super) fn emulates() -> bool {
    cfg!(all(test, not(feature = "cuda"))) && std::env::var_os("TDRM_EMULATES_A_GPU").is_some()
}

/// Without the feature `cuda` there is no tensor on a GPU.
#[cfg(not(any(test, feature = "cuda")))]
mod nowhere {
    use candle_core::{DType, Error, Result, Shape, Tensor};
    use tdrm_kernels::cuda::Launch;

    pub(in crate::ops) fn fresh(launch: &Launch, _: DType, _: &[&Tensor], _: impl Into<Shape>) -> Result<Tensor> {
        Err(refused(launch))
    }

    pub(in crate::ops) fn in_place(launch: &Launch, _: DType, _: &Tensor, _: &[&Tensor]) -> Result<()> {
        Err(refused(launch))
    }

    fn refused(launch: &Launch) -> Error {
        Error::Msg(format!("{} needs a build with the feature cuda", launch.kernel()))
    }
}
