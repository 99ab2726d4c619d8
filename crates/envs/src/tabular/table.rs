//! An MDP as a list of its transitions.

use rand::Rng;
use serde::{Deserialize, Serialize};
use tdrm_core::{Environment, Outcome, ShapeError, Step, StepEnd, TabularMdp};

use super::alias::{Column, choose, columns, draw};

/// A listed MDP: exact for an oracle, sampled by a learner.
///
/// Valid by construction: in each state and action the probabilities are positive and sum to 1 (to 1e-9),
/// successors exist, rewards are finite, and the initial distribution is one.
///
/// As an [`Environment`] it draws outcomes with their listed probabilities (one uniform number per step, none where
/// there is a single outcome). A state or action out of range ends the episode with a reward of NaN: it cannot be
/// mistaken for a result.
///
/// ```
/// use tdrm_core::{Environment, Outcome, Seed, StepEnd, TabularMdp};
/// use tdrm_envs::tabular::Table;
/// let heads = |probability, reward| Outcome { probability, next_state: 0, reward, terminated: true };
/// let coin = Table::from_fn(1, 1, vec![1.0], |_, _| vec![heads(0.5, 1.0), heads(0.5, -1.0)])?;
/// let step = coin.step(&0, &0, &mut Seed::root(1).rng());
/// assert_eq!((step.reward.abs(), step.end), (1.0, StepEnd::Terminated));
/// assert_eq!(coin.transitions(0, 0).len(), 2);
/// # Ok::<(), tdrm_envs::tabular::TableError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Listing", into = "Listing")]
pub struct Table {
    n_actions: usize,
    /// Row `s · n_actions + a` is `starts[row]..starts[row + 1]`.
    starts: Vec<u32>,
    /// Outcomes of each row where all have as many, more than one: column and place then wait for no load.
    width: Option<usize>,
    outcomes: Vec<Outcome>,
    /// One column of Walker's table per outcome.
    landings: Vec<Landings>,
    initial: Vec<f64>,
    initial_columns: Vec<Column<u32>>,
}

/// A column of Walker's table with what a step needs of its two outcomes: half a cache line, so that a step whose table
/// is not in the first cache waits once.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(32))]
struct Landings {
    threshold: u64,
    rewards: [f64; 2],
    /// The successor, and in the highest bit whether the episode is over.
    successors: [u32; 2],
}

/// The highest bit.
const TERMINATED: u32 = 1 << 31;

impl Landings {
    fn new(column: Column<usize>, row: &[Outcome]) -> Self {
        let outcomes = column.items.map(|i| row[i]);
        let successor = |o: Outcome| o.next_state as u32 | if o.terminated { TERMINATED } else { 0 };
        Self { threshold: column.threshold, rewards: outcomes.map(|o| o.reward), successors: outcomes.map(successor) }
    }

    /// The outcome at a place in the column. Both successors are loaded while the threshold is: the choice is no branch
    /// and no second load.
    #[inline]
    fn at(&self, place: u64) -> Step<usize> {
        let ([first, second], [reward, other]) = (self.successors, self.rewards);
        let below = place < self.threshold;
        landed(if below { first } else { second }, if below { reward } else { other })
    }

    /// The outcome of a row that has one.
    #[inline]
    fn only(&self) -> Step<usize> {
        landed(self.successors[0], self.rewards[0])
    }
}

#[inline]
fn landed(successor: u32, reward: f64) -> Step<usize> {
    let end = if successor & TERMINATED == 0 { StepEnd::Running } else { StepEnd::Terminated };
    Step { state: (successor & !TERMINATED) as usize, reward, end }
}

/// A list of transitions that is no MDP.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// There must be at least one state and one action.
    #[error("expected at least one state and one action, got {states} states and {actions} actions")]
    Empty {
        /// States listed.
        states: usize,
        /// Actions listed in the first state.
        actions: usize,
    },
    /// Columns disagree in length.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Probabilities must be positive and sum to 1.
    #[error("state {state}, action {action}: expected positive probabilities that sum to 1, got a sum of {sum}")]
    Probabilities {
        /// The state.
        state: usize,
        /// The action.
        action: usize,
        /// What they sum to (NaN if one of them is not positive).
        sum: f64,
    },
    /// A successor that does not exist or a reward that is not finite.
    #[error("state {state}, action {action}: expected a successor below {states} and a finite reward, got {got:?}")]
    Outcome {
        /// The state.
        state: usize,
        /// The action.
        action: usize,
        /// Number of states.
        states: usize,
        /// The outcome.
        got: Outcome,
    },
    /// Positions in a table have 31 bits.
    #[error("expected fewer than 2^31 states and outcomes, got {got}")]
    Size {
        /// How many there are.
        got: usize,
    },
    /// The initial distribution must be one.
    #[error("expected initial probabilities that are not negative and sum to 1, got a sum of {sum}")]
    Initial {
        /// What they sum to (NaN if one of them is negative).
        sum: f64,
    },
}

/// Probabilities read from decimal fractions sum to 1 up to this.
const ROUNDING: f64 = 1e-9;

impl Table {
    /// Checks a listing `[S][A][outcomes]` and an initial distribution `[S]`.
    ///
    /// # Errors
    /// If it is not an MDP; see [`TableError`].
    pub fn new(transitions: Vec<Vec<Vec<Outcome>>>, initial: Vec<f64>) -> Result<Self, TableError> {
        let (states, actions) = (transitions.len(), transitions.first().map_or(0, Vec::len));
        if states == 0 || actions == 0 {
            return Err(TableError::Empty { states, actions });
        }
        ShapeError::check("initial", states, initial.len())?;
        check_initial(&initial)?;
        check_size(states)?;
        let initial_columns = columns(&initial)
            .into_iter()
            .map(|c| Column { threshold: c.threshold, items: c.items.map(|state| state as u32) })
            .collect();
        let width = transitions[0][0].len();
        let mut table = Self {
            n_actions: actions,
            starts: vec![0],
            width: transitions.iter().flatten().all(|row| row.len() == width && width > 1).then_some(width),
            outcomes: vec![],
            landings: vec![],
            initial,
            initial_columns,
        };
        for (state, rows) in transitions.into_iter().enumerate() {
            ShapeError::check("actions", actions, rows.len())?;
            for (action, row) in rows.into_iter().enumerate() {
                check_row(state, action, states, &row)?;
                table.push_row(row)?;
            }
        }
        Ok(table)
    }

    /// Lists the transitions by a function of state and action.
    ///
    /// # Errors
    /// If the result is not an MDP; see [`TableError`].
    pub fn from_fn(
        n_states: usize,
        n_actions: usize,
        initial: Vec<f64>,
        mut outcomes: impl FnMut(usize, usize) -> Vec<Outcome>,
    ) -> Result<Self, TableError> {
        let mut rows = |s| (0..n_actions).map(|a| outcomes(s, a)).collect();
        Self::new((0..n_states).map(&mut rows).collect(), initial)
    }

    fn push_row(&mut self, row: Vec<Outcome>) -> Result<(), TableError> {
        check_size(self.outcomes.len() + row.len())?;
        let columns = columns(&row.iter().map(|o| o.probability).collect::<Vec<_>>());
        self.landings.extend(columns.into_iter().map(|column| Landings::new(column, &row)));
        self.outcomes.extend(row);
        self.starts.push(self.outcomes.len() as u32);
        Ok(())
    }

    #[inline]
    fn row(&self, state: usize, action: usize) -> Option<std::ops::Range<usize>> {
        if state >= self.initial.len() || action >= self.n_actions {
            return None;
        }
        let row = state * self.n_actions + action;
        match self.width {
            Some(width) => Some(row * width..(row + 1) * width),
            None => Some(self.starts[row] as usize..self.starts[row + 1] as usize),
        }
    }
}

fn check_size(got: usize) -> Result<(), TableError> {
    if got < TERMINATED as usize { Ok(()) } else { Err(TableError::Size { got }) }
}

fn check_row(state: usize, action: usize, states: usize, row: &[Outcome]) -> Result<(), TableError> {
    if let Some(&got) = row.iter().find(|o| o.next_state >= states || !o.reward.is_finite()) {
        return Err(TableError::Outcome { state, action, states, got });
    }
    let positive = row.iter().all(|o| o.probability > 0.0);
    let sum = if positive { row.iter().map(|o| o.probability).sum() } else { f64::NAN };
    if (sum - 1.0).abs() <= ROUNDING { Ok(()) } else { Err(TableError::Probabilities { state, action, sum }) }
}

fn check_initial(initial: &[f64]) -> Result<(), TableError> {
    let sum = if initial.iter().all(|&p| p >= 0.0) { initial.iter().sum() } else { f64::NAN };
    if (sum - 1.0).abs() <= ROUNDING { Ok(()) } else { Err(TableError::Initial { sum }) }
}

impl TabularMdp for Table {
    fn n_states(&self) -> usize {
        self.initial.len()
    }

    fn n_actions(&self) -> usize {
        self.n_actions
    }

    fn transitions(&self, state: usize, action: usize) -> &[Outcome] {
        self.row(state, action).map_or(&[], |row| &self.outcomes[row])
    }

    fn initial(&self) -> &[f64] {
        &self.initial
    }
}

impl Environment for Table {
    type State = usize;
    type Action = usize;

    #[inline]
    fn reset(&self, rng: &mut dyn Rng) -> usize {
        draw(&self.initial_columns, rng) as usize
    }

    #[inline]
    fn step(&self, state: &usize, action: &usize, rng: &mut dyn Rng) -> Step<usize> {
        let Some(row) = self.row(*state, *action) else {
            return Step { state: *state, reward: f64::NAN, end: StepEnd::Terminated };
        };
        if row.len() == 1 {
            return self.landings[row.start].only();
        }
        let (column, place) = choose(row.len(), rng);
        self.landings[row.start + column].at(place)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    transitions: Vec<Vec<Vec<Outcome>>>,
    initial: Vec<f64>,
}

impl TryFrom<Listing> for Table {
    type Error = TableError;

    fn try_from(listing: Listing) -> Result<Self, TableError> {
        Self::new(listing.transitions, listing.initial)
    }
}

impl From<Table> for Listing {
    fn from(table: Table) -> Self {
        Self { transitions: listing(&table), initial: table.initial }
    }
}

/// All transitions of any tabular MDP, `[S][A][outcomes]`.
#[must_use]
pub fn listing<M: TabularMdp + ?Sized>(mdp: &M) -> Vec<Vec<Vec<Outcome>>> {
    let row = |s| (0..mdp.n_actions()).map(|a| mdp.transitions(s, a).to_vec()).collect();
    (0..mdp.n_states()).map(row).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tdrm_core::Seed;

    use super::*;

    fn outcome(probability: f64, next_state: usize) -> Outcome {
        Outcome { probability, next_state, reward: 0.0, terminated: false }
    }

    #[test]
    fn a_row_that_does_not_sum_to_one_is_named() {
        let error = Table::from_fn(2, 1, vec![1.0, 0.0], |s, _| vec![outcome(0.5 + 0.5 * s as f64, 0)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "state 0, action 0: expected positive probabilities that sum to 1, got a sum of 0.5"
        );
    }

    #[test]
    fn a_successor_that_does_not_exist_is_refused() {
        let error = Table::from_fn(1, 1, vec![1.0], |_, _| vec![outcome(1.0, 7)]).unwrap_err();
        assert!(matches!(error, TableError::Outcome { states: 1, got: Outcome { next_state: 7, .. }, .. }));
    }

    #[test]
    fn an_initial_distribution_must_be_one() {
        assert_eq!(
            Table::from_fn(1, 1, vec![0.9], |_, _| vec![outcome(1.0, 0)]),
            Err(TableError::Initial { sum: 0.9 })
        );
        assert!(Table::new(vec![], vec![]).is_err());
        assert!(Table::new(vec![vec![]], vec![1.0]).is_err());
    }

    #[test]
    fn long_and_short_rows_are_drawn_as_they_are_listed() {
        for n in [3, 40] {
            let table = Table::from_fn(n, 1, vec![1.0 / n as f64; n], |_, _| {
                (0..n).map(|s| outcome(2.0 * (s + 1) as f64 / (n * (n + 1)) as f64, s)).collect()
            })
            .unwrap();
            let (mut counts, mut rng, draws) = (vec![0u32; n], Seed::root(3).rng(), 20_000);
            for _ in 0..draws {
                counts[table.step(&0, &0, &mut rng).state] += 1;
            }
            for (o, &count) in table.transitions(0, 0).iter().zip(&counts) {
                let frequency = f64::from(count) / f64::from(draws);
                let error = (o.probability * (1.0 - o.probability) / f64::from(draws)).sqrt();
                assert!((frequency - o.probability).abs() < 5.0 * error, "{n}: {frequency} against {}", o.probability);
            }
        }
    }

    #[test]
    fn an_action_out_of_range_ends_the_episode_with_a_reward_that_is_no_number() {
        let table = Table::from_fn(2, 1, vec![1.0, 0.0], |_, _| vec![outcome(1.0, 0)]).unwrap();
        let step = table.step(&0, &1, &mut Seed::root(0).rng());
        assert!(step.reward.is_nan() && step.end == StepEnd::Terminated);
        assert!(table.transitions(2, 0).is_empty() && table.transitions(0, 1).is_empty());
    }

    #[test]
    fn a_table_survives_a_file_and_a_broken_one_does_not_load() {
        let table = Table::from_fn(2, 1, vec![1.0, 0.0], |s, _| vec![outcome(1.0, 1 - s)]).unwrap();
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<Table>(&json).unwrap(), table);
        assert!(serde_json::from_str::<Table>(&json.replace("\"probability\":1.0", "\"probability\":0.9")).is_err());
    }
}
