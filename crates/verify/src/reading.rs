//! An answer as it was read.

use std::borrow::Cow;

use crate::algebra::{Algebra, Atom, Expr};
use crate::compare::{Comparer, expressions};
use crate::fuel::{Halt, Run};
use crate::options::Options;
use crate::syntax::{Comma, Joint, Style, Tok, Value, lex, parse};
use crate::text;

/// What an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Mathematics.
    Value(Value),
    /// Words.
    Words(String),
    /// Mathematics that could not be read, and why.
    Broken(&'static str),
}

/// A text, what it means, and in which other styles it could be read.
#[derive(Debug, Clone)]
pub(crate) struct Reading<'a> {
    pub(crate) source: Cow<'a, str>,
    pub(crate) content: Content,
    pub(crate) decimal: bool,
    pub(crate) others: Vec<Style>,
}

impl<'a> Reading<'a> {
    /// Reads a text in its most likely style.
    pub(crate) fn new(source: Cow<'a, str>, algebra: &mut Algebra) -> Run<Self> {
        Self::in_style(source, Style::FIRST, algebra)
    }

    pub(crate) fn in_style(source: Cow<'a, str>, style: Style, algebra: &mut Algebra) -> Run<Self> {
        let text = tidy(&source);
        let lexed = lex(text, style, &mut algebra.fuel)?;
        let mut others = Vec::new();
        if lexed.decimal_comma {
            others.push(Style { comma: Comma::Decimal, ..style });
        }
        if lexed.grouped {
            others.push(Style { comma: Comma::Separates, ..style });
        }
        if lexed.scientific {
            others.push(Style { scientific: false, ..style });
        }
        if lexed.unit_letter && !style.unit_letters {
            others.push(Style { unit_letters: true, ..style });
        }
        let digits = lexed.tokens.iter().any(|t| matches!(t.tok, Tok::Num(_)));
        let wordy = lexed.words > 3 || (lexed.words > 0 && !digits && lexed.words * 2 >= lexed.math);
        let decimal = lexed.decimal;
        let content = if lexed.tokens.is_empty() || wordy {
            Content::Words(text::words(text))
        } else {
            match parse(text, &lexed, algebra).and_then(|v| expand(algebra, v)) {
                Ok(value) if !digits && is_wordy(algebra, &value) => Content::Words(text::words(text)),
                Ok(value) => Content::Value(value),
                Err(Halt::Fuel) => return Err(Halt::Fuel),
                Err(Halt::Syntax(_)) if lexed.words > 0 => Content::Words(text::words(text)),
                Err(Halt::Syntax(why)) => Content::Broken(why),
            }
        };
        algebra.fuel.surface();
        Ok(Self { source, content, decimal, others })
    }

    /// Canonical text.
    pub(crate) fn canonical(&self, algebra: &Algebra) -> String {
        match &self.content {
            Content::Value(value) => algebra.show_value(value),
            Content::Words(words) => words.clone(),
            Content::Broken(_) => text::bare(&self.source),
        }
    }
}

/// Takes marks away that do not belong to the answer.
fn tidy(text: &str) -> &str {
    let mut text = text.trim();
    loop {
        let before = text;
        text = text.trim_matches([' ', '\n', '\t', '*', '`']).trim_end_matches([',', ';', ':']);
        if text.ends_with('.') && !text.ends_with("..") {
            text = &text[..text.len() - 1];
        }
        for (open, close) in [("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)")] {
            if let Some(inner) = text.strip_prefix(open).and_then(|t| t.strip_suffix(close)) {
                text = inner;
            }
        }
        if let Some(inner) = text.strip_prefix('$').and_then(|t| t.strip_suffix('$'))
            && !inner.ends_with('\\')
        {
            text = inner;
        }
        if text.len() == before.len() {
            return text;
        }
    }
}

/// A value that is nothing but words.
fn is_wordy(algebra: &Algebra, value: &Value) -> bool {
    match value {
        Value::Expr(e) => {
            let Some(term) = e.as_term() else { return false };
            term.coeff.is_one()
                && !term.mono.is_empty()
                && term.mono.iter().all(|(a, _)| matches!(algebra.atom(*a), Atom::Unit(_)))
        }
        _ => false,
    }
}

/// `a ± b` becomes the list of both.
fn expand(algebra: &mut Algebra, value: Value) -> Run<Value> {
    let mut parts = Vec::new();
    expressions(&value, &mut parts);
    let present = parts.iter().any(|e| algebra.mentions(e, Atom::PM));
    if !present {
        return Ok(value);
    }
    match value {
        Value::List(joint, items) => Ok(Value::List(joint, expand_all(algebra, items)?)),
        Value::Set(items) => Ok(Value::Set(expand_all(algebra, items)?)),
        Value::Chain(mut sides, signs) if sides.len() == 2 => {
            let right = sides.pop().unwrap_or(Value::Set(Vec::new()));
            let left = sides.pop().unwrap_or(Value::Set(Vec::new()));
            match expand(algebra, right)? {
                Value::List(joint, items) => Ok(Value::List(
                    joint,
                    items.into_iter().map(|v| Value::Chain(vec![left.clone(), v], signs.clone())).collect(),
                )),
                one => Ok(Value::Chain(vec![left, one], signs)),
            }
        }
        other => {
            let options = Options::EXACT;
            let mut comparer = Comparer { algebra, options: &options, decimal: false };
            let plus = comparer.substituted(&other, Atom::PM, &Expr::int(1))?;
            let minus = comparer.substituted(&other, Atom::PM, &Expr::int(-1))?;
            Ok(Value::List(Joint::Or, vec![plus, minus]))
        }
    }
}

fn expand_all(algebra: &mut Algebra, items: Vec<Value>) -> Run<Vec<Value>> {
    let mut all = Vec::new();
    for item in items {
        match expand(algebra, item)? {
            Value::List(_, parts) => all.extend(parts),
            one => all.push(one),
        }
    }
    Ok(all)
}
