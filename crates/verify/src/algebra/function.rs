//! Values of functions, exact where they are known.

use num_bigint::BigInt;
use num_integer::Integer;

use super::poly::Term;
use super::{Algebra, Atom, Expr, Func, Poly};
use crate::fuel::{Halt, Run};
use crate::rational::{MAX_BITS, Rational};

impl Algebra {
    /// The value of a function, or an atom for it.
    pub(crate) fn func(&mut self, f: Func, args: Vec<Expr>) -> Run<Expr> {
        self.fuel.spend(2)?;
        let known = match (f, args.as_slice()) {
            (Func::Sin, [x]) => return self.sin(x),
            (Func::Cos, [x]) => return self.cos(x),
            (Func::Ln, [x]) => self.ln(x)?,
            (Func::Abs, [x]) => self.abs(x)?,
            (Func::Floor, [x]) => x.as_number().map(|v| Expr::number(v.floor())),
            (Func::Ceil, [x]) => x.as_number().map(|v| Expr::number(v.neg().floor().neg())),
            (Func::Factorial, [x]) => self.factorial(x)?,
            (Func::Binomial, [n, k]) => self.binomial(n, k)?,
            (Func::Asin | Func::Atan | Func::Sinh, [x]) if x.is_zero() => Some(Expr::zero()),
            (Func::Acos, [x]) if x.as_int() == Some(1) => Some(Expr::zero()),
            (Func::Cosh, [x]) if x.is_zero() => Some(Expr::int(1)),
            (Func::Min | Func::Max, _) => extreme(f, &args),
            (Func::Gcd | Func::Lcm, _) => divisor(f, &args),
            _ => None,
        };
        match known {
            Some(value) => Ok(value),
            None => self.odd_or_atom(f, args),
        }
    }

    /// `f(−x) = −f(x)` for odd functions, so that one sign of the argument is left.
    fn odd_or_atom(&mut self, f: Func, args: Vec<Expr>) -> Run<Expr> {
        if let (Func::Asin | Func::Atan | Func::Sinh, [x]) = (f, args.as_slice())
            && self.leading_sign(&x.num)
        {
            let minus = self.neg(x)?;
            let value = self.single(Atom::Func(f, vec![minus]))?;
            return self.neg(&value);
        }
        self.single(Atom::Func(f, args))
    }

    fn radians(&mut self, x: &Expr) -> Run<Expr> {
        let degree = Expr::term(Term {
            mono: vec![(Atom::PI, Rational::ONE)],
            coeff: Rational::new(1, 180).unwrap_or(Rational::ONE),
        });
        self.substitute(x, Atom::DEGREE, &degree)
    }

    fn sin(&mut self, x: &Expr) -> Run<Expr> {
        let x = self.radians(x)?;
        if let Some(r) = multiple_of_pi(&x) {
            return self.sin_pi(&r);
        }
        if self.leading_sign(&x.num) {
            let minus = self.neg(&x)?;
            let value = self.single(Atom::Func(Func::Sin, vec![minus]))?;
            return self.neg(&value);
        }
        self.single(Atom::Func(Func::Sin, vec![x]))
    }

    fn cos(&mut self, x: &Expr) -> Run<Expr> {
        let x = self.radians(x)?;
        if let Some(r) = multiple_of_pi(&x) {
            let shifted = r.add(&half(), &mut self.fuel)?;
            return self.sin_pi(&shifted);
        }
        let x = if self.leading_sign(&x.num) { self.neg(&x)? } else { x };
        self.single(Atom::Func(Func::Cos, vec![x]))
    }

    /// `sin πr`.
    fn sin_pi(&mut self, r: &Rational) -> Run<Expr> {
        let fuel = &mut self.fuel;
        let turns = r.mul(&half(), fuel)?.floor().mul(&Rational::int(2), fuel)?;
        let mut r = r.sub(&turns, fuel)?;
        let negative = r >= Rational::ONE;
        if negative {
            r = r.sub(&Rational::ONE, fuel)?;
        }
        if r > half() {
            r = Rational::ONE.sub(&r, fuel)?;
        }
        let value = self.first_quadrant(&r)?;
        if negative { self.neg(&value) } else { Ok(value) }
    }

    /// `sin πr` for `0 ≤ r ≤ 1/2`.
    fn first_quadrant(&mut self, r: &Rational) -> Run<Expr> {
        let over = |c: i64, d: i64| Expr::number(Rational::new(c, d).unwrap_or(Rational::ONE));
        let (p, q, sign, d) = match r.small() {
            Some((0, _)) => return Ok(Expr::zero()),
            Some((1, 2)) => return Ok(Expr::int(1)),
            Some((1, 6)) => return Ok(over(1, 2)),
            Some((1, 4)) => (2, 0, 0, 2),
            Some((1, 3)) => (3, 0, 0, 2),
            Some((1, 12)) => (6, 2, -1, 4),
            Some((5, 12)) => (6, 2, 1, 4),
            Some((1, 10)) => (5, 1, -1, 4),
            Some((3, 10)) => (5, 1, 1, 4),
            _ => {
                let angle = Expr::term(Term { mono: vec![(Atom::PI, Rational::ONE)], coeff: r.clone() });
                return self.single(Atom::Func(Func::Sin, vec![angle]));
            }
        };
        let (a, b) = (self.sqrt(&Expr::int(p))?, self.sqrt(&Expr::int(q))?);
        let b = self.mul(&b, &Expr::int(sign))?;
        let sum = self.add(&a, &b)?;
        self.mul(&sum, &over(1, d))
    }

    /// Logarithms of products of known numbers, as sums of logarithms of primes.
    fn ln(&mut self, x: &Expr) -> Run<Option<Expr>> {
        if x.is_zero() {
            return Err(Halt::Syntax("logarithm of zero"));
        }
        let Some(term) = x.as_term().cloned() else { return Ok(None) };
        let transparent = |atom: &Atom| matches!(atom, Atom::E | Atom::Pi | Atom::Radicand(_));
        let known = term.mono.iter().all(|(a, _)| transparent(self.atom(*a)) || self.log_of_power(*a).is_some());
        if term.coeff.is_negative() || !known {
            return Ok(None);
        }
        let mut sum = self.ln_rational(&term.coeff)?;
        for (a, e) in &term.mono {
            let ln = match self.atom(*a).clone() {
                Atom::E => Expr::int(1),
                Atom::Radicand(n) => self.ln_rational(&n)?,
                Atom::Pow(base, exponent) => {
                    let ln = self.func(Func::Ln, vec![base])?;
                    self.mul(&ln, &exponent)?
                }
                _ => self.single(Atom::Func(Func::Ln, vec![Expr::atom(*a)]))?,
            };
            let scaled = self.mul(&ln, &Expr::number(e.clone()))?;
            sum = self.add(&sum, &scaled)?;
        }
        Ok(Some(sum))
    }

    /// For `b^x` with a positive number `b`: something to take logarithms of.
    fn log_of_power(&self, atom: super::AtomId) -> Option<()> {
        let Atom::Pow(base, exponent) = self.atom(atom) else { return None };
        let positive = base.as_number().is_some_and(|b| !b.is_negative()) || base.as_atom() == Some(Atom::EULER);
        (positive && !exponent.atoms().any(|a| a == Atom::IMAG)).then_some(())
    }

    fn ln_rational(&mut self, value: &Rational) -> Run<Expr> {
        let mut sum = Expr::zero();
        for (n, sign) in [(value.numer(), 1), (value.denom(), -1)] {
            for (prime, k) in self.factors(&n)? {
                let ln = self.single(Atom::Func(Func::Ln, vec![Expr::number(prime)]))?;
                let scaled = self.mul(&ln, &Expr::int(sign * k))?;
                sum = self.add(&sum, &scaled)?;
            }
        }
        Ok(sum)
    }

    fn abs(&mut self, x: &Expr) -> Run<Option<Expr>> {
        if let Some(value) = x.as_number() {
            return Ok(Some(Expr::number(value.abs())));
        }
        if let Some((re, im)) = Self::gaussian(x) {
            let fuel = &mut self.fuel;
            let norm = re.mul(&re, fuel)?.add(&im.mul(&im, fuel)?, fuel)?;
            return self.sqrt(&Expr::number(norm)).map(Some);
        }
        if let Some(sign) = self.sign_of(x)? {
            return if sign < 0 { self.neg(x).map(Some) } else { Ok(Some(x.clone())) };
        }
        if self.leading_sign(&x.num) {
            let minus = self.neg(x)?;
            return self.single(Atom::Func(Func::Abs, vec![minus])).map(Some);
        }
        Ok(None)
    }

    /// Real and imaginary part, if both are rational.
    fn gaussian(x: &Expr) -> Option<(Rational, Rational)> {
        let (mut re, mut im) = (Rational::ZERO, Rational::ZERO);
        for term in &x.num {
            match term.mono.as_slice() {
                [] => re = term.coeff.clone(),
                [(Atom::IMAG, e)] if e.is_one() => im = term.coeff.clone(),
                _ => return None,
            }
        }
        x.den.is_empty().then_some((re, im))
    }

    fn factorial(&mut self, x: &Expr) -> Run<Option<Expr>> {
        let Some(n) = x.as_int().filter(|n| (0..=1400).contains(n)) else { return Ok(None) };
        if n <= 20 {
            return Ok(Some(Expr::int((1..=n).product())));
        }
        self.fuel.spend(n as u64 * (1 + n as u64 / 16))?;
        let product = (21..=n).fold(BigInt::from((1..=20).product::<i64>()), |acc, k| acc * k);
        Ok(Some(Expr::number(Rational::from_big(product))))
    }

    fn binomial(&mut self, n: &Expr, k: &Expr) -> Run<Option<Expr>> {
        let (Some(n), Some(k)) = (n.as_int(), k.as_int()) else { return Ok(None) };
        if !(0..=100_000).contains(&n) {
            return Ok(None);
        }
        if k < 0 || k > n {
            return Ok(Some(Expr::zero()));
        }
        let k = k.min(n - k);
        if (k as u64) * 17 > MAX_BITS {
            return Err(Halt::Fuel);
        }
        self.fuel.spend(2 * k as u64 * (1 + k as u64 / 8))?;
        let value = (0..k).fold(BigInt::from(1), |acc, i| acc * (n - i) / (i + 1));
        Ok(Some(Expr::number(Rational::from_big(value))))
    }

    /// `tan`, `cot`, `sec`, `csc` in sines and cosines.
    pub(crate) fn ratio_of(&mut self, top: Option<Func>, bottom: Func, x: &Expr) -> Run<Expr> {
        let numerator = match top {
            Some(f) => self.func(f, vec![x.clone()])?,
            None => Expr::int(1),
        };
        let denominator = self.func(bottom, vec![x.clone()])?;
        self.div(&numerator, &denominator)
    }

    /// True if the term that is printed first has a negative coefficient.
    pub(crate) fn leading_sign(&self, poly: &Poly) -> bool {
        match poly.as_slice() {
            [] => false,
            [only] => only.coeff.is_negative(),
            _ => self.in_order(poly).first().is_some_and(|t| t.coeff.is_negative()),
        }
    }
}

fn half() -> Rational {
    Rational::new(1, 2).unwrap_or(Rational::ZERO)
}

/// `r` for `x = πr`.
fn multiple_of_pi(x: &Expr) -> Option<Rational> {
    if x.is_zero() {
        return Some(Rational::ZERO);
    }
    let term = x.as_term()?;
    match term.mono.as_slice() {
        [(Atom::PI, e)] if e.is_one() => Some(term.coeff.clone()),
        _ => None,
    }
}

fn extreme(f: Func, args: &[Expr]) -> Option<Expr> {
    let values: Option<Vec<Rational>> = args.iter().map(Expr::as_number).collect();
    let values = values?;
    let value = if f == Func::Min { values.into_iter().min() } else { values.into_iter().max() };
    value.map(Expr::number)
}

fn divisor(f: Func, args: &[Expr]) -> Option<Expr> {
    let values: Option<Vec<i64>> = args.iter().map(Expr::as_int).collect();
    let mut values = values?.into_iter().map(i128::from);
    let first = values.next()?;
    let result = values.fold(first, |a, b| if f == Func::Gcd { a.gcd(&b) } else { a.lcm(&b) % (1 << 100) });
    i64::try_from(result).ok().map(Expr::int)
}
