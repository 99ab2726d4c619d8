//! Transition tables, values and textbook numbers of other people's implementations.
#![expect(clippy::unwrap_used, clippy::print_stderr, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tdrm_core::{Discount, Environment, Outcome, Seed, TabularMdp};
use tdrm_envs::classic::{CartPole, CartPoleState, MountainCar, MountainCarState};
use tdrm_envs::dp::{StateActions, evaluate, optimal};
use tdrm_envs::tabular::{
    CliffWalking, FrozenLake, Listed, Settings, Table, catalogue, random_walk, sutton_barto_grid,
};

/// The folder `shared` beside the repository, or a loud message and `None`.
fn shared(file: &str) -> Option<String> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let found: Option<PathBuf> = above.map(|p| p.join("shared/golden").join(file)).find(|p| p.exists());
    if found.is_none() {
        eprintln!("SKIPPED: ../shared/golden/{file} is not here");
    }
    std::fs::read_to_string(found?).ok()
}

fn assert_close(got: &[f64], expected: &[f64], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (s, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!((g - e).abs() <= 1e-10 * (1.0 + e.abs()), "{what}, state {s}: {g} against {e}");
    }
}

#[derive(Deserialize)]
struct Committed {
    gamma: Discount,
    cases: BTreeMap<String, Values>,
}

#[derive(Deserialize)]
struct Values {
    every: usize,
    v_uniform: Vec<f64>,
    v_star: Vec<f64>,
}

#[test]
fn values_of_the_catalogue_are_those_of_gymnasium() {
    let golden: Committed = serde_json::from_str(include_str!("golden/gymnasium.json")).unwrap();
    assert_eq!(golden.cases.len(), 12);
    for (name, case) in &golden.cases {
        let mut words = name.split(' ');
        let table = catalogue(words.next().unwrap(), Settings::parse(words).unwrap()).unwrap();
        let thinned = |values: Vec<f64>| values.into_iter().step_by(case.every).collect::<Vec<_>>();
        let uniform = evaluate(&table, golden.gamma, &StateActions::uniform(&table)).unwrap();
        assert_close(&thinned(uniform), &case.v_uniform, name);
        assert_close(&thinned(optimal(&table, golden.gamma).unwrap().values), &case.v_star, name);
    }
}

#[derive(Deserialize)]
struct ToyText {
    envs: BTreeMap<String, Reference>,
    random_maps: Vec<RandomMap>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "P")]
    p: BTreeMap<usize, BTreeMap<usize, Vec<Listed>>>,
    initial_state_distrib: Vec<f64>,
    values: BTreeMap<String, ReferenceValues>,
}

#[derive(Deserialize)]
struct ReferenceValues {
    #[serde(rename = "V")]
    v: Vec<f64>,
    #[serde(rename = "Q")]
    q: Vec<Vec<f64>>,
    #[serde(rename = "random_policy_V")]
    random: Vec<f64>,
}

#[derive(Deserialize)]
struct RandomMap {
    map: Vec<String>,
    slippery: bool,
    gamma: f64,
    #[serde(rename = "V")]
    v: Vec<f64>,
}

fn lake(map: Option<Vec<String>>, slippery: bool) -> Table {
    let standard = FrozenLake::named("4x4").unwrap();
    let success = standard.success.filter(|_| slippery);
    FrozenLake { map: map.unwrap_or(standard.map.clone()), success, ..standard }.table().unwrap()
}

fn built(name: &str) -> Table {
    match name {
        "FrozenLake-4x4-slippery" => lake(None, true),
        "FrozenLake-4x4" => lake(None, false),
        "CliffWalking" => CliffWalking::default().table().unwrap(),
        other => panic!("no environment for the reference {other}"),
    }
}

#[test]
fn transitions_are_exactly_those_of_gymnasium() {
    let Some(text) = shared("envs/gymnasium_toy_text.json") else { return };
    let golden: ToyText = serde_json::from_str(&text).unwrap();
    for (name, reference) in &golden.envs {
        let table = built(name);
        assert_eq!(table.initial(), reference.initial_state_distrib, "{name}");
        assert_eq!(table.n_states(), reference.p.len(), "{name}");
        for (&s, rows) in &reference.p {
            for (&a, row) in rows {
                let outcome = |&(probability, next_state, reward, terminated)| Outcome {
                    probability,
                    next_state,
                    reward,
                    terminated,
                };
                let expected: Vec<_> = row.iter().map(outcome).collect();
                assert_eq!(table.transitions(s, a), expected, "{name}, state {s}, action {a}");
            }
        }
    }
}

#[test]
fn optimal_and_random_values_are_those_of_the_reference() {
    let Some(text) = shared("envs/gymnasium_toy_text.json") else { return };
    let golden: ToyText = serde_json::from_str(&text).unwrap();
    for (name, reference) in &golden.envs {
        let table = built(name);
        for (gamma, values) in &reference.values {
            let gamma = Discount::new(gamma.parse().unwrap()).unwrap();
            let what = format!("{name}, discount {gamma:?}");
            let best = optimal(&table, gamma).unwrap();
            assert_close(&best.values, &values.v, &what);
            assert_close(best.action_values.as_slice(), &values.q.concat(), &what);
            assert_close(&evaluate(&table, gamma, &StateActions::uniform(&table)).unwrap(), &values.random, &what);
        }
    }
    for (i, case) in golden.random_maps.iter().enumerate() {
        let table = lake(Some(case.map.clone()), case.slippery);
        let best = optimal(&table, Discount::new(case.gamma).unwrap()).unwrap();
        assert_close(&best.values, &case.v, &format!("map {i}"));
    }
}

#[test]
fn textbook_values_are_those_of_sutton_and_barto() {
    let Some(text) = shared("envs/classic.json") else { return };
    let golden: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let expected = |name: &str| serde_json::from_value::<Vec<f64>>(golden[name]["V"].clone()).unwrap();
    let uniform = |table: &Table| evaluate(table, Discount::ONE, &StateActions::uniform(table)).unwrap();
    assert_close(&uniform(&random_walk(5, 0.0, 1.0).unwrap()), &expected("random_walk_5"), "random walk");
    assert_close(&uniform(&sutton_barto_grid().unwrap()), &expected("gridworld4x4_random"), "grid");
}

#[derive(Deserialize)]
struct Trajectories {
    cart_pole: Vec<Trajectory>,
    mountain_car: Vec<Trajectory>,
}

#[derive(Deserialize)]
struct Trajectory {
    start: Vec<f64>,
    actions: Vec<usize>,
    states: Vec<Vec<f64>>,
    terminated: Vec<bool>,
}

#[test]
fn classic_trajectories_are_those_of_gymnasium() {
    let golden: Trajectories = serde_json::from_str(include_str!("golden/trajectories.json")).unwrap();
    let mut rng = Seed::root(0).rng();
    for case in &golden.cart_pole {
        let [x, x_dot, theta, theta_dot] = case.start[..] else { panic!("a cart pole state has four numbers") };
        let mut state = CartPoleState { x, x_dot, theta, theta_dot };
        for ((action, expected), &terminated) in case.actions.iter().zip(&case.states).zip(&case.terminated) {
            let step = CartPole::default().step(&state, action, &mut rng);
            assert_close(&step.state.observation(), expected, "cart pole");
            assert_eq!(step.end.is_over(), terminated);
            state = step.state;
        }
    }
    for case in &golden.mountain_car {
        let mut state = MountainCarState { position: case.start[0], velocity: case.start[1] };
        for ((action, expected), &terminated) in case.actions.iter().zip(&case.states).zip(&case.terminated) {
            let step = MountainCar {}.step(&state, action, &mut rng);
            assert_close(&[step.state.position, step.state.velocity], expected, "mountain car");
            assert_eq!(step.end.is_over(), terminated);
            state = step.state;
        }
    }
}
