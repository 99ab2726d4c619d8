//! Causal attention of one sequence, with grouped queries.
//!
//! ```text
//! S = Q Kᵀ / √D,   P = softmax(S) over keys not after the query,   O = P V
//! dV = Pᵀ dO,   dP = dO Vᵀ,   dS = P ⊙ (dP − rowsum(dO ⊙ O)) / √D,   dQ = dS K,   dK = dSᵀ Q
//! ```
//!
//! With a sliding window w, a query sees itself and the w − 1 keys before it.
//!
//! Queries are taken in blocks of 32, and a block meets only the keys that one of its rows sees. The backward pass
//! recomputes P from the kept log-sum-exp of each row. Dao (2023), *FlashAttention-2*, §3.1, without the blocks of keys.

use crate::matmul::{Into, Mat, MatMut, product};
use crate::{ShapeError, error, scratch, simd};

/// Queries that are worked on together.
const BLOCK: usize = 32;

/// Numbers of heads; a row of `qkv` is `[H·D queries | K·D keys | K·D values]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Query heads H, a multiple of K.
    pub query: usize,
    /// Key-value heads K.
    pub key_value: usize,
    /// Width of a head D.
    pub dim: usize,
}

impl Heads {
    /// Width of a row of queries, H·D.
    #[must_use]
    pub const fn query_width(&self) -> usize {
        self.query * self.dim
    }

    /// Width of a row of keys (or of values), K·D.
    #[must_use]
    pub const fn key_value_width(&self) -> usize {
        self.key_value * self.dim
    }

    /// Width of a row of queries, keys and values.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.query_width() + 2 * self.key_value_width()
    }

    /// First columns of the query, key and value of query head `h`.
    const fn columns(&self, h: usize) -> (usize, usize, usize) {
        let kv = h / (self.query / self.key_value);
        let keys = self.query_width();
        (h * self.dim, keys + kv * self.dim, keys + self.key_value_width() + kv * self.dim)
    }

    /// 1/√D.
    pub(crate) fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }

    /// The sequence's length, if the heads are well-formed and `qkv` has whole rows.
    fn rows(&self, qkv: &[f32]) -> Result<usize, ShapeError> {
        self.check()?;
        error::same("elements beyond whole rows of queries, keys and values", 0, qkv.len() % self.width())?;
        Ok(qkv.len() / self.width())
    }

    /// `Ok` if K and D are positive and H is a positive multiple of K.
    pub(crate) fn check(&self) -> Result<(), ShapeError> {
        error::at_least("width of a head", 1, self.dim)?;
        error::at_least("key-value heads", 1, self.key_value)?;
        error::at_least("query heads", self.key_value, self.query)?;
        error::same("query heads modulo key-value heads", 0, self.query % self.key_value)
    }
}

/// Attends: writes O `[T, H·D]` and each row's log-sum-exp `[T, H]` for rotated `qkv` `[T, (H+2K)·D]`.
///
/// # Errors
/// If the lengths do not fit.
pub fn forward(
    heads: &Heads,
    window: Option<usize>,
    qkv: &[f32],
    o: &mut [f32],
    log_sum: &mut [f32],
) -> Result<(), ShapeError> {
    let t = heads.rows(qkv)?;
    error::same("attention output", t * heads.query_width(), o.len())?;
    error::same("log-sum-exp of attention", t * heads.query, log_sum.len())?;
    let (width, d, window) = (heads.width(), heads.dim, reach(window)?);
    scratch::with(BLOCK * t, |scores| {
        for h in 0..heads.query {
            let (q, k, v) = heads.columns(h);
            for start in (0..t).step_by(BLOCK) {
                let b = BLOCK.min(t - start);
                let first = (start + 1).saturating_sub(window);
                let n = start + b - first;
                let scores = &mut scores[..b * n];
                let queries = Mat::strided(&qkv[start * width + q..], b, d, width)?;
                let keys = Mat::strided(&qkv[first * width + k..], n, d, width)?;
                product(MatMut::new(scores, b, n)?, Into::Store, queries, keys.t())?;
                let log_sum = &mut log_sum[start * heads.query + h..];
                softmax_block(scores, n, start - first, window, heads.scale(), log_sum, heads.query);
                let o = MatMut::strided(&mut o[start * heads.query_width() + q..], b, d, heads.query_width())?;
                let values = Mat::strided(&qkv[first * width + v..], n, d, width)?;
                product(o, Into::Store, Mat::new(scores, b, n)?, values)?;
            }
        }
        Ok(())
    })
}

/// Writes ∂L/∂qkv `[T, (H+2K)·D]`, given `do_` = ∂L/∂O and what [`forward`] saw and wrote.
///
/// # Errors
/// If the lengths do not fit.
pub fn backward(
    heads: &Heads,
    window: Option<usize>,
    qkv: &[f32],
    o: &[f32],
    log_sum: &[f32],
    do_: &[f32],
    dqkv: &mut [f32],
) -> Result<(), ShapeError> {
    let t = heads.rows(qkv)?;
    error::same("attention output", t * heads.query_width(), o.len())?;
    error::same("gradient of attention output", o.len(), do_.len())?;
    error::same("log-sum-exp of attention", t * heads.query, log_sum.len())?;
    error::same("gradient of queries, keys and values", qkv.len(), dqkv.len())?;
    let (width, out, d, window) = (heads.width(), heads.query_width(), heads.dim, reach(window)?);
    dqkv.fill(0.0);
    scratch::with(2 * BLOCK * t, |buffer| {
        let (p, ds) = buffer.split_at_mut(BLOCK * t);
        for h in 0..heads.query {
            let (q, k, v) = heads.columns(h);
            for start in (0..t).step_by(BLOCK) {
                let b = BLOCK.min(t - start);
                let first = (start + 1).saturating_sub(window);
                let n = start + b - first;
                let (p, ds) = (&mut p[..b * n], &mut ds[..b * n]);
                let queries = Mat::strided(&qkv[start * width + q..], b, d, width)?;
                let seen = &qkv[first * width..];
                let (keys, values) = (Mat::strided(&seen[k..], n, d, width)?, Mat::strided(&seen[v..], n, d, width)?);
                let o = &o[start * out + q..];
                let do_rows = &do_[start * out + q..];
                let do_ = Mat::strided(do_rows, b, d, out)?;
                product(MatMut::new(p, b, n)?, Into::Store, queries, keys.t())?;
                product(MatMut::new(ds, b, n)?, Into::Store, do_, values.t())?;
                let log_sum = &log_sum[start * heads.query + h..];
                let (at, scale) = (start - first, heads.scale());
                softmax_backward_block(p, ds, n, at, window, scale, log_sum, heads.query, o, do_rows, out, d);
                let (p, ds) = (Mat::new(p, b, n)?, Mat::new(ds, b, n)?);
                product(MatMut::strided(&mut dqkv[first * width + v..], n, d, width)?, Into::Add, p.t(), do_)?;
                product(MatMut::strided(&mut dqkv[start * width + q..], b, d, width)?, Into::Store, ds, keys)?;
                product(MatMut::strided(&mut dqkv[first * width + k..], n, d, width)?, Into::Add, ds.t(), queries)?;
            }
        }
        Ok(())
    })
}

/// Keys that a query may see, itself included.
fn reach(window: Option<usize>) -> Result<usize, ShapeError> {
    let window = window.unwrap_or(usize::MAX);
    error::at_least("sliding window", 1, window)?;
    Ok(window)
}

dispatch! {
    /// Softmax of a block of rows `[b, n]`; row i sees the last `window` of the first `at + i + 1` keys, the others
    /// become 0.
    fn softmax_block<S>(
        scores: &mut [f32],
        n: usize,
        at: usize,
        window: usize,
        scale: f32,
        log_sum: &mut [f32],
        stride: usize,
    ) {
        for (i, row) in scores.chunks_exact_mut(n).enumerate() {
            let (row, hidden) = row.split_at_mut(at + i + 1);
            let (past, seen) = row.split_at_mut(row.len().saturating_sub(window));
            past.fill(0.0);
            let top = simd::max(seen) * scale;
            for x in seen.iter_mut() {
                *x = simd::exp::<S>(S::madd(*x, scale, -top));
            }
            let z = simd::sum(seen);
            let inverse = z.recip();
            for x in seen {
                *x *= inverse;
            }
            hidden.fill(0.0);
            log_sum[i * stride] = top + z.ln();
        }
    }
}

dispatch! {
    /// Turns scores into P and dP into dS, in place, for a block of rows `[b, n]`.
    fn softmax_backward_block<S>(
        p: &mut [f32],
        ds: &mut [f32],
        n: usize,
        at: usize,
        window: usize,
        scale: f32,
        log_sum: &[f32],
        log_sum_stride: usize,
        o: &[f32],
        do_: &[f32],
        out: usize,
        d: usize,
    ) {
        for (i, (p, ds)) in p.chunks_exact_mut(n).zip(ds.chunks_exact_mut(n)).enumerate() {
            let delta = simd::dot::<S>(&o[i * out..i * out + d], &do_[i * out..i * out + d]);
            let (seen, log_sum) = (at + i + 1, log_sum[i * log_sum_stride]);
            let past = seen.saturating_sub(window);
            p[..past].fill(0.0);
            ds[..past].fill(0.0);
            for (p, ds) in p[past..seen].iter_mut().zip(&mut ds[past..seen]) {
                *p = simd::exp::<S>(S::madd(*p, scale, -log_sum));
                *ds = *p * (*ds - delta) * scale;
            }
            p[seen..].fill(0.0);
            ds[seen..].fill(0.0);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests state exact values")]
mod tests {
    use super::*;

    const ONE: Heads = Heads { query: 1, key_value: 1, dim: 1 };

    #[test]
    fn two_tokens_by_hand() {
        // Row 0 sees itself: o = v₀ = 5. Row 1: scores q₁k₀ = 0, q₁k₁ = ln 3, p = (1/4, 3/4), o = (5 + 3·9)/4 = 8.
        let ln3 = 3.0_f32.ln();
        let (mut o, mut log_sum) = ([0.0; 2], [0.0; 2]);
        forward(&ONE, None, &[1.0, 0.0, 5.0, 1.0, ln3, 9.0], &mut o, &mut log_sum).unwrap();
        assert!((o[0] - 5.0).abs() < 1e-6 && (o[1] - 8.0).abs() < 1e-5, "{o:?}");
        assert!((log_sum[1] - 4.0_f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn the_value_gradient_of_two_tokens_is_the_weight() {
        let ln3 = 3.0_f32.ln();
        let qkv = [1.0, 0.0, 5.0, 1.0, ln3, 9.0];
        let (mut o, mut log_sum, mut dqkv) = ([0.0; 2], [0.0; 2], [0.0; 6]);
        forward(&ONE, None, &qkv, &mut o, &mut log_sum).unwrap();
        backward(&ONE, None, &qkv, &o, &log_sum, &[0.0, 1.0], &mut dqkv).unwrap();
        // dv = (1/4, 3/4); ds = p(dP − o) with dP = v: (1/4)(5 − 8) = −3/4 and (3/4)(9 − 8) = 3/4; dq₁ = Σ ds k = ¾ ln 3.
        assert!((dqkv[2] - 0.25).abs() < 1e-6 && (dqkv[5] - 0.75).abs() < 1e-6);
        assert!((dqkv[1] + 0.75).abs() < 1e-5 && (dqkv[4] - 0.75).abs() < 1e-5);
        assert!((dqkv[3] - 0.75 * ln3).abs() < 1e-5);
    }

    #[test]
    fn malformed_heads_are_refused() {
        for heads in [Heads { query: 3, key_value: 2, dim: 1 }, Heads { query: 0, key_value: 0, dim: 1 }] {
            assert!(forward(&heads, None, &[], &mut [], &mut []).is_err());
        }
    }

    #[test]
    fn a_window_of_one_copies_the_values() {
        let qkv: Vec<f32> = (0..40 * 3).map(|i| (i * 7 % 11) as f32 / 3.0).collect();
        let (mut o, mut log_sum) = (vec![0.0; 40], vec![0.0; 40]);
        forward(&ONE, Some(1), &qkv, &mut o, &mut log_sum).unwrap();
        assert!(o.iter().zip(qkv.chunks(3)).all(|(o, row)| (o - row[2]).abs() < 1e-5));
        assert!(forward(&ONE, Some(0), &qkv, &mut o, &mut log_sum).is_err());
    }

    #[test]
    fn a_window_equals_attention_over_the_last_keys_alone() {
        // The last of 40 queries with a window of 5 sees what it would see in a sequence of its last 5 tokens.
        let qkv: Vec<f32> = (0..40 * 3).map(|i| (i * 7 % 11) as f32 / 3.0 - 1.5).collect();
        let (mut o, mut log_sum) = (vec![0.0; 40], vec![0.0; 40]);
        forward(&ONE, Some(5), &qkv, &mut o, &mut log_sum).unwrap();
        let (mut short, mut short_sum) = (vec![0.0; 5], vec![0.0; 5]);
        forward(&ONE, None, &qkv[35 * 3..], &mut short, &mut short_sum).unwrap();
        assert!((o[39] - short[4]).abs() < 1e-6 && (log_sum[39] - short_sum[4]).abs() < 1e-6);
    }
}
