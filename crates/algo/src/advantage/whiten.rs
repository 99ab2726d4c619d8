//! Whitening over a whole batch.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Real};

use super::spread::{mean, over_spread, standard_deviation};
use super::{AdvantageError, Outcomes, ZeroSpread};

/// Zero mean and unit variance over all numbers of a batch, whichever group they belong to.
///
/// ```text
/// A_i = (x_i − x̄) / √(s² + ε),     s² = Σ (x − x̄)² / (N − ddof)
/// ```
///
/// ε is under the root, as in the reference. A batch without spread gives 0. On ragged rows ([`BatchWhiten::rows`])
/// it is what others call masked whitening. Hu et al. (2025), REINFORCE++, §3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchWhiten {
    /// ε, 1e-8 unless stated.
    pub epsilon: NonNegative,
    /// Degrees of freedom taken from N, 1 unless stated.
    pub ddof: u8,
    /// A batch of equal numbers.
    pub zero_spread: ZeroSpread,
}

const HUNDRED_MILLIONTH: NonNegative = match NonNegative::new(1e-8) {
    Ok(epsilon) => epsilon,
    Err(_) => unreachable!(),
};

impl Default for BatchWhiten {
    fn default() -> Self {
        Self { epsilon: HUNDRED_MILLIONTH, ddof: 1, zero_spread: ZeroSpread::Zero }
    }
}

impl BatchWhiten {
    /// One advantage per sample, `[N]`.
    ///
    /// # Errors
    /// Never; the signature is that of every estimator.
    pub fn advantages<F: Real>(&self, outcomes: Outcomes<'_, F>) -> Result<Vec<F>, AdvantageError> {
        let mut out = outcomes.rewards().to_vec();
        self.in_place(&mut out);
        Ok(out)
    }

    /// Whitens numbers where they are.
    pub fn in_place<F: Real>(&self, xs: &mut [F]) {
        let scale = self.scale(xs);
        for x in xs {
            *x = scale(*x);
        }
    }

    /// Whitens ragged rows with the statistics of all their numbers.
    pub fn rows<F: Real>(&self, rows: &mut [Vec<F>]) {
        let scale = self.scale(&rows.concat());
        for x in rows.iter_mut().flatten() {
            *x = scale(*x);
        }
    }

    fn scale<F: Real>(&self, xs: &[F]) -> impl Fn(F) -> F + use<F> {
        let (centre, spread, zero) = (mean(xs), standard_deviation(xs, self.ddof), self.zero_spread);
        let root = (spread * spread + self.epsilon.get::<F>()).sqrt();
        let spread = if spread == F::zero() { spread } else { root };
        move |x| over_spread(x - centre, spread, F::zero(), zero)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn whitening_by_hand() {
        // mean 2, s² = (1 + 0 + 1)/2 = 1
        let exact = BatchWhiten { epsilon: NonNegative::ZERO, ..BatchWhiten::default() };
        assert_eq!(exact.advantages(Outcomes::new(&[1.0, 2.0, 3.0]).unwrap()).unwrap(), [-1.0, 0.0, 1.0]);
    }

    #[test]
    fn rows_share_their_statistics() {
        let exact = BatchWhiten { epsilon: NonNegative::ZERO, ..BatchWhiten::default() };
        let mut rows = [vec![1.0], vec![], vec![2.0, 3.0]];
        exact.rows(&mut rows);
        assert_eq!(rows, [vec![-1.0], vec![], vec![0.0, 1.0]]);
    }

    #[test]
    fn a_batch_without_spread_gives_zero() {
        let one = Outcomes::new(&[0.1_f64; 3]).unwrap();
        assert_eq!(BatchWhiten::default().advantages(one).unwrap(), [0.0; 3]);
    }
}
