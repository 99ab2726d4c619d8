//! Reading: from the text of an answer to its value.
//!
//! The lexer knows LaTeX and plain notation, the parser builds canonical values directly: there is no tree in
//! between. What cannot be decided from the text alone (is `1,234` a number or a pair?) is a [`Style`]; a text is read
//! in its most likely style first.

mod lexer;
mod number;
mod operand;
mod parser;
mod token;
mod value;

pub(crate) use lexer::lex;
pub(crate) use parser::parse;
pub(crate) use token::{Relation, Tok};
pub(crate) use value::{Joint, Value};

/// How to read what is ambiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comma {
    /// `1,234` is one number outside of brackets.
    Groups,
    /// `1,234` are two numbers.
    Separates,
    /// `1,22` is 1.22.
    Decimal,
}

/// One way to read a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) comma: Comma,
    /// `2e-1` is 0.2, not `2·e − 1`.
    pub(crate) scientific: bool,
    /// `5 m` are five metres, not five times `m`.
    pub(crate) unit_letters: bool,
}

impl Style {
    pub(crate) const FIRST: Self = Self { comma: Comma::Groups, scientific: true, unit_letters: false };
}
