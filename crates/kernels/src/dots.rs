//! Products of few rows with a row-major matrix, without a copy of it.
//!
//! ```text
//! y[r][o] = Σ_l s_l,   s_l = Σ_j x[r][16 j + l] · w[o][16 j + l],   l < 16
//! ```
//!
//! Every element is the same sixteen chains of multiply-adds, added in the same order, whatever the number of rows. So a
//! row's result does not depend on its neighbours in the batch, bit for bit, as with [`panels`](crate::panels), which are
//! faster where a copy of the matrix is cheap.

use crate::matmul::Into;

/// Chains of one element.
const LANES: usize = 16;
/// Rows and outputs that are multiplied together: sixteen sums of sixteen lanes.
pub(crate) const TILE: usize = 4;

/// The loops for one instruction set: products of some rows of x with four rows of w.
#[derive(Debug, Clone, Copy)]
struct Kernel {
    tile: Loop<TILE>,
    row: Loop<1>,
}

type Loop<const ROWS: usize> = unsafe fn([&[f32]; ROWS], [&[f32]; TILE]) -> [[f32; TILE]; ROWS];

impl Kernel {
    /// The best that this machine has.
    fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        match crate::simd::level() {
            crate::simd::Level::Avx512 => return Self { tile: avx512::<TILE>, row: avx512::<1> },
            crate::simd::Level::Avx2 => return Self { tile: avx2_tile, row: avx2_row },
            crate::simd::Level::Baseline => {}
        }
        Self { tile: portable::<TILE>, row: portable::<1> }
    }

    #[expect(unsafe_code, reason = "calls a function compiled for more instructions")]
    fn tile(self, x: [&[f32]; TILE], w: [&[f32]; TILE]) -> [[f32; TILE]; TILE] {
        // SAFETY: `best` chose the loop after finding the instructions that it is compiled for.
        unsafe { (self.tile)(x, w) }
    }

    #[expect(unsafe_code, reason = "calls a function compiled for more instructions")]
    fn row(self, x: &[f32], w: [&[f32]; TILE]) -> [f32; TILE] {
        // SAFETY: as in `tile`.
        let [row] = unsafe { (self.row)([x], w) };
        row
    }
}

/// `y = x Wᵀ` or `y += x Wᵀ`: x `[n, inputs]`, w `[outputs, inputs]`, y `[n, outputs]`, on one thread. The caller has
/// checked the lengths; `inputs` and `outputs` are at least 1.
pub(crate) fn multiply(x: &[f32], w: &[f32], inputs: usize, y: &mut [f32], into: Into) {
    let (n, outputs, kernel) = (x.len() / inputs, w.len() / inputs, Kernel::best());
    let x_row = |r: usize| &x[r * inputs..(r + 1) * inputs];
    for first in (0..outputs).step_by(TILE) {
        // The last rows are repeated where there are fewer than a tile.
        let w_row = |o: usize| &w[o.min(outputs - 1) * inputs..][..inputs];
        let w: [&[f32]; TILE] = std::array::from_fn(|c| w_row(first + c));
        let columns = first..(first + TILE).min(outputs);
        let mut finish = |r: usize, totals: &[f32; TILE]| {
            let y = &mut y[r * outputs..][columns.clone()];
            match into {
                Into::Store => y.copy_from_slice(&totals[..y.len()]),
                Into::Add => y.iter_mut().zip(totals).for_each(|(y, t)| *y += t),
            }
        };
        let tiled = n / TILE * TILE;
        for tile in (0..tiled).step_by(TILE) {
            let totals = kernel.tile(std::array::from_fn(|r| x_row(tile + r)), w);
            totals.iter().enumerate().for_each(|(r, totals)| finish(tile + r, totals));
        }
        for r in tiled..n {
            finish(r, &kernel.row(x_row(r), w));
        }
    }
}

/// Adds sixteen chains, always in this order.
fn sum(mut lanes: [f32; LANES]) -> f32 {
    for width in [8, 4, 2, 1] {
        for l in 0..width {
            lanes[l] += lanes[l + width];
        }
    }
    lanes[0]
}

/// The elements behind the last whole sixteen, and zeros.
fn tail(row: &[f32]) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    let rest = row.as_chunks::<LANES>().1;
    lanes[..rest.len()].copy_from_slice(rest);
    lanes
}

fn portable<const ROWS: usize>(x: [&[f32]; ROWS], w: [&[f32]; TILE]) -> [[f32; TILE]; ROWS] {
    use crate::simd::{Baseline, Isa as _};
    let element = |x: &[f32], w: &[f32]| {
        let mut lanes = [0.0; LANES];
        let mut step = |x: &[f32; LANES], w: &[f32; LANES]| {
            for (lane, (x, w)) in lanes.iter_mut().zip(x.iter().zip(w)) {
                *lane = Baseline::madd(*x, *w, *lane);
            }
        };
        x.as_chunks().0.iter().zip(w.as_chunks().0).for_each(|(x, w)| step(x, w));
        step(&tail(x), &tail(w));
        sum(lanes)
    };
    x.map(|x| w.map(|w| element(x, w)))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "vector loads and stores take pointers")]
fn avx512<const ROWS: usize>(x: [&[f32]; ROWS], w: [&[f32]; TILE]) -> [[f32; TILE]; ROWS] {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_loadu_ps, _mm512_setzero_ps};
    let (len, mut sums) = (x[0].len(), [[_mm512_setzero_ps(); TILE]; ROWS]);
    assert!(x.iter().chain(&w).all(|row| row.len() == len), "rows of one length");
    let (x_tail, w_tail) = (x.map(tail), w.map(tail));
    for j in 0..=len / LANES {
        let whole = j < len / LANES;
        let mut columns = [_mm512_setzero_ps(); TILE];
        for c in 0..TILE {
            // SAFETY: sixteen floats from 16 j on are inside of a row of `len`, or an array has sixteen.
            columns[c] =
                unsafe { _mm512_loadu_ps(if whole { w[c].as_ptr().add(LANES * j) } else { w_tail[c].as_ptr() }) };
        }
        for r in 0..ROWS {
            // SAFETY: as above.
            let row = unsafe { _mm512_loadu_ps(if whole { x[r].as_ptr().add(LANES * j) } else { x_tail[r].as_ptr() }) };
            for c in 0..TILE {
                sums[r][c] = _mm512_fmadd_ps(row, columns[c], sums[r][c]);
            }
        }
    }
    let mut all = [[_mm512_setzero_ps(); TILE]; TILE];
    all[..ROWS].copy_from_slice(&sums);
    let turned = avx512_sums(&all);
    std::array::from_fn(|r| std::array::from_fn(|c| turned[c][r]))
}

/// [`sum`] of sixteen registers `[r][c]`, as `[c][r]`: in each step two registers become one.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "vector stores take pointers")]
fn avx512_sums(sums: &[[std::arch::x86_64::__m512; TILE]; TILE]) -> [[f32; TILE]; TILE] {
    use std::arch::x86_64::{_mm512_add_ps, _mm512_shuffle_f32x4, _mm512_shuffle_ps, _mm512_storeu_ps};
    let rows = sums.map(|[a, b, c, d]| {
        // Lanes 8 apart, then 4 apart: each quarter of the register belongs to one column.
        let ab = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
        let cd = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xee>(c, d));
        _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(ab, cd), _mm512_shuffle_f32x4::<0xdd>(ab, cd))
    });
    // Lanes 2 apart of two rows, then neighbours of all.
    let [a, b, c, d] = rows;
    let ab = _mm512_add_ps(_mm512_shuffle_ps::<0x44>(a, b), _mm512_shuffle_ps::<0xee>(a, b));
    let cd = _mm512_add_ps(_mm512_shuffle_ps::<0x44>(c, d), _mm512_shuffle_ps::<0xee>(c, d));
    let all = _mm512_add_ps(_mm512_shuffle_ps::<0x88>(ab, cd), _mm512_shuffle_ps::<0xdd>(ab, cd));
    let mut stored = [[0.0; TILE]; TILE];
    // SAFETY: `stored` is sixteen floats.
    unsafe { _mm512_storeu_ps(stored.as_mut_ptr().cast(), all) };
    stored
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2_row(x: [&[f32]; 1], w: [&[f32]; TILE]) -> [[f32; TILE]; 1] {
    let [x] = x;
    let [[a, b]] = avx2::<1>([x], [w[0], w[1]]);
    let [[c, d]] = avx2::<1>([x], [w[2], w[3]]);
    [[a, b, c, d]]
}

/// Two rows and two outputs at a time: eight sums fit into the sixteen registers that there are.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2_tile(x: [&[f32]; TILE], w: [&[f32]; TILE]) -> [[f32; TILE]; TILE] {
    let mut totals = [[0.0; TILE]; TILE];
    for r in [0, 2] {
        for c in [0, 2] {
            let part = avx2::<2>([x[r], x[r + 1]], [w[c], w[c + 1]]);
            for (totals, part) in totals[r..].iter_mut().zip(part) {
                totals[c..c + 2].copy_from_slice(&part);
            }
        }
    }
    totals
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[expect(unsafe_code, reason = "vector loads and stores take pointers")]
fn avx2<const ROWS: usize>(x: [&[f32]; ROWS], w: [&[f32]; 2]) -> [[f32; 2]; ROWS] {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps};
    // By halves of the sixteen chains.
    let (len, mut sums) = (x[0].len(), [[[_mm256_setzero_ps(); 2]; ROWS]; 2]);
    assert!(x.iter().chain(&w).all(|row| row.len() == len), "rows of one length");
    let (x_tail, w_tail) = (x.map(tail), w.map(tail));
    for j in 0..=len / LANES {
        let whole = j < len / LANES;
        for (half, sums) in sums.iter_mut().enumerate() {
            let mut columns = [_mm256_setzero_ps(); 2];
            for c in 0..2 {
                let from = if whole { &w[c][LANES * j..] } else { &w_tail[c] };
                // SAFETY: at least sixteen floats begin there.
                columns[c] = unsafe { _mm256_loadu_ps(from.as_ptr().add(8 * half)) };
            }
            for r in 0..ROWS {
                let from = if whole { &x[r][LANES * j..] } else { &x_tail[r] };
                // SAFETY: as above.
                let row = unsafe { _mm256_loadu_ps(from.as_ptr().add(8 * half)) };
                for c in 0..2 {
                    sums[r][c] = _mm256_fmadd_ps(row, columns[c], sums[r][c]);
                }
            }
        }
    }
    let mut totals = [[0.0; 2]; ROWS];
    for (r, totals) in totals.iter_mut().enumerate() {
        for (c, total) in totals.iter_mut().enumerate() {
            let mut stored = [0.0; LANES];
            for (stored, half) in stored.chunks_exact_mut(8).zip(sums) {
                // SAFETY: `stored` is eight floats.
                unsafe { _mm256_storeu_ps(stored.as_mut_ptr(), half[r][c]) };
            }
            *total = sum(stored);
        }
    }
    totals
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "tests state exact values")]
mod tests {
    use super::*;

    /// Small integers: every sum is exact, so all variants must agree to the bit.
    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i + seed) * 7 % 13) as f32 - 6.0).collect()
    }

    #[test]
    fn products_are_those_of_the_definition() {
        for (n, inputs, outputs) in [(1, 1, 1), (9, 37, 7), (4, 16, 4), (6, 15, 5), (3, 64, 9)] {
            let (x, w) = (numbers(n * inputs, 1), numbers(outputs * inputs, 5));
            let mut y = vec![1.0; n * outputs];
            multiply(&x, &w, inputs, &mut y, Into::Add);
            for r in 0..n {
                for o in 0..outputs {
                    let wanted: f32 = (0..inputs).map(|i| x[r * inputs + i] * w[o * inputs + i]).sum();
                    assert_eq!(y[r * outputs + o], wanted + 1.0, "{n} {inputs} {outputs}: {r} {o}");
                }
            }
        }
    }

    #[test]
    fn a_row_does_not_see_its_neighbours() {
        let (n, inputs, outputs) = (11, 53, 10);
        let wave = |n: usize, f: f32| (0..n).map(|i| (i as f32 * f).sin()).collect::<Vec<_>>();
        let (x, w) = (wave(n * inputs, 0.37), wave(outputs * inputs, 0.91));
        let mut together = vec![0.0; n * outputs];
        multiply(&x, &w, inputs, &mut together, Into::Store);
        for r in 0..n {
            let mut alone = vec![0.0; outputs];
            multiply(&x[r * inputs..(r + 1) * inputs], &w, inputs, &mut alone, Into::Store);
            assert_eq!(alone, together[r * outputs..(r + 1) * outputs]);
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "calls each variant that this machine has")]
    fn all_instruction_sets_agree() {
        let (x, w) = (numbers(4 * 37, 2), numbers(4 * 37, 3));
        let rows = |v: &[f32]| -> Vec<Vec<f32>> { v.chunks(37).map(<[f32]>::to_vec).collect() };
        let (x, w) = (rows(&x), rows(&w));
        let (x, w): ([&[f32]; 4], [&[f32]; 4]) =
            (std::array::from_fn(|i| &x[i][..]), std::array::from_fn(|i| &w[i][..]));
        let wanted = portable(x, w);
        assert_eq!(Kernel::best().tile(x, w), wanted);
        assert_eq!(Kernel::best().row(x[2], w), wanted[2]);
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the features have just been found.
            unsafe {
                assert_eq!(avx2_tile(x, w), wanted);
                assert_eq!(avx2_row([x[2]], w)[0], wanted[2]);
            }
        }
    }
}
