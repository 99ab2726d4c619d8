//! Verifiers: judging a response against a task.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Judgement of a response.
///
/// "Could not read it" is a verdict of its own, neither an error nor a wrong answer: only the caller may decide
/// what it is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// The response answers the task.
    Correct {
        /// Canonical form of the expected answer.
        gold: String,
        /// Canonical form of the answer found in the response.
        extracted: String,
    },
    /// The response answers something else.
    Incorrect {
        /// Canonical form of the expected answer.
        gold: String,
        /// Canonical form of the answer found in the response.
        extracted: String,
    },
    /// No judgement was possible.
    Unparsable {
        /// Why.
        reason: Unparsable,
        /// Canonical form of the expected answer, if it could be read.
        gold: Option<String>,
        /// The answer found in the response, if one was found.
        extracted: Option<String>,
    },
}

impl Verdict {
    /// True for [`Verdict::Correct`].
    #[must_use]
    pub const fn is_correct(&self) -> bool {
        matches!(self, Self::Correct { .. })
    }

    /// True for [`Verdict::Incorrect`].
    #[must_use]
    pub const fn is_incorrect(&self) -> bool {
        matches!(self, Self::Incorrect { .. })
    }

    /// The reason, for [`Verdict::Unparsable`].
    #[must_use]
    pub const fn unparsable(&self) -> Option<&Unparsable> {
        match self {
            Self::Unparsable { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

/// Why no judgement was possible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unparsable {
    /// The response holds no answer.
    NoAnswer,
    /// The expected answer itself cannot be read.
    Gold {
        /// What was met.
        detail: String,
    },
    /// The answer found in the response cannot be read.
    Syntax {
        /// What was met.
        detail: String,
    },
    /// Deciding would take more steps, memory or depth than allowed.
    OutOfFuel {
        /// The limit.
        limit: u64,
    },
    /// Both are readable, but whether they are equal could not be decided.
    Undecided {
        /// What was tried.
        detail: String,
    },
}

impl fmt::Display for Unparsable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => f.write_str("the response holds no answer"),
            Self::Gold { detail } => write!(f, "the expected answer cannot be read: {detail}"),
            Self::Syntax { detail } => write!(f, "the answer cannot be read: {detail}"),
            Self::OutOfFuel { limit } => write!(f, "out of fuel after {limit} steps"),
            Self::Undecided { detail } => write!(f, "equality could not be decided: {detail}"),
        }
    }
}

/// Judges responses.
///
/// # Contract
/// Bounded work, no panic, no clock, no hidden state: any input gives the same verdict at any time on any thread.
///
/// # Laws
/// `tdrm_testkit::laws::verifier`: determinism, no panic on arbitrary text, and that a task's own answer is never
/// judged incorrect.
pub trait Verifier: Send + Sync {
    /// What the response is judged against: a reference answer, a problem.
    type Task: ?Sized;

    /// Judges one response.
    fn verify(&self, task: &Self::Task, response: &str) -> Verdict;
}

const _: fn(&dyn Verifier<Task = str>) = |_| {};

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<V: Verifier + ?Sized> Verifier for $pointer {
            type Task = V::Task;

            fn verify(&self, task: &V::Task, response: &str) -> Verdict {
                (**self).verify(task, response)
            }
        }
    )*};
}
forward!(&V, Box<V>, std::sync::Arc<V>);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn verdicts_are_written_with_their_contract_names() {
        let verdict = Verdict::Incorrect { gold: "1/2".into(), extracted: "3".into() };
        let json = serde_json::to_string(&verdict).unwrap();
        assert_eq!(json, r#"{"verdict":"incorrect","gold":"1/2","extracted":"3"}"#);
    }

    #[test]
    fn an_unreadable_response_is_neither_correct_nor_incorrect() {
        let verdict = Verdict::Unparsable { reason: Unparsable::NoAnswer, gold: None, extracted: None };
        assert!(!verdict.is_correct() && !verdict.is_incorrect());
        assert_eq!(verdict.unparsable(), Some(&Unparsable::NoAnswer));
    }
}
