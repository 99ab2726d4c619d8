//! The backward pass of a layer.

use rayon::prelude::*;

use super::forward::positions;
use super::saved::{BackwardTask, Saved, backward_tasks};
use super::shape::{LayerShape, Weights};
use crate::matmul;
use crate::rope::{RopeTable, Rotation};
use crate::scratch::carve;
use crate::{Rows, ShapeError, adamw, attention, error, rmsnorm, scratch, swiglu};

/// Parameter gradients of the groups before they are added up; reused from call to call.
#[derive(Debug, Clone, Default)]
pub struct Workspace {
    partial: Vec<f32>,
}

/// Back-propagates: `stream` holds ∂L/∂output `[N, d]` on entry and ∂L/∂input on return; ∂L/∂parameters is added to
/// `gradient`.
///
/// # Errors
/// If the lengths do not fit.
pub fn backward(
    shape: &LayerShape,
    parameters: &[f32],
    rope: &RopeTable,
    rows: &Rows,
    saved: &Saved,
    stream: &mut [f32],
    gradient: &mut [f32],
    workspace: &mut Workspace,
) -> Result<(), ShapeError> {
    let weights = shape.weights(parameters)?;
    error::same("gradient of a layer's output", rows.len() * shape.hidden, stream.len())?;
    error::same("gradient of a layer's parameters", parameters.len(), gradient.len())?;
    error::same("kept rows", rows.len(), saved.scale2.len())?;
    error::same("kept gate and up elements", rows.len() * 2 * shape.intermediate, saved.gate_up.len())?;
    error::same("kept queries, keys and values", rows.len() * shape.heads.width(), saved.qkv.len())?;
    let tasks = backward_tasks(shape, rows, saved, stream);
    if tasks.is_empty() {
        return Ok(());
    }
    workspace.partial.resize(tasks.len() * parameters.len(), 0.0);
    let mut partial: Vec<&mut [f32]> = workspace.partial.chunks_exact_mut(parameters.len()).collect();
    tasks
        .into_par_iter()
        .zip(partial.par_iter_mut())
        .try_for_each(|(task, partial)| group(shape, &weights, rope, task, partial))?;
    adamw::add_in_order(gradient, &partial);
    Ok(())
}

/// One group: overwrites `partial` with its parameter gradients.
fn group(
    shape: &LayerShape,
    weights: &Weights<'_>,
    rope: &RopeTable,
    mut task: BackwardTask<'_>,
    partial: &mut [f32],
) -> Result<(), ShapeError> {
    feed_forward(shape, weights, &mut task, partial)?;
    attend(shape, weights, rope, &mut task, partial)
}

/// Through `output = middle + W_down · swiglu(W_gate,up · norm₂(middle))`.
fn feed_forward(
    shape: &LayerShape,
    weights: &Weights<'_>,
    task: &mut BackwardTask<'_>,
    partial: &mut [f32],
) -> Result<(), ShapeError> {
    let (n, d, f) = (task.group.rows().len(), shape.hidden, shape.intermediate);
    let parts = shape.parts();
    scratch::with(n * (4 * f + 2 * d), |mut buffer| {
        let (activated, d_activated) = (carve(&mut buffer, n * f), carve(&mut buffer, n * f));
        let d_gate_up = carve(&mut buffer, n * 2 * f);
        let (normed, d_normed) = (carve(&mut buffer, n * d), buffer);
        matmul::linear_backward_input(d_activated, task.stream, weights.down, d, f)?;
        swiglu::backward(task.gate_up, f, d_activated, d_gate_up, activated)?;
        matmul::linear_backward_weight(&mut partial[parts.down], task.stream, activated, d, f)?;
        rmsnorm::again(task.middle, weights.post_norm, task.scale2, normed)?;
        matmul::linear_backward(d_normed, &mut partial[parts.gate_up], d_gate_up, normed, weights.gate_up, 2 * f, d)?;
        let d_norm = &mut partial[parts.post_norm];
        d_norm.fill(0.0);
        rmsnorm::backward(task.middle, weights.post_norm, task.scale2, d_normed, task.stream, d_norm)
    })
}

/// Through `middle = input + Wₒ · attention(rope(W_qkv · norm₁(input) + b))`.
fn attend(
    shape: &LayerShape,
    weights: &Weights<'_>,
    rope: &RopeTable,
    task: &mut BackwardTask<'_>,
    partial: &mut [f32],
) -> Result<(), ShapeError> {
    let (n, d, heads) = (task.group.rows().len(), shape.hidden, &shape.heads);
    let (width, out, parts) = (heads.width(), heads.query_width(), shape.parts());
    scratch::with(n * (width + out + 2 * d), |mut buffer| {
        let (d_qkv, d_attended) = (carve(&mut buffer, n * width), carve(&mut buffer, n * out));
        let (normed, d_normed) = (carve(&mut buffer, n * d), buffer);
        matmul::linear_backward(
            d_attended,
            &mut partial[parts.output],
            task.stream,
            task.attended,
            weights.output,
            d,
            out,
        )?;
        for sequence in task.group.sequences() {
            let of = |width: usize| sequence.start * width..sequence.end * width;
            attention::backward(
                heads,
                None,
                &task.qkv[of(width)],
                &task.attended[of(out)],
                &task.log_sum[of(heads.query)],
                &d_attended[of(out)],
                &mut d_qkv[of(width)],
            )?;
        }
        rope.rotate(
            d_qkv,
            width,
            heads.query + heads.key_value,
            positions(task.group).into_iter(),
            Rotation::Backward,
        )?;
        sum_rows(d_qkv, &mut partial[parts.bias]);
        rmsnorm::again(task.input, weights.input_norm, task.scale1, normed)?;
        matmul::linear_backward(d_normed, &mut partial[parts.qkv], d_qkv, normed, weights.qkv, width, d)?;
        let d_norm = &mut partial[parts.input_norm];
        d_norm.fill(0.0);
        rmsnorm::backward(task.input, weights.input_norm, task.scale1, d_normed, task.stream, d_norm)
    })
}

/// Gradient of a bias: the sum over rows, if there is a bias.
fn sum_rows(rows: &[f32], total: &mut [f32]) {
    if !total.is_empty() {
        total.fill(0.0);
        for row in rows.chunks_exact(total.len()) {
            total.iter_mut().zip(row).for_each(|(t, x)| *t += x);
        }
    }
}
