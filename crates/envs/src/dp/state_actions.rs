//! One number per state and action.

use serde::{Deserialize, Serialize};
use tdrm_core::{ShapeError, TabularMdp};

/// A number for each state and action, `[S][A]`: action values, or a policy with its rows summing to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<f64>>", into = "Vec<Vec<f64>>")]
pub struct StateActions {
    n_actions: usize,
    data: Vec<f64>,
}

impl StateActions {
    /// Fills the table by a function of state and action.
    #[must_use]
    pub fn from_fn(n_states: usize, n_actions: usize, mut f: impl FnMut(usize, usize) -> f64) -> Self {
        let data = (0..n_states * n_actions).map(|i| f(i / n_actions, i % n_actions)).collect();
        Self { n_actions, data }
    }

    /// The policy that draws every action alike.
    #[must_use]
    pub fn uniform<M: TabularMdp + ?Sized>(mdp: &M) -> Self {
        Self::from_fn(mdp.n_states(), mdp.n_actions(), |_, _| 1.0 / mdp.n_actions() as f64)
    }

    /// The policy that takes the named action in each state.
    #[must_use]
    pub fn deterministic(actions: &[usize], n_actions: usize) -> Self {
        Self::from_fn(actions.len(), n_actions, |s, a| if actions[s] == a { 1.0 } else { 0.0 })
    }

    /// The softmax policy of these numbers, row by row.
    #[must_use]
    pub fn softmax(&self) -> Self {
        let mut policy = self.clone();
        for row in policy.data.chunks_mut(self.n_actions.max(1)) {
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = row.iter().map(|x| (x - max).exp()).sum();
            for x in row {
                *x = (*x - max).exp() / total;
            }
        }
        policy
    }

    /// Number of states.
    #[must_use]
    pub fn n_states(&self) -> usize {
        self.data.len().checked_div(self.n_actions).unwrap_or(0)
    }

    /// Number of actions.
    #[must_use]
    pub const fn n_actions(&self) -> usize {
        self.n_actions
    }

    /// The numbers of one state, `[A]`; empty if there is no such state.
    #[must_use]
    pub fn row(&self, state: usize) -> &[f64] {
        self.data.get(state * self.n_actions..(state + 1) * self.n_actions).unwrap_or(&[])
    }

    /// The numbers of each state, in order.
    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.data.chunks(self.n_actions.max(1))
    }

    /// All numbers, `[S · A]`, row by row.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.data
    }

    /// All numbers, `[S · A]`, row by row.
    pub fn as_mut_slice(&mut self) -> &mut [f64] {
        &mut self.data
    }

    /// Checks that there is one number for each state and action of an MDP.
    ///
    /// # Errors
    /// If not.
    pub fn check<M: TabularMdp + ?Sized>(&self, mdp: &M) -> Result<(), ShapeError> {
        ShapeError::check("actions", mdp.n_actions(), self.n_actions)?;
        ShapeError::check("states", mdp.n_states(), self.n_states())
    }
}

impl TryFrom<Vec<Vec<f64>>> for StateActions {
    type Error = ShapeError;

    fn try_from(rows: Vec<Vec<f64>>) -> Result<Self, ShapeError> {
        let n_actions = rows.first().map_or(0, Vec::len);
        rows.iter().try_for_each(|row| ShapeError::check("actions", n_actions, row.len()))?;
        Ok(Self { n_actions, data: rows.into_iter().flatten().collect() })
    }
}

impl From<StateActions> for Vec<Vec<f64>> {
    fn from(table: StateActions) -> Self {
        table.rows().map(<[f64]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_ragged_table_is_refused() {
        assert!(StateActions::try_from(vec![vec![1.0], vec![]]).is_err());
        assert_eq!(StateActions::try_from(vec![]).unwrap().n_states(), 0);
    }

    #[test]
    fn softmax_rows_sum_to_one_and_survive_large_numbers() {
        let policy = StateActions::try_from(vec![vec![0.0, 0.0], vec![1e4, -1e4]]).unwrap().softmax();
        assert_eq!(Vec::from(policy), [[0.5, 0.5], [1.0, 0.0]]);
    }
}
