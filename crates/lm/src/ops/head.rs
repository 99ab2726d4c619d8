//! Log-probabilities of chosen tokens over any vocabulary, a few rows at a time, on the CPU.
//!
//! ```text
//! n = norm(x),   logits = W n,   log π = log softmax(logits / τ)[target]
//! ```
//!
//! The logits of a chunk are made, used and thrown away; the backward pass makes them again. With 151,936 tokens a chunk
//! of 110 rows takes 64 MiB.

use std::sync::PoisonError;

use rayon::prelude::*;
use tdrm_kernels::linear::{self, Matrix};
use tdrm_kernels::logprob::{self, Score};
use tdrm_kernels::{ShapeError, rmsnorm};

use super::Sink;

/// Logits that exist at the same time.
const LOGITS: usize = 1 << 24;
/// Rows of a parallel part of a chunk.
const ROWS: usize = 16;

/// The final norm and the output embedding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LmHead<'a> {
    /// `[d]`.
    pub(crate) norm: &'a [f32],
    pub(crate) epsilon: f32,
    /// `[V, d]`.
    pub(crate) weight: Matrix<'a>,
    pub(crate) temperature: f32,
}

/// A chunk of rows and what was computed of it.
struct Chunk<'a> {
    at: &'a [usize],
    /// The rows themselves, `[n, d]`.
    raw: Vec<f32>,
    normed: Vec<f32>,
    scale: Vec<f32>,
    /// `[n, V]`.
    logits: Vec<f32>,
}

impl LmHead<'_> {
    fn width(&self) -> usize {
        self.norm.len()
    }

    fn vocabulary(&self) -> usize {
        self.weight.len() / self.width()
    }

    /// Rows of a chunk.
    fn rows(&self) -> usize {
        (LOGITS / self.vocabulary().max(1)).clamp(ROWS, 1024)
    }

    fn chunk<'a>(&self, x: &[f32], at: &'a [usize]) -> Result<Chunk<'a>, ShapeError> {
        let (d, n) = (self.width(), at.len());
        let raw: Vec<f32> = at.iter().flat_map(|row| &x[row * d..(row + 1) * d]).copied().collect();
        let (mut normed, mut scale) = (vec![0.0; n * d], vec![0.0; n]);
        rmsnorm::forward(&raw, self.norm, self.epsilon, &mut normed, &mut scale)?;
        let mut logits = vec![0.0; n * self.vocabulary()];
        linear::forward(&normed, self.weight, &[], d, &mut logits)?;
        Ok(Chunk { at, raw, normed, scale, logits })
    }

    /// Scores `targets` `[P]` at rows `at` `[P]` of x `[N, d]`.
    pub(crate) fn scores(&self, x: &[f32], at: &[usize], targets: &[u32]) -> Result<Vec<Score>, ShapeError> {
        let mut scores = vec![Score::default(); at.len()];
        let parts = at.chunks(self.rows()).zip(targets.chunks(self.rows())).zip(scores.chunks_mut(self.rows()));
        for ((at, targets), scores) in parts {
            let chunk = self.chunk(x, at)?;
            let logits = chunk.logits.par_chunks(ROWS * self.vocabulary());
            logits.zip(targets.par_chunks(ROWS)).zip(scores.par_chunks_mut(ROWS)).try_for_each(
                |((logits, targets), scores)| logprob::forward(logits, targets, self.temperature, scores),
            )?;
        }
        Ok(scores)
    }

    /// Back-propagates ∂L/∂log π `[P]` and ∂L/∂H `[P]`: returns ∂L/∂x `[N, d]` and adds to the sinks of the norm and of
    /// the output embedding, where there are any.
    pub(crate) fn backward(
        &self,
        x: &[f32],
        at: &[usize],
        targets: &[u32],
        derivatives: (&[f32], &[f32]),
        norm_sink: Option<&Sink>,
        weight_sink: Option<&Sink>,
    ) -> Result<Vec<f32>, ShapeError> {
        let (d, v, rows) = (self.width(), self.vocabulary(), self.rows());
        let weight = self.weight.widened();
        let mut dx = vec![0.0; x.len()];
        let mut d_norm = vec![0.0; d];
        let derivatives = derivatives.0.chunks(rows).zip(derivatives.1.chunks(rows));
        for ((at, targets), (d_log_prob, d_entropy)) in at.chunks(rows).zip(targets.chunks(rows)).zip(derivatives) {
            let mut chunk = self.chunk(x, at)?;
            let logits = chunk.logits.par_chunks_mut(ROWS * v).zip(targets.par_chunks(ROWS));
            let derivatives = d_log_prob.par_chunks(ROWS).zip(d_entropy.par_chunks(ROWS));
            logits.zip(derivatives).try_for_each(|((logits, targets), (d_log_prob, d_entropy))| {
                logprob::backward(logits, targets, self.temperature, d_log_prob, d_entropy)
            })?;
            if let Some(sink) = weight_sink {
                let mut gradient = sink.lock().unwrap_or_else(PoisonError::into_inner);
                gradient.resize(v * d, 0.0);
                linear::backward_weight(&chunk.logits, &chunk.normed, d, &mut gradient)?;
            }
            linear::backward_input(&chunk.logits, &weight, d, &mut chunk.normed)?;
            let mut d_raw = vec![0.0; chunk.raw.len()];
            rmsnorm::backward(&chunk.raw, self.norm, &chunk.scale, &chunk.normed, &mut d_raw, &mut d_norm)?;
            for (row, d_raw) in chunk.at.iter().zip(d_raw.chunks_exact(d)) {
                dx[row * d..(row + 1) * d].iter_mut().zip(d_raw).for_each(|(dx, d)| *dx += d);
            }
        }
        if let Some(sink) = norm_sink {
            let mut gradient = sink.lock().unwrap_or_else(PoisonError::into_inner);
            gradient.resize(d, 0.0);
            gradient.iter_mut().zip(&d_norm).for_each(|(g, d)| *g += d);
        }
        Ok(dx)
    }
}
