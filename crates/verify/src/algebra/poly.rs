//! Sums of terms.

use std::cmp::Ordering;

use super::{Algebra, Atom, AtomId};
use crate::fuel::Run;
use crate::rational::{Rational, content};

/// `Π aᵉ`: atoms in ascending order, exponents not 0.
pub(crate) type Mono = Vec<(AtomId, Rational)>;

/// `coefficient · mono`; the coefficient is not 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) mono: Mono,
    pub(crate) coeff: Rational,
}

/// A sum of terms in ascending order of their monomials; empty for 0.
pub(crate) type Poly = Vec<Term>;

impl Algebra {
    pub(crate) fn poly_add(&mut self, a: &Poly, b: &Poly) -> Run<Poly> {
        self.fuel.spend((a.len() + b.len()) as u64)?;
        let mut sum = Vec::with_capacity(a.len() + b.len());
        let (mut i, mut j) = (0, 0);
        while i < a.len() && j < b.len() {
            match a[i].mono.cmp(&b[j].mono) {
                Ordering::Less => {
                    sum.push(a[i].clone());
                    i += 1;
                }
                Ordering::Greater => {
                    sum.push(b[j].clone());
                    j += 1;
                }
                Ordering::Equal => {
                    let coeff = a[i].coeff.add(&b[j].coeff, &mut self.fuel)?;
                    if !coeff.is_zero() {
                        sum.push(Term { mono: a[i].mono.clone(), coeff });
                    }
                    i += 1;
                    j += 1;
                }
            }
        }
        sum.extend_from_slice(&a[i..]);
        sum.extend_from_slice(&b[j..]);
        Ok(sum)
    }

    pub(crate) fn poly_scale(&mut self, a: &Poly, c: &Rational) -> Run<Poly> {
        if c.is_one() {
            return Ok(a.clone());
        }
        self.fuel.spend(a.len() as u64)?;
        a.iter().map(|t| Ok(Term { mono: t.mono.clone(), coeff: t.coeff.mul(c, &mut self.fuel)? })).collect()
    }

    pub(crate) fn poly_mul(&mut self, a: &Poly, b: &Poly) -> Run<Poly> {
        self.fuel.spend((a.len() as u64).saturating_mul(b.len() as u64).saturating_mul(2))?;
        let mut terms = Vec::with_capacity(a.len() * b.len());
        for x in a {
            for y in b {
                terms.push(self.term_mul(x, y)?);
            }
        }
        self.collect(terms)
    }

    /// Sorts terms and adds up those with the same monomial.
    pub(crate) fn collect(&mut self, mut terms: Vec<Term>) -> Run<Poly> {
        if terms.len() <= 1 {
            terms.retain(|t| !t.coeff.is_zero());
            return Ok(terms);
        }
        terms.sort_by(|a, b| a.mono.cmp(&b.mono));
        let mut sum: Poly = Vec::with_capacity(terms.len());
        for term in terms {
            match sum.last_mut() {
                Some(last) if last.mono == term.mono => last.coeff = last.coeff.add(&term.coeff, &mut self.fuel)?,
                _ => sum.push(term),
            }
        }
        sum.retain(|t| !t.coeff.is_zero());
        Ok(sum)
    }

    pub(crate) fn term_mul(&mut self, a: &Term, b: &Term) -> Run<Term> {
        let coeff = a.coeff.mul(&b.coeff, &mut self.fuel)?;
        if a.mono.is_empty() {
            return Ok(Term { mono: b.mono.clone(), coeff });
        }
        if b.mono.is_empty() {
            return Ok(Term { mono: a.mono.clone(), coeff });
        }
        let mut mono = Vec::with_capacity(a.mono.len() + b.mono.len());
        let (mut i, mut j) = (0, 0);
        while i < a.mono.len() && j < b.mono.len() {
            let ((x, e), (y, f)) = (&a.mono[i], &b.mono[j]);
            match x.cmp(y) {
                Ordering::Less => {
                    mono.push((*x, e.clone()));
                    i += 1;
                }
                Ordering::Greater => {
                    mono.push((*y, f.clone()));
                    j += 1;
                }
                Ordering::Equal => {
                    let sum = e.add(f, &mut self.fuel)?;
                    if !sum.is_zero() {
                        mono.push((*x, sum));
                    }
                    i += 1;
                    j += 1;
                }
            }
        }
        mono.extend_from_slice(&a.mono[i..]);
        mono.extend_from_slice(&b.mono[j..]);
        self.fuel.spend(mono.len() as u64)?;
        self.reduce(Term { mono, coeff })
    }

    /// Applies `i² = −1`, `(±1)² = 1`, `(n^{1/q})^q = n`.
    pub(crate) fn reduce(&mut self, mut term: Term) -> Run<Term> {
        let mut k = 0;
        while k < term.mono.len() {
            let (atom, e) = term.mono[k].clone();
            let kept = match self.atom(atom) {
                Atom::I => {
                    let turns = self.modulo(&e, 4)?;
                    if turns >= Rational::int(2) {
                        term.coeff = term.coeff.neg();
                        turns.sub(&Rational::int(2), &mut self.fuel)?
                    } else {
                        turns
                    }
                }
                Atom::PlusMinus => self.modulo(&e, 2)?,
                Atom::Radicand(n) => {
                    let (n, whole) = (n.clone(), e.floor());
                    if whole.is_zero() {
                        e
                    } else {
                        let k = whole.to_i64().ok_or(crate::fuel::Halt::Fuel)?;
                        let power = n.pow(k, &mut self.fuel)?;
                        term.coeff = term.coeff.mul(&power, &mut self.fuel)?;
                        e.sub(&whole, &mut self.fuel)?
                    }
                }
                _ => e,
            };
            if kept.is_zero() {
                term.mono.remove(k);
            } else {
                term.mono[k].1 = kept;
                k += 1;
            }
        }
        Ok(term)
    }

    /// `e − m·⌊e/m⌋`, in [0, m).
    fn modulo(&mut self, e: &Rational, m: i64) -> Run<Rational> {
        if let Some(e) = e.to_i64() {
            return Ok(Rational::int(e.rem_euclid(m)));
        }
        let turns = e.mul(&Rational::new(1, m).unwrap_or(Rational::ONE), &mut self.fuel)?.floor();
        e.sub(&turns.mul(&Rational::int(m), &mut self.fuel)?, &mut self.fuel)
    }
}

/// Positive rational such that the quotient of the polynomial by it has coprime integer coefficients.
pub(crate) fn poly_content(a: &Poly) -> Rational {
    let mut terms = a.iter();
    let Some(first) = terms.next() else { return Rational::ONE };
    terms.fold(first.coeff.abs(), |c, t| content(&c, &t.coeff))
}
