//! Exchange of variable names.

use super::Comparer;
use crate::algebra::{Algebra, Atom, AtomId, Expr};
use crate::fuel::Run;
use crate::syntax::Value;

impl Comparer<'_> {
    /// The value with its variables renamed to those of the model, in the order of their names.
    pub(crate) fn renamed(&mut self, value: &Value, model: &Value) -> Run<Option<Value>> {
        let (from, to) = (symbols(self.algebra, value), symbols(self.algebra, model));
        if from.len() != to.len() || from == to {
            return Ok(None);
        }
        let mut fresh = Vec::new();
        let mut result = value.clone();
        for (k, id) in from.iter().enumerate() {
            let place = self.algebra.intern(Atom::Sym(format!("#{k}").into()))?;
            result = self.substituted(&result, *id, &Expr::atom(place))?;
            fresh.push(place);
        }
        for (place, id) in fresh.into_iter().zip(to) {
            result = self.substituted(&result, place, &Expr::atom(id))?;
        }
        Ok(Some(result))
    }

    /// The value with an atom replaced everywhere.
    pub(crate) fn substituted(&mut self, value: &Value, atom: AtomId, by: &Expr) -> Run<Value> {
        self.algebra.fuel.enter()?;
        let all = |this: &mut Self, items: &[Value]| -> Run<Vec<Value>> {
            items.iter().map(|v| this.substituted(v, atom, by)).collect()
        };
        let result = match value {
            Value::Expr(e) => Value::Expr(self.algebra.substitute(e, atom, by)?),
            Value::Matrix(n, m) => {
                let m: Run<Vec<Expr>> = m.iter().map(|e| self.algebra.substitute(e, atom, by)).collect();
                Value::Matrix(*n, m?)
            }
            Value::Ratio(parts) => {
                let parts: Run<Vec<Expr>> = parts.iter().map(|e| self.algebra.substitute(e, atom, by)).collect();
                Value::Ratio(parts?)
            }
            Value::Tuple(o, items, c) => Value::Tuple(*o, all(self, items)?, *c),
            Value::List(joint, items) => Value::List(*joint, all(self, items)?),
            Value::Set(items) => Value::Set(all(self, items)?),
            Value::Union(items) => Value::Union(all(self, items)?),
            Value::Intersection(items) => Value::Intersection(all(self, items)?),
            Value::Chain(sides, signs) => Value::Chain(all(self, sides)?, signs.clone()),
            Value::Difference(a, b) => {
                Value::Difference(Box::new(self.substituted(a, atom, by)?), Box::new(self.substituted(b, atom, by)?))
            }
            Value::Builder(a, b) => {
                Value::Builder(Box::new(self.substituted(a, atom, by)?), Box::new(self.substituted(b, atom, by)?))
            }
        };
        self.algebra.fuel.leave();
        Ok(result)
    }
}

/// All expressions of a value.
pub(crate) fn expressions<'v>(value: &'v Value, out: &mut Vec<&'v Expr>) {
    match value {
        Value::Expr(e) => out.push(e),
        Value::Matrix(_, m) | Value::Ratio(m) => out.extend(m),
        Value::Tuple(_, items, _)
        | Value::List(_, items)
        | Value::Set(items)
        | Value::Union(items)
        | Value::Intersection(items)
        | Value::Chain(items, _) => {
            for item in items {
                expressions(item, out);
            }
        }
        Value::Difference(a, b) | Value::Builder(a, b) => {
            expressions(a, out);
            expressions(b, out);
        }
    }
}

/// Variables of a value, sorted by name; `f(x)` counts as the name it is.
fn symbols(algebra: &Algebra, value: &Value) -> Vec<AtomId> {
    let mut parts = Vec::new();
    expressions(value, &mut parts);
    let mut ids: Vec<AtomId> =
        parts.iter().flat_map(|e| e.atoms()).filter(|a| matches!(algebra.atom(*a), Atom::Sym(_))).collect();
    ids.sort_by_key(|a| match algebra.atom(*a) {
        Atom::Sym(name) => name.to_string(),
        _ => String::new(),
    });
    ids.dedup();
    ids
}
