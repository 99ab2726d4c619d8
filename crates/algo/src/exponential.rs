//! e^x without a call in single precision, so that a loop over it becomes vector instructions.

use tdrm_core::Real;

/// e^x to about one unit in the last place, with the limits 0 and ∞; NaN stays NaN.
///
/// The same bits wherever it is inlined: one number alone and a vector of them agree. In double precision it is the
/// standard library's: two at a time, the longer series gains nothing.
#[inline]
pub(crate) fn exp<F: Real>(x: F) -> F {
    // Compiled for a scalar, the branch and the conversions to it and back vanish.
    match size_of::<F>() {
        4 => F::of(f64::from(exp_f32(x.as_f64() as f32))),
        _ => x.exp(),
    }
}

/// ```text
/// e^x = 2^n e^r,     n = round(x / ln 2),     r = x − n ln 2,     |r| ≤ ½ ln 2
/// ```
#[inline]
fn exp_f32(x: f32) -> f32 {
    /// 1.5 · 2²³: a sum with it has no room for a fraction, and its low bits are the whole number.
    const WHOLE: f32 = 12_582_912.0;
    /// ln 2 in two parts; the first has 9 bits, so that n times it is exact.
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];

    // Plain comparisons are one instruction each and let NaN pass.
    let x = if x < -105.0 { -105.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let n = (x * std::f32::consts::LOG2_E + WHOLE) - WHOLE;
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    let series = LOWER.iter().fold(LEADING, |sum, &c| sum * r + c);
    // In two factors: 2ⁿ alone may be too large or too small where e^x is not.
    let half = (n * 0.5 + WHOLE) - WHOLE;
    let power = |n: f32| f32::from_bits((n + (WHOLE + 127.0)).to_bits() << 23);
    series * power(half) * power(n - half)
}

/// The polynomial of degree 6 with e^0 = 1 that is nearest to e^r: 0.02 units in the last place before rounding, where
/// the Taylor series needs degree 7. From r⁶ down.
const LEADING: f32 = 1.384_348_4e-3;
const LOWER: [f32; 6] = [8.374_301e-3, 4.166_801_3e-2, 0.166_664_3, 0.499_999_94, 1.0, 1.0];

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "tests state exact values")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ends_are_exact() {
        assert_eq!([0.0, -0.0, f32::NEG_INFINITY, -1e30, -105.0].map(exp), [1.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!([f32::INFINITY, 1e30, 89.0].map(exp), [f32::INFINITY; 3]);
        assert!(exp(f32::NAN).is_nan() && exp(f64::NAN).is_nan());
        assert_eq!([exp(2f32.ln()), exp(0.5f32.ln())], [2.0, 0.5]);
        assert_eq!([exp(2f64.ln()), exp(f64::NEG_INFINITY)], [2.0, 0.0]);
    }

    #[test]
    fn the_largest_and_the_smallest_results_are_reached() {
        assert!((exp(88.72f32) / 88.72f32.exp() - 1.0).abs() < 1e-6);
        assert!((exp(-103.0f32) - (-103.0f32).exp()).abs() <= 1.5e-45);
    }

    proptest! {
        #[test]
        fn it_is_that_of_the_standard_library(x in -87.0f32..88.0, small in -2.0f32..2.0) {
            for x in [x, small] {
                prop_assert!((f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs() <= 1.5 * f64::from(f32::EPSILON), "{x}");
                prop_assert!((exp(f64::from(x)) / f64::from(x).exp() - 1.0).abs() <= f64::EPSILON, "{x}");
            }
        }
    }
}
