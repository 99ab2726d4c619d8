//! Powers and roots.

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use super::poly::{Term, poly_content};
use super::{Algebra, Atom, AtomId, Expr, Func};
use crate::fuel::{Halt, Run};
use crate::rational::Rational;

/// Trial divisors go up to here; what is left is treated as one prime.
const TRIAL_LIMIT: i64 = 2000;

impl Algebra {
    /// `base ^ exponent`.
    pub(crate) fn pow(&mut self, base: &Expr, exponent: &Expr) -> Run<Expr> {
        self.fuel.enter()?;
        let power = match exponent.as_number() {
            Some(r) => self.rational_power(base, &r),
            None => self.symbolic_power(base, exponent),
        };
        self.fuel.leave();
        power
    }

    pub(crate) fn sqrt(&mut self, base: &Expr) -> Run<Expr> {
        self.root(base, 2)
    }

    pub(crate) fn root(&mut self, base: &Expr, index: i64) -> Run<Expr> {
        let r = Rational::new(1, index).ok_or(Halt::Syntax("root of index 0"))?;
        self.pow(base, &Expr::number(r))
    }

    pub(super) fn rational_power(&mut self, base: &Expr, r: &Rational) -> Run<Expr> {
        if let Some(value) = base.as_number() {
            return self.number_power(&value, r);
        }
        if let Some(k) = r.to_i64() {
            if Self::expandable(base, k) || base.as_term().is_some() {
                return self.whole_power(base, k);
            }
            return self.base_power(base, r);
        }
        if !r.is_integer()
            && let Some(term) = base.as_term()
        {
            return self.term_root(&term.clone(), r);
        }
        self.base_power(base, r)
    }

    /// True if a whole power is multiplied out rather than kept as an atom.
    pub(super) fn expandable(base: &Expr, k: i64) -> bool {
        let terms = base.num.len().max(base.den.len()) as u64;
        let k = k.unsigned_abs();
        let symbolic = base.atoms().any(|a| a != Atom::IMAG && a != Atom::PM);
        match terms {
            0 | 1 => true,
            2 => k <= if symbolic { 48 } else { 4096 },
            _ => k <= 4 || terms.saturating_pow(k.min(64) as u32) <= 20_000,
        }
    }

    pub(crate) fn whole_power(&mut self, base: &Expr, k: i64) -> Run<Expr> {
        if k < 0 {
            let power = self.whole_power(base, k.checked_neg().ok_or(Halt::Fuel)?)?;
            return self.div(&Expr::int(1), &power);
        }
        if let Some(term) = base.as_term() {
            return self.term_power(&term.clone(), k);
        }
        let mut result = Expr::int(1);
        let mut square = base.clone();
        let mut k = k;
        while k > 0 {
            if k & 1 == 1 {
                result = self.mul(&result, &square)?;
            }
            k >>= 1;
            if k > 0 {
                square = self.mul(&square.clone(), &square)?;
            }
        }
        Ok(result)
    }

    fn term_power(&mut self, term: &Term, k: i64) -> Run<Expr> {
        let coeff = term.coeff.pow(k, &mut self.fuel)?;
        let mut mono = Vec::with_capacity(term.mono.len());
        for (a, e) in &term.mono {
            let e = e.mul(&Rational::int(k), &mut self.fuel)?;
            if !e.is_zero() {
                mono.push((*a, e));
            }
        }
        let power = self.reduce(Term { mono, coeff })?;
        self.settle(vec![power])
    }

    /// `value ^ r` for rational numbers.
    fn number_power(&mut self, value: &Rational, r: &Rational) -> Run<Expr> {
        if value.is_zero() {
            return if r.is_negative() {
                Err(Halt::Syntax("division by zero"))
            } else {
                Ok(Expr::int(i64::from(r.is_zero())))
            };
        }
        if let Some(k) = r.to_i64() {
            return Ok(Expr::number(value.pow(k, &mut self.fuel)?));
        }
        if !r.is_integer() && value.is_negative() {
            let magnitude = self.number_power(&value.neg(), r)?;
            let sign = self.root_of_minus_one(r)?;
            return self.mul(&sign, &magnitude);
        }
        if r.is_integer() {
            return Err(Halt::Fuel);
        }
        let top = self.integer_root(&value.numer(), r)?;
        let bottom = self.integer_root(&value.denom(), &r.neg())?;
        self.mul(&top, &bottom)
    }

    /// `(−1)^{p/q}`: real for odd `q`, `i^p` for `q = 2`.
    fn root_of_minus_one(&mut self, r: &Rational) -> Run<Expr> {
        let (p, q) = r.small().ok_or(Halt::Fuel)?;
        if q % 2 == 1 {
            return Ok(Expr::int(if p % 2 == 0 { 1 } else { -1 }));
        }
        let e = r.mul(&Rational::int(2), &mut self.fuel)?;
        let term = self.reduce(Term { mono: vec![(Atom::IMAG, e)], coeff: Rational::ONE })?;
        Ok(Expr::term(term))
    }

    /// `n ^ r` for a positive integer, as a product of roots of primes.
    fn integer_root(&mut self, n: &BigInt, r: &Rational) -> Run<Expr> {
        let mut product = Term { mono: Vec::new(), coeff: Rational::ONE };
        for (prime, k) in self.factors(n)? {
            let e = r.mul(&Rational::int(k), &mut self.fuel)?;
            let id = self.intern(Atom::Radicand(prime))?;
            let factor = self.reduce(Term { mono: vec![(id, e)], coeff: Rational::ONE })?;
            product = self.term_mul(&product, &factor)?;
        }
        Ok(Expr::term(product))
    }

    /// Prime powers of a positive integer; a large cofactor counts as prime unless it is a perfect power.
    pub(super) fn factors(&mut self, n: &BigInt) -> Run<Vec<(Rational, i64)>> {
        let mut factors = Vec::new();
        let Some(mut m) = n.to_i64() else { return self.big_factors(n) };
        let mut p = 2;
        let mut steps = 0;
        while p <= TRIAL_LIMIT && p * p <= m {
            let mut k = 0;
            while m % p == 0 {
                m /= p;
                k += 1;
            }
            if k > 0 {
                factors.push((Rational::int(p), k));
            }
            p += if p == 2 { 1 } else { 2 };
            steps += 1;
        }
        self.fuel.spend(1 + steps / 8)?;
        if m > 1 {
            let (root, k) = perfect(&BigInt::from(m));
            factors.push((Rational::from_big(root), k));
        }
        Ok(factors)
    }

    fn big_factors(&mut self, n: &BigInt) -> Run<Vec<(Rational, i64)>> {
        let mut factors = Vec::new();
        let mut m = n.clone();
        for p in [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47] {
            let mut k = 0;
            loop {
                self.fuel.spend(1 + m.bits() / 64)?;
                let q = &m / p;
                if &q * p != m {
                    break;
                }
                m = q;
                k += 1;
            }
            if k > 0 {
                factors.push((Rational::int(p), k));
            }
        }
        if m > BigInt::from(1) {
            self.fuel.spend(20 * (1 + m.bits() / 64).pow(2))?;
            let (root, k) = perfect(&m);
            factors.push((Rational::from_big(root), k));
        }
        Ok(factors)
    }

    /// `(c · Π aᵉ)^r` for a fraction `r`: positive factors leave the root, the rest stays under it.
    fn term_root(&mut self, term: &Term, r: &Rational) -> Run<Expr> {
        let mut result = self.number_power(&term.coeff.abs(), r)?;
        let mut inside =
            Term { mono: Vec::new(), coeff: if term.coeff.is_negative() { Rational::int(-1) } else { Rational::ONE } };
        for (a, e) in &term.mono {
            if self.is_positive(*a) {
                let e = e.mul(r, &mut self.fuel)?;
                let factor = self.reduce(Term { mono: vec![(*a, e)], coeff: Rational::ONE })?;
                result = self.mul(&result, &Expr::term(factor))?;
            } else {
                inside.mono.push((*a, e.clone()));
            }
        }
        let rest = match inside.mono.as_slice() {
            [] => self.number_power(&inside.coeff, r)?,
            [(a, e)] if e.is_one() && inside.coeff.is_one() => Expr::power_of(*a, r.clone()),
            _ => self.base_power(&Expr::term(inside), r)?,
        };
        self.mul(&result, &rest)
    }

    fn is_positive(&self, atom: AtomId) -> bool {
        match self.atom(atom) {
            Atom::Pi
            | Atom::E
            | Atom::Percent
            | Atom::Degree
            | Atom::LogScale
            | Atom::Infinity
            | Atom::Radicand(_)
            | Atom::Unit(_) => true,
            Atom::Pow(base, exponent) => Self::is_real_positive_power(base, exponent),
            _ => false,
        }
    }

    /// Powers of positive numbers with exponents free of `i`.
    fn is_real_positive_power(base: &Expr, exponent: &Expr) -> bool {
        let positive = base.as_number().is_some_and(|b| !b.is_negative()) || base.as_atom() == Some(Atom::EULER);
        positive && !exponent.atoms().any(|a| a == Atom::IMAG)
    }

    /// `base ^ r` with the content of the base taken out.
    fn base_power(&mut self, base: &Expr, r: &Rational) -> Run<Expr> {
        let mut content = poly_content(&base.num);
        if base.num.iter().all(|t| t.coeff.is_negative()) && r.is_integer() {
            content = content.neg();
        }
        let inverse = content.recip().ok_or(Halt::Syntax("division by zero"))?;
        let primitive = Expr { num: self.poly_scale(&base.num, &inverse)?, den: base.den.clone() };
        let outside = self.number_power(&content, r)?;
        if primitive.as_number().is_some_and(|n| n.is_one()) {
            return Ok(outside);
        }
        let id = self.intern(Atom::Base(primitive))?;
        let inside = self.settle(vec![Term { mono: vec![(id, r.clone())], coeff: Rational::ONE }])?;
        self.mul(&outside, &inside)
    }

    /// `base ^ exponent` for an exponent that is not a number: one factor for each term of the exponent.
    fn symbolic_power(&mut self, base: &Expr, exponent: &Expr) -> Run<Expr> {
        if base.as_number().is_some_and(|b| b.is_one()) {
            return Ok(Expr::int(1));
        }
        if !exponent.den.is_empty() {
            return self.atom_power(base, exponent, &Rational::ONE);
        }
        if let Some(value) = base.as_number()
            && !value.is_negative()
            && !value.is_zero()
        {
            return self.number_to_symbolic(&value, exponent);
        }
        let mut product = Expr::int(1);
        for term in &exponent.num {
            let factor = self.power_by_term(base, term)?;
            product = self.mul(&product, &factor)?;
        }
        Ok(product)
    }

    fn number_to_symbolic(&mut self, value: &Rational, exponent: &Expr) -> Run<Expr> {
        let mut product = Expr::int(1);
        for (n, sign) in [(value.numer(), 1), (value.denom(), -1)] {
            for (prime, k) in self.factors(&n)? {
                for term in &exponent.num {
                    let coeff = term.coeff.mul(&Rational::int(sign * k), &mut self.fuel)?;
                    let term = Term { mono: term.mono.clone(), coeff };
                    let factor = self.power_by_term(&Expr::number(prime.clone()), &term)?;
                    product = self.mul(&product, &factor)?;
                }
            }
        }
        Ok(product)
    }

    fn power_by_term(&mut self, base: &Expr, term: &Term) -> Run<Expr> {
        if term.mono.is_empty() {
            return self.rational_power(base, &term.coeff);
        }
        if base.as_atom() == Some(Atom::EULER) {
            if let [(a, e)] = term.mono.as_slice()
                && e.is_one()
                && let Atom::Func(Func::Ln, args) = self.atom(*a)
                && let [arg] = args.as_slice()
            {
                let arg = arg.clone();
                return self.rational_power(&arg, &term.coeff);
            }
            if let [(Atom::PI, p), (Atom::IMAG, i)] = term.mono.as_slice()
                && p.is_one()
                && i.is_one()
            {
                return self.cis(&term.coeff);
            }
        }
        let unit = Expr::term(Term { mono: term.mono.clone(), coeff: Rational::ONE });
        self.atom_power(base, &unit, &term.coeff)
    }

    /// `e^{iπr} = cos πr + i sin πr`.
    fn cis(&mut self, r: &Rational) -> Run<Expr> {
        let angle = Expr::term(Term { mono: vec![(Atom::PI, Rational::ONE)], coeff: r.clone() });
        let cos = self.func(Func::Cos, vec![angle.clone()])?;
        let sin = self.func(Func::Sin, vec![angle])?;
        let imaginary = self.mul(&Expr::atom(Atom::IMAG), &sin)?;
        self.add(&cos, &imaginary)
    }

    fn atom_power(&mut self, base: &Expr, exponent: &Expr, outer: &Rational) -> Run<Expr> {
        let id = self.intern(Atom::Pow(base.clone(), exponent.clone()))?;
        Ok(Expr::power_of(id, outer.clone()))
    }
}

/// `n = root^k` with the largest `k ≤ 12`.
fn perfect(n: &BigInt) -> (BigInt, i64) {
    for k in [12_u32, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2] {
        if n.bits() < u64::from(k) {
            continue;
        }
        let root = n.nth_root(k);
        if root.pow(k) == *n {
            return (root, i64::from(k));
        }
    }
    (n.clone(), 1)
}
