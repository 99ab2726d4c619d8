//! The built-in estimators as a config, and mixtures of channels.

use serde::{Deserialize, Serialize};
use tdrm_core::{Real, ShapeError};

use super::{
    AdvantageError, BatchWhiten, BestOfK, Gpg, GreedyBaseline, GroupMean, GroupZScore, LeaveOneOut, LengthWeighted,
    Outcomes, PassAtK,
};

/// Any built-in estimator of one advantage per sample; in a config `{"kind": "group_z_score"}`.
///
/// ```
/// use tdrm_algo::advantage::{Estimator, Outcomes};
/// let estimator: Estimator = serde_json::from_str(r#"{"kind":"leave_one_out"}"#)?;
/// let outcomes = Outcomes::new(&[1.0, 0.0, 0.5])?.with_groups(&[0, 0, 0])?;
/// assert_eq!(estimator.advantages(outcomes)?, [0.75, -0.75, 0.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Estimator {
    /// GRPO.
    GroupZScore(GroupZScore),
    /// Dr. GRPO.
    GroupMean(GroupMean),
    /// RLOO.
    LeaveOneOut(LeaveOneOut),
    /// REINFORCE++ without groups.
    BatchWhiten(BatchWhiten),
    /// ReMax.
    GreedyBaseline(GreedyBaseline),
    /// The lead of the best.
    PassAtK(PassAtK),
    /// The unbiased advantage for the best of k.
    BestOfK(BestOfK),
    /// OPO.
    #[serde(alias = "opo")]
    LengthWeighted(LengthWeighted),
    /// GPG.
    Gpg(Gpg),
}

impl Estimator {
    /// One advantage per sample, `[N]`.
    ///
    /// # Errors
    /// If a column is missing that the estimator reads, or a group is too small for it.
    pub fn advantages<F: Real>(&self, outcomes: Outcomes<'_, F>) -> Result<Vec<F>, AdvantageError> {
        match self {
            Self::GroupZScore(estimator) => estimator.advantages(outcomes),
            Self::GroupMean(estimator) => estimator.advantages(outcomes),
            Self::LeaveOneOut(estimator) => estimator.advantages(outcomes),
            Self::BatchWhiten(estimator) => estimator.advantages(outcomes),
            Self::GreedyBaseline(estimator) => estimator.advantages(outcomes),
            Self::PassAtK(estimator) => estimator.advantages(outcomes),
            Self::BestOfK(estimator) => estimator.advantages(outcomes),
            Self::LengthWeighted(estimator) => estimator.advantages(outcomes),
            Self::Gpg(estimator) => estimator.advantages(outcomes),
        }
    }
}

/// Weighted sum of advantages that were estimated channel by channel.
///
/// ```text
/// A_i = Σ_c w_c A^c_i
/// ```
///
/// Estimate first, mix after: a channel with large rewards cannot drown the others. For linear estimators
/// (mean, leave-one-out) the order makes no difference; for the z-score it does.
///
/// ```
/// let mixed = tdrm_algo::advantage::mix(&[(1.0, vec![1.0, -1.0]), (0.5, vec![-2.0, 2.0])])?;
/// assert_eq!(mixed, [0.0, 0.0]);
/// # Ok::<(), tdrm_core::ShapeError>(())
/// ```
///
/// # Errors
/// If the channels differ in length.
pub fn mix<F: Real>(channels: &[(F, Vec<F>)]) -> Result<Vec<F>, ShapeError> {
    let samples = channels.first().map_or(0, |(_, first)| first.len());
    let mut out = vec![F::zero(); samples];
    for (weight, advantages) in channels {
        ShapeError::check("channel", samples, advantages.len())?;
        for (a, &x) in out.iter_mut().zip(advantages) {
            *a = *a + *weight * x;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn defaults_are_the_contract() {
        let read = |text| serde_json::from_str::<Estimator>(text).unwrap();
        let grpo = read(r#"{"kind":"group_z_score"}"#);
        assert_eq!(grpo, read(r#"{"kind":"group_z_score","epsilon":1e-6,"ddof":1,"singleton":"zero"}"#));
        assert_eq!(read(r#"{"kind":"batch_whiten"}"#), read(r#"{"kind":"batch_whiten","epsilon":1e-8,"ddof":1}"#));
    }

    #[test]
    fn typos_are_errors() {
        for text in [r#"{"kind":"group_zscore"}"#, r#"{"kind":"group_mean","epsilon":1}"#, r#"{"kind":"gpg","x":1}"#] {
            assert!(serde_json::from_str::<Estimator>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn leave_one_out_commutes_with_mixing_and_the_z_score_does_not() {
        let (a, b, groups) = ([1.0, 0.0, 2.0], [10.0, -30.0, 5.0], [0, 0, 0]);
        let sum: Vec<f64> = a.iter().zip(b).map(|(x, y)| x + y).collect();
        let order_matters = |estimator: Estimator| {
            let of = |r: &[f64]| estimator.advantages(Outcomes::new(r).unwrap().with_groups(&groups).unwrap()).unwrap();
            let mixed = mix(&[(1.0, of(&a)), (1.0, of(&b))]).unwrap();
            mixed.iter().zip(of(&sum)).any(|(x, y)| (x - y).abs() > 1e-9)
        };
        assert!(!order_matters(Estimator::LeaveOneOut(LeaveOneOut::default())));
        assert!(order_matters(Estimator::GroupZScore(GroupZScore::default())));
    }
}
