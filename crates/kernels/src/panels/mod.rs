//! A weight matrix rearranged for products with few rows.
//!
//! ```text
//! y = x Wᵀ,   W [outputs, inputs] as panels of 32 outputs, each [inputs, 32]
//! ```
//!
//! Every element is one chain of multiply-adds over the inputs in order, whatever the number of rows. So a row's result
//! does not depend on its neighbours in the batch, bit for bit; the general [`matmul`](crate::matmul) does not promise that.

use std::ops::Range;

use rayon::prelude::*;

use crate::matmul::Into;
use crate::{ShapeError, error, scratch};

mod kernel;

use kernel::TILE;
pub(crate) use kernel::{Kernel, Lanes, WIDTH};

/// A matrix `[outputs, inputs]` in panels.
#[derive(Debug, Clone, PartialEq)]
pub struct Panels {
    data: Vec<f32>,
    outputs: usize,
    inputs: usize,
}

impl Panels {
    /// Rearranges a row-major matrix.
    ///
    /// # Errors
    /// If `weight` does not hold `outputs · inputs` elements.
    pub fn new(weight: &[f32], outputs: usize, inputs: usize) -> Result<Self, ShapeError> {
        error::at_least("inputs", 1, inputs)?;
        error::same("elements of a matrix", outputs * inputs, weight.len())?;
        let mut data = vec![0.0; outputs.div_ceil(WIDTH) * WIDTH * inputs];
        let panels = data.par_chunks_exact_mut(WIDTH * inputs).zip(weight.par_chunks(WIDTH * inputs));
        panels.for_each(|(panel, rows)| {
            for (i, lanes) in panel.chunks_exact_mut(WIDTH).enumerate() {
                for (lane, row) in lanes.iter_mut().zip(rows.chunks_exact(inputs)) {
                    *lane = row[i];
                }
            }
        });
        Ok(Self { data, outputs, inputs })
    }

    /// Rows of the input.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Columns of the product.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// `y = x Wᵀ` or `y += x Wᵀ`: x `[n, inputs]`, y `[n, outputs]`, on one thread.
    ///
    /// # Errors
    /// If the lengths do not fit.
    pub fn apply(&self, x: &[f32], y: &mut [f32], into: Into) -> Result<(), ShapeError> {
        error::same("elements beyond whole rows", 0, x.len() % self.inputs)?;
        error::same("elements of a product", x.len() / self.inputs * self.outputs, y.len())?;
        self.part(0..self.outputs, x, y, into);
        Ok(())
    }

    /// Columns `columns` of the product, y `[n, columns]`; they begin with a panel.
    pub(crate) fn part(&self, columns: Range<usize>, x: &[f32], y: &mut [f32], into: Into) {
        let (n, inputs) = (x.len() / self.inputs, self.inputs);
        // Fewer rows than half a tile are cheaper one by one.
        let tiles = n / TILE + usize::from(n % TILE > TILE / 2);
        let data = &self.data[columns.start * inputs..columns.end.next_multiple_of(WIDTH) * inputs];
        scratch::with(tiles * TILE * inputs, |packed| multiply(x, data, columns.len(), inputs, packed, y, into));
    }
}

/// Multiplies all rows: whole tiles first, the rest one by one.
fn multiply(x: &[f32], data: &[f32], outputs: usize, inputs: usize, packed: &mut [f32], y: &mut [f32], into: Into) {
    let (n, kernel) = (x.len() / inputs, Kernel::best());
    let tiled = n.min(packed.len() / inputs);
    interleave(&x[..tiled * inputs], inputs, packed);
    let (mut totals, mut total) = ([[0.0; WIDTH]; TILE], [[0.0; WIDTH]; 1]);
    for (p, panel) in data.chunks_exact(WIDTH * inputs).enumerate() {
        let panel = panel.as_chunks::<WIDTH>().0;
        let columns = p * WIDTH..((p + 1) * WIDTH).min(outputs);
        for (t, tile) in packed.chunks_exact(TILE * inputs).enumerate() {
            kernel.tile(tile.as_chunks::<TILE>().0, panel, &mut totals);
            for (row, total) in (t * TILE..tiled).zip(&totals) {
                finish(&mut y[row * outputs..][columns.clone()], total, into);
            }
        }
        for row in tiled..n {
            kernel.row(x[row * inputs..(row + 1) * inputs].as_chunks::<1>().0, panel, &mut total);
            finish(&mut y[row * outputs..][columns.clone()], &total[0], into);
        }
    }
}

/// Rearranges rows to tiles of `[inputs, TILE]`, the last one padded with zeros.
fn interleave(x: &[f32], inputs: usize, packed: &mut [f32]) {
    for (rows, tile) in x.chunks(TILE * inputs).zip(packed.chunks_exact_mut(TILE * inputs)) {
        if rows.len() < tile.len() {
            tile.fill(0.0);
        }
        for (m, row) in rows.chunks_exact(inputs).enumerate() {
            for (tile, x) in tile.as_chunks_mut::<TILE>().0.iter_mut().zip(row) {
                tile[m] = *x;
            }
        }
    }
}

fn finish(y: &mut [f32], total: &Lanes, into: Into) {
    match into {
        Into::Store => y.copy_from_slice(&total[..y.len()]),
        Into::Add => y.iter_mut().zip(total).for_each(|(y, t)| *y += t),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests state exact values")]
mod tests {
    use super::*;
    use crate::testing::numbers;

    #[test]
    fn panels_agree_with_the_definition_and_a_row_does_not_see_its_neighbours() {
        for n in [19, 22] {
            let (inputs, outputs) = (37, 45);
            let (x, w) = (numbers(n * inputs, 1), numbers(outputs * inputs, 2));
            let panels = Panels::new(&w, outputs, inputs).unwrap();
            let mut y = vec![1.0; n * outputs];
            panels.apply(&x, &mut y, Into::Add).unwrap();
            for r in 0..n {
                let mut alone = vec![1.0; outputs];
                panels.apply(&x[r * inputs..(r + 1) * inputs], &mut alone, Into::Add).unwrap();
                assert_eq!(alone, y[r * outputs..(r + 1) * outputs]);
                for (o, y) in alone.iter().enumerate() {
                    let wanted: f64 =
                        (0..inputs).map(|i| f64::from(x[r * inputs + i]) * f64::from(w[o * inputs + i])).sum();
                    assert!((f64::from(*y) - 1.0 - wanted).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(Panels::new(&[0.0; 5], 2, 3).is_err());
        let panels = Panels::new(&[0.0; 6], 2, 3).unwrap();
        assert!(panels.apply(&[0.0; 3], &mut [0.0; 3], Into::Store).is_err());
    }
}
