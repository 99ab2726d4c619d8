//! From tokens to values: lists, relations, sets, sums, products. Operands are in `operand.rs`.

use super::lexer::Lexed;
use super::token::{Relation, Tok, Token};
use super::value::{Joint, Value};
use crate::algebra::{Algebra, Atom, Expr};
use crate::fuel::{Halt, Run};

/// Reads one answer.
pub(super) struct Parser<'a, 'b> {
    pub(super) text: &'a str,
    pub(super) tokens: &'b [Token<'a>],
    pub(super) at: usize,
    pub(super) algebra: &'b mut Algebra,
    /// Open absolute values and conditions, in which `|` closes.
    pub(super) bars: usize,
}

/// The value of a lexed answer.
pub(crate) fn parse<'a>(text: &'a str, lexed: &Lexed<'a>, algebra: &mut Algebra) -> Run<Value> {
    algebra.fuel.surface();
    let mut parser = Parser { text, tokens: &lexed.tokens, at: 0, algebra, bars: 0 };
    let value = parser.list()?;
    if parser.at < parser.tokens.len() {
        return Err(Halt::Syntax("something is left over at the end"));
    }
    Ok(value)
}

impl<'a> Parser<'a, '_> {
    pub(super) fn peek(&self) -> Option<&Tok<'a>> {
        self.tokens.get(self.at).map(|t| &t.tok)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<&Tok<'a>> {
        self.tokens.get(self.at + ahead).map(|t| &t.tok)
    }

    pub(super) fn next(&mut self) -> Option<Tok<'a>> {
        let tok = self.tokens.get(self.at)?.tok.clone();
        self.at += 1;
        Some(tok)
    }

    pub(super) fn eat(&mut self, tok: &Tok<'_>) -> bool {
        let hit = self.peek() == Some(tok);
        self.at += usize::from(hit);
        hit
    }

    pub(super) fn expect(&mut self, tok: &Tok<'_>, otherwise: &'static str) -> Run<()> {
        if self.eat(tok) { Ok(()) } else { Err(Halt::Syntax(otherwise)) }
    }

    /// Answers separated by `,`, `;`, "and", "or".
    pub(super) fn list(&mut self) -> Run<Value> {
        self.algebra.fuel.enter()?;
        let value = self.semicolons();
        self.algebra.fuel.leave();
        value
    }

    fn semicolons(&mut self) -> Run<Value> {
        let first = self.commas()?;
        if self.peek() != Some(&Tok::Semicolon) {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.eat(&Tok::Semicolon) {
            if self.at_end_of_list() {
                break;
            }
            items.push(self.commas()?);
        }
        Ok(one_or_list(Joint::Semicolon, items))
    }

    fn commas(&mut self) -> Run<Value> {
        let mut joint = Joint::Comma;
        while matches!(self.peek(), Some(Tok::Comma | Tok::And)) {
            self.at += 1;
        }
        let mut items = vec![self.relation()?];
        loop {
            let separated = self.separator(&mut joint);
            if !separated || self.at_end_of_list() {
                break;
            }
            if self.peek() == Some(&Tok::Semicolon) {
                break;
            }
            items.push(self.relation()?);
        }
        Ok(one_or_list(joint, items))
    }

    fn separator(&mut self, joint: &mut Joint) -> bool {
        let mut any = false;
        loop {
            match self.peek() {
                Some(Tok::Comma | Tok::RowBreak) => {}
                Some(Tok::And) => *joint = Joint::And,
                Some(Tok::Or) => *joint = Joint::Or,
                _ => return any,
            }
            any = true;
            self.at += 1;
        }
    }

    fn at_end_of_list(&self) -> bool {
        matches!(self.peek(), None | Some(Tok::Close(_) | Tok::End | Tok::RBar | Tok::EnvEnd))
    }

    /// `a`, `a = b`, `a < b ≤ c`.
    fn relation(&mut self) -> Run<Value> {
        let first = if matches!(self.peek(), Some(Tok::Rel(_))) { None } else { Some(self.ratio()?) };
        let Some(Tok::Rel(_)) = self.peek() else {
            return first.ok_or(Halt::Syntax("an expression is missing"));
        };
        let mut sides: Vec<Value> = first.into_iter().collect();
        let mut signs = Vec::new();
        while let Some(Tok::Rel(sign)) = self.peek() {
            let sign = *sign;
            self.at += 1;
            // `= 5` is 5
            if sides.is_empty() && sign == Relation::Eq {
                sides.push(self.ratio()?);
                continue;
            }
            if sides.is_empty() {
                return Err(Halt::Syntax("a relation has no left side"));
            }
            let double = matches!(self.peek(), Some(Tok::Rel(Relation::Eq)));
            self.at += usize::from(double);
            signs.push(sign);
            sides.push(self.ratio()?);
        }
        Ok(if signs.is_empty() { sides.remove(0) } else { Value::Chain(sides, signs) })
    }

    /// `a : b`.
    fn ratio(&mut self) -> Run<Value> {
        let first = self.set()?;
        if self.peek() != Some(&Tok::Colon) || self.bars > 0 {
            return Ok(first);
        }
        let mut parts = vec![Self::expression(first)?];
        while self.eat(&Tok::Colon) {
            let part = self.set()?;
            parts.push(Self::expression(part)?);
        }
        Ok(Value::Ratio(parts))
    }

    pub(super) fn expression(value: Value) -> Run<Expr> {
        match value {
            Value::Expr(e) => Ok(e),
            _ => Err(Halt::Syntax("expected a number or formula")),
        }
    }

    /// `A ∪ B`, `A ∩ B`, `A ∖ B`.
    fn set(&mut self) -> Run<Value> {
        let mut value = self.sum()?;
        loop {
            match self.peek() {
                Some(Tok::Cup) => {
                    self.at += 1;
                    let next = self.sum()?;
                    value = match value {
                        Value::Union(mut parts) => {
                            parts.push(next);
                            Value::Union(parts)
                        }
                        other => Value::Union(vec![other, next]),
                    };
                }
                Some(Tok::Cap) => {
                    self.at += 1;
                    let next = self.sum()?;
                    value = Value::Intersection(vec![value, next]);
                }
                Some(Tok::Without) => {
                    self.at += 1;
                    let next = self.sum()?;
                    value = Value::Difference(Box::new(value), Box::new(next));
                }
                _ => return Ok(value),
            }
        }
    }

    /// `a + b − c ± d`.
    pub(super) fn sum(&mut self) -> Run<Value> {
        let mut terms: Vec<Expr> = Vec::new();
        let mut other: Option<Value> = None;
        let mut first = true;
        loop {
            let sign = match self.peek() {
                Some(Tok::Plus) => 1,
                Some(Tok::Minus) => -1,
                Some(Tok::PlusMinus) => 2,
                Some(Tok::MinusPlus) => -2,
                _ if first => 0,
                _ => break,
            };
            self.at += usize::from(sign != 0);
            first = false;
            let product = self.product()?;
            let signed = self.signed(sign, product)?;
            match signed {
                Value::Expr(e) if other.is_none() => terms.push(e),
                value => {
                    let so_far = other.take();
                    other = Some(match so_far {
                        Some(sum) => self.algebra.value_add(sum, value)?,
                        None if terms.is_empty() => value,
                        None => return Err(Halt::Syntax("these cannot be added")),
                    });
                }
            }
        }
        match other {
            Some(value) => Ok(value),
            None => self.add_up(terms).map(Value::Expr),
        }
    }

    /// Adds many terms at once: one sort instead of many merges.
    fn add_up(&mut self, mut terms: Vec<Expr>) -> Run<Expr> {
        if terms.len() == 1 {
            return Ok(terms.remove(0));
        }
        if terms.iter().all(|t| t.den.is_empty()) {
            self.algebra.fuel.spend(2 * terms.len() as u64)?;
            let all = terms.into_iter().flat_map(|t| t.num).collect();
            return Ok(Expr::poly(self.algebra.collect(all)?));
        }
        let mut sum = Expr::zero();
        for term in terms {
            sum = self.algebra.add(&sum, &term)?;
        }
        Ok(sum)
    }

    fn signed(&mut self, sign: i32, value: Value) -> Run<Value> {
        match sign {
            0 | 1 => Ok(value),
            -1 => self.algebra.value_neg(value),
            _ => {
                let pm = Value::Expr(Expr::atom(Atom::PM));
                let value = self.algebra.value_mul(pm, value)?;
                if sign < 0 { self.algebra.value_neg(value) } else { Ok(value) }
            }
        }
    }

    /// `a · b / c d`.
    pub(super) fn product(&mut self) -> Run<Value> {
        let mut value = self.factor()?;
        loop {
            match self.peek() {
                Some(Tok::Times) => {
                    self.at += 1;
                    let next = self.factor()?;
                    value = self.algebra.value_mul(value, next)?;
                }
                Some(Tok::Slash) => {
                    self.at += 1;
                    let next = self.factor()?;
                    value = self.algebra.value_div(value, next)?;
                }
                Some(tok) if self.starts_operand(tok) => {
                    let next = self.power()?;
                    value = self.algebra.value_mul(value, next)?;
                }
                _ => return Ok(value),
            }
        }
    }

    /// A factor after an operator may carry a sign: `2 · −3`.
    fn factor(&mut self) -> Run<Value> {
        let mut negative = false;
        let mut pm = false;
        loop {
            match self.peek() {
                Some(Tok::Minus) => negative = !negative,
                Some(Tok::Plus) => {}
                Some(Tok::PlusMinus) => pm = true,
                _ => break,
            }
            self.at += 1;
            self.algebra.fuel.spend(1)?;
        }
        let mut value = self.power()?;
        if pm {
            value = self.algebra.value_mul(Value::Expr(Expr::atom(Atom::PM)), value)?;
        }
        if negative { self.algebra.value_neg(value) } else { Ok(value) }
    }

    /// True for tokens that may stand next to a factor without an operator.
    pub(super) fn starts_operand(&self, tok: &Tok<'_>) -> bool {
        match tok {
            Tok::Cmd("choose" | "divided") => false,
            Tok::Num(_)
            | Tok::Sym(_)
            | Tok::Word(_)
            | Tok::Unit(_)
            | Tok::Fun(_)
            | Tok::Cmd(_)
            | Tok::Begin
            | Tok::Dots
            | Tok::LBar
            | Tok::LFloor
            | Tok::LCeil
            | Tok::EnvBegin(_) => true,
            Tok::Open(c) => *c == '(' || *c == '[' || *c == '<',
            Tok::Bar => self.bars == 0,
            _ => false,
        }
    }
}

fn one_or_list(joint: Joint, mut items: Vec<Value>) -> Value {
    if items.len() == 1 { items.remove(0) } else { Value::List(joint, items) }
}
