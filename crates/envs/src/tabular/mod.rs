//! Tabular MDPs: listed exactly, sampled fast.
//!
//! | environment | by |
//! |---|---|
//! | [`chain`], [`random_walk`], [`bandit`] | n states in a row, n arms |
//! | [`GridWorld`], [`sutton_barto_grid`], [`windy_grid`] | cells, walls, pits, wind |
//! | [`RandomMdp`] | a seed |
//! | [`Sequences`] | all token sequences up to a length, as a tree |
//! | [`FrozenLake`], [`CliffWalking`], [`Taxi`], [`Blackjack`] | Gymnasium's rules, number for number |
//!
//! All of them build a [`Table`]; [`catalogue`] builds one by name.

mod alias;
mod blackjack;
mod catalogue;
mod cliff_walking;
mod frozen_lake;
mod grid;
mod grid_world;
mod line;
mod random;
mod sequences;
mod settings;
mod table;
mod taxi;
mod windy;

pub use blackjack::{Blackjack, BlackjackRules};
pub use catalogue::{CatalogueError, Dump, Listed, NAMES, catalogue, dump};
pub use cliff_walking::CliffWalking;
pub use frozen_lake::{FrozenLake, RewardSchedule};
pub use grid::MapError;
pub use grid_world::{GridWorld, sutton_barto_grid};
pub use line::{bandit, chain, random_walk};
pub use random::RandomMdp;
pub use sequences::{SequenceError, Sequences};
pub use settings::Settings;
pub use table::{Table, TableError, listing};
pub use taxi::{Taxi, TaxiVersion};
pub use windy::{WindMoves, windy_grid};

use tdrm_core::Outcome;

/// The only outcome of a deterministic step.
fn surely(next_state: usize, reward: f64, terminated: bool) -> Vec<Outcome> {
    vec![Outcome { probability: 1.0, next_state, reward, terminated }]
}

/// A distribution that is certain.
fn point(n: usize, at: usize) -> Vec<f64> {
    (0..n).map(|s| if s == at { 1.0 } else { 0.0 }).collect()
}
