//! Verifiers of answers: exact arithmetic, canonical forms, bounded work.
//!
//! # From a response to a verdict
//!
//! ```text
//! response ── extract ──▶ answer ── lex, parse ──▶ value ──┐
//!                                                          ├── compare ──▶ Verdict
//! task ────── reference ▶ answer ── lex, parse ──▶ value ──┘
//! ```
//!
//! 1. **[`extract`]** cuts the answer out of the response: the last `\boxed{…}` (neighbouring boxes are one list),
//!    `<answer>` tags, `####`, "the answer is …", a bare expression, the last formula or number.
//! 2. **Reading** turns LaTeX or plain notation into a value: a formula, a tuple or interval, a list, a set, a union,
//!    a matrix, a relation, a ratio; words stay words. Formulas are kept as quotients of polynomials with exact rational
//!    coefficients over atoms (variables, π, e, i, roots of primes, function values), with the relations of the atoms
//!    applied.
//! 3. **Comparing** is exact first: the difference of two formulas is the empty sum, or it is not and its atoms are
//!    independent. What is left is evaluated in ball arithmetic at up to six points: balls that do not meet prove a
//!    difference, balls that meet within `2^-128 · max(1, |x|)` at all points (at least two, or the one point of a
//!    constant) count as equality. That is the only place where an error is possible, and its bound.
//! 4. **Fuel**: every token, term and limb is paid for from one counter, and nesting is bounded. There is no clock: the
//!    same input gives the same verdict on any machine. Out of fuel is [`tdrm_core::Unparsable::OutOfFuel`].
//!
//! What cannot be judged is never "incorrect": a [`Verdict`](tdrm_core::Verdict) says `Unparsable` with the reason, and
//! [`Verified`], which makes a reward model of a verifier, turns that into a reward only if the caller says which.
//!
//! ```
//! use tdrm_core::{Verdict, Verifier};
//! use tdrm_verify::MathVerifier;
//! let verdict = MathVerifier::new().verify(r"$\frac{3}{4}$", r"… hence \boxed{75\%}");
//! assert_eq!(verdict, Verdict::Correct { gold: "3/4".into(), extracted: r"75*\%".into() });
//! ```
//!
//! # Choices
//! [`Options`] names each of them; the default agrees with Math-Verify, [`Options::EXACT`] ignores nothing. Answers are
//! lists of solutions unless brackets say otherwise: `1, 2` is `2, 1`, `(1, 2)` is not `(2, 1)`. `(1, 2)` is a point or an
//! interval, whatever the other side is.
//!
//! # Composition
//! [`Combine::and`], [`Combine::or`], [`all_of`], [`any_of`] (three-valued logic), [`Check`] (format, length, language,
//! JSON tests), [`Verified`] (rewards), [`majority`] (votes by equivalence).

mod algebra;
mod check;
mod cli;
mod combine;
mod compare;
mod extract;
mod fuel;
mod majority;
mod math;
mod numeric;
mod options;
mod rational;
mod reading;
mod syntax;
mod text;
mod verified;
mod words;

pub use check::{Check, Expect, JsonTest, Rule, Script};
pub use cli::{Request, Response, cli_line};
pub use combine::{AllOf, And, AnyOf, Combine, Or, all_of, any_of};
pub use extract::{Extracted, How, extract};
pub use majority::{Class, classes, majority, majority_answer};
pub use math::MathVerifier;
pub use options::{Lists, Marks, Options, Relations, Variables};
pub use verified::{Attempt, Unjudged, Verified};
