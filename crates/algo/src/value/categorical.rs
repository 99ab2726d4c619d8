//! Values as distributions over a fixed support.

use tdrm_core::Real;

/// A support that is no grid, or columns that do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SupportError {
    /// The atoms must ascend strictly, and there must be one.
    #[error("expected a strictly ascending support with at least one atom, atom {index} breaks it")]
    NotAscending {
        /// The first atom out of order (0 for an empty support).
        index: usize,
    },
    /// One probability per atom.
    #[error("expected {atoms} probabilities, got {got}")]
    Probabilities {
        /// Number of atoms.
        atoms: usize,
        /// Number of probabilities.
        got: usize,
    },
}

/// Moves a distribution to another support, each atom to its two neighbours in proportion to their nearness.
///
/// ```text
/// q_i = Σ_j p_j max(0, 1 − |clip(z_j, y_0, y_n) − y_i| / Δ_i),   Δ_i = the gap on the side of z_j
/// ```
///
/// Keeps the mass, and the mean of what lies inside the support. Bellemare et al. (2017), eq. 7.
///
/// ```
/// // An atom at 1.25 between 1 and 2.
/// let q = tdrm_algo::value::project(&[1.25], &[1.0], &[0.0, 1.0, 2.0])?;
/// assert_eq!(q, [0.0, 0.75, 0.25]);
/// # Ok::<(), tdrm_algo::value::SupportError>(())
/// ```
///
/// # Errors
/// If `support` does not ascend, or `atoms` and `probabilities` differ in length.
pub fn project<F: Real>(atoms: &[F], probabilities: &[F], support: &[F]) -> Result<Vec<F>, SupportError> {
    ascending(support)?;
    same_length(atoms, probabilities)?;
    let mut out = vec![F::zero(); support.len()];
    for (&z, &p) in atoms.iter().zip(probabilities) {
        let (low, share) = locate(z, support);
        out[low] = out[low] + p * (F::one() - share);
        if low + 1 < out.len() {
            out[low + 1] = out[low + 1] + p * share;
        }
    }
    Ok(out)
}

/// The distribution on two neighbouring atoms whose mean is `x` (the nearest end outside the support), `[A]`.
///
/// # Errors
/// If `support` does not ascend.
pub fn two_hot<F: Real>(x: F, support: &[F]) -> Result<Vec<F>, SupportError> {
    project(&[x], &[F::one()], support)
}

/// Mean of a distribution, `Σ p_i z_i`.
///
/// # Errors
/// If the columns differ in length.
pub fn expectation<F: Real>(probabilities: &[F], support: &[F]) -> Result<F, SupportError> {
    same_length(support, probabilities)?;
    Ok(probabilities.iter().zip(support).map(|(&p, &z)| p * z).sum())
}

/// The atom below `z` and the share of the way to the next one.
fn locate<F: Real>(z: F, support: &[F]) -> (usize, F) {
    let last = support.len() - 1;
    let low = support.partition_point(|&atom| atom <= z).saturating_sub(1).min(last);
    if low == last || z <= support[0] {
        return (low, F::zero());
    }
    (low, (z - support[low]) / (support[low + 1] - support[low]))
}

fn ascending<F: Real>(support: &[F]) -> Result<(), SupportError> {
    let broken = support.windows(2).position(|w| w[0] >= w[1] || w[0].is_nan() || w[1].is_nan());
    match broken {
        Some(index) => Err(SupportError::NotAscending { index: index + 1 }),
        None if support.is_empty() => Err(SupportError::NotAscending { index: 0 }),
        None => Ok(()),
    }
}

fn same_length<F>(atoms: &[F], probabilities: &[F]) -> Result<(), SupportError> {
    if atoms.len() == probabilities.len() {
        Ok(())
    } else {
        Err(SupportError::Probabilities { atoms: atoms.len(), got: probabilities.len() })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_lies_outside_goes_to_the_nearest_end() {
        assert_eq!(two_hot(-9.0, &[0.0, 1.0]).unwrap(), [1.0, 0.0]);
        assert_eq!(two_hot(9.0, &[0.0, 1.0]).unwrap(), [0.0, 1.0]);
        assert_eq!(two_hot(9.0, &[0.0]).unwrap(), [1.0]);
    }

    #[test]
    fn a_support_that_does_not_ascend_is_refused() {
        assert_eq!(two_hot(0.0, &[0.0, 1.0, 1.0]), Err(SupportError::NotAscending { index: 2 }));
        assert_eq!(two_hot(0.0_f64, &[]), Err(SupportError::NotAscending { index: 0 }));
        assert!(project(&[1.0], &[], &[0.0]).is_err());
    }

    #[test]
    fn a_nan_lands_somewhere_without_a_panic() {
        assert_eq!(two_hot(f64::NAN, &[0.0, 1.0]).unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn mass_and_mean_are_kept(x in -2.9..2.9f64, p in 0.0..=1.0f64, y in -2.9..2.9f64) {
            let support: Vec<f64> = (-6..=6).map(|i| f64::from(i) / 2.0).collect();
            let q = project(&[x, y], &[p, 1.0 - p], &support).unwrap();
            prop_assert!((q.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!((expectation(&q, &support).unwrap() - (p * x + (1.0 - p) * y)).abs() < 1e-12);
        }
    }
}
