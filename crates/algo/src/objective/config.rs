//! An objective as a value, and as it is written in a configuration.

use serde::{Deserialize, Deserializer, Serialize};
use tdrm_core::{NonNegative, Positive, Real};

use super::{
    Aggregation, CovariancePenalty, Filter, Kl, KlPlace, Mismatch, ObjectiveError, Preset, RatioLevel, Surrogate,
};

/// A policy objective: one value per axis.
///
/// In a configuration either all parts are named, or a [`Preset`] is and single parts override it:
///
/// ```
/// use tdrm_algo::objective::{Objective, Preset};
///
/// let text = r#"{"surrogate": {"kind": "ppo_clip", "low": 0.2, "high": 0.2}, "aggregation": "sequence_mean_token_mean",
///                "kl": {"estimator": "k3", "coefficient": 0.04}}"#;
/// let spelled_out: Objective = serde_json::from_str(text).unwrap();
/// assert_eq!(spelled_out, Preset::Grpo.objective());
/// let without_kl: Objective = serde_json::from_str(r#"{"preset": "grpo", "kl": null}"#).unwrap();
/// assert_eq!(without_kl, Objective { kl: None, ..Preset::Grpo.objective() });
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ObjectiveConfig")]
pub struct Objective {
    /// Over what the log-ratio is pooled.
    pub ratio: RatioLevel,
    /// ℓ.
    pub surrogate: Surrogate,
    /// The weight of each token.
    pub aggregation: Aggregation,
    /// The KL term against the reference policy.
    pub kl: Option<Kl>,
    /// η of the bonus `− η H_t`.
    pub entropy_coefficient: NonNegative,
    /// How the bonus is aggregated; none: as the policy term.
    pub entropy_aggregation: Option<Aggregation>,
    /// The weight of samples from another engine.
    pub mismatch: Option<Mismatch>,
    /// Which tokens take part.
    pub filters: Vec<Filter>,
    /// The leash on high-covariance tokens.
    pub covariance_penalty: Option<CovariancePenalty>,
    /// Largest |x| that enters an exponential, 20 by default: the ratio is flat beyond it, as in verl.
    pub log_ratio_limit: Option<Positive>,
}

impl Objective {
    /// A bare objective: no KL, no bonus, no filters, |x| ≤ 20.
    #[must_use]
    pub fn new(ratio: RatioLevel, surrogate: impl Into<Surrogate>, aggregation: Aggregation) -> Self {
        Self {
            ratio,
            surrogate: surrogate.into(),
            aggregation,
            kl: None,
            entropy_coefficient: NonNegative::ZERO,
            entropy_aggregation: None,
            mismatch: None,
            filters: Vec::new(),
            covariance_penalty: None,
            log_ratio_limit: Positive::new(20.0).ok(),
        }
    }

    /// With a KL term in place of the present one.
    #[must_use]
    pub fn with_kl(self, kl: Kl) -> Self {
        Self { kl: Some(kl), ..self }
    }

    /// With a bonus `− η H`.
    #[must_use]
    pub fn with_entropy(self, coefficient: NonNegative) -> Self {
        Self { entropy_coefficient: coefficient, ..self }
    }

    /// With a leash on the tokens of largest covariance.
    #[must_use]
    pub fn with_covariance_penalty(self, penalty: CovariancePenalty) -> Self {
        Self { covariance_penalty: Some(penalty), ..self }
    }

    /// What to add to the reward of a token: `−β k(log π − log π_ref)` where the KL is placed in the reward, else 0.
    #[must_use]
    pub fn reward_penalty<F: Real>(&self, logp: F, ref_logp: F) -> F {
        match &self.kl {
            Some(kl) if kl.place == KlPlace::Reward => -kl.coefficient.get::<F>() * kl.at(logp - ref_logp).value,
            _ => F::zero(),
        }
    }

    /// The level at which it runs.
    pub(super) fn level(&self) -> RatioLevel {
        self.surrogate.level(self.ratio)
    }

    /// Refuses a surrogate at a level where it is not defined.
    pub(super) fn check(&self) -> Result<(), ObjectiveError> {
        let refused = match self.surrogate {
            Surrogate::DivergenceMask(_) if self.ratio != RatioLevel::Token => "the level token only",
            Surrogate::TrajectoryBalance(_) if self.ratio.own_gradient() => "the levels of steps and sequences",
            _ => return Ok(()),
        };
        Err(ObjectiveError::Level { surrogate: self.surrogate.name(), expected: refused, got: self.ratio.name() })
    }
}

/// An [`Objective`] as it is written: a preset, parts, or a preset with parts that override it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectiveConfig {
    /// Where the parts that are not named come from.
    pub preset: Option<Preset>,
    /// See [`Objective::ratio`]; `token` by default.
    pub ratio: Option<RatioLevel>,
    /// See [`Objective::surrogate`]; needed without a preset.
    pub surrogate: Option<Surrogate>,
    /// See [`Objective::aggregation`]; needed without a preset.
    pub aggregation: Option<Aggregation>,
    /// See [`Objective::kl`]; `null` removes the preset's.
    #[serde(deserialize_with = "named")]
    pub kl: Option<Option<Kl>>,
    /// See [`Objective::entropy_coefficient`].
    pub entropy_coefficient: Option<NonNegative>,
    /// See [`Objective::entropy_aggregation`].
    #[serde(deserialize_with = "named")]
    pub entropy_aggregation: Option<Option<Aggregation>>,
    /// See [`Objective::mismatch`].
    #[serde(deserialize_with = "named")]
    pub mismatch: Option<Option<Mismatch>>,
    /// See [`Objective::filters`].
    pub filters: Option<Vec<Filter>>,
    /// See [`Objective::covariance_penalty`].
    #[serde(deserialize_with = "named")]
    pub covariance_penalty: Option<Option<CovariancePenalty>>,
    /// See [`Objective::log_ratio_limit`]; `null` removes it.
    #[serde(deserialize_with = "named")]
    pub log_ratio_limit: Option<Option<Positive>>,
}

/// Tells `null` from an absent field.
#[expect(clippy::option_option, reason = "null switches a part of the preset off, an absent field keeps it")]
fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl TryFrom<ObjectiveConfig> for Objective {
    type Error = ObjectiveError;

    fn try_from(config: ObjectiveConfig) -> Result<Self, ObjectiveError> {
        let base = base(&config)?;
        let objective = Self {
            ratio: config.ratio.unwrap_or(base.ratio),
            surrogate: config.surrogate.unwrap_or(base.surrogate),
            aggregation: config.aggregation.unwrap_or(base.aggregation),
            kl: config.kl.unwrap_or(base.kl),
            entropy_coefficient: config.entropy_coefficient.unwrap_or(base.entropy_coefficient),
            entropy_aggregation: config.entropy_aggregation.unwrap_or(base.entropy_aggregation),
            mismatch: config.mismatch.unwrap_or(base.mismatch),
            filters: config.filters.unwrap_or(base.filters),
            covariance_penalty: config.covariance_penalty.unwrap_or(base.covariance_penalty),
            log_ratio_limit: config.log_ratio_limit.unwrap_or(base.log_ratio_limit),
        };
        objective.check()?;
        Ok(objective)
    }
}

fn base(config: &ObjectiveConfig) -> Result<Objective, ObjectiveError> {
    if let Some(preset) = config.preset {
        return Ok(preset.objective());
    }
    let surrogate = config.surrogate.ok_or(ObjectiveError::Incomplete { field: "surrogate" })?;
    let aggregation = config.aggregation.ok_or(ObjectiveError::Incomplete { field: "aggregation" })?;
    Ok(Objective::new(RatioLevel::Token, surrogate, aggregation))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn refusal(text: &str) -> String {
        serde_json::from_str::<Objective>(text).unwrap_err().to_string()
    }

    #[test]
    fn a_preset_is_overridden_part_by_part() {
        let text = r#"{"preset": "dr_grpo", "aggregation": {"kind": "constant", "denominator": 128},
                       "kl": {"estimator": "k2", "coefficient": 0.01, "place": "reward"}, "log_ratio_limit": null}"#;
        let objective: Objective = serde_json::from_str(text).unwrap();
        let kl = Kl::in_reward(super::super::KlEstimator::K2, NonNegative::new(0.01).unwrap());
        let expected = Objective {
            aggregation: Aggregation::Constant { denominator: Positive::new(128.0).unwrap() },
            log_ratio_limit: None,
            ..Preset::DrGrpo.objective().with_kl(kl)
        };
        assert_eq!(objective, expected);
        // The penalty of a token in the reward: −0.01 · d²/2 at d = 2.
        assert!((objective.reward_penalty(-1.0f64, -3.0) + 0.02).abs() < 1e-15);
        assert!(Preset::Grpo.objective().reward_penalty(-1.0f64, -3.0).abs() < 1e-15, "in the loss, not in the reward");
    }

    #[test]
    fn a_configuration_says_what_is_wrong_with_it() {
        assert!(refusal("{}").contains("without a preset needs `surrogate`"));
        assert!(refusal(r#"{"surrogate": {"kind": "score_function"}}"#).contains("needs `aggregation`"));
        assert!(refusal(r#"{"preset": "grpo", "agregation": "token_mean"}"#).contains("unknown field `agregation`"));
        assert!(refusal(r#"{"preset": "grpo", "aggregation": "mean"}"#).contains("unknown variant `mean`"));
        assert!(refusal(r#"{"preset": "dppo_kl", "ratio": "sequence_mean"}"#).contains("the level token only"));
        assert!(
            refusal(r#"{"preset": "ppo", "surrogate": {"kind": "ppo_clip", "low": -1, "high": 0}}"#)
                .contains("[0, inf)")
        );
        assert!(
            refusal(r#"{"preset": "ppo", "surrogate": {"kind": "score_function", "low": 1}}"#)
                .contains("unknown field `low`")
        );
    }
}
