//! Credit for steps.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Positive, Real, ShapeError};

use super::group::MILLIONTH;
use super::spread::{mean, over_spread, standard_deviation};
use super::{AdvantageError, Groups, ZeroSpread};

/// Each step with everything that follows it.
///
/// ```text
/// A_k = Σ_{j≥k} r_j
/// ```
///
/// The undiscounted return of process rewards. Shao et al. (2024), §4.1.3.
///
/// ```
/// assert_eq!(tdrm_algo::advantage::suffix_sums(&[1.0, 2.0, 4.0]), [7.0, 6.0, 4.0]);
/// ```
#[must_use]
pub fn suffix_sums<F: Real>(rewards: &[F]) -> Vec<F> {
    let mut out = rewards.to_vec();
    for k in (1..out.len()).rev() {
        out[k - 1] = out[k - 1] + out[k];
    }
    out
}

/// Which step rewards are compared with each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProcessPool {
    /// All steps of all answers of the group.
    #[default]
    Group,
    /// The steps at the same position (turn by turn); a position that one answer alone reaches gives 0.
    Position,
}

/// Group-relative step rewards: standardised, then summed to the end.
///
/// ```text
/// r̃_{i,k} = (r_{i,k} − mean) / (std + ε) over the pool,     A_{i,k} = Σ_{j≥k} r̃_{i,j}
/// ```
///
/// Steps may be reasoning steps, thoughts or turns. Shao et al. (2024), §4.1.3, "process supervision".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessGroups {
    /// ε, 1e-6 unless stated.
    pub epsilon: NonNegative,
    /// Degrees of freedom taken from n, 1 unless stated.
    pub ddof: u8,
    /// Which rewards are compared.
    pub pool: ProcessPool,
    /// Pools of equal rewards, and of one.
    pub zero_spread: ZeroSpread,
}

impl Default for ProcessGroups {
    fn default() -> Self {
        Self { epsilon: MILLIONTH, ddof: 1, pool: ProcessPool::Group, zero_spread: ZeroSpread::Zero }
    }
}

impl ProcessGroups {
    /// One advantage per step, ragged like `rewards`.
    ///
    /// # Errors
    /// If there is no answer, or not one group id per answer.
    pub fn advantages<F: Real>(&self, rewards: &[Vec<F>], groups: &[i64]) -> Result<Vec<Vec<F>>, AdvantageError> {
        if rewards.is_empty() {
            return Err(AdvantageError::Empty);
        }
        ShapeError::check("groups", rewards.len(), groups.len())?;
        let mut out = rewards.to_vec();
        for members in Groups::of(groups).iter() {
            self.standardise(members, &mut out);
        }
        Ok(out.iter().map(|steps| suffix_sums(steps)).collect())
    }

    fn standardise<F: Real>(&self, members: &[usize], rewards: &mut [Vec<F>]) {
        let longest = members.iter().map(|&i| rewards[i].len()).max().unwrap_or(0);
        let pools: Vec<Vec<(usize, usize)>> = match self.pool {
            ProcessPool::Group => {
                vec![members.iter().flat_map(|&i| (0..rewards[i].len()).map(move |k| (i, k))).collect()]
            }
            ProcessPool::Position => (0..longest)
                .map(|k| members.iter().filter(|&&i| k < rewards[i].len()).map(|&i| (i, k)).collect())
                .collect(),
        };
        for pool in pools {
            self.standardise_pool(&pool, rewards);
        }
    }

    fn standardise_pool<F: Real>(&self, pool: &[(usize, usize)], rewards: &mut [Vec<F>]) {
        let xs: Vec<F> = pool.iter().map(|&(i, k)| rewards[i][k]).collect();
        let (centre, spread) = (mean(&xs), standard_deviation(&xs, self.ddof));
        for (&(i, k), x) in pool.iter().zip(xs) {
            rewards[i][k] = over_spread(x - centre, spread, self.epsilon.get(), self.zero_spread);
        }
    }
}

/// Credit by the worst step: process rewards weighted by a soft minimum (PURE).
///
/// ```text
/// w_k = e^{−r_k/T} / Σ_j e^{−r_j/T},     r*_k = w_k r_k,     A_k = Σ_{j≥k} r*_j
/// ```
///
/// As T → 0 the whole answer is worth its worst step, and steps after it get no credit. Cheng et al. (2025), §3.2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinForm {
    /// T, 0.1 in the paper.
    pub temperature: Positive,
}

impl MinForm {
    /// r*, `[K]`; it sums to the soft minimum.
    #[must_use]
    pub fn rewards<F: Real>(&self, rewards: &[F]) -> Vec<F> {
        let temperature: F = self.temperature.get();
        let worst = rewards.iter().copied().fold(F::infinity(), F::min);
        let weights: Vec<F> = rewards.iter().map(|&r| ((worst - r) / temperature).exp()).collect();
        let total: F = weights.iter().copied().sum();
        weights.iter().zip(rewards).map(|(&w, &r)| w / total * r).collect()
    }

    /// A, `[K]`.
    #[must_use]
    pub fn advantages<F: Real>(&self, rewards: &[F]) -> Vec<F> {
        suffix_sums(&self.rewards(rewards))
    }
}

/// Step advantages from Monte-Carlo values (VinePPO).
///
/// ```text
/// A_k = r_k + V̂(s_{k+1}) − V̂(s_k),     V̂(s) = mean return of fresh rollouts from s
/// ```
///
/// `rewards` `[K]`, `values` `[K+1]`, the last 0 at a terminal state; γ = 1. All tokens of a step share its
/// advantage. Kazemnejad et al. (2024), §4.
///
/// ```
/// // The second step makes success certain.
/// assert_eq!(tdrm_algo::advantage::vine(&[0.0, 0.0], &[0.5, 0.25, 1.0])?, [-0.25, 0.75]);
/// # Ok::<(), tdrm_core::ShapeError>(())
/// ```
///
/// # Errors
/// If there are not K + 1 values.
pub fn vine<F: Real>(rewards: &[F], values: &[F]) -> Result<Vec<F>, ShapeError> {
    ShapeError::check("values", rewards.len() + 1, values.len())?;
    Ok(rewards.iter().zip(values.windows(2)).map(|(&r, v)| r + v[1] - v[0]).collect())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn exact(pool: ProcessPool) -> ProcessGroups {
        ProcessGroups { epsilon: NonNegative::ZERO, pool, ..ProcessGroups::default() }
    }

    #[test]
    fn steps_of_a_group_are_standardised_together_and_summed() {
        // rewards 1, 2, 3: mean 2, s = 1 → −1, 0 | 1; sums −1, 0 | 1
        let a = exact(ProcessPool::Group).advantages(&[vec![1.0, 2.0], vec![3.0]], &[0, 0]).unwrap();
        assert_eq!(a, [vec![-1.0, 0.0], vec![1.0]]);
    }

    #[test]
    fn positions_are_compared_with_each_other() {
        // position 0: 1, 3 → ∓1/√2; position 1: one answer alone → 0
        let a = exact(ProcessPool::Position).advantages(&[vec![1.0, 9.0], vec![3.0]], &[0, 0]).unwrap();
        let s = 0.5_f64.sqrt();
        assert!((a[0][0] + s).abs() < 1e-12 && a[0][1].abs() < 1e-12 && (a[1][0] - s).abs() < 1e-12, "{a:?}");
    }

    #[test]
    fn a_small_temperature_leaves_only_the_worst_step() {
        let credit = MinForm { temperature: Positive::new(1e-3).unwrap() };
        let a: Vec<f64> = credit.advantages(&[0.9, 0.1, 0.8]);
        assert!(a.iter().zip([0.1, 0.1, 0.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{a:?}");
    }

    #[test]
    fn a_large_temperature_is_the_mean() {
        let credit = MinForm { temperature: Positive::new(1e9).unwrap() };
        let total: f64 = credit.rewards(&[0.9, 0.1, 0.8]).iter().sum();
        assert!((total - 0.6).abs() < 1e-8);
    }

    #[test]
    fn answers_without_steps_have_no_advantages() {
        assert!(exact(ProcessPool::Group).advantages::<f64>(&[vec![]], &[0]).unwrap()[0].is_empty());
        assert_eq!(exact(ProcessPool::Group).advantages::<f64>(&[], &[]).unwrap_err(), AdvantageError::Empty);
        assert!(MinForm { temperature: Positive::new(1.0).unwrap() }.advantages::<f64>(&[]).is_empty());
    }
}
