//! The step checker and the outcome verifier.

use tdrm_core::{Unparsable, Verdict, Verifier};

use super::{ChainProblem, Operation};

/// What a line of a solution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepKind {
    /// `a+b=c`, the next operation.
    Compute,
    /// `?a+b=c`, the last operation once more.
    Check,
    /// `#c`, the answer.
    Answer,
    /// Anything else, or an operation that the problem does not ask for here.
    Malformed,
}

/// Judgement of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepCheck {
    /// What the line is.
    pub kind: StepKind,
    /// Whether the line's own arithmetic holds.
    pub valid: bool,
    /// Whether the running value after the line is the true one: the step label of process reward models.
    pub on_track: bool,
}

/// A parsed line: `left op = right`.
struct Equation {
    left: i64,
    operation: Operation,
    right: i64,
}

/// Where a solution stands.
struct Cursor<'a> {
    problem: &'a ChainProblem,
    truth: Vec<i64>,
    /// Operations done.
    done: usize,
    /// Written value after them.
    value: i64,
    /// Written value before the last of them.
    previous: i64,
    lost: bool,
}

/// Judges each line of a response, in order.
///
/// ```
/// use tdrm_envs::reasoning::{ChainProblem, check_steps};
/// let problem: ChainProblem = "47+35-18:".parse()?;
/// let labels: Vec<_> = check_steps(&problem, "47+35=72\n?47+35=82\n82-18=64\n#64\n").iter().map(|s| s.on_track).collect();
/// assert_eq!(labels, [false, true, true, true]);
/// # Ok::<(), tdrm_envs::reasoning::ChainError>(())
/// ```
#[must_use]
pub fn check_steps(problem: &ChainProblem, response: &str) -> Vec<StepCheck> {
    let truth = problem.partial_results();
    let first = problem.first();
    let mut cursor = Cursor { problem, truth, done: 0, value: first, previous: first, lost: false };
    response.lines().map(|line| cursor.read(line)).collect()
}

impl Cursor<'_> {
    fn read(&mut self, line: &str) -> StepCheck {
        let judged = match line.as_bytes().first() {
            Some(b'#') => self.answer(&line[1..]),
            Some(b'?') => parse_equation(&line[1..]).and_then(|e| self.check(&e)),
            _ => parse_equation(line).and_then(|e| self.compute(&e)),
        };
        judged.unwrap_or_else(|| {
            self.lost = true;
            StepCheck { kind: StepKind::Malformed, valid: false, on_track: false }
        })
    }

    fn on_track(&self) -> bool {
        !self.lost && self.value == self.truth[self.done]
    }

    fn compute(&mut self, e: &Equation) -> Option<StepCheck> {
        let expected = self.problem.operations().get(self.done)?;
        if e.left != self.value || e.operation != *expected {
            return None;
        }
        self.done += 1;
        self.previous = e.left;
        self.value = e.right;
        Some(self.judge(StepKind::Compute, e))
    }

    fn check(&mut self, e: &Equation) -> Option<StepCheck> {
        let last = self.problem.operations().get(self.done.checked_sub(1)?)?;
        if e.left != self.previous || e.operation != *last {
            return None;
        }
        self.value = e.right;
        Some(self.judge(StepKind::Check, e))
    }

    fn judge(&self, kind: StepKind, e: &Equation) -> StepCheck {
        StepCheck { kind, valid: e.operation.apply(e.left) == e.right, on_track: self.on_track() }
    }

    fn answer(&mut self, digits: &str) -> Option<StepCheck> {
        let answer = parse_number(digits)?;
        let complete = self.done == self.problem.operations().len();
        let on_track = !self.lost && complete && answer == self.problem.answer();
        self.lost |= !on_track;
        Some(StepCheck { kind: StepKind::Answer, valid: complete && answer == self.value, on_track })
    }
}

fn parse_equation(line: &str) -> Option<Equation> {
    let (left, right) = line.split_once('=')?;
    let at = left.find(['+', '-'])?;
    let operand = u8::try_from(parse_number(&left[at + 1..])?).ok()?;
    let operation = if left.as_bytes()[at] == b'+' { Operation::Add(operand) } else { Operation::Subtract(operand) };
    Some(Equation { left: parse_number(&left[..at])?, operation, right: parse_number(right)? })
}

/// One to four digits.
fn parse_number(digits: &str) -> Option<i64> {
    let valid = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| digits.parse().ok()).flatten()
}

/// Judges the outcome: the last line of the form `#c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChainVerifier;

impl Verifier for ChainVerifier {
    type Task = ChainProblem;

    fn verify(&self, task: &ChainProblem, response: &str) -> Verdict {
        let gold = task.answer().to_string();
        let Some(written) = response.lines().rev().find_map(|line| line.strip_prefix('#')) else {
            return Verdict::Unparsable { reason: Unparsable::NoAnswer, gold: Some(gold), extracted: None };
        };
        match parse_number(written) {
            Some(answer) if answer == task.answer() => Verdict::Correct { gold, extracted: answer.to_string() },
            Some(answer) => Verdict::Incorrect { gold, extracted: answer.to_string() },
            None => {
                let reason = Unparsable::Syntax { detail: format!("expected digits after `#`, got `{written}`") };
                Verdict::Unparsable { reason, gold: Some(gold), extracted: Some(written.to_owned()) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn problem() -> ChainProblem {
        "47+35-18:".parse().unwrap()
    }

    fn labels(response: &str) -> Vec<bool> {
        check_steps(&problem(), response).iter().map(|s| s.on_track).collect()
    }

    #[test]
    fn an_error_lasts_until_it_is_repaired() {
        assert_eq!(labels("47+35=72\n72-18=54\n#54\n"), [false, false, false]);
        assert_eq!(labels("47+35=72\n?47+35=82\n82-18=64\n#64\n"), [false, true, true, true]);
    }

    #[test]
    fn a_valid_step_on_a_wrong_value_is_valid_but_off_track() {
        let steps = check_steps(&problem(), "47+35=72\n72-18=54\n");
        assert!(steps[1].valid && !steps[1].on_track);
    }

    #[test]
    fn operations_that_the_problem_does_not_ask_for_lose_the_chain() {
        assert_eq!(labels("47+36=83\n"), [false]);
        assert_eq!(labels("47+35=82\n82-18=64\n64+1=65\n#64"), [true, true, false, false]);
        assert_eq!(labels("?47+35=82\n"), [false]); // nothing to check yet
        assert_eq!(labels("#64\n"), [false]); // right, but not derived
    }

    #[test]
    fn the_verdict_is_that_of_the_last_answer_line() {
        let verdict = |r| ChainVerifier.verify(&problem(), r);
        assert!(verdict("#63\n#64\n").is_correct());
        assert!(verdict("#64\n#63\n").is_incorrect());
        assert_eq!(verdict("47+35=82\n").unparsable(), Some(&Unparsable::NoAnswer));
        assert!(matches!(verdict("#6x").unparsable(), Some(Unparsable::Syntax { .. })));
        assert!(verdict("#064").is_correct()); // a number is read as a number
    }

    proptest! {
        #[test]
        fn no_text_makes_the_checker_panic(text in ".{0,60}", tail in "[0-9+=?#\n-]{0,60}") {
            let response = text + &tail;
            prop_assert_eq!(check_steps(&problem(), &response).len(), response.lines().count());
            let _ = ChainVerifier.verify(&problem(), &response);
        }
    }
}
