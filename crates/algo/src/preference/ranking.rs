//! Rankings.

use serde::{Deserialize, Serialize};
use tdrm_core::Real;

use super::softplus;

/// Plackett–Luce: a ranking as a sequence of choices, best first.
///
/// ```text
/// ℓ = Σ_k [ ln Σ_{j≥k} e^{s_j} − s_k ]
/// ```
///
/// Two items: Bradley–Terry. Plackett (1975); for preferences 2305.18290 appendix A.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlackettLuce {}

impl PlackettLuce {
    /// ℓ and its derivative in each score, for scores listed from the best item to the worst.
    #[must_use]
    pub fn evaluate<F: Real>(&self, scores: &[F]) -> (F, Vec<F>) {
        let mut suffix = vec![F::zero(); scores.len()]; // ln Σ_{j≥k} e^{s_j}
        let mut tail = F::neg_infinity();
        for (slot, &score) in suffix.iter_mut().zip(scores).rev() {
            tail = log_add(tail, score);
            *slot = tail;
        }
        let loss = suffix.iter().zip(scores).map(|(&all, &score)| all - score).sum();
        let chosen_share = |j: usize| suffix[..=j].iter().map(|&all| (scores[j] - all).exp()).sum::<F>();
        let gradient = (0..scores.len()).map(|j| chosen_share(j) - F::one()).collect();
        (loss, gradient)
    }
}

/// ln(e^a + e^b).
fn log_add<F: Real>(a: F, b: F) -> F {
    if a > b { a + softplus(b - a) } else { b + softplus(a - b) }
}
