//! Exponential, logarithm and circular functions of balls.
//!
//! Series are summed with 64 guard bits; the number of operations is below 2¹⁶, so that rounding inside a series
//! stays below one unit of the result's last place.

use std::sync::LazyLock;

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Signed, Zero};

use super::ball::{BITS, Ball};

/// Bits of the working precision.
const WORK: u32 = BITS + 64;

static PI: LazyLock<BigInt> = LazyLock::new(|| (atan_inverse(5) * 4 - atan_inverse(239)) * 4);
static LN2: LazyLock<BigInt> =
    LazyLock::new(|| atanh_inverse(26) * 18 - atanh_inverse(4801) * 2 + atanh_inverse(8749) * 8);

/// `atan(1/n) · 2^WORK`.
fn atan_inverse(n: i64) -> BigInt {
    inverse_series(n, true)
}

/// `atanh(1/n) · 2^WORK`.
fn atanh_inverse(n: i64) -> BigInt {
    inverse_series(n, false)
}

fn inverse_series(n: i64, alternating: bool) -> BigInt {
    let mut power = (BigInt::one() << WORK) / n;
    let mut sum = BigInt::zero();
    let mut k = 0_i64;
    while !power.is_zero() {
        let term = &power / (2 * k + 1);
        if alternating && k % 2 == 1 {
            sum -= term;
        } else {
            sum += term;
        }
        power /= n * n;
        k += 1;
    }
    sum
}

fn to_work(x: &BigInt) -> BigInt {
    x << (WORK - BITS)
}

fn from_work(x: &BigInt) -> BigInt {
    x >> (WORK - BITS)
}

fn mul(a: &BigInt, b: &BigInt) -> BigInt {
    (a * b) >> WORK
}

impl Ball {
    pub(crate) fn pi() -> Self {
        Self::new(from_work(&PI), BigInt::from(2))
    }

    /// `e^x`; `None` beyond `|x| < 2000`.
    pub(crate) fn exp(&self) -> Option<Self> {
        if self.mid.bits() > u64::from(BITS) + 11 || self.rad.bits() > u64::from(BITS) - 8 {
            return None;
        }
        let (y, k) = exp_reduced(&self.mid);
        let shift = i64::from(WORK) - i64::from(BITS) - k;
        let mid = if shift >= 0 { y >> shift } else { y << -shift };
        let own = (BigInt::one() << u32::try_from(k.max(54) - 54).unwrap_or(0)) + 2;
        // e^{x ± r} = e^x (1 ± 2r) for r < 1
        let spread = (((mid.abs() + &own) * &self.rad) >> (BITS - 1)) + own;
        Some(Self::new(mid, spread))
    }

    /// Natural logarithm; `None` if the argument may not be positive.
    pub(crate) fn ln(&self) -> Option<Self> {
        let low = self.low();
        if !low.is_positive() {
            return None;
        }
        let k = self.mid.bits() as i64 - i64::from(BITS);
        // x = m · 2^k with m in [1/2, 1)
        let m = if k >= 0 { &self.mid >> k } else { &self.mid << -k };
        let shifted = if k >= 0 { Self::new(m, BigInt::one()) } else { Self::new(m, BigInt::zero()) };
        let mut y = float(shifted.to_f64().ln());
        for _ in 0..3 {
            let z = Self::new(y.clone(), BigInt::zero()).exp()?;
            let top = (&shifted.mid - &z.mid) << (BITS + 1);
            y += top.div_floor(&(&shifted.mid + &z.mid));
        }
        let z = Self::new(y.clone(), BigInt::zero()).exp()?;
        let residual = ((&shifted.mid - &z.mid).abs() + &z.rad + &shifted.rad) * 4;
        let scaled = (&*LN2 * k) >> (WORK - BITS);
        // relative error of the argument
        let relative = (&self.rad << BITS) / low + 1;
        Some(Self::new(y + scaled, residual + relative + k.abs() + 2))
    }

    /// `(sin x, cos x)`; `None` beyond `|x| < 2^64`.
    pub(crate) fn sin_cos(&self) -> Option<(Self, Self)> {
        if self.mid.bits() > u64::from(BITS) + 40 {
            return None;
        }
        let x = to_work(&self.mid);
        let half_pi: BigInt = &*PI >> 1;
        let shifted: BigInt = &x + (&half_pi >> 1);
        let k = shifted.div_floor(&half_pi);
        let r = x - &k * &half_pi;
        let (s, c) = sin_cos_series(&r);
        let (s, c) = match (k.mod_floor(&BigInt::from(4))).try_into().unwrap_or(0_u8) {
            0 => (s, c),
            1 => (c, -s),
            2 => (-s, -c),
            _ => (-c, s),
        };
        let rad: BigInt = &self.rad + 3;
        Some((Self::new(from_work(&s), rad.clone()), Self::new(from_work(&c), rad)))
    }

    /// Arcus tangent.
    pub(crate) fn atan(&self) -> Option<Self> {
        let one = Self::int(1);
        if self.mid.abs() > one.mid {
            let inverse = one.div(self)?.atan()?;
            let half_pi = Self::new(from_work(&(&*PI >> 1)), BigInt::from(2));
            let quarter = if self.mid.is_negative() { half_pi.neg() } else { half_pi };
            return Some(quarter.sub(&inverse));
        }
        let mut x = to_work(&self.mid);
        for _ in 0..3 {
            // atan x = 2 atan( x / (1 + √(1 + x²)) )
            let square = (BigInt::one() << (2 * WORK)) + &x * &x;
            let root = square.sqrt() + (BigInt::one() << WORK);
            x = (x << WORK).div_floor(&root);
        }
        let y = atan_series(&x) << 3;
        Some(Self::new(from_work(&y), &self.rad + 3))
    }

    pub(crate) fn asin(&self) -> Option<Self> {
        let one = Self::int(1);
        if *self == one || *self == one.neg() {
            let half_pi = Self::new(from_work(&(&*PI >> 1)), BigInt::from(2));
            return Some(if self.mid.is_negative() { half_pi.neg() } else { half_pi });
        }
        let rest = one.sub(&self.mul(self)?).sqrt()?;
        self.div(&rest)?.atan()
    }

    pub(crate) fn half_pi() -> Self {
        Self::new(from_work(&(&*PI >> 1)), BigInt::from(2))
    }
}

/// A fixed-point number near a machine number of moderate size.
fn float(x: f64) -> BigInt {
    BigInt::from((x * 2_f64.powi(60)) as i128) << (BITS - 60)
}

/// `(y, k)` with `e^x = y · 2^k` and `y` in [0.7, 1.5].
fn exp_reduced(x: &BigInt) -> (BigInt, i64) {
    let x = to_work(x);
    let shifted: BigInt = &x + (&*LN2 >> 1);
    let k = shifted.div_floor(&LN2);
    let r = x - &k * &*LN2;
    let r = r >> 8;
    let one = BigInt::one() << WORK;
    let mut term = one.clone();
    let mut sum = one;
    let mut n = 1_i64;
    while !term.is_zero() && n < 200 {
        term = mul(&term, &r) / n;
        sum += &term;
        n += 1;
        if term == BigInt::from(-1) {
            break;
        }
    }
    for _ in 0..8 {
        sum = mul(&sum, &sum);
    }
    (sum, k.try_into().unwrap_or(0))
}

fn sin_cos_series(r: &BigInt) -> (BigInt, BigInt) {
    let square = mul(r, r);
    let one = BigInt::one() << WORK;
    let (mut sin, mut cos) = (r.clone(), one.clone());
    let (mut s, mut c) = (r.clone(), one);
    let mut n = 1_i64;
    while n < 200 && (s.bits() > 1 || c.bits() > 1) {
        c = -mul(&c, &square) / ((2 * n - 1) * (2 * n));
        s = -mul(&s, &square) / ((2 * n) * (2 * n + 1));
        cos += &c;
        sin += &s;
        n += 1;
    }
    (sin, cos)
}

fn atan_series(x: &BigInt) -> BigInt {
    let square = mul(x, x);
    let mut power = x.clone();
    let mut sum = x.clone();
    let mut n = 1_i64;
    while power.bits() > 1 && n < 400 {
        power = -mul(&power, &square);
        sum += &power / (2 * n + 1);
        n += 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn close(x: &Ball, expected: f64) {
        assert!((x.to_f64() - expected).abs() < 1e-12 * expected.abs().max(1.0), "{} {expected}", x.to_f64());
        assert!(x.is_sharp());
    }

    fn ball(n: i64, d: i64) -> Ball {
        Ball::int(n).div(&Ball::int(d)).unwrap()
    }

    #[test]
    fn balls_enclose_what_floats_say() {
        for (n, d) in [(1, 3), (7, 2), (-5, 4), (12, 1), (-30, 7), (1, 100), (19, 1)] {
            let (x, f) = (ball(n, d), n as f64 / d as f64);
            close(&x.exp().unwrap(), f.exp());
            close(&x.sin_cos().unwrap().0, f.sin());
            close(&x.sin_cos().unwrap().1, f.cos());
            close(&x.atan().unwrap(), f.atan());
            if n > 0 {
                close(&x.ln().unwrap(), f.ln());
            }
        }
        close(&ball(1, 2).asin().unwrap(), 0.5_f64.asin());
        close(&Ball::pi(), std::f64::consts::PI);
    }

    #[test]
    fn inverse_functions_return_inside_the_error_bound() {
        for (n, d) in [(1, 3), (700, 1), (1, 1000), (29, 28)] {
            let x = ball(n, d);
            assert!(!x.ln().unwrap().exp().unwrap().differs(&x));
            let (s, c) = x.atan().unwrap().sin_cos().unwrap();
            assert!(!s.div(&c).unwrap().differs(&x));
        }
    }

    #[test]
    fn pi_is_the_known_number() {
        // 355/113 is too large by 2.7e-7
        assert!(Ball::pi().differs(&ball(355, 113)));
        let sine = Ball::pi().sin_cos().unwrap().0;
        assert!(!sine.differs(&Ball::zero()) && sine.is_sharp());
    }
}
