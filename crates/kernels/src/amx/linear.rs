//! The linear map with weights in bfloat16.
//!
//! `yᵀ = W xᵀ`: rows of W are rows of tiles as they lie in memory, so the weights need no second form; x is rounded to
//! bfloat16 and packed. For few rows of x each weight is read once, from where it is.

use std::ops::Range;

use half::bf16;
use rayon::prelude::*;

use super::kernel::{Left, Sums, Tiles, narrow, wide};
use super::pack::{Side, pack, tiles, transpose};
use super::{DEPTH, LINES, PANEL, Tile, with_tiles};
use crate::matmul::{Mat, MatMut};
use crate::{ShapeError, scratch};

/// Rows of x that are multiplied together.
const ROWS: usize = 512;
/// Most outputs of a block.
const OUTPUTS: usize = 256;
/// Blocks that threads find at least, as long as they have a panel.
const BLOCKS: usize = 4;
/// Inner dimension of a block: 32 × 512 weights take 32 KiB, in the first cache.
const INNER: usize = 512;

/// `y = x Wᵀ + b` on all threads; the lengths have been checked, and that there are tile registers.
pub(crate) fn forward(x: &[f32], w: &[bf16], bias: &[f32], inputs: usize, y: &mut [f32]) -> Result<(), ShapeError> {
    let outputs = w.len() / inputs;
    let columns = outputs.div_ceil(BLOCKS).next_multiple_of(PANEL).min(OUTPUTS);
    for (x, y) in x.chunks(ROWS * inputs).zip(y.chunks_mut(ROWS * outputs)) {
        let n = x.len() / inputs;
        let width = if n <= LINES { 1 } else { 2 };
        let steps = inputs.div_ceil(DEPTH) * width;
        with_tiles(tiles(n, inputs, 1, width), |packed| {
            let pack = |(panel, tiles): (usize, &mut [Tile])| {
                let rows = panel * width * LINES..((panel + 1) * width * LINES).min(n);
                let rows = Mat::new(&x[rows.start * inputs..rows.end * inputs], rows.len(), inputs)?;
                pack::<1>(rows, Side::Right, width, tiles);
                Ok(())
            };
            packed.par_chunks_mut(steps).enumerate().try_for_each(pack)?;
            let packed = Packed { tiles: packed, steps, width };
            let blocks: Vec<_> = MatMut::new(y, n, outputs)?.blocks(n, columns).collect();
            blocks.into_par_iter().for_each(|(_, columns, y)| {
                let bias = if bias.is_empty() { bias } else { &bias[columns.clone()] };
                block(&y, &packed, &w[columns.start * inputs..columns.end * inputs], bias, inputs);
            });
            Ok(())
        })?;
    }
    Ok(())
}

/// Rows of x in tiles.
struct Packed<'a> {
    /// `[panels, steps / width, width]`.
    tiles: &'a [Tile],
    /// Tiles of a panel.
    steps: usize,
    width: usize,
}

/// All rows, some outputs.
fn block(y: &MatMut<'_>, x: &Packed<'_>, w: &[bf16], bias: &[f32], inputs: usize) {
    let stride = (y.rows).next_multiple_of(PANEL);
    scratch::with(y.cols.next_multiple_of(PANEL) * stride, |sums| {
        for (sums, bias) in sums.chunks_exact_mut(stride).zip(bias) {
            sums.fill(*bias);
        }
        with_tiles(2 * INNER / DEPTH, |room| {
            let registers = Tiles::take();
            for start in (0..inputs).step_by(INNER) {
                let depth = start..(start + INNER).min(inputs);
                for (panel, sums) in sums.chunks_exact_mut(PANEL * stride).enumerate() {
                    let rows = &w[panel * PANEL * inputs..w.len().min((panel + 1) * PANEL * inputs)];
                    let sums = Panel { sums, stride, add: start > 0 || !bias.is_empty() };
                    sums.add(&registers, rows, inputs, depth.clone(), x, room);
                }
            }
        });
        turn(y, sums, stride);
    });
}

/// Sums of 32 outputs `[32, stride]`.
struct Panel<'a> {
    sums: &'a mut [f32],
    stride: usize,
    add: bool,
}

impl Panel<'_> {
    /// Adds the products of some of the inputs.
    #[expect(unsafe_code, reason = "tile instructions take pointers")]
    fn add(self, registers: &Tiles, w: &[bf16], inputs: usize, depth: Range<usize>, x: &Packed<'_>, room: &mut [Tile]) {
        let whole = w.len() == PANEL * inputs && depth.len().is_multiple_of(DEPTH);
        let left = if whole && self.stride == PANEL {
            // Each weight is needed once.
            Left { first: w[depth.start..].as_ptr().cast(), row_stride: inputs, step: DEPTH }
        } else {
            let room = &mut room[..2 * depth.len().div_ceil(DEPTH)];
            copy(w, inputs, &depth, room);
            Left::packed(room)
        };
        let (first, tiles) = (depth.start / DEPTH * x.width, depth.len().div_ceil(DEPTH) * x.width);
        for (i, panel) in x.tiles.chunks_exact(x.steps).enumerate() {
            let right = &panel[first..first + tiles];
            let sums = &mut self.sums[i * PANEL..(PANEL - 1) * self.stride + (i + 1) * PANEL];
            let sums = Sums { first: sums.as_mut_ptr(), row_stride: self.stride, add: self.add };
            // SAFETY: `left` has 32 rows of these inputs, `sums` 32 × 32 elements.
            unsafe {
                if x.width == 1 { narrow(registers, left, right, sums) } else { wide(registers, left, right, sums) }
            }
        }
    }
}

/// Copies some columns of at most 32 rows to tiles; what lies beyond is zero.
fn copy(w: &[bf16], inputs: usize, depth: &Range<usize>, tiles: &mut [Tile]) {
    use half::slice::HalfFloatSliceExt as _;
    if w.len() < PANEL * inputs || !depth.len().is_multiple_of(DEPTH) {
        tiles.fill(Tile::ZERO);
    }
    for (r, row) in w.chunks_exact(inputs).enumerate() {
        for (step, row) in row[depth.clone()].chunks(DEPTH).enumerate() {
            tiles[2 * step + r / LINES].0[r % LINES * DEPTH..][..row.len()].copy_from_slice(row.reinterpret_cast());
        }
    }
}

/// Writes sums `[outputs, stride]` to y `[rows, outputs]`.
#[expect(unsafe_code, reason = "blocks of a strided matrix are no slices")]
fn turn(y: &MatMut<'_>, sums: &[f32], stride: usize) {
    for o in (0..y.cols).step_by(LINES) {
        for r in (0..y.rows).step_by(LINES) {
            // SAFETY: the block's first element lies inside y.
            let to = unsafe { y.data.add(r * y.row_stride + o) };
            let (rows, outputs) = (LINES.min(y.rows - r), LINES.min(y.cols - o));
            if rows == LINES && outputs == LINES {
                // SAFETY: 16 × 16 elements lie inside the sums, and inside y, which is borrowed exclusively.
                unsafe { transpose(sums[o * stride + r..].as_ptr(), stride, to, y.row_stride) };
                continue;
            }
            for (i, sums) in sums[o * stride..].chunks_exact(stride).take(outputs).enumerate() {
                for (j, sum) in sums[r..r + rows].iter().enumerate() {
                    // SAFETY: the element lies inside y, which is borrowed exclusively.
                    unsafe { *to.add(j * y.row_stride + i) = *sum };
                }
            }
        }
    }
}
