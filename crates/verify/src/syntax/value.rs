//! What an answer can be.

use crate::algebra::{Algebra, Expr};
use crate::fuel::{Halt, Run};

use super::Relation;

/// The value of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A number or formula.
    Expr(Expr),
    /// A matrix: number of columns, entries row by row.
    Matrix(usize, Vec<Expr>),
    /// A bracketed list: opening bracket, entries, closing bracket. `(a, b)` may be a point or an interval.
    Tuple(char, Vec<Value>, char),
    /// Several answers.
    List(Joint, Vec<Value>),
    /// `{a, b, …}`.
    Set(Vec<Value>),
    /// `A ∪ B ∪ …`.
    Union(Vec<Value>),
    /// `A ∩ B ∩ …`.
    Intersection(Vec<Value>),
    /// `A ∖ B`.
    Difference(Box<Value>, Box<Value>),
    /// `{x | condition}`.
    Builder(Box<Value>, Box<Value>),
    /// `a < b ≤ c`: one more side than signs.
    Chain(Vec<Value>, Vec<Relation>),
    /// `a : b : c`.
    Ratio(Vec<Expr>),
}

/// What holds a list together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joint {
    Comma,
    Semicolon,
    And,
    Or,
}

/// Arithmetic of values: expressions, matrices, tuples by a scalar.
impl Algebra {
    pub(crate) fn value_add(&mut self, a: Value, b: Value) -> Run<Value> {
        match (a, b) {
            (Value::Expr(a), Value::Expr(b)) => self.add(&a, &b).map(Value::Expr),
            (Value::Matrix(n, a), Value::Matrix(m, b)) if n == m && a.len() == b.len() => {
                let sums: Run<Vec<Expr>> = a.iter().zip(&b).map(|(x, y)| self.add(x, y)).collect();
                Ok(Value::Matrix(n, sums?))
            }
            (Value::Tuple(o, a, c), Value::Tuple(_, b, _)) if a.len() == b.len() => {
                let sums: Run<Vec<Value>> = a.into_iter().zip(b).map(|(x, y)| self.value_add(x, y)).collect();
                Ok(Value::Tuple(o, sums?, c))
            }
            _ => Err(Halt::Syntax("these cannot be added")),
        }
    }

    pub(crate) fn value_mul(&mut self, a: Value, b: Value) -> Run<Value> {
        match (a, b) {
            (Value::Expr(a), Value::Expr(b)) => self.mul(&a, &b).map(Value::Expr),
            (Value::Expr(s), Value::Matrix(n, m)) | (Value::Matrix(n, m), Value::Expr(s)) => {
                let scaled: Run<Vec<Expr>> = m.iter().map(|x| self.mul(x, &s)).collect();
                Ok(Value::Matrix(n, scaled?))
            }
            (Value::Expr(s), Value::Tuple(o, items, c)) | (Value::Tuple(o, items, c), Value::Expr(s)) => {
                let scaled: Run<Vec<Value>> =
                    items.into_iter().map(|x| self.value_mul(x, Value::Expr(s.clone()))).collect();
                Ok(Value::Tuple(o, scaled?, c))
            }
            (Value::Matrix(k, a), Value::Matrix(n, b)) if k > 0 && n > 0 && b.len() == k * n => {
                self.matrix_product(k, &a, n, &b)
            }
            _ => Err(Halt::Syntax("these cannot be multiplied")),
        }
    }

    fn matrix_product(&mut self, k: usize, a: &[Expr], n: usize, b: &[Expr]) -> Run<Value> {
        let mut product = Vec::with_capacity(a.len() / k * n);
        for row in a.chunks(k) {
            for column in 0..n {
                let mut sum = Expr::zero();
                for (i, x) in row.iter().enumerate() {
                    let term = self.mul(x, &b[i * n + column])?;
                    sum = self.add(&sum, &term)?;
                }
                product.push(sum);
            }
        }
        Ok(Value::Matrix(n, product))
    }

    pub(crate) fn value_neg(&mut self, a: Value) -> Run<Value> {
        self.value_mul(Value::Expr(Expr::int(-1)), a)
    }

    pub(crate) fn value_div(&mut self, a: Value, b: Value) -> Run<Value> {
        match (a, b) {
            (Value::Expr(a), Value::Expr(b)) => self.div(&a, &b).map(Value::Expr),
            (a, Value::Expr(b)) => {
                let inverse = self.div(&Expr::int(1), &b)?;
                self.value_mul(a, Value::Expr(inverse))
            }
            _ => Err(Halt::Syntax("these cannot be divided")),
        }
    }
}

/// Canonical text of values.
impl Algebra {
    pub(crate) fn show_value(&self, value: &Value) -> String {
        match value {
            Value::Expr(e) => self.show(e),
            Value::Matrix(n, m) => {
                let rows: Vec<String> = m
                    .chunks((*n).max(1))
                    .map(|row| row.iter().map(|e| self.show(e)).collect::<Vec<_>>().join(" & "))
                    .collect();
                format!("\\begin{{pmatrix}}{}\\end{{pmatrix}}", rows.join(" \\\\ "))
            }
            Value::Tuple(o, items, c) => format!("{}{}{}", bracket(*o), self.show_list(items, ","), bracket(*c)),
            Value::List(Joint::And, items) => self.show_list(items, " and "),
            Value::List(Joint::Or, items) => self.show_list(items, " or "),
            Value::List(Joint::Semicolon, items) => self.show_list(items, "; "),
            Value::List(Joint::Comma, items) => self.show_list(items, ", "),
            Value::Set(items) => {
                let mut items: Vec<String> = items.iter().map(|v| self.show_value(v)).collect();
                items.sort();
                format!("\\{{{}\\}}", items.join(", "))
            }
            Value::Union(parts) => self.show_list(parts, " \\cup "),
            Value::Intersection(parts) => self.show_list(parts, " \\cap "),
            Value::Difference(a, b) => format!("{} \\setminus {}", self.show_value(a), self.show_value(b)),
            Value::Builder(x, condition) => {
                format!("\\{{{} \\mid {}\\}}", self.show_value(x), self.show_value(condition))
            }
            Value::Chain(sides, signs) => {
                let mut out = String::new();
                for (i, side) in sides.iter().enumerate() {
                    if i > 0 {
                        out.push_str(signs[i - 1].sign());
                    }
                    out.push_str(&self.show_value(side));
                }
                out
            }
            Value::Ratio(parts) => parts.iter().map(|e| self.show(e)).collect::<Vec<_>>().join(":"),
        }
    }

    fn show_list(&self, items: &[Value], glue: &str) -> String {
        items.iter().map(|v| self.show_value(v)).collect::<Vec<_>>().join(glue)
    }
}

fn bracket(c: char) -> &'static str {
    match c {
        '(' => "(",
        ')' => ")",
        '[' => "[",
        ']' => "]",
        '<' => "\\langle ",
        '>' => "\\rangle",
        '{' => "\\{",
        _ => "\\}",
    }
}
