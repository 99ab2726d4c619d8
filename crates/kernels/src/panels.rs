//! A weight matrix rearranged for products with few rows.
//!
//! ```text
//! y = x Wᵀ,   W [outputs, inputs] as panels of 32 outputs, each [inputs, 32]
//! ```
//!
//! Every element is one chain of multiply-adds over the inputs in order, whatever the number of rows. So a row's result
//! does not depend on its neighbours in the batch, bit for bit; the general [`matmul`](crate::matmul) does not promise that.

use crate::matmul::Into;
use crate::{ShapeError, error, simd};

/// Outputs of a panel: two AVX-512 registers.
const WIDTH: usize = 32;

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
        for (o, row) in weight.chunks_exact(inputs).enumerate() {
            let panel = &mut data[o / WIDTH * WIDTH * inputs..];
            for (i, &w) in row.iter().enumerate() {
                panel[i * WIDTH + o % WIDTH] = w;
            }
        }
        Ok(Self { data, outputs, inputs })
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
        if self.outputs > 0 {
            panels(x, &self.data, self.inputs, self.outputs, y, into);
        }
        Ok(())
    }
}

dispatch! {
    fn panels<S>(x: &[f32], data: &[f32], inputs: usize, outputs: usize, y: &mut [f32], into: Into) {
        let n = x.len() / inputs;
        for (p, panel) in data.chunks_exact(WIDTH * inputs).enumerate() {
            let columns = p * WIDTH..((p + 1) * WIDTH).min(outputs);
            let mut row = 0;
            while row + 8 <= n {
                tile::<S, 8>(&x[row * inputs..], panel, inputs, outputs, columns.clone(), &mut y[row * outputs..], into);
                row += 8;
            }
            while row < n {
                tile::<S, 1>(&x[row * inputs..], panel, inputs, outputs, columns.clone(), &mut y[row * outputs..], into);
                row += 1;
            }
        }
    }
}

/// `M` rows against one panel.
#[inline(always)]
fn tile<S: simd::Isa, const M: usize>(
    x: &[f32],
    panel: &[f32],
    inputs: usize,
    outputs: usize,
    columns: std::ops::Range<usize>,
    y: &mut [f32],
    into: Into,
) {
    let x: [&[f32]; M] = std::array::from_fn(|m| &x[m * inputs..(m + 1) * inputs]);
    let mut total = [[0.0_f32; WIDTH]; M];
    for (i, w) in panel.chunks_exact(WIDTH).enumerate() {
        for m in 0..M {
            let factor = x[m][i];
            for j in 0..WIDTH {
                total[m][j] = S::madd(factor, w[j], total[m][j]);
            }
        }
    }
    for (m, total) in total.iter().enumerate() {
        let y = &mut y[m * outputs + columns.start..m * outputs + columns.end];
        match into {
            Into::Store => y.iter_mut().zip(total).for_each(|(y, t)| *y = *t),
            Into::Add => y.iter_mut().zip(total).for_each(|(y, t)| *y += t),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests state exact values")]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32)
            .map(|i| ((i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) % 2001) as f32 / 1000.0 - 1.0)
            .collect()
    }

    #[test]
    fn panels_agree_with_the_definition_and_a_row_does_not_see_its_neighbours() {
        let (n, inputs, outputs) = (19, 37, 45);
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

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(Panels::new(&[0.0; 5], 2, 3).is_err());
        let panels = Panels::new(&[0.0; 6], 2, 3).unwrap();
        assert!(panels.apply(&[0.0; 3], &mut [0.0; 3], Into::Store).is_err());
    }
}
