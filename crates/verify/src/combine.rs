//! Verifiers made of verifiers.

use serde::{Deserialize, Serialize};
use tdrm_core::{Unparsable, Verdict, Verifier};

/// Correct if all parts are correct; see [`Combine::and`] and [`all_of`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[must_use = "a verifier does nothing until it verifies"]
pub struct AllOf<V>(pub Vec<V>);

/// Correct if one part is correct; see [`Combine::or`] and [`any_of`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[must_use = "a verifier does nothing until it verifies"]
pub struct AnyOf<V>(pub Vec<V>);

/// A verifier that asks for everything in a list.
///
/// An incorrect part makes the whole incorrect, whatever could not be judged; the forms are those of the last part.
pub fn all_of<V: Verifier>(parts: impl IntoIterator<Item = V>) -> AllOf<V> {
    AllOf(parts.into_iter().collect())
}

/// A verifier that asks for one thing of a list.
///
/// A correct part makes the whole correct; else it is incorrect only if every part could be judged.
pub fn any_of<V: Verifier>(parts: impl IntoIterator<Item = V>) -> AnyOf<V> {
    AnyOf(parts.into_iter().collect())
}

impl<V: Verifier> Verifier for AllOf<V> {
    type Task = V::Task;

    fn verify(&self, task: &V::Task, response: &str) -> Verdict {
        self.0.iter().map(|part| part.verify(task, response)).reduce(both).unwrap_or_else(nothing)
    }
}

impl<V: Verifier> Verifier for AnyOf<V> {
    type Task = V::Task;

    fn verify(&self, task: &V::Task, response: &str) -> Verdict {
        self.0.iter().map(|part| part.verify(task, response)).reduce(either).unwrap_or_else(nothing)
    }
}

/// Two verifiers of the same task, both asked for; see [`Combine::and`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a verifier does nothing until it verifies"]
pub struct And<A, B>(A, B);

/// Two verifiers of the same task, one asked for; see [`Combine::or`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a verifier does nothing until it verifies"]
pub struct Or<A, B>(A, B);

impl<A: Verifier, B: Verifier<Task = A::Task>> Verifier for And<A, B> {
    type Task = A::Task;

    fn verify(&self, task: &A::Task, response: &str) -> Verdict {
        both(self.0.verify(task, response), self.1.verify(task, response))
    }
}

impl<A: Verifier, B: Verifier<Task = A::Task>> Verifier for Or<A, B> {
    type Task = A::Task;

    fn verify(&self, task: &A::Task, response: &str) -> Verdict {
        either(self.0.verify(task, response), self.1.verify(task, response))
    }
}

/// Combines verifiers of different types.
///
/// ```
/// use tdrm_core::Verifier;
/// use tdrm_verify::{Check, Combine, MathVerifier, Rule};
/// let verifier = Check::new(Rule::Contains { text: "<think>".into() }).and(MathVerifier::new());
/// assert!(verifier.verify("4", "<think>2+2</think>\\boxed{4}").is_correct());
/// assert!(verifier.verify("4", "\\boxed{4}").is_incorrect());
/// ```
pub trait Combine: Verifier + Sized {
    /// Both must be correct.
    fn and<B: Verifier<Task = Self::Task>>(self, other: B) -> And<Self, B> {
        And(self, other)
    }

    /// One must be correct.
    fn or<B: Verifier<Task = Self::Task>>(self, other: B) -> Or<Self, B> {
        Or(self, other)
    }
}

impl<V: Verifier> Combine for V {}

/// The worse of two verdicts: incorrect, then unparsable, then correct; of two equally bad ones the first.
fn both(a: Verdict, b: Verdict) -> Verdict {
    match (rank(&a), rank(&b)) {
        (Rank::Correct, _) | (Rank::Unparsable, Rank::Incorrect) => b,
        (Rank::Incorrect, _) | (Rank::Unparsable, Rank::Correct | Rank::Unparsable) => a,
    }
}

/// The better of two verdicts: correct, then unparsable, then incorrect; of two equally good ones the first.
fn either(a: Verdict, b: Verdict) -> Verdict {
    match (rank(&a), rank(&b)) {
        (Rank::Correct, _)
        | (Rank::Unparsable, Rank::Incorrect | Rank::Unparsable)
        | (Rank::Incorrect, Rank::Incorrect) => a,
        _ => b,
    }
}

#[derive(Clone, Copy)]
enum Rank {
    Correct,
    Unparsable,
    Incorrect,
}

const fn rank(verdict: &Verdict) -> Rank {
    match verdict {
        Verdict::Correct { .. } => Rank::Correct,
        Verdict::Incorrect { .. } => Rank::Incorrect,
        _ => Rank::Unparsable,
    }
}

fn nothing() -> Verdict {
    Verdict::Unparsable {
        reason: Unparsable::Undecided { detail: "expected at least one verifier, got none".into() },
        gold: None,
        extracted: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MathVerifier;

    /// Says what the task says: `+`, `-` or anything else.
    struct Oracle(char);

    impl Verifier for Oracle {
        type Task = str;

        fn verify(&self, _: &str, _: &str) -> Verdict {
            let (gold, extracted) = (String::new(), self.0.to_string());
            match self.0 {
                '+' => Verdict::Correct { gold, extracted },
                '-' => Verdict::Incorrect { gold, extracted },
                _ => Verdict::Unparsable { reason: Unparsable::NoAnswer, gold: None, extracted: Some(extracted) },
            }
        }
    }

    fn mark(verdict: &Verdict) -> char {
        match rank(verdict) {
            Rank::Correct => '+',
            Rank::Incorrect => '-',
            Rank::Unparsable => '?',
        }
    }

    #[test]
    fn three_valued_logic_is_kleenes() {
        // and: - beats ? beats +; or: + beats ? beats -
        for (a, b, and, or) in [
            ('+', '+', '+', '+'),
            ('+', '?', '?', '+'),
            ('+', '-', '-', '+'),
            ('?', '?', '?', '?'),
            ('?', '-', '-', '?'),
            ('-', '-', '-', '-'),
        ] {
            for (x, y) in [(a, b), (b, a)] {
                assert_eq!(mark(&Oracle(x).and(Oracle(y)).verify("", "")), and);
                assert_eq!(mark(&Oracle(x).or(Oracle(y)).verify("", "")), or);
                assert_eq!(mark(&all_of([Oracle(x), Oracle(y)]).verify("", "")), and);
                assert_eq!(mark(&any_of([Oracle(x), Oracle(y)]).verify("", "")), or);
            }
        }
    }

    #[test]
    fn an_empty_list_judges_nothing() {
        let none: [MathVerifier; 0] = [];
        assert!(all_of(none).verify("1", "1").unparsable().is_some());
    }
}
