//! Equality of numbers and formulas.

use super::{Answer, Comparer};
use crate::algebra::{Algebra, Atom, AtomId, Expr, Func};
use crate::fuel::Run;
use crate::numeric::Comparison;
use crate::options::Marks;
use crate::rational::Rational;
use crate::words;

impl Comparer<'_> {
    pub(super) fn same_expr(&mut self, a: &Expr, b: &Expr) -> Run<Answer> {
        if a == b {
            return Ok(Some(true));
        }
        if let (Some(x), Some(y)) = (a.as_number(), b.as_number()) {
            return Ok(Some(self.within_rounding(&x, &y)?));
        }
        let (mut a, mut b) = (a.clone(), b.clone());
        self.settle_units(&mut a, &mut b)?;
        let mut undecided = false;
        for (a, b) in self.variants(a, b)? {
            match self.same_plain(&a, &b)? {
                Some(true) => return Ok(Some(true)),
                Some(false) => {}
                None => undecided = true,
            }
        }
        Ok(if undecided { None } else { Some(false) })
    }

    /// The readings of percent signs, degree signs and logarithms without base that only one side has.
    fn variants(&mut self, a: Expr, b: Expr) -> Run<Vec<(Expr, Expr)>> {
        let mut pairs = vec![(a, b)];
        let one = Expr::int(1);
        let percent = Expr::number(Rational::new(1, 100).unwrap_or(Rational::ONE));
        let degree =
            self.algebra.mul(&Expr::atom(Atom::PI), &Expr::number(Rational::new(1, 180).unwrap_or(Rational::ONE)))?;
        for (mark, values) in [(Atom::PERCENT, [&one, &percent]), (Atom::DEGREE, [&one, &degree])] {
            let (a, b) = &pairs[0];
            let (left, right) = (self.algebra.mentions(a, mark), self.algebra.mentions(b, mark));
            if left == right {
                continue;
            }
            let values =
                if self.options.percent == Marks::Read && mark == Atom::PERCENT { &values[1..] } else { &values[..] };
            pairs = self.replace_in(&pairs, mark, values)?;
        }
        let (a, b) = &pairs[0];
        if self.algebra.mentions(a, Atom::LOG_SCALE) != self.algebra.mentions(b, Atom::LOG_SCALE) {
            let ln10 = self.algebra.func(Func::Ln, vec![Expr::int(10)])?;
            let scale = self.algebra.div(&one, &ln10)?;
            pairs = self.replace_in(&pairs, Atom::LOG_SCALE, &[&scale, &one])?;
        }
        Ok(pairs)
    }

    fn replace_in(&mut self, pairs: &[(Expr, Expr)], mark: AtomId, values: &[&Expr]) -> Run<Vec<(Expr, Expr)>> {
        let mut replaced = Vec::new();
        for (a, b) in pairs {
            for value in values {
                replaced.push((self.algebra.substitute(a, mark, value)?, self.algebra.substitute(b, mark, value)?));
            }
        }
        Ok(replaced)
    }

    /// Drops units that only one side has; converts known units of both.
    fn settle_units(&mut self, a: &mut Expr, b: &mut Expr) -> Run<()> {
        let (left, right) = (units(self.algebra, a), units(self.algebra, b));
        if left.is_empty() && right.is_empty() {
            return Ok(());
        }
        let all: Vec<AtomId> = left.iter().chain(&right).copied().collect();
        let known = |id: &AtomId| matches!(self.algebra.atom(*id), Atom::Unit(name) if words::unit(name).is_some());
        if !left.is_empty() && !right.is_empty() && all.iter().all(known) {
            for id in all {
                let value = self.in_base_units(id)?;
                *a = self.algebra.substitute(a, id, &value)?;
                *b = self.algebra.substitute(b, id, &value)?;
            }
            return Ok(());
        }
        if self.options.units == Marks::Read {
            return Ok(());
        }
        for id in all {
            *a = self.algebra.substitute(a, id, &Expr::int(1))?;
            *b = self.algebra.substitute(b, id, &Expr::int(1))?;
        }
        Ok(())
    }

    fn in_base_units(&mut self, id: AtomId) -> Run<Expr> {
        let Atom::Unit(name) = self.algebra.atom(id) else { return Ok(Expr::atom(id)) };
        let Some(unit) = words::unit(name) else { return Ok(Expr::atom(id)) };
        let size = Expr::number(Rational::new(unit.size.0, unit.size.1).unwrap_or(Rational::ONE));
        let base = self.algebra.single(Atom::Unit(unit.base.into()))?;
        self.algebra.mul(&size, &base)
    }

    fn same_plain(&mut self, a: &Expr, b: &Expr) -> Run<Answer> {
        if a == b {
            return Ok(Some(true));
        }
        if let (Some(x), Some(y)) = (a.as_number(), b.as_number()) {
            return Ok(Some(self.within_rounding(&x, &y)?));
        }
        let difference = self.algebra.sub(a, b)?;
        if difference.is_zero() {
            return Ok(Some(true));
        }
        let answer = if self.algebra.is_independent(&difference) {
            Some(false)
        } else {
            match self.algebra.compare_values(a, b)? {
                Comparison::Equal => Some(true),
                Comparison::Different => Some(false),
                Comparison::Unknown => None,
            }
        };
        if answer == Some(true) || !self.decimal {
            return Ok(answer);
        }
        Ok(if self.near(a, b)? { Some(true) } else { answer })
    }

    /// Equal, or equal up to rounding where a side is written as a decimal.
    fn within_rounding(&mut self, x: &Rational, y: &Rational) -> Run<bool> {
        if x == y {
            return Ok(true);
        }
        let Some(digits) = self.options.float_rounding.filter(|_| self.decimal) else { return Ok(false) };
        let fuel = &mut self.algebra.fuel;
        let difference = x.sub(y, fuel)?.abs();
        let size = x.abs().max(y.abs());
        let relative = size.mul(&Rational::new(1, 1000).unwrap_or(Rational::ZERO), fuel)?;
        let absolute = Rational::int(10).pow(-i64::from(digits.min(1000)), fuel)?;
        Ok(difference <= absolute.min(relative))
    }

    /// The same for constants that are not rational.
    fn near(&mut self, a: &Expr, b: &Expr) -> Run<bool> {
        let Some(digits) = self.options.float_rounding else { return Ok(false) };
        if self.algebra.is_symbolic(a) || self.algebra.is_symbolic(b) {
            return Ok(false);
        }
        let absolute = Expr::number(Rational::int(10).pow(-i64::from(digits.min(1000)), &mut self.algebra.fuel)?);
        let difference = self.algebra.sub(a, b)?;
        for sign in [1, -1] {
            let signed = self.algebra.mul(&difference, &Expr::int(sign))?;
            let slack = self.algebra.sub(&absolute, &signed)?;
            if self.algebra.sign_of(&slack)? != Some(1) {
                return Ok(false);
            }
            // relative: |a − b| < |a| / 1000 for either sign of a
            let scaled = self.algebra.mul(&signed, &Expr::int(1000))?;
            let up = self.algebra.sub(a, &scaled)?;
            let down = self.algebra.add(a, &scaled)?;
            let down = self.algebra.neg(&down)?;
            if self.algebra.sign_of(&up)? != Some(1) && self.algebra.sign_of(&down)? != Some(1) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Units of an expression, each once.
fn units(algebra: &Algebra, e: &Expr) -> Vec<AtomId> {
    let mut ids: Vec<AtomId> = e.atoms().filter(|a| matches!(algebra.atom(*a), Atom::Unit(_))).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl Algebra {
    /// True if the monomials of the atoms are linearly independent over the rational numbers, so that only the empty
    /// sum is zero: variables, roots of primes, `i`, and at most one of π and e.
    pub(crate) fn is_independent(&self, e: &Expr) -> bool {
        let (mut pi, mut euler) = (false, false);
        for id in e.num.iter().flat_map(|t| t.mono.iter().map(|(a, _)| *a)) {
            match self.atom(id) {
                Atom::Sym(_)
                | Atom::I
                | Atom::Percent
                | Atom::Degree
                | Atom::LogScale
                | Atom::Infinity
                | Atom::Unit(_)
                | Atom::PlusMinus => {}
                Atom::Pi => pi = true,
                Atom::E => euler = true,
                // trial division went up to 2000: below 4·10⁶ what is left is prime
                Atom::Radicand(n) if n.to_i64().is_some_and(|n| n < 4_000_000) => {}
                _ => return false,
            }
        }
        !(pi && euler)
    }
}
