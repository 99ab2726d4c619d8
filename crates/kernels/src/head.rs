//! The ends of a model: final norm, then logits, log-probabilities of chosen tokens, or a scalar head.
//!
//! ```text
//! n = norm(x),   logits = W n,   log π = log softmax(logits / τ)[target],   z = w·n + b
//! ```
//!
//! Only picked rows are computed. Logits are made for 128 rows at a time and thrown away; the backward pass makes
//! them again, so a large vocabulary is never materialised for a whole batch.

use rayon::prelude::*;

use crate::logprob::{self, Score};
use crate::matmul::{self, Into};
use crate::rows::{self, Group};
use crate::scratch::{self, carve};
use crate::{Rows, ShapeError, adamw, error, rmsnorm};

/// Rows whose logits exist at the same time in one task.
const CHUNK: usize = 128;

/// The final norm.
#[derive(Debug, Clone, Copy)]
pub struct FinalNorm<'a> {
    /// Weight, `[d]`.
    pub weight: &'a [f32],
    /// ε.
    pub epsilon: f32,
}

/// Rows of a packed batch that a head is applied to.
#[derive(Debug, Clone, Copy)]
pub struct Picks<'a> {
    rows: &'a Rows,
    /// Ascending row numbers, `[P]`.
    at: &'a [usize],
}

impl<'a> Picks<'a> {
    /// Picks rows `at` of a batch.
    ///
    /// # Errors
    /// If a row lies outside the batch or the rows do not ascend.
    pub fn new(rows: &'a Rows, at: &'a [usize]) -> Result<Self, ShapeError> {
        for pair in at.windows(2) {
            error::at_least("picked row", pair[0] + 1, pair[1])?;
        }
        if let Some(last) = at.last() {
            error::at_least("rows of the batch", last + 1, rows.len())?;
        }
        Ok(Self { rows, at })
    }

    /// The part of the picks that lies in a group.
    fn of(self, group: Group<'_>) -> std::ops::Range<usize> {
        let rows = group.rows();
        self.at.partition_point(|&at| at < rows.start)..self.at.partition_point(|&at| at < rows.end)
    }

    /// Cuts a `[P]` buffer into the groups' parts.
    fn split<T>(self, mut buffer: &mut [T]) -> Vec<&mut [T]> {
        let mut cut = |group| {
            let (head, tail) = std::mem::take(&mut buffer).split_at_mut(self.of(group).len());
            buffer = tail;
            head
        };
        self.rows.groups().map(&mut cut).collect()
    }

    fn check(self, x: &[f32], norm: FinalNorm<'_>) -> Result<(), ShapeError> {
        error::same("input of a head", self.rows.len() * norm.weight.len(), x.len())
    }
}

/// Copies the rows `at` of `x` next to each other and normalises them.
fn gather(
    x: &[f32],
    at: &[usize],
    norm: FinalNorm<'_>,
    raw: &mut [f32],
    normed: &mut [f32],
    scale: &mut [f32],
) -> Result<(), ShapeError> {
    let d = norm.weight.len();
    for (row, &at) in raw.chunks_exact_mut(d).zip(at) {
        row.copy_from_slice(&x[at * d..(at + 1) * d]);
    }
    rmsnorm::forward(raw, norm.weight, norm.epsilon, normed, scale)
}

/// Logits of every row: x `[N, d]`, `weight` `[V, d]`, `logits` `[N, V]`.
///
/// # Errors
/// If the lengths do not fit.
pub fn logits(norm: FinalNorm<'_>, weight: &[f32], x: &[f32], logits: &mut [f32]) -> Result<(), ShapeError> {
    let d = norm.weight.len();
    let vocabulary = weight.len() / d;
    error::same("logits", x.len() / d * vocabulary, logits.len())?;
    x.par_chunks(CHUNK * d).zip(logits.par_chunks_mut(CHUNK * vocabulary)).try_for_each(|(x, logits)| {
        scratch::with(x.len() + x.len() / d, |buffer| {
            let (normed, scale) = buffer.split_at_mut(x.len());
            rmsnorm::forward(x, norm.weight, norm.epsilon, normed, scale)?;
            matmul::linear(logits, Into::Store, normed, weight, vocabulary, d)
        })
    })
}

/// Scores `targets` `[P]` at the picked rows of x `[N, d]`, with output embedding `weight` `[V, d]`.
///
/// # Errors
/// If the lengths do not fit or a target lies outside the vocabulary.
pub fn log_probs(
    norm: FinalNorm<'_>,
    weight: &[f32],
    temperature: f32,
    picks: Picks<'_>,
    targets: &[u32],
    x: &[f32],
    scores: &mut [Score],
) -> Result<(), ShapeError> {
    picks.check(x, norm)?;
    error::same("targets", picks.at.len(), targets.len())?;
    error::same("scores", picks.at.len(), scores.len())?;
    let tasks: Vec<_> = picks.rows.groups().zip(picks.split(scores)).collect();
    tasks.into_par_iter().try_for_each(|(group, scores)| {
        let range = picks.of(group);
        let chunks = picks.at[range.clone()].chunks(CHUNK).zip(targets[range].chunks(CHUNK));
        for ((at, targets), scores) in chunks.zip(scores.chunks_mut(CHUNK)) {
            with_logits(norm, weight, x, at, |logits, _, _, _| logprob::forward(logits, targets, temperature, scores))?;
        }
        Ok(())
    })
}

/// Normalises the rows `at`, makes their logits, and lends `work` the logits, the rows, the normalised rows, the scales.
fn with_logits(
    norm: FinalNorm<'_>,
    weight: &[f32],
    x: &[f32],
    at: &[usize],
    work: impl FnOnce(&mut [f32], &[f32], &mut [f32], &[f32]) -> Result<(), ShapeError>,
) -> Result<(), ShapeError> {
    let (d, n) = (norm.weight.len(), at.len());
    let vocabulary = weight.len() / d;
    scratch::with(n * (2 * d + vocabulary + 1), |mut buffer| {
        let (raw, normed) = (carve(&mut buffer, n * d), carve(&mut buffer, n * d));
        let (scale, logits) = (carve(&mut buffer, n), buffer);
        gather(x, at, norm, raw, normed, scale)?;
        matmul::linear(logits, Into::Store, normed, weight, vocabulary, d)?;
        work(logits, raw, normed, scale)
    })
}

/// What [`log_probs_backward`] and [`values_backward`] add to.
#[derive(Debug)]
pub struct HeadGradients<'a> {
    /// ∂L/∂x, `[N, d]`.
    pub x: &'a mut [f32],
    /// ∂L/∂ the final norm's weight, `[d]`.
    pub norm: &'a mut [f32],
    /// ∂L/∂ the head's weight, `[V, d]` or `[d]`.
    pub weight: &'a mut [f32],
}

/// Back-propagates ∂L/∂log π `[P]` and ∂L/∂H `[P]`.
///
/// # Errors
/// If the lengths do not fit or a target lies outside the vocabulary.
pub fn log_probs_backward(
    norm: FinalNorm<'_>,
    weight: &[f32],
    temperature: f32,
    picks: Picks<'_>,
    targets: &[u32],
    x: &[f32],
    d_log_prob: &[f32],
    d_entropy: &[f32],
    gradients: HeadGradients<'_>,
) -> Result<(), ShapeError> {
    picks.check(x, norm)?;
    error::same("derivatives of log-probabilities", picks.at.len(), d_log_prob.len())?;
    error::same("derivatives of entropies", picks.at.len(), d_entropy.len())?;
    error::same("targets", picks.at.len(), targets.len())?;
    let d = norm.weight.len();
    reduce(norm, picks, gradients, weight.len(), |group, dx, partial| {
        let range = picks.of(group);
        let (d_norm, d_weight) = partial.split_at_mut(d);
        let chunks = picks.at[range.clone()].chunks(CHUNK).zip(targets[range.clone()].chunks(CHUNK));
        let derivatives = d_log_prob[range.clone()].chunks(CHUNK).zip(d_entropy[range].chunks(CHUNK));
        for ((at, targets), (d_log_prob, d_entropy)) in chunks.zip(derivatives) {
            with_logits(norm, weight, x, at, |logits, raw, normed, scale| {
                logprob::backward(logits, targets, temperature, d_log_prob, d_entropy)?;
                let (n, vocabulary) = (at.len(), logits.len() / at.len());
                let d_weight = matmul::MatMut::new(d_weight, vocabulary, d)?;
                let d_logits = matmul::Mat::new(logits, n, vocabulary)?;
                matmul::product(d_weight, Into::Add, d_logits.t(), matmul::Mat::new(normed, n, d)?)?;
                matmul::linear_backward_input(normed, logits, weight, vocabulary, d)?;
                scatter(norm, raw, scale, normed, at, group, dx, d_norm)
            })?;
        }
        Ok(())
    })
}

/// Runs `work` on each group with its rows of ∂L/∂x and zeroed partial gradients `[norm | weight]`, then adds those up.
#[expect(clippy::needless_pass_by_value, reason = "exclusive borrows are consumed")]
fn reduce(
    norm: FinalNorm<'_>,
    picks: Picks<'_>,
    gradients: HeadGradients<'_>,
    weights: usize,
    work: impl Fn(Group<'_>, &mut [f32], &mut [f32]) -> Result<(), ShapeError> + Sync,
) -> Result<(), ShapeError> {
    let d = norm.weight.len();
    error::same("gradient of a head's input", picks.rows.len() * d, gradients.x.len())?;
    error::same("gradient of the final norm", d, gradients.norm.len())?;
    error::same("gradient of a head", weights, gradients.weight.len())?;
    let tasks: Vec<_> = picks.rows.groups().zip(rows::split(picks.rows, d, gradients.x)).collect();
    let mut partial = vec![0.0; tasks.len() * (d + weights)];
    let mut partial: Vec<&mut [f32]> = partial.chunks_exact_mut(d + weights).collect();
    tasks
        .into_par_iter()
        .zip(partial.par_iter_mut())
        .try_for_each(|((group, dx), partial)| work(group, dx, partial))?;
    let (d_norm, d_weight): (Vec<_>, Vec<_>) = partial.into_iter().map(|partial| partial.split_at_mut(d)).unzip();
    adamw::add_in_order(gradients.norm, &d_norm);
    adamw::add_in_order(gradients.weight, &d_weight);
    Ok(())
}

/// Through the final norm, back to the rows that were gathered.
fn scatter(
    norm: FinalNorm<'_>,
    raw: &[f32],
    scale: &[f32],
    d_normed: &[f32],
    at: &[usize],
    group: Group<'_>,
    dx: &mut [f32],
    d_norm: &mut [f32],
) -> Result<(), ShapeError> {
    let d = norm.weight.len();
    let rows = raw.chunks_exact(d).zip(d_normed.chunks_exact(d)).zip(scale).zip(at);
    for (((raw, d_normed), scale), at) in rows {
        let at = at - group.rows().start;
        rmsnorm::backward(
            raw,
            norm.weight,
            std::slice::from_ref(scale),
            d_normed,
            &mut dx[at * d..(at + 1) * d],
            d_norm,
        )?;
    }
    Ok(())
}

/// Scalar head at the picked rows: z = w·n + b into `values` `[P]`, for `weight` w `[d]`.
///
/// # Errors
/// If the lengths do not fit.
pub fn values(
    norm: FinalNorm<'_>,
    weight: &[f32],
    bias: f32,
    picks: Picks<'_>,
    x: &[f32],
    values: &mut [f32],
) -> Result<(), ShapeError> {
    let d = norm.weight.len();
    picks.check(x, norm)?;
    error::same("weight of the scalar head", d, weight.len())?;
    error::same("values", picks.at.len(), values.len())?;
    picks.at.par_chunks(CHUNK).zip(values.par_chunks_mut(CHUNK)).try_for_each(|(at, values)| {
        scratch::with(at.len() * (2 * d + 1), |mut buffer| {
            let (raw, normed) = (carve(&mut buffer, at.len() * d), carve(&mut buffer, at.len() * d));
            gather(x, at, norm, raw, normed, buffer)?;
            dots(normed, weight, bias, values);
            Ok(())
        })
    })
}

/// Back-propagates ∂L/∂z `[P]` of [`values`]; returns ∂L/∂b.
///
/// # Errors
/// If the lengths do not fit.
pub fn values_backward(
    norm: FinalNorm<'_>,
    weight: &[f32],
    picks: Picks<'_>,
    x: &[f32],
    dz: &[f32],
    gradients: HeadGradients<'_>,
) -> Result<f32, ShapeError> {
    let d = norm.weight.len();
    picks.check(x, norm)?;
    error::same("weight of the scalar head", d, weight.len())?;
    error::same("derivatives of values", picks.at.len(), dz.len())?;
    reduce(norm, picks, gradients, d, |group, dx, partial| {
        let range = picks.of(group);
        let (d_norm, d_weight) = partial.split_at_mut(d);
        for (at, dz) in picks.at[range.clone()].chunks(CHUNK).zip(dz[range].chunks(CHUNK)) {
            scratch::with(at.len() * (2 * d + 1), |mut buffer| {
                let (raw, normed) = (carve(&mut buffer, at.len() * d), carve(&mut buffer, at.len() * d));
                gather(x, at, norm, raw, normed, buffer)?;
                for (normed, &dz) in normed.chunks_exact_mut(d).zip(dz) {
                    for ((n, w), dw) in normed.iter_mut().zip(weight).zip(d_weight.iter_mut()) {
                        *dw += dz * *n;
                        *n = dz * w;
                    }
                }
                scatter(norm, raw, buffer, normed, at, group, dx, d_norm)
            })?;
        }
        Ok(())
    })?;
    Ok(dz.iter().sum())
}

dispatch! {
    fn dots<S>(rows: &[f32], w: &[f32], bias: f32, z: &mut [f32]) {
        for (row, z) in rows.chunks_exact(w.len()).zip(z) {
            *z = crate::simd::dot::<S>(row, w) + bias;
        }
    }
}
