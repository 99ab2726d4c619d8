//! Rearranging 32-bit matrices into tiles of bfloat16.

use std::arch::x86_64::{
    __m256bh, __m256i, __m512, __m512i, _mm256_storeu_si256, _mm512_castpd_ps, _mm512_castps_pd, _mm512_castsi512_ps,
    _mm512_cvtepu16_epi32, _mm512_cvtneps_pbh, _mm512_loadu_ps, _mm512_or_si512, _mm512_setzero_ps,
    _mm512_shuffle_f32x4, _mm512_slli_epi32, _mm512_storeu_ps, _mm512_storeu_si512, _mm512_sub_ps, _mm512_unpackhi_pd,
    _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};
use std::mem::transmute;

use super::{DEPTH, LINES, Tile};
use crate::matmul::Mat;

/// On which side of a product the tiles stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// A tile is 16 lines of 32 elements.
    Left,
    /// A tile is 16 rows of two elements of each of 16 lines.
    Right,
}

/// Tiles that [`pack`] fills.
pub(super) const fn tiles(lines: usize, depth: usize, parts: usize, width: usize) -> usize {
    lines.div_ceil(width * LINES) * depth.div_ceil(DEPTH) * parts * width
}

/// Splits each element of `m` `[lines, depth]` into the sum of `PARTS` numbers in bfloat16 and puts them into tiles
/// `[lines / (16 · width), depth / 32, PARTS, width]`; what lies beyond the matrix is zero.
///
/// The caller has found that [`super::is_available`].
pub(super) fn pack<const PARTS: usize>(m: Mat<'_>, side: Side, width: usize, out: &mut [Tile]) {
    let steps = m.cols.div_ceil(DEPTH);
    assert!(super::is_available() && out.len() == tiles(m.rows, m.cols, PARTS, width), "tiles of the packed matrix");
    for (panel, out) in out.chunks_exact_mut(steps * PARTS * width).enumerate() {
        for (step, out) in out.chunks_exact_mut(PARTS * width).enumerate() {
            for half in 0..width {
                let (line, k) = ((panel * width + half) * LINES, step * DEPTH);
                if line < m.rows {
                    tile::<PARTS>(m, side, line, k, width, &mut out[half..]);
                } else {
                    out[half..].iter_mut().step_by(width).for_each(|tile| *tile = Tile::ZERO);
                }
            }
        }
    }
}

/// The tile whose first element is (`line`, `k`), its parts `apart` tiles from each other.
#[expect(unsafe_code, reason = "calls functions compiled for more instructions, on blocks of a strided matrix")]
fn tile<const PARTS: usize>(m: Mat<'_>, side: Side, line: usize, k: usize, apart: usize, out: &mut [Tile]) {
    let (lines, depth) = (LINES.min(m.rows - line), DEPTH.min(m.cols - k));
    let mut first = &raw const m.data[line * m.row_stride + k * m.col_stride];
    let (mut row_stride, mut col_stride) = (m.row_stride, m.col_stride);
    let mut whole = [0.0; LINES * DEPTH];
    if lines < LINES || depth < DEPTH {
        // SAFETY: (line + i, k + j) lies inside the matrix.
        let at = |i: usize, j: usize| unsafe { *first.add(i * row_stride + j * col_stride) };
        for i in 0..lines {
            for j in 0..depth {
                whole[i * DEPTH + j] = at(i, j);
            }
        }
        (first, row_stride, col_stride) = (whole.as_ptr(), DEPTH, 1);
    }
    let mut turned = [0.0; LINES * DEPTH];
    // SAFETY: the caller has found the instructions; 16 × 32 elements lie at these strides, one of which is 1.
    unsafe {
        match side {
            Side::Left if col_stride == 1 => left::<PARTS>(first, row_stride, apart, out),
            Side::Left => {
                for half in 0..2 {
                    let to = turned[half * LINES..].as_mut_ptr();
                    transpose(first.add(half * LINES * col_stride), col_stride, to, DEPTH);
                }
                left::<PARTS>(turned.as_ptr(), DEPTH, apart, out);
            }
            Side::Right if row_stride == 1 => right::<PARTS>(first, col_stride, apart, out),
            Side::Right if PARTS == 1 => {
                // A tile of the left side holds the same pairs, transposed.
                left::<PARTS>(first, row_stride, apart, out);
                let pairs = (&raw mut out[0]).cast::<f32>();
                transpose(pairs, LINES, pairs, LINES);
            }
            Side::Right => {
                for half in 0..2 {
                    let to = turned[half * LINES * LINES..].as_mut_ptr();
                    transpose(first.add(half * LINES), row_stride, to, LINES);
                }
                right::<PARTS>(turned.as_ptr(), LINES, apart, out);
            }
        }
    }
}

/// The number in bfloat16 that is nearest, with its 16 bits in the lower half of each lane.
#[target_feature(enable = "avx512f,avx512bf16")]
#[expect(unsafe_code, reason = "a vector of bfloat16 is a vector of its bits")]
fn round(x: __m512) -> (__m256i, __m512i) {
    // SAFETY: both types are 32 bytes without invalid values.
    let bits = unsafe { transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x)) };
    (bits, _mm512_cvtepu16_epi32(bits))
}

/// What is left of `x` without its rounded value.
#[target_feature(enable = "avx512f")]
fn rest(x: __m512, rounded: __m512i) -> __m512 {
    _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32::<16>(rounded)))
}

/// Tiles of the left side from 16 lines of 32 elements that begin `stride` apart.
///
/// # Safety
/// The lines are valid.
#[target_feature(enable = "avx512f,avx512bf16")]
#[expect(unsafe_code, reason = "vector loads and stores take pointers")]
unsafe fn left<const PARTS: usize>(first: *const f32, stride: usize, apart: usize, out: &mut [Tile]) {
    for line in 0..LINES {
        for half in 0..2 {
            // SAFETY: the caller vouches for the line.
            let mut x = unsafe { _mm512_loadu_ps(first.add(line * stride + half * LINES)) };
            for part in 0..PARTS {
                let (bits, wide) = round(x);
                let row = &mut out[part * apart].0[line * DEPTH + half * LINES..][..LINES];
                // SAFETY: a register holds 16 elements.
                unsafe { _mm256_storeu_si256(row.as_mut_ptr().cast(), bits) };
                x = rest(x, wide);
            }
        }
    }
}

/// Tiles of the right side from 32 rows of 16 lines that begin `stride` apart.
///
/// # Safety
/// The rows are valid.
#[target_feature(enable = "avx512f,avx512bf16")]
#[expect(unsafe_code, reason = "vector loads and stores take pointers")]
unsafe fn right<const PARTS: usize>(first: *const f32, stride: usize, apart: usize, out: &mut [Tile]) {
    for pair in 0..LINES {
        // SAFETY: the caller vouches for both rows.
        let (mut even, mut odd) = unsafe {
            (_mm512_loadu_ps(first.add(2 * pair * stride)), _mm512_loadu_ps(first.add((2 * pair + 1) * stride)))
        };
        for part in 0..PARTS {
            let ((_, low), (_, high)) = (round(even), round(odd));
            let both = _mm512_or_si512(low, _mm512_slli_epi32::<16>(high));
            // SAFETY: a row of a tile has 64 bytes.
            unsafe { _mm512_storeu_si512(out[part * apart].0[pair * DEPTH..].as_mut_ptr().cast(), both) };
            (even, odd) = (rest(even, low), rest(odd, high));
        }
    }
}

/// Transposes 16 × 16 elements; rows begin `from_stride` and `to_stride` apart. Both blocks may be the same.
///
/// # Safety
/// AVX-512 was found; both are valid for 16 rows of 16 elements.
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "vector loads and stores take pointers")]
pub(super) unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    let pairs = |a: __m512, b: __m512| {
        let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
        (_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)))
    };
    let zero = [_mm512_setzero_ps(); LINES];
    let (mut x, mut y) = (zero, zero);
    for (i, x) in x.iter_mut().enumerate() {
        // SAFETY: the caller vouches for 16 rows of 16 elements.
        *x = unsafe { _mm512_loadu_ps(from.add(i * from_stride)) };
    }
    for i in (0..LINES).step_by(2) {
        (y[i], y[i + 1]) = (_mm512_unpacklo_ps(x[i], x[i + 1]), _mm512_unpackhi_ps(x[i], x[i + 1]));
    }
    for i in (0..LINES).step_by(4) {
        (x[i], x[i + 1]) = pairs(y[i], y[i + 2]);
        (x[i + 2], x[i + 3]) = pairs(y[i + 1], y[i + 3]);
    }
    // Now x[4 i + j] holds column 4 q + j of rows 4 i to 4 i + 3 in its quarter q.
    for j in 0..4 {
        for i in [0, 8] {
            y[i + j] = _mm512_shuffle_f32x4::<0x88>(x[i + j], x[i + 4 + j]);
            y[i + 4 + j] = _mm512_shuffle_f32x4::<0xdd>(x[i + j], x[i + 4 + j]);
        }
    }
    for j in 0..4 {
        x[j] = _mm512_shuffle_f32x4::<0x88>(y[j], y[8 + j]);
        x[8 + j] = _mm512_shuffle_f32x4::<0xdd>(y[j], y[8 + j]);
        x[4 + j] = _mm512_shuffle_f32x4::<0x88>(y[4 + j], y[12 + j]);
        x[12 + j] = _mm512_shuffle_f32x4::<0xdd>(y[4 + j], y[12 + j]);
    }
    for (i, x) in x.into_iter().enumerate() {
        // SAFETY: the caller vouches for 16 rows of 16 elements.
        unsafe { _mm512_storeu_ps(to.add(i * to_stride), x) };
    }
}
