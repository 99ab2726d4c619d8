//! FrozenLake.

use serde::{Deserialize, Serialize};
use tdrm_core::{Outcome, Probability};

use super::grid::Grid;
use super::{CatalogueError, Table, surely};

/// FrozenLake of Gymnasium: cross the ice from S to G without falling into a hole H.
///
/// Actions: 0 left, 1 down, 2 right, 3 up. On slippery ice the move succeeds with probability `success` and goes
/// to each side otherwise, `(1 − success) / 2` each; outcomes are listed side, meant, side, duplicates included,
/// as Gymnasium lists them. Reaching the goal pays 1. Gymnasium 1.4, `FrozenLake-v1` (time limit 100 steps, 200
/// for the id `FrozenLake8x8-v1`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenLake {
    /// Rows of `S` start, `F` frozen, `H` hole, `G` goal.
    pub map: Vec<String>,
    /// Probability of going where one means to, on slippery ice; `None` for ice that is not slippery.
    pub success: Option<Probability>,
}

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
        Some(Self { map: rows.iter().map(|&r| r.to_owned()).collect(), success: Probability::new(1.0 / 3.0).ok() })
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
            return vec![outcome(grid, state, action, 1.0)];
        };
        let side = (1.0 - success) / 2.0;
        let turns = [((action + 3) % 4, side), (action, success), ((action + 1) % 4, side)];
        turns.into_iter().filter(|(_, p)| *p > 0.0).map(|(a, p)| outcome(grid, state, a, p)).collect()
    }
}

fn outcome(grid: &Grid, state: usize, action: usize, probability: f64) -> Outcome {
    let next_state = grid.moved(state, MOVES[action]);
    let letter = grid.letter(next_state);
    let reward = if letter == b'G' { 1.0 } else { 0.0 };
    Outcome { probability, next_state, reward, terminated: matches!(letter, b'G' | b'H') }
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
}
