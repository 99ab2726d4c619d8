//! FrozenLake.

use rand::RngExt;
use serde::{Deserialize, Serialize};
use tdrm_core::{Outcome, Probability, Seed};

use super::grid::{Grid, MapError};
use super::{CatalogueError, Table, surely};

/// FrozenLake of Gymnasium: cross the ice from S to G without falling into a hole H.
///
/// Actions: 0 left, 1 down, 2 right, 3 up. On slippery ice the move succeeds with probability `success` and goes
/// to each side otherwise, `(1 − success) / 2` each; outcomes are listed side, meant, side, duplicates included,
/// as Gymnasium lists them (those of probability 0 are not listed). A step pays by the cell it reaches. Gymnasium 1.4,
/// `FrozenLake-v1` (time limit 100 steps, 200 for the id `FrozenLake8x8-v1`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenLake {
    /// Rows of `S` start, `F` frozen, `H` hole, `G` goal.
    pub map: Vec<String>,
    /// Probability of going where one means to, on slippery ice; `None` for ice that is not slippery.
    pub success: Option<Probability>,
    /// What a step pays.
    #[serde(default)]
    pub rewards: RewardSchedule,
}

/// The reward of reaching a cell: Gymnasium's `reward_schedule`, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardSchedule {
    /// The goal.
    pub goal: f64,
    /// A hole.
    pub hole: f64,
    /// Ice, the start included.
    pub frozen: f64,
}

impl Default for RewardSchedule {
    fn default() -> Self {
        Self { goal: 1.0, hole: 0.0, frozen: 0.0 }
    }
}

/// Draws of a map before one without a path is given up on.
const ATTEMPTS: u64 = 10_000;

const MOVES: [(isize, isize); 4] = [(0, -1), (1, 0), (0, 1), (-1, 0)];

impl FrozenLake {
    /// The map of this name, `4x4` or `8x8`, with the standard slipperiness of 1/3.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let rows: &[&str] = match name {
            "4x4" => &["SFFF", "FHFH", "FFFH", "HFFG"],
            "8x8" => &["SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG"],
            _ => return None,
        };
        Some(Self::standard(rows.iter().map(|&r| r.to_owned()).collect()))
    }

    fn standard(map: Vec<String>) -> Self {
        Self { map, success: Probability::new(1.0 / 3.0).ok(), rewards: RewardSchedule::default() }
    }

    /// A random square map with a path from S, top left, to G, bottom right: each other cell is ice with probability
    /// `frozen`; maps are drawn, the i-th from `seed.child(i)`, until one has a path.
    ///
    /// The distribution is that of Gymnasium's `generate_random_map(size, p)`; the map of a seed is not, since the
    /// numbers are not NumPy's.
    ///
    /// # Errors
    /// If `size` is less than 2, or 10,000 maps had no path.
    ///
    /// ```
    /// use tdrm_core::{Probability, Seed};
    /// use tdrm_envs::tabular::FrozenLake;
    /// let lake = FrozenLake::random(4, Probability::new(0.8)?, Seed::root(1))?;
    /// assert_eq!((lake.map.len(), &lake.map[0][..1], &lake.map[3][3..]), (4, "S", "G"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn random(size: usize, frozen: Probability, seed: Seed) -> Result<Self, MapError> {
        if size < 2 {
            return Err(MapError::Small { got: size });
        }
        let map = (0..ATTEMPTS).map(|i| drawn(size, frozen, seed.child(i))).find(|map| passable(map));
        let rows = |map: Vec<Vec<char>>| map.into_iter().map(String::from_iter).collect();
        map.map(rows).map(Self::standard).ok_or(MapError::NoPath { size, frozen: frozen.get(), attempts: ATTEMPTS })
    }

    /// The transitions.
    ///
    /// # Errors
    /// If the map is no rectangle of `SFHG` with a start.
    pub fn table(&self) -> Result<Table, CatalogueError> {
        let grid = Grid::new(&self.map, "SFHG")?;
        let initial = grid.uniform_over(b'S')?;
        Ok(Table::from_fn(grid.len(), 4, initial, |s, a| self.outcomes(&grid, s, a))?)
    }

    fn outcomes(&self, grid: &Grid, state: usize, action: usize) -> Vec<Outcome> {
        if matches!(grid.letter(state), b'G' | b'H') {
            return surely(state, 0.0, true);
        }
        let Some(success) = self.success.map(Probability::get::<f64>) else {
            return vec![self.outcome(grid, state, action, 1.0)];
        };
        let side = (1.0 - success) / 2.0;
        let turns = [((action + 3) % 4, side), (action, success), ((action + 1) % 4, side)];
        turns.into_iter().filter(|(_, p)| *p > 0.0).map(|(a, p)| self.outcome(grid, state, a, p)).collect()
    }

    fn outcome(&self, grid: &Grid, state: usize, action: usize, probability: f64) -> Outcome {
        let next_state = grid.moved(state, MOVES[action]);
        let (reward, terminated) = match grid.letter(next_state) {
            b'G' => (self.rewards.goal, true),
            b'H' => (self.rewards.hole, true),
            _ => (self.rewards.frozen, false),
        };
        Outcome { probability, next_state, reward, terminated }
    }
}

fn drawn(size: usize, frozen: Probability, seed: Seed) -> Vec<Vec<char>> {
    let (mut rng, frozen) = (seed.rng(), frozen.get::<f64>());
    let mut cell = || if rng.random::<f64>() < frozen { 'F' } else { 'H' };
    let mut map: Vec<Vec<char>> = (0..size).map(|_| (0..size).map(|_| cell()).collect()).collect();
    (map[0][0], map[size - 1][size - 1]) = ('S', 'G');
    map
}

/// Whether the last cell of a square can be reached from the first without a hole.
fn passable(map: &[Vec<char>]) -> bool {
    let size = map.len();
    let mut reached = vec![false; size * size];
    let mut frontier = vec![0];
    while let Some(cell) = frontier.pop() {
        let (row, column) = (cell / size, cell % size);
        if map[row][column] == 'H' || std::mem::replace(&mut reached[cell], true) {
            continue;
        }
        let beside = MOVES.map(|(down, right)| (row.checked_add_signed(down), column.checked_add_signed(right)));
        let inside = beside.into_iter().filter_map(|(r, c)| Some((r?, c?))).filter(|&(r, c)| r < size && c < size);
        frontier.extend(inside.map(|(r, c)| r * size + c));
    }
    reached[size * size - 1]
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests state exact values")]
    use tdrm_core::{Discount, TabularMdp};

    use super::*;
    use crate::dp::optimal;

    #[test]
    fn dry_ice_takes_six_steps() {
        let lake = FrozenLake { success: None, ..FrozenLake::named("4x4").unwrap() };
        let best = optimal(&lake.table().unwrap(), Discount::new(0.5).unwrap()).unwrap();
        assert_eq!(best.values[0], 0.5_f64.powi(5));
    }

    #[test]
    fn the_corner_lists_its_duplicates() {
        // left from the corner: up stays, left stays, down moves
        let table = FrozenLake::named("4x4").unwrap().table().unwrap();
        let next: Vec<_> = table.transitions(0, 0).iter().map(|o| o.next_state).collect();
        assert_eq!(next, [0, 0, 4]);
    }

    #[test]
    fn a_lake_without_slipping_to_the_sides_is_dry() {
        let sure = FrozenLake { success: Probability::new(1.0).ok(), ..FrozenLake::named("8x8").unwrap() };
        let dry = FrozenLake { success: None, ..FrozenLake::named("8x8").unwrap() };
        assert_eq!(sure.table().unwrap(), dry.table().unwrap());
    }

    #[test]
    fn a_step_pays_by_the_cell_it_reaches() {
        let rewards = RewardSchedule { goal: 10.0, hole: -5.0, frozen: -1.0 };
        let map = ["SH", "FG"].map(str::to_owned).to_vec();
        let table = FrozenLake { map, success: None, rewards }.table().unwrap();
        let reward = |s, a: usize| table.transitions(s, a)[0].reward;
        // from S: left stays on ice, down to ice, right into the hole; from the ice below, right onto the goal
        assert_eq!([reward(0, 0), reward(0, 1), reward(0, 2), reward(2, 2)], [-1.0, -1.0, -5.0, 10.0]);
        assert_eq!([reward(1, 0), reward(3, 0)], [0.0, 0.0]); // nothing follows the end
    }

    #[test]
    fn random_maps_have_a_path_and_belong_to_their_seed() {
        let p = Probability::new(0.6).unwrap();
        for seed in (0..20).map(Seed::root) {
            let lake = FrozenLake::random(6, p, seed).unwrap();
            assert_eq!(lake, FrozenLake::random(6, p, seed).unwrap());
            let dry = FrozenLake { success: None, ..lake }.table().unwrap();
            assert!(optimal(&dry, Discount::new(0.9).unwrap()).unwrap().values[0] > 0.0);
        }
        assert_ne!(FrozenLake::random(6, p, Seed::root(1)).unwrap(), FrozenLake::random(6, p, Seed::root(2)).unwrap());
    }

    #[test]
    fn a_map_without_holes_is_all_ice_and_one_without_ice_is_refused() {
        let all = FrozenLake::random(3, Probability::new(1.0).unwrap(), Seed::root(0)).unwrap();
        assert_eq!(all.map, ["SFF", "FFF", "FFG"]);
        let none = FrozenLake::random(3, Probability::new(0.0).unwrap(), Seed::root(0)).unwrap_err();
        assert_eq!(
            none.to_string(),
            "expected a path from S to G in one of 10000 maps of 3 × 3 cells, frozen with probability 0, got none"
        );
        assert!(matches!(
            FrozenLake::random(1, Probability::new(1.0).unwrap(), Seed::root(0)),
            Err(MapError::Small { got: 1 })
        ));
    }
}
