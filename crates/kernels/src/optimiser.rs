//! Settings of an optimiser run.

use serde::{Deserialize, Serialize};

use crate::adamw::AdamW;

/// A setting lies outside its range.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{what}: expected {expected}, got {got}")]
pub struct SettingError {
    /// The setting.
    pub what: &'static str,
    /// Its range.
    pub expected: &'static str,
    /// Its value.
    pub got: f64,
}

/// `AdamW` with a learning-rate schedule and clipping by global norm. Loshchilov & Hutter (2019).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimiser {
    /// Peak learning rate η, not negative.
    pub learning_rate: f32,
    /// Decay of the first moment β₁, in [0, 1).
    pub beta1: f32,
    /// Decay of the second moment β₂, in [0, 1).
    pub beta2: f32,
    /// ε, positive.
    pub epsilon: f32,
    /// Decoupled weight decay, on every trained parameter, not negative.
    pub weight_decay: f32,
    /// Largest global gradient norm, positive; infinite for no clipping.
    pub clip_norm: f32,
    /// Factor on the learning rate over the steps.
    pub schedule: Schedule,
}

impl Optimiser {
    /// A constant learning rate with the usual constants: β = (0.9, 0.999), ε = 1e-8, no decay, clipping at 1.
    #[must_use]
    pub fn adamw(learning_rate: f32) -> Self {
        Self {
            learning_rate,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: 1.0,
            schedule: Schedule::constant(),
        }
    }

    /// `Ok` if every number is in its range.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check(&self) -> Result<(), SettingError> {
        let unit = |x: f32| (0.0..1.0).contains(&x);
        let settings = [
            (
                "learning_rate",
                self.learning_rate >= 0.0 && self.learning_rate.is_finite(),
                "at least 0",
                self.learning_rate,
            ),
            ("beta1", unit(self.beta1), "a number in [0, 1)", self.beta1),
            ("beta2", unit(self.beta2), "a number in [0, 1)", self.beta2),
            ("epsilon", self.epsilon > 0.0 && self.epsilon.is_finite(), "a positive number", self.epsilon),
            (
                "weight_decay",
                self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
                "at least 0",
                self.weight_decay,
            ),
            ("clip_norm", self.clip_norm > 0.0, "a positive number", self.clip_norm),
        ];
        match settings.into_iter().find(|(_, holds, ..)| !holds) {
            Some((what, _, expected, got)) => Err(SettingError { what, expected, got: f64::from(got) }),
            None => Ok(()),
        }
    }
}

impl Optimiser {
    /// The constants of the step after `step` steps, for a gradient of this norm.
    #[must_use]
    pub fn constants(&self, step: u64, gradient_norm: f64) -> AdamW {
        AdamW {
            learning_rate: (f64::from(self.learning_rate) * self.schedule.factor(step)) as f32,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            step: i32::try_from(step + 1).unwrap_or(i32::MAX),
            gradient_scale: (f64::from(self.clip_norm) / (gradient_norm + 1e-6)).min(1.0) as f32,
        }
    }
}

/// Warm-up and decay of the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Steps of linear warm-up; the first step already moves.
    pub warmup_steps: u64,
    /// What follows.
    pub decay: Decay,
}

/// Shape of the decay after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
#[non_exhaustive]
pub enum Decay {
    /// None.
    Constant,
    /// A straight line to 0 at `total_steps`.
    Linear {
        /// Steps of the run, warm-up included.
        total_steps: u64,
    },
    /// Half a cosine to 0 at `total_steps`. Loshchilov & Hutter (2017), without restarts.
    Cosine {
        /// Steps of the run, warm-up included.
        total_steps: u64,
    },
}

impl Schedule {
    /// Factor 1 throughout.
    #[must_use]
    pub const fn constant() -> Self {
        Self { warmup_steps: 0, decay: Decay::Constant }
    }

    /// Factor on the learning rate at `step`, counted from 0; in [0, 1].
    ///
    /// ```
    /// use tdrm_kernels::optimiser::{Decay, Schedule};
    /// let schedule = Schedule { warmup_steps: 2, decay: Decay::Linear { total_steps: 6 } };
    /// let factors: Vec<f64> = (0..7).map(|step| schedule.factor(step)).collect();
    /// assert_eq!(factors, [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]);
    /// ```
    #[must_use]
    pub fn factor(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return (step + 1) as f64 / self.warmup_steps as f64;
        }
        let left = |total: u64| {
            let length = total.saturating_sub(self.warmup_steps).max(1) as f64;
            1.0 - ((step - self.warmup_steps) as f64 / length).min(1.0)
        };
        match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear { total_steps } => left(total_steps),
            Decay::Cosine { total_steps } => 0.5 - 0.5 * (std::f64::consts::PI * left(total_steps)).cos(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "tests state exact values")]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_passes_one_half_in_the_middle() {
        let schedule = Schedule { warmup_steps: 10, decay: Decay::Cosine { total_steps: 30 } };
        assert_eq!(schedule.factor(10), 1.0);
        assert!((schedule.factor(20) - 0.5).abs() < 1e-12);
        assert_eq!(schedule.factor(99), 0.0);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let wrong = Optimiser { beta2: 1.0, ..Optimiser::adamw(1e-3) };
        assert_eq!(
            wrong.check().map_err(|e| e.to_string()),
            Err("beta2: expected a number in [0, 1), got 1".to_owned())
        );
        assert!(Optimiser { clip_norm: f32::INFINITY, ..Optimiser::adamw(1e-3) }.check().is_ok());
        assert!(Optimiser::adamw(f32::NAN).check().is_err());
    }
}
