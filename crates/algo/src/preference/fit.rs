//! One prediction against one target.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Probability, Real};

use super::loss::bump;
use super::{PreferenceError, log_sigmoid, same_length, sigmoid, softplus};
use crate::objective::categorical::{add_log_prob_gradient, log_softmax};

/// A loss of a scalar output `z` and a target `t`.
///
/// ```text
/// bce           softplus(z) − t z             t in [0, 1], a probability that may be soft
/// mse           (z − t)²
/// mse_sigmoid   (σ(z) − t)²
/// focal         −α t (1−p)^γ ln p − (1−α)(1−t) p^γ ln(1−p),   p = σ(z)       1708.02002 eq. 5, α doubled to 1 at ½
/// ```
///
/// `bce` is the cross-entropy of a Bernoulli with mean `t` against σ(z); its minimum over z is at σ(z) = t.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum FitLoss {
    /// Soft-target binary cross-entropy on the logit.
    Bce {},
    /// Squared error of the output itself.
    Mse {},
    /// Squared error of the probability.
    MseSigmoid {},
    /// Focal loss; γ = 0 without α is `bce`.
    Focal {
        /// γ.
        gamma: NonNegative,
        /// α, the weight of positives against 1 − α; none: both weigh 1.
        #[serde(default)]
        alpha: Option<Probability>,
    },
}

/// A fitted batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted<F> {
    /// Mean over the entries.
    pub loss: F,
    /// Derivative in each output, in the shape of the input, flat.
    pub outputs: Vec<F>,
}

impl FitLoss {
    /// ℓ and ∂ℓ/∂z.
    #[must_use]
    pub fn at<F: Real>(&self, output: F, target: F) -> (F, F) {
        let two = F::of(2.0);
        match self {
            Self::Bce {} => (softplus(output) - target * output, sigmoid(output) - target),
            Self::Mse {} => ((output - target) * (output - target), two * (output - target)),
            Self::MseSigmoid {} => {
                let error = sigmoid(output) - target;
                (error * error, two * error * bump(output))
            }
            Self::Focal { gamma, alpha } => {
                let (positive, negative) = alpha.map_or((F::one(), F::one()), |a| (a.get(), F::one() - a.get::<F>()));
                let (loss_up, slope_up) = focal(output, gamma.get());
                let (loss_down, slope_down) = focal(-output, gamma.get());
                let (up, down) = (positive * target, negative * (F::one() - target));
                (up * loss_up + down * loss_down, up * slope_up - down * slope_down)
            }
        }
    }

    /// Mean over the entries and its derivatives; zero of nothing.
    ///
    /// # Errors
    /// If the lengths differ.
    pub fn evaluate<F: Real>(&self, outputs: &[F], targets: &[F]) -> Result<Fitted<F>, PreferenceError> {
        same_length("targets", outputs.len(), targets.len())?;
        let share = F::count(outputs.len().max(1)).recip();
        let mut fitted = Fitted { loss: F::zero(), outputs: Vec::with_capacity(outputs.len()) };
        for (&output, &target) in outputs.iter().zip(targets) {
            let (loss, slope) = self.at(output, target);
            fitted.loss = fitted.loss + share * loss;
            fitted.outputs.push(share * slope);
        }
        Ok(fitted)
    }
}

/// −(1−p)^γ ln p at p = σ(z), and its derivative (1−p)^γ (γ p ln p − (1 − p)).
fn focal<F: Real>(z: F, gamma: F) -> (F, F) {
    let (p, log_p) = (sigmoid(z), log_sigmoid(z));
    let damping = (gamma * log_sigmoid(-z)).exp();
    (-damping * log_p, damping * (gamma * p * log_p - sigmoid(-z)))
}

/// Cross-entropy of a distribution `target` over classes against `softmax(logits)`, and its derivative in the logits.
///
/// ```text
/// ℓ = −Σ_c q_c ln π_c,    ∂ℓ/∂z_c = π_c Σ q − q_c
/// ```
///
/// A hard label is a distribution with one 1. Classes with q = 0 do not contribute, whatever their logit.
///
/// # Errors
/// If the lengths differ.
pub fn cross_entropy<F: Real>(logits: &[F], target: &[F]) -> Result<(F, Vec<F>), PreferenceError> {
    same_length("target", logits.len(), target.len())?;
    let log_probs = log_softmax(logits);
    let mut gradient = vec![F::zero(); logits.len()];
    let mut loss = F::zero();
    for (class, (&q, &lp)) in target.iter().zip(&log_probs).enumerate().filter(|(_, (q, _))| **q != F::zero()) {
        loss = loss - q * lp;
        add_log_prob_gradient(&log_probs, class, -q, &mut gradient);
    }
    Ok((loss, gradient))
}
