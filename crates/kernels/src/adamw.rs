//! `AdamW` on one flat vector of parameters.
//!
//! ```text
//! m ← β₁m + (1−β₁)g,   v ← β₂v + (1−β₂)g²
//! θ ← θ(1 − ηw) − η · m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + ε)
//! ```
//!
//! Loshchilov & Hutter (2019), *Decoupled Weight Decay Regularization*, Algorithm 2 (their `η_t α` is our η).

use rayon::prelude::*;

use crate::{ShapeError, error};

/// Elements of a task; fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 1 << 15;

/// The constants of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Step size η, positive.
    pub learning_rate: f32,
    /// Decay of the first moment β₁, in [0, 1).
    pub beta1: f32,
    /// Decay of the second moment β₂, in [0, 1).
    pub beta2: f32,
    /// ε, positive.
    pub epsilon: f32,
    /// Weight decay w, at least 0.
    pub weight_decay: f32,
    /// Number of this step t, from 1.
    pub step: i32,
    /// Factor on the gradient, for clipping.
    pub gradient_scale: f32,
}

impl AdamW {
    /// `1 − ηw`, `η / (1−β₁ᵗ)` and `√(1−β₂ᵗ)`.
    pub(crate) fn factors(&self) -> (f32, f32, f32) {
        let bias1 = (1.0 - f64::from(self.beta1).powi(self.step)) as f32;
        let bias2 = (1.0 - f64::from(self.beta2).powi(self.step)).sqrt() as f32;
        (1.0 - self.learning_rate * self.weight_decay, self.learning_rate / bias1, bias2)
    }
}

/// Takes one step in place.
///
/// # Errors
/// If the four vectors differ in length.
pub fn step(
    constants: &AdamW,
    theta: &mut [f32],
    gradient: &[f32],
    m: &mut [f32],
    v: &mut [f32],
) -> Result<(), ShapeError> {
    error::same("gradient", theta.len(), gradient.len())?;
    error::same("first moment", theta.len(), m.len())?;
    error::same("second moment", theta.len(), v.len())?;
    let chunks = theta.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
    let moments = m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK));
    chunks.zip(moments).for_each(|((theta, g), (m, v))| chunk(constants, theta, g, m, v));
    Ok(())
}

dispatch! {
    fn chunk<S>(constants: &AdamW, theta: &mut [f32], gradient: &[f32], m: &mut [f32], v: &mut [f32]) {
        let &AdamW { beta1, beta2, epsilon, gradient_scale, .. } = constants;
        let (keep, rate, bias2) = constants.factors();
        for (((theta, g), m), v) in theta.iter_mut().zip(gradient).zip(m).zip(v) {
            let g = g * gradient_scale;
            *m = S::madd(beta1, *m, (1.0 - beta1) * g);
            *v = S::madd(beta2, *v, (1.0 - beta2) * g * g);
            *theta = S::madd(*theta, keep, -(rate * *m / (v.sqrt() / bias2 + epsilon)));
        }
    }
}

/// `Σ gᵢ²` in f64.
#[must_use]
pub fn sum_of_squares(gradient: &[f32]) -> f64 {
    gradient.par_chunks(CHUNK).map(squares).collect::<Vec<_>>().into_iter().sum()
}

dispatch! {
    fn squares<S>(g: &[f32]) -> f64 {
        let mut lanes = [0.0_f64; 8];
        for g in g.chunks(8) {
            for (lane, &g) in lanes.iter_mut().zip(g) {
                *lane += f64::from(g) * f64::from(g);
            }
        }
        lanes.iter().sum()
    }
}

/// Moving average in place: `target ← decay · target + (1 − decay) · source`.
///
/// # Errors
/// If the vectors differ in length.
pub fn lerp(target: &mut [f32], source: &[f32], decay: f32) -> Result<(), ShapeError> {
    error::same("source of an average", target.len(), source.len())?;
    target.par_chunks_mut(CHUNK).zip(source.par_chunks(CHUNK)).for_each(|(target, source)| {
        for (t, s) in target.iter_mut().zip(source) {
            *t = decay * *t + (1.0 - decay) * s;
        }
    });
    Ok(())
}

/// Adds `parts` of equal length to `total`, first to last, for each element.
pub(crate) fn add_in_order(total: &mut [f32], parts: &[&mut [f32]]) {
    total.par_chunks_mut(CHUNK).enumerate().for_each(|(i, total)| {
        for part in parts {
            for (t, p) in total.iter_mut().zip(&part[i * CHUNK..]) {
                *t += p;
            }
        }
    });
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests state exact values")]
mod tests {
    use super::*;

    const PLAIN: AdamW = AdamW {
        learning_rate: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 0.0,
        weight_decay: 0.5,
        step: 1,
        gradient_scale: 1.0,
    };

    #[test]
    fn the_first_step_moves_by_the_learning_rate() {
        // t = 1: m̂ = g, v̂ = g², so θ = θ(1 − 0.1·0.5) − 0.1·sign g = 2·0.95 − 0.1.
        let (mut theta, mut m, mut v) = ([2.0, 2.0], [0.0; 2], [0.0; 2]);
        step(&PLAIN, &mut theta, &[3.0, -0.25], &mut m, &mut v).unwrap();
        assert!((theta[0] - 1.8).abs() < 1e-5 && (theta[1] - 2.0).abs() < 1e-5, "{theta:?}");
    }

    #[test]
    fn a_scaled_gradient_gives_scaled_moments() {
        let (mut theta, mut m, mut v) = ([0.0], [0.0], [0.0]);
        step(&AdamW { gradient_scale: 0.5, ..PLAIN }, &mut theta, &[4.0], &mut m, &mut v).unwrap();
        // m = 0.1·2, v = 0.01·4
        assert!((m[0] - 0.2).abs() < 1e-6 && (v[0] - 0.04).abs() < 1e-6);
    }

    #[test]
    fn squares_and_averages_by_hand() {
        assert!((sum_of_squares(&[3.0, 4.0]) - 25.0).abs() < 1e-12);
        let mut target = [1.0];
        lerp(&mut target, &[3.0], 0.75).unwrap();
        assert!((target[0] - 1.5).abs() < 1e-6);
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(step(&PLAIN, &mut [0.0; 2], &[0.0], &mut [0.0; 2], &mut [0.0; 2]).is_err());
    }
}
