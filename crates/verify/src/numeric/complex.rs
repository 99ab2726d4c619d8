//! Complex balls.

use std::cmp::Ordering;

use super::Ball;
use crate::rational::Rational;

/// `re + i · im`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complex {
    pub(crate) re: Ball,
    pub(crate) im: Ball,
}

impl Complex {
    pub(crate) fn real(re: Ball) -> Self {
        Self { re, im: Ball::zero() }
    }

    pub(crate) fn is_real(&self) -> bool {
        self.im.is_zero()
    }

    pub(crate) fn add(&self, o: &Self) -> Self {
        Self { re: self.re.add(&o.re), im: self.im.add(&o.im) }
    }

    pub(crate) fn mul(&self, o: &Self) -> Option<Self> {
        if self.is_real() && o.is_real() {
            return Some(Self::real(self.re.mul(&o.re)?));
        }
        let re = self.re.mul(&o.re)?.sub(&self.im.mul(&o.im)?);
        let im = self.re.mul(&o.im)?.add(&self.im.mul(&o.re)?);
        Some(Self { re, im })
    }

    fn norm(&self) -> Option<Ball> {
        Some(self.re.mul(&self.re)?.add(&self.im.mul(&self.im)?))
    }

    pub(crate) fn recip(&self) -> Option<Self> {
        if self.is_real() {
            return Some(Self::real(Ball::int(1).div(&self.re)?));
        }
        let norm = self.norm()?;
        Some(Self { re: self.re.div(&norm)?, im: self.im.neg().div(&norm)? })
    }

    pub(crate) fn abs(&self) -> Option<Ball> {
        if self.is_real() {
            return match self.re.sign() {
                Some(Ordering::Less) => Some(self.re.neg()),
                Some(_) => Some(self.re.clone()),
                None => self.re.mul(&self.re)?.sqrt(),
            };
        }
        self.norm()?.sqrt()
    }

    pub(crate) fn exp(&self) -> Option<Self> {
        let scale = self.re.exp()?;
        if self.is_real() {
            return Some(Self::real(scale));
        }
        let (sin, cos) = self.im.sin_cos()?;
        Some(Self { re: scale.mul(&cos)?, im: scale.mul(&sin)? })
    }

    /// Principal logarithm; `None` at 0 and across the cut.
    pub(crate) fn ln(&self) -> Option<Self> {
        let half = Rational::new(1, 2)?;
        let modulus =
            if self.is_real() { self.abs()?.ln()? } else { self.norm()?.ln()?.mul(&Ball::rational(&half)?)? };
        Some(Self { re: modulus, im: self.argument()? })
    }

    fn argument(&self) -> Option<Ball> {
        if self.is_real() {
            return Some(if self.re.sign()? == Ordering::Less { Ball::pi() } else { Ball::zero() });
        }
        match (self.re.sign(), self.im.sign()) {
            (Some(Ordering::Greater), _) => self.im.div(&self.re)?.atan(),
            (_, Some(Ordering::Greater)) => Some(Ball::half_pi().sub(&self.re.div(&self.im)?.atan()?)),
            (_, Some(Ordering::Less)) => Some(Ball::half_pi().neg().sub(&self.re.div(&self.im)?.atan()?)),
            _ => None,
        }
    }

    /// `self ^ k`.
    pub(crate) fn powi(&self, k: i64) -> Option<Self> {
        if k < 0 {
            return self.recip()?.powi(k.checked_neg()?);
        }
        if k > 100_000 {
            return None;
        }
        let (mut result, mut square, mut k) = (Self::real(Ball::int(1)), self.clone(), k);
        while k > 0 {
            if k & 1 == 1 {
                result = result.mul(&square)?;
            }
            k >>= 1;
            if k > 0 {
                square = square.mul(&square)?;
            }
        }
        Some(result)
    }

    /// `self ^ r`, principal value.
    pub(crate) fn powr(&self, r: &Rational) -> Option<Self> {
        if let Some(k) = r.to_i64() {
            return self.powi(k);
        }
        if let Some((p, 2)) = r.small()
            && self.is_real()
        {
            let root = match self.re.sign()? {
                Ordering::Less => Self { re: Ball::zero(), im: self.re.neg().sqrt()? },
                _ => Self::real(self.re.sqrt()?),
            };
            return root.powi(p);
        }
        if self.is_real() && self.re.is_zero() {
            return (!r.is_negative()).then(|| Self::real(Ball::zero()));
        }
        self.pow(&Self::real(Ball::rational(r)?))
    }

    /// `self ^ exponent`, principal value.
    pub(crate) fn pow(&self, exponent: &Self) -> Option<Self> {
        self.ln()?.mul(exponent)?.exp()
    }

    pub(crate) fn sin_cos(&self) -> Option<(Self, Self)> {
        if self.is_real() {
            let (s, c) = self.re.sin_cos()?;
            return Some((Self::real(s), Self::real(c)));
        }
        let (s, c) = self.re.sin_cos()?;
        let (sinh, cosh) = sinh_cosh(&self.im)?;
        let sin = Self { re: s.mul(&cosh)?, im: c.mul(&sinh)? };
        let cos = Self { re: c.mul(&cosh)?, im: s.mul(&sinh)?.neg() };
        Some((sin, cos))
    }

    pub(crate) fn differs(&self, o: &Self) -> bool {
        self.re.differs(&o.re) || self.im.differs(&o.im)
    }

    pub(crate) fn is_sharp(&self) -> bool {
        self.re.is_sharp() && self.im.is_sharp()
    }
}

/// `(sinh x, cosh x)`.
pub(crate) fn sinh_cosh(x: &Ball) -> Option<(Ball, Ball)> {
    let up = x.exp()?;
    let down = x.neg().exp()?;
    let half = Ball::rational(&Rational::new(1, 2)?)?;
    Some((up.sub(&down).mul(&half)?, up.add(&down).mul(&half)?))
}
