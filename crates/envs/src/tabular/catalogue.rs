//! Environments by name.

use serde::Serialize;
use tdrm_core::{Discount, Probability, Seed, TabularMdp};

use super::grid::MapError;
use super::{
    Blackjack, BlackjackRules, CliffWalking, FrozenLake, GridWorld, RandomMdp, RewardSchedule, SequenceError,
    Sequences, Settings, Table, TableError, Taxi, TaxiVersion, WindMoves, bandit, chain, random_walk,
    sutton_barto_grid, windy_grid,
};
use crate::dp::{DpError, Optimal, optimal};

/// The names that [`catalogue`] knows, with the settings of each.
pub const NAMES: &[(&str, &str)] = &[
    (
        "FrozenLake-v1",
        "map_name (4x4, 8x8, or random with size, p, seed), map (ROW/ROW of SFHG), is_slippery, success_rate, \
         reward_schedule (GOAL/HOLE/FROZEN)",
    ),
    ("FrozenLake8x8-v1", "map, is_slippery, success_rate, reward_schedule (GOAL/HOLE/FROZEN)"),
    ("CliffWalking-v1", "is_slippery"),
    ("CliffWalkingSlippery-v1", ""),
    ("Taxi-v3", "is_rainy, fickle_passenger"),
    ("Taxi-v4", "is_rainy, fickle_passenger, rainy_probability, fickle_probability"),
    ("Blackjack-v1", "sab, natural"),
    ("chain", "n, slip"),
    ("random_walk", "n, left, right"),
    ("grid_world", "map (ROW/ROW of SGH#.), step, goal, pit, slip"),
    ("sutton_barto_grid", ""),
    ("windy_grid", "king_moves"),
    ("bandit", "arms (P/P/P)"),
    ("random_mdp", "states, actions, branching, termination, seed"),
    ("tree", "branching, depth, seed"),
];

/// A name or setting that the catalogue cannot serve.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// No environment has this name.
    #[error("expected an environment among {}, got `{name}`", known())]
    UnknownEnvironment {
        /// The name.
        name: String,
    },
    /// The environment has no such setting.
    #[error("environment `{environment}` has no setting `{setting}`, expected: gamma{}", known_settings(environment))]
    UnknownSetting {
        /// The environment.
        environment: String,
        /// The setting.
        setting: String,
    },
    /// A setting that cannot be read.
    #[error("setting `{setting}`: expected {expected}, got {got}")]
    Setting {
        /// Which.
        setting: String,
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// The map is not one.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The transitions are no MDP.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The tree cannot be enumerated.
    #[error(transparent)]
    Sequences(#[from] SequenceError),
    /// The optimal values do not exist.
    #[error(transparent)]
    Values(#[from] DpError),
}

impl CatalogueError {
    pub(super) fn setting(setting: &str, expected: &str, got: &str) -> Self {
        Self::Setting { setting: setting.to_owned(), expected: expected.to_owned(), got: got.to_owned() }
    }
}

fn known() -> String {
    NAMES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn known_settings(environment: &str) -> String {
    let settings = NAMES.iter().find(|(name, _)| *name == environment).map_or("", |(_, settings)| settings);
    if settings.is_empty() { String::new() } else { format!(", {settings}") }
}

/// Builds a table by name; `gamma` is a setting of [`dump`] and ignored here.
///
/// # Errors
/// If the name or a setting is unknown, or a setting has a wrong value.
///
/// ```
/// use tdrm_core::TabularMdp;
/// use tdrm_envs::tabular::{Settings, catalogue};
/// let lake = catalogue("FrozenLake-v1", Settings::parse(["map_name=8x8"])?)?;
/// assert_eq!(lake.n_states(), 64);
/// let error = catalogue("FrozenLake-v1", Settings::parse(["map_name=9x9"])?).unwrap_err();
/// assert_eq!(error.to_string(), "setting `map_name`: expected 4x4, 8x8 or random, got 9x9");
/// # Ok::<(), tdrm_envs::tabular::CatalogueError>(())
/// ```
pub fn catalogue(name: &str, settings: Settings) -> Result<Table, CatalogueError> {
    build(name, settings).map(|(table, _)| table)
}

/// An outcome as Gymnasium lists it: probability, next state, reward, terminated.
pub type Listed = (f64, usize, f64, bool);

/// An environment with its optimal values, as `tdrm env dump` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dump {
    /// The name.
    pub environment: String,
    /// The discount of the values.
    pub gamma: Discount,
    /// `[S][A]`: lists of [`Listed`] outcomes.
    pub transitions: Vec<Vec<Vec<Listed>>>,
    /// V*, `[S]`.
    pub v_star: Vec<f64>,
    /// Q*, `[S][A]`.
    pub q_star: Vec<Vec<f64>>,
    /// Distribution of the initial state, `[S]`.
    pub initial: Vec<f64>,
}

/// Lists an environment by name together with V* and Q* at the setting `gamma` (0.99 where it is not given).
///
/// # Errors
/// As [`catalogue`]; if the values do not exist with this discount.
pub fn dump(name: &str, settings: Settings) -> Result<Dump, CatalogueError> {
    let (table, gamma) = build(name, settings)?;
    let Optimal { values, action_values, .. } = optimal(&table, gamma)?;
    let row = |s, a| table.transitions(s, a).iter().map(|o| (o.probability, o.next_state, o.reward, o.terminated));
    let state = |s| (0..table.n_actions()).map(|a| row(s, a).collect()).collect();
    Ok(Dump {
        environment: name.to_owned(),
        gamma,
        transitions: (0..table.n_states()).map(state).collect(),
        v_star: values,
        q_star: action_values.into(),
        initial: table.initial().to_vec(),
    })
}

const PROBABILITY: &str = "a number in [0, 1]";
const COUNT: &str = "a whole number";
const NUMBER: &str = "a number";

fn build(name: &str, mut settings: Settings) -> Result<(Table, Discount), CatalogueError> {
    let default = Discount::new(0.99).unwrap_or(Discount::ONE);
    let gamma = settings.take_number("gamma", PROBABILITY, default)?;
    let table = match name {
        "FrozenLake-v1" | "FrozenLake8x8-v1" => frozen_lake(name, &mut settings)?,
        "CliffWalking-v1" => CliffWalking { is_slippery: settings.take_flag("is_slippery", false)? }.table()?,
        "CliffWalkingSlippery-v1" => CliffWalking { is_slippery: true }.table()?,
        "Taxi-v3" | "Taxi-v4" => taxi(name, &mut settings)?,
        "Blackjack-v1" => blackjack(&mut settings)?,
        "grid_world" => grid_world(&mut settings)?,
        "sutton_barto_grid" => sutton_barto_grid()?,
        "windy_grid" => {
            let king = settings.take_flag("king_moves", false)?;
            windy_grid(if king { WindMoves::King } else { WindMoves::Four })?
        }
        "bandit" => bandit(&arms(&mut settings)?)?,
        "chain" => {
            let slip = settings.take_number("slip", PROBABILITY, ZERO)?;
            chain(settings.take("n", COUNT, 5)?, slip)?
        }
        "random_walk" => {
            let (left, right) = (settings.take("left", NUMBER, 0.0)?, settings.take("right", NUMBER, 1.0)?);
            random_walk(settings.take("n", COUNT, 5)?, left, right)?
        }
        "random_mdp" => random_mdp(&mut settings)?,
        "tree" => tree(&mut settings)?,
        _ => return Err(CatalogueError::UnknownEnvironment { name: name.to_owned() }),
    };
    settings.finish(name)?;
    Ok((table, gamma))
}

/// Probability 0, checked by the type.
const ZERO: Probability = match Probability::new(0.0) {
    Ok(p) => p,
    Err(_) => unreachable!(),
};

fn rows(settings: &mut Settings) -> Result<Option<Vec<String>>, CatalogueError> {
    let text: Option<String> = settings.take_optional("map", "ROW/ROW")?;
    Ok(text.map(|t| t.split('/').map(str::to_owned).collect()))
}

fn frozen_lake(name: &str, settings: &mut Settings) -> Result<Table, CatalogueError> {
    let default = if name == "FrozenLake8x8-v1" { "8x8" } else { "4x4" };
    let map_name = settings.take("map_name", MAP_NAME, default.to_owned())?;
    let mut lake = if map_name == "random" {
        let frozen = settings.take_number("p", PROBABILITY, Probability::new(0.8).unwrap_or(ZERO))?;
        let seed = Seed::root(settings.take("seed", COUNT, 0)?);
        FrozenLake::random(settings.take("size", COUNT, 8)?, frozen, seed)?
    } else {
        FrozenLake::named(&map_name).ok_or_else(|| CatalogueError::setting("map_name", MAP_NAME, &map_name))?
    };
    if let Some(rows) = rows(settings)? {
        lake.map = rows;
    }
    if let Some(standard) = lake.success {
        let success = settings.take_number("success_rate", PROBABILITY, standard)?;
        lake.success = settings.take_flag("is_slippery", true)?.then_some(success);
    }
    if let Some(text) = settings.take_optional::<String>("reward_schedule", SCHEDULE)? {
        lake.rewards = schedule(&text).ok_or_else(|| CatalogueError::setting("reward_schedule", SCHEDULE, &text))?;
    }
    lake.table()
}

const MAP_NAME: &str = "4x4, 8x8 or random";
const SCHEDULE: &str = "three numbers GOAL/HOLE/FROZEN";

/// Python's tuple is understood too.
fn schedule(text: &str) -> Option<RewardSchedule> {
    let numbers = text.trim_start_matches('(').trim_end_matches(')').split(['/', ',']);
    let numbers: Vec<f64> =
        numbers.map(|x| x.trim().parse().ok().filter(|x: &f64| x.is_finite())).collect::<Option<_>>()?;
    let &[goal, hole, frozen] = numbers.as_slice() else { return None };
    Some(RewardSchedule { goal, hole, frozen })
}

fn taxi(name: &str, settings: &mut Settings) -> Result<Table, CatalogueError> {
    let version = if name == "Taxi-v3" { TaxiVersion::V3 } else { TaxiVersion::V4 };
    let mut chance = |flag: &str, key: &str, default: f64| {
        let standard = Probability::new(default).unwrap_or(ZERO);
        let adjustable = version == TaxiVersion::V4;
        let p = if adjustable { settings.take_number(key, PROBABILITY, standard)? } else { standard };
        Ok::<_, CatalogueError>(settings.take_flag(flag, false)?.then_some(p))
    };
    let rain = chance("is_rainy", "rainy_probability", 0.8)?;
    let fickle = chance("fickle_passenger", "fickle_probability", 0.3)?;
    Ok(Taxi { rain, fickle, version }.table()?)
}

fn blackjack(settings: &mut Settings) -> Result<Table, CatalogueError> {
    let (sab, natural) = (settings.take_flag("sab", true)?, settings.take_flag("natural", false)?);
    let rules = match (sab, natural) {
        (true, _) => BlackjackRules::SuttonBarto,
        (false, true) => BlackjackRules::NaturalPaysMore,
        (false, false) => BlackjackRules::Plain,
    };
    Ok(Blackjack { rules }.table()?)
}

fn grid_world(settings: &mut Settings) -> Result<Table, CatalogueError> {
    let default = ["S...", ".#.H", "...G"].map(str::to_owned).to_vec();
    GridWorld {
        map: rows(settings)?.unwrap_or(default),
        step: settings.take("step", NUMBER, -0.04)?,
        goal: settings.take("goal", NUMBER, 1.0)?,
        pit: settings.take("pit", NUMBER, -1.0)?,
        slip: settings.take_number("slip", PROBABILITY, ZERO)?,
    }
    .table()
}

fn arms(settings: &mut Settings) -> Result<Vec<Probability>, CatalogueError> {
    let text = settings.take("arms", "P/P/P", "0.1/0.5/0.9".to_owned())?;
    let arm = |p: &str| p.parse().ok().and_then(|p| Probability::new(p).ok());
    let arms: Option<Vec<_>> = text.split('/').map(arm).collect();
    arms.ok_or_else(|| CatalogueError::setting("arms", "probabilities P/P/P", &text))
}

fn random_mdp(settings: &mut Settings) -> Result<Table, CatalogueError> {
    let family = RandomMdp {
        states: settings.take("states", COUNT, 10)?,
        actions: settings.take("actions", COUNT, 3)?,
        branching: settings.take("branching", COUNT, 3)?,
        termination: settings.take_number("termination", PROBABILITY, Probability::new(0.1).unwrap_or(ZERO))?,
    };
    Ok(family.table(Seed::root(settings.take("seed", COUNT, 0)?))?)
}

/// A full tree whose leaves pay a uniform number of the seed.
fn tree(settings: &mut Settings) -> Result<Table, CatalogueError> {
    let sequences = Sequences::new(settings.take("branching", COUNT, 2)?, settings.take("depth", COUNT, 3)?, None)?;
    let mut rng = Seed::root(settings.take("seed", COUNT, 0)?).rng();
    Ok(sequences.table(|_| rand::RngExt::random(&mut rng))?)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests state exact values")]
    use super::*;

    fn built(name: &str, settings: &[&str]) -> Result<Table, CatalogueError> {
        catalogue(name, Settings::parse(settings.iter().copied())?)
    }

    #[test]
    fn every_name_is_built_with_its_defaults_and_dumped() {
        for (name, _) in NAMES {
            let dump = dump(name, Settings::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(dump.v_star.len(), dump.initial.len());
            let best = dump.q_star.iter().map(|row| row.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            best.zip(&dump.v_star).for_each(|(q, v)| assert!((q - v).abs() <= 1e-9 * (1.0 + v.abs()), "{name}"));
        }
    }

    #[test]
    fn errors_name_the_setting_what_was_expected_and_what_came() {
        let message = |name, settings: &[&str]| built(name, settings).unwrap_err().to_string();
        assert_eq!(message("chain", &["gamma=1.5"]), "setting `gamma`: expected a number in [0, 1], got 1.5");
        assert_eq!(message("chain", &["n=two"]), "setting `n`: expected a whole number, got two");
        assert_eq!(message("chain", &["n"]), "setting `n`: expected key=value, got no `=`");
        assert_eq!(message("Taxi-v4", &["is_rainy=maybe"]), "setting `is_rainy`: expected true or false, got maybe");
        assert_eq!(
            message("CliffWalking-v1", &["map=SF"]),
            "environment `CliffWalking-v1` has no setting `map`, expected: gamma, is_slippery"
        );
        assert!(message("Frozen-v1", &[]).starts_with("expected an environment among FrozenLake-v1, "));
        assert_eq!(message("FrozenLake-v1", &["map=SF/G"]), "map row 1: expected 2 cells, got 1");
    }

    #[test]
    fn settings_reach_the_environment() {
        assert_eq!(built("FrozenLake-v1", &["map=SF/HG"]).unwrap().n_states(), 4);
        assert_eq!(built("FrozenLake8x8-v1", &[]).unwrap(), built("FrozenLake-v1", &["map_name=8x8"]).unwrap());
        assert_eq!(built("FrozenLake-v1", &["is_slippery=False"]).unwrap().transitions(0, 0).len(), 1);
        let paid = |text| built("FrozenLake-v1", &["is_slippery=false", text]).unwrap().transitions(14, 2)[0].reward;
        assert_eq!(["reward_schedule=10/-5/-0.5", "reward_schedule=(7, 0, 0)"].map(paid), [10.0, 7.0]);
        assert!(built("FrozenLake-v1", &["reward_schedule=1/0"]).is_err());
        let random = ["map_name=random", "size=5", "p=0.7", "seed=3"];
        assert_eq!(built("FrozenLake-v1", &random).unwrap().n_states(), 25);
        assert!(built("FrozenLake-v1", &["size=5"]).is_err(), "a size belongs to a random map");
        assert_eq!(built("Taxi-v4", &["fickle_passenger=true"]).unwrap().n_states(), 1000);
        assert_eq!(built("tree", &["branching=3", "depth=2"]).unwrap().n_states(), 4);
    }

    #[test]
    fn a_dump_is_written_with_its_contract_names() {
        let dump = dump("chain", Settings::parse(["n=1", "gamma=1"]).unwrap()).unwrap();
        assert_eq!(
            serde_json::to_string(&dump).unwrap(),
            r#"{"environment":"chain","gamma":1.0,"transitions":[[[[1.0,0,0.0,false]],[[1.0,0,1.0,true]]]],"v_star":[1.0],"q_star":[[1.0,1.0]],"initial":[1.0]}"#
        );
    }

    #[test]
    fn values_that_do_not_exist_are_an_error() {
        // with one state that never ends and γ = 1, a positive reward has no sum
        let error = dump("random_mdp", Settings::parse(["termination=0", "gamma=1"]).unwrap()).unwrap_err();
        assert!(matches!(error, CatalogueError::Values(DpError::Endless { .. })), "{error}");
    }
}
