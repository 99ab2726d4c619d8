//! Unbiased pass@k.

/// Counts that no experiment can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassAtKError {
    /// More correct samples than samples.
    #[error("expected at most {n} correct samples of {n}, got {c}")]
    TooManyCorrect {
        /// Samples.
        n: u64,
        /// Correct ones.
        c: u64,
    },
    /// A subset larger than the set, or empty.
    #[error("expected k in 1..={n}, got {k}")]
    Subset {
        /// Samples.
        n: u64,
        /// Size of the subset.
        k: u64,
    },
}

/// Probability that a random subset of `k` out of `n` samples, `c` of them correct, contains a correct one.
///
/// ```text
/// pass@k = 1 − C(n−c, k) / C(n, k) = 1 − Π_{i = n−c+1 … n} (1 − k/i),      1 if n − c < k
/// ```
///
/// Unbiased for `1 − (1−p)^k` (Chen et al. 2021, §2.1); the product form cannot overflow.
///
/// ```
/// // Of the 6 pairs out of 4 samples, 3 contain the one that is right.
/// assert_eq!(tdrm_algo::metrics::pass_at_k(4, 1, 2), Ok(0.5));
/// ```
///
/// # Errors
/// If `c > n`, or `k` is not in `1..=n`.
pub fn pass_at_k(n: u64, c: u64, k: u64) -> Result<f64, PassAtKError> {
    if c > n {
        return Err(PassAtKError::TooManyCorrect { n, c });
    }
    if k == 0 || k > n {
        return Err(PassAtKError::Subset { n, k });
    }
    if n - c < k {
        return Ok(1.0);
    }
    let all_wrong: f64 = if c < k { product(n, c, k) } else { product(n, k, c) };
    Ok(1.0 - all_wrong)
}

/// `C(n−a, b) / C(n, b) = Π_{i = n−a+1 … n} (1 − b/i)`, symmetric in `a` and `b`, `a` factors.
fn product(n: u64, a: u64, b: u64) -> f64 {
    (n - a + 1..=n).map(|i| 1.0 - b as f64 / i as f64).product()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn one_draw_succeeds_with_the_mean() {
        assert!((pass_at_k(10, 3, 1).unwrap() - 0.3).abs() < 1e-15);
    }

    #[test]
    fn a_subset_larger_than_the_wrong_samples_always_succeeds() {
        assert_eq!(pass_at_k(4, 2, 3), Ok(1.0));
    }

    #[test]
    fn counts_that_cannot_be_are_refused() {
        assert_eq!(pass_at_k(3, 4, 1), Err(PassAtKError::TooManyCorrect { n: 3, c: 4 }));
        assert_eq!(pass_at_k(3, 1, 4).unwrap_err().to_string(), "expected k in 1..=3, got 4");
        assert!(pass_at_k(0, 0, 0).is_err());
    }

    #[test]
    fn both_forms_of_the_product_agree() {
        for (n, c, k) in [(20, 3, 7), (20, 7, 3), (100, 50, 4)] {
            assert!((product(n, c, k) - product(n, k, c)).abs() < 1e-14);
        }
    }

    #[test]
    fn a_million_samples_stay_finite_and_monotone_in_k() {
        let curve: Vec<f64> = [1, 10, 100, 1000].map(|k| pass_at_k(1_000_000, 1000, k).unwrap()).into();
        assert!(curve.windows(2).all(|w| w[0] < w[1]) && curve[3] < 1.0);
    }
}
