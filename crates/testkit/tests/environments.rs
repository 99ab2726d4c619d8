//! Every environment of the catalogue, and the learner's table, under the laws.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::num::NonZeroU32;

use tdrm_core::{Environment, Positive, Seed, TabularMdp};
use tdrm_envs::TimeLimit;
use tdrm_envs::classic::{CartPole, MountainCar};
use tdrm_envs::dp::StateActions;
use tdrm_envs::learner::{Optimiser, TablePolicy};
use tdrm_envs::tabular::{NAMES, Settings, Table, catalogue};
use tdrm_testkit::laws;

fn tables() -> impl Iterator<Item = (String, Table)> {
    let variants = [
        "Taxi-v3 is_rainy=true",
        "Taxi-v4 is_rainy=true fickle_passenger=true",
        "CliffWalking-v1 is_slippery=true",
        "Blackjack-v1 sab=false natural=true",
        "windy_grid king_moves=true",
        "grid_world slip=0.2",
    ];
    let names = NAMES.iter().map(|(name, _)| (*name).to_owned()).chain(variants.map(str::to_owned));
    names.map(|name| {
        let mut words = name.split(' ');
        let table = catalogue(words.next().unwrap(), Settings::parse(words).unwrap()).unwrap();
        (name, table)
    })
}

#[test]
fn every_table_keeps_the_laws_of_tables_and_environments() {
    for (name, table) in tables() {
        laws::tabular_mdp(&table).unwrap_or_else(|e| panic!("{name}: {e}"));
        let actions: Vec<_> = (0..table.n_actions()).collect();
        laws::environment(&table, &actions, Seed::root(3)).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn every_table_samples_what_it_lists() {
    for (name, table) in tables() {
        // large tables have many rows: fewer draws each, the same total
        let draws = (400_000 / (table.n_states() * table.n_actions()) as u32).clamp(50, 5_000);
        laws::frequencies(&table, draws, Seed::root(11)).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn classic_environments_and_limits_keep_the_laws() {
    laws::environment(&CartPole::default(), &[0, 1, 1], Seed::root(1)).unwrap();
    laws::environment(&MountainCar {}, &[0, 2, 1], Seed::root(1)).unwrap();
    let limited = TimeLimit { inner: CartPole::default(), limit: NonZeroU32::new(7).unwrap() };
    laws::environment(&limited, &[0, 1], Seed::root(1)).unwrap();
    let erased: Box<dyn Environment<State = _, Action = _>> = Box::new(limited);
    laws::environment(&erased, &[0, 1], Seed::root(1)).unwrap();
}

#[test]
fn a_table_policy_keeps_the_laws_of_policies() {
    let logits = StateActions::from_fn(4, 3, |s, a| (7.0 * s as f64 + 3.0 * a as f64).sin());
    let optimiser = Optimiser::Sgd { learning_rate: Positive::new(0.05).unwrap() };
    let fresh = || TablePolicy::from_logits(logits.clone(), optimiser);
    laws::policy(&fresh(), &[&0, &1, &2, &3, &1], Seed::root(1), 0.0).unwrap();
    laws::log_prob(&fresh(), &[&0, &1, &2, &3], Seed::root(1), 1e-14).unwrap();
    laws::trainable(fresh, &[vec![(0, 1), (1, 2)], vec![], vec![(3, 0)]], 0.0).unwrap();
}
