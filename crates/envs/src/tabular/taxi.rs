//! Taxi.

use serde::{Deserialize, Serialize};
use tdrm_core::{Outcome, Probability};

use super::{Table, TableError, surely};

/// Taxi of Gymnasium (Dietterich, 2000): fetch a passenger at one of four stands and drop it at another.
///
/// Actions: 0 south, 1 north, 2 east, 3 west, 4 pick up, 5 drop off. State
/// `((row · 5 + column) · 5 + passenger) · 4 + destination` with stands R, G, Y, B = 0 … 3 and passenger 4 in the
/// taxi. −1 per step, −10 for a forbidden pick-up or drop-off, 20 for the delivery. Gymnasium 1.4, `Taxi-v4` (time
/// limit 200).
///
/// A fickle passenger is part of the state here: 500 more states, `500 + s`, in which it has yet to change its mind
/// at the first move with it aboard. (Gymnasium keeps it outside of its transition table.)
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taxi {
    /// Probability of going where one means to in the rain; `None` for dry roads.
    pub rain: Option<Probability>,
    /// Probability that the passenger changes its destination after the first move aboard; `None` for never.
    pub fickle: Option<Probability>,
    /// Whose rain.
    pub version: TaxiVersion,
}

/// How rain works; on dry roads the versions are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TaxiVersion {
    /// `Taxi-v3` as in Gymnasium 1.2: north and south drift even where the way is blocked, and walls beside the
    /// taxi are looked up from the wrong cell.
    V3,
    /// `Taxi-v4`: a taxi drifts left or right of its heading, if its own way and that way are free.
    #[default]
    V4,
}

impl TaxiVersion {
    /// Probability of each side: (1 − rain) / 2. The older version writes 0.8, 0.1, 0.1, which this grouping hits.
    fn side(self, rain: f64) -> f64 {
        match self {
            Self::V3 => (10.0 - 10.0 * rain) / 20.0,
            Self::V4 => (1.0 - rain) / 2.0,
        }
    }
}

/// Column pairs (c, c + 1) of each row between which there is a wall, as bits: bit c is set for a free passage.
const FREE_EAST: [u8; 5] = [0b1101, 0b1101, 0b1111, 0b1010, 0b1010];
const STANDS: [(usize, usize); 4] = [(0, 0), (0, 4), (4, 0), (4, 3)];
const STATES: usize = 500;
const ABOARD: usize = 4;
const SOUTH: usize = 0;
const NORTH: usize = 1;
const EAST: usize = 2;
const WEST: usize = 3;

type Cell = (usize, usize);

impl Taxi {
    /// Dry roads and a passenger of firm will.
    #[must_use]
    pub const fn dry(version: TaxiVersion) -> Self {
        Self { rain: None, fickle: None, version }
    }

    /// The transitions: 500 states, 1000 with a fickle passenger.
    ///
    /// # Errors
    /// Never; the signature is that of every environment here.
    pub fn table(&self) -> Result<Table, TableError> {
        let Some(fickle) = self.fickle.map(Probability::get::<f64>) else {
            return Table::from_fn(STATES, 6, start(), |s, a| self.row(s, a));
        };
        let initial = start().into_iter().map(|p| (1.0 - fickle) * p).chain(start().into_iter().map(|p| fickle * p));
        Table::from_fn(2 * STATES, 6, initial.collect(), |s, a| {
            if s < STATES { self.row(s, a) } else { undecided(s - STATES, &self.row(s - STATES, a)) }
        })
    }

    fn row(&self, state: usize, action: usize) -> Vec<Outcome> {
        let Ride { cell, passenger, destination } = Ride::decode(state);
        let at = |cell| Ride { cell, passenger, destination }.encode();
        match (action, self.rain) {
            (4, _) => {
                let here = passenger < ABOARD && STANDS[passenger] == cell;
                let passenger = if here { ABOARD } else { passenger };
                surely(Ride { cell, passenger, destination }.encode(), if here { -1.0 } else { -10.0 }, false)
            }
            (5, _) => drop_off(cell, passenger, destination),
            (_, None) => surely(at(moved(cell, action).unwrap_or(cell)), -1.0, false),
            (_, Some(rain)) => {
                let rain: f64 = rain.get();
                let side = self.version.side(rain);
                let listed = [rain, side, side].into_iter().zip(self.drift(cell, action));
                let outcome = |(probability, cell)| Outcome {
                    probability,
                    next_state: at(cell),
                    reward: -1.0,
                    terminated: false,
                };
                listed.filter(|(p, _)| *p > 0.0).map(outcome).collect()
            }
        }
    }

    /// Where the taxi may end up: ahead, to the left, to the right.
    fn drift(&self, cell: Cell, action: usize) -> [Cell; 3] {
        let ahead = moved(cell, action);
        match self.version {
            TaxiVersion::V4 => {
                let (left, right) = [(EAST, WEST), (WEST, EAST), (NORTH, SOUTH), (SOUTH, NORTH)][action];
                let go = |direction| ahead.and(moved(cell, direction)).unwrap_or(cell);
                [ahead.unwrap_or(cell), go(left), go(right)]
            }
            TaxiVersion::V3 => v3_drift(cell, action, ahead),
        }
    }
}

/// The first version's drift: the wall is looked up east of the left cell and west of the right cell.
fn v3_drift(cell: Cell, action: usize, ahead: Option<Cell>) -> [Cell; 3] {
    if ahead.is_none() && matches!(action, EAST | WEST) {
        return [cell; 3];
    }
    let (left, right) = if matches!(action, SOUTH | NORTH) { (WEST, EAST) } else { (SOUTH, NORTH) };
    let left_cell = clamped(cell, left);
    let right_cell = clamped(cell, right);
    let left_free = moved(left_cell, EAST).is_some();
    let right_free = moved(right_cell, WEST).is_some();
    [clamped(cell, action), if left_free { left_cell } else { cell }, if right_free { right_cell } else { cell }]
}

/// The neighbouring cell, held back by the border only.
fn clamped((row, column): Cell, direction: usize) -> Cell {
    match direction {
        SOUTH => ((row + 1).min(4), column),
        NORTH => (row.saturating_sub(1), column),
        EAST => (row, (column + 1).min(4)),
        _ => (row, column.saturating_sub(1)),
    }
}

/// The neighbouring cell, if neither border nor wall is in the way.
fn moved(cell: Cell, direction: usize) -> Option<Cell> {
    let next = clamped(cell, direction);
    let wall = match direction {
        EAST => next != cell && FREE_EAST[cell.0] >> cell.1 & 1 == 0,
        WEST => next != cell && FREE_EAST[cell.0] >> next.1 & 1 == 0,
        _ => false,
    };
    (next != cell && !wall).then_some(next)
}

fn drop_off(cell: Cell, passenger: usize, destination: usize) -> Vec<Outcome> {
    let stand = STANDS.iter().position(|&s| s == cell).filter(|_| passenger == ABOARD);
    let (passenger, reward, terminated) = match stand {
        Some(stand) if stand == destination => (stand, 20.0, true),
        Some(stand) => (stand, -1.0, false),
        None => (passenger, -10.0, false),
    };
    surely(Ride { cell, passenger, destination }.encode(), reward, terminated)
}

/// Outcomes of a passenger that changes its mind at the first move aboard.
fn undecided(state: usize, row: &[Outcome]) -> Vec<Outcome> {
    let before = Ride::decode(state);
    let mut outcomes = vec![];
    for &o in row {
        let after = Ride::decode(o.next_state);
        if before.passenger != ABOARD || after.cell == before.cell {
            outcomes.push(Outcome { next_state: STATES + o.next_state, ..o });
            continue;
        }
        let others = (0..STANDS.len()).filter(|&d| d != before.destination);
        outcomes.extend(others.map(|destination| Outcome {
            probability: o.probability / 3.0,
            next_state: Ride { destination, ..after }.encode(),
            ..o
        }));
    }
    outcomes
}

/// Uniform over taxis anywhere and passengers who wait at a stand that is not their destination.
fn start() -> Vec<f64> {
    let waits = |s| {
        let ride = Ride::decode(s);
        ride.passenger < ABOARD && ride.passenger != ride.destination
    };
    (0..STATES).map(|s| if waits(s) { 1.0 / 300.0 } else { 0.0 }).collect()
}

#[derive(Clone, Copy)]
struct Ride {
    cell: Cell,
    passenger: usize,
    destination: usize,
}

impl Ride {
    const fn decode(state: usize) -> Self {
        Self { cell: (state / 100, state / 20 % 5), passenger: state / 4 % 5, destination: state % 4 }
    }

    const fn encode(self) -> usize {
        ((self.cell.0 * 5 + self.cell.1) * 5 + self.passenger) * 4 + self.destination
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests state exact values")]
    use tdrm_core::{Discount, TabularMdp};

    use super::*;
    use crate::dp::optimal;

    #[test]
    fn states_are_numbered_as_gymnasium_numbers_them() {
        assert!((0..STATES).all(|s| Ride::decode(s).encode() == s));
        assert_eq!(Ride { cell: (3, 1), passenger: 2, destination: 0 }.encode(), 328);
    }

    #[test]
    fn walls_stop_the_taxi_from_both_sides() {
        assert_eq!((moved((0, 1), EAST), moved((0, 2), WEST)), (None, None));
        assert_eq!((moved((2, 1), EAST), moved((4, 0), EAST)), (Some((2, 2)), None));
    }

    #[test]
    fn a_delivery_next_door_is_worth_its_reward() {
        // aboard at the destination: drop off pays 20 and terminates
        let table = Taxi::dry(TaxiVersion::V4).table().unwrap();
        let state = Ride { cell: STANDS[2], passenger: ABOARD, destination: 2 }.encode();
        assert_eq!(optimal(&table, Discount::ONE).unwrap().values[state], 20.0);
    }

    #[test]
    fn a_fickle_passenger_changes_its_mind_once_and_only_when_it_moves() {
        let taxi = Taxi { fickle: Probability::new(0.3).ok(), ..Taxi::dry(TaxiVersion::V4) };
        let table = taxi.table().unwrap();
        let state = STATES + Ride { cell: (2, 2), passenger: ABOARD, destination: 0 }.encode();
        let row = table.transitions(state, SOUTH);
        assert_eq!(row.len(), 3);
        assert!(row.iter().all(|o| o.next_state < STATES && Ride::decode(o.next_state).destination != 0));
        assert_eq!(table.transitions(state, 4)[0].next_state, state);
    }
}
