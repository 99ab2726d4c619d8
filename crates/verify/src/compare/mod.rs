//! Equality of values.
//!
//! Exact first: two formulas are equal if their difference is the empty sum, and they certainly differ if it is not
//! and its atoms are independent. What is left (nested roots, functions of different arguments) is evaluated rigorously.

mod list;
mod number;
mod region;
mod relation;
mod rename;

use crate::algebra::{Algebra, Atom, Expr};
use crate::fuel::Run;
use crate::options::{Options, Relations};
use crate::syntax::{Joint, Relation, Value};

pub(crate) use rename::expressions;

/// The answer to "are they equal?"; `None` if neither could be shown.
pub(crate) type Answer = Option<bool>;

/// One comparison: the options and what they apply to.
pub(crate) struct Comparer<'a> {
    pub(crate) algebra: &'a mut Algebra,
    pub(crate) options: &'a Options,
    /// A side is written with a decimal point.
    pub(crate) decimal: bool,
}

impl Comparer<'_> {
    /// Whether the prediction `b` answers the reference `a`.
    pub(crate) fn same(&mut self, a: &Value, b: &Value) -> Run<Answer> {
        self.algebra.fuel.enter()?;
        let answer = self.dispatch(a, b);
        self.algebra.fuel.leave();
        answer
    }

    fn dispatch(&mut self, a: &Value, b: &Value) -> Run<Answer> {
        match (a, b) {
            (Value::Expr(a), Value::Expr(b)) => self.same_expr(a, b),
            (Value::Matrix(n, a), Value::Matrix(m, b)) => {
                if n != m || a.len() != b.len() {
                    return Ok(Some(false));
                }
                self.all_expr(a, b)
            }
            (Value::Tuple(_, items, _), Value::Matrix(n, m)) | (Value::Matrix(n, m), Value::Tuple(_, items, _)) => {
                if (*n != 1 && *n != m.len()) || items.len() != m.len() {
                    return Ok(Some(false));
                }
                let m: Vec<Value> = m.iter().cloned().map(Value::Expr).collect();
                self.in_order(items, &m)
            }
            (Value::Matrix(_, m), Value::Expr(e)) | (Value::Expr(e), Value::Matrix(_, m)) if m.len() == 1 => {
                self.same_expr(&m[0], e)
            }
            (Value::Tuple(o, a, c), Value::Tuple(p, b, d)) => {
                let brackets = (*o == *p || is_round(*o, *p)) && (*c == *d || is_round(*c, *d));
                if a.len() != b.len() || (a.len() == 2 && !brackets) {
                    return Ok(Some(false));
                }
                self.in_order(a, b)
            }
            (Value::Ratio(a), Value::Ratio(b)) => self.proportional(a, b),
            (Value::Ratio(parts), Value::Expr(e)) | (Value::Expr(e), Value::Ratio(parts)) if parts.len() == 2 => {
                if parts[1].is_zero() {
                    return Ok(Some(false));
                }
                let quotient = self.algebra.div(&parts[0], &parts[1])?;
                self.same_expr(&quotient, e)
            }
            (Value::Chain(..), _) | (_, Value::Chain(..)) => self.same_relation(a, b),
            (Value::Expr(_), Value::Tuple(..)) | (Value::Tuple(..), Value::Expr(_)) => {
                Ok(self.same_regions(a, b)?.or(Some(false)))
            }
            _ if is_region(a) || is_region(b) => self.same_set(a, b),
            (Value::List(..) | Value::Set(_), _) | (_, Value::List(..) | Value::Set(_)) => self.same_list(a, b),
            _ => Ok(Some(false)),
        }
    }

    fn all_expr(&mut self, a: &[Expr], b: &[Expr]) -> Run<Answer> {
        let mut all = Some(true);
        for (x, y) in a.iter().zip(b) {
            match self.same_expr(x, y)? {
                Some(true) => {}
                Some(false) => return Ok(Some(false)),
                None => all = None,
            }
        }
        Ok(all)
    }

    /// Entry by entry.
    fn in_order(&mut self, a: &[Value], b: &[Value]) -> Run<Answer> {
        if a.len() != b.len() {
            return Ok(Some(false));
        }
        let mut all = Some(true);
        for (x, y) in a.iter().zip(b) {
            match self.same(x, y)? {
                Some(true) => {}
                Some(false) => return Ok(Some(false)),
                None => all = None,
            }
        }
        Ok(all)
    }

    /// `a₁ : a₂ = b₁ : b₂`.
    fn proportional(&mut self, a: &[Expr], b: &[Expr]) -> Run<Answer> {
        if a.len() != b.len() {
            return Ok(Some(false));
        }
        if is_clock(self.algebra, a) && is_clock(self.algebra, b) {
            return self.all_expr(a, b);
        }
        for i in 1..a.len() {
            let left = self.algebra.mul(&a[0], &b[i])?;
            let right = self.algebra.mul(&a[i], &b[0])?;
            match self.same_expr(&left, &right)? {
                Some(true) => {}
                other => return Ok(other),
            }
        }
        Ok(Some(true))
    }

    /// True if an inequality may be compared with a set, given which side is which.
    fn may_cross(&self, gold_is_relation: bool) -> bool {
        match self.options.relations {
            Relations::Either => true,
            Relations::SetForRelation => gold_is_relation,
            _ => false,
        }
    }
}

const fn is_round(a: char, b: char) -> bool {
    matches!((a, b), ('(', '<') | ('<', '(') | (')', '>') | ('>', ')'))
}

/// Hours and minutes rather than a proportion.
fn is_clock(algebra: &Algebra, parts: &[Expr]) -> bool {
    let _ = algebra;
    let numbers: Option<Vec<i64>> = parts.iter().map(Expr::as_int).collect();
    match numbers.as_deref() {
        Some([h, m]) => (0..24).contains(h) && (*m == 0 || (10..60).contains(m)) && (*m == 0 || m % 5 == 0),
        _ => false,
    }
}

/// Values that are sets of real numbers by their notation.
fn is_region(value: &Value) -> bool {
    matches!(value, Value::Union(_) | Value::Intersection(_) | Value::Difference(..) | Value::Builder(..))
}

/// The value that an assignment gives to its name: `x = 5`, `f(x) = …`, `|AB| = 1`, `x ∈ S`.
pub(crate) fn assigned<'v>(algebra: &Algebra, value: &'v Value) -> Option<&'v Value> {
    let Value::Chain(sides, signs) = value else { return None };
    let (first, last) = (sides.first()?, sides.last()?);
    if signs.as_slice() == [Relation::In] {
        return Some(last);
    }
    if !signs.iter().all(|s| *s == Relation::Eq) {
        return None;
    }
    if is_name(algebra, first) {
        return Some(last);
    }
    // `2^4 = 16`
    if sides.iter().all(|v| matches!(v, Value::Expr(e) if !algebra.is_symbolic(e))) {
        return Some(last);
    }
    let constant = matches!(first, Value::Expr(e) if !algebra.is_symbolic(e)) || !matches!(first, Value::Expr(_));
    (constant && is_name(algebra, last)).then_some(first)
}

/// Names: a symbol, a call, `|AB|`, `AB`, words, a tuple or ratio of names.
pub(crate) fn is_name(algebra: &Algebra, value: &Value) -> bool {
    match value {
        Value::Expr(e) => is_name_expr(algebra, e),
        Value::Tuple(_, items, _) => !items.is_empty() && items.iter().all(|v| is_name(algebra, v)),
        Value::Ratio(parts) => parts.iter().all(|e| is_name_expr(algebra, e)),
        Value::List(Joint::Comma, items) => items.iter().all(|v| is_name(algebra, v)),
        _ => false,
    }
}

fn is_name_expr(algebra: &Algebra, e: &Expr) -> bool {
    let Some(term) = e.as_term() else { return false };
    if !term.coeff.is_one() || term.mono.is_empty() {
        return false;
    }
    if let [(atom, k)] = term.mono.as_slice() {
        let named = match algebra.atom(*atom) {
            Atom::Sym(_) | Atom::Unit(_) | Atom::E | Atom::I => true,
            Atom::Func(..) => algebra.is_symbolic(e),
            _ => false,
        };
        return named && k.is_one();
    }
    term.mono.iter().all(|(atom, k)| {
        k.to_i64().is_some_and(|k| (1..=3).contains(&k))
            && match algebra.atom(*atom) {
                Atom::Sym(name) => name.len() > 1 || name.bytes().all(|b| b.is_ascii_uppercase()),
                Atom::Unit(_) => true,
                _ => false,
            }
    })
}
