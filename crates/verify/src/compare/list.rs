//! Equality of lists and finite sets.

use super::{Answer, Comparer, assigned};
use crate::fuel::Run;
use crate::options::Lists;
use crate::syntax::{Joint, Value};

impl Comparer<'_> {
    pub(super) fn same_list(&mut self, a: &Value, b: &Value) -> Run<Answer> {
        if orders(a) && orders(b) {
            if let Some(answer) = self.same_regions(a, b)? {
                return Ok(Some(answer));
            }
        } else if orders(a) || orders(b) {
            return self.same_set(a, b);
        }
        let (x, y) = (items(a), items(b));
        let sets = matches!(a, Value::Set(_)) || matches!(b, Value::Set(_));
        // `1, 2` for the point (1, 2), and the other way round, in this order only
        let tuple = matches!(a, Value::Tuple(..)) || matches!(b, Value::Tuple(..));
        if tuple {
            if sets || x.len() < 2 {
                return Ok(Some(false));
            }
            return self.in_order(&self.values_of(&x), &self.values_of(&y));
        }
        if self.options.lists == Lists::Ordered && !sets {
            return self.in_order(&x, &y);
        }
        self.same_elements(&x, &y)
    }

    /// Entries without the names that are given to them.
    fn values_of(&self, items: &[Value]) -> Vec<Value> {
        items.iter().map(|v| assigned(self.algebra, v).unwrap_or(v).clone()).collect()
    }

    /// Each of one is in the other, and the other way round: repetition carries no meaning.
    fn same_elements(&mut self, a: &[Value], b: &[Value]) -> Run<Answer> {
        let mut all = Some(true);
        let mut used = vec![false; b.len()];
        for (i, x) in a.iter().enumerate() {
            // the partner is most often in the same place
            if i < b.len() && self.same(x, &b[i])? == Some(true) {
                used[i] = true;
                continue;
            }
            match self.find(x, b, &mut used)? {
                Some(true) => {}
                Some(false) => return Ok(Some(false)),
                None => all = None,
            }
        }
        for (j, y) in b.iter().enumerate() {
            if used[j] {
                continue;
            }
            let mut hit = Some(false);
            for x in a {
                match self.same(x, y)? {
                    Some(true) => {
                        hit = Some(true);
                        break;
                    }
                    Some(false) => {}
                    None => hit = None,
                }
            }
            match hit {
                Some(true) => {}
                Some(false) => return Ok(Some(false)),
                None => all = None,
            }
        }
        Ok(all)
    }

    fn find(&mut self, x: &Value, pool: &[Value], used: &mut [bool]) -> Run<Answer> {
        let mut answer = Some(false);
        for (j, y) in pool.iter().enumerate() {
            match self.same(x, y)? {
                Some(true) => {
                    used[j] = true;
                    return Ok(Some(true));
                }
                Some(false) => {}
                None => answer = None,
            }
        }
        Ok(answer)
    }
}

/// The entries of a list, set or tuple; anything else is a list of itself.
fn items(value: &Value) -> Vec<Value> {
    match value {
        Value::List(_, items) | Value::Set(items) | Value::Tuple(_, items, _) => items.clone(),
        other => vec![other.clone()],
    }
}

/// Lists of inequalities.
pub(super) fn orders(value: &Value) -> bool {
    match value {
        Value::Chain(_, signs) => signs.iter().any(|s| s.is_order() || *s == crate::syntax::Relation::Ne),
        Value::List(Joint::And | Joint::Or | Joint::Comma, items) => items.iter().all(orders),
        _ => false,
    }
}
