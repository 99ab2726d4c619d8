//! The linear map of every projection over a whole batch, on all threads.
//!
//! ```text
//! y = x Wᵀ + b,   dx = dy W,   dW = dyᵀ x,   db = Σ_rows dy
//! ```
//!
//! x `[n, inputs]`, W `[outputs, inputs]`, y `[n, outputs]`. The work is cut by the shapes alone, so the results do not
//! depend on the number of threads.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use half::bf16;
use half::slice::HalfFloatSliceExt as _;

use crate::matmul::{Into, Mat, MatMut, parallel};
use crate::panels::{Panels, WIDTH};
use crate::{ShapeError, dots, error, scratch};

/// Parts that a product with panels is cut into at most.
const PARTS: usize = 8;
/// Fewest rows of such a part.
const ROWS: usize = 32;
/// Products with panels of fewer multiply-adds than this run on one thread.
const SMALL: usize = 1 << 17;

/// Elements of a matrix in bfloat16 that are widened at a time.
const WIDENED: usize = 1 << 16;

/// A weight matrix `[outputs, inputs]`.
#[derive(Debug, Clone, Copy)]
pub enum Matrix<'a> {
    /// In 32 bits.
    F32(&'a [f32]),
    /// In bfloat16. The rows that it is multiplied with are rounded to bfloat16, products are added in 32 bits.
    Bf16(&'a [bf16]),
}

impl<'a> Matrix<'a> {
    /// Number of elements.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::F32(w) => w.len(),
            Self::Bf16(w) => w.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The elements in 32 bits.
    #[must_use]
    pub fn widened(self) -> Cow<'a, [f32]> {
        match self {
            Self::F32(w) => Cow::Borrowed(w),
            Self::Bf16(w) => Cow::Owned(w.to_f32_vec()),
        }
    }
}

/// `y = x Wᵀ + b`; an empty `bias` is none.
///
/// # Errors
/// If the lengths do not fit.
pub fn forward(x: &[f32], w: Matrix<'_>, bias: &[f32], inputs: usize, y: &mut [f32]) -> Result<(), ShapeError> {
    let (n, outputs) = shape(x, w.len(), inputs)?;
    check(n, outputs, bias, y)?;
    let w = match w {
        Matrix::F32(w) => w,
        Matrix::Bf16(w) => return bf16_forward(x, w, bias, inputs, y),
    };
    let into = if bias.is_empty() { Into::Store } else { Into::Add };
    if !bias.is_empty() {
        y.par_chunks_mut(outputs).with_min_len(ROWS).for_each(|y| y.copy_from_slice(bias));
    }
    parallel(MatMut::new(y, n, outputs)?, into, Mat::new(x, n, inputs)?, Mat::new(w, outputs, inputs)?.t())
}

/// `y = x Wᵀ + b` with W in panels; an empty `bias` is none.
///
/// A row's result does not depend on the other rows, bit for bit, nor on the number of threads.
///
/// # Errors
/// If the lengths do not fit.
pub fn forward_panels(x: &[f32], w: &Panels, bias: &[f32], y: &mut [f32]) -> Result<(), ShapeError> {
    let (inputs, outputs) = (w.inputs(), w.outputs());
    error::same("elements beyond whole rows of x", 0, x.len() % inputs)?;
    let n = x.len() / inputs;
    check(n, outputs, bias, y)?;
    let rows = n.div_ceil(PARTS).max(ROWS);
    if n >= 2 * rows && n * outputs * inputs >= SMALL {
        let into = begin(bias, y);
        let parts = x.par_chunks(rows * inputs).zip(y.par_chunks_mut(rows * outputs));
        parts.for_each(|(x, y)| w.part(0..outputs, x, y, into));
    } else {
        few_rows(n, outputs, inputs, bias, y, |columns, y, into| w.part(columns, x, y, into));
    }
    Ok(())
}

/// `y = x Wᵀ + b` with few rows, from W as it is, where a copy of it in panels would be too large; an empty `bias` is
/// none.
///
/// A row's result does not depend on the other rows, bit for bit, nor on the number of threads.
///
/// # Errors
/// If the lengths do not fit.
pub fn forward_rows(x: &[f32], w: Matrix<'_>, bias: &[f32], inputs: usize, y: &mut [f32]) -> Result<(), ShapeError> {
    let (n, outputs) = shape(x, w.len(), inputs)?;
    check(n, outputs, bias, y)?;
    match w {
        Matrix::F32(w) => {
            few_rows(n, outputs, inputs, bias, y, |columns, y, into| {
                dots::multiply(x, &w[columns.start * inputs..columns.end * inputs], inputs, y, into);
            });
            Ok(())
        }
        Matrix::Bf16(w) => bf16_forward(x, w, bias, inputs, y),
    }
}

/// [`forward`] and [`forward_rows`] of checked lengths: a row's result does not depend on the other rows.
fn bf16_forward(x: &[f32], w: &[bf16], bias: &[f32], inputs: usize, y: &mut [f32]) -> Result<(), ShapeError> {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if crate::amx::is_available() {
        return crate::amx::forward(x, w, bias, inputs, y);
    }
    bf16_dots(x, w, bias, inputs, y);
    Ok(())
}

/// The map in bfloat16 by multiply-adds in 32 bits.
fn bf16_dots(x: &[f32], w: &[bf16], bias: &[f32], inputs: usize, y: &mut [f32]) {
    let x: Vec<f32> = x.iter().map(|&x| bf16::from_f32(x).to_f32()).collect();
    let (n, outputs) = (x.len() / inputs, w.len() / inputs);
    few_rows(n, outputs, inputs, bias, y, |columns, y, into| {
        let at_once = (WIDENED / inputs).max(1).next_multiple_of(dots::TILE);
        scratch::with(at_once * (inputs + n), |room| {
            let (wide, part) = room.split_at_mut(at_once * inputs);
            for first in columns.clone().step_by(at_once) {
                let here = first..(first + at_once).min(columns.end);
                let (wide, part) = (&mut wide[..here.len() * inputs], &mut part[..here.len() * n]);
                w[here.start * inputs..here.end * inputs].convert_to_f32_slice(wide);
                dots::multiply(&x, wide, inputs, part, Into::Store);
                put(part, y, columns.len(), here.start - columns.start..here.end - columns.start, into);
            }
        });
    });
}

/// Puts the bias into each row of y, if there is one; what becomes of y then.
fn begin(bias: &[f32], y: &mut [f32]) -> Into {
    if bias.is_empty() {
        return Into::Store;
    }
    y.chunks_exact_mut(bias.len()).for_each(|y| y.copy_from_slice(bias));
    Into::Add
}

/// Makes all rows of y, in one part or in parts by columns.
fn few_rows(
    n: usize,
    outputs: usize,
    inputs: usize,
    bias: &[f32],
    y: &mut [f32],
    part: impl Fn(Range<usize>, &mut [f32], Into) + Sync,
) {
    let into = begin(bias, y);
    if n * outputs * inputs < SMALL {
        part(0..outputs, y, into);
    } else {
        by_columns(n, outputs, y, into, part);
    }
}

/// Columns of y are not contiguous where there are several rows: each part makes its own, and they are put in their
/// places.
fn by_columns(
    n: usize,
    outputs: usize,
    y: &mut [f32],
    into: Into,
    part: impl Fn(Range<usize>, &mut [f32], Into) + Sync,
) {
    let columns = outputs.div_ceil(PARTS).next_multiple_of(WIDTH);
    let range = |i: usize| i * columns..((i + 1) * columns).min(outputs);
    if n == 1 {
        return y.par_chunks_mut(columns).enumerate().for_each(|(i, y)| part(range(i), y, into));
    }
    let part = |i: usize| {
        let mut own = vec![0.0; n * range(i).len()];
        part(range(i), &mut own, Into::Store);
        own
    };
    let parts: Vec<Vec<f32>> = (0..outputs.div_ceil(columns)).into_par_iter().map(part).collect();
    for (i, part) in parts.iter().enumerate() {
        put(part, y, outputs, range(i), into);
    }
}

/// Puts a part `[n, columns]` into its columns of y `[n, outputs]`.
fn put(part: &[f32], y: &mut [f32], outputs: usize, columns: Range<usize>, into: Into) {
    for (y, part) in y.chunks_exact_mut(outputs).zip(part.chunks_exact(columns.len())) {
        let y = &mut y[columns.clone()];
        match into {
            Into::Store => y.copy_from_slice(part),
            Into::Add => y.iter_mut().zip(part).for_each(|(y, p)| *y += p),
        }
    }
}

/// `dx = dy W`.
///
/// # Errors
/// If the lengths do not fit.
pub fn backward_input(dy: &[f32], w: &[f32], inputs: usize, dx: &mut [f32]) -> Result<(), ShapeError> {
    let (n, outputs) = shape(dx, w.len(), inputs)?;
    error::same("gradient of a linear map's outputs", n * outputs, dy.len())?;
    parallel(MatMut::new(dx, n, inputs)?, Into::Store, Mat::new(dy, n, outputs)?, Mat::new(w, outputs, inputs)?)
}

/// Adds `dyᵀ x` to `dw`.
///
/// # Errors
/// If the lengths do not fit.
pub fn backward_weight(dy: &[f32], x: &[f32], inputs: usize, dw: &mut [f32]) -> Result<(), ShapeError> {
    let (n, outputs) = shape(x, dw.len(), inputs)?;
    error::same("gradient of a linear map's outputs", n * outputs, dy.len())?;
    parallel(MatMut::new(dw, outputs, inputs)?, Into::Add, Mat::new(dy, n, outputs)?.t(), Mat::new(x, n, inputs)?)
}

/// Adds `Σ_rows dy` to `db` `[outputs]`.
///
/// # Errors
/// If the lengths do not fit.
pub fn backward_bias(dy: &[f32], db: &mut [f32]) -> Result<(), ShapeError> {
    error::at_least("outputs of a linear map", 1, db.len())?;
    error::same("elements beyond whole rows", 0, dy.len() % db.len())?;
    for row in dy.chunks_exact(db.len()) {
        db.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    Ok(())
}

/// `Ok` if y has `n` rows of `outputs`, and the bias, if there is one, as many elements.
fn check(n: usize, outputs: usize, bias: &[f32], y: &[f32]) -> Result<(), ShapeError> {
    error::same("outputs of a linear map", n * outputs, y.len())?;
    error::same("bias of a linear map", if bias.is_empty() { 0 } else { outputs }, bias.len())
}

/// Rows of `x` and outputs of a weight of `elements`.
fn shape(x: &[f32], elements: usize, inputs: usize) -> Result<(usize, usize), ShapeError> {
    error::at_least("inputs of a linear map", 1, inputs)?;
    error::same("elements beyond whole rows of x", 0, x.len() % inputs)?;
    error::same("elements beyond whole rows of a weight", 0, elements % inputs)?;
    Ok((x.len() / inputs, elements / inputs))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests state exact values")]
mod tests {
    use super::*;
    use crate::testing::numbers;

    fn close(got: &[f32], wanted: impl IntoIterator<Item = f64>) {
        for (i, (got, wanted)) in got.iter().zip(wanted).enumerate() {
            assert!((f64::from(*got) - wanted).abs() < 1e-4, "{i}: {got} {wanted}");
        }
    }

    #[test]
    fn every_way_of_cutting_agrees_with_the_definition() {
        // One row; few rows and many outputs; many rows; a product too small to cut.
        for (n, inputs, outputs) in [(1, 300, 700), (5, 300, 130), (300, 40, 33), (2, 3, 4)] {
            let (x, w, b) = (numbers(n * inputs, 1), numbers(outputs * inputs, 2), numbers(outputs, 3));
            let dy = numbers(n * outputs, 4);
            let at = |m: &[f32], width: usize, r: usize, c: usize| f64::from(m[r * width + c]);
            let mut y = vec![0.0; n * outputs];
            forward(&x, Matrix::F32(&w), &b, inputs, &mut y).unwrap();
            let map =
                |r: usize, o: usize| (0..inputs).map(|i| at(&x, inputs, r, i) * at(&w, inputs, o, i)).sum::<f64>();
            close(&y, (0..n * outputs).map(|k| map(k / outputs, k % outputs) + f64::from(b[k % outputs])));
            forward(&x, Matrix::F32(&w), &[], inputs, &mut y).unwrap();
            close(&y, (0..n * outputs).map(|k| map(k / outputs, k % outputs)));

            let (mut dx, mut dw, mut db) = (vec![1.0; x.len()], vec![0.0; w.len()], vec![0.0; outputs]);
            backward_input(&dy, &w, inputs, &mut dx).unwrap();
            let back = |r, i| (0..outputs).map(|o| at(&dy, outputs, r, o) * at(&w, inputs, o, i)).sum::<f64>();
            close(&dx, (0..x.len()).map(|k| back(k / inputs, k % inputs)));
            backward_weight(&dy, &x, inputs, &mut dw).unwrap();
            let outer = |o, i| (0..n).map(|r| at(&dy, outputs, r, o) * at(&x, inputs, r, i)).sum::<f64>();
            close(&dw, (0..w.len()).map(|k| outer(k / inputs, k % inputs)));
            backward_bias(&dy, &mut db).unwrap();
            close(&db, (0..outputs).map(|o| (0..n).map(|r| at(&dy, outputs, r, o)).sum()));
        }
    }

    type Form<'a> = dyn Fn(&[f32], &[f32], &mut [f32]) -> Result<(), ShapeError> + 'a;

    #[test]
    fn few_rows_agree_with_the_definition_and_do_not_see_their_neighbours() {
        // Too small to cut; few rows, cut by columns; many rows, cut by rows.
        for (n, inputs, outputs) in [(3, 5, 40), (5, 300, 130), (20, 96, 700), (300, 40, 33)] {
            let (x, w, b) = (numbers(n * inputs, 1), numbers(outputs * inputs, 2), numbers(outputs, 3));
            let panels = Panels::new(&w, outputs, inputs).unwrap();
            let by_panels = |x: &[f32], bias: &[f32], y: &mut [f32]| forward_panels(x, &panels, bias, y);
            let by_rows = |x: &[f32], bias: &[f32], y: &mut [f32]| forward_rows(x, Matrix::F32(&w), bias, inputs, y);
            let forms: [&Form<'_>; 2] = [&by_panels, &by_rows];
            for (form, bias) in forms.into_iter().flat_map(|form| [(form, &b[..]), (form, &[])]) {
                let (mut y, mut wanted) = (vec![7.0; n * outputs], vec![0.0; n * outputs]);
                form(&x, bias, &mut y).unwrap();
                forward(&x, Matrix::F32(&w), bias, inputs, &mut wanted).unwrap();
                close(&y, wanted.into_iter().map(f64::from));
                for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact(outputs)) {
                    let mut alone = vec![7.0; outputs];
                    form(x, bias, &mut alone).unwrap();
                    assert!(alone.iter().zip(y).all(|(a, b)| a.to_bits() == b.to_bits()));
                }
            }
            assert!(forward_rows(&x[1..], Matrix::F32(&w), &[], inputs, &mut vec![0.0; n * outputs]).is_err());
            assert!(forward_rows(&x, Matrix::F32(&w), &b[1..], inputs, &mut vec![0.0; n * outputs]).is_err());
            assert!(forward_panels(&x[1..], &panels, &[], &mut vec![0.0; n * outputs]).is_err());
            assert!(forward_panels(&x, &panels, &b[1..], &mut vec![0.0; n * outputs]).is_err());
        }
    }

    #[test]
    fn weights_in_bfloat16_are_multiplied_as_they_are() {
        // One row, few, as many as tiles have, more than a block; edges in each dimension.
        for (n, inputs, outputs) in [(1, 64, 64), (3, 40, 33), (17, 530, 70), (32, 1100, 300), (530, 96, 40)] {
            let (x, b) = (numbers(n * inputs, 1), numbers(outputs, 3));
            let w: Vec<bf16> = numbers(outputs * inputs, 2).into_iter().map(bf16::from_f32).collect();
            let at = |r: usize, i: usize| bf16::from_f32(x[r * inputs + i]).to_f64();
            let mut by_dots = vec![7.0; n * outputs];
            bf16_dots(&x, &w, &b, inputs, &mut by_dots);
            let forms: [&Form<'_>; 2] = [&|x, bias, y| forward(x, Matrix::Bf16(&w), bias, inputs, y), &|x, bias, y| {
                forward_rows(x, Matrix::Bf16(&w), bias, inputs, y)
            }];
            for (form, bias) in forms.into_iter().flat_map(|form| [(form, &b[..]), (form, &[])]) {
                let mut y = vec![7.0; n * outputs];
                form(&x, bias, &mut y).unwrap();
                let wanted = |k: usize| {
                    let (r, o) = (k / outputs, k % outputs);
                    let sum: f64 = (0..inputs).map(|i| at(r, i) * w[o * inputs + i].to_f64()).sum();
                    sum + bias.get(o).map_or(0.0, |b| f64::from(*b))
                };
                close(&y, (0..n * outputs).map(wanted));
                if !bias.is_empty() {
                    close(&by_dots, (0..n * outputs).map(wanted));
                }
                for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact(outputs)).step_by(5) {
                    let mut alone = vec![7.0; outputs];
                    form(x, bias, &mut alone).unwrap();
                    assert!(alone.iter().zip(y).all(|(a, b)| a.to_bits() == b.to_bits()), "{n} {inputs} {outputs}");
                }
            }
        }
        assert!(forward(&[0.0; 3], Matrix::Bf16(&[bf16::ONE; 4]), &[], 2, &mut [0.0; 2]).is_err());
    }

    #[test]
    fn rows_longer_than_what_is_widened_at_a_time_are_widened_too() {
        let (inputs, outputs) = (WIDENED + 1, 5);
        let (x, w) = (vec![0.5; inputs], vec![bf16::ONE; outputs * inputs]);
        let mut y = vec![0.0; outputs];
        bf16_dots(&x, &w, &[], inputs, &mut y);
        close(&y, [0.5 * inputs as f64; 5]);
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(forward(&[0.0; 3], Matrix::F32(&[0.0; 4]), &[], 2, &mut [0.0; 2]).is_err());
        assert!(forward(&[0.0; 2], Matrix::F32(&[0.0; 4]), &[0.0], 2, &mut [0.0; 2]).is_err());
        assert!(backward_input(&[0.0; 2], &[0.0; 4], 0, &mut [0.0; 2]).is_err());
        assert!(backward_weight(&[0.0; 3], &[0.0; 2], 2, &mut [0.0; 4]).is_err());
    }
}
