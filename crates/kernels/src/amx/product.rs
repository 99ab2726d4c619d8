//! Products of 32-bit matrices.
//!
//! Each element is split into three numbers in bfloat16, which together have its 24 bits: x = x₁ + x₂ + x₃ with
//! |x₂| ≤ 2⁻⁸|x| and |x₃| ≤ 2⁻¹⁶|x|. Six products of the parts, added in 32 bits, differ from the product by 2⁻²⁵ of it, less
//! than the rounding of one sum (Henry, Tang, Heinecke, Leveraging the bfloat16 artificial intelligence datatype for
//! higher-precision computations, 2019, section 3). Numbers below 2⁻¹¹⁰ lose bits, as tiles have no denormal numbers.

use std::ops::Range;

use rayon::prelude::*;

use super::kernel::{Sums, Tiles, in_three_parts};
use super::pack::{Side, pack, tiles};
use super::{DEPTH, PANEL, Tile, with_tiles};
use crate::matmul::{Into, Mat, MatMut};
use crate::{ShapeError, error};

const PARTS: usize = 3;
/// Inner dimension of a block: 32 × 256 elements of one side are 48 KiB in three parts.
const INNER: usize = 256;
/// Most lines of a strip: with [`INNER`] and three parts 384 KiB, in the second cache.
const STRIP: usize = 256;
/// Strips that threads find at least, as long as they have two panels.
const STRIPS: usize = 4;
/// Lines of the side that is packed as a whole.
const WHOLE: usize = 512;
/// Multiply-adds for each packed element from which on packing pays.
const LEAST: usize = 64;

/// Whether a product is so large that packing pays.
pub(crate) fn is_worth(rows: usize, columns: usize, inner: usize) -> bool {
    rows * columns >= LEAST * (rows + columns) && inner >= 4 * DEPTH && super::is_available()
}

/// One side of a product, as lines along the inner dimension.
#[derive(Debug, Clone, Copy)]
struct Operand<'a> {
    lines: Mat<'a>,
    side: Side,
}

impl Operand<'_> {
    fn part(self, lines: Range<usize>) -> Self {
        Self { lines: self.lines.rows(lines), ..self }
    }
}

/// `C = A B` or `C += A B` on all threads.
///
/// The longer side of C is cut into strips, which pack their lines themselves; the other side is packed once for all.
pub(crate) fn parallel(c: MatMut<'_>, into: Into, a: Mat<'_>, b: Mat<'_>) -> Result<(), ShapeError> {
    error::same("inner dimension of a product", a.cols, b.rows)?;
    let (left, right) = (Operand { lines: a, side: Side::Left }, Operand { lines: b.t(), side: Side::Right });
    let by_rows = c.rows > c.cols;
    let (shared, own) = if by_rows { (right, left) } else { (left, right) };
    let strip = own.lines.rows.div_ceil(STRIPS).next_multiple_of(PANEL).clamp(2 * PANEL, STRIP);
    let (rows, columns) = if by_rows { (c.rows, WHOLE) } else { (WHOLE, c.cols) };
    for (rows, columns, c) in c.blocks(rows, columns) {
        let shared = shared.part(if by_rows { columns } else { rows });
        with_tiles(tiles(shared.lines.rows, a.cols, PARTS, 2), |packed| {
            packed.par_chunks_mut(tiles(1, a.cols, PARTS, 2)).enumerate().for_each(|(panel, tiles)| {
                let lines = panel * PANEL..((panel + 1) * PANEL).min(shared.lines.rows);
                pack::<PARTS>(shared.lines.rows(lines), shared.side, 2, tiles);
            });
            let (rows, columns) = if by_rows { (strip, c.cols) } else { (c.rows, strip) };
            let strips: Vec<_> = c.blocks(rows, columns).collect();
            strips.into_par_iter().for_each(|(rows, columns, c)| {
                block(c, into, packed, own.part(if by_rows { rows } else { columns }));
            });
        });
    }
    Ok(())
}

/// A strip of C from the packed lines of one side and its own lines of the other.
fn block(mut c: MatMut<'_>, into: Into, shared: &[Tile], own: Operand<'_>) {
    let (registers, inner) = (Tiles::take(), own.lines.cols);
    with_tiles(tiles(own.lines.rows, INNER, PARTS, 2), |room| {
        for start in (0..inner).step_by(INNER) {
            let depth = start..(start + INNER).min(inner);
            let packed = &mut room[..tiles(own.lines.rows, depth.len(), PARTS, 2)];
            pack::<PARTS>(own.lines.columns(depth.clone()), own.side, 2, packed);
            let add = into == Into::Add || start > 0;
            let (first, panel) = (tiles(1, start, PARTS, 2), tiles(1, depth.len(), PARTS, 2));
            for (i, shared) in shared.chunks_exact(tiles(1, inner, PARTS, 2)).enumerate() {
                let shared = &shared[first..first + panel];
                for (j, own_panel) in packed.chunks_exact(panel).enumerate() {
                    match own.side {
                        Side::Right => quarter(&registers, &mut c, i * PANEL, j * PANEL, add, shared, own_panel),
                        Side::Left => quarter(&registers, &mut c, j * PANEL, i * PANEL, add, own_panel, shared),
                    }
                }
            }
        }
    });
}

/// 32 × 32 elements, or what of them lies inside C.
#[expect(unsafe_code, reason = "blocks of a strided matrix are no slices")]
fn quarter(registers: &Tiles, c: &mut MatMut<'_>, row: usize, column: usize, add: bool, left: &[Tile], right: &[Tile]) {
    let (rows, columns) = (PANEL.min(c.rows - row), PANEL.min(c.cols - column));
    // SAFETY: the block's first element lies inside C.
    let first = unsafe { c.data.add(row * c.row_stride + column) };
    if rows == PANEL && columns == PANEL {
        // SAFETY: all of the block lies inside C, which is borrowed exclusively.
        return unsafe { in_three_parts(registers, left, right, Sums { first, row_stride: c.row_stride, add }) };
    }
    let mut whole = [0.0_f32; PANEL * PANEL];
    // SAFETY: row r and column i lie inside C.
    let at = |r: usize, i: usize| unsafe { first.add(r * c.row_stride + i) };
    let inside = || (0..rows).flat_map(|r| (0..columns).map(move |i| (r, i)));
    for (r, i) in inside().filter(|_| add) {
        // SAFETY: C is borrowed exclusively.
        whole[r * PANEL + i] = unsafe { *at(r, i) };
    }
    // SAFETY: `whole` holds 32 × 32 elements.
    unsafe { in_three_parts(registers, left, right, Sums { first: whole.as_mut_ptr(), row_stride: PANEL, add }) };
    for (r, i) in inside() {
        // SAFETY: C is borrowed exclusively.
        unsafe { *at(r, i) = whole[r * PANEL + i] };
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests state exact values")]
mod tests {
    use super::*;
    use crate::amx::is_available;
    use crate::testing::numbers;

    /// Edges in all three dimensions; strips of rows and of columns; several blocks of the inner dimension and of the packed
    /// side.
    const SHAPES: [(usize, usize, usize); 6] =
        [(1, 1, 1), (33, 31, 65), (64, 64, 256), (70, 300, 290), (530, 40, 32), (530, 515, 40)];

    #[test]
    fn products_of_any_strides_are_as_exact_as_sums_in_32_bits() {
        if !is_available() {
            return;
        }
        for (m, n, k) in SHAPES {
            let (a, b, old) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3));
            let turned = |x: &[f32], rows: usize| -> Vec<f32> {
                let columns = x.len() / rows;
                (0..x.len()).map(|i| x[i % rows * columns + i / rows]).collect()
            };
            let (a_turned, b_turned) = (turned(&a, m), turned(&b, k));
            let lefts = [Mat::new(&a, m, k).unwrap(), Mat::new(&a_turned, k, m).unwrap().t()];
            let rights = [Mat::new(&b, k, n).unwrap(), Mat::new(&b_turned, n, k).unwrap().t()];
            for (into, (left, right)) in [Into::Store, Into::Add].into_iter().zip(lefts.into_iter().zip(rights)) {
                let mut c = old.clone();
                parallel(MatMut::new(&mut c, m, n).unwrap(), into, left, right).unwrap();
                for (i, got) in c.iter().enumerate() {
                    let terms = || (0..k).map(|j| f64::from(a[i / n * k + j]) * f64::from(b[j * n + i % n]));
                    let start = if into == Into::Add { f64::from(old[i]) } else { 0.0 };
                    let (wanted, size) = (start + terms().sum::<f64>(), 1.0 + terms().map(f64::abs).sum::<f64>());
                    let off = (f64::from(*got) - wanted).abs() / size;
                    assert!(off < 2.0 * f64::from(f32::EPSILON), "{m} {n} {k}: {i} is off by {off:e}");
                }
            }
        }
    }

    #[test]
    fn an_element_does_not_depend_on_what_is_multiplied_with_it() {
        if !is_available() {
            return;
        }
        let (m, n, k) = (70, 300, 290);
        let (a, b, mut all) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3));
        let old = all.clone();
        let (left, right) = (Mat::new(&a, m, k).unwrap(), Mat::new(&b, k, n).unwrap());
        parallel(MatMut::new(&mut all, m, n).unwrap(), Into::Add, left, right).unwrap();
        for (row, column) in [(0, 0), (5, 299), (31, 32), (69, 150)] {
            let mut one = [old[row * n + column]];
            let (row_of, column_of) = (left.rows(row..row + 1), right.columns(column..column + 1));
            parallel(MatMut::new(&mut one, 1, 1).unwrap(), Into::Add, row_of, column_of).unwrap();
            assert_eq!(one[0].to_bits(), all[row * n + column].to_bits());
        }
    }

    #[test]
    fn small_and_large_numbers_keep_their_bits() {
        if !is_available() {
            return;
        }
        // 24 bits in three parts of 8, and a sum that cancels.
        let a = [f32::from_bits(0x3f80_0001), -1.0, 1.5e-30, 3.0e37];
        let b = [1.0, 1.0, 2.0, 0.5];
        let mut c = [0.0; 1];
        parallel(
            MatMut::new(&mut c, 1, 1).unwrap(),
            Into::Store,
            Mat::new(&a[..2], 1, 2).unwrap(),
            Mat::new(&b[..2], 2, 1).unwrap(),
        )
        .unwrap();
        assert!((c[0] - f32::EPSILON).abs() < 1e-12, "{}", c[0]);
        for i in [2, 3] {
            parallel(
                MatMut::new(&mut c, 1, 1).unwrap(),
                Into::Store,
                Mat::new(&a[i..=i], 1, 1).unwrap(),
                Mat::new(&b[i..=i], 1, 1).unwrap(),
            )
            .unwrap();
            assert!((c[0] / (a[i] * b[i]) - 1.0).abs() < 1e-7);
        }
        let infinite = [f32::INFINITY];
        parallel(
            MatMut::new(&mut c, 1, 1).unwrap(),
            Into::Store,
            Mat::new(&infinite, 1, 1).unwrap(),
            Mat::new(&b[..1], 1, 1).unwrap(),
        )
        .unwrap();
        assert!(!c[0].is_finite(), "no number where there is none");
    }
}
