//! A verifier as a reward model.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use tdrm_core::{Real, RewardError, RewardModel, Rewards, Verdict, Verifier};

/// A task with a response to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt<T> {
    /// What was asked, or the reference answer.
    pub task: T,
    /// What was answered.
    pub response: String,
}

impl<T> Attempt<T> {
    /// Pairs a task with a response.
    pub fn new(task: T, response: impl Into<String>) -> Self {
        Self { task, response: response.into() }
    }
}

/// What a response is worth that could not be judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unjudged<F> {
    /// Nothing: scoring fails with [`RewardError::Unjudged`].
    Fails,
    /// This reward.
    Pays(F),
}

/// A verifier as a reward model: one reward for correct, one for incorrect, and an explicit choice for the rest.
///
/// ```
/// use tdrm_core::{RewardError, RewardModel, Rewards};
/// use tdrm_verify::{Attempt, MathVerifier, Unjudged, Verified};
/// let right = Attempt::new("1/2".to_owned(), r"\boxed{0.5}");
/// let none = Attempt::new("1/2".to_owned(), "I do not know what to say here");
///
/// let model = Verified::<_, String, f64>::new(MathVerifier::new());
/// assert_eq!(model.score(&[&right])?, [Rewards::Trajectory(1.0)]);
/// assert!(matches!(model.score(&[&right, &none]), Err(RewardError::Unjudged { index: 1, .. })));
///
/// let lenient = model.unjudged(Unjudged::Pays(-0.5));
/// assert_eq!(lenient.score(&[&right, &none])?, [Rewards::Trajectory(1.0), Rewards::Trajectory(-0.5)]);
/// # Ok::<(), RewardError>(())
/// ```
#[must_use = "a reward model does nothing until it scores"]
pub struct Verified<V, T, F> {
    verifier: V,
    correct: F,
    incorrect: F,
    unjudged: Unjudged<F>,
    task: PhantomData<fn(&T)>,
}

impl<V, T, F: Real> Verified<V, T, F> {
    /// 1 for correct, 0 for incorrect, an error for what cannot be judged.
    pub fn new(verifier: V) -> Self {
        Self { verifier, correct: F::one(), incorrect: F::zero(), unjudged: Unjudged::Fails, task: PhantomData }
    }

    /// Other rewards for correct and incorrect responses.
    pub fn pays(self, correct: F, incorrect: F) -> Self {
        Self { correct, incorrect, ..self }
    }

    /// What a response is worth that could not be judged.
    pub fn unjudged(self, choice: Unjudged<F>) -> Self {
        Self { unjudged: choice, ..self }
    }
}

impl<V: fmt::Debug, T, F: fmt::Debug> fmt::Debug for Verified<V, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("verifier", &self.verifier)
            .field("correct", &self.correct)
            .field("incorrect", &self.incorrect)
            .field("unjudged", &self.unjudged)
            .finish_non_exhaustive()
    }
}

impl<V: Clone, T, F: Clone> Clone for Verified<V, T, F> {
    fn clone(&self) -> Self {
        Self {
            verifier: self.verifier.clone(),
            correct: self.correct.clone(),
            incorrect: self.incorrect.clone(),
            unjudged: self.unjudged.clone(),
            task: PhantomData,
        }
    }
}

impl<V: Verifier, T: Borrow<V::Task>, F: Real> RewardModel for Verified<V, T, F> {
    type Input = Attempt<T>;
    type Scalar = F;

    fn score(&self, batch: &[&Attempt<T>]) -> Result<Vec<Rewards<F>>, RewardError> {
        let one = |(index, attempt): (usize, &&Attempt<T>)| {
            let reward = match self.verifier.verify(attempt.task.borrow(), &attempt.response) {
                Verdict::Correct { .. } => self.correct,
                Verdict::Incorrect { .. } => self.incorrect,
                other => match self.unjudged {
                    Unjudged::Pays(reward) => reward,
                    Unjudged::Fails => {
                        let reason =
                            other.unparsable().map_or_else(|| "unknown verdict".to_owned(), ToString::to_string);
                        return Err(RewardError::Unjudged { index, reason });
                    }
                },
            };
            Ok(Rewards::Trajectory(reward))
        };
        batch.iter().enumerate().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::MathVerifier;

    #[test]
    fn rewards_are_the_callers_choice() {
        let model = Verified::<_, String, f32>::new(MathVerifier::new()).pays(2.0, -1.0);
        let attempts = [Attempt::new("3".to_owned(), "\\boxed{3}"), Attempt::new("3".to_owned(), "\\boxed{4}")];
        let batch: Vec<&Attempt<String>> = attempts.iter().collect();
        assert_eq!(model.score(&batch).unwrap(), [Rewards::Trajectory(2.0), Rewards::Trajectory(-1.0)]);
    }

    #[test]
    fn running_out_of_fuel_is_not_a_zero() {
        let model = Verified::<_, String, f32>::new(MathVerifier::new());
        let attempt = Attempt::new("3".to_owned(), "\\boxed{10^{10^{10}}}");
        let error = model.score(&[&attempt]).unwrap_err();
        assert!(error.to_string().contains("fuel"), "{error}");
    }
}
