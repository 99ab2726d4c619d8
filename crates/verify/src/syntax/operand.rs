//! Operands: numbers, names, roots, fractions, function values, brackets, matrices.

use super::parser::Parser;
use super::token::{Relation, Tok};
use super::value::{Joint, Value};
use crate::algebra::{Algebra, Atom, Expr, Func};
use crate::fuel::{Halt, Run};
use crate::rational::Rational;

impl<'a> Parser<'a, '_> {
    /// An operand with its exponents and marks: `x^2!`, `30^\circ`, `5\%`.
    pub(super) fn power(&mut self) -> Run<Value> {
        self.algebra.fuel.enter()?;
        let value = self.operand();
        let value = match value {
            Ok(value) => self.marks(value),
            Err(halt) => Err(halt),
        };
        self.algebra.fuel.leave();
        value
    }

    fn marks(&mut self, mut value: Value) -> Run<Value> {
        loop {
            match self.peek() {
                Some(Tok::Caret) => {
                    self.at += 1;
                    value = self.raised(value)?;
                }
                Some(Tok::Bang) => {
                    self.at += 1;
                    let e = Self::expression(value)?;
                    value = Value::Expr(self.algebra.func(Func::Factorial, vec![e])?);
                }
                Some(Tok::Percent) => {
                    self.at += 1;
                    value = self.marked(value, Atom::PERCENT)?;
                }
                Some(Tok::Degree) => {
                    self.at += 1;
                    value = self.marked(value, Atom::DEGREE)?;
                }
                Some(Tok::Prime) => {
                    self.at += 1;
                    value = self.named_after(&value, "'")?;
                }
                Some(Tok::Under) => {
                    self.at += 1;
                    let index = self.raw_argument()?;
                    value = self.indexed(&value, &index)?;
                }
                _ => return Ok(value),
            }
        }
    }

    fn marked(&mut self, value: Value, mark: u32) -> Run<Value> {
        self.algebra.value_mul(value, Value::Expr(Expr::atom(mark)))
    }

    /// A name with something attached: `y'`, `x_1`.
    fn named_after(&mut self, value: &Value, suffix: &str) -> Run<Value> {
        let Value::Expr(e) = value else { return Err(Halt::Syntax("a mark on something that is not a name")) };
        let Some(atom) = e.as_atom() else { return Err(Halt::Syntax("a mark on something that is not a name")) };
        let name = format!("{}{suffix}", self.algebra.show(&Expr::atom(atom)));
        self.algebra.symbol(&name).map(Value::Expr)
    }

    /// `x_1` is a name, `52_8` a number in base 8.
    fn indexed(&mut self, value: &Value, index: &str) -> Run<Value> {
        if let Value::Expr(e) = value
            && let Some(number) = e.as_number()
        {
            let base: i64 = index.parse().map_err(|_| Halt::Syntax("an index on a number"))?;
            let args = vec![Expr::number(number), Expr::int(base)];
            return self.algebra.func(Func::InBase, args).map(Value::Expr);
        }
        self.named_after(value, &format!("_{{{index}}}"))
    }

    fn raised(&mut self, base: Value) -> Run<Value> {
        // `x^*`, `x^+`, `A^T`
        if matches!(self.peek(), Some(Tok::Times)) {
            self.at += 1;
            return self.named_after(&base, "*");
        }
        if matches!(self.peek(), Some(Tok::Prime)) {
            return Ok(base);
        }
        let exponent = self.exponent()?;
        match (base, exponent) {
            (Value::Expr(base), Value::Expr(exponent)) => self.algebra.pow(&base, &exponent).map(Value::Expr),
            (Value::Matrix(n, m), Value::Expr(exponent)) => self.matrix_power(n, m, &exponent),
            _ => Err(Halt::Syntax("these cannot be raised")),
        }
    }

    fn matrix_power(&mut self, n: usize, m: Vec<Expr>, exponent: &Expr) -> Run<Value> {
        if exponent.as_atom().is_some_and(|a| matches!(self.algebra.atom(a), Atom::Sym(s) if &**s == "T")) {
            let rows = m.len() / n.max(1);
            let transposed =
                (0..n).flat_map(|c| (0..rows).map(move |r| (r, c))).map(|(r, c)| m[r * n + c].clone()).collect();
            return Ok(Value::Matrix(rows, transposed));
        }
        let k = exponent.as_int().filter(|k| (1..=16).contains(k)).ok_or(Halt::Syntax("a power of a matrix"))?;
        let base = Value::Matrix(n, m);
        (1..k).try_fold(base.clone(), |power, _| self.algebra.value_mul(power, base.clone()))
    }

    /// One operand without braces, or a braced list; `2^{-1}`, `2^-1`, `x^2y`.
    fn exponent(&mut self) -> Run<Value> {
        let mut negative = false;
        while matches!(self.peek(), Some(Tok::Minus | Tok::Plus)) {
            negative ^= self.next() == Some(Tok::Minus);
        }
        self.algebra.fuel.enter()?;
        let mut value = self.operand()?;
        // 2^3^4 is 2^(3^4)
        if self.eat(&Tok::Caret) {
            value = self.raised(value)?;
        }
        self.algebra.fuel.leave();
        if negative { self.algebra.value_neg(value) } else { Ok(value) }
    }

    pub(super) fn operand(&mut self) -> Run<Value> {
        self.algebra.fuel.spend(1)?;
        let Some(tok) = self.next() else { return Err(Halt::Syntax("an expression is missing")) };
        match tok {
            Tok::Num(value) => self.number(value),
            Tok::Sym(name) => self.name(name),
            Tok::Word(word) => self.word(word),
            Tok::Unit(name) => self.algebra.single(Atom::Unit(name.into())).map(Value::Expr),
            Tok::Fun(name) => self.function(name),
            Tok::Cmd(name) => self.command(name),
            Tok::Begin => self.group(),
            Tok::Open(open) => self.bracket(open),
            Tok::Bar | Tok::LBar => self.absolute(&tok),
            Tok::LFloor => self.rounded(Func::Floor, &Tok::RFloor),
            Tok::LCeil => self.rounded(Func::Ceil, &Tok::RCeil),
            Tok::EnvBegin(name) => self.environment(name),
            Tok::Dots => self.algebra.symbol("\\ldots").map(Value::Expr),
            Tok::EmptySet => Ok(Value::Set(Vec::new())),
            Tok::Percent | Tok::Degree => Err(Halt::Syntax("a mark without a number")),
            _ => Err(Halt::Syntax("an expression is missing")),
        }
    }

    /// A number; a fraction right after a whole number makes it a mixed number.
    fn number(&mut self, value: Rational) -> Run<Value> {
        let fraction = matches!(self.peek(), Some(Tok::Cmd("frac"))) && value.is_integer();
        if fraction {
            let back = self.at;
            self.at += 1;
            if let Value::Expr(part) = self.command("frac")?
                && let Some(part) = part.as_number()
                && !part.is_negative()
                && part < Rational::ONE
            {
                return Ok(Value::Expr(Expr::number(value.add(&part, &mut self.algebra.fuel)?)));
            }
            self.at = back;
        }
        let tokens = self.tokens;
        let ahead = |n: usize| tokens.get(self.at + n).map(|t| &t.tok);
        if let (Some(Tok::Num(top)), Some(Tok::Slash), Some(Tok::Num(bottom))) = (ahead(0), ahead(1), ahead(2))
            && value.is_integer()
            && top < bottom
            && tokens[self.at].spaced
        {
            let inverse = bottom.recip().ok_or(Halt::Syntax("division by zero"))?;
            let part = top.mul(&inverse, &mut self.algebra.fuel)?;
            self.at += 3;
            return Ok(Value::Expr(Expr::number(value.add(&part, &mut self.algebra.fuel)?)));
        }
        Ok(Value::Expr(Expr::number(value)))
    }

    fn name(&mut self, name: &'a str) -> Run<Value> {
        let marked = matches!(self.peek(), Some(Tok::Under | Tok::Prime));
        match name {
            "e" if !marked => return Ok(Value::Expr(Expr::atom(Atom::EULER))),
            "i" if !marked => return Ok(Value::Expr(Expr::atom(Atom::IMAG))),
            _ => {}
        }
        let mut full = std::borrow::Cow::Borrowed(name);
        while let Some(mark) = self.peek() {
            match mark {
                Tok::Under => {
                    self.at += 1;
                    let index = self.raw_argument()?;
                    full = format!("{full}_{{{index}}}").into();
                }
                Tok::Prime => {
                    self.at += 1;
                    full = format!("{full}'").into();
                }
                _ => break,
            }
        }
        if matches!(name, "f" | "g" | "h" | "F" | "G") && self.is_inverse_call() {
            self.at += 5;
            return self.call(&format!("{full}^{{-1}}"));
        }
        if self.is_call(name) {
            return self.call(&full);
        }
        self.algebra.symbol(&full).map(Value::Expr)
    }

    /// `^{-1}(` after the name of a function.
    fn is_inverse_call(&self) -> bool {
        let one = Tok::Num(Rational::ONE);
        let ahead = [Tok::Caret, Tok::Begin, Tok::Minus, one, Tok::End, Tok::Open('(')];
        ahead.iter().enumerate().all(|(i, tok)| self.peek_at(i) == Some(tok))
    }

    /// `f(x)`: a letter that usually names a function, or any letter before a bracketed number: `y(0)`.
    fn is_call(&self, name: &str) -> bool {
        if self.peek() != Some(&Tok::Open('(')) || self.tokens[self.at].spaced {
            return false;
        }
        let usual = matches!(
            name,
            "f" | "g"
                | "h"
                | "F"
                | "G"
                | "H"
                | "P"
                | "W"
                | "phi"
                | "psi"
                | "Gamma"
                | "zeta"
                | "delta"
                | "mho"
                | "sigma"
        );
        let number = matches!(self.peek_at(1), Some(Tok::Num(_))) && self.peek_at(2) == Some(&Tok::Close(')'));
        usual || number
    }

    fn call(&mut self, name: &str) -> Run<Value> {
        self.at += 1;
        let inner = self.list()?;
        self.expect(&Tok::Close(')'), "a bracket is not closed")?;
        let name = format!("{name}({})", self.algebra.show_value(&inner));
        self.algebra.symbol(&name).map(Value::Expr)
    }

    /// Words before a relation name something, words after a value count something.
    fn word(&mut self, word: &'a str) -> Run<Value> {
        let mut name = word.to_owned();
        while let Some(Tok::Word(next)) = self.peek() {
            name.push(' ');
            name.push_str(next);
            self.at += 1;
        }
        self.algebra.single(Atom::Unit(name.into())).map(Value::Expr)
    }

    /// The source of an index: a braced group or one token, without white space.
    pub(super) fn raw_argument(&mut self) -> Run<String> {
        let Some(first) = self.tokens.get(self.at) else { return Err(Halt::Syntax("an index is missing")) };
        let start = first.start;
        let mut depth = 0_usize;
        while let Some(token) = self.tokens.get(self.at) {
            self.at += 1;
            self.algebra.fuel.spend(1)?;
            match token.tok {
                Tok::Begin => depth += 1,
                Tok::End => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                let raw = &self.text[start..token.end];
                let raw = raw.strip_prefix('{').and_then(|r| r.strip_suffix('}')).unwrap_or(raw);
                return Ok(raw
                    .replace("\\text", "")
                    .replace("\\mathrm", "")
                    .chars()
                    .filter(|c| !c.is_whitespace() && !matches!(c, '{' | '}'))
                    .collect());
            }
        }
        Err(Halt::Syntax("a brace is not closed"))
    }

    /// `{…}` of LaTeX: invisible, but a list in it is a list.
    fn group(&mut self) -> Run<Value> {
        if self.eat(&Tok::End) {
            return Ok(Value::Expr(Expr::int(1)));
        }
        let mut value = self.list()?;
        if let Some(Tok::Cmd(infix @ ("choose" | "divided"))) = self.peek() {
            let choose = *infix == "choose";
            self.at += 1;
            let below = self.list()?;
            let (above, below) = (Self::expression(value)?, Self::expression(below)?);
            let result = if choose {
                self.algebra.func(Func::Binomial, vec![above, below])?
            } else {
                self.algebra.div(&above, &below)?
            };
            value = Value::Expr(result);
        }
        self.expect(&Tok::End, "a brace is not closed")?;
        Ok(value)
    }

    fn bracket(&mut self, open: char) -> Run<Value> {
        let bars = std::mem::take(&mut self.bars);
        if open == '{' {
            self.bars = 1;
        }
        if let Some(Tok::Close(close)) = self.peek().cloned() {
            self.at += 1;
            self.bars = bars;
            return if open == '{' { Ok(Value::Set(Vec::new())) } else { Ok(Value::Tuple(open, Vec::new(), close)) };
        }
        let inner = self.list()?;
        if open == '{' && matches!(self.peek(), Some(Tok::Bar | Tok::Colon)) {
            self.at += 1;
            self.bars = 0;
            let condition = self.list()?;
            self.expect(&Tok::Close('}'), "a brace is not closed")?;
            self.bars = bars;
            return Ok(Value::Builder(Box::new(inner), Box::new(condition)));
        }
        let Some(Tok::Close(close)) = self.next() else { return Err(Halt::Syntax("a bracket is not closed")) };
        self.bars = bars;
        Ok(match (open, inner) {
            ('{', Value::List(_, items)) => Value::Set(items),
            ('{', one) => Value::Set(vec![one]),
            (_, Value::List(Joint::Comma | Joint::Semicolon | Joint::And, items)) => Value::Tuple(open, items, close),
            ('<', one) => Value::Tuple(open, vec![one], close),
            (_, one) => one,
        })
    }

    fn absolute(&mut self, open: &Tok<'_>) -> Run<Value> {
        let close = if *open == Tok::LBar { Tok::RBar } else { Tok::Bar };
        let bars = self.bars;
        self.bars = bars + 1;
        let inner = self.sum();
        self.bars = bars;
        let inner = inner?;
        if !self.eat(&close) {
            return Err(Halt::Syntax("an absolute value is not closed"));
        }
        match inner {
            Value::Expr(e) => self.algebra.func(Func::Abs, vec![e]).map(Value::Expr),
            Value::Matrix(n, m) => self.determinant(n, &m).map(Value::Expr),
            _ => Err(Halt::Syntax("the absolute value of this")),
        }
    }

    fn rounded(&mut self, f: Func, close: &Tok<'_>) -> Run<Value> {
        let inner = self.sum()?;
        self.expect(close, "a bracket is not closed")?;
        let inner = Self::expression(inner)?;
        if let Some(floor) = self.algebra.floor_of(&inner)?
            && inner.as_number().is_none()
        {
            let up = i64::from(f == Func::Ceil);
            let value = Rational::from_big(floor).add(&Rational::int(up), &mut self.algebra.fuel)?;
            return Ok(Value::Expr(Expr::number(value)));
        }
        self.algebra.func(f, vec![inner]).map(Value::Expr)
    }

    fn environment(&mut self, name: &str) -> Run<Value> {
        let matrix = name.contains("matrix") || name == "array";
        if !matrix {
            return Err(Halt::Syntax("an environment that is not a matrix"));
        }
        let mut rows: Vec<Vec<Expr>> = vec![Vec::new()];
        loop {
            match self.peek() {
                None => return Err(Halt::Syntax("a matrix is not closed")),
                Some(Tok::EnvEnd) => {
                    self.at += 1;
                    break;
                }
                Some(Tok::RowBreak) => {
                    self.at += 1;
                    rows.push(Vec::new());
                }
                Some(Tok::Amp | Tok::Comma) => self.at += 1,
                Some(_) => {
                    let entry = self.sum()?;
                    let entry = Self::expression(entry)?;
                    if let Some(row) = rows.last_mut() {
                        row.push(entry);
                    }
                }
            }
            self.algebra.fuel.spend(1)?;
        }
        rows.retain(|r| !r.is_empty());
        let columns = rows.first().map_or(0, Vec::len);
        if columns == 0 || rows.iter().any(|r| r.len() != columns) {
            return Err(Halt::Syntax("the rows of a matrix differ in length"));
        }
        let entries: Vec<Expr> = rows.into_iter().flatten().collect();
        if name == "vmatrix" {
            return self.determinant(columns, &entries).map(Value::Expr);
        }
        Ok(Value::Matrix(columns, entries))
    }

    /// Determinant by expansion along the first row, up to 5 × 5.
    fn determinant(&mut self, n: usize, m: &[Expr]) -> Run<Expr> {
        if m.len() != n * n || n > 5 {
            return Err(Halt::Syntax("the determinant of this"));
        }
        if n == 1 {
            return Ok(m[0].clone());
        }
        let mut sum = Expr::zero();
        for column in 0..n {
            let minor: Vec<Expr> = (1..n)
                .flat_map(|r| (0..n).filter(move |c| *c != column).map(move |c| (r, c)))
                .map(|(r, c)| m[r * n + c].clone())
                .collect();
            let minor = self.determinant(n - 1, &minor)?;
            let mut term = self.algebra.mul(&m[column], &minor)?;
            if column % 2 == 1 {
                term = self.algebra.neg(&term)?;
            }
            sum = self.algebra.add(&sum, &term)?;
        }
        Ok(sum)
    }

    /// An argument of `\frac` and its kin: a braced group, or one digit or letter.
    fn argument(&mut self) -> Run<Expr> {
        if self.eat(&Tok::Begin) {
            let value = self.group()?;
            return Self::expression(value);
        }
        let value = self.operand()?;
        Self::expression(value)
    }

    fn command(&mut self, name: &str) -> Run<Value> {
        self.algebra.fuel.enter()?;
        let value = match name {
            "frac" => self.fraction(),
            "sqrt" => self.root(),
            "binom" => {
                let n = self.argument()?;
                let k = self.argument()?;
                self.algebra.func(Func::Binomial, vec![n, k]).map(Value::Expr)
            }
            "over" => {
                let raw = self.raw_argument()?;
                self.algebra.symbol(&format!("\\overline{{{raw}}}")).map(Value::Expr)
            }
            "sum" => self.series(Func::Sum),
            "prod" => self.series(Func::Product),
            _ => Err(Halt::Syntax("an integral or limit")),
        };
        self.algebra.fuel.leave();
        value
    }

    /// `\frac{a}{b}`, `\frac12`; `\frac{dy}{dx}` is a name.
    fn fraction(&mut self) -> Run<Value> {
        if let Some(name) = self.derivative() {
            return self.algebra.symbol(&name).map(Value::Expr);
        }
        let top = self.argument()?;
        let bottom = self.argument()?;
        self.algebra.div(&top, &bottom).map(Value::Expr)
    }

    fn derivative(&mut self) -> Option<String> {
        let is_d = |t: Option<&Tok<'_>>| matches!(t, Some(Tok::Sym("d" | "partial")));
        if self.peek() != Some(&Tok::Begin) || !is_d(self.peek_at(1)) {
            return None;
        }
        let back = self.at;
        let top = self.raw_argument().ok()?;
        if self.peek() != Some(&Tok::Begin) || !is_d(self.peek_at(1)) {
            self.at = back;
            return None;
        }
        let bottom = self.raw_argument().ok()?;
        Some(format!("\\frac{{{top}}}{{{bottom}}}"))
    }

    fn root(&mut self) -> Run<Value> {
        let mut index = 2;
        if self.eat(&Tok::Open('[')) {
            let value = self.sum()?;
            let value = Self::expression(value)?;
            index = value.as_int().filter(|n| (1..=1000).contains(n)).ok_or(Halt::Syntax("the index of a root"))?;
            self.expect(&Tok::Close(']'), "a bracket is not closed")?;
        }
        let inside = self.argument()?;
        self.algebra.root(&inside, index).map(Value::Expr)
    }

    /// `\sum_{k=a}^{b} body`: added up where the bounds are numbers, else compared by its parts.
    fn series(&mut self, f: Func) -> Run<Value> {
        self.expect(&Tok::Under, "a sum without an index")?;
        let lower = if self.eat(&Tok::Begin) { self.group()? } else { self.operand()? };
        self.expect(&Tok::Caret, "a sum without an upper bound")?;
        let upper = if self.eat(&Tok::Begin) { self.group()? } else { self.operand()? };
        let upper = Self::expression(upper)?;
        let (variable, from) = match lower {
            Value::Chain(mut sides, signs) if signs == [Relation::Eq] && sides.len() == 2 => {
                let from = Self::expression(sides.remove(1))?;
                (Self::expression(sides.remove(0))?, from)
            }
            _ => return Err(Halt::Syntax("the index of a sum")),
        };
        let body = self.product()?;
        let body = Self::expression(body)?;
        let Some(index) = variable.as_atom() else { return Err(Halt::Syntax("the index of a sum")) };
        if let (Some(a), Some(b)) = (from.as_int(), upper.as_int())
            && (0..=200).contains(&b.saturating_sub(a))
        {
            return self.expanded(f, index, &body, a, b);
        }
        self.algebra.func(f, vec![body, variable, from, upper]).map(Value::Expr)
    }

    fn expanded(&mut self, f: Func, index: u32, body: &Expr, a: i64, b: i64) -> Run<Value> {
        let mut total = Expr::int(i64::from(f == Func::Product));
        for k in a..=b {
            let term = self.algebra.substitute(body, index, &Expr::int(k))?;
            total = if f == Func::Sum { self.algebra.add(&total, &term)? } else { self.algebra.mul(&total, &term)? };
        }
        Ok(Value::Expr(total))
    }

    /// `\sin x`, `sin(x)`, `\log_2 8`, `pi`.
    fn function(&mut self, name: &str) -> Run<Value> {
        match name {
            "pi" => return Ok(Value::Expr(Expr::atom(Atom::PI))),
            "inf" | "infinity" | "infty" | "oo" => return Ok(Value::Expr(Expr::atom(Atom::INF))),
            "sqrt" => {
                let inside = self.argument()?;
                return self.algebra.root(&inside, 2).map(Value::Expr);
            }
            "frac" => return self.fraction(),
            _ => {}
        }
        let mut base = None;
        let mut exponent = None;
        let mut inverse = false;
        loop {
            if self.eat(&Tok::Under) {
                base = Some(self.argument()?);
            } else if self.eat(&Tok::Caret) {
                let value = self.exponent()?;
                let value = Self::expression(value)?;
                inverse = value.as_int() == Some(-1);
                exponent = Some(value);
            } else {
                break;
            }
        }
        let args = self.function_arguments()?;
        let value = self.apply(name, base, args, inverse)?;
        match exponent {
            Some(k) if !inverse => self.algebra.pow(&value, &k).map(Value::Expr),
            _ => Ok(Value::Expr(value)),
        }
    }

    /// A bracketed list, a braced group, or the product that follows: `\sin 2x`.
    fn function_arguments(&mut self) -> Run<Vec<Expr>> {
        if let Some(Tok::Open('(' | '[')) = self.peek() {
            let value = self.operand()?;
            match value {
                Value::Tuple(_, items, _) => items.into_iter().map(Self::expression).collect(),
                one => Ok(vec![Self::expression(one)?]),
            }
        } else {
            let mut negative = false;
            while matches!(self.peek(), Some(Tok::Minus | Tok::Plus)) {
                negative ^= self.next() == Some(Tok::Minus);
            }
            let mut value = self.power()?;
            while let Some(tok) = self.peek() {
                let more = matches!(tok, Tok::Num(_) | Tok::Sym(_) | Tok::Cmd("frac" | "sqrt") | Tok::Fun("pi"));
                if !more {
                    break;
                }
                let next = self.power()?;
                value = self.algebra.value_mul(value, next)?;
            }
            let e = Self::expression(value)?;
            Ok(vec![if negative { self.algebra.neg(&e)? } else { e }])
        }
    }

    fn apply(&mut self, name: &str, base: Option<Expr>, args: Vec<Expr>, inverse: bool) -> Run<Expr> {
        let first = args.first().cloned().ok_or(Halt::Syntax("a function without argument"))?;
        let one = args.len() == 1;
        let algebra = &mut *self.algebra;
        if inverse {
            let f = match name {
                "sin" => Func::Asin,
                "cos" => Func::Acos,
                "tan" => Func::Atan,
                _ => return Err(Halt::Syntax("the inverse of this function")),
            };
            return algebra.func(f, vec![first]);
        }
        match name {
            "sin" if one => algebra.func(Func::Sin, args),
            "cos" if one => algebra.func(Func::Cos, args),
            "tan" if one => algebra.ratio_of(Some(Func::Sin), Func::Cos, &first),
            "cot" if one => algebra.ratio_of(Some(Func::Cos), Func::Sin, &first),
            "sec" if one => algebra.ratio_of(None, Func::Cos, &first),
            "csc" if one => algebra.ratio_of(None, Func::Sin, &first),
            "tanh" if one => algebra.ratio_of(Some(Func::Sinh), Func::Cosh, &first),
            "arcsin" | "asin" if one => algebra.func(Func::Asin, args),
            "arccos" | "acos" if one => algebra.func(Func::Acos, args),
            "arctan" | "atan" if one => algebra.func(Func::Atan, args),
            "arccot" if one => {
                let inverse = algebra.div(&Expr::int(1), &first)?;
                algebra.func(Func::Atan, vec![inverse])
            }
            "sinh" if one => algebra.func(Func::Sinh, args),
            "cosh" if one => algebra.func(Func::Cosh, args),
            "exp" if one => algebra.pow(&Expr::atom(Atom::EULER), &first),
            "ln" if one => algebra.func(Func::Ln, args),
            "log" | "lg" => logarithm(algebra, name, base, &args),
            "abs" if one => algebra.func(Func::Abs, args),
            "floor" if one => algebra.func(Func::Floor, args),
            "ceil" if one => algebra.func(Func::Ceil, args),
            "factorial" if one => algebra.func(Func::Factorial, args),
            "cbrt" if one => algebra.root(&first, 3),
            "binom" if args.len() == 2 => algebra.func(Func::Binomial, args),
            "min" => algebra.func(Func::Min, args),
            "max" => algebra.func(Func::Max, args),
            "gcd" => algebra.func(Func::Gcd, args),
            "lcm" => algebra.func(Func::Lcm, args),
            _ => Err(Halt::Syntax("an unknown function")),
        }
    }
}

/// `log_b x = ln x / ln b`; without a base the scale is left open.
fn logarithm(algebra: &mut Algebra, name: &str, base: Option<Expr>, args: &[Expr]) -> Run<Expr> {
    let x = args.first().cloned().ok_or(Halt::Syntax("a logarithm without argument"))?;
    let base = base.or_else(|| args.get(1).cloned());
    let ln = algebra.func(Func::Ln, vec![x])?;
    let base = match (name, base) {
        ("lg", None) => Some(Expr::int(10)),
        (_, base) => base,
    };
    match base {
        None => algebra.mul(&ln, &Expr::atom(Atom::LOG_SCALE)),
        Some(base) => {
            let scale = algebra.func(Func::Ln, vec![base])?;
            algebra.div(&ln, &scale)
        }
    }
}
