//! Logistic functions that do not overflow.

use tdrm_core::Real;

/// `ln(1 + e^x)`.
#[must_use]
pub fn softplus<F: Real>(x: F) -> F {
    x.max(F::zero()) + (-x.abs()).exp().ln_1p() + nan_of(x)
}

/// `ln σ(x) = −softplus(−x)`.
#[must_use]
pub fn log_sigmoid<F: Real>(x: F) -> F {
    -softplus(-x)
}

/// `σ(x) = 1/(1 + e^{−x})`.
#[must_use]
pub fn sigmoid<F: Real>(x: F) -> F {
    let e = (-x.abs()).exp();
    if x < F::zero() { e / (F::one() + e) } else { (F::one() + e).recip() }
}

/// `ln(1 − e^x)` for x < 0, accurate at both ends; −∞ at 0.
#[must_use]
pub fn log1m_exp<F: Real>(x: F) -> F {
    if x > -F::of(std::f64::consts::LN_2) { (-x.exp_m1()).ln() } else { (-x.exp()).ln_1p() }
}

/// Zero, or NaN of a NaN, which `max` would hide.
fn nan_of<F: Real>(x: F) -> F {
    if x.is_nan() { x } else { F::zero() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logistic_functions_hold_at_both_ends() {
        assert!((softplus(0.0f64) - 2f64.ln()).abs() < 1e-15);
        assert!((softplus(800.0f64) - 800.0).abs() < 1e-12 && softplus(-800.0f64) >= 0.0);
        assert!((log_sigmoid(-800.0f64) + 800.0).abs() < 1e-12);
        assert!((sigmoid(2.0f64) + sigmoid(-2.0f64) - 1.0).abs() < 1e-15);
        assert!((log1m_exp(-1e-10f64) - (1e-10f64).ln()).abs() < 1e-9);
        assert!(softplus(f64::NAN).is_nan());
    }
}
