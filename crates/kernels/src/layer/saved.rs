//! What a layer's forward pass keeps.

use super::LayerShape;
use crate::rows::Group;
use crate::scratch::carve;
use crate::{Rows, rows};

/// What a forward pass keeps for the backward pass, N rows; the buffers are reused from step to step.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    /// The layer's input `[N, d]`; the caller fills it before [`forward`](super::forward).
    pub input: Vec<f32>,
    /// Scale of each row in the first norm, `[N]`.
    pub(super) scale1: Vec<f32>,
    /// Rotated queries and keys, and values, `[N, (H+2K)·D]`.
    pub(super) qkv: Vec<f32>,
    /// Log-sum-exp of each query's scores, `[N, H]`.
    pub(super) log_sum: Vec<f32>,
    /// Output of attention, `[N, H·D]`.
    pub(super) attended: Vec<f32>,
    /// Residual stream between attention and feed-forward block, `[N, d]`.
    pub(super) middle: Vec<f32>,
    /// Scale of each row in the second norm, `[N]`.
    pub(super) scale2: Vec<f32>,
    /// Gate and up projections, `[N, 2F]`.
    pub(super) gate_up: Vec<f32>,
}

impl Saved {
    /// Makes room for `n` rows of a layer; the content is unspecified.
    pub fn resize(&mut self, shape: &LayerShape, n: usize) {
        self.input.resize(n * shape.hidden, 0.0);
        self.scale1.resize(n, 0.0);
        self.qkv.resize(n * shape.heads.width(), 0.0);
        self.log_sum.resize(n * shape.heads.query, 0.0);
        self.attended.resize(n * shape.heads.query_width(), 0.0);
        self.middle.resize(n * shape.hidden, 0.0);
        self.scale2.resize(n, 0.0);
        self.gate_up.resize(n * 2 * shape.intermediate, 0.0);
    }
}

/// One group's rows of everything that the forward pass touches.
pub(super) struct ForwardTask<'a> {
    pub(super) group: Group<'a>,
    pub(super) input: &'a [f32],
    pub(super) scale1: &'a mut [f32],
    pub(super) qkv: &'a mut [f32],
    pub(super) log_sum: &'a mut [f32],
    pub(super) attended: &'a mut [f32],
    pub(super) middle: &'a mut [f32],
    pub(super) scale2: &'a mut [f32],
    pub(super) gate_up: &'a mut [f32],
    pub(super) output: &'a mut [f32],
}

/// Cuts the buffers into groups.
pub(super) fn forward_tasks<'a>(
    shape: &LayerShape,
    rows: &'a Rows,
    saved: &'a mut Saved,
    mut output: &'a mut [f32],
) -> Vec<ForwardTask<'a>> {
    let (d, input) = (shape.hidden, saved.input.as_slice());
    let (mut scale1, mut qkv, mut log_sum) = (&mut saved.scale1[..], &mut saved.qkv[..], &mut saved.log_sum[..]);
    let (mut attended, mut middle) = (&mut saved.attended[..], &mut saved.middle[..]);
    let (mut scale2, mut gate_up) = (&mut saved.scale2[..], &mut saved.gate_up[..]);
    let task = |group: Group<'a>| {
        let n = group.rows().len();
        ForwardTask {
            group,
            input: &input[group.rows().start * d..group.rows().end * d],
            scale1: carve(&mut scale1, n),
            qkv: carve(&mut qkv, n * shape.heads.width()),
            log_sum: carve(&mut log_sum, n * shape.heads.query),
            attended: carve(&mut attended, n * shape.heads.query_width()),
            middle: carve(&mut middle, n * d),
            scale2: carve(&mut scale2, n),
            gate_up: carve(&mut gate_up, n * 2 * shape.intermediate),
            output: carve(&mut output, n * d),
        }
    };
    rows.groups().map(task).collect()
}

/// One group's rows of everything that the backward pass touches.
pub(super) struct BackwardTask<'a> {
    pub(super) group: Group<'a>,
    pub(super) input: &'a [f32],
    pub(super) scale1: &'a [f32],
    pub(super) qkv: &'a [f32],
    pub(super) log_sum: &'a [f32],
    pub(super) attended: &'a [f32],
    pub(super) middle: &'a [f32],
    pub(super) scale2: &'a [f32],
    pub(super) gate_up: &'a [f32],
    /// ∂L/∂output on entry, ∂L/∂input on return.
    pub(super) stream: &'a mut [f32],
}

/// Cuts the buffers into groups.
pub(super) fn backward_tasks<'a>(
    shape: &LayerShape,
    rows: &'a Rows,
    saved: &'a Saved,
    stream: &'a mut [f32],
) -> Vec<BackwardTask<'a>> {
    let task = |(group, stream): (Group<'a>, &'a mut [f32])| {
        let of = |buffer: &'a [f32], width: usize| &buffer[group.rows().start * width..group.rows().end * width];
        BackwardTask {
            group,
            input: of(&saved.input, shape.hidden),
            scale1: of(&saved.scale1, 1),
            qkv: of(&saved.qkv, shape.heads.width()),
            log_sum: of(&saved.log_sum, shape.heads.query),
            attended: of(&saved.attended, shape.heads.query_width()),
            middle: of(&saved.middle, shape.hidden),
            scale2: of(&saved.scale2, 1),
            gate_up: of(&saved.gate_up, 2 * shape.intermediate),
            stream,
        }
    };
    rows.groups().zip(rows::split(rows, shape.hidden, stream)).map(task).collect()
}
