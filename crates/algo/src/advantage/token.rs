//! Advantages per token.

use serde::{Deserialize, Serialize};
use tdrm_core::{Discount, Real, ShapeError, Steps, ValueTarget};

use super::{BatchWhiten, suffix_sums};
use crate::value::MonteCarlo;

/// Returns-to-go of token rewards, whitened over the batch.
///
/// ```text
/// G_{i,t} = r_{i,t} + γ G_{i,t+1},     A = whiten(G) over all tokens of the batch
/// ```
///
/// Token rewards are −β k1 with the outcome added at the last token. Hu et al. (2025), §3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReinforcePlusPlus {
    /// γ, 1 unless stated.
    pub gamma: Discount,
    /// The whitening.
    pub whiten: BatchWhiten,
}

impl Default for ReinforcePlusPlus {
    fn default() -> Self {
        Self { gamma: Discount::ONE, whiten: BatchWhiten::default() }
    }
}

impl ReinforcePlusPlus {
    /// G before whitening, ragged like `rewards`.
    #[must_use]
    pub fn returns<F: Real>(&self, rewards: &[Vec<F>]) -> Vec<Vec<F>> {
        rewards.iter().map(|row| discounted(row, self.gamma.get())).collect()
    }

    /// A, ragged like `rewards`.
    #[must_use]
    pub fn advantages<F: Real>(&self, rewards: &[Vec<F>]) -> Vec<Vec<F>> {
        let mut rows = self.returns(rewards);
        self.whiten.rows(&mut rows);
        rows
    }
}

/// Returns-to-go of one response; nothing follows its last token.
fn discounted<F: Real>(rewards: &[F], gamma: F) -> Vec<F> {
    let (discounts, values) = (vec![gamma; rewards.len()], vec![F::zero(); rewards.len() + 1]);
    Steps::new(rewards, &discounts, &values).map_or_else(|_| vec![], |steps| MonteCarlo {}.targets(steps))
}

/// Token returns-to-go minus the reward of the greedy response (ReMax).
///
/// ```text
/// A_t = Σ_{j≥t} r_j − r(greedy)
/// ```
///
/// Li et al. (2023), §4.
///
/// ```
/// assert_eq!(tdrm_algo::advantage::remax(&[0.0, 1.0], 0.25), [0.75, 0.75]);
/// ```
#[must_use]
pub fn remax<F: Real>(rewards: &[F], greedy: F) -> Vec<F> {
    suffix_sums(rewards).into_iter().map(|g| g - greedy).collect()
}

/// Gives each token the advantage of its segment.
///
/// `segments[s]` is the number of tokens of segment s: a whole response, a turn, a thought, a step.
///
/// ```
/// assert_eq!(tdrm_algo::advantage::broadcast(&[1.0, -1.0], &[2, 1])?, [1.0, 1.0, -1.0]);
/// # Ok::<(), tdrm_core::ShapeError>(())
/// ```
///
/// # Errors
/// If there is not one advantage per segment.
pub fn broadcast<F: Real>(advantages: &[F], segments: &[usize]) -> Result<Vec<F>, ShapeError> {
    ShapeError::check("advantages", segments.len(), advantages.len())?;
    Ok(advantages.iter().zip(segments).flat_map(|(&a, &n)| std::iter::repeat_n(a, n)).collect())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn returns_to_go_by_hand() {
        let half = ReinforcePlusPlus { gamma: Discount::new(0.5).unwrap(), ..ReinforcePlusPlus::default() };
        assert_eq!(half.returns(&[vec![1.0, 2.0], vec![]]), [vec![2.0, 2.0], vec![]]);
    }

    #[test]
    fn the_batch_is_white() {
        let a = ReinforcePlusPlus::default().advantages(&[vec![0.0, 1.0], vec![3.0], vec![-2.0, 0.5, 0.0]]).concat();
        let mean: f64 = a.iter().sum::<f64>() / 6.0;
        let variance: f64 = a.iter().map(|x| x * x).sum::<f64>() / 5.0;
        assert!(mean.abs() < 1e-12 && (variance - 1.0).abs() < 1e-7);
    }
}
