//! A product on all threads.

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use super::{Into, Mat, MatMut, product};
use crate::{ShapeError, error};

/// Longest side of a block. Each block packs its operands by itself, at a cost of its two sides against its area.
const SIDE: usize = 512;
/// Blocks are halved until there are so many,
const BLOCKS: usize = 4;
/// as long as their sides stay at least this long: four registers of the innermost loop.
const LEAST: usize = 64;
/// Products with fewer multiply-adds than this run on one thread.
const SMALL: usize = 1 << 17;

/// [`product`] on all threads. The cut depends on the shapes alone, so the results do not depend on the threads.
pub(crate) fn parallel(c: MatMut<'_>, into: Into, a: Mat<'_>, b: Mat<'_>) -> Result<(), ShapeError> {
    error::same("rows of a product", a.rows, c.rows)?;
    error::same("columns of a product", b.cols, c.cols)?;
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if crate::amx::is_worth(c.rows, c.cols, a.cols) {
        return crate::amx::parallel(c, into, a, b);
    }
    let (rows, columns) = if c.rows * c.cols * a.cols < SMALL { (c.rows, c.cols) } else { sides(c.rows, c.cols) };
    let blocks: Vec<_> = c.blocks(rows.max(1), columns.max(1)).collect();
    blocks.into_par_iter().try_for_each(|(rows, columns, c)| product(c, into, a.rows(rows), b.columns(columns)))
}

/// Rows and columns of a block.
fn sides(rows: usize, columns: usize) -> (usize, usize) {
    let (mut down, mut across) = (rows.div_ceil(SIDE), columns.div_ceil(SIDE));
    while down * across < BLOCKS {
        let (height, width) = (rows / down, columns / across);
        match (height >= 2 * LEAST, width >= 2 * LEAST) {
            (true, wide) if height >= width || !wide => down *= 2,
            (_, true) => across *= 2,
            _ => break,
        }
    }
    (rows.div_ceil(down), columns.div_ceil(across).next_multiple_of(LEAST))
}

impl<'a> MatMut<'a> {
    /// Cuts the matrix into blocks: their rows, their columns, and the views.
    pub(crate) fn blocks(
        self,
        rows: usize,
        columns: usize,
    ) -> impl Iterator<Item = (Range<usize>, Range<usize>, MatMut<'a>)> {
        let (all_rows, all_columns) = (self.rows, self.cols);
        let starts =
            (0..all_rows).step_by(rows).flat_map(move |r| (0..all_columns).step_by(columns).map(move |c| (r, c)));
        starts.map(move |(r, c)| {
            let (down, across) = (r..(r + rows).min(all_rows), c..(c + columns).min(all_columns));
            (down.clone(), across.clone(), self.block(&down, &across))
        })
    }

    /// The view of a block. The blocks of [`Self::blocks`] are disjoint, and `self` is used up by them.
    #[expect(unsafe_code, reason = "disjoint blocks of a strided matrix are no slices")]
    fn block(&self, rows: &Range<usize>, columns: &Range<usize>) -> MatMut<'a> {
        // SAFETY: the first element of a block that is not empty lies inside the matrix.
        let data = unsafe { self.data.add(rows.start * self.row_stride + columns.start) };
        MatMut { data, rows: rows.len(), cols: columns.len(), row_stride: self.row_stride, borrow: PhantomData }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests state exact values")]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_the_matrix_once() {
        // Small integers: sums are exact in any order.
        for (rows, columns, inner) in [(1, 700, 300), (5, 130, 300), (300, 33, 40), (530, 600, 3), (7, 3, 2), (0, 4, 2)]
        {
            let number = |i: usize| (i * 7 % 13) as f32 - 6.0;
            let (a, b): (Vec<f32>, Vec<f32>) =
                ((0..rows * inner).map(number).collect(), (0..inner * columns).map(|i| number(i + 5)).collect());
            let (mut got, mut wanted) = (vec![1.0; rows * columns], vec![1.0; rows * columns]);
            let (a, b) = (Mat::new(&a, rows, inner).unwrap(), Mat::new(&b, inner, columns).unwrap());
            product(MatMut::new(&mut wanted, rows, columns).unwrap(), Into::Add, a, b).unwrap();
            parallel(MatMut::new(&mut got, rows, columns).unwrap(), Into::Add, a, b).unwrap();
            assert_eq!(got, wanted);
        }
    }

    #[test]
    fn blocks_are_large_and_at_least_four_where_that_is_possible() {
        assert_eq!(sides(4096, 1024), (512, 512));
        assert_eq!(sides(272, 1024), (272, 256)); // 1 x 2, then 1 x 4
        assert_eq!(sides(1024, 64), (256, 64));
        assert_eq!(sides(1, 8192), (1, 512));
        assert_eq!(sides(60, 60), (60, 64));
    }
}
