//! Advantages for the best of several answers.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Real};

use super::group::MILLIONTH;
use super::spread::{over_spread, standard_deviation};
use super::{AdvantageError, Outcomes, ZeroSpread};

/// What the best answer of a group adds to the second best; the others get 0.
///
/// ```text
/// A_i = (r_(1) − r_(2)) / (std_G r + ε)  for the best answer (the first of them), 0 otherwise
/// ```
///
/// The leave-one-out advantage for the maximum over the whole group, [`BestOfK`] with k = G up to scale.
/// Tang et al. (2025), §3; normalised as in verl.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PassAtK {
    /// ε, 1e-6 unless stated.
    pub epsilon: NonNegative,
    /// Degrees of freedom taken from G, 1 unless stated.
    pub ddof: u8,
    /// Whether and how the difference is divided by the deviation of its group.
    pub scale: Scale,
    /// Groups of equal rewards.
    pub zero_spread: ZeroSpread,
}

/// Division by the deviation of the group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scale {
    /// By the deviation of the group plus ε.
    #[default]
    Deviation,
    /// By nothing.
    None,
}

impl Default for PassAtK {
    fn default() -> Self {
        Self { epsilon: MILLIONTH, ddof: 1, scale: Scale::Deviation, zero_spread: ZeroSpread::Zero }
    }
}

impl PassAtK {
    /// One advantage per sample, `[N]`.
    ///
    /// # Errors
    /// If the outcomes have no groups, or a group has one sample.
    pub fn advantages<F: Real>(&self, outcomes: Outcomes<'_, F>) -> Result<Vec<F>, AdvantageError> {
        let groups = outcomes.groups("pass_at_k")?;
        at_least(2, &groups)?;
        Ok(outcomes.per_group(&groups, |_, rewards| self.of_group(rewards)))
    }

    fn of_group<F: Real>(&self, rewards: &[F]) -> Vec<F> {
        let best = argmax(rewards);
        let others = rewards.iter().enumerate().filter(|&(i, _)| i != best).map(|(_, &r)| r);
        let lead = rewards[best] - others.fold(F::neg_infinity(), F::max);
        let mut out = vec![F::zero(); rewards.len()];
        out[best] = match self.scale {
            Scale::None => lead,
            Scale::Deviation => {
                over_spread(lead, standard_deviation(rewards, self.ddof), self.epsilon.get(), self.zero_spread)
            }
        };
        out
    }
}

/// Unbiased advantage for the expected best of k out of a group of G ≥ k answers.
///
/// ```text
/// A_i = k · mean over subsets S ∋ i of size k of [ max_S r − max_{S∖i} r ]
///     = k Σ_{j below i} (r_i − r_j) C(rank_j, k−2) / C(G−1, k−1)
/// ```
///
/// The mean over samples of A_i ∇ log π_i is an unbiased estimate of ∇ E[max of k]. Ranks ascend from 0, ties in
/// order of appearance (their difference is 0). `k ≥ 2`; the best of one is [`super::LeaveOneOut`].
/// Walder & Karkhanis (2025), §4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestOfK {
    /// k ≥ 2.
    pub k: NonZeroUsize,
}

impl BestOfK {
    /// One advantage per sample, `[N]`.
    ///
    /// # Errors
    /// If the outcomes have no groups, or a group has fewer than max(k, 2) samples.
    pub fn advantages<F: Real>(&self, outcomes: Outcomes<'_, F>) -> Result<Vec<F>, AdvantageError> {
        let groups = outcomes.groups("best_of_k")?;
        let k = self.k.get().max(2);
        at_least(k, &groups)?;
        Ok(outcomes.per_group(&groups, |_, rewards| of_group(k, rewards)))
    }
}

fn of_group<F: Real>(k: usize, rewards: &[F]) -> Vec<F> {
    let mut order: Vec<usize> = (0..rewards.len()).collect();
    order.sort_by(|&i, &j| rewards[i].partial_cmp(&rewards[j]).unwrap_or(std::cmp::Ordering::Equal));
    let weights = runner_up_weights(k, rewards.len());
    let mut out = vec![F::zero(); rewards.len()];
    // Σ_j w_j (r_i − r_j) over the ranks below i, as running sums.
    let (mut mass, mut weighted) = (F::zero(), F::zero());
    for (rank, &i) in order.iter().enumerate() {
        out[i] = F::count(k) * (rewards[i] * mass - weighted);
        let w = F::of(weights[rank]);
        mass = mass + w;
        weighted = weighted + w * rewards[i];
    }
    out
}

/// C(rank, k−2) / C(n−1, k−1) for rank = 0 … n−1, by ratios, so that nothing overflows.
fn runner_up_weights(k: usize, n: usize) -> Vec<f64> {
    // At the highest rank that can be a runner-up, n − 2, the ratio is (k−1)/(n−1).
    let mut weights = vec![0.0; n];
    let mut w = (k - 1) as f64 / (n - 1) as f64;
    for rank in (k - 2..=n - 2).rev() {
        weights[rank] = w;
        // C(rank−1, k−2) = C(rank, k−2) (rank − k + 2) / rank
        w *= (rank - (k - 2)) as f64 / rank.max(1) as f64;
    }
    weights
}

fn at_least(expected: usize, groups: &super::Groups) -> Result<(), AdvantageError> {
    match groups.with_ids().find(|(_, members)| members.len() < expected) {
        Some((group, members)) => Err(AdvantageError::GroupTooSmall { group, expected, got: members.len() }),
        None => Ok(()),
    }
}

/// The first of the best.
fn argmax<F: Real>(xs: &[F]) -> usize {
    (1..xs.len()).fold(0, |best, i| if xs[i] > xs[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn group<'a>(rewards: &'a [f64], ids: &'a [i64]) -> Outcomes<'a, f64> {
        Outcomes::new(rewards).unwrap().with_groups(ids).unwrap()
    }

    /// The definition: all subsets, one by one.
    fn by_enumeration(k: usize, rewards: &[f64]) -> Vec<f64> {
        let n = rewards.len();
        let best = |set: u32| (0..n).filter(|i| set >> i & 1 == 1).map(|i| rewards[i]).fold(f64::MIN, f64::max);
        let of = |i: usize| {
            let sets: Vec<u32> = (0..1u32 << n).filter(|s| s >> i & 1 == 1 && s.count_ones() as usize == k).collect();
            let gains: f64 = sets.iter().map(|&s| best(s) - best(s & !(1 << i))).sum();
            k as f64 * gains / sets.len() as f64
        };
        (0..n).map(of).collect()
    }

    #[test]
    fn only_the_best_is_credited_with_its_lead() {
        let plain = PassAtK { scale: Scale::None, ..PassAtK::default() };
        assert_eq!(plain.advantages(group(&[1.0, 5.0, 3.0], &[0; 3])).unwrap(), [0.0, 2.0, 0.0]);
        assert_eq!(plain.advantages(group(&[5.0, 5.0], &[0; 2])).unwrap(), [0.0, 0.0]);
    }

    #[test]
    fn the_best_of_all_is_the_lead_times_the_group() {
        let all = BestOfK { k: NonZeroUsize::new(3).unwrap() };
        assert_eq!(all.advantages(group(&[1.0, 5.0, 3.0], &[0; 3])).unwrap(), [0.0, 6.0, 0.0]);
    }

    #[test]
    fn a_group_smaller_than_k_is_named() {
        let error = PassAtK::default().advantages(group(&[1.0, 2.0, 3.0], &[4, 4, 9])).unwrap_err();
        assert_eq!(error, AdvantageError::GroupTooSmall { group: 9, expected: 2, got: 1 });
        let error = BestOfK { k: NonZeroUsize::new(3).unwrap() }.advantages(group(&[1.0, 2.0], &[4, 4])).unwrap_err();
        assert_eq!(error.to_string(), "group 4 has 2 samples, expected at least 3");
    }

    #[test]
    fn a_large_group_does_not_overflow() {
        let rewards: Vec<f64> = (0..5000).map(|i| f64::from(i % 7)).collect();
        let a = BestOfK { k: NonZeroUsize::new(2000).unwrap() }.advantages(group(&rewards, &vec![0; 5000])).unwrap();
        assert!(a.iter().all(|a| a.is_finite()));
    }

    proptest! {
        #[test]
        fn ranks_count_subsets(rewards in prop::collection::vec(-2.0..2.0f64, 2..8), k in 2usize..8) {
            prop_assume!(k <= rewards.len());
            let ids = vec![0; rewards.len()];
            let fast = BestOfK { k: NonZeroUsize::new(k).unwrap() }.advantages(group(&rewards, &ids)).unwrap();
            for (a, b) in fast.iter().zip(by_enumeration(k, &rewards)) {
                prop_assert!((a - b).abs() < 1e-10);
            }
        }
    }
}
