//! Equality of equations and inequalities.

use super::list::orders;
use super::{Answer, Comparer, assigned, is_name};
use crate::algebra::Expr;
use crate::fuel::Run;
use crate::numeric::Comparison;
use crate::syntax::{Relation, Value};

impl Comparer<'_> {
    pub(super) fn same_relation(&mut self, a: &Value, b: &Value) -> Run<Answer> {
        if orders(a) || orders(b) {
            return self.same_order(a, b);
        }
        match (assigned(self.algebra, a).cloned(), assigned(self.algebra, b).cloned()) {
            (Some(x), Some(y)) => {
                if self.names_agree(a, b)? {
                    return self.same(&x, &y);
                }
                self.same_equation(a, b)
            }
            (Some(x), None) if !matches!(b, Value::Chain(..)) => self.same(&x, b),
            (None, Some(y)) if !matches!(a, Value::Chain(..)) => self.same(a, &y),
            _ => self.same_equation(a, b),
        }
    }

    /// Two plain names must be the same; calls, lengths and words may be called anything.
    fn names_agree(&mut self, a: &Value, b: &Value) -> Run<bool> {
        let (Value::Chain(x, _), Value::Chain(y, _)) = (a, b) else { return Ok(true) };
        let plain = |v: &Value| match v {
            Value::Expr(e) => self.algebra.show(e).len() == 1,
            _ => false,
        };
        if plain(&x[0]) && plain(&y[0]) && is_name(self.algebra, &x[0]) && is_name(self.algebra, &y[0]) {
            return Ok(self.same(&x[0], &y[0])? == Some(true));
        }
        Ok(true)
    }

    /// Equations are the same if their sides differ by a constant factor.
    fn same_equation(&mut self, a: &Value, b: &Value) -> Run<Answer> {
        let (Value::Chain(x, signs), Value::Chain(y, others)) = (a, b) else { return Ok(Some(false)) };
        if signs != others {
            return Ok(Some(false));
        }
        if x.len() == y.len() && self.in_order(x, y)? == Some(true) {
            return Ok(Some(true));
        }
        let (Some(p), Some(q)) = (self.difference(x)?, self.difference(y)?) else { return Ok(Some(false)) };
        if signs.as_slice() != [Relation::Eq] {
            return Ok(Some(false));
        }
        self.proportional_to(&p, &q, false)
    }

    /// Left side minus right side of a single relation.
    fn difference(&mut self, sides: &[Value]) -> Run<Option<Expr>> {
        match sides {
            [Value::Expr(l), Value::Expr(r)] => self.algebra.sub(l, r).map(Some),
            _ => Ok(None),
        }
    }

    /// True if `p / q` is a constant other than 0, positive if asked for.
    fn proportional_to(&mut self, p: &Expr, q: &Expr, positive: bool) -> Run<Answer> {
        if p.is_zero() || q.is_zero() {
            return Ok(Some(p.is_zero() && q.is_zero()));
        }
        let (p, q) = (Expr::poly(p.num.clone()), Expr::poly(q.num.clone()));
        let Some(ratio) = self.constant_ratio(&p, &q)? else { return Ok(Some(false)) };
        if positive && self.algebra.sign_of(&ratio)? != Some(1) {
            return Ok(Some(false));
        }
        let scaled = self.algebra.mul(&q, &ratio)?;
        let difference = self.algebra.sub(&p, &scaled)?;
        if difference.is_zero() {
            return Ok(Some(true));
        }
        if self.algebra.is_independent(&difference) {
            return Ok(Some(false));
        }
        Ok(match self.algebra.compare_values(&p, &scaled)? {
            Comparison::Equal => Some(true),
            Comparison::Different => Some(false),
            Comparison::Unknown => None,
        })
    }

    /// Ratio of the coefficients of a monomial that both have.
    fn constant_ratio(&mut self, p: &Expr, q: &Expr) -> Run<Option<Expr>> {
        for term in &p.num {
            if let Some(other) = q.num.iter().find(|t| t.mono == term.mono) {
                let (x, y) = (Expr::number(term.coeff.clone()), Expr::number(other.coeff.clone()));
                return self.algebra.div(&x, &y).map(Some);
            }
        }
        Ok(None)
    }

    /// Inequalities: as sets of numbers where they have one variable, else up to a positive factor.
    fn same_order(&mut self, a: &Value, b: &Value) -> Run<Answer> {
        let (relation_a, relation_b) = (orders(a), orders(b));
        if relation_a != relation_b {
            let set = if relation_a { b } else { a };
            let number = matches!(set, Value::Expr(_) | Value::Matrix(..) | Value::Ratio(_));
            if number || !self.may_cross(relation_a) {
                return Ok(Some(false));
            }
            return Ok(self.same_regions(a, b)?.or(Some(false)));
        }
        if let Some(answer) = self.same_regions(a, b)? {
            return Ok(Some(answer));
        }
        let (Value::Chain(x, signs), Value::Chain(y, others)) = (a, b) else { return self.same_list_of_orders(a, b) };
        if let ([s], [t]) = (signs.as_slice(), others.as_slice()) {
            let (Some(p), Some(q)) = (self.difference(x)?, self.difference(y)?) else { return Ok(Some(false)) };
            let p = if matches!(s, Relation::Gt | Relation::Ge) { self.algebra.neg(&p)? } else { p };
            let q = if matches!(t, Relation::Gt | Relation::Ge) { self.algebra.neg(&q)? } else { q };
            let strict = |r: &Relation| matches!(r, Relation::Lt | Relation::Gt);
            if strict(s) != strict(t) || s.is_order() != t.is_order() {
                return Ok(Some(false));
            }
            return self.proportional_to(&p, &q, s.is_order());
        }
        if signs == others && self.in_order(x, y)? == Some(true) {
            return Ok(Some(true));
        }
        let reversed: Vec<Value> = y.iter().rev().cloned().collect();
        let flipped: Vec<Relation> = others.iter().rev().map(|r| r.flipped()).collect();
        if *signs == flipped { self.in_order(x, &reversed) } else { Ok(Some(false)) }
    }

    fn same_list_of_orders(&mut self, a: &Value, b: &Value) -> Run<Answer> {
        match (a, b) {
            (Value::List(_, x), Value::List(_, y)) if x.len() == y.len() => self.in_order(x, y),
            _ => Ok(Some(false)),
        }
    }
}
