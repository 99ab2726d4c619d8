//! Real balls in fixed point.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Signed, ToPrimitive, Zero};

use crate::rational::Rational;

/// `(mid ± rad) · 2^-BITS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ball {
    pub(super) mid: BigInt,
    pub(super) rad: BigInt,
}

/// Fractional bits.
pub(super) const BITS: u32 = 256;

/// Values of more than this many bits are not computed.
const MAX_SIZE: u64 = 6000;

impl Ball {
    pub(crate) fn zero() -> Self {
        Self { mid: BigInt::zero(), rad: BigInt::zero() }
    }

    pub(crate) fn int(n: i64) -> Self {
        Self { mid: BigInt::from(n) << BITS, rad: BigInt::zero() }
    }

    pub(super) fn new(mid: BigInt, rad: BigInt) -> Self {
        Self { mid, rad }
    }

    pub(crate) fn rational(r: &Rational) -> Option<Self> {
        let (n, d) = (r.numer(), r.denom());
        if n.bits() > MAX_SIZE || d.bits() > MAX_SIZE {
            return None;
        }
        if d.is_one() {
            return Some(Self { mid: n << BITS, rad: BigInt::zero() });
        }
        Some(Self { mid: (n << BITS).div_floor(&d), rad: BigInt::one() })
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.mid.is_zero() && self.rad.is_zero()
    }

    pub(crate) fn neg(&self) -> Self {
        Self { mid: -&self.mid, rad: self.rad.clone() }
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        Self { mid: &self.mid + &other.mid, rad: &self.rad + &other.rad }
    }

    pub(crate) fn sub(&self, other: &Self) -> Self {
        Self { mid: &self.mid - &other.mid, rad: &self.rad + &other.rad }
    }

    pub(crate) fn mul(&self, other: &Self) -> Option<Self> {
        if self.mid.bits() + other.mid.bits() > MAX_SIZE {
            return None;
        }
        let mid = (&self.mid * &other.mid) >> BITS;
        if self.rad.is_zero() && other.rad.is_zero() {
            return Some(Self { mid, rad: BigInt::one() });
        }
        let spread = self.mid.abs() * &other.rad + other.mid.abs() * &self.rad + &self.rad * &other.rad;
        Some(Self { mid, rad: (spread >> BITS) + 2 })
    }

    /// `self / other`; `None` if the divisor may be 0.
    pub(crate) fn div(&self, other: &Self) -> Option<Self> {
        let low = other.mid.abs() - &other.rad;
        if !low.is_positive() || self.mid.bits() > MAX_SIZE {
            return None;
        }
        let mid = (&self.mid << BITS).div_floor(&other.mid);
        // |a/b − a'/b'| ≤ (Δa + |a/b| Δb) / (|b| − Δb)
        let spread = (&self.rad << BITS) + (mid.abs() + 1) * &other.rad;
        Some(Self { mid, rad: spread / low + 2 })
    }

    pub(super) fn low(&self) -> BigInt {
        &self.mid - &self.rad
    }

    pub(super) fn high(&self) -> BigInt {
        &self.mid + &self.rad
    }

    /// The sign, if it is certain.
    pub(crate) fn sign(&self) -> Option<Ordering> {
        if self.low().is_positive() {
            Some(Ordering::Greater)
        } else if self.high().is_negative() {
            Some(Ordering::Less)
        } else {
            self.is_zero().then_some(Ordering::Equal)
        }
    }

    /// True if no number is in both balls.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        (&self.mid - &other.mid).abs() > &self.rad + &other.rad
    }

    /// True if the radius is below `2^-128 · max(1, |x|)`.
    pub(crate) fn is_sharp(&self) -> bool {
        self.rad.bits() + 128 <= u64::from(BITS) || self.rad.bits() + 129 <= self.mid.bits()
    }

    /// The integer part, if it is certain.
    pub(crate) fn floor(&self) -> Option<BigInt> {
        let (low, high) = (self.low() >> BITS, self.high() >> BITS);
        (low == high).then_some(low)
    }

    /// A nearby machine number, for starting values only.
    pub(super) fn to_f64(&self) -> f64 {
        let shift = self.mid.bits().saturating_sub(64) as i32;
        let top = (&self.mid >> shift).to_f64().unwrap_or(0.0);
        top * 2_f64.powi(shift - BITS as i32)
    }

    pub(crate) fn sqrt(&self) -> Option<Self> {
        if self.low().is_negative() {
            return None;
        }
        let low = (self.low() << BITS).sqrt();
        let high = (self.high() << BITS).sqrt() + 1;
        Some(Self { rad: (&high - &low) / 2 + 1, mid: (low + high) / 2 })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_square_of_the_root_of_two_contains_two() {
        let two = Ball::int(2);
        let root = two.sqrt().unwrap();
        let square = root.mul(&root).unwrap();
        assert!(!square.differs(&two) && square.is_sharp());
    }

    #[test]
    fn one_third_times_three_contains_one_and_not_a_neighbour() {
        let third = Ball::int(1).div(&Ball::int(3)).unwrap();
        let one = third.mul(&Ball::int(3)).unwrap();
        assert!(!one.differs(&Ball::int(1)));
        let near = Ball::rational(&Rational::new(1_000_000_001, 1_000_000_000).unwrap()).unwrap();
        assert!(one.differs(&near));
    }

    #[test]
    fn nothing_is_divided_by_what_may_be_zero() {
        let fuzzy = Ball::new(BigInt::from(1), BigInt::from(2));
        assert!(Ball::int(1).div(&fuzzy).is_none());
        assert!(fuzzy.sign().is_none());
    }
}
