//! Root-mean-square normalisation of rows.
//!
//! ```text
//! s = 1 / √(mean(x²) + ε),   y = s · w ⊙ x
//! ∂L/∂x = s · (w ⊙ g − x · s² · mean(w ⊙ g ⊙ x)),   ∂L/∂w = Σ_rows s · g ⊙ x
//! ```
//!
//! Zhang & Sennrich (2019), *Root Mean Square Layer Normalization*.

use crate::{ShapeError, error, simd};

/// Normalises rows of `x` `[n, d]` into `y`; keeps the scale s of each row for the backward pass, `[n]`.
///
/// # Errors
/// If the lengths do not fit `w` `[d]`.
pub fn forward(x: &[f32], w: &[f32], epsilon: f32, y: &mut [f32], scale: &mut [f32]) -> Result<(), ShapeError> {
    check(x, w, scale)?;
    error::same("normalised elements", x.len(), y.len())?;
    rows(x, w, epsilon, y, scale);
    Ok(())
}

/// Repeats the forward product from the kept scales.
///
/// # Errors
/// If the lengths do not fit `w` `[d]`.
pub fn again(x: &[f32], w: &[f32], scale: &[f32], y: &mut [f32]) -> Result<(), ShapeError> {
    check(x, w, scale)?;
    error::same("normalised elements", x.len(), y.len())?;
    rows_again(x, w, scale, y);
    Ok(())
}

/// Adds ∂L/∂x to `dx` and ∂L/∂w to `dw`, given g = ∂L/∂y.
///
/// # Errors
/// If the lengths do not fit `w` `[d]`.
pub fn backward(
    x: &[f32],
    w: &[f32],
    scale: &[f32],
    g: &[f32],
    dx: &mut [f32],
    dw: &mut [f32],
) -> Result<(), ShapeError> {
    check(x, w, scale)?;
    error::same("output gradient of a norm", x.len(), g.len())?;
    error::same("input gradient of a norm", x.len(), dx.len())?;
    error::same("weight gradient of a norm", w.len(), dw.len())?;
    rows_backward(x, w, scale, g, dx, dw);
    Ok(())
}

fn check(x: &[f32], w: &[f32], scale: &[f32]) -> Result<(), ShapeError> {
    error::at_least("width of a norm", 1, w.len())?;
    error::same("elements to normalise", scale.len() * w.len(), x.len())
}

dispatch! {
    fn rows<S>(x: &[f32], w: &[f32], epsilon: f32, y: &mut [f32], scale: &mut [f32]) {
        let d = w.len();
        for ((x, y), scale) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(scale) {
            *scale = 1.0 / (simd::dot::<S>(x, x) / d as f32 + epsilon).sqrt();
            for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
                *y = x * *scale * w;
            }
        }
    }
}

dispatch! {
    fn rows_again<S>(x: &[f32], w: &[f32], scale: &[f32], y: &mut [f32]) {
        let d = w.len();
        for ((x, y), scale) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(scale) {
            for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
                *y = x * scale * w;
            }
        }
    }
}

dispatch! {
    fn rows_backward<S>(x: &[f32], w: &[f32], scale: &[f32], g: &[f32], dx: &mut [f32], dw: &mut [f32]) {
        let d = w.len();
        let mut wg = vec![0.0; d];
        let rows = x.chunks_exact(d).zip(g.chunks_exact(d)).zip(dx.chunks_exact_mut(d)).zip(scale);
        for (((x, g), dx), &s) in rows {
            for i in 0..d {
                wg[i] = w[i] * g[i];
                dw[i] = S::madd(g[i] * s, x[i], dw[i]);
            }
            let along = simd::dot::<S>(&wg, x) / d as f32 * s * s * s;
            for i in 0..d {
                dx[i] += S::madd(s, wg[i], -along * x[i]);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests state exact values")]
mod tests {
    use super::*;

    #[test]
    fn a_row_by_hand() {
        // mean(3², 4²) = 12.5, s = 1/√12.5, y = s·(2·3, 1·4)
        let (mut y, mut s) = ([0.0; 2], [0.0]);
        forward(&[3.0, 4.0], &[2.0, 1.0], 0.0, &mut y, &mut s).unwrap();
        let scale = 1.0 / 12.5_f32.sqrt();
        assert!((y[0] - 6.0 * scale).abs() < 1e-6 && (y[1] - 4.0 * scale).abs() < 1e-6);
    }

    #[test]
    fn the_gradient_is_orthogonal_to_a_row_when_epsilon_is_zero() {
        // y does not change with the length of x, so x·∂L/∂x = 0.
        let (x, w, g) = ([0.3, -1.2, 0.7], [1.0, 0.5, -2.0], [0.2, 0.9, -0.4]);
        let (mut y, mut s, mut dx, mut dw) = ([0.0; 3], [0.0], [0.0; 3], [0.0; 3]);
        forward(&x, &w, 0.0, &mut y, &mut s).unwrap();
        backward(&x, &w, &s, &g, &mut dx, &mut dw).unwrap();
        let along: f32 = x.iter().zip(dx).map(|(x, dx)| x * dx).sum();
        assert!(along.abs() < 1e-6, "{along}");
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(forward(&[1.0; 5], &[1.0; 2], 0.0, &mut [0.0; 5], &mut [0.0; 2]).is_err());
    }
}
