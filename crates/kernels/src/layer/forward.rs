//! The forward pass of a layer.

use rayon::prelude::*;

use super::saved::{ForwardTask, Saved, forward_tasks};
use super::shape::{LayerShape, Weights};
use crate::matmul::{self, Into};
use crate::rope::{RopeTable, Rotation};
use crate::rows::Group;
use crate::scratch::carve;
use crate::{Rows, ShapeError, attention, error, rmsnorm, scratch, swiglu};

/// Runs the layer: reads `saved.input` `[N, d]`, writes `output` `[N, d]`, keeps the rest in `saved`.
///
/// # Errors
/// If the lengths do not fit, or a sequence is longer than the rotary table.
pub fn forward(
    shape: &LayerShape,
    parameters: &[f32],
    rope: &RopeTable,
    rows: &Rows,
    saved: &mut Saved,
    output: &mut [f32],
) -> Result<(), ShapeError> {
    let weights = shape.weights(parameters)?;
    error::same("input of a layer", rows.len() * shape.hidden, saved.input.len())?;
    error::same("output of a layer", rows.len() * shape.hidden, output.len())?;
    error::at_least("positions of the rotary table", rows.longest(), rope.positions())?;
    saved.resize(shape, rows.len());
    let tasks = forward_tasks(shape, rows, saved, output);
    tasks.into_par_iter().try_for_each(|task| group(shape, &weights, rope, task))
}

fn group(
    shape: &LayerShape,
    weights: &Weights<'_>,
    rope: &RopeTable,
    mut task: ForwardTask<'_>,
) -> Result<(), ShapeError> {
    let n = task.group.rows().len();
    scratch::with(n * (shape.hidden + shape.intermediate), |mut buffer| {
        let normed = carve(&mut buffer, n * shape.hidden);
        attend(shape, weights, rope, &mut task, normed)?;
        feed_forward(shape, weights, &mut task, normed, buffer)
    })
}

/// `middle = input + Wₒ · attention(rope(W_qkv · norm₁(input) + b))`.
fn attend(
    shape: &LayerShape,
    weights: &Weights<'_>,
    rope: &RopeTable,
    task: &mut ForwardTask<'_>,
    normed: &mut [f32],
) -> Result<(), ShapeError> {
    let (d, heads) = (shape.hidden, &shape.heads);
    rmsnorm::forward(task.input, weights.input_norm, shape.epsilon, normed, task.scale1)?;
    matmul::linear(task.qkv, Into::Store, normed, weights.qkv, heads.width(), d)?;
    add_bias(task.qkv, weights.bias);
    let rotated = heads.query + heads.key_value;
    for sequence in task.group.sequences() {
        let of = |width: usize| sequence.start * width..sequence.end * width;
        let qkv = &mut task.qkv[of(heads.width())];
        rope.rotate(qkv, heads.width(), rotated, 0..sequence.len(), Rotation::Forward)?;
        attention::forward(
            heads,
            None,
            qkv,
            &mut task.attended[of(heads.query_width())],
            &mut task.log_sum[of(heads.query)],
        )?;
    }
    task.middle.copy_from_slice(task.input);
    matmul::linear(task.middle, Into::Add, task.attended, weights.output, d, heads.query_width())
}

/// `output = middle + W_down · swiglu(W_gate,up · norm₂(middle))`.
fn feed_forward(
    shape: &LayerShape,
    weights: &Weights<'_>,
    task: &mut ForwardTask<'_>,
    normed: &mut [f32],
    activated: &mut [f32],
) -> Result<(), ShapeError> {
    let (d, f) = (shape.hidden, shape.intermediate);
    rmsnorm::forward(task.middle, weights.post_norm, shape.epsilon, normed, task.scale2)?;
    matmul::linear(task.gate_up, Into::Store, normed, weights.gate_up, 2 * f, d)?;
    swiglu::forward(task.gate_up, f, activated)?;
    task.output.copy_from_slice(task.middle);
    matmul::linear(task.output, Into::Add, activated, weights.down, d, f)
}

/// Adds `bias` to each row, if there is one.
pub(crate) fn add_bias(rows: &mut [f32], bias: &[f32]) {
    if !bias.is_empty() {
        for row in rows.chunks_exact_mut(bias.len()) {
            row.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
        }
    }
}

/// Positions of a group's rows, each sequence from 0.
pub(super) fn positions(group: Group<'_>) -> Vec<usize> {
    group.sequences().flat_map(|sequence| 0..sequence.len()).collect()
}
