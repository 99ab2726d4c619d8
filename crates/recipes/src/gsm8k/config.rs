//! Settings of the GSM8K recipe.

use std::collections::HashSet;
use std::fmt::Display;

use serde::{Deserialize, Serialize};
use tdrm_algo::value::tdrm::TdMode;
use tdrm_core::Lambda;

use crate::RecipeError;
use crate::cycle::{Arm, RewardConfig};

/// Everything that `tdrm gsm8k` can be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gsm8kConfig {
    /// Root of all randomness.
    pub seed: u64,
    /// Which problems are for what.
    pub split: SplitConfig,
    /// The vocabulary and the longest solution.
    pub text: TextConfig,
    /// The network, trained from scratch.
    pub model: PrmConfig,
    /// Training of the reward models; the same for every arm.
    pub training: TrainingConfig,
}

impl Default for Gsm8kConfig {
    fn default() -> Self {
        Self {
            seed: 7,
            split: SplitConfig::default(),
            text: TextConfig::default(),
            model: PrmConfig::default(),
            training: TrainingConfig::default(),
        }
    }
}

/// Shares of the problems; the rest is for training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitConfig {
    /// For choosing the number of epochs, in (0, 1).
    pub validation: f64,
    /// For everything that is reported, in (0, 1).
    pub test: f64,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self { validation: 0.15, test: 0.25 }
    }
}

/// From text to tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextConfig {
    /// Least number of times that a word occurs in the training problems.
    pub word_floor: usize,
    /// Longest solution in tokens; what is longer is cut.
    pub max_tokens: usize,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self { word_floor: 4, max_tokens: 400 }
    }
}

/// Shape of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrmConfig {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
}

impl Default for PrmConfig {
    fn default() -> Self {
        Self { hidden_size: 64, intermediate_size: 192, layers: 2, heads: 4 }
    }
}

/// Training of the reward models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// The arms to compare.
    pub arms: Vec<Arm>,
    /// Numbers of passes to choose from by the Brier score on the validation problems; each is a training of its own.
    pub epochs: Vec<usize>,
    /// Solutions per optimiser step.
    pub batch: usize,
    /// Peak learning rate of a linear decay.
    pub learning_rate: f32,
    /// Share of the old target network that stays at each step, for arms that bootstrap from one.
    pub target_ema: f32,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        let lambda = Lambda::new(0.95).unwrap_or(Lambda::ONE);
        let td = [TdMode::published(), TdMode::td_lambda(lambda)].map(|mode| Arm::Td { mode });
        let arms = [Arm::Constant {}, Arm::Orm {}, Arm::Outcome {}].into_iter().chain(td).collect();
        Self { arms, epochs: vec![1, 2, 4], batch: 32, learning_rate: 1e-3, target_ema: 0.95 }
    }
}

impl Gsm8kConfig {
    /// `Ok` if every setting makes sense.
    ///
    /// # Errors
    /// Names the first field that does not.
    pub fn check(&self) -> Result<(), RecipeError> {
        let SplitConfig { validation, test } = self.split;
        ensure("split.validation", validation > 0.0 && validation < 1.0, "a share in (0, 1)", validation)?;
        ensure("split.test", test > 0.0 && validation + test < 1.0, "a share that leaves some for training", test)?;
        ensure("text.word_floor", self.text.word_floor > 0, "at least 1", self.text.word_floor)?;
        ensure("text.max_tokens", self.text.max_tokens > 1, "at least 2", self.text.max_tokens)?;
        self.model.check()?;
        self.training.check()
    }
}

impl PrmConfig {
    fn check(&self) -> Result<(), RecipeError> {
        let Self { hidden_size, intermediate_size, layers, heads } = *self;
        ensure("model.heads", heads > 0, "at least 1", heads)?;
        let whole = hidden_size > 0 && hidden_size.is_multiple_of(2 * heads);
        ensure("model.hidden_size", whole, "a multiple of twice the heads", hidden_size)?;
        ensure("model.intermediate_size", intermediate_size > 0, "at least 1", intermediate_size)?;
        ensure("model.layers", layers > 0, "at least 1", layers)
    }
}

impl TrainingConfig {
    fn check(&self) -> Result<(), RecipeError> {
        let names: HashSet<_> = self.arms.iter().map(Arm::name).collect();
        let distinct = !self.arms.is_empty() && names.len() == self.arms.len();
        ensure("training.arms", distinct, "at least one arm, none twice", self.arms.len())?;
        let labelled = self.arms.iter().any(|arm| matches!(arm, Arm::StepLabels {}));
        ensure("training.arms", !labelled, "arms without step labels (these data have none)", "step labels")?;
        let passes = !self.epochs.is_empty() && self.epochs.iter().all(|&e| e > 0);
        ensure("training.epochs", passes, "a list of numbers of at least 1", format!("{:?}", self.epochs))?;
        ensure("training.batch", self.batch > 0, "at least 1", self.batch)?;
        let rate = self.learning_rate;
        ensure("training.learning_rate", rate > 0.0 && rate.is_finite(), "a positive number", rate)?;
        let unit = (0.0..=1.0).contains(&self.target_ema);
        ensure("training.target_ema", unit, "a share in [0, 1]", self.target_ema)
    }

    /// What one training needs.
    pub(super) fn for_epochs(&self, epochs: usize) -> RewardConfig {
        let Self { batch, learning_rate, target_ema, .. } = *self;
        RewardConfig { arms: vec![], epochs, batch, learning_rate, target_ema }
    }
}

fn ensure(field: &'static str, holds: bool, expected: &str, got: impl Display) -> Result<(), RecipeError> {
    let wrong = || RecipeError::Setting { field, expected: expected.to_owned(), got: got.to_string() };
    if holds { Ok(()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn complaint(change: impl FnOnce(&mut Gsm8kConfig)) -> String {
        let mut config = Gsm8kConfig::default();
        change(&mut config);
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn each_wrong_setting_is_named() {
        assert!(Gsm8kConfig::default().check().is_ok());
        assert!(complaint(|c| c.split.test = 0.9).starts_with("split.test: expected"));
        assert!(complaint(|c| c.split.validation = f64::NAN).starts_with("split.validation: expected"));
        assert!(complaint(|c| c.model.hidden_size = 65).starts_with("model.hidden_size: expected"));
        assert!(complaint(|c| c.training.epochs = vec![1, 0]).contains("got [1, 0]"));
        assert!(complaint(|c| c.training.arms = vec![Arm::Orm {}, Arm::Orm {}]).contains("none twice"));
        assert!(complaint(|c| c.training.arms = vec![Arm::StepLabels {}]).contains("step labels"));
        assert!(complaint(|c| c.training.learning_rate = f32::INFINITY).starts_with("training.learning_rate"));
    }

    #[test]
    fn the_file_form_round_trips_and_unknown_fields_are_refused() {
        let config = Gsm8kConfig::default();
        assert_eq!(toml::from_str::<Gsm8kConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
        let partial: Gsm8kConfig = toml::from_str("[training]\nepochs = [3]").unwrap();
        assert_eq!((partial.training.epochs, partial.training.batch), (vec![3], 32));
        assert!(toml::from_str::<Gsm8kConfig>("[training]\nepoch = 3").is_err());
    }
}
