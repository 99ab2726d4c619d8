//! Settings of the main job.

use serde::{Deserialize, Serialize};
use tdrm_algo::advantage::{Estimator, GroupZScore};
use tdrm_algo::objective::Preset;
use tdrm_core::{NonNegative, Temperature};
use tdrm_envs::reasoning::ChainTask;

use super::Arm;
use crate::RecipeError;
use crate::methods::tdrm::Mixture;

/// Everything that the main job can be told. The defaults are the quick run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CycleConfig {
    /// First seed; run `i` uses `seed + i`.
    pub seed: u64,
    /// Number of runs.
    pub seeds: usize,
    /// Problems and samples.
    pub data: DataConfig,
    /// Reward models.
    pub reward: RewardConfig,
    /// Ground truth by rollouts.
    pub truth: TruthConfig,
    /// Guided search.
    pub search: SearchConfig,
    /// Reinforcement learning.
    pub rl: RlConfig,
}

impl Default for CycleConfig {
    fn default() -> Self {
        Self {
            seed: 7,
            seeds: 1,
            data: DataConfig::default(),
            reward: RewardConfig::default(),
            truth: TruthConfig::default(),
            search: SearchConfig::default(),
            rl: RlConfig::default(),
        }
    }
}

/// Problems and samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// The generator of problems, where no file gives them.
    pub task: ChainTask,
    /// Problems whose samples train the reward models.
    pub train_problems: usize,
    /// Problems on which choices are made (which reward model, which aggregation).
    pub validation_problems: usize,
    /// Problems that everything is reported on.
    pub test_problems: usize,
    /// Samples of each training problem.
    pub train_samples: usize,
    /// Samples of each validation and test problem: the largest N of best-of-N.
    pub test_samples: usize,
    /// Sampling temperature.
    pub temperature: Temperature,
    /// Longest response in tokens.
    pub max_tokens: usize,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            task: ChainTask { min_operations: 3, max_operations: 6 },
            train_problems: 3000,
            validation_problems: 50,
            test_problems: 150,
            train_samples: 4,
            test_samples: 64,
            temperature: Temperature::ONE,
            max_tokens: 120,
        }
    }
}

/// Training of the reward models; the same for every arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RewardConfig {
    /// The arms to compare.
    pub arms: Vec<Arm>,
    /// Passes over the training samples.
    pub epochs: usize,
    /// Trajectories per optimiser step.
    pub batch: usize,
    /// Peak learning rate of a linear decay.
    pub learning_rate: f32,
    /// Share of the old target network that stays at each step, for arms that bootstrap from one.
    pub target_ema: f32,
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self { arms: Arm::all(), epochs: 1, batch: 64, learning_rate: 1e-3, target_ema: 0.95 }
    }
}

/// Ground truth V^π by rollouts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TruthConfig {
    /// Test trajectories whose prefixes are all rolled out.
    pub trajectories: usize,
    /// Rollouts of each prefix.
    pub rollouts: usize,
}

impl Default for TruthConfig {
    fn default() -> Self {
        Self { trajectories: 50, rollouts: 64 }
    }
}

/// Guided search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchConfig {
    /// Test problems searched.
    pub problems: usize,
    /// Greedy search with these numbers of branches.
    pub branching: Vec<usize>,
    /// Beam search keeps this many nodes …
    pub beam: usize,
    /// … and gives each this many children.
    pub width: usize,
    /// Most steps of a solution.
    pub depth: usize,
    /// Most tokens of one step.
    pub step_tokens: usize,
    /// Names of the arms that guide.
    pub arms: Vec<String>,
}

impl Default for SearchConfig {
    fn default() -> Self {
        let arms = ["orm", "step labels", "outcome", "tdrm n=1", "td(0.95)"];
        Self {
            problems: 50,
            branching: vec![4, 8],
            beam: 4,
            width: 4,
            depth: 14,
            step_tokens: 12,
            arms: arms.map(str::to_owned).to_vec(),
        }
    }
}

/// Reinforcement learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RlConfig {
    /// Optimiser steps.
    pub steps: usize,
    /// Problems per step.
    pub problems: usize,
    /// Samples of each problem, G.
    pub group: usize,
    /// Learning rate.
    pub learning_rate: f32,
    /// The objective.
    pub objective: Preset,
    /// The advantage.
    pub advantage: Estimator,
    /// Name of the arm whose reward model is used.
    pub reward_model: String,
    /// Weights where both rule and reward model pay.
    pub mixture: Mixture,
    /// Steps between two evaluations of greedy accuracy.
    pub evaluate_every: usize,
}

impl Default for RlConfig {
    fn default() -> Self {
        let epsilon = NonNegative::new(1e-4).unwrap_or(NonNegative::ZERO);
        Self {
            steps: 40,
            problems: 24,
            group: 8,
            learning_rate: 3e-4,
            objective: Preset::Grpo,
            advantage: Estimator::GroupZScore(GroupZScore { epsilon, ..GroupZScore::default() }),
            reward_model: "td(0.95)".to_owned(),
            mixture: Mixture::PUBLISHED,
            evaluate_every: 5,
        }
    }
}

impl CycleConfig {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// Names the first field that makes no sense.
    pub fn check(&self) -> Result<(), RecipeError> {
        let counts = [
            ("seeds", self.seeds),
            ("data.train_problems", self.data.train_problems),
            ("data.validation_problems", self.data.validation_problems),
            ("data.test_problems", self.data.test_problems),
            ("data.train_samples", self.data.train_samples),
            ("data.test_samples", self.data.test_samples),
            ("data.max_tokens", self.data.max_tokens),
            ("reward.epochs", self.reward.epochs),
            ("reward.batch", self.reward.batch),
            ("truth.rollouts", self.truth.rollouts),
            ("search.beam", self.search.beam),
            ("search.width", self.search.width),
            ("search.depth", self.search.depth),
            ("search.step_tokens", self.search.step_tokens),
            ("rl.problems", self.rl.problems),
            ("rl.evaluate_every", self.rl.evaluate_every),
        ];
        for (field, got) in counts {
            at_least(field, 1, got)?;
        }
        at_least("rl.group", 2, self.rl.group)?;
        for &branches in &self.search.branching {
            at_least("search.branching", 1, branches)?;
        }
        let known: Vec<_> = self.reward.arms.iter().map(Arm::name).collect();
        let named = self.search.arms.iter().map(|n| ("search.arms", n));
        for (field, name) in named.chain([("rl.reward_model", &self.rl.reward_model)]) {
            if !known.contains(name) {
                let expected = format!("one of the arms {known:?}");
                return Err(RecipeError::Setting { field, expected, got: format!("{name:?}") });
            }
        }
        Ok(())
    }
}

fn at_least(field: &'static str, least: usize, got: usize) -> Result<(), RecipeError> {
    if got >= least {
        Ok(())
    } else {
        Err(RecipeError::Setting { field, expected: format!("at least {least}"), got: got.to_string() })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_defaults_make_sense_and_survive_a_file() {
        let config = CycleConfig::default();
        config.check().unwrap();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<CycleConfig>(&text).unwrap(), config);
    }

    #[test]
    fn a_misspelt_field_and_an_empty_group_are_named() {
        let error = toml::from_str::<CycleConfig>("[rl]\ngruop = 8\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("gruop"), "{error}");
        let config: CycleConfig = toml::from_str("[rl]\ngroup = 1\n").unwrap();
        assert_eq!(config.check().unwrap_err().to_string(), "rl.group: expected at least 2, got 1");
        let config: CycleConfig = toml::from_str("[rl]\nreward_model = \"tdmr\"\n").unwrap();
        assert!(config.check().unwrap_err().to_string().starts_with("rl.reward_model: expected one of the arms"));
    }
}
