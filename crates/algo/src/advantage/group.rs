//! Baselines from the other answers to the same prompt.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Real};

use super::spread::{mean, over_spread, standard_deviation};
use super::{AdvantageError, Outcomes, ZeroSpread};

/// What a group of one gives, which has no others to compare with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Singleton {
    /// 0.
    #[default]
    Zero,
    /// Its reward, as if the mean were 0 and the deviation 1 (verl's choice).
    Raw,
}

/// Which rewards a deviation is measured on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pool {
    /// Those of the group.
    #[default]
    Group,
    /// All of the batch.
    Batch,
}

/// Group-relative advantage of GRPO.
///
/// ```text
/// A_i = (r_i − mean_G r) / (std r + ε)
/// ```
///
/// A group of equal rewards gives 0 (`zero_spread`), a group of one 0 (`singleton`). Dividing by the deviation
/// weights easy and hard prompts up and biases the gradient; [`GroupMean`] does not. Shao et al. (2024), §4.1.
///
/// ```
/// use tdrm_algo::advantage::{GroupZScore, Outcomes};
/// let outcomes = Outcomes::new(&[1.0, 5.0, 0.0, 1.0])?.with_groups(&[0, 1, 0, 1])?;
/// let exact = GroupZScore { epsilon: tdrm_core::NonNegative::ZERO, ..Default::default() };
/// let s = 0.5_f64.sqrt();
/// let a = exact.advantages(outcomes)?;
/// assert!(a.iter().zip([s, s, -s, -s]).all(|(a, b)| (a - b).abs() < 1e-12));
/// # Ok::<(), tdrm_algo::advantage::AdvantageError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupZScore {
    /// ε, 1e-6 unless stated.
    pub epsilon: NonNegative,
    /// Degrees of freedom taken from n, 1 unless stated.
    pub ddof: u8,
    /// Where the deviation comes from.
    pub pool: Pool,
    /// Groups of equal rewards.
    pub zero_spread: ZeroSpread,
    /// Groups of one.
    pub singleton: Singleton,
}

/// 1e-6, the ε of the first releases.
pub(super) const MILLIONTH: NonNegative = match NonNegative::new(1e-6) {
    Ok(epsilon) => epsilon,
    Err(_) => unreachable!(),
};

impl Default for GroupZScore {
    fn default() -> Self {
        let (pool, zero_spread, singleton) = (Pool::Group, ZeroSpread::Zero, Singleton::Zero);
        Self { epsilon: MILLIONTH, ddof: 1, pool, zero_spread, singleton }
    }
}

impl GroupZScore {
    /// One advantage per sample, `[N]`.
    ///
    /// # Errors
    /// If the outcomes have no groups.
    pub fn advantages<F: Real>(&self, outcomes: Outcomes<'_, F>) -> Result<Vec<F>, AdvantageError> {
        let groups = outcomes.groups("group_z_score")?;
        let epsilon: F = self.epsilon.get();
        let batch = standard_deviation(outcomes.rewards(), self.ddof);
        Ok(outcomes.per_group(&groups, |_, rewards| {
            if let ([r], Singleton::Raw) = (rewards, self.singleton) {
                return vec![*r / (F::one() + epsilon)];
            }
            let spread = match self.pool {
                Pool::Group => standard_deviation(rewards, self.ddof),
                Pool::Batch => batch,
            };
            centred(rewards).map(|x| over_spread(x, spread, epsilon, self.zero_spread)).collect()
        }))
    }
}

/// Reward minus the mean of its group: GRPO without the division (Dr. GRPO).
///
/// ```text
/// A_i = r_i − mean_G r
/// ```
///
/// Its expectation is (G−1)/G of the gradient, because the baseline contains the sample. Liu et al. (2025), §3.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupMean {
    /// Groups of one.
    pub singleton: Singleton,
}

impl GroupMean {
    /// One advantage per sample, `[N]`.
    ///
    /// # Errors
    /// If the outcomes have no groups.
    pub fn advantages<F: Real>(&self, outcomes: Outcomes<'_, F>) -> Result<Vec<F>, AdvantageError> {
        let groups = outcomes.groups("group_mean")?;
        Ok(outcomes.per_group(&groups, |_, rewards| match (rewards, self.singleton) {
            ([r], Singleton::Raw) => vec![*r],
            _ => centred(rewards).collect(),
        }))
    }
}

/// Reward minus the mean of the others in its group (RLOO).
///
/// ```text
/// A_i = r_i − (1/(G−1)) Σ_{j≠i} r_j = G/(G−1) · (r_i − mean_G r)
/// ```
///
/// Unbiased, because the baseline does not contain the sample. Ahmadian et al. (2024), §3.2.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeaveOneOut {
    /// Groups of one.
    pub singleton: Singleton,
}

impl LeaveOneOut {
    /// One advantage per sample, `[N]`.
    ///
    /// # Errors
    /// If the outcomes have no groups.
    pub fn advantages<F: Real>(&self, outcomes: Outcomes<'_, F>) -> Result<Vec<F>, AdvantageError> {
        let groups = outcomes.groups("leave_one_out")?;
        Ok(outcomes.per_group(&groups, |_, rewards| match (rewards, self.singleton) {
            ([r], Singleton::Raw) => vec![*r],
            ([_], Singleton::Zero) => vec![F::zero()],
            _ => {
                let scale = F::count(rewards.len()) / F::count(rewards.len() - 1);
                centred(rewards).map(|x| scale * x).collect()
            }
        }))
    }
}

/// r − r̄, exactly 0 where all are equal.
pub(super) fn centred<F: Real>(rewards: &[F]) -> impl Iterator<Item = F> {
    let equal = rewards.windows(2).all(|w| w[0] == w[1]);
    let centre = if equal { rewards.first().copied().unwrap_or_else(F::zero) } else { mean(rewards) };
    rewards.iter().map(move |&r| r - centre)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn outcomes<'a>(rewards: &'a [f64], groups: &'a [i64]) -> Outcomes<'a, f64> {
        Outcomes::new(rewards).unwrap().with_groups(groups).unwrap()
    }

    #[test]
    fn means_by_hand_with_interleaved_groups() {
        let o = outcomes(&[1.0, 10.0, 3.0, 20.0], &[5, -2, 5, -2]);
        assert_eq!(GroupMean::default().advantages(o).unwrap(), [-1.0, -5.0, 1.0, 5.0]);
        assert_eq!(LeaveOneOut::default().advantages(o).unwrap(), [-2.0, -10.0, 2.0, 10.0]);
    }

    #[test]
    fn a_group_of_equal_rewards_gives_exactly_zero() {
        let o = outcomes(&[0.1; 3], &[0; 3]);
        assert_eq!(GroupZScore::default().advantages(o).unwrap(), [0.0; 3]);
        assert_eq!(GroupMean::default().advantages(o).unwrap(), [0.0; 3]);
    }

    #[test]
    fn a_group_of_one_follows_the_declared_rule() {
        let o = outcomes(&[3.0], &[0]);
        assert_eq!(GroupZScore::default().advantages(o).unwrap(), [0.0]);
        assert_eq!(LeaveOneOut::default().advantages(o).unwrap(), [0.0]);
        let raw = Singleton::Raw;
        assert_eq!(LeaveOneOut { singleton: raw }.advantages(o).unwrap(), [3.0]);
        assert_eq!(GroupMean { singleton: raw }.advantages(o).unwrap(), [3.0]);
        let z = GroupZScore { singleton: raw, ..GroupZScore::default() };
        assert_eq!(z.advantages(o).unwrap(), [3.0 / (1.0 + 1e-6)]);
    }

    #[test]
    fn a_batch_pool_divides_all_groups_by_one_deviation() {
        // deviations ±1 and ±2 around their means, rewards −1, 1, 8, 12: mean 5, squares 36+16+9+49 = 110, s² = 110/3
        let z = GroupZScore { epsilon: NonNegative::ZERO, pool: Pool::Batch, ..GroupZScore::default() };
        let a = z.advantages(outcomes(&[-1.0, 1.0, 8.0, 12.0], &[0, 0, 1, 1])).unwrap();
        let s = (110.0_f64 / 3.0).sqrt();
        assert!(a.iter().zip([-1.0, 1.0, -2.0, 2.0]).all(|(a, x)| (a - x / s).abs() < 1e-15));
    }

    #[test]
    fn without_groups_there_is_no_group_mean() {
        let o = Outcomes::new(&[1.0]).unwrap();
        let error = GroupMean::default().advantages(o).unwrap_err().to_string();
        assert_eq!(error, "missing column `groups`, which `group_mean` reads");
        assert_eq!(Outcomes::<f64>::new(&[]).unwrap_err(), AdvantageError::Empty);
    }
}
