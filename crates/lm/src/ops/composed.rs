//! Operations made of candle's differentiable ones.

use candle_core::{D, DType, Device, Result, Tensor};
use tdrm_kernels::Rows;
use tdrm_kernels::attention::Heads;
use tdrm_kernels::rope::{Pairs, RopeTable};

use super::Packing;

/// Computed in 32 bits, as the reference implementations do.
pub(super) fn rms_norm(x: &Tensor, w: &Tensor, epsilon: f64) -> Result<Tensor> {
    let dtype = x.dtype();
    let x = x.to_dtype(DType::F32)?;
    let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?.recip()?;
    x.broadcast_mul(&scale)?.to_dtype(dtype)?.broadcast_mul(w)
}

pub(super) fn linear(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = matmul(x, &w.t()?)?;
    bias.map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))
}

/// `a b`. candle's product on the CPU knows no bfloat16: the factors are widened there and the product is rounded, which
/// is what a GPU does with sums in 32 bits.
fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.dtype() == DType::BF16 && a.device().is_cpu() {
        return a.to_dtype(DType::F32)?.matmul(&b.to_dtype(DType::F32)?)?.to_dtype(DType::BF16);
    }
    a.matmul(b)
}

pub(super) fn swiglu(gate_up: &Tensor) -> Result<Tensor> {
    let f = gate_up.dim(D::Minus1)? / 2;
    let (gate, up) = (gate_up.narrow(D::Minus1, 0, f)?, gate_up.narrow(D::Minus1, f, f)?);
    gate.silu()? * up
}

/// `exp(x − max) / Σ`, with the maximum outside of the graph: a shift changes no derivative.
pub(crate) fn softmax(x: &Tensor) -> Result<Tensor> {
    let top = x.max_keepdim(D::Minus1)?.detach();
    let e = x.broadcast_sub(&top)?.exp()?;
    e.broadcast_div(&e.sum_keepdim(D::Minus1)?)
}

/// `log softmax`.
pub(crate) fn log_softmax(x: &Tensor) -> Result<Tensor> {
    let top = x.max_keepdim(D::Minus1)?.detach();
    let z = x.broadcast_sub(&top)?;
    z.broadcast_sub(&z.exp()?.sum_keepdim(D::Minus1)?.log()?)
}

/// Pads the sequences to one length, attends, and packs them again.
pub(super) fn attention(qkv: &Tensor, heads: Heads, window: Option<usize>, packing: &Packing) -> Result<Tensor> {
    let rows = &packing.rows;
    let (b, t, d) = (rows.sequences(), rows.longest(), heads.dim);
    let (device, dtype) = (qkv.device(), qkv.dtype());
    let padded = qkv.index_select(&pad_index(rows, device)?, 0)?;
    let split = |first: usize, count: usize| {
        padded.narrow(1, first * d, count * d)?.reshape((b, t, count, d))?.transpose(1, 2)?.contiguous()
    };
    let positions: Vec<usize> = (0..t).collect();
    let (cos, sin) = angles(&packing.rope, &positions, heads, device)?;
    let (q, k) = (split(0, heads.query)?, split(heads.query, heads.key_value)?);
    let (q, k) = (rotate(&q, &cos, &sin, &packing.rope)?, rotate(&k, &cos, &sin, &packing.rope)?);
    let v = split(heads.query + heads.key_value, heads.key_value)?;
    let mask = causal_mask(t, window, device)?;
    let o = attend(&q, &k, &v, &mask)?.to_dtype(dtype)?;
    let o = o.transpose(1, 2)?.reshape((b * t, heads.query_width()))?;
    o.index_select(&unpad_index(rows, device)?, 0)
}

/// `softmax(q kᵀ / √D + mask) v` with grouped queries: q `[B, H, T, D]`, k and v `[B, K, S, D]`, mask `[T, S]` or
/// `[B, 1, T, S]`; in 32 bits between the products.
pub(crate) fn attend(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let ((b, h, t, d), (_, groups, s, _)) = (q.dims4()?, k.dims4()?);
    let dtype = q.dtype();
    // The queries of a group meet the same keys: they are rows of one product.
    let q = (q.reshape((b, groups, h / groups * t, d))? / (d as f64).sqrt())?;
    let scores = matmul(&q, &k.t()?.contiguous()?)?.reshape((b, h, t, s))?.to_dtype(DType::F32)?;
    let p = softmax(&scores.broadcast_add(mask)?)?.to_dtype(dtype)?;
    matmul(&p.reshape((b, groups, h / groups * t, s))?, v)?.reshape((b, h, t, d))
}

/// Cosines and sines `[positions, R/2]`.
pub(crate) fn angles(rope: &RopeTable, positions: &[usize], heads: Heads, device: &Device) -> Result<(Tensor, Tensor)> {
    let half = rope.rotated().min(heads.dim) / 2;
    let (mut cos, mut sin) = (Vec::with_capacity(positions.len() * half), Vec::with_capacity(positions.len() * half));
    for &p in positions {
        for i in 0..half {
            let (c, s) = rope.angle(p, i);
            cos.push(c);
            sin.push(s);
        }
    }
    let shape = (positions.len(), half);
    Ok((Tensor::from_vec(cos, shape, device)?, Tensor::from_vec(sin, shape, device)?))
}

/// Rotates the first R coordinates of `x` `[.., T, D]` by angles `[.., T, R/2]`.
pub(crate) fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor, rope: &RopeTable) -> Result<Tensor> {
    let (dtype, d) = (x.dtype(), x.dim(D::Minus1)?);
    let half = cos.dim(D::Minus1)?;
    let rest = x.narrow(D::Minus1, 2 * half, d - 2 * half)?;
    let x = x.narrow(D::Minus1, 0, 2 * half)?.to_dtype(DType::F32)?;
    let turn = |a: &Tensor, b: &Tensor| -> Result<(Tensor, Tensor)> {
        let low = (a.broadcast_mul(cos)? - b.broadcast_mul(sin)?)?;
        Ok((low, (b.broadcast_mul(cos)? + a.broadcast_mul(sin)?)?))
    };
    let rotated = match rope.pairs() {
        Pairs::Halves => {
            let (low, high) = turn(&x.narrow(D::Minus1, 0, half)?, &x.narrow(D::Minus1, half, half)?)?;
            Tensor::cat(&[low, high], D::Minus1)?
        }
        Pairs::Neighbours => {
            let mut shape = x.dims().to_vec();
            shape.pop();
            let flat = x.shape().clone();
            shape.extend([half, 2]);
            let x = x.reshape(shape)?;
            let of = |i| x.narrow(D::Minus1, i, 1)?.squeeze(D::Minus1);
            let (low, high) = turn(&of(0)?, &of(1)?)?;
            Tensor::stack(&[low, high], flat.rank())?.reshape(flat)?
        }
    };
    let rotated = rotated.to_dtype(dtype)?;
    if d == 2 * half { Ok(rotated) } else { Tensor::cat(&[rotated, rest], D::Minus1) }
}

/// 0 where a query sees a key, −∞ elsewhere, `[T, T]`.
fn causal_mask(t: usize, window: Option<usize>, device: &Device) -> Result<Tensor> {
    let window = window.unwrap_or(usize::MAX);
    let seen = |i: usize, j: usize| if j <= i && i - j < window { 0.0 } else { f32::NEG_INFINITY };
    Tensor::from_vec((0..t * t).map(|k| seen(k / t, k % t)).collect(), (t, t), device)
}

/// For each place of `[B, T]`, a packed row: its own, or the sequence's first where there is none.
fn pad_index(rows: &Rows, device: &Device) -> Result<Tensor> {
    let t = rows.longest();
    let of = |range: std::ops::Range<usize>| {
        (0..t).map(move |i| if i < range.len() { range.start + i } else { range.start })
    };
    let index: Vec<u32> = (0..rows.sequences()).flat_map(|i| of(rows.range(i))).map(|row| row as u32).collect();
    Tensor::from_vec(index, rows.sequences() * t, device)
}

/// For each packed row, its place of `[B, T]`.
fn unpad_index(rows: &Rows, device: &Device) -> Result<Tensor> {
    let t = rows.longest();
    let index: Vec<u32> =
        (0..rows.sequences()).flat_map(|b| (0..rows.range(b).len()).map(move |i| (b * t + i) as u32)).collect();
    Tensor::from_vec(index, rows.len(), device)
}
