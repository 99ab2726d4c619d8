//! CliffWalking.

use serde::{Deserialize, Serialize};
use tdrm_core::Outcome;

use super::{Table, TableError, point};

/// CliffWalking of Gymnasium, after Sutton & Barto (2018), example 6.6: along the cliff of a 4 × 12 grid.
///
/// Actions: 0 up, 1 right, 2 down, 3 left. −1 per step; stepping over the cliff pays −100 and goes back to the
/// start; the goal terminates. On slippery ground each side and the way meant have probability 1/3. Gymnasium 1.4,
/// `CliffWalking-v1` (no time limit).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CliffWalking {
    /// Whether the ground is slippery.
    pub is_slippery: bool,
}

const HEIGHT: usize = 4;
const WIDTH: usize = 12;
const START: usize = 36;
const GOAL: usize = 47;
const MOVES: [(isize, isize); 4] = [(-1, 0), (0, 1), (1, 0), (0, -1)];

impl CliffWalking {
    /// The transitions.
    ///
    /// # Errors
    /// Never; the signature is that of every environment here.
    pub fn table(&self) -> Result<Table, TableError> {
        let turns: &[usize] = if self.is_slippery { &[3, 0, 1] } else { &[0] };
        let probability = 1.0 / turns.len() as f64;
        Table::from_fn(HEIGHT * WIDTH, 4, point(HEIGHT * WIDTH, START), |s, a| {
            turns.iter().map(|turn| outcome(s, MOVES[(a + turn) % 4], probability)).collect()
        })
    }
}

fn outcome(state: usize, (down, right): (isize, isize), probability: f64) -> Outcome {
    let shift = |at: usize, by: isize, size: usize| at.saturating_add_signed(by).min(size - 1);
    let target = shift(state / WIDTH, down, HEIGHT) * WIDTH + shift(state % WIDTH, right, WIDTH);
    if target > START && target < GOAL {
        return Outcome { probability, next_state: START, reward: -100.0, terminated: false };
    }
    Outcome { probability, next_state: target, reward: -1.0, terminated: target == GOAL }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tdrm_core::Discount;

    use super::*;
    use crate::dp::optimal;

    #[test]
    fn the_best_walk_along_the_cliff_takes_thirteen_steps() {
        let best = optimal(&CliffWalking::default().table().unwrap(), Discount::ONE).unwrap();
        assert_eq!((best.values[START], best.values[GOAL - WIDTH]), (-13.0, -1.0));
    }
}
