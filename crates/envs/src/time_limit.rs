//! A limit on the length of an episode.

use std::num::NonZeroU32;

use rand::Rng;
use serde::{Deserialize, Serialize};
use tdrm_core::{Environment, Step, StepEnd};

/// Cuts episodes of the inner environment after `limit` steps.
///
/// The cut is a truncation: the discount is kept and targets bootstrap. A step that terminates at the limit
/// terminates.
///
/// ```
/// use std::num::NonZeroU32;
/// use tdrm_core::{Environment, Probability, Seed, StepEnd};
/// use tdrm_envs::{TimeLimit, tabular::chain};
/// let limited = TimeLimit { inner: chain(9, Probability::new(0.0)?)?, limit: NonZeroU32::new(2).unwrap() };
/// let mut rng = Seed::root(0).rng();
/// let start = limited.reset(&mut rng);
/// let first = limited.step(&start, &1, &mut rng);
/// let second = limited.step(&first.state, &1, &mut rng);
/// assert_eq!((first.end, second.end), (StepEnd::Running, StepEnd::Truncated));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeLimit<E> {
    /// The environment.
    pub inner: E,
    /// Most steps of an episode.
    pub limit: NonZeroU32,
}

/// A state with its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timed<S> {
    /// The state of the inner environment.
    pub state: S,
    /// Steps taken so far.
    pub elapsed: u32,
}

impl<E: Environment> Environment for TimeLimit<E> {
    type State = Timed<E::State>;
    type Action = E::Action;

    fn reset(&self, rng: &mut dyn Rng) -> Self::State {
        Timed { state: self.inner.reset(rng), elapsed: 0 }
    }

    fn step(&self, timed: &Self::State, action: &E::Action, rng: &mut dyn Rng) -> Step<Self::State> {
        let Step { state, reward, end } = self.inner.step(&timed.state, action, rng);
        let elapsed = timed.elapsed.saturating_add(1);
        let cut = end == StepEnd::Running && elapsed >= self.limit.get();
        Step { state: Timed { state, elapsed }, reward, end: if cut { StepEnd::Truncated } else { end } }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tdrm_core::{Probability, Seed};

    use super::*;
    use crate::tabular::chain;

    #[test]
    fn a_step_that_terminates_at_the_limit_terminates() {
        let inner = chain(1, Probability::new(0.0).unwrap()).unwrap();
        let limited = TimeLimit { inner, limit: NonZeroU32::MIN };
        let mut rng = Seed::root(0).rng();
        let start = limited.reset(&mut rng);
        assert_eq!(limited.step(&start, &1, &mut rng).end, StepEnd::Terminated);
        assert_eq!(limited.step(&start, &0, &mut rng).end, StepEnd::Truncated);
    }
}
