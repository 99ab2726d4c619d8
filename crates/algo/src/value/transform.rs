//! Transforms that squash rewards and values, with their inverses.

use tdrm_core::Real;

/// Compresses large values, keeps small ones.
///
/// ```text
/// h(x) = sign(x) (√(|x| + 1) − 1) + ε x
/// ```
///
/// Pohlen et al. (2018), §3.2; its inverse is [`signed_parabolic`].
#[must_use]
pub fn signed_hyperbolic<F: Real>(x: F, epsilon: F) -> F {
    sign(x) * ((x.abs() + F::one()).sqrt() - F::one()) + epsilon * x
}

/// Undoes [`signed_hyperbolic`].
///
/// ```text
/// h⁻¹(x) = sign(x) (z² − 1),   z = (√(1 + 4ε(ε + 1 + |x|)) − 1) / 2ε       (ε = 0: z = |x| + 1)
/// ```
#[must_use]
pub fn signed_parabolic<F: Real>(x: F, epsilon: F) -> F {
    let one = F::one();
    let reach = epsilon + one + x.abs();
    // (√(1 + 4εa) − 1) / 2ε without the cancellation at small ε.
    let z = F::of(2.0) * reach / ((one + F::of(4.0) * epsilon * reach).sqrt() + one);
    sign(x) * (z * z - one)
}

/// `sign(x) ln(1 + |x|)`; its inverse is [`signed_expm1`]. Hafner et al. (2023), "symlog".
#[must_use]
pub fn signed_log1p<F: Real>(x: F) -> F {
    sign(x) * x.abs().ln_1p()
}

/// `sign(x) (e^|x| − 1)`.
#[must_use]
pub fn signed_expm1<F: Real>(x: F) -> F {
    sign(x) * x.abs().exp_m1()
}

/// Huber loss and its derivative: quadratic up to δ, linear beyond.
///
/// ```text
/// ℓ(x) = ½ x²  for |x| ≤ δ,   δ (|x| − ½ δ)  otherwise;     ℓ'(x) = clip(x, −δ, δ)
/// ```
#[must_use]
pub fn huber<F: Real>(x: F, delta: F) -> (F, F) {
    let quadratic = x.abs().min(delta);
    let linear = x.abs() - quadratic;
    (F::of(0.5) * quadratic * quadratic + delta * linear, sign(x) * quadratic)
}

/// −1, 0 or 1; NaN stays NaN.
fn sign<F: Real>(x: F) -> F {
    if x == F::zero() { x } else { x.signum() }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "tests state exact values")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn huber_is_quadratic_inside_and_linear_outside() {
        assert_eq!(huber(0.5, 1.0), (0.125, 0.5));
        assert_eq!(huber(-3.0, 1.0), (2.5, -1.0)); // 1·(3 − ½)
    }

    #[test]
    fn zero_maps_to_zero() {
        assert_eq!(
            [signed_hyperbolic(0.0, 1e-3), signed_parabolic(0.0, 1e-3), signed_log1p(0.0), signed_expm1(0.0)],
            [0.0; 4]
        );
    }

    proptest! {
        #[test]
        fn transforms_are_undone(x in -100.0..100.0f64, epsilon in prop::sample::select(vec![0.0, 1e-3, 0.1])) {
            prop_assert!((signed_parabolic(signed_hyperbolic(x, epsilon), epsilon) - x).abs() < 1e-9);
            prop_assert!((signed_expm1(signed_log1p(x)) - x).abs() < 1e-11);
        }

        #[test]
        fn the_slope_of_huber_is_a_central_difference(x in -3.0..3.0f64) {
            let h = 1e-6;
            let difference = (huber(x + h, 1.0).0 - huber(x - h, 1.0).0) / (2.0 * h);
            prop_assert!((difference - huber(x, 1.0).1).abs() < 1e-5);
        }
    }
}
