//! From step scores to one score.

use serde::{Deserialize, Serialize};
use tdrm_core::{Positive, Real};

/// How the scores of the steps become the score of the answer.
///
/// ```text
/// min      min_k p_k
/// product  Π_k p_k = exp Σ_k ln p_k          (p ≥ 0; long answers lose)
/// last     p_K                               (the process model as a value function)
/// mean     (1/K) Σ_k p_k
/// sum      Σ_k p_k                           (long answers win)
/// softmin  Σ_k w_k p_k,  w = softmax(−p / T) (T → 0 is min, T → ∞ is mean)
/// ```
///
/// ```
/// use tdrm_algo::metrics::Aggregate;
/// assert_eq!(Aggregate::Min {}.of(&[0.5, 0.25, 0.75]), Some(0.25));
/// assert_eq!(Aggregate::Min {}.of::<f64>(&[]), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Aggregate {
    /// The worst step.
    Min {},
    /// All steps must hold.
    #[serde(alias = "prod")]
    Product {},
    /// The last step.
    Last {},
    /// The average step.
    Mean {},
    /// All steps together.
    Sum {},
    /// A smooth minimum.
    Softmin {
        /// T.
        temperature: Positive,
    },
}

impl Aggregate {
    /// The score of an answer; `None` for an answer without steps. A NaN among the scores gives NaN.
    #[must_use]
    pub fn of<F: Real>(&self, scores: &[F]) -> Option<F> {
        let last = *scores.last()?;
        if scores.iter().any(|p| p.is_nan()) {
            return Some(F::nan());
        }
        let sum = || scores.iter().copied().sum::<F>();
        Some(match self {
            Self::Min {} => scores.iter().copied().fold(F::infinity(), F::min),
            Self::Product {} => product(scores),
            Self::Last {} => last,
            Self::Mean {} => sum() / F::count(scores.len()),
            Self::Sum {} => sum(),
            Self::Softmin { temperature } => softmin(scores, temperature.get()),
        })
    }
}

/// In log space, so that a thousand steps do not underflow before they must.
fn product<F: Real>(scores: &[F]) -> F {
    if scores.iter().any(|&p| p < F::zero()) {
        return scores.iter().fold(F::one(), |product, &p| product * p);
    }
    scores.iter().map(|p| p.ln()).sum::<F>().exp()
}

fn softmin<F: Real>(scores: &[F], temperature: F) -> F {
    let least = scores.iter().copied().fold(F::infinity(), F::min);
    let weight = |p: F| if p == least { F::one() } else { ((least - p) / temperature).exp() };
    let total: F = scores.iter().map(|&p| weight(p)).sum();
    scores.iter().map(|&p| weight(p) / total * p).sum()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn softmin_at(temperature: f64) -> Aggregate {
        Aggregate::Softmin { temperature: Positive::new(temperature).unwrap() }
    }

    #[test]
    fn each_kind_by_hand() {
        let p = [0.5, 0.25, 1.0];
        let of = |kind: Aggregate| kind.of(&p).unwrap();
        assert!((of(Aggregate::Product {}) - 0.125_f64).abs() < 1e-15);
        assert!((of(Aggregate::Sum {}) - 1.75).abs() < 1e-15);
        assert!((of(Aggregate::Mean {}) - 1.75 / 3.0).abs() < 1e-15);
        assert!((of(Aggregate::Last {}) - 1.0).abs() < 1e-15);
        assert!((of(softmin_at(1e-4)) - 0.25).abs() < 1e-12);
        assert!((of(softmin_at(1e6)) - 1.75 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn one_impossible_step_makes_the_product_zero() {
        assert_eq!(Aggregate::Product {}.of(&[0.0, 0.5]), Some(0.0));
    }

    #[test]
    fn a_nan_score_is_not_hidden_by_the_minimum() {
        assert!(Aggregate::Min {}.of(&[0.1, f64::NAN]).unwrap().is_nan());
    }

    proptest! {
        #[test]
        fn product_is_at_most_min_is_at_most_softmin_is_at_most_mean(p in prop::collection::vec(0.0..=1.0f64, 1..12)) {
            let of = |kind: Aggregate| kind.of(&p).unwrap();
            let chain = [of(Aggregate::Product {}), of(Aggregate::Min {}), of(softmin_at(0.3)), of(Aggregate::Mean {})];
            prop_assert!(chain.windows(2).all(|w| w[0] <= w[1] + 1e-12), "{:?}", chain);
        }
    }
}
