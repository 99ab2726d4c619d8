//! Descent on a flat vector of parameters.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Positive, Probability, ShapeError};

/// How a gradient becomes a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Optimiser {
    /// θ ← θ − η g.
    Sgd {
        /// η.
        learning_rate: Positive,
    },
    /// Loshchilov & Hutter (2019), algorithm 2.
    ///
    /// ```text
    /// m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²
    /// θ ← θ − η [ (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε) + w θ ]
    /// ```
    AdamW {
        /// η.
        learning_rate: Positive,
        /// β₁.
        beta1: Probability,
        /// β₂.
        beta2: Probability,
        /// ε.
        epsilon: Positive,
        /// w, decoupled.
        weight_decay: NonNegative,
    },
}

impl Optimiser {
    /// η.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Sgd { learning_rate } | Self::AdamW { learning_rate, .. } => learning_rate.get(),
        }
    }
}

/// First and second moments, `[P]`; untouched by SGD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Moments {
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Moments {
    pub(super) fn zero(parameters: usize) -> Self {
        Self { first: vec![0.0; parameters], second: vec![0.0; parameters] }
    }

    pub(super) fn check(&self, parameters: usize) -> Result<(), ShapeError> {
        ShapeError::check("first moments", parameters, self.first.len())?;
        ShapeError::check("second moments", parameters, self.second.len())
    }

    /// Step number `t` ≥ 1 on all parameters.
    pub(super) fn step<'p>(
        &mut self,
        optimiser: Optimiser,
        t: u64,
        parameters: impl Iterator<Item = &'p mut f64>,
        gradient: &[f64],
    ) {
        match optimiser {
            Optimiser::Sgd { learning_rate } => {
                parameters.zip(gradient).for_each(|(x, g)| *x -= learning_rate.get::<f64>() * g);
            }
            Optimiser::AdamW { learning_rate, beta1, beta2, epsilon, weight_decay } => {
                let (eta, w): (f64, f64) = (learning_rate.get(), weight_decay.get());
                let (b1, b2, eps): (f64, f64, f64) = (beta1.get(), beta2.get(), epsilon.get());
                let t = t as f64;
                let (c1, c2) = (1.0 - b1.powf(t), 1.0 - b2.powf(t));
                let moments = self.first.iter_mut().zip(&mut self.second);
                for ((x, g), (m, v)) in parameters.zip(gradient).zip(moments) {
                    *m = b1 * *m + (1.0 - b1) * g;
                    *v = b2 * *v + (1.0 - b2) * g * g;
                    *x -= eta * ((*m / c1) / ((*v / c2).sqrt() + eps) + w * *x);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_first_adam_step_has_the_size_of_the_learning_rate_whatever_the_gradient() {
        let adam: Optimiser = serde_json::from_str(
            r#"{"kind":"adam_w","learning_rate":0.1,"beta1":0.9,"beta2":0.999,"epsilon":1e-12,"weight_decay":0.5}"#,
        )
        .unwrap();
        let mut x = [2.0, 2.0];
        Moments::zero(2).step(adam, 1, x.iter_mut(), &[1e-3, -7.0]);
        // 2 − 0.1 (±1 + 0.5 · 2)
        assert!((x[0] - 1.8).abs() < 1e-9 && (x[1] - 2.0).abs() < 1e-9, "{x:?}");
    }

    #[test]
    fn two_adam_steps_by_hand() {
        // β₁ = β₂ = 1/2, g = 1 then 3: m̂ = (0.25 + 1.5) / 0.75 = 7/3, v̂ = (0.25 + 4.5) / 0.75 = 19/3
        let half = Probability::new(0.5).unwrap();
        let (learning_rate, epsilon) = (Positive::new(1.0).unwrap(), Positive::new(1e-15).unwrap());
        let weight_decay = NonNegative::new(0.0).unwrap();
        let adam = Optimiser::AdamW { learning_rate, beta1: half, beta2: half, epsilon, weight_decay };
        let (mut x, mut moments) = ([0.0], Moments::zero(1));
        moments.step(adam, 1, x.iter_mut(), &[1.0]);
        moments.step(adam, 2, x.iter_mut(), &[3.0]);
        assert!((x[0] + 1.0 + (7.0 / 3.0) / (19.0_f64 / 3.0).sqrt()).abs() < 1e-12, "{x:?}");
    }
}
