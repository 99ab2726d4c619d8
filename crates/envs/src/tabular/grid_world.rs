//! A grid with walls and pits.

use serde::{Deserialize, Serialize};
use tdrm_core::{Outcome, Probability};

use super::grid::Grid;
use super::{CatalogueError, Table, TableError, surely};

/// A map of letters as an MDP with four moves: 0 left, 1 down, 2 right, 3 up.
///
/// `S` start, `G` goal, `H` pit (both terminate when entered), `#` wall (moving into it stays), `.` floor. The move
/// slips to either side with probability `slip / 2` each.
///
/// ```
/// use tdrm_core::{Discount, Probability};
/// use tdrm_envs::{dp::optimal, tabular::GridWorld};
/// let map = ["S.#", "..G"].map(String::from).to_vec();
/// let world = GridWorld { map, step: -1.0, goal: 10.0, pit: -10.0, slip: Probability::new(0.0)? };
/// let best = optimal(&world.table()?, Discount::ONE)?;
/// assert_eq!(best.values[0], 8.0); // two steps at −1, then the goal: −1 − 1 + 10
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridWorld {
    /// Rows of equal length.
    pub map: Vec<String>,
    /// Reward of a step that does not end the episode.
    pub step: f64,
    /// Reward of entering a goal.
    pub goal: f64,
    /// Reward of entering a pit.
    pub pit: f64,
    /// Probability of going to one of the sides instead.
    pub slip: Probability,
}

const LETTERS: &str = "SGH#.";
const LEFT_DOWN_RIGHT_UP: [(isize, isize); 4] = [(0, -1), (1, 0), (0, 1), (-1, 0)];

impl GridWorld {
    /// The transitions.
    ///
    /// # Errors
    /// If the map is no rectangle, has a letter without meaning or no start, or a reward is not finite.
    pub fn table(&self) -> Result<Table, CatalogueError> {
        let grid = Grid::new(&self.map, LETTERS)?;
        let initial = grid.uniform_over(b'S')?;
        Ok(Table::from_fn(grid.len(), 4, initial, |s, a| self.outcomes(&grid, s, a))?)
    }

    fn outcomes(&self, grid: &Grid, state: usize, action: usize) -> Vec<Outcome> {
        if matches!(grid.letter(state), b'G' | b'H') {
            return surely(state, 0.0, true);
        }
        let slip: f64 = self.slip.get();
        let turns = [((action + 3) % 4, slip / 2.0), (action, 1.0 - slip), ((action + 1) % 4, slip / 2.0)];
        let possible = turns.into_iter().filter(|(_, p)| *p > 0.0);
        possible.map(|(direction, p)| self.outcome(grid, state, direction, p)).collect()
    }

    fn outcome(&self, grid: &Grid, state: usize, direction: usize, probability: f64) -> Outcome {
        let target = grid.moved(state, LEFT_DOWN_RIGHT_UP[direction]);
        let next_state = if grid.letter(target) == b'#' { state } else { target };
        let (reward, terminated) = match grid.letter(next_state) {
            b'G' => (self.goal, true),
            b'H' => (self.pit, true),
            _ => (self.step, false),
        };
        Outcome { probability, next_state, reward, terminated }
    }
}

/// The 4 × 4 grid of Sutton & Barto (2018), example 4.1: −1 per step, two goal corners, start anywhere else.
///
/// # Errors
/// Never for this map; the signature is that of every constructor here.
pub fn sutton_barto_grid() -> Result<Table, TableError> {
    const GOALS: [usize; 2] = [0, 15];
    let initial = (0..16).map(|s| if GOALS.contains(&s) { 0.0 } else { 1.0 / 14.0 }).collect();
    Table::from_fn(16, 4, initial, |s, a| {
        let (down, right) = LEFT_DOWN_RIGHT_UP[a];
        let shift = |at: usize, by: isize| at.saturating_add_signed(by).min(3);
        let next = shift(s / 4, down) * 4 + shift(s % 4, right);
        if GOALS.contains(&s) { surely(s, 0.0, true) } else { surely(next, -1.0, GOALS.contains(&next)) }
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests state exact values")]
    use tdrm_core::Discount;

    use super::*;
    use crate::dp::{StateActions, evaluate, optimal};

    fn world(map: &[&str], slip: f64) -> Table {
        let map = map.iter().map(|&r| r.to_owned()).collect();
        let world = GridWorld { map, step: 0.0, goal: 1.0, pit: -1.0, slip: Probability::new(slip).unwrap() };
        world.table().unwrap()
    }

    #[test]
    fn the_book_grid_has_the_values_of_figure_4_1() {
        let table = sutton_barto_grid().unwrap();
        let v = evaluate(&table, Discount::ONE, &StateActions::uniform(&table)).unwrap();
        let book = [0, -14, -20, -22, -14, -18, -20, -20, -20, -20, -18, -14, -22, -20, -14, 0];
        v.iter().zip(book).for_each(|(v, book)| assert!((v - f64::from(book)).abs() < 1e-12, "{v} {book}"));
    }

    #[test]
    fn the_best_policy_of_the_book_grid_counts_the_steps_to_the_nearer_corner() {
        let best = optimal(&sutton_barto_grid().unwrap(), Discount::ONE).unwrap();
        assert_eq!(best.values, [0, -1, -2, -3, -1, -2, -3, -2, -2, -3, -2, -1, -3, -2, -1, 0].map(f64::from));
    }

    #[test]
    fn a_wall_is_gone_around_and_pits_are_avoided() {
        // S#G over ... : down, right, right, up = 4 steps, discounted 3 times
        let best = optimal(&world(&["S#G", "..."], 0.0), Discount::new(0.5).unwrap()).unwrap();
        assert_eq!(best.values[0], 0.125);
        let best = optimal(&world(&["SHG", "..."], 0.0), Discount::new(0.5).unwrap()).unwrap();
        assert_eq!(best.values[0], 0.125);
    }

    #[test]
    fn slipping_goes_to_both_sides_alike() {
        let table = world(&["...", ".S.", "..G"], 0.5);
        let right: Vec<_> = tdrm_core::TabularMdp::transitions(&table, 4, 2).to_vec();
        let listed: Vec<_> = right.iter().map(|o| (o.probability, o.next_state)).collect();
        assert_eq!(listed, [(0.25, 7), (0.5, 5), (0.25, 1)]);
    }

    #[test]
    fn a_map_without_a_start_is_refused() {
        let world =
            GridWorld { map: vec!["..".into()], step: 0.0, goal: 1.0, pit: 0.0, slip: Probability::new(0.0).unwrap() };
        assert_eq!(world.table().unwrap_err().to_string(), "expected at least one start cell S in the map, got none");
    }
}
