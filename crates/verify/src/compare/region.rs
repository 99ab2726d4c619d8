//! Sets of real numbers: intervals, points, unions, solutions of linear inequalities.

use std::cmp::Ordering;

use super::list::orders;
use super::{Answer, Comparer};
use crate::algebra::{Atom, AtomId, Expr};
use crate::fuel::Run;
use crate::syntax::{Joint, Relation, Value};

/// An end of an interval.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Below,
    At(Expr),
    Above,
}

/// An interval; a point is an interval from itself to itself.
#[derive(Debug, Clone)]
struct Piece {
    low: End,
    low_closed: bool,
    high: End,
    high_closed: bool,
}

/// Pieces in ascending order that do not touch.
type Region = Vec<Piece>;

impl Comparer<'_> {
    /// Sets by notation against anything.
    pub(super) fn same_set(&mut self, a: &Value, b: &Value) -> Run<Answer> {
        if orders(a) != orders(b) && !self.may_cross(orders(a)) {
            return Ok(Some(false));
        }
        if let Some(answer) = self.same_regions(a, b)? {
            return Ok(Some(answer));
        }
        match (a, b) {
            (Value::Union(x), Value::Union(y)) | (Value::Intersection(x), Value::Intersection(y)) => {
                let (x, y) = (Value::Set(x.clone()), Value::Set(y.clone()));
                self.same_list(&x, &y)
            }
            (Value::Difference(p, q), Value::Difference(r, s)) => {
                let whole = self.same(p, r)?;
                if whole == Some(true) { self.same(q, s) } else { Ok(whole) }
            }
            (Value::Builder(_, p), Value::Builder(_, q)) => self.same(p, q),
            _ => Ok(Some(false)),
        }
    }

    /// Whether two values are the same set of real numbers; `None` if one of them could not be read as a set.
    pub(super) fn same_regions(&mut self, a: &Value, b: &Value) -> Run<Answer> {
        let Some(x) = self.region(a)? else { return Ok(None) };
        let Some(y) = self.region(b)? else { return Ok(None) };
        if !self.same_subject(a, b) {
            return Ok(None);
        }
        if x.len() != y.len() {
            return Ok(Some(false));
        }
        for (p, q) in x.iter().zip(&y) {
            if p.low_closed != q.low_closed || p.high_closed != q.high_closed {
                return Ok(Some(false));
            }
            let same = self.same_end(&p.low, &q.low)? && self.same_end(&p.high, &q.high)?;
            if !same {
                return Ok(Some(false));
            }
        }
        Ok(Some(true))
    }

    /// `x < 1` and `y < 1` are about different things.
    fn same_subject(&self, a: &Value, b: &Value) -> bool {
        match (self.subject(a), self.subject(b)) {
            (Some(x), Some(y)) => x == y,
            _ => true,
        }
    }

    fn subject(&self, value: &Value) -> Option<AtomId> {
        match value {
            Value::Chain(sides, _) => sides.iter().find_map(|s| match s {
                Value::Expr(e) => e.atoms().find(|a| matches!(self.algebra.atom(*a), Atom::Sym(_))),
                _ => None,
            }),
            Value::List(_, items) => items.iter().find_map(|v| self.subject(v)),
            _ => None,
        }
    }

    fn same_end(&mut self, a: &End, b: &End) -> Run<bool> {
        match (a, b) {
            (End::At(x), End::At(y)) => Ok(self.same_expr(x, y)? == Some(true)),
            _ => Ok(a == b),
        }
    }

    fn region(&mut self, value: &Value) -> Run<Option<Region>> {
        self.algebra.fuel.enter()?;
        let region = self.region_of(value);
        self.algebra.fuel.leave();
        region
    }

    fn region_of(&mut self, value: &Value) -> Run<Option<Region>> {
        match value {
            Value::Tuple(open @ ('(' | '['), items, close @ (')' | ']')) => match items.as_slice() {
                [Value::Expr(a), Value::Expr(b)] => self.interval(*open == '[', a, b, *close == ']'),
                _ => Ok(None),
            },
            Value::Set(items) => {
                let mut pieces = Vec::new();
                for item in items {
                    let Value::Expr(e) = item else { return Ok(None) };
                    let end = End::At(e.clone());
                    pieces.push(Piece { low: end.clone(), low_closed: true, high: end, high_closed: true });
                }
                self.merged(pieces)
            }
            Value::Expr(e) if self.is_named(e, "ℝ") => Ok(Some(vec![LINE])),
            Value::Union(parts) | Value::List(Joint::Or, parts) => self.union(parts),
            Value::Intersection(parts) => self.intersection(parts),
            Value::List(Joint::And | Joint::Comma, parts) if parts.iter().all(orders) => {
                let both = self.intersection(parts)?;
                match both {
                    Some(region) if !region.is_empty() => Ok(Some(region)),
                    _ => self.union(parts),
                }
            }
            Value::Difference(a, b) => {
                let (Some(a), Some(b)) = (self.region(a)?, self.region(b)?) else { return Ok(None) };
                let outside = complement(&b);
                self.meet(&a, &outside)
            }
            Value::Builder(_, condition) => self.region(condition),
            Value::Chain(sides, signs) => self.solutions(sides, signs),
            _ => Ok(None),
        }
    }

    fn is_named(&self, e: &Expr, name: &str) -> bool {
        e.as_atom().is_some_and(|a| matches!(self.algebra.atom(a), Atom::Sym(s) if &**s == name))
    }

    fn end(e: &Expr) -> End {
        match e.as_term() {
            Some(term) if term.mono.len() == 1 && term.mono[0].0 == Atom::INF => {
                if term.coeff.is_negative() {
                    End::Below
                } else {
                    End::Above
                }
            }
            _ => End::At(e.clone()),
        }
    }

    fn interval(&mut self, low_closed: bool, a: &Expr, b: &Expr, high_closed: bool) -> Run<Option<Region>> {
        let (low, high) = (Self::end(a), Self::end(b));
        let low_closed = low_closed && low != End::Below;
        let high_closed = high_closed && high != End::Above;
        match self.order(&low, &high)? {
            Some(Ordering::Less) => Ok(Some(vec![Piece { low, low_closed, high, high_closed }])),
            Some(Ordering::Equal) if low_closed && high_closed => {
                Ok(Some(vec![Piece { low, low_closed, high, high_closed }]))
            }
            _ => Ok(None),
        }
    }

    fn union(&mut self, parts: &[Value]) -> Run<Option<Region>> {
        let mut pieces = Vec::new();
        for part in parts {
            let Some(region) = self.region(part)? else { return Ok(None) };
            pieces.extend(region);
        }
        self.merged(pieces)
    }

    fn intersection(&mut self, parts: &[Value]) -> Run<Option<Region>> {
        let mut result = vec![LINE];
        for part in parts {
            let Some(region) = self.region(part)? else { return Ok(None) };
            let Some(both) = self.meet(&result, &region)? else { return Ok(None) };
            result = both;
        }
        Ok(Some(result))
    }

    /// Sorts pieces and joins those that touch; `None` if their order cannot be told.
    fn merged(&mut self, pieces: Vec<Piece>) -> Run<Option<Region>> {
        let mut sorted: Region = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let mut at = sorted.len();
            while at > 0 {
                self.algebra.fuel.spend(1)?;
                match self.before(&piece, &sorted[at - 1].clone())? {
                    Some(true) => at -= 1,
                    Some(false) => break,
                    None => return Ok(None),
                }
            }
            sorted.insert(at, piece);
        }
        let mut joined: Region = Vec::with_capacity(sorted.len());
        for piece in sorted {
            let Some(last) = joined.last_mut() else {
                joined.push(piece);
                continue;
            };
            match self.order(&last.high, &piece.low)? {
                None => return Ok(None),
                Some(Ordering::Less) => joined.push(piece),
                Some(Ordering::Equal) if !last.high_closed && !piece.low_closed => joined.push(piece),
                Some(_) => match self.order(&last.high, &piece.high)? {
                    None => return Ok(None),
                    Some(Ordering::Less) => {
                        last.high = piece.high;
                        last.high_closed = piece.high_closed;
                    }
                    Some(Ordering::Equal) => last.high_closed |= piece.high_closed,
                    Some(Ordering::Greater) => {}
                },
            }
        }
        Ok(Some(joined))
    }

    fn before(&mut self, a: &Piece, b: &Piece) -> Run<Option<bool>> {
        Ok(self.order(&a.low, &b.low)?.map(|o| match o {
            Ordering::Less => true,
            Ordering::Equal => a.low_closed && !b.low_closed,
            Ordering::Greater => false,
        }))
    }

    fn meet(&mut self, a: &Region, b: &Region) -> Run<Option<Region>> {
        let mut pieces = Vec::new();
        for p in a {
            for q in b {
                self.algebra.fuel.spend(2)?;
                let Some(low) = self.order(&p.low, &q.low)? else { return Ok(None) };
                let Some(high) = self.order(&p.high, &q.high)? else { return Ok(None) };
                let (l, l_closed) = match low {
                    Ordering::Less => (&q.low, q.low_closed),
                    Ordering::Equal => (&p.low, p.low_closed && q.low_closed),
                    Ordering::Greater => (&p.low, p.low_closed),
                };
                let (h, h_closed) = match high {
                    Ordering::Less => (&p.high, p.high_closed),
                    Ordering::Equal => (&p.high, p.high_closed && q.high_closed),
                    Ordering::Greater => (&q.high, q.high_closed),
                };
                let (l, h) = (l.clone(), h.clone());
                match self.order(&l, &h)? {
                    None => return Ok(None),
                    Some(Ordering::Less) => {}
                    Some(Ordering::Equal) if l_closed && h_closed => {}
                    Some(_) => continue,
                }
                pieces.push(Piece { low: l, low_closed: l_closed, high: h, high_closed: h_closed });
            }
        }
        self.merged(pieces)
    }

    fn order(&mut self, a: &End, b: &End) -> Run<Option<Ordering>> {
        Ok(match (a, b) {
            (End::Below, End::Below) | (End::Above, End::Above) => Some(Ordering::Equal),
            (End::Below, _) | (_, End::Above) => Some(Ordering::Less),
            (_, End::Below) | (End::Above, _) => Some(Ordering::Greater),
            (End::At(x), End::At(y)) => {
                let difference = self.algebra.sub(x, y)?;
                self.algebra.sign_of(&difference)?.map(|s| s.cmp(&0))
            }
        })
    }

    /// Solutions of a chain of relations in one variable.
    fn solutions(&mut self, sides: &[Value], signs: &[Relation]) -> Run<Option<Region>> {
        if let ([_, set], [Relation::In]) = (sides, signs) {
            return self.region(set);
        }
        let mut result = vec![LINE];
        for (pair, sign) in sides.windows(2).zip(signs) {
            let [Value::Expr(left), Value::Expr(right)] = pair else { return Ok(None) };
            let Some(half) = self.half_line(left, *sign, right)? else { return Ok(None) };
            let Some(both) = self.meet(&result, &half)? else { return Ok(None) };
            result = both;
        }
        Ok(Some(result))
    }

    /// Solutions of `left sign right`, linear in one variable.
    fn half_line(&mut self, left: &Expr, sign: Relation, right: &Expr) -> Run<Option<Region>> {
        if !matches!(Self::end(left), End::At(_)) || !matches!(Self::end(right), End::At(_)) {
            return Ok(sign.is_order().then(|| vec![LINE]));
        }
        let difference = self.algebra.sub(left, right)?;
        let Some((slope, rest)) = self.linear(&difference)? else { return Ok(None) };
        let Some(direction) = self.algebra.sign_of(&slope)? else { return Ok(None) };
        let root = self.algebra.div(&rest, &slope)?;
        let root = End::At(self.algebra.neg(&root)?);
        let sign = if direction < 0 { sign.flipped() } else { sign };
        let piece = |low: End, low_closed, high: End, high_closed| Piece { low, low_closed, high, high_closed };
        Ok(Some(match sign {
            Relation::Lt => vec![piece(End::Below, false, root, false)],
            Relation::Le => vec![piece(End::Below, false, root, true)],
            Relation::Gt => vec![piece(root, false, End::Above, false)],
            Relation::Ge => vec![piece(root, true, End::Above, false)],
            Relation::Eq => vec![piece(root.clone(), true, root, true)],
            Relation::Ne => vec![piece(End::Below, false, root.clone(), false), piece(root, false, End::Above, false)],
            _ => return Ok(None),
        }))
    }

    /// `e = slope · x + rest` with one variable `x` and constants.
    fn linear(&mut self, e: &Expr) -> Run<Option<(Expr, Expr)>> {
        if !e.den.is_empty() {
            return Ok(None);
        }
        let mut variable = None;
        let (mut slope, mut rest) = (Vec::new(), Vec::new());
        for term in &e.num {
            let symbols: Vec<_> = term.mono.iter().filter(|(a, _)| self.algebra.is_symbolic(&Expr::atom(*a))).collect();
            match symbols.as_slice() {
                [] => rest.push(term.clone()),
                [(a, k)] if k.is_one() && matches!(self.algebra.atom(*a), Atom::Sym(_)) => {
                    if *variable.get_or_insert(*a) != *a {
                        return Ok(None);
                    }
                    let mut factor = term.clone();
                    factor.mono.retain(|(b, _)| b != a);
                    slope.push(factor);
                }
                _ => return Ok(None),
            }
        }
        if variable.is_none() {
            return Ok(None);
        }
        let slope = Expr::poly(self.algebra.collect(slope)?);
        Ok(Some((slope, Expr::poly(rest))))
    }
}

const LINE: Piece = Piece { low: End::Below, low_closed: false, high: End::Above, high_closed: false };

/// What is not in the region.
fn complement(region: &Region) -> Region {
    let mut pieces = Vec::new();
    let (mut low, mut low_closed) = (End::Below, false);
    for piece in region {
        let empty = piece.low == End::Below;
        if !empty {
            pieces.push(Piece {
                low: low.clone(),
                low_closed,
                high: piece.low.clone(),
                high_closed: !piece.low_closed,
            });
        }
        low = piece.high.clone();
        low_closed = !piece.high_closed;
    }
    if low != End::Above {
        pieces.push(Piece { low, low_closed, high: End::Above, high_closed: false });
    }
    pieces
}
