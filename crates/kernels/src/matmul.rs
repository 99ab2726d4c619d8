//! Matrix products on strided views.

mod blocks;

use std::marker::PhantomData;
use std::ops::Range;

pub(crate) use blocks::parallel;

use crate::{ShapeError, error};

/// A view of a matrix in a slice: element (r, c) lies at `r·row_stride + c·col_stride`.
#[derive(Debug, Clone, Copy)]
pub struct Mat<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

impl<'a> Mat<'a> {
    /// A contiguous row-major matrix.
    ///
    /// # Errors
    /// If `data` does not hold exactly `rows · cols` elements.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Result<Self, ShapeError> {
        error::same("elements of a matrix", rows * cols, data.len())?;
        Self::strided(data, rows, cols, cols)
    }

    /// Rows that begin `row_stride` apart: columns of a wider matrix.
    ///
    /// # Errors
    /// If the last element lies outside `data`.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Result<Self, ShapeError> {
        error::at_least("elements of a strided matrix", extent(rows, cols, row_stride), data.len())?;
        Ok(Self { data, rows, cols, row_stride, col_stride: 1 })
    }

    /// The transposed view.
    #[must_use]
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            data: self.data,
        }
    }

    /// Some of the rows.
    pub(crate) fn rows(self, range: Range<usize>) -> Self {
        Self { rows: range.len(), data: &self.data[range.start * self.row_stride..], ..self }
    }

    /// Some of the columns.
    pub(crate) fn columns(self, range: Range<usize>) -> Self {
        self.t().rows(range).t()
    }
}

/// A view of a row-major matrix that is written to.
///
/// It holds a pointer, as views of different columns reach into the same rows.
#[derive(Debug)]
pub struct MatMut<'a> {
    pub(crate) data: *mut f32,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

#[expect(unsafe_code, reason = "a pointer stands for an exclusive borrow")]
// SAFETY: a view is the only access to its elements, as a `&mut [f32]` of them would be.
unsafe impl Send for MatMut<'_> {}

impl<'a> MatMut<'a> {
    /// A contiguous row-major matrix.
    ///
    /// # Errors
    /// If `data` does not hold exactly `rows · cols` elements.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Result<Self, ShapeError> {
        error::same("elements of a matrix", rows * cols, data.len())?;
        Self::strided(data, rows, cols, cols)
    }

    /// Rows that begin `row_stride` apart: columns of a wider matrix.
    ///
    /// # Errors
    /// If the last element lies outside `data`, or rows overlap.
    pub fn strided(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Result<Self, ShapeError> {
        error::at_least("row stride", cols, row_stride)?;
        error::at_least("elements of a strided matrix", extent(rows, cols, row_stride), data.len())?;
        Ok(Self { data: data.as_mut_ptr(), rows, cols, row_stride, borrow: PhantomData })
    }
}

/// Elements from the first to the last of a row-major view.
const fn extent(rows: usize, cols: usize, row_stride: usize) -> usize {
    if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row_stride + cols }
}

/// What becomes of the destination's old content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Into {
    /// It is overwritten.
    Store,
    /// The product is added to it.
    Add,
}

/// `C = A B` or `C += A B` on one thread, A `[m, k]`, B `[k, n]`, C `[m, n]`.
///
/// # Errors
/// If the three shapes do not fit.
#[expect(unsafe_code, reason = "gemm takes pointers and strides")]
#[expect(clippy::needless_pass_by_value, reason = "a view is consumed as a borrow would be")]
pub fn product(c: MatMut<'_>, into: Into, a: Mat<'_>, b: Mat<'_>) -> Result<(), ShapeError> {
    error::same("inner dimension of a product", a.cols, b.rows)?;
    error::same("rows of a product", a.rows, c.rows)?;
    error::same("columns of a product", b.cols, c.cols)?;
    // SAFETY: the constructors have checked that every element (r, c) of each view lies inside its slice, and the
    // exclusive borrow of `c` keeps it apart from `a` and `b`.
    unsafe {
        gemm::gemm(
            c.rows,
            c.cols,
            a.cols,
            c.data,
            1,
            c.row_stride as isize,
            into == Into::Add,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
    Ok(())
}

/// `y = x Wᵀ`, the linear map of every projection: x `[n, inputs]`, W `[outputs, inputs]`, y `[n, outputs]`.
pub(crate) fn linear(
    y: &mut [f32],
    into: Into,
    x: &[f32],
    w: &[f32],
    outputs: usize,
    inputs: usize,
) -> Result<(), ShapeError> {
    let n = x.len() / inputs;
    product(MatMut::new(y, n, outputs)?, into, Mat::new(x, n, inputs)?, Mat::new(w, outputs, inputs)?.t())
}

/// Backward of [`linear`] for its input: `dx = dy W`.
pub(crate) fn linear_backward_input(
    dx: &mut [f32],
    dy: &[f32],
    w: &[f32],
    outputs: usize,
    inputs: usize,
) -> Result<(), ShapeError> {
    let n = dy.len() / outputs;
    product(MatMut::new(dx, n, inputs)?, Into::Store, Mat::new(dy, n, outputs)?, Mat::new(w, outputs, inputs)?)
}

/// Backward of [`linear`] for its weight: `dW = dyᵀ x`.
pub(crate) fn linear_backward_weight(
    dw: &mut [f32],
    dy: &[f32],
    x: &[f32],
    outputs: usize,
    inputs: usize,
) -> Result<(), ShapeError> {
    let n = dy.len() / outputs;
    product(MatMut::new(dw, outputs, inputs)?, Into::Store, Mat::new(dy, n, outputs)?.t(), Mat::new(x, n, inputs)?)
}

/// Both gradients of [`linear`].
pub(crate) fn linear_backward(
    dx: &mut [f32],
    dw: &mut [f32],
    dy: &[f32],
    x: &[f32],
    w: &[f32],
    outputs: usize,
    inputs: usize,
) -> Result<(), ShapeError> {
    linear_backward_input(dx, dy, w, outputs, inputs)?;
    linear_backward_weight(dw, dy, x, outputs, inputs)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests state exact values")]
mod tests {
    use super::*;

    #[test]
    fn a_product_by_hand() {
        // [1 2; 3 4]·[5 6; 7 8] = [19 22; 43 50], then added once more.
        let mut c = [0.0; 4];
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        for into in [Into::Store, Into::Add] {
            let (a, b) = (Mat::new(&a, 2, 2).unwrap(), Mat::new(&b, 2, 2).unwrap());
            product(MatMut::new(&mut c, 2, 2).unwrap(), into, a, b).unwrap();
        }
        assert_eq!(c, [38.0, 44.0, 86.0, 100.0]);
    }

    #[test]
    fn a_strided_view_reads_columns_of_a_wider_matrix() {
        // Columns 1 and 2 of [1 2 3; 4 5 6] are [2 3; 5 6]; transposed times the column (1, 1): (7, 9).
        let wide = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut c = [0.0; 2];
        let a = Mat::strided(&wide[1..], 2, 2, 3).unwrap().t();
        product(MatMut::new(&mut c, 2, 1).unwrap(), Into::Store, a, Mat::new(&[1.0, 1.0], 2, 1).unwrap()).unwrap();
        assert_eq!(c, [7.0, 9.0]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let (a, mut c) = ([0.0; 6], [0.0; 4]);
        assert!(Mat::new(&a, 2, 2).is_err());
        assert!(Mat::strided(&a, 3, 2, 3).is_err());
        assert!(MatMut::strided(&mut c, 2, 2, 1).is_err());
        let (a, b) = (Mat::new(&a, 2, 3).unwrap(), Mat::new(&a, 2, 3).unwrap());
        let wrong = product(MatMut::new(&mut c, 2, 2).unwrap(), Into::Store, a, b);
        assert_eq!(wrong, Err(ShapeError { what: "inner dimension of a product", expected: 3, got: 2 }));
    }
}
