//! Expected outcome of the best-ranked of k samples.

use tdrm_core::Real;

use super::MetricError;
use super::error::check;

/// Mean outcome of the highest-scored sample, over all subsets of size k.
///
/// ```text
/// E_k = Σ_{i=k…n} C(i−1, k−1) / C(n, k) · outcome_(i)       samples in ascending order of score
/// ```
///
/// Unbiased for the outcome of best-of-k with this scorer; k = 1 is the mean, k = n the outcome of the best. Equal
/// scores share their weight: the average over all orders of a tie.
///
/// ```
/// // Pairs of (score, outcome): of the three pairs, two contain the best-scored sample, which is right.
/// let e = tdrm_algo::metrics::best_of_k(&[0.9, 0.5, 0.1], &[1.0, 0.0, 1.0], 2)?;
/// assert!((e - 2.0_f64 / 3.0).abs() < 1e-15);
/// # Ok::<(), tdrm_algo::metrics::MetricError>(())
/// ```
///
/// # Errors
/// If there is no sample, the columns differ in length, a score is NaN, or k is not in `1..=n`.
pub fn best_of_k<F: Real>(scores: &[F], outcomes: &[F], k: usize) -> Result<F, MetricError> {
    check(("scores", scores), ("outcomes", outcomes))?;
    if k == 0 || k > scores.len() {
        return Err(MetricError::Subset { n: scores.len(), k });
    }
    Ok(expectation(&ranked(scores, outcomes), k))
}

/// `best_of_k` for k = 1 … n, `[n]`.
///
/// # Errors
/// If there is no sample, the columns differ in length, or a score is NaN.
pub fn best_of_k_curve<F: Real>(scores: &[F], outcomes: &[F]) -> Result<Vec<F>, MetricError> {
    check(("scores", scores), ("outcomes", outcomes))?;
    let ranked = ranked(scores, outcomes);
    Ok((1..=scores.len()).map(|k| expectation(&ranked, k)).collect())
}

/// Outcomes from the best score to the worst, each the mean of its tie.
fn ranked<F: Real>(scores: &[F], outcomes: &[F]) -> Vec<F> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&i, &j| scores[j].partial_cmp(&scores[i]).unwrap_or(std::cmp::Ordering::Equal));
    let ties = order.chunk_by(|&i, &j| scores[i] == scores[j]);
    ties.flat_map(|tie| {
        let mean = tie.iter().map(|&i| outcomes[i]).sum::<F>() / F::count(tie.len());
        std::iter::repeat_n(mean, tie.len())
    })
    .collect()
}

/// Σ_i C(n−i, k−1) / C(n, k) · outcome_i over ranks i = 1 … n−k+1 from the top, weights by ratios.
fn expectation<F: Real>(ranked: &[F], k: usize) -> F {
    let n = ranked.len();
    let mut weight = k as f64 / n as f64;
    let mut sum = F::zero();
    for (i, &outcome) in ranked.iter().take(n - k + 1).enumerate() {
        sum = sum + F::of(weight) * outcome;
        // From n−1−i candidates below to one fewer.
        let below = n - 1 - i;
        weight *= if below == 0 { 0.0 } else { (below + 1 - k) as f64 / below as f64 };
    }
    sum
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::pass_at_k;

    /// The definition: all subsets, ties averaged.
    fn by_enumeration(scores: &[f64], outcomes: &[f64], k: usize) -> f64 {
        let n = scores.len();
        let sets: Vec<u32> = (0..1u32 << n).filter(|s| s.count_ones() as usize == k).collect();
        let of = |set: u32| {
            let members: Vec<usize> = (0..n).filter(|i| set >> i & 1 == 1).collect();
            let top = members.iter().map(|&i| scores[i]).fold(f64::MIN, f64::max);
            let best: Vec<usize> = members.into_iter().filter(|&i| scores[i] >= top).collect();
            best.iter().map(|&i| outcomes[i]).sum::<f64>() / best.len() as f64
        };
        sets.iter().map(|&s| of(s)).sum::<f64>() / sets.len() as f64
    }

    #[test]
    fn an_oracle_scorer_is_pass_at_k() {
        let outcomes = [1.0, 0.0, 0.0, 1.0, 0.0];
        for k in 1..=5 {
            let e = best_of_k(&outcomes, &outcomes, k).unwrap();
            assert!((e - pass_at_k(5, 2, k as u64).unwrap()).abs() < 1e-15);
        }
    }

    #[test]
    fn a_constant_scorer_is_the_mean_for_every_k() {
        let curve = best_of_k_curve(&[0.3; 4], &[1.0, 0.0, 0.0, 1.0]).unwrap();
        assert!(curve.iter().all(|e: &f64| (e - 0.5).abs() < 1e-15), "{curve:?}");
    }

    #[test]
    fn what_cannot_be_ranked_is_refused() {
        assert_eq!(best_of_k::<f64>(&[], &[], 1), Err(MetricError::Empty));
        assert_eq!(best_of_k(&[1.0], &[1.0], 2), Err(MetricError::Subset { n: 1, k: 2 }));
        assert_eq!(best_of_k(&[1.0], &[1.0], 0), Err(MetricError::Subset { n: 1, k: 0 }));
        assert_eq!(
            best_of_k(&[1.0, f64::NAN], &[1.0, 0.0], 1),
            Err(MetricError::NotANumber { column: "scores", index: 1 })
        );
    }

    #[test]
    fn ten_thousand_samples_are_no_trouble() {
        let scores: Vec<f64> = (0..10_000).map(f64::from).collect();
        let e = best_of_k(&scores, &scores, 4_000).unwrap();
        assert!((9_990.0..10_000.0).contains(&e));
    }

    proptest! {
        #[test]
        fn subsets_are_counted_right(
            rows in prop::collection::vec((prop::sample::select(vec![0.0, 0.2, 0.5, 0.9]), 0.0..=1.0f64), 1..9),
            k in 1usize..9,
        ) {
            let (scores, outcomes): (Vec<f64>, Vec<f64>) = rows.into_iter().unzip();
            prop_assume!(k <= scores.len());
            let fast = best_of_k(&scores, &outcomes, k).unwrap();
            prop_assert!((fast - by_enumeration(&scores, &outcomes, k)).abs() < 1e-12);
        }
    }
}
