//! Flawed demonstrations: the policy that a language model imitates.

use std::fmt::Write as _;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use tdrm_core::Probability;

use super::{ChainProblem, Operation};

/// How a demonstrator errs and repairs.
///
/// The habit that matters is the forgotten carry: it is systematic, so that greedy decoding and majority votes
/// repeat it, and repairable, so that a wrong step does not decide the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Habits {
    /// P(carry forgotten) where the operand's ones digit is at least 6.
    pub strong_carry_habit: Probability,
    /// P(carry forgotten) elsewhere.
    pub weak_carry_habit: Probability,
    /// P(result off by one), on any line.
    pub slip: Probability,
    /// P(a check line follows a wrong step).
    pub repair: Probability,
    /// P(a check line follows a right step).
    pub needless_check: Probability,
}

impl Habits {
    /// Writes a solution in the demonstrator's manner.
    #[must_use]
    pub fn demonstrate(&self, problem: &ChainProblem, rng: &mut dyn Rng) -> String {
        let mut text = String::new();
        let mut value = problem.first();
        for &op in problem.operations() {
            // A derailed chain can fall below zero, for which the notation has no sign: it is written as 0.
            let written = self.compute(op, value, rng).max(0);
            let wrong = written != op.apply(value);
            line(&mut text, "", value, op, written);
            let look_back = if wrong { self.repair } else { self.needless_check };
            value = if draw(look_back, rng) {
                let checked = self.slipped(op.apply(value), rng).max(0);
                line(&mut text, "?", value, op, checked);
                checked
            } else {
                written
            };
        }
        let _ = writeln!(text, "#{value}"); // writing to a String cannot fail
        text
    }

    fn compute(&self, op: Operation, value: i64, rng: &mut dyn Rng) -> i64 {
        let habit = if op.operand() % 10 >= 6 { self.strong_carry_habit } else { self.weak_carry_habit };
        match op.apply_without_carry(value) {
            Some(forgotten) if draw(habit, rng) => forgotten,
            _ => self.slipped(op.apply(value), rng),
        }
    }

    fn slipped(&self, exact: i64, rng: &mut dyn Rng) -> i64 {
        if !draw(self.slip, rng) {
            exact
        } else if exact == 0 || rng.random::<bool>() {
            exact + 1
        } else {
            exact - 1
        }
    }
}

fn draw(p: Probability, rng: &mut dyn Rng) -> bool {
    rng.random::<f64>() < p.get::<f64>()
}

fn line(text: &mut String, mark: &str, a: i64, op: Operation, c: i64) {
    let _ = writeln!(text, "{mark}{a}{op}={c}"); // writing to a String cannot fail
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;
    use tdrm_core::{Seed, Verifier};

    use super::super::{ChainTask, ChainVerifier, StepKind, check_steps};
    use super::*;

    fn habits(carry: f64, slip: f64, repair: f64, needless: f64) -> Habits {
        let p = |x| Probability::new(x).unwrap();
        Habits {
            strong_carry_habit: p(carry),
            weak_carry_habit: p(carry),
            slip: p(slip),
            repair: p(repair),
            needless_check: p(needless),
        }
    }

    fn written(habits: Habits, seed: u64) -> (ChainProblem, String) {
        let rng = &mut Seed::root(seed).rng();
        let problem = ChainTask { min_operations: 2, max_operations: 6 }.sample(rng).unwrap();
        let text = habits.demonstrate(&problem, rng);
        (problem, text)
    }

    proptest! {
        #[test]
        fn without_flaws_every_step_is_on_track(seed: u64, needless in 0.0..=1.0) {
            let (problem, text) = written(habits(0.0, 0.0, 0.0, needless), seed);
            prop_assert!(check_steps(&problem, &text).iter().all(|s| s.on_track && s.valid));
            prop_assert!(ChainVerifier.verify(&problem, &text).is_correct());
        }

        #[test]
        fn who_always_repairs_carries_is_always_right(seed: u64) {
            let (problem, text) = written(habits(1.0, 0.0, 1.0, 0.0), seed);
            prop_assert!(ChainVerifier.verify(&problem, &text).is_correct());
        }

        #[test]
        fn even_the_worst_demonstration_is_well_formed(seed: u64) {
            let (problem, text) = written(habits(0.5, 0.5, 0.5, 0.5), seed);
            prop_assert!(check_steps(&problem, &text).iter().all(|s| s.kind != StepKind::Malformed));
        }
    }
}
