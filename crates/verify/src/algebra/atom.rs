//! Atoms: what terms are products of.

use super::Expr;
use crate::rational::Rational;

/// Index of an atom in its [`super::Algebra`].
pub(crate) type AtomId = u32;

/// An indivisible factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Atom {
    /// π.
    Pi,
    /// Euler's number, with any rational exponent.
    E,
    /// The imaginary unit; exponents 0 or 1.
    I,
    /// The sign of `±`; exponents 0 or 1.
    PlusMinus,
    /// One per cent, until a comparison decides whether it is 1/100 or a mark to ignore.
    Percent,
    /// One degree, until a comparison decides whether it is π/180 or a mark to ignore.
    Degree,
    /// `1 / ln b` of a logarithm written without its base `b`, until a comparison decides on e or 10.
    LogScale,
    /// +∞, as an end of an interval.
    Infinity,
    /// A variable, a name, an undetermined function value.
    Sym(Box<str>),
    /// A unit of measurement or a counted thing.
    Unit(Box<str>),
    /// A positive integer under a root; exponents between 0 and 1.
    Radicand(Rational),
    /// A sum raised to a power that is not expanded; exponents between 0 and 1, or large.
    Base(Expr),
    /// `base ^ exponent` with an exponent that is not a number.
    Pow(Expr, Expr),
    /// A function value.
    Func(Func, Vec<Expr>),
}

impl Atom {
    pub(crate) const PI: AtomId = 0;
    pub(crate) const EULER: AtomId = 1;
    pub(crate) const IMAG: AtomId = 2;
    pub(crate) const PM: AtomId = 3;
    pub(crate) const PERCENT: AtomId = 4;
    pub(crate) const DEGREE: AtomId = 5;
    pub(crate) const LOG_SCALE: AtomId = 6;
    pub(crate) const INF: AtomId = 7;

    /// Atoms that every algebra starts with, at the numbers above.
    pub(crate) const FIXED: [Self; 8] =
        [Self::Pi, Self::E, Self::I, Self::PlusMinus, Self::Percent, Self::Degree, Self::LogScale, Self::Infinity];

    /// Arguments of a composite atom.
    pub(crate) fn parts(&self) -> &[Expr] {
        match self {
            Self::Base(e) => std::slice::from_ref(e),
            Self::Func(_, args) => args,
            _ => &[],
        }
    }
}

/// Functions with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Func {
    Sin,
    Cos,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Ln,
    Abs,
    Floor,
    Ceil,
    Factorial,
    Binomial,
    Min,
    Max,
    Gcd,
    Lcm,
    /// A sum or product over an index, or anything else that is compared by its parts only.
    Sum,
    Product,
    /// A number with a base: digits, base.
    InBase,
}

impl Func {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sin => "sin",
            Self::Cos => "cos",
            Self::Asin => "arcsin",
            Self::Acos => "arccos",
            Self::Atan => "arctan",
            Self::Sinh => "sinh",
            Self::Cosh => "cosh",
            Self::Ln => "ln",
            Self::Abs => "abs",
            Self::Floor => "floor",
            Self::Ceil => "ceil",
            Self::Factorial => "factorial",
            Self::Binomial => "binom",
            Self::Min => "min",
            Self::Max => "max",
            Self::Gcd => "gcd",
            Self::Lcm => "lcm",
            Self::Sum => "sum",
            Self::Product => "prod",
            Self::InBase => "base",
        }
    }
}
