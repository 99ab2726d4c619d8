//! Canonical text of expressions; it reads back as the same expression.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::poly::Term;
use super::{Algebra, Atom, AtomId, Expr, Poly};
use crate::rational::Rational;

impl Algebra {
    /// Writes an expression.
    pub(crate) fn show(&self, e: &Expr) -> String {
        let mut out = String::new();
        self.write(e, &mut out);
        out
    }

    pub(crate) fn write(&self, e: &Expr, out: &mut String) {
        if e.den.is_empty() {
            return self.write_sum(&e.num, out);
        }
        out.push('(');
        self.write_sum(&e.num, out);
        out.push_str(")/(");
        self.write_sum(&e.den, out);
        out.push(')');
    }

    fn write_sum(&self, poly: &Poly, out: &mut String) {
        if poly.is_empty() {
            out.push('0');
        }
        if let [only] = poly.as_slice() {
            return self.write_term(only, true, out);
        }
        for (i, term) in self.in_order(poly).into_iter().enumerate() {
            self.write_term(term, i == 0, out);
        }
    }

    fn write_term(&self, term: &Term, first: bool, out: &mut String) {
        if term.coeff.is_negative() {
            out.push('-');
        } else if !first {
            out.push('+');
        }
        let c = term.coeff.abs();
        let bare = term.mono.is_empty();
        if bare || !c.is_one() {
            let _ = write!(out, "{c}");
        }
        let mut factors: Vec<String> = term.mono.iter().map(|(a, e)| self.factor(*a, e)).collect();
        factors.sort();
        for (i, factor) in factors.iter().enumerate() {
            if i > 0 || !c.is_one() {
                out.push('*');
            }
            out.push_str(factor);
        }
    }

    fn factor(&self, atom: AtomId, e: &Rational) -> String {
        let name = self.name(atom);
        match e.small() {
            Some((1, 1)) => name,
            Some((1, 2)) => {
                format!("sqrt({})", name.strip_prefix('(').and_then(|n| n.strip_suffix(')')).unwrap_or(&name))
            }
            Some((k, 1)) if k > 0 => format!("{name}^{k}"),
            _ => format!("{name}^({e})"),
        }
    }

    fn name(&self, atom: AtomId) -> String {
        match self.atom(atom) {
            Atom::Pi => "pi".into(),
            Atom::E => "e".into(),
            Atom::I => "i".into(),
            Atom::PlusMinus => "(\\pm 1)".into(),
            Atom::Percent => "\\%".into(),
            Atom::Degree => "^\\circ".into(),
            Atom::LogScale => "\\log(e)".into(),
            Atom::Infinity => "infinity".into(),
            Atom::Sym(name) => name.to_string(),
            Atom::Unit(name) => format!("\\text{{ {name}}}"),
            Atom::Radicand(n) => n.to_string(),
            Atom::Base(e) => format!("({})", self.show(e)),
            Atom::Pow(base, exponent) => {
                let text = self.show(base);
                let simple = text.chars().all(char::is_alphanumeric);
                let exponent = self.show(exponent);
                if simple { format!("{text}^({exponent})") } else { format!("({text})^({exponent})") }
            }
            Atom::Func(f, args) => {
                let args: Vec<String> = args.iter().map(|a| self.show(a)).collect();
                format!("{}({})", f.name(), args.join(","))
            }
        }
    }

    /// Terms in the order in which they are printed: by falling degree in the variables, then by text.
    pub(super) fn in_order<'a>(&self, poly: &'a Poly) -> Vec<&'a Term> {
        let mut keyed: Vec<(Rational, Vec<String>, &Term)> = poly
            .iter()
            .map(|t| {
                let mut factors: Vec<String> = t.mono.iter().map(|(a, e)| self.factor(*a, e)).collect();
                factors.sort();
                (self.degree(t), factors, t)
            })
            .collect();
        keyed.sort_by(|(d, f, _), (e, g, _)| match e.cmp(d) {
            Ordering::Equal => f.cmp(g),
            other => other,
        });
        keyed.into_iter().map(|(_, _, t)| t).collect()
    }

    fn degree(&self, term: &Term) -> Rational {
        let fuel = &mut crate::fuel::Fuel::new(1000);
        let variables = term.mono.iter().filter(|(a, _)| matches!(self.atom(*a), Atom::Sym(_)));
        variables.fold(Rational::ZERO, |sum, (_, e)| sum.add(e, fuel).unwrap_or(sum))
    }
}
