//! The operations of a decoder, on candle tensors.
//!
//! Each has two forms that give the same numbers: [`fused`] runs the kernels of [`tdrm_kernels`] and their hand-written
//! backward passes on the CPU, [`composed`] is made of candle's differentiable operations and runs on any device.
//! On an Nvidia GPU, where nothing is tracked, the composed form is [`cuda`]'s: one kernel for an operation.
//! (candle's own fused RMSNorm, softmax and rotary embedding have no backward pass, so neither form uses them.)

pub(crate) mod composed;
pub(crate) mod cuda;
pub(crate) mod fused;
pub(crate) mod head;
mod launch;
mod storage;
mod tape;

use std::sync::{Arc, Mutex};

use candle_core::{CustomOp1, Result, Tensor};
use tdrm_kernels::Rows;
use tdrm_kernels::attention::Heads;
use tdrm_kernels::panels::Panels;
use tdrm_kernels::rope::RopeTable;

pub(crate) use storage::{with_matrix, with_slice};
pub(crate) use tape::Tape;

/// Which form of the operations runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Engine {
    /// Fused kernels, on the CPU. Activations are in 32 bits, weights as they are.
    #[default]
    Fused,
    /// candle's operations, on any device.
    Composed,
}

/// Where the fused form adds a parameter's gradient.
pub(crate) type Sink = Arc<Mutex<Vec<f32>>>;

/// Does the work on a thread of rayon's pool, so that the operations inside do not each hand over to it and wait.
pub(crate) fn on_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

/// A parameter as one pass sees it.
#[derive(Debug, Clone)]
pub(crate) struct Weight {
    pub(crate) tensor: Tensor,
    /// In the fused form of a training pass, for parameters that are trained; candle does not track them then.
    pub(crate) sink: Option<Sink>,
}

/// A batch's sequences, packed, and the rotation of their positions.
#[derive(Debug, Clone)]
pub(crate) struct Packing {
    pub(crate) rows: Arc<Rows>,
    pub(crate) rope: Arc<RopeTable>,
    /// On a GPU whose kernels can attend.
    pub(crate) reach: Option<Arc<cuda::Reach>>,
}

/// The form in which a pass runs.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// Fused; the tape notes what a backward pass needs. Without one, candle tracks its variables.
    Fused(Option<Arc<Tape>>),
    /// Composed; candle tracks its variables.
    Composed,
}

impl From<Engine> for Form {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Fused => Self::Fused(None),
            Engine::Composed => Self::Composed,
        }
    }
}

impl Form {
    fn fused(&self, x: &Tensor, op: impl CustomOp1 + Send + Sync + 'static) -> Result<Tensor> {
        match self {
            Self::Fused(Some(tape)) => tape.apply(x, op),
            _ => x.contiguous()?.apply_op1(op),
        }
    }

    /// `y = w ⊙ x / √(mean(x²) + ε)` over the last dimension.
    pub(crate) fn rms_norm(&self, x: &Tensor, w: &Weight, epsilon: f64) -> Result<Tensor> {
        match self {
            Self::Fused(_) => self.fused(x, fused::RmsNorm::new(w, epsilon as f32)),
            Self::Composed if cuda::runs(&[x, &w.tensor]) => cuda::rms_norm(x, &w.tensor, epsilon),
            Self::Composed => composed::rms_norm(x, &w.tensor, epsilon),
        }
    }

    /// `y = x Wᵀ + b`: x `[n, inputs]`, W `[outputs, inputs]`.
    pub(crate) fn linear(&self, x: &Tensor, w: &Weight, bias: Option<&Weight>) -> Result<Tensor> {
        match self {
            Self::Fused(_) => self.fused(x, fused::Linear::new(w, bias)),
            Self::Composed => match bias {
                Some(b) if cuda::runs(&[x, &w.tensor, &b.tensor]) => {
                    cuda::add_bias(&composed::linear(x, &w.tensor, None)?, &b.tensor)
                }
                _ => composed::linear(x, &w.tensor, bias.map(|b| &b.tensor)),
            },
        }
    }

    /// `a = silu(g) ⊙ u` of rows `[n, 2F]`, gate before up.
    pub(crate) fn swiglu(&self, gate_up: &Tensor) -> Result<Tensor> {
        match self {
            Self::Fused(_) => self.fused(gate_up, fused::SwiGlu),
            Self::Composed if cuda::runs(&[gate_up]) => cuda::swiglu(gate_up),
            Self::Composed => composed::swiglu(gate_up),
        }
    }

    /// Rotates queries and keys, then attends causally within each sequence: qkv `[N, (H+2K)·D]` to `[N, H·D]`.
    pub(crate) fn attention(
        &self,
        qkv: &Tensor,
        heads: Heads,
        window: Option<usize>,
        packing: &Packing,
    ) -> Result<Tensor> {
        match self {
            Self::Fused(_) => self.fused(qkv, fused::Attention::new(heads, window, packing)),
            Self::Composed => match &packing.reach {
                Some(reach) if cuda::runs(&[qkv]) => reach.attend_packed(qkv, heads, window),
                _ => composed::attention(qkv, heads, window, packing),
            },
        }
    }

    /// The norm of each query and each key of rows `[n, (H+2K)·D]`; values stay.
    pub(crate) fn norm_heads(
        &self,
        qkv: &Tensor,
        heads: Heads,
        (wq, wk): (&Weight, &Weight),
        epsilon: f64,
    ) -> Result<Tensor> {
        if matches!(self, Self::Composed) && cuda::runs(&[qkv, &wq.tensor, &wk.tensor]) {
            return cuda::norm_heads(qkv, &heads, &wq.tensor, &wk.tensor, epsilon);
        }
        self.by_candle(&[qkv], |form, qkv| {
            let n = qkv[0].dim(0)?;
            let norm = |w: &Weight, start: usize, width: usize| {
                let part = qkv[0].narrow(1, start, width)?.reshape((n * width / heads.dim, heads.dim))?;
                form.rms_norm(&part, w, epsilon)?.reshape((n, width))
            };
            let (query, key) = (heads.query_width(), heads.key_value_width());
            let parts = [norm(wq, 0, query)?, norm(wk, query, key)?, qkv[0].narrow(1, query + key, key)?];
            Tensor::cat(&parts, 1)
        })
    }

    /// `x + y`.
    pub(crate) fn add(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        match self {
            Self::Fused(tape) if tape.is_some() || !(x.track_op() || y.track_op()) => {
                let sum = fused::sum(x, y)?;
                if let Some(tape) = tape {
                    tape.note(&[x, y], &sum, |d| Ok(vec![Some(d.clone()), Some(d.clone())]));
                }
                Ok(sum)
            }
            _ => x + y,
        }
    }

    /// `x + y`, and its norm.
    pub(crate) fn add_norm(&self, x: &Tensor, y: &Tensor, w: &Weight, epsilon: f64) -> Result<(Tensor, Tensor)> {
        if matches!(self, Self::Composed) && cuda::runs(&[x, y, &w.tensor]) {
            return cuda::add_norm(x, y, &w.tensor, epsilon);
        }
        let sum = self.add(x, y)?;
        let normed = self.rms_norm(&sum, w, epsilon)?;
        Ok((sum, normed))
    }

    /// A part of a pass that is made of candle's operations, and of others in the form that it is lent.
    pub(crate) fn by_candle<E: From<candle_core::Error>>(
        &self,
        inputs: &[&Tensor],
        work: impl FnOnce(&Self, &[&Tensor]) -> std::result::Result<Tensor, E>,
    ) -> std::result::Result<Tensor, E> {
        match self {
            Self::Fused(Some(tape)) => tape.by_candle(inputs, |inputs| work(&Self::Fused(None), inputs)),
            _ => work(self, inputs),
        }
    }
}

/// `y = x Wᵀ + b` with W in panels, in the fused form where nothing is trained.
pub(crate) fn linear_panels(x: &Tensor, w: &Panels, bias: Option<&Weight>) -> Result<Tensor> {
    fused::linear_panels(x, w, bias)
}

/// `y = x Wᵀ + b` where a row does not see the others, in the fused form where nothing is trained.
pub(crate) fn linear_rows(x: &Tensor, w: &Weight, bias: Option<&Weight>) -> Result<Tensor> {
    fused::linear_rows(x, &w.tensor, bias)
}
