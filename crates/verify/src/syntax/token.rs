//! Tokens.

use crate::rational::Rational;

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tok<'a> {
    /// A number.
    Num(Rational),
    /// A variable: one letter, or the name of a Greek one.
    Sym(&'a str),
    /// A word of prose.
    Word(&'a str),
    /// A unit of measurement.
    Unit(&'a str),
    /// A function or constant by name.
    Fun(&'a str),
    /// `\frac`, `\sqrt`, `\binom`, `\overline` and the like, that take arguments.
    Cmd(&'a str),
    Plus,
    Minus,
    PlusMinus,
    MinusPlus,
    Times,
    Slash,
    Caret,
    Under,
    Bang,
    Prime,
    Percent,
    Degree,
    Colon,
    Comma,
    Semicolon,
    And,
    Or,
    Amp,
    RowBreak,
    Dots,
    Rel(Relation),
    Cup,
    Cap,
    Without,
    /// `(`, `[`, `{` of a set, `⟨`.
    Open(char),
    /// `)`, `]`, `}` of a set, `⟩`.
    Close(char),
    /// `{` of a LaTeX group.
    Begin,
    /// `}` of a LaTeX group.
    End,
    /// `|` that may open or close.
    Bar,
    LBar,
    RBar,
    LFloor,
    RFloor,
    LCeil,
    RCeil,
    /// `\begin{…}`.
    EnvBegin(&'a str),
    /// `\end{…}`.
    EnvEnd,
    EmptySet,
}

/// A relation sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Eq,
    Ne,
    Lt,
    Gt,
    Le,
    Ge,
    In,
    NotIn,
    Subset,
    Other,
}

impl Relation {
    /// The same relation read from right to left.
    pub(crate) const fn flipped(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Gt => Self::Lt,
            Self::Le => Self::Ge,
            Self::Ge => Self::Le,
            same => same,
        }
    }

    pub(crate) const fn is_order(self) -> bool {
        matches!(self, Self::Lt | Self::Gt | Self::Le | Self::Ge)
    }

    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Gt => ">",
            Self::Le => "<=",
            Self::Ge => ">=",
            Self::In => "\\in ",
            Self::NotIn => "\\notin ",
            Self::Subset => "\\subset ",
            Self::Other => "\\sim ",
        }
    }
}

/// A token and where it stood.
#[derive(Debug, Clone)]
pub(crate) struct Token<'a> {
    pub(crate) tok: Tok<'a>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// White space stands before it.
    pub(crate) spaced: bool,
}
