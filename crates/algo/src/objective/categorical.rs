//! Softmax distributions over logits: what links `∂L/∂log π` and `∂L/∂H` to the logits of a table or a head.

use tdrm_core::Real;

/// `log softmax(z)`, `[A]`, shifted by the largest logit.
#[must_use]
pub fn log_softmax<F: Real>(logits: &[F]) -> Vec<F> {
    let largest = logits.iter().copied().fold(F::neg_infinity(), F::max);
    let log_sum = largest + logits.iter().map(|&z| (z - largest).exp()).sum::<F>().ln();
    logits.iter().map(|&z| z - log_sum).collect()
}

/// Adds `c · ∂log π(a)/∂z_k = c (1[k = a] − π(k))` to a gradient in the logits.
pub fn add_log_prob_gradient<F: Real>(log_probs: &[F], action: usize, coefficient: F, gradient: &mut [F]) {
    for (k, (slot, &lp)) in gradient.iter_mut().zip(log_probs).enumerate() {
        let indicator = if k == action { F::one() } else { F::zero() };
        *slot = *slot + coefficient * (indicator - lp.exp());
    }
}

/// `H = −Σ π ln π` in nats.
#[must_use]
pub fn entropy<F: Real>(log_probs: &[F]) -> F {
    -log_probs.iter().map(|&lp| plogp(lp)).sum::<F>()
}

/// Adds `c · ∂H/∂z_k = −c π(k)(ln π(k) + H)` to a gradient in the logits.
pub fn add_entropy_gradient<F: Real>(log_probs: &[F], coefficient: F, gradient: &mut [F]) {
    let h = entropy(log_probs);
    for (slot, &lp) in gradient.iter_mut().zip(log_probs) {
        *slot = *slot - coefficient * (plogp(lp) + lp.exp() * h);
    }
}

/// `KL(π‖π_ref) = Σ π (ln π − ln π_ref)`, the estimator `full`.
#[must_use]
pub fn kl<F: Real>(log_probs: &[F], reference: &[F]) -> F {
    log_probs.iter().zip(reference).map(|(&lp, &lr)| lp.exp() * difference(lp, lr)).sum()
}

/// Adds `c · ∂KL/∂z_k = c π(k)(ln π(k) − ln π_ref(k) − KL)` to a gradient in the logits.
pub fn add_kl_gradient<F: Real>(log_probs: &[F], reference: &[F], coefficient: F, gradient: &mut [F]) {
    let divergence = kl(log_probs, reference);
    for ((slot, &lp), &lr) in gradient.iter_mut().zip(log_probs).zip(reference) {
        *slot = *slot + coefficient * lp.exp() * (difference(lp, lr) - divergence);
    }
}

/// `π ln π`, 0 where π is 0.
fn plogp<F: Real>(lp: F) -> F {
    if lp == F::neg_infinity() { F::zero() } else { lp.exp() * lp }
}

/// `ln π − ln π_ref`, 0 where π is 0.
fn difference<F: Real>(lp: F, lr: F) -> F {
    if lp == F::neg_infinity() { F::zero() } else { lp - lr }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numeric(logits: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        let h = 1e-6;
        let at = |k: usize, shift: f64| {
            let mut z = logits.to_vec();
            z[k] += shift;
            f(&log_softmax(&z))
        };
        (0..logits.len()).map(|k| (at(k, h) - at(k, -h)) / (2.0 * h)).collect()
    }

    fn close(a: &[f64], b: &[f64]) -> bool {
        a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-7)
    }

    proptest! {
        #[test]
        fn gradients_match_central_differences(
            logits in prop::collection::vec(-3.0f64..3.0, 4), reference in prop::collection::vec(-3.0f64..3.0, 4),
        ) {
            let (lp, lr) = (log_softmax(&logits), log_softmax(&reference));
            let mut g = vec![0.0; 4];
            add_log_prob_gradient(&lp, 2, 1.0, &mut g);
            prop_assert!(close(&g, &numeric(&logits, |lp| lp[2])));
            g.fill(0.0);
            add_entropy_gradient(&lp, 1.0, &mut g);
            prop_assert!(close(&g, &numeric(&logits, entropy)));
            g.fill(0.0);
            add_kl_gradient(&lp, &lr, 1.0, &mut g);
            prop_assert!(close(&g, &numeric(&logits, |lp| kl(lp, &lr))));
        }
    }

    #[test]
    fn a_deterministic_distribution_has_no_entropy_and_no_nan() {
        let lp = log_softmax(&[0.0, f64::NEG_INFINITY]);
        assert!(entropy(&lp).abs() < 1e-15 && kl(&lp, &[-1.0, -1.0]).is_finite());
    }
}
