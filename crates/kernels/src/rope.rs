//! Rotary position embedding.
//!
//! ```text
//! ω_i = θ^(−2i/R),   pair i of the first R ≤ D coordinates of a head ← s · rotation by angle p·ω_i,   i < R/2
//! ```
//!
//! Pair i is (`x_i`, `x_{i+R/2}`) in Llama and Qwen checkpoints ([`Pairs::Halves`]) and (`x_{2i}`, `x_{2i+1}`) in GLM's
//! ([`Pairs::Neighbours`]); R < D rotates a part of a head. Other frequencies than these, and a scale s ≠ 1, come from
//! the methods that lengthen a context. Su et al. (2021), *`RoFormer`*, §3.2.

use crate::{ShapeError, error};

/// Which coordinates are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pairs {
    /// (i, i + R/2).
    #[default]
    Halves,
    /// (2i, 2i + 1).
    Neighbours,
}

/// Cosines and sines for positions `0..P`.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeTable {
    /// `s·cos(p·ω_i)`, `[P, R/2]`.
    cos: Vec<f32>,
    /// `s·sin(p·ω_i)`, `[P, R/2]`.
    sin: Vec<f32>,
    /// R/2.
    half: usize,
    /// D.
    head_dim: usize,
    pairs: Pairs,
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
        Self::with_frequencies(&frequencies, 1.0, Pairs::Halves, head_dim, positions)
    }

    /// Angles from frequencies ω `[R/2]`; cosines and sines are multiplied by `scale`.
    ///
    /// # Errors
    /// If R exceeds `head_dim`.
    pub fn with_frequencies(
        frequencies: &[f32],
        scale: f32,
        pairs: Pairs,
        head_dim: usize,
        positions: usize,
    ) -> Result<Self, ShapeError> {
        error::at_least("head dimension", 2 * frequencies.len(), head_dim)?;
        let angles = (0..positions).flat_map(|p| frequencies.iter().map(move |w| f64::from(p as f32 * w)));
        let scaled = |x: f64| x as f32 * scale;
        let (sin, cos) = angles.map(|angle| (scaled(angle.sin()), scaled(angle.cos()))).unzip();
        Ok(Self { cos, sin, half: frequencies.len(), head_dim, pairs })
    }

    /// Positions that the table covers, P.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.cos.len().checked_div(self.half).unwrap_or(0)
    }

    /// Rotated coordinates of a head, R.
    #[must_use]
    pub fn rotated(&self) -> usize {
        2 * self.half
    }

    /// Which coordinates are rotated together.
    #[must_use]
    pub fn pairs(&self) -> Pairs {
        self.pairs
    }

    /// `(cos, sin)` of frequency `i` at position `p`.
    ///
    /// # Panics
    /// If the table does not cover the position or there is no such frequency.
    #[must_use]
    pub fn angle(&self, p: usize, i: usize) -> (f32, f32) {
        (self.cos[p * self.half + i], self.sin[p * self.half + i])
    }

    /// `s·cos(p·ω_i)` and `s·sin(p·ω_i)`, `[P, R/2]` each.
    #[must_use]
    pub fn tables(&self) -> (&[f32], &[f32]) {
        (&self.cos, &self.sin)
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
        error::at_least("width of rotated rows", (heads * self.head_dim).max(1), width)?;
        error::same("rotated elements", positions.len() * width, x.len())?;
        if self.half == 0 {
            return Ok(());
        }
        let sign = if rotation == Rotation::Forward { 1.0 } else { -1.0 };
        for (row, p) in x.chunks_exact_mut(width).zip(positions) {
            error::at_least("positions of the rotary table", p + 1, self.positions())?;
            let angles = p * self.half..(p + 1) * self.half;
            let (cos, sin) = (&self.cos[angles.clone()], &self.sin[angles]);
            let row = &mut row[..heads * self.head_dim];
            match self.pairs {
                Pairs::Halves => rotate_halves(row, self.head_dim, cos, sin, sign),
                Pairs::Neighbours => rotate_neighbours(row, self.head_dim, cos, sin, sign),
            }
        }
        Ok(())
    }
}

dispatch! {
    fn rotate_halves<S>(row: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32], sign: f32) {
        let half = cos.len();
        for head in row.chunks_exact_mut(head_dim) {
            let (low, high) = head[..2 * half].split_at_mut(half);
            for (((a, b), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                let (x, y, s) = (*a, *b, sign * s);
                *a = S::madd(x, *c, -(y * s));
                *b = S::madd(y, *c, x * s);
            }
        }
    }
}

dispatch! {
    fn rotate_neighbours<S>(row: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32], sign: f32) {
        for head in row.chunks_exact_mut(head_dim) {
            let pairs = head[..2 * cos.len()].as_chunks_mut::<2>().0;
            for (([a, b], c), s) in pairs.iter_mut().zip(cos).zip(sin) {
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

    #[test]
    fn neighbours_of_a_part_of_a_head() {
        // R = 2 of D = 3 at frequency 1, scale 2: (1, 0) becomes 2·(cos 1, sin 1), the third coordinate stays.
        let table = RopeTable::with_frequencies(&[1.0], 2.0, Pairs::Neighbours, 3, 2).unwrap();
        let mut x = [1.0, 0.0, 5.0];
        table.rotate(&mut x, 3, 1, [1].into_iter(), Rotation::Forward).unwrap();
        assert!((x[0] - 2.0 * 1.0_f32.cos()).abs() < 1e-6 && (x[1] - 2.0 * 1.0_f32.sin()).abs() < 1e-6);
        assert!((x[2] - 5.0).abs() < f32::EPSILON);
    }

    #[test]
    fn more_frequencies_than_pairs_are_refused() {
        assert!(RopeTable::with_frequencies(&[1.0, 0.5], 1.0, Pairs::Halves, 3, 1).is_err());
    }
}
