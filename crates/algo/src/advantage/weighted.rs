//! Baselines from lengths, greedy responses and the share of informative samples.

use serde::{Deserialize, Serialize};
use tdrm_core::Real;

use super::group::centred;
use super::{AdvantageError, Outcomes, Singleton};

/// Length-weighted group baseline, the optimal one when the gradient's norm grows with length (OPO).
///
/// ```text
/// A_i = r_i − Σ_j l_j r_j / Σ_j l_j
/// ```
///
/// Hao et al. (2025), §3.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LengthWeighted {
    /// Groups of one.
    pub singleton: Singleton,
}

impl LengthWeighted {
    /// One advantage per sample, `[N]`. A group whose lengths sum to 0 gives 0.
    ///
    /// # Errors
    /// If the outcomes have no groups or no lengths.
    pub fn advantages<F: Real>(&self, outcomes: Outcomes<'_, F>) -> Result<Vec<F>, AdvantageError> {
        let groups = outcomes.groups("length_weighted")?;
        let lengths = outcomes.lengths("length_weighted")?;
        Ok(outcomes.per_group(&groups, |members, rewards| {
            if let ([r], Singleton::Raw) = (rewards, self.singleton) {
                return vec![*r];
            }
            let total: F = members.iter().map(|&i| lengths[i]).sum();
            let weighted: F = members.iter().zip(rewards).map(|(&i, &r)| lengths[i] * r).sum();
            let deviation = |r: F| if total == F::zero() { F::zero() } else { r - weighted / total };
            rewards.iter().map(|&r| deviation(r)).collect()
        }))
    }
}

/// Reward minus the reward of the greedy response (ReMax).
///
/// ```text
/// A_i = r_i − r(greedy_i)
/// ```
///
/// Li et al. (2023), §4.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GreedyBaseline {}

impl GreedyBaseline {
    /// One advantage per sample, `[N]`.
    ///
    /// # Errors
    /// If the outcomes have no baselines.
    pub fn advantages<F: Real>(&self, outcomes: Outcomes<'_, F>) -> Result<Vec<F>, AdvantageError> {
        let baselines = outcomes.baselines("greedy_baseline")?;
        Ok(outcomes.rewards().iter().zip(baselines).map(|(&r, &b)| r - b).collect())
    }
}

/// Group-mean advantage scaled up by the share of samples that earned something (GPG).
///
/// ```text
/// A_i = (N / max(1, #{r ≠ 0})) (r_i − mean_G r)
/// ```
///
/// Chu et al. (2025), §3, as the reference counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gpg {
    /// Groups of one.
    pub singleton: Singleton,
}

impl Gpg {
    /// One advantage per sample, `[N]`.
    ///
    /// # Errors
    /// If the outcomes have no groups.
    pub fn advantages<F: Real>(&self, outcomes: Outcomes<'_, F>) -> Result<Vec<F>, AdvantageError> {
        let groups = outcomes.groups("gpg")?;
        let informative = outcomes.rewards().iter().filter(|&&r| r != F::zero()).count().max(1);
        let alpha = F::count(outcomes.rewards().len()) / F::count(informative);
        Ok(outcomes.per_group(&groups, |_, rewards| match (rewards, self.singleton) {
            ([r], Singleton::Raw) => vec![alpha * *r],
            _ => centred(rewards).map(|x| alpha * x).collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn long_answers_weigh_more_in_the_baseline() {
        // baseline (3·1 + 1·5)/4 = 2
        let o = Outcomes::new(&[1.0, 5.0]).unwrap().with_groups(&[0, 0]).unwrap().with_lengths(&[3.0, 1.0]).unwrap();
        assert_eq!(LengthWeighted::default().advantages(o).unwrap(), [-1.0, 3.0]);
    }

    #[test]
    fn equal_lengths_are_the_group_mean() {
        let o = Outcomes::new(&[1.0, 5.0]).unwrap().with_groups(&[0, 0]).unwrap().with_lengths(&[7.0; 2]).unwrap();
        let mean = super::super::GroupMean::default().advantages(o).unwrap();
        assert_eq!(LengthWeighted::default().advantages(o).unwrap(), mean);
    }

    #[test]
    fn half_the_samples_informative_doubles_the_advantage() {
        let o = Outcomes::new(&[1.0, 0.0]).unwrap().with_groups(&[0, 0]).unwrap();
        assert_eq!(Gpg::default().advantages(o).unwrap(), [1.0, -1.0]); // 2/1 · ±½
    }

    #[test]
    fn a_greedy_baseline_is_subtracted() {
        let o = Outcomes::new(&[1.0, 0.0]).unwrap().with_baselines(&[0.5, 0.25]).unwrap();
        assert_eq!(GreedyBaseline {}.advantages(o).unwrap(), [0.5, -0.25]);
        assert!(GreedyBaseline {}.advantages(Outcomes::new(&[1.0]).unwrap()).is_err());
    }
}
