//! Whether scores rank right above wrong.

use tdrm_core::Real;

use super::MetricError;
use super::error::check;

/// Probability that a right sample scores higher than a wrong one; ties count half.
///
/// ```text
/// AUC = (1 / n₊n₋) Σ_{i+, j−} ( 1[s_i > s_j] + ½ 1[s_i = s_j] )
/// ```
///
/// A label of at least ½ is right. O(N log N) by ranks (Mann–Whitney U).
///
/// ```
/// let auc = tdrm_algo::metrics::auc(&[0.9, 0.4, 0.4], &[1.0, 1.0, 0.0])?;
/// assert_eq!(auc, 0.75); // one pair won, one tied
/// # Ok::<(), tdrm_algo::metrics::MetricError>(())
/// ```
///
/// # Errors
/// If there is no sample, the columns differ in length, hold a NaN, or one class is missing.
pub fn auc<F: Real>(scores: &[F], labels: &[F]) -> Result<f64, MetricError> {
    check(("scores", scores), ("labels", labels))?;
    let right = |i: usize| labels[i] >= F::of(0.5);
    let positive = (0..labels.len()).filter(|&i| right(i)).count();
    let negative = labels.len() - positive;
    if positive == 0 || negative == 0 {
        return Err(MetricError::OneClass { positive, total: labels.len() });
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&i, &j| scores[i].partial_cmp(&scores[j]).unwrap_or(std::cmp::Ordering::Equal));
    let (mut wrong_below, mut won) = (0_usize, 0.0);
    for tie in order.chunk_by(|&i, &j| scores[i] == scores[j]) {
        let right_here = tie.iter().filter(|&&i| right(i)).count();
        let wrong_here = tie.len() - right_here;
        won += right_here as f64 * (wrong_below as f64 + 0.5 * wrong_here as f64);
        wrong_below += wrong_here;
    }
    Ok(won / (positive as f64 * negative as f64))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_class_has_no_ranking() {
        assert_eq!(auc(&[0.1, 0.2], &[1.0, 1.0]), Err(MetricError::OneClass { positive: 2, total: 2 }));
        assert!(auc(&[0.1, f64::NAN], &[1.0, 0.0]).is_err());
    }

    proptest! {
        #[test]
        fn ranks_count_pairs(rows in prop::collection::vec((0u8..5, prop::bool::ANY), 2..30)) {
            let scores: Vec<f64> = rows.iter().map(|r| f64::from(r.0)).collect();
            let labels: Vec<f64> = rows.iter().map(|r| f64::from(u8::from(r.1))).collect();
            let (mut won, mut pairs) = (0.0, 0.0);
            for (s, y) in scores.iter().zip(&labels) {
                for (z, w) in scores.iter().zip(&labels) {
                    if y > w {
                        pairs += 1.0;
                        won += if s > z { 1.0 } else if s < z { 0.0 } else { 0.5 };
                    }
                }
            }
            match auc(&scores, &labels) {
                Ok(auc) => prop_assert!((auc - won / pairs).abs() < 1e-12),
                Err(_) => prop_assert!(pairs < 0.5),
            }
        }

        #[test]
        fn flipping_the_scores_flips_the_ranking(scores in prop::collection::vec(-3.0..3.0f64, 4..20)) {
            let labels: Vec<f64> = (0..scores.len()).map(|i| f64::from(u8::from(i % 2 == 0))).collect();
            let flipped: Vec<f64> = scores.iter().map(|s| -s).collect();
            prop_assert!((auc(&scores, &labels).unwrap() + auc(&flipped, &labels).unwrap() - 1.0).abs() < 1e-12);
        }
    }
}
