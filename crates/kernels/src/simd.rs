//! Run-time choice of the instruction set, and the few vector primitives that the kernels share.
//!
//! A kernel is written once, as a loop over slices that the compiler can vectorise, and compiled for each instruction
//! set by [`dispatch!`]. Sums run in sixteen lanes in a fixed order, so a result depends on the length of its row and
//! on nothing else.

/// How `a·b + c` is computed.
pub(crate) trait Isa: Copy {
    /// `a·b + c`, rounded once where the hardware can.
    fn madd(a: f32, b: f32, c: f32) -> f32;
}

/// Hardware with a fused multiply-add.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fused;

impl Isa for Fused {
    #[inline(always)]
    fn madd(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// Hardware without: `mul_add` would be a call into the C library there.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain;

#[cfg(target_arch = "x86_64")]
impl Isa for Plain {
    #[inline(always)]
    fn madd(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// What the baseline of this target offers.
#[cfg(target_arch = "x86_64")]
pub(crate) type Baseline = Plain;
/// What the baseline of this target offers.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) type Baseline = Fused;

/// Instruction sets that a kernel is compiled for beside the baseline.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// AVX-512 F, DQ, VL, BW.
    Avx512,
    /// AVX2 and FMA.
    Avx2,
    /// Neither.
    Baseline,
}

/// The best level of this machine (the standard library caches the answer).
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn level() -> Level {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw");
    match (avx2, avx512) {
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2,
        _ => Level::Baseline,
    }
}

/// Compiles one function body for every instruction set and picks the best at run time.
///
/// `fn name<S>(…)` becomes a plain `fn name(…)`; inside, `S` is the [`Isa`].
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$isa:ident>($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls a function compiled for more instructions"))]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body<$isa: $crate::simd::Isa>($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    body::<$crate::simd::Fused>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    body::<$crate::simd::Fused>($($arg),*)
                }
                match $crate::simd::level() {
                    // SAFETY: `level` has just found every feature that `avx512` enables.
                    $crate::simd::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: `level` has just found every feature that `avx2` enables.
                    $crate::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::simd::Level::Baseline => {}
                }
            }
            body::<$crate::simd::Baseline>($($arg),*)
        }
    };
}

/// Lanes of a sum: one AVX-512 register of f32.
const LANES: usize = 16;

/// Adds the lanes pairwise, always in the same tree.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = combine(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// `Σ aᵢ bᵢ` over the common length.
#[inline(always)]
pub(crate) fn dot<S: Isa>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (a_lanes, b_lanes) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_lanes.remainder().iter().zip(b_lanes.remainder()).fold(0.0, |sum, (&x, &y)| S::madd(x, y, sum));
    for (x, y) in a_lanes.zip(b_lanes) {
        for i in 0..LANES {
            lanes[i] = S::madd(x[i], y[i], lanes[i]);
        }
    }
    fold(lanes, |x, y| x + y) + rest
}

/// `Σ aᵢ`.
#[inline(always)]
pub(crate) fn sum(a: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let chunks = a.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().sum();
    for x in chunks {
        for i in 0..LANES {
            lanes[i] += x[i];
        }
    }
    fold(lanes, |x, y| x + y) + rest
}

/// `max aᵢ`, −∞ for an empty slice.
#[inline(always)]
pub(crate) fn max(a: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = a.chunks_exact(LANES);
    let rest = chunks.remainder().iter().fold(f32::NEG_INFINITY, |m, &x| if x > m { x } else { m });
    for x in chunks {
        for i in 0..LANES {
            lanes[i] = if x[i] > lanes[i] { x[i] } else { lanes[i] };
        }
    }
    let folded = fold(lanes, |x, y| if x > y { x } else { y });
    if rest > folded { rest } else { folded }
}

/// `eˣ` to about two units in the last place, without branches; clamps to the finite, normal range.
///
/// Range reduction by `ln 2` in two parts and the polynomial of Cephes' `expf` (Moshier). NaN stays NaN.
#[inline(always)]
pub(crate) fn exp<S: Isa>(x: f32) -> f32 {
    /// `1.5·2²³`: adding and subtracting it rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    /// `ln 2` in a part with few bits and a rest.
    const LN2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = S::madd(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = S::madd(n, -LN2.1, S::madd(n, -LN2.0, x));
    let p = S::madd(1.987_569_1e-4, r, 1.398_199_9e-3);
    let p = S::madd(p, r, 8.333_452e-3);
    let p = S::madd(p, r, 4.166_579_6e-2);
    let p = S::madd(p, r, 1.666_666_5e-1);
    let p = S::madd(p, r, 0.5);
    let y = S::madd(p, r * r, r) + 1.0;
    // The lowest bits of `shifted` are n, which is in [-126, 127]: no conversion, which the compiler would not vectorise
    // as it has to saturate. (Where x is NaN, so is y, whatever the power is.)
    y * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// Logistic function `1/(1+e⁻ˣ)`.
#[inline(always)]
pub(crate) fn sigmoid<S: Isa>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<S>(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    dispatch! {
        fn exp_all<S>(x: &mut [f32]) {
            for x in x {
                *x = exp::<S>(*x);
            }
        }
    }

    #[test]
    fn exp_agrees_with_the_library_to_three_ulps() {
        let mut x: Vec<f32> = (-8_600..8_600).map(|i| i as f32 * 0.01).collect();
        let wanted: Vec<f64> = x.iter().map(|&x| f64::from(x).exp()).collect();
        exp_all(&mut x);
        for (&got, wanted) in x.iter().zip(wanted) {
            assert!((f64::from(got) / wanted - 1.0).abs() < 3.0 * f64::from(f32::EPSILON), "{got} {wanted}");
        }
    }

    #[test]
    fn exp_saturates_and_keeps_nan() {
        let mut x = [f32::NEG_INFINITY, f32::INFINITY, f32::NAN];
        exp_all(&mut x);
        assert!(x[0] < 1e-37 && x[1] > 1e38 && x[2].is_nan());
    }

    #[test]
    fn sums_and_maxima_include_the_remainder() {
        let x: Vec<f32> = (0..37).map(|i| i as f32).collect();
        // 0 + … + 36 = 666, Σ i² = 16206; both exact in f32.
        assert!((sum(&x) - 666.0).abs() < f32::EPSILON);
        assert!((dot::<Fused>(&x, &x) - 16_206.0).abs() < f32::EPSILON);
        assert!((max(&x) - 36.0).abs() < f32::EPSILON);
        assert!(max(&[]).is_infinite());
    }
}
