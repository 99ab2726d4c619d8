//! MDPs from a seed.

use rand::RngExt;
use rand_distr::{Distribution, Exp1, StandardNormal};
use serde::{Deserialize, Serialize};
use tdrm_core::{Outcome, Probability, Seed};

use super::{Table, TableError};

/// A family of random MDPs (Garnet problems): each action of each state leads to `branching` random successors.
///
/// Probabilities are uniform on the simplex, rewards standard normal per outcome; each outcome terminates with
/// probability `termination` of its own draw. Episodes start anywhere. With a positive termination the last
/// outcome of each row always terminates, so that every policy does and γ = 1 is allowed.
///
/// Archibald, McKinnon & Thomas (1995); Bhatnagar et al. (2009), §6.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomMdp {
    /// Number of states.
    pub states: usize,
    /// Number of actions.
    pub actions: usize,
    /// Outcomes per state and action.
    pub branching: usize,
    /// Chance that an outcome terminates.
    pub termination: Probability,
}

impl RandomMdp {
    /// The MDP of this seed; row (s, a) draws from `seed.child(s).child(a)`.
    ///
    /// # Errors
    /// If a count is 0.
    pub fn table(&self, seed: Seed) -> Result<Table, TableError> {
        let initial = vec![1.0 / self.states as f64; self.states];
        Table::from_fn(self.states, self.actions, initial, |s, a| self.row(seed.child(s as u64).child(a as u64)))
    }

    fn row(&self, seed: Seed) -> Vec<Outcome> {
        let mut rng = seed.rng();
        let weights: Vec<f64> = (0..self.branching).map(|_| Exp1.sample(&mut rng)).collect();
        let total: f64 = weights.iter().sum();
        let termination: f64 = self.termination.get();
        let mut row: Vec<_> = weights
            .iter()
            .map(|w: &f64| Outcome {
                probability: w / total,
                next_state: rng.random_range(0..self.states),
                reward: StandardNormal.sample(&mut rng),
                terminated: rng.random::<f64>() < termination,
            })
            .collect();
        if let Some(last) = row.last_mut().filter(|_| termination > 0.0) {
            last.terminated = true;
        }
        row
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_mdp_and_another_seed_another() {
        let family = RandomMdp { states: 5, actions: 3, branching: 2, termination: Probability::new(0.1).unwrap() };
        assert_eq!(family.table(Seed::root(1)).unwrap(), family.table(Seed::root(1)).unwrap());
        assert_ne!(family.table(Seed::root(1)).unwrap(), family.table(Seed::root(2)).unwrap());
    }

    #[test]
    fn a_family_without_outcomes_is_refused() {
        let family = RandomMdp { states: 5, actions: 3, branching: 0, termination: Probability::new(0.1).unwrap() };
        assert!(family.table(Seed::root(1)).is_err());
    }
}
