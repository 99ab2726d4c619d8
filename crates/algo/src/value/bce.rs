//! Binary cross-entropy to a soft target, on a logit.

use tdrm_core::Real;

/// A loss of one logit and its derivative there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BceAt<F> {
    /// ℓ(z, y), at least 0 for y in [0, 1].
    pub loss: F,
    /// ∂ℓ/∂z.
    pub dlogit: F,
}

/// Cross-entropy between a target probability and the probability of a logit.
///
/// ```text
/// ℓ(z, y)  = −y ln σ(z) − (1 − y) ln(1 − σ(z)) = max(z, 0) − z y + ln(1 + e^{−|z|})
/// ∂ℓ/∂z    = σ(z) − y
/// ```
///
/// `y` in [0, 1], `z` any real. No ε: the form on logits is finite wherever `z` is, and a confident error keeps its
/// gradient (z = 20, y = 0 gives 1 in `f32`, where the form with an ε in bf16 gives 0).
///
/// ```
/// let at = tdrm_algo::value::soft_target_bce(0.0_f64, 0.25);
/// assert_eq!(at.dlogit, 0.25); // σ(0) − 0.25
/// ```
#[must_use]
pub fn soft_target_bce<F: Real>(logit: F, target: F) -> BceAt<F> {
    let tail = (-logit.abs()).exp();
    let loss = logit.max(F::zero()) - logit * target + tail.ln_1p();
    BceAt { loss, dlogit: sigmoid(logit) - target }
}

/// The same on probabilities with an ε inside the logarithms, as the TDRM release computes it.
///
/// ```text
/// ℓ = −y ln(V + ε) − (1 − y) ln(1 − V + ε),   V = σ(z)
/// ∂ℓ/∂z = V (1 − V) [ (1 − y)/(1 − V + ε) − y/(V + ε) ]
/// ```
///
/// Only for parity: use [`soft_target_bce`]. TDRM card §2.3, ε = 1e-10.
#[must_use]
pub fn soft_target_bce_epsilon<F: Real>(logit: F, target: F, epsilon: F) -> BceAt<F> {
    let v = sigmoid(logit);
    let right = v + epsilon;
    let wrong = F::one() - v + epsilon;
    let loss = -(target * right.ln() + (F::one() - target) * wrong.ln());
    let slope = (F::one() - target) / wrong - target / right;
    BceAt { loss, dlogit: slope * v * (F::one() - v) }
}

/// σ(z) without overflow on either side.
pub(crate) fn sigmoid<F: Real>(z: F) -> F {
    if z < F::zero() {
        let e = z.exp();
        e / (F::one() + e)
    } else {
        F::one() / (F::one() + (-z).exp())
    }
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_even_logit_costs_ln_two_whatever_the_target() {
        for y in [0.0, 0.3, 1.0] {
            assert!((soft_target_bce(0.0_f64, y).loss - std::f64::consts::LN_2).abs() < 1e-15);
        }
    }

    #[test]
    fn a_confident_error_keeps_its_gradient_in_single_precision() {
        assert!((soft_target_bce(20.0_f32, 0.0).dlogit - 1.0).abs() < 1e-6);
        assert_eq!(soft_target_bce(1e4_f32, 0.0), BceAt { loss: 1e4, dlogit: 1.0 });
        assert_eq!(soft_target_bce(-1e4_f32, 1.0), BceAt { loss: 1e4, dlogit: -1.0 });
    }

    #[test]
    fn the_minimiser_is_the_target() {
        let y: f64 = 0.7;
        assert!(soft_target_bce((y / (1.0 - y)).ln(), y).dlogit.abs() < 1e-15);
    }

    #[test]
    fn the_epsilon_form_tends_to_the_logit_form() {
        let exact = soft_target_bce(1.3_f64, 0.4);
        let released = soft_target_bce_epsilon(1.3_f64, 0.4, 1e-10);
        assert!((exact.loss - released.loss).abs() < 1e-9);
        assert!((exact.dlogit - released.dlogit).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_derivatives_are_central_differences(z in -8.0..8.0_f64, y in 0.0..=1.0_f64) {
            let h = 1e-5;
            for f in [|z, y| soft_target_bce(z, y), |z, y| soft_target_bce_epsilon(z, y, 1e-10)] {
                let difference = (f(z + h, y).loss - f(z - h, y).loss) / (2.0 * h);
                prop_assert!((difference - f(z, y).dlogit).abs() < 1e-7);
            }
        }
    }
}
