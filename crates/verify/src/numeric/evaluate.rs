//! Values of expressions at points.

use std::cmp::Ordering;

use super::complex::sinh_cosh;
use super::{Ball, Complex};
use crate::algebra::{Algebra, Atom, AtomId, Expr, Func, Poly};
use crate::fuel::{Fuel, Run};
use crate::rational::Rational;

/// Where the free symbols are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Domain {
    /// There is no free symbol: principal values everywhere.
    Constant,
    /// Real numbers: roots and logarithms of negative numbers have no value.
    Real(u64),
    /// Positive integers.
    Integer(u64),
}

/// What evaluation found out about two expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// They agree within the error bound wherever both have values.
    Equal,
    /// Somewhere their balls do not meet.
    Different,
    /// Not enough points at which both have sharp values.
    Unknown,
}

/// Price of one function value, in fuel.
const FUNCTION: u64 = 150;

struct Evaluator<'a> {
    algebra: &'a Algebra,
    fuel: &'a mut Fuel,
    domain: Domain,
    known: Vec<Option<Complex>>,
}

impl Algebra {
    /// Sign of a real constant, if it can be told.
    pub(crate) fn sign_of(&mut self, e: &Expr) -> Run<Option<i32>> {
        if let Some(value) = e.as_number() {
            return Ok(Some(if value.is_zero() {
                0
            } else if value.is_negative() {
                -1
            } else {
                1
            }));
        }
        if self.is_symbolic(e) {
            return Ok(None);
        }
        let value = self.value(e, Domain::Constant)?;
        let sign = value.filter(Complex::is_real).and_then(|v| v.re.sign());
        Ok(sign.map(|s| match s {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }))
    }

    /// Whole part of a real constant, if it can be told.
    pub(crate) fn floor_of(&mut self, e: &Expr) -> Run<Option<num_bigint::BigInt>> {
        if self.is_symbolic(e) {
            return Ok(None);
        }
        let value = self.value(e, Domain::Constant)?;
        Ok(value.filter(Complex::is_real).and_then(|v| v.re.floor()))
    }

    /// True if a variable or an undetermined value occurs.
    pub(crate) fn is_symbolic(&self, e: &Expr) -> bool {
        e.atoms().any(|a| self.is_free(a))
    }

    fn is_free(&self, id: AtomId) -> bool {
        match self.atom(id) {
            Atom::Sym(_)
            | Atom::Unit(_)
            | Atom::Percent
            | Atom::Degree
            | Atom::LogScale
            | Atom::PlusMinus
            | Atom::Infinity
            | Atom::Func(Func::Sum | Func::Product | Func::InBase, _) => true,
            Atom::Pow(base, exponent) => self.is_symbolic(base) || self.is_symbolic(exponent),
            other => other.parts().iter().any(|e| self.is_symbolic(e)),
        }
    }

    /// True if the expression makes sense for whole numbers only: factorials, `(−1)^n`.
    fn is_discrete(&self, e: &Expr) -> bool {
        e.atoms().any(|a| match self.atom(a) {
            Atom::Func(Func::Factorial | Func::Binomial | Func::Gcd | Func::Lcm, _) => true,
            Atom::Pow(base, _) => base.as_number().is_some_and(|b| b.is_negative()),
            other => other.parts().iter().any(|e| self.is_discrete(e)),
        })
    }

    fn value(&mut self, e: &Expr, domain: Domain) -> Run<Option<Complex>> {
        let mut fuel = self.fuel.clone();
        let value = Evaluator { algebra: self, fuel: &mut fuel, domain, known: Vec::new() }.expr(e);
        self.fuel = fuel;
        value
    }

    /// Compares two expressions by their values.
    pub(crate) fn compare_values(&mut self, a: &Expr, b: &Expr) -> Run<Comparison> {
        if !self.is_symbolic(a) && !self.is_symbolic(b) {
            return self.compare_at(a, b, Domain::Constant);
        }
        let discrete = self.is_discrete(a) || self.is_discrete(b);
        let mut agreed = 0;
        for sample in 0..6 {
            let domain = if discrete { Domain::Integer(sample) } else { Domain::Real(sample) };
            match self.compare_at(a, b, domain)? {
                Comparison::Different => return Ok(Comparison::Different),
                Comparison::Equal => agreed += 1,
                Comparison::Unknown => {}
            }
            if agreed >= 5 {
                break;
            }
        }
        Ok(if agreed >= 2 { Comparison::Equal } else { Comparison::Unknown })
    }

    fn compare_at(&mut self, a: &Expr, b: &Expr, domain: Domain) -> Run<Comparison> {
        let mut fuel = self.fuel.clone();
        let mut evaluator = Evaluator { algebra: self, fuel: &mut fuel, domain, known: Vec::new() };
        let a = evaluator.expr(a)?;
        let b = evaluator.expr(b)?;
        self.fuel = fuel;
        Ok(match (a, b) {
            (Some(a), Some(b)) if a.differs(&b) => Comparison::Different,
            (Some(a), Some(b)) if a.is_sharp() && b.is_sharp() => Comparison::Equal,
            _ => Comparison::Unknown,
        })
    }
}

impl Evaluator<'_> {
    fn expr(&mut self, e: &Expr) -> Run<Option<Complex>> {
        let Some(num) = self.poly(&e.num)? else { return Ok(None) };
        if e.den.is_empty() {
            return Ok(Some(num));
        }
        let Some(den) = self.poly(&e.den)? else { return Ok(None) };
        Ok(den.recip().and_then(|d| num.mul(&d)))
    }

    fn poly(&mut self, poly: &Poly) -> Run<Option<Complex>> {
        let mut sum = Complex::real(Ball::zero());
        for term in poly {
            self.fuel.spend(8 * (1 + term.mono.len() as u64))?;
            let Some(coeff) = Ball::rational(&term.coeff) else { return Ok(None) };
            let mut product = Complex::real(coeff);
            for (a, e) in &term.mono {
                let Some(base) = self.atom(*a)? else { return Ok(None) };
                let Some(power) = self.power(&base, e)? else { return Ok(None) };
                let Some(next) = product.mul(&power) else { return Ok(None) };
                product = next;
            }
            sum = sum.add(&product);
        }
        Ok(Some(sum))
    }

    fn power(&mut self, base: &Complex, e: &Rational) -> Run<Option<Complex>> {
        if e.is_one() {
            return Ok(Some(base.clone()));
        }
        if !e.is_integer() {
            self.fuel.spend(FUNCTION)?;
            if self.is_off_domain(base) {
                return Ok(None);
            }
        }
        self.fuel.spend(8)?;
        Ok(base.powr(e))
    }

    /// Negative numbers have no real roots or logarithms; complex ones have branches.
    fn is_off_domain(&self, base: &Complex) -> bool {
        self.domain != Domain::Constant && base.is_real() && base.re.sign() == Some(Ordering::Less)
    }

    fn atom(&mut self, id: AtomId) -> Run<Option<Complex>> {
        if let Some(Some(value)) = self.known.get(id as usize) {
            return Ok(Some(value.clone()));
        }
        self.fuel.enter()?;
        let algebra = self.algebra;
        let value = match algebra.atom(id) {
            Atom::Pi => Some(Complex::real(Ball::pi())),
            Atom::E => Ball::int(1).exp().map(Complex::real),
            Atom::I => Some(Complex { re: Ball::zero(), im: Ball::int(1) }),
            Atom::Infinity => None,
            Atom::Radicand(n) => Ball::rational(n).map(Complex::real),
            Atom::Base(e) => self.expr(e)?,
            Atom::Pow(base, exponent) => self.general_power(base, exponent)?,
            Atom::Func(Func::Sum | Func::Product | Func::InBase, _) => self.sample(id),
            Atom::Func(f, args) => self.function(*f, args)?,
            _ => self.sample(id),
        };
        self.fuel.leave();
        if self.known.len() <= id as usize {
            self.known.resize(id as usize + 1, None);
        }
        self.known[id as usize].clone_from(&value);
        Ok(value)
    }

    fn general_power(&mut self, base: &Expr, exponent: &Expr) -> Run<Option<Complex>> {
        let Some(exponent) = self.expr(exponent)? else { return Ok(None) };
        let Some(base) = self.expr(base)? else { return Ok(None) };
        self.fuel.spend(2 * FUNCTION)?;
        if let Domain::Integer(_) = self.domain
            && exponent.is_real()
            && let Some(k) = whole(&exponent.re)
        {
            return Ok(base.powi(k));
        }
        Ok(if self.is_off_domain(&base) { None } else { base.pow(&exponent) })
    }

    fn function(&mut self, f: Func, args: &[Expr]) -> Run<Option<Complex>> {
        self.fuel.spend(FUNCTION)?;
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            let Some(value) = self.expr(arg)? else { return Ok(None) };
            values.push(value);
        }
        Ok(match (f, values.as_slice()) {
            (Func::Sin, [x]) => x.sin_cos().map(|(s, _)| s),
            (Func::Cos, [x]) => x.sin_cos().map(|(_, c)| c),
            (Func::Ln, [x]) => {
                if self.is_off_domain(x) {
                    None
                } else {
                    x.ln()
                }
            }
            (Func::Abs, [x]) => x.abs().map(Complex::real),
            (_, many) if many.iter().all(Complex::is_real) => {
                let reals: Vec<&Ball> = many.iter().map(|v| &v.re).collect();
                real_function(f, &reals).map(Complex::real)
            }
            _ => None,
        })
    }

    /// The number that a free symbol stands for at this point.
    fn sample(&mut self, id: AtomId) -> Option<Complex> {
        let hash = fnv(&self.algebra.show(&Expr::atom(id)));
        let value = match self.domain {
            Domain::Constant => return None,
            Domain::Real(k) => {
                let unit = (mix(hash ^ k.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 40) as i64 + 1;
                let (scale, shift) = [(1, 0), (3, 1), (17, 3), (4, -2), (20, -20), (1000, 100)][k as usize % 6];
                // unit / 2^24 in (0, 1]
                Rational::new(unit * scale + shift * (1 << 24), 1 << 24)?
            }
            Domain::Integer(k) => Rational::int((mix(hash ^ k) % 9) as i64 + 2 + k as i64),
        };
        Ball::rational(&value).map(Complex::real)
    }
}

fn real_function(f: Func, args: &[&Ball]) -> Option<Ball> {
    match (f, args) {
        (Func::Asin, [x]) => x.asin(),
        (Func::Acos, [x]) => Some(Ball::half_pi().sub(&x.asin()?)),
        (Func::Atan, [x]) => x.atan(),
        (Func::Sinh, [x]) => Some(sinh_cosh(x)?.0),
        (Func::Cosh, [x]) => Some(sinh_cosh(x)?.1),
        (Func::Floor, [x]) => Ball::rational(&Rational::from_big(x.floor()?)),
        (Func::Ceil, [x]) => Ball::rational(&Rational::from_big(x.neg().floor()?)).map(|b| b.neg()),
        (Func::Factorial, [x]) => {
            let n = whole(x).filter(|n| (0..=300).contains(n))?;
            (1..=n).try_fold(Ball::int(1), |acc, k| acc.mul(&Ball::int(k)))
        }
        (Func::Binomial, [n, k]) => {
            let (n, k) = (whole(n)?, whole(k)?);
            if !(0..=300).contains(&k) {
                return None;
            }
            (0..k).try_fold(Ball::int(1), |acc, i| acc.mul(&Ball::int(n - i))?.div(&Ball::int(i + 1)))
        }
        (Func::Min, many) => many.iter().copied().cloned().reduce(|a, b| if a.mid < b.mid { a } else { b }),
        (Func::Max, many) => many.iter().copied().cloned().reduce(|a, b| if a.mid > b.mid { a } else { b }),
        _ => None,
    }
}

/// The integer that a sharp ball around an integer contains.
fn whole(x: &Ball) -> Option<i64> {
    let half = Ball::rational(&Rational::new(1, 2)?)?;
    let n: i64 = x.add(&half).floor()?.try_into().ok()?;
    (!Ball::int(n).differs(x) && x.is_sharp()).then_some(n)
}

fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// Finaliser of `SplitMix64`.
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
