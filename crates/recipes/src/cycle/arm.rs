//! The reward models that are compared: the same network, rows and updates, another target.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_algo::value::tdrm::{Backup, PrefixValues, Saturation, TdMode};
use tdrm_core::{Lambda, ShapeError};

use super::Sample;
use crate::methods::tdrm;

/// What a reward model is trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Arm {
    /// The share of right answers, whatever the response: the floor that smoothness alone would choose.
    Constant {},
    /// Outcome reward model: the outcome, at the complete response only.
    Orm {},
    /// Hard-label process reward model: at each step, whether the chain is on track.
    StepLabels {},
    /// Monte Carlo: the outcome on all prefixes, the prompt alone included.
    Outcome {},
    /// Temporal differences.
    Td {
        /// Published or repaired.
        mode: TdMode,
    },
}

/// Targets of some prefixes of one trajectory.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Prefixes s_t, ascending.
    pub prefixes: Vec<usize>,
    /// Target probability of each.
    pub values: Vec<f64>,
    /// What the clamp did.
    pub saturation: Saturation,
}

impl Arm {
    /// The arms of the main job.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let n = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        let lambda = Lambda::new(0.95).unwrap_or(Lambda::ONE);
        vec![
            Self::Constant {},
            Self::Orm {},
            Self::StepLabels {},
            Self::Outcome {},
            tdrm::published(n(1), PUBLISHED_MAX_LEN),
            tdrm::published(n(2), PUBLISHED_MAX_LEN),
            tdrm::published(n(3), PUBLISHED_MAX_LEN),
            tdrm::repaired(n(1)),
            tdrm::repaired(n(3)),
            tdrm::td_lambda(lambda),
        ]
    }

    /// Name in tables and settings.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Constant {} => "constant".to_owned(),
            Self::Orm {} => "orm".to_owned(),
            Self::StepLabels {} => "step labels".to_owned(),
            Self::Outcome {} => "outcome".to_owned(),
            Self::Td { mode: TdMode::Published { n, .. } } => format!("tdrm n={n}"),
            Self::Td { mode: TdMode::Repaired { backup: Backup::N(n), .. } } => format!("td n={n}"),
            Self::Td { mode: TdMode::Repaired { backup: Backup::Lambda(l), .. } } => format!("td({})", l.get::<f64>()),
            Self::Td { .. } => "td".to_owned(),
        }
    }

    /// One line of explanation for the report.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Constant {} => "the share of right answers in the training samples".to_owned(),
            Self::Orm {} => "outcome at the complete response only".to_owned(),
            Self::StepLabels {} => "hard label of each step (is the chain on track?)".to_owned(),
            Self::Outcome {} => "outcome on all prefixes (Monte Carlo), the control of every TD arm".to_owned(),
            Self::Td { mode: TdMode::Published { n, gamma, .. } } => {
                format!("TDRM as published: shaped rewards, clamp, gamma {}, {n}-step, own network", gamma.get::<f64>())
            }
            Self::Td { .. } => "repaired TD: terminal reward, gamma 1, EMA target network".to_owned(),
        }
    }

    /// Whether the targets need values, and of which network.
    #[must_use]
    pub const fn bootstraps_from(&self) -> Bootstrap {
        match self {
            Self::Td { mode: TdMode::Published { .. } } => Bootstrap::Itself,
            Self::Td { .. } => Bootstrap::TargetNetwork,
            _ => Bootstrap::Nothing,
        }
    }

    /// Whether the arm has a network of its own.
    #[must_use]
    pub const fn is_trained(&self) -> bool {
        !matches!(self, Self::Constant {})
    }

    /// Targets of a trajectory whose prefixes have these values, `[K+1]`.
    ///
    /// `None` where the arm needs step labels and the sample has none.
    ///
    /// # Errors
    /// If there is not one value per prefix.
    pub fn targets(&self, sample: &Sample, values: &[f64]) -> Result<Option<Targets>, ShapeError> {
        let steps = sample.response.step_ends.len();
        let outcome = f64::from(u8::from(sample.correct));
        Ok(Some(match self {
            Self::Constant {} | Self::Orm {} => Targets::at(vec![steps], vec![outcome]),
            Self::StepLabels {} => match &sample.step_labels {
                Some(labels) => {
                    let values = labels.iter().map(|&on_track| f64::from(u8::from(on_track))).collect();
                    Targets::at((1..=steps).collect(), values)
                }
                None => return Ok(None),
            },
            Self::Outcome {} => Targets::at((0..=steps).collect(), vec![outcome; steps + 1]),
            Self::Td { mode } => {
                let lengths: Vec<_> = std::iter::once(0).chain(sample.response.step_ends.iter().copied()).collect();
                let mut targets = Vec::new();
                let saturation = mode.targets(PrefixValues::new(&lengths, values, outcome)?, &mut targets);
                let first = mode.first_prefix();
                Targets { prefixes: (first..first + targets.len()).collect(), values: targets, saturation }
            }
        }))
    }
}

impl Arm {
    /// The targets of a sample if they are the same whatever the values are: those at values 0 and at values 1 agree
    /// (targets never fall when a value rises).
    ///
    /// # Errors
    /// As [`Arm::targets`].
    pub fn fixed_targets(&self, sample: &Sample) -> Result<Option<Targets>, ShapeError> {
        let prefixes = sample.response.step_ends.len() + 1;
        let low = self.targets(sample, &vec![0.0; prefixes])?;
        let high = self.targets(sample, &vec![1.0; prefixes])?;
        Ok(low.filter(|low| high.is_some_and(|high| low.values == high.values)))
    }
}

/// Longest response of the reasoning task in characters: L of the cosine, where the paper has 512 tokens.
const PUBLISHED_MAX_LEN: u32 = 120;

/// Where the values in a target come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootstrap {
    /// Targets need no values.
    Nothing,
    /// The network in training, detached.
    Itself,
    /// A slow copy of it.
    TargetNetwork,
}

impl Targets {
    /// Whether the same prefixes learn the same values.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.prefixes == other.prefixes && self.values == other.values
    }

    fn at(prefixes: Vec<usize>, values: Vec<f64>) -> Self {
        Self { prefixes, values, saturation: Saturation::default() }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::text::Response;

    fn sample(correct: bool) -> Sample {
        let step_ends = vec![9, 19, 28, 32];
        let response = Response { tokens: vec![3; 32], log_probs: vec![-0.1; 32], step_ends, stopped: true };
        Sample { response, correct, readable: true, answer: None, step_labels: Some(vec![true, false, true, true]) }
    }

    const VALUES: [f64; 5] = [0.5, 0.4, 0.3, 0.6, 0.9];

    fn targets(arm: &Arm, correct: bool) -> Targets {
        arm.targets(&sample(correct), &VALUES).unwrap().unwrap()
    }

    #[test]
    fn each_arm_supervises_its_own_prefixes() {
        assert_eq!(targets(&Arm::Orm {}, true).prefixes, [4]);
        assert_eq!(targets(&Arm::StepLabels {}, false).values, [1.0, 0.0, 1.0, 1.0]);
        assert_eq!(targets(&Arm::Outcome {}, true).values, [1.0; 5]);
        let one_step = Arm::Td { mode: TdMode::repaired() };
        assert_eq!(targets(&one_step, false).values, [0.4, 0.3, 0.6, 0.0, 0.0]);
    }

    #[test]
    fn the_published_targets_of_a_short_answer_are_its_outcome() {
        // L = 120, prefixes of at most 32 tokens: r+ ≥ 1 and r- + 0.8 V ≤ 0, so every clamped target is the label.
        let published = Arm::Td { mode: TdMode::published().with_max_len(PUBLISHED_MAX_LEN) };
        assert_eq!(targets(&published, true).values, [1.0; 4]);
        let wrong = targets(&published, false);
        assert_eq!((wrong.values, wrong.saturation.saturated), (vec![0.0; 4], 3));
    }

    #[test]
    fn saturated_targets_are_fixed_and_bootstrapped_ones_are_not() {
        let short = sample(false);
        let fixed = |arm: &Arm| arm.fixed_targets(&short).unwrap().map(|t| t.values);
        let n = |n| NonZeroUsize::new(n).unwrap();
        assert_eq!(fixed(&tdrm::published(n(1), PUBLISHED_MAX_LEN)), fixed(&tdrm::published(n(3), PUBLISHED_MAX_LEN)));
        assert_eq!(fixed(&Arm::Outcome {}), Some(vec![0.0; 5]));
        assert_eq!(fixed(&tdrm::repaired(n(1))), None);
    }

    #[test]
    fn names_are_distinct_and_steps_without_labels_are_no_target() {
        let mut names: Vec<_> = Arm::all().iter().map(Arm::name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        let unlabelled = Sample { step_labels: None, ..sample(true) };
        assert_eq!(Arm::StepLabels {}.targets(&unlabelled, &VALUES).unwrap(), None);
    }
}
