//! Environments: sampled by their user, or listed exactly.

use rand::Rng;
use serde::{Deserialize, Serialize};

/// How a step ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEnd {
    /// The episode goes on.
    Running,
    /// The episode is over: nothing follows, the value of the successor is 0, the discount is 0.
    Terminated,
    /// A limit cut the episode: the successor has a value, the discount is kept and the target bootstraps.
    Truncated,
}

impl StepEnd {
    /// Whether no further step follows.
    #[must_use]
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Running)
    }

    /// The discount of the step: 0 if it terminates, `gamma` otherwise.
    #[must_use]
    pub const fn discount(self, gamma: f64) -> f64 {
        match self {
            Self::Terminated => 0.0,
            Self::Running | Self::Truncated => gamma,
        }
    }
}

/// One step of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step<S> {
    /// The successor.
    pub state: S,
    /// The reward of the step.
    pub reward: f64,
    /// Whether the episode goes on.
    pub end: StepEnd,
}

/// Resets and steps.
///
/// # Contract
/// The environment itself is immutable: the state is a value that the caller holds, so that it can be copied,
/// stored and searched from. All randomness comes from `rng`.
///
/// # Laws
/// `tdrm_testkit::laws::environment`: determinism under a seed, finite rewards, and, for a [`TabularMdp`], that
/// frequencies agree with the listed probabilities.
pub trait Environment {
    /// The full state.
    type State: Clone;
    /// What the agent does.
    type Action;

    /// Draws an initial state.
    fn reset(&self, rng: &mut dyn Rng) -> Self::State;

    /// Takes one step.
    fn step(&self, state: &Self::State, action: &Self::Action, rng: &mut dyn Rng) -> Step<Self::State>;
}

const _: fn(&dyn Environment<State = usize, Action = usize>) = |_| {};

/// One entry of a transition table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// P(outcome | s, a), in (0, 1].
    pub probability: f64,
    /// The successor, in `0..n_states`.
    pub next_state: usize,
    /// r(s, a, s').
    pub reward: f64,
    /// Whether the episode is over then.
    pub terminated: bool,
}

/// Lists its transitions: the ground truth of the property tests.
///
/// # Contract
/// For each state and action the probabilities sum to 1; `initial` is a distribution over states.
pub trait TabularMdp {
    /// Number of states.
    fn n_states(&self) -> usize;

    /// Number of actions, the same in each state.
    fn n_actions(&self) -> usize;

    /// Outcomes of an action; empty when `state` or `action` is out of range.
    fn transitions(&self, state: usize, action: usize) -> &[Outcome];

    /// Distribution of the initial state, `[n_states]`.
    fn initial(&self) -> &[f64];
}

const _: fn(&dyn TabularMdp) = |_| {};

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Environment + ?Sized> Environment for $pointer {
            type State = T::State;
            type Action = T::Action;

            fn reset(&self, rng: &mut dyn Rng) -> T::State {
                (**self).reset(rng)
            }

            fn step(&self, state: &T::State, action: &T::Action, rng: &mut dyn Rng) -> Step<T::State> {
                (**self).step(state, action, rng)
            }
        }

        impl<T: TabularMdp + ?Sized> TabularMdp for $pointer {
            fn n_states(&self) -> usize {
                (**self).n_states()
            }

            fn n_actions(&self) -> usize {
                (**self).n_actions()
            }

            fn transitions(&self, state: usize, action: usize) -> &[Outcome] {
                (**self).transitions(state, action)
            }

            fn initial(&self) -> &[f64] {
                (**self).initial()
            }
        }
    )*};
}
forward!(&T, Box<T>, std::sync::Arc<T>);

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "tests state exact values")]
    use super::*;

    #[test]
    fn termination_discounts_to_zero_truncation_does_not() {
        assert_eq!(StepEnd::Terminated.discount(0.9), 0.0);
        assert_eq!(StepEnd::Truncated.discount(0.9), 0.9);
        assert_eq!(StepEnd::Running.discount(0.9), 0.9);
        assert!(StepEnd::Truncated.is_over() && !StepEnd::Running.is_over());
    }
}
