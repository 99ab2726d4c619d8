//! Gated activation of the feed-forward block.
//!
//! ```text
//! a = silu(g) ⊙ u,   silu(z) = z σ(z)
//! ∂L/∂g = da ⊙ u ⊙ (σ(g) + silu(g)(1 − σ(g))),   ∂L/∂u = da ⊙ silu(g)
//! ```
//!
//! Shazeer (2020), *GLU Variants Improve Transformer*. A row holds its gate and then its up projection, `[n, 2F]`.

use crate::{ShapeError, error, simd};

/// `a = silu(g) ⊙ u` for rows `[n, 2F]` into `[n, F]`.
///
/// # Errors
/// If the lengths do not fit.
pub fn forward(gate_up: &[f32], width: usize, a: &mut [f32]) -> Result<(), ShapeError> {
    error::at_least("width of a feed-forward block", 1, width)?;
    error::same("gate and up elements", 2 * a.len(), gate_up.len())?;
    rows(gate_up, width, a);
    Ok(())
}

/// Writes ∂L/∂(g, u) `[n, 2F]`, given da = ∂L/∂a, and repeats the forward value in `a`.
///
/// # Errors
/// If the lengths do not fit.
pub fn backward(
    gate_up: &[f32],
    width: usize,
    da: &[f32],
    d_gate_up: &mut [f32],
    a: &mut [f32],
) -> Result<(), ShapeError> {
    error::at_least("width of a feed-forward block", 1, width)?;
    error::same("gate and up elements", 2 * da.len(), gate_up.len())?;
    error::same("gradient of gate and up", gate_up.len(), d_gate_up.len())?;
    error::same("activations", da.len(), a.len())?;
    rows_backward(gate_up, width, da, d_gate_up, a);
    Ok(())
}

dispatch! {
    fn rows<S>(gate_up: &[f32], width: usize, a: &mut [f32]) {
        for (gate_up, a) in gate_up.chunks_exact(2 * width).zip(a.chunks_exact_mut(width)) {
            let (gate, up) = gate_up.split_at(width);
            for ((a, g), u) in a.iter_mut().zip(gate).zip(up) {
                *a = g * simd::sigmoid::<S>(*g) * u;
            }
        }
    }
}

dispatch! {
    fn rows_backward<S>(gate_up: &[f32], width: usize, da: &[f32], d_gate_up: &mut [f32], a: &mut [f32]) {
        let inputs = gate_up.chunks_exact(2 * width).zip(da.chunks_exact(width));
        let outputs = d_gate_up.chunks_exact_mut(2 * width).zip(a.chunks_exact_mut(width));
        for ((gate_up, da), (d_gate_up, a)) in inputs.zip(outputs) {
            let (gate, up) = gate_up.split_at(width);
            let (d_gate, d_up) = d_gate_up.split_at_mut(width);
            for i in 0..width {
                let (g, u) = (gate[i], up[i]);
                let s = simd::sigmoid::<S>(g);
                let silu = g * s;
                a[i] = silu * u;
                d_up[i] = da[i] * silu;
                d_gate[i] = da[i] * u * S::madd(silu, 1.0 - s, s);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests state exact values")]
mod tests {
    use super::*;

    #[test]
    fn a_zero_gate_closes_and_its_slope_is_half_of_up() {
        // silu(0) = 0, silu'(0) = 1/2: a = 0, ∂a/∂g = u/2 = 1.5, ∂a/∂u = 0.
        let (mut a, mut d) = ([1.0], [1.0; 2]);
        backward(&[0.0, 3.0], 1, &[1.0], &mut d, &mut a).unwrap();
        assert!(a[0].abs() < 1e-7 && (d[0] - 1.5).abs() < 1e-6 && d[1].abs() < 1e-7);
    }

    #[test]
    fn a_large_gate_is_open() {
        let mut a = [0.0];
        forward(&[30.0, 2.0], 1, &mut a).unwrap();
        assert!((a[0] - 60.0).abs() < 1e-5);
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(forward(&[0.0; 3], 1, &mut [0.0; 2]).is_err());
    }
}
