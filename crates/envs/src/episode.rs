//! One episode of a policy in an environment.

use rand::Rng;
use tdrm_core::{Environment, StepEnd};

/// What happened in one episode: T steps, T + 1 states.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode<S, A> {
    /// s_0 … s_T, `[T+1]`.
    pub states: Vec<S>,
    /// a_0 … a_{T−1}, `[T]`.
    pub actions: Vec<A>,
    /// r_t of the step leaving s_t, `[T]`.
    pub rewards: Vec<f64>,
    /// How the last step ended; [`StepEnd::Running`] if the caller's limit stopped the episode before its end.
    pub end: StepEnd,
}

impl<S, A> Episode<S, A> {
    /// Number of steps T.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.actions.len()
    }

    /// True if no step was taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// γ after each step, 0 after the last if the episode terminated, `[T]`.
    #[must_use]
    pub fn discounts(&self, gamma: f64) -> Vec<f64> {
        let mut discounts = vec![gamma; self.len()];
        if let Some(last) = discounts.last_mut() {
            *last = self.end.discount(gamma);
        }
        discounts
    }

    /// Σ γ^t r_t.
    #[must_use]
    pub fn discounted_return(&self, gamma: f64) -> f64 {
        self.rewards.iter().rev().fold(0.0, |g, r| r + gamma * g)
    }
}

/// Runs an episode of at most `limit` steps.
///
/// ```
/// use tdrm_core::{Probability, Seed, StepEnd};
/// use tdrm_envs::{run_episode, tabular::chain};
/// let forward = chain(3, Probability::new(0.0)?)?;
/// let episode = run_episode(&forward, 100, |_, _| 1, &mut Seed::root(0).rng());
/// assert_eq!((episode.states, episode.end), (vec![0, 1, 2, 2], StepEnd::Terminated));
/// assert_eq!(episode.rewards, [0.0, 0.0, 1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run_episode<E: Environment + ?Sized>(
    environment: &E,
    limit: usize,
    mut policy: impl FnMut(&E::State, &mut dyn Rng) -> E::Action,
    rng: &mut dyn Rng,
) -> Episode<E::State, E::Action> {
    let mut state = environment.reset(rng);
    let mut episode = Episode { states: vec![state.clone()], actions: vec![], rewards: vec![], end: StepEnd::Running };
    while episode.len() < limit && !episode.end.is_over() {
        let action = policy(&state, rng);
        let step = environment.step(&state, &action, rng);
        state = step.state;
        episode.states.push(state.clone());
        episode.actions.push(action);
        episode.rewards.push(step.reward);
        episode.end = step.end;
    }
    episode
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tdrm_core::{Probability, Seed};

    use super::*;
    use crate::tabular::chain;

    #[test]
    fn an_episode_that_is_stopped_is_neither_terminated_nor_truncated_and_keeps_its_discounts() {
        let table = chain(3, Probability::new(0.0).unwrap()).unwrap();
        let episode = run_episode(&table, 2, |_, _| 1, &mut Seed::root(0).rng());
        assert_eq!((episode.end, episode.discounts(0.9)), (StepEnd::Running, vec![0.9, 0.9]));
        let episode = run_episode(&table, 3, |_, _| 1, &mut Seed::root(0).rng());
        assert_eq!((episode.discounts(0.9), episode.discounted_return(0.5)), (vec![0.9, 0.9, 0.0], 0.25));
    }
}
