//! The windy grid.

use serde::{Deserialize, Serialize};

use super::{Table, TableError, point, surely};

/// Which moves there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WindMoves {
    /// Left, down, right, up.
    #[default]
    Four,
    /// Those, and the diagonals.
    King,
}

const HEIGHT: usize = 7;
const WIND: [usize; 10] = [0, 0, 0, 1, 1, 1, 2, 2, 1, 0];
const START: usize = 3 * WIND.len();
const GOAL: usize = 3 * WIND.len() + 7;
const MOVES: [(isize, isize); 8] = [(0, -1), (1, 0), (0, 1), (-1, 0), (1, -1), (1, 1), (-1, 1), (-1, -1)];

/// The windy grid of Sutton & Barto (2018), example 6.5 and exercise 6.9: 7 × 10, −1 per step, the wind of the
/// column that is left pushes upwards.
///
/// The best policy takes 15 steps with four moves and 7 with king's moves.
///
/// # Errors
/// Never for this map; the signature is that of every constructor here.
pub fn windy_grid(moves: WindMoves) -> Result<Table, TableError> {
    let n_actions = if moves == WindMoves::King { 8 } else { 4 };
    let n = HEIGHT * WIND.len();
    Table::from_fn(n, n_actions, point(n, START), |s, a| {
        if s == GOAL {
            return surely(s, 0.0, true);
        }
        let next = blown(s, MOVES[a]);
        surely(next, -1.0, next == GOAL)
    })
}

fn blown(state: usize, (down, right): (isize, isize)) -> usize {
    let (row, column) = (state / WIND.len(), state % WIND.len());
    let row = row.saturating_add_signed(down).saturating_sub(WIND[column]).min(HEIGHT - 1);
    row * WIND.len() + column.saturating_add_signed(right).min(WIND.len() - 1)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests state exact values")]
    use tdrm_core::Discount;

    use super::*;
    use crate::dp::optimal;

    #[test]
    fn the_best_policies_take_fifteen_steps_and_seven() {
        let steps = |moves| optimal(&windy_grid(moves).unwrap(), Discount::ONE).unwrap().values[START];
        assert_eq!([steps(WindMoves::Four), steps(WindMoves::King)], [-15.0, -7.0]);
    }
}
