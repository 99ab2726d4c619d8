//! Exact rational numbers: machine integers while they fit, big integers after.

use std::cmp::Ordering;
use std::fmt;

use num_bigint::{BigInt, Sign};
use num_integer::Integer;
use num_rational::Ratio;
use num_traits::{One, Signed, ToPrimitive};

use crate::fuel::{Fuel, Halt, Run};

/// A reduced fraction with a positive denominator.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Rational(Repr);

/// `Big` holds only what `Small` cannot: equality of values is equality of representations.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Small(i64, i64),
    Big(Box<Ratio<BigInt>>),
}
use Repr::{Big, Small};

/// Largest size of a numerator or denominator in bits; beyond it numbers stay symbolic or fuel is declared empty.
pub(crate) const MAX_BITS: u64 = 1 << 14;

impl Rational {
    pub(crate) const ZERO: Self = Self(Small(0, 1));
    pub(crate) const ONE: Self = Self(Small(1, 1));

    pub(crate) const fn int(n: i64) -> Self {
        Self(Small(n, 1))
    }

    /// `n / d`; `None` if `d` is 0.
    pub(crate) fn new(n: i64, d: i64) -> Option<Self> {
        (d != 0).then(|| Self::from_i128(i128::from(n), i128::from(d)))
    }

    fn from_i128(n: i128, d: i128) -> Self {
        let (n, d) = if d < 0 { (-n, -d) } else { (n, d) };
        let g = gcd(n.unsigned_abs(), d.unsigned_abs()).max(1) as i128;
        match (i64::try_from(n / g), i64::try_from(d / g)) {
            (Ok(n), Ok(d)) => Self(Small(n, d)),
            _ => Self(Big(Box::new(Ratio::new_raw(BigInt::from(n / g), BigInt::from(d / g))))),
        }
    }

    fn from_ratio(r: Ratio<BigInt>) -> Self {
        match (r.numer().to_i64(), r.denom().to_i64()) {
            (Some(n), Some(d)) => Self(Small(n, d)),
            _ => Self(Big(Box::new(r))),
        }
    }

    pub(crate) fn from_big(n: BigInt) -> Self {
        Self::from_ratio(Ratio::from_integer(n))
    }

    fn ratio(&self) -> Ratio<BigInt> {
        match &self.0 {
            Small(n, d) => Ratio::new_raw(BigInt::from(*n), BigInt::from(*d)),
            Big(r) => (**r).clone(),
        }
    }

    /// `digits · 10^exponent` for a string of decimal digits.
    pub(crate) fn from_decimal(digits: &str, exponent: i64, fuel: &mut Fuel) -> Run<Self> {
        let bits = (digits.len() as u64).saturating_add(exponent.unsigned_abs()).saturating_mul(4);
        if bits > MAX_BITS {
            return Err(Halt::Fuel);
        }
        fuel.spend(1 + bits / 64 * (bits / 64))?;
        if digits.len() <= 18 && exponent.unsigned_abs() <= 18 {
            let n: i64 = digits.parse().unwrap_or(0);
            let scale = 10_i64.pow(exponent.unsigned_abs() as u32);
            return Ok(if exponent < 0 {
                Self::from_i128(i128::from(n), i128::from(scale))
            } else {
                Self::from_i128(i128::from(n) * i128::from(scale), 1)
            });
        }
        let n = BigInt::parse_bytes(digits.as_bytes(), 10).unwrap_or_default();
        let scale = BigInt::from(10).pow(exponent.unsigned_abs() as u32);
        Ok(Self::from_ratio(if exponent < 0 { Ratio::new(n, scale) } else { Ratio::from_integer(n * scale) }))
    }

    pub(crate) fn is_zero(&self) -> bool {
        matches!(self.0, Small(0, _))
    }

    pub(crate) fn is_one(&self) -> bool {
        matches!(self.0, Small(1, 1))
    }

    pub(crate) fn is_integer(&self) -> bool {
        match &self.0 {
            Small(_, d) => *d == 1,
            Big(r) => r.denom().is_one(),
        }
    }

    pub(crate) fn is_negative(&self) -> bool {
        match &self.0 {
            Small(n, _) => *n < 0,
            Big(r) => r.numer().sign() == Sign::Minus,
        }
    }

    /// The value, if it is an integer of machine size.
    pub(crate) const fn to_i64(&self) -> Option<i64> {
        match &self.0 {
            Small(n, 1) => Some(*n),
            _ => None,
        }
    }

    pub(crate) fn numer(&self) -> BigInt {
        match &self.0 {
            Small(n, _) => BigInt::from(*n),
            Big(r) => r.numer().clone(),
        }
    }

    pub(crate) fn denom(&self) -> BigInt {
        match &self.0 {
            Small(_, d) => BigInt::from(*d),
            Big(r) => r.denom().clone(),
        }
    }

    /// Numerator and denominator, if both are of machine size.
    pub(crate) const fn small(&self) -> Option<(i64, i64)> {
        match &self.0 {
            Small(n, d) => Some((*n, *d)),
            Big(_) => None,
        }
    }

    fn bits(&self) -> u64 {
        match &self.0 {
            Small(..) => 64,
            Big(r) => r.numer().bits().max(r.denom().bits()),
        }
    }

    pub(crate) fn neg(&self) -> Self {
        match &self.0 {
            Small(n, d) => Self::from_i128(-i128::from(*n), i128::from(*d)),
            Big(r) => Self::from_ratio(-(**r).clone()),
        }
    }

    pub(crate) fn abs(&self) -> Self {
        if self.is_negative() { self.neg() } else { self.clone() }
    }

    /// `1 / self`; `None` for 0.
    pub(crate) fn recip(&self) -> Option<Self> {
        match &self.0 {
            Small(0, _) => None,
            Small(n, d) => Some(Self::from_i128(i128::from(*d), i128::from(*n))),
            Big(r) => Some(Self::from_ratio(r.recip())),
        }
    }

    /// Pays for a product of limbs, and for a greatest common divisor where there are denominators.
    fn pay(&self, other: &Self, fuel: &mut Fuel) -> Run<()> {
        let (a, b) = (1 + self.bits() / 64, 1 + other.bits() / 64);
        if self.bits() + other.bits() > 4 * MAX_BITS {
            return Err(Halt::Fuel);
        }
        let whole = self.is_integer() && other.is_integer();
        fuel.spend(if whole { a * b / 4 + a + b } else { 8 * (a + b) * (a + b) })
    }

    pub(crate) fn add(&self, other: &Self, fuel: &mut Fuel) -> Run<Self> {
        if let (Small(a, b), Small(c, d)) = (&self.0, &other.0) {
            if let (1, 1, Some(n)) = (*b, *d, a.checked_add(*c)) {
                return Ok(Self(Small(n, 1)));
            }
            let (a, b, c, d) = (i128::from(*a), i128::from(*b), i128::from(*c), i128::from(*d));
            return Ok(Self::from_i128(a * d + c * b, b * d));
        }
        self.pay(other, fuel)?;
        if self.is_integer() && other.is_integer() {
            return Ok(Self::from_big(self.numer() + other.numer()));
        }
        Ok(Self::from_ratio(self.ratio() + other.ratio()))
    }

    pub(crate) fn sub(&self, other: &Self, fuel: &mut Fuel) -> Run<Self> {
        self.add(&other.neg(), fuel)
    }

    pub(crate) fn mul(&self, other: &Self, fuel: &mut Fuel) -> Run<Self> {
        if let (Small(a, b), Small(c, d)) = (&self.0, &other.0) {
            if let (1, 1, Some(n)) = (*b, *d, a.checked_mul(*c)) {
                return Ok(Self(Small(n, 1)));
            }
            return Ok(Self::from_i128(i128::from(*a) * i128::from(*c), i128::from(*b) * i128::from(*d)));
        }
        self.pay(other, fuel)?;
        if self.is_integer() && other.is_integer() {
            return Ok(Self::from_big(self.numer() * other.numer()));
        }
        Ok(Self::from_ratio(self.ratio() * other.ratio()))
    }

    /// `self^k`; out of fuel if the result would have more than [`MAX_BITS`] bits. `0^0 = 1`; `0^-k` is a syntax error.
    pub(crate) fn pow(&self, k: i64, fuel: &mut Fuel) -> Run<Self> {
        if let Some((n, 1)) = self.small() {
            match n {
                1 => return Ok(Self::ONE),
                -1 => return Ok(Self::int(if k % 2 == 0 { 1 } else { -1 })),
                0 if k > 0 => return Ok(Self::ZERO),
                _ => {}
            }
        }
        let size = match &self.0 {
            Small(n, d) => u64::from(64 - n.unsigned_abs().max(d.unsigned_abs()).leading_zeros()),
            Big(_) => self.bits(),
        };
        if size.saturating_mul(k.unsigned_abs()) > MAX_BITS {
            return Err(Halt::Fuel);
        }
        let limbs = size * k.unsigned_abs() / 64;
        fuel.spend(1 + limbs * limbs)?;
        let base = if k < 0 { self.recip().ok_or(Halt::Syntax("division by zero"))? } else { self.clone() };
        let k = k.unsigned_abs() as u32;
        if let Some((n, d)) = base.small()
            && let (Some(n), Some(d)) = (n.checked_pow(k), d.checked_pow(k))
        {
            return Ok(Self(Small(n, d)));
        }
        let r = base.ratio();
        Ok(Self::from_ratio(Ratio::new_raw(r.numer().pow(k), r.denom().pow(k))))
    }

    /// Largest integer not above the value.
    pub(crate) fn floor(&self) -> Self {
        match &self.0 {
            Small(n, d) => Self(Small(n.div_euclid(*d), 1)),
            Big(r) => Self::from_ratio(r.floor()),
        }
    }

    pub(crate) fn cmp_value(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Small(a, b), Small(c, d)) => (i128::from(*a) * i128::from(*d)).cmp(&(i128::from(*c) * i128::from(*b))),
            _ => self.ratio().cmp(&other.ratio()),
        }
    }
}

impl PartialOrd for Rational {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rational {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cmp_value(other)
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Small(n, 1) => write!(f, "{n}"),
            Small(n, d) => write!(f, "{n}/{d}"),
            Big(r) => write!(f, "{r}"),
        }
    }
}

impl fmt::Debug for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Greatest common divisor of machine integers, 64 bits wide where that is enough.
fn gcd(a: u128, b: u128) -> u128 {
    match (u64::try_from(a), u64::try_from(b)) {
        (Ok(a), Ok(b)) => u128::from(a.gcd(&b)),
        _ => a.gcd(&b),
    }
}

/// Greatest common divisor of numerators over least common multiple of denominators: the content of a list.
pub(crate) fn content(a: &Rational, b: &Rational) -> Rational {
    if let (Some((n, d)), Some((m, e))) = (a.small(), b.small()) {
        let n = i128::from(n).unsigned_abs();
        let g = gcd(n, i128::from(m).unsigned_abs());
        let l = i128::from(d).lcm(&i128::from(e));
        return Rational::from_i128(g as i128, l);
    }
    let (a, b) = (a.ratio(), b.ratio());
    let g = a.numer().abs().gcd(&b.numer().abs());
    Rational::from_ratio(Ratio::new(g, a.denom().lcm(b.denom())))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn q(n: i64, d: i64) -> Rational {
        Rational::new(n, d).unwrap()
    }

    #[test]
    fn one_half_and_one_third_make_five_sixths() {
        let fuel = &mut Fuel::new(1000);
        assert_eq!(q(1, 2).add(&q(1, 3), fuel).unwrap(), q(5, 6));
        assert_eq!(q(-4, -8), q(1, 2));
        assert_eq!(q(3, -6).to_string(), "-1/2");
    }

    #[test]
    fn what_leaves_the_machine_word_and_comes_back_is_the_same_number() {
        let fuel = &mut Fuel::new(100_000);
        let big = Rational::int(10).pow(40, fuel).unwrap();
        let back = big.mul(&Rational::int(10).pow(-40, fuel).unwrap(), fuel).unwrap();
        assert_eq!(back, Rational::ONE);
        assert!(Rational::int(i64::MIN).neg() > Rational::int(i64::MAX));
    }

    #[test]
    fn a_tower_of_powers_is_out_of_fuel_at_once() {
        let fuel = &mut Fuel::new(100_000);
        assert_eq!(Rational::int(2).pow(100_000_000, fuel), Err(Halt::Fuel));
    }

    #[test]
    fn decimals_are_exact() {
        let fuel = &mut Fuel::new(1000);
        assert_eq!(Rational::from_decimal("0125", -3, fuel).unwrap(), q(1, 8));
        assert_eq!(Rational::from_decimal("3", 6, fuel).unwrap(), Rational::int(3_000_000));
    }

    #[test]
    fn the_content_of_six_and_four_thirds_is_two_thirds() {
        assert_eq!(content(&q(6, 1), &q(4, 3)), q(2, 3));
    }
}
