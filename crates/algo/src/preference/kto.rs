//! Losses of single responses that are desirable or not.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Positive, Real};

use super::loss::bump;
use super::{Response, sigmoid};

/// A response with its label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example<F> {
    /// The response.
    pub response: Response<F>,
    /// Whether it is desirable.
    pub desirable: bool,
}

/// Which value function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KtoLoss {
    /// Prospect-theoretic value against the reference point z₀, 2402.01306 eq. 7–8.
    #[default]
    Kto,
    /// APO-zero of single responses: z₀ = 0.
    ApoZero,
}

/// Kahneman–Tversky optimisation.
///
/// ```text
/// desirable:   λ_D (1 − σ(β(x − z₀)))        undesirable:   λ_U (1 − σ(β(z₀ − x)))
/// x = log π/π_ref,   z₀ = max(0, mean log π/π_ref over mismatched responses), held fixed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kto {
    /// β.
    pub beta: Positive,
    /// λ_D.
    #[serde(default = "one")]
    pub desirable_weight: NonNegative,
    /// λ_U.
    #[serde(default = "one")]
    pub undesirable_weight: NonNegative,
    /// Which value function.
    #[serde(default)]
    pub loss: KtoLoss,
}

fn one() -> NonNegative {
    NonNegative::new(1.0).unwrap_or(NonNegative::ZERO)
}

impl Kto {
    /// z₀ from the log-ratios of mismatched responses; 0 of none.
    #[must_use]
    pub fn reference_point<F: Real>(log_ratios: impl IntoIterator<Item = F>) -> F {
        let (sum, n) = log_ratios.into_iter().fold((F::zero(), 0usize), |(sum, n), x| (sum + x, n + 1));
        (sum / F::count(n.max(1))).max(F::zero())
    }

    /// Mean over the examples, and its derivative in each log π.
    #[must_use]
    pub fn evaluate<F: Real>(&self, examples: &[Example<F>], reference_point: F) -> (F, Vec<F>) {
        let share = F::count(examples.len().max(1)).recip();
        let point = if self.loss == KtoLoss::ApoZero { F::zero() } else { reference_point };
        let mut loss = F::zero();
        let derivatives = examples
            .iter()
            .map(|example| {
                let (value, slope) = self.at(example, point);
                loss = loss + share * value;
                share * slope
            })
            .collect();
        (loss, derivatives)
    }

    fn at<F: Real>(&self, example: &Example<F>, point: F) -> (F, F) {
        let beta: F = self.beta.get();
        let z = beta * (example.response.log_ratio() - point);
        if example.desirable {
            let weight: F = self.desirable_weight.get();
            (weight * sigmoid(-z), -weight * beta * bump(z))
        } else {
            let weight: F = self.undesirable_weight.get();
            (weight * sigmoid(z), weight * beta * bump(z))
        }
    }
}
