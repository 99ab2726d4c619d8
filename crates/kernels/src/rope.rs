//! Rotary position embedding, half rotation (the layout of Llama and Qwen checkpoints).
//!
//! ```text
//! ω_i = θ^(−2i/D),   (x_i, x_{i+D/2}) ← rotation by angle p·ω_i,   i < D/2
//! ```
//!
//! Su et al. (2021), *`RoFormer`*, §3.2, with the pairs (i, i + D/2).

use crate::{ShapeError, error};

/// Cosines and sines for positions `0..P`.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeTable {
    /// `cos(p·ω_i)`, `[P, D/2]`.
    cos: Vec<f32>,
    /// `sin(p·ω_i)`, `[P, D/2]`.
    sin: Vec<f32>,
    half: usize,
}

/// Direction of the rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// By the angle: the forward pass.
    Forward,
    /// By its negative: the backward pass, as a rotation's transpose is its inverse.
    Backward,
}

impl RopeTable {
    /// Angles for positions below `positions` of heads of width `head_dim`.
    ///
    /// The angles are rounded to f32 before the sine is taken, as the reference implementations do.
    ///
    /// # Errors
    /// If `head_dim` is odd.
    pub fn new(theta: f64, head_dim: usize, positions: usize) -> Result<Self, ShapeError> {
        error::same("head dimension modulo 2", 0, head_dim % 2)?;
        let half = head_dim / 2;
        let frequencies: Vec<f32> = (0..half).map(|i| theta.powf(-((2 * i) as f64) / head_dim as f64) as f32).collect();
        let angles = (0..positions).flat_map(|p| frequencies.iter().map(move |w| f64::from(p as f32 * w)));
        let (sin, cos) = angles.map(|angle| (angle.sin() as f32, angle.cos() as f32)).unzip();
        Ok(Self { cos, sin, half })
    }

    /// Positions that the table covers, P.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.cos.len().checked_div(self.half).unwrap_or(0)
    }

    /// `(cos, sin)` of frequency `i` at position `p`.
    ///
    /// # Panics
    /// If the table does not cover the position or there is no such frequency.
    #[must_use]
    pub fn angle(&self, p: usize, i: usize) -> (f32, f32) {
        (self.cos[p * self.half + i], self.sin[p * self.half + i])
    }

    /// Rotates the first `heads` heads of each row, in place; rows are `width` wide, row r has position `positions[r]`.
    ///
    /// # Errors
    /// If a row is too narrow, a position lies outside the table, or the lengths differ.
    pub fn rotate(
        &self,
        x: &mut [f32],
        width: usize,
        heads: usize,
        positions: impl ExactSizeIterator<Item = usize>,
        rotation: Rotation,
    ) -> Result<(), ShapeError> {
        error::at_least("width of rotated rows", (heads * 2 * self.half).max(1), width)?;
        error::same("rotated elements", positions.len() * width, x.len())?;
        for (row, p) in x.chunks_exact_mut(width).zip(positions) {
            error::at_least("positions of the rotary table", p + 1, self.positions())?;
            let angles = p * self.half..(p + 1) * self.half;
            let (cos, sin) = (&self.cos[angles.clone()], &self.sin[angles]);
            let sign = if rotation == Rotation::Forward { 1.0 } else { -1.0 };
            rotate_heads(&mut row[..heads * 2 * self.half], cos, sin, sign);
        }
        Ok(())
    }
}

dispatch! {
    fn rotate_heads<S>(row: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
        let half = cos.len();
        for head in row.chunks_exact_mut(2 * half) {
            let (low, high) = head.split_at_mut(half);
            for (((a, b), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                let (x, y, s) = (*a, *b, sign * s);
                *a = S::madd(x, *c, -(y * s));
                *b = S::madd(y, *c, x * s);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests state exact values")]
mod tests {
    use super::*;

    #[test]
    fn position_one_rotates_by_one_radian() {
        // D = 2: ω_0 = 1, so (1, 0) becomes (cos 1, sin 1); the third element lies outside the head.
        let table = RopeTable::new(10_000.0, 2, 2).unwrap();
        let mut x = [1.0, 0.0, 5.0];
        table.rotate(&mut x, 3, 1, [1].into_iter(), Rotation::Forward).unwrap();
        assert!((x[0] - 1.0_f32.cos()).abs() < 1e-7 && (x[1] - 1.0_f32.sin()).abs() < 1e-7);
        assert!((x[2] - 5.0).abs() < f32::EPSILON);
    }

    #[test]
    fn backward_undoes_forward() {
        let table = RopeTable::new(10_000.0, 8, 40).unwrap();
        let start: Vec<f32> = (0..16).map(|i| i as f32 - 7.5).collect();
        let mut x = start.clone();
        for rotation in [Rotation::Forward, Rotation::Backward] {
            table.rotate(&mut x, 16, 2, [39].into_iter(), rotation).unwrap();
        }
        assert!(x.iter().zip(&start).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn a_position_outside_the_table_is_refused() {
        let table = RopeTable::new(10_000.0, 4, 3).unwrap();
        let wrong = table.rotate(&mut [0.0; 4], 4, 1, [3].into_iter(), Rotation::Forward);
        assert_eq!(wrong, Err(ShapeError { what: "positions of the rotary table", expected: 4, got: 3 }));
    }
}
