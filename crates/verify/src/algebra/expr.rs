//! Quotients of sums.

use super::poly::{Term, poly_content};
use super::{Algebra, Atom, AtomId, Poly};
use crate::fuel::{Halt, Run};
use crate::rational::Rational;

/// `num / den`; an empty `den` stands for 1, a `den` that is kept has at least two terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expr {
    pub(crate) num: Poly,
    pub(crate) den: Poly,
}

impl Expr {
    pub(crate) const fn zero() -> Self {
        Self { num: Vec::new(), den: Vec::new() }
    }

    pub(crate) fn number(value: Rational) -> Self {
        if value.is_zero() {
            return Self::zero();
        }
        Self { num: vec![Term { mono: Vec::new(), coeff: value }], den: Vec::new() }
    }

    pub(crate) fn int(n: i64) -> Self {
        Self::number(Rational::int(n))
    }

    pub(crate) fn atom(id: AtomId) -> Self {
        Self::power_of(id, Rational::ONE)
    }

    /// `atom ^ exponent`, for an exponent that needs no reduction.
    pub(crate) fn power_of(id: AtomId, exponent: Rational) -> Self {
        Self { num: vec![Term { mono: vec![(id, exponent)], coeff: Rational::ONE }], den: Vec::new() }
    }

    pub(crate) fn term(term: Term) -> Self {
        Self { num: vec![term], den: Vec::new() }
    }

    pub(crate) fn poly(num: Poly) -> Self {
        Self { num, den: Vec::new() }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.num.is_empty()
    }

    /// The value, if it is a rational number.
    pub(crate) fn as_number(&self) -> Option<Rational> {
        match (self.num.as_slice(), self.den.is_empty()) {
            ([], true) => Some(Rational::ZERO),
            ([t], true) if t.mono.is_empty() => Some(t.coeff.clone()),
            _ => None,
        }
    }

    pub(crate) fn as_int(&self) -> Option<i64> {
        self.as_number()?.to_i64()
    }

    /// The only term of an expression without denominator.
    pub(crate) fn as_term(&self) -> Option<&Term> {
        match (self.num.as_slice(), self.den.is_empty()) {
            ([t], true) => Some(t),
            _ => None,
        }
    }

    /// The atom, if the expression is one.
    pub(crate) fn as_atom(&self) -> Option<AtomId> {
        match self.as_term() {
            Some(Term { mono, coeff }) if coeff.is_one() => match mono.as_slice() {
                [(id, e)] if e.is_one() => Some(*id),
                _ => None,
            },
            _ => None,
        }
    }

    /// Atoms in all terms, with repetitions.
    pub(crate) fn atoms(&self) -> impl Iterator<Item = AtomId> + '_ {
        self.num.iter().chain(&self.den).flat_map(|t| t.mono.iter().map(|(a, _)| *a))
    }
}

impl Algebra {
    pub(crate) fn add(&mut self, a: &Expr, b: &Expr) -> Run<Expr> {
        if a.den == b.den {
            let num = self.poly_add(&a.num, &b.num)?;
            return if a.den.is_empty() { Ok(Expr::poly(num)) } else { self.quotient(&num, &a.den) };
        }
        let left = self.times_den(&a.num, &b.den)?;
        let right = self.times_den(&b.num, &a.den)?;
        let num = self.add(&left, &right)?;
        let den = match (a.den.is_empty(), b.den.is_empty()) {
            (true, _) => b.den.clone(),
            (_, true) => a.den.clone(),
            _ => {
                let (x, y) = (Expr::poly(a.den.clone()), Expr::poly(b.den.clone()));
                let den = self.mul(&x, &y)?;
                return self.div(&num, &den);
            }
        };
        self.div(&num, &Expr::poly(den))
    }

    fn times_den(&mut self, num: &Poly, den: &Poly) -> Run<Expr> {
        if den.is_empty() {
            Ok(Expr::poly(num.clone()))
        } else {
            self.mul(&Expr::poly(num.clone()), &Expr::poly(den.clone()))
        }
    }

    pub(crate) fn neg(&mut self, a: &Expr) -> Run<Expr> {
        Ok(Expr { num: self.poly_scale(&a.num, &Rational::int(-1))?, den: a.den.clone() })
    }

    pub(crate) fn sub(&mut self, a: &Expr, b: &Expr) -> Run<Expr> {
        let minus = self.neg(b)?;
        self.add(a, &minus)
    }

    pub(crate) fn mul(&mut self, a: &Expr, b: &Expr) -> Run<Expr> {
        let num = self.poly_mul(&a.num, &b.num)?;
        let num = self.settle(num)?;
        let den = match (a.den.is_empty(), b.den.is_empty()) {
            (true, true) => return Ok(num),
            (true, false) => Expr::poly(b.den.clone()),
            (false, true) => Expr::poly(a.den.clone()),
            (false, false) => {
                let den = self.poly_mul(&a.den, &b.den)?;
                self.settle(den)?
            }
        };
        self.div(&num, &den)
    }

    pub(crate) fn div(&mut self, a: &Expr, b: &Expr) -> Run<Expr> {
        if b.is_zero() {
            return Err(Halt::Syntax("division by zero"));
        }
        let num = if b.den.is_empty() {
            Expr::poly(a.num.clone())
        } else {
            self.mul(&Expr::poly(a.num.clone()), &Expr::poly(b.den.clone()))?
        };
        let den = if a.den.is_empty() {
            Expr::poly(b.num.clone())
        } else {
            self.mul(&Expr::poly(a.den.clone()), &Expr::poly(b.num.clone()))?
        };
        if !num.den.is_empty() || !den.den.is_empty() {
            // settling a radical brought a denominator of its own
            let top = self.poly_mul(&num.num, if den.den.is_empty() { &ONE } else { &den.den })?;
            let bottom = self.poly_mul(&den.num, if num.den.is_empty() { &ONE } else { &num.den })?;
            return self.quotient(&top, &bottom);
        }
        self.quotient(&num.num, &den.num)
    }

    /// `num / den` in normal form.
    fn quotient(&mut self, num: &Poly, den: &Poly) -> Run<Expr> {
        if num.is_empty() {
            return Ok(Expr::zero());
        }
        if let [only] = den.as_slice() {
            let inverse = self.term_inverse(only)?;
            let num = self.poly_mul(num, &vec![inverse])?;
            return self.settle(num);
        }
        if num == den {
            return Ok(Expr::int(1));
        }
        if let Some((num, den)) = self.cancel(num, den)? {
            return self.scaled(&num, &den);
        }
        self.scaled(num, den)
    }

    /// Makes the denominator's coefficients coprime integers and its first one positive.
    fn scaled(&mut self, num: &Poly, den: &Poly) -> Run<Expr> {
        if den.len() <= 1 {
            return match den.as_slice() {
                [only] => {
                    let inverse = self.term_inverse(only)?;
                    Ok(Expr::poly(self.poly_mul(num, &vec![inverse])?))
                }
                _ => Err(Halt::Syntax("division by zero")),
            };
        }
        let mut scale = poly_content(den);
        if self.leading_sign(den) {
            scale = scale.neg();
        }
        let factor = scale.recip().ok_or(Halt::Syntax("division by zero"))?;
        Ok(Expr { num: self.poly_scale(num, &factor)?, den: self.poly_scale(den, &factor)? })
    }

    fn term_inverse(&mut self, term: &Term) -> Run<Term> {
        let coeff = term.coeff.recip().ok_or(Halt::Syntax("division by zero"))?;
        let mono = term.mono.iter().map(|(a, e)| (*a, e.neg())).collect();
        self.reduce(Term { mono, coeff })
    }

    /// Brings exponents of sums back into [0, 1), multiplying the whole powers out.
    pub(crate) fn settle(&mut self, poly: Poly) -> Run<Expr> {
        if !poly.iter().any(|t| self.unsettled(t).is_some()) {
            return Ok(Expr::poly(poly));
        }
        let mut sum = Expr::zero();
        for term in poly {
            let settled = self.settle_term(term)?;
            sum = self.add(&sum, &settled)?;
        }
        Ok(sum)
    }

    /// The first sum in the term whose exponent is to be multiplied out: place and whole part.
    fn unsettled(&self, term: &Term) -> Option<(usize, i64)> {
        term.mono.iter().enumerate().find_map(|(at, (a, e))| {
            let whole = e.floor().to_i64()?;
            let Atom::Base(base) = self.atom(*a) else { return None };
            (whole != 0 && Self::expandable(base, whole)).then_some((at, whole))
        })
    }

    fn settle_term(&mut self, mut term: Term) -> Run<Expr> {
        let Some((at, whole)) = self.unsettled(&term) else { return Ok(Expr::term(term)) };
        self.fuel.enter()?;
        let (id, e) = term.mono.remove(at);
        let rest = e.sub(&Rational::int(whole), &mut self.fuel)?;
        if !rest.is_zero() {
            term.mono.insert(at, (id, rest));
        }
        let Atom::Base(base) = self.atom(id).clone() else { return Ok(Expr::term(term)) };
        let power = self.whole_power(&base, whole)?;
        let rest = self.settle_term(term)?;
        let product = self.mul(&rest, &power);
        self.fuel.leave();
        product
    }

    /// Cancels the greatest common divisor of two polynomials in one and the same variable.
    fn cancel(&mut self, num: &Poly, den: &Poly) -> Run<Option<(Poly, Poly)>> {
        let Some(variable) = univariate(num, den) else { return Ok(None) };
        let (a, b) = (dense(num), dense(den));
        let (Some(a), Some(b)) = (a, b) else { return Ok(None) };
        let g = self.dense_gcd(a.clone(), b.clone())?;
        if g.len() <= 1 {
            return Ok(None);
        }
        let (a, b) = (self.dense_quotient(a, &g)?, self.dense_quotient(b, &g)?);
        Ok(Some((sparse(a, variable), sparse(b, variable))))
    }

    fn dense_gcd(&mut self, mut a: Vec<Rational>, mut b: Vec<Rational>) -> Run<Vec<Rational>> {
        while !b.is_empty() {
            let r = self.dense_divide(a, &b)?.1;
            a = b;
            b = r;
        }
        Ok(a)
    }

    fn dense_quotient(&mut self, a: Vec<Rational>, b: &[Rational]) -> Run<Vec<Rational>> {
        Ok(self.dense_divide(a, b)?.0)
    }

    /// Quotient and remainder, coefficients from degree 0 upwards.
    fn dense_divide(&mut self, mut a: Vec<Rational>, b: &[Rational]) -> Run<(Vec<Rational>, Vec<Rational>)> {
        let Some(lead) = b.last().and_then(Rational::recip) else { return Err(Halt::Syntax("division by zero")) };
        let mut q = vec![Rational::ZERO; (a.len() + 1).saturating_sub(b.len())];
        while a.len() >= b.len() {
            self.fuel.spend(2 * b.len() as u64)?;
            let shift = a.len() - b.len();
            let top = a.pop().unwrap_or(Rational::ZERO).mul(&lead, &mut self.fuel)?;
            for (i, c) in b[..b.len() - 1].iter().enumerate() {
                let product = c.mul(&top, &mut self.fuel)?;
                a[shift + i] = a[shift + i].sub(&product, &mut self.fuel)?;
            }
            q[shift] = top;
            while a.last().is_some_and(Rational::is_zero) {
                a.pop();
            }
        }
        Ok((q, a))
    }
}

static ONE: std::sync::LazyLock<Poly> =
    std::sync::LazyLock::new(|| vec![Term { mono: Vec::new(), coeff: Rational::ONE }]);

/// The only atom of both polynomials, if its exponents are small and not negative.
fn univariate(a: &Poly, b: &Poly) -> Option<AtomId> {
    let mut variable = None;
    for term in a.iter().chain(b) {
        match term.mono.as_slice() {
            [] => {}
            [(id, e)] if e.to_i64().is_some_and(|e| (0..=64).contains(&e)) => {
                if *variable.get_or_insert(*id) != *id {
                    return None;
                }
            }
            _ => return None,
        }
    }
    variable
}

fn dense(poly: &Poly) -> Option<Vec<Rational>> {
    let degree = |t: &Term| t.mono.first().map_or(Some(0), |(_, e)| e.to_i64());
    let top = poly.iter().filter_map(degree).max()?;
    let mut coefficients = vec![Rational::ZERO; top as usize + 1];
    for term in poly {
        coefficients[degree(term)? as usize] = term.coeff.clone();
    }
    Some(coefficients)
}

fn sparse(coefficients: Vec<Rational>, variable: AtomId) -> Poly {
    let term = |(k, coeff): (usize, Rational)| {
        let mono = if k == 0 { Vec::new() } else { vec![(variable, Rational::int(k as i64))] };
        Term { mono, coeff }
    };
    let mut poly: Poly = coefficients.into_iter().enumerate().filter(|(_, c)| !c.is_zero()).map(term).collect();
    poly.sort_by(|a, b| a.mono.cmp(&b.mono));
    poly
}
