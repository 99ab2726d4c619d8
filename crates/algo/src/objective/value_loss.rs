//! The squared loss of a value head, optionally clipped.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Positive, Real};

use super::{Aggregation, Denominators, ObjectiveError};

/// PPO's value loss.
///
/// ```text
/// ℓ = max( (V − R)², (clip(V, V_old − ε, V_old + ε) − R)² ),     L = c · aggregate(ℓ)
/// ```
///
/// The maximum is pessimistic: a value that has moved by more than ε away from V_old, towards R, gets no gradient.
/// Without `clip` the plain squared error. c = ½ by default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueLoss {
    /// ε; none: no clip.
    #[serde(default)]
    pub clip: Option<Positive>,
    /// The weight of each token.
    pub aggregation: Aggregation,
    /// c.
    #[serde(default = "half")]
    pub coefficient: NonNegative,
}

fn half() -> NonNegative {
    NonNegative::new(0.5).unwrap_or(NonNegative::ZERO)
}

/// Values of one sequence; columns are `[T]`, an empty one means "not given".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValueTerms<'a, F> {
    /// V, being trained.
    pub values: &'a [F],
    /// V at the time of the rollout; needed by the clip.
    pub old_values: &'a [F],
    /// R, the targets.
    pub returns: &'a [F],
    /// Which entries take part; empty: all.
    pub mask: &'a [bool],
}

impl<F> ValueTerms<'_, F> {
    /// Number of entries that take part.
    #[must_use]
    pub fn tokens(&self) -> usize {
        if self.mask.is_empty() { self.values.len() } else { self.mask.iter().filter(|&&m| m).count() }
    }
}

/// A value loss on a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueEvaluation<F> {
    /// L.
    pub loss: F,
    /// ∂L/∂V, `[n][T_i]`.
    pub coefficients: Vec<Vec<F>>,
    /// Fraction of entries whose gradient the clip cut.
    pub clip_fraction: f64,
}

impl ValueLoss {
    /// Loss and derivatives on a batch, or on a micro-batch of the batch that `denominators` counts.
    ///
    /// # Errors
    /// If columns differ in length, or the clip lacks the old values.
    pub fn evaluate<F: Real>(
        &self,
        batch: &[ValueTerms<'_, F>],
        denominators: &Denominators,
    ) -> Result<ValueEvaluation<F>, ObjectiveError> {
        let mut out = ValueEvaluation { loss: F::zero(), coefficients: Vec::new(), clip_fraction: 0.0 };
        let mut tokens = 0;
        for (i, terms) in batch.iter().enumerate() {
            self.check(terms, i)?;
            let active = |t: usize| terms.mask.is_empty() || terms.mask[t];
            let n = (0..terms.values.len()).filter(|&t| active(t)).count();
            let weight = self.coefficient.get::<F>() * self.aggregation.weight(n, denominators);
            let mut coefficients = vec![F::zero(); terms.values.len()];
            for t in (0..terms.values.len()).filter(|&t| active(t)) {
                let old = terms.old_values.get(t).copied().unwrap_or(terms.values[t]);
                let (loss, slope, clipped) = self.at(terms.values[t], old, terms.returns[t]);
                out.loss = out.loss + weight * loss;
                coefficients[t] = weight * slope;
                out.clip_fraction += f64::from(u8::from(clipped));
            }
            out.coefficients.push(coefficients);
            tokens += n;
        }
        out.clip_fraction /= tokens.max(1) as f64;
        Ok(out)
    }

    /// ℓ, ∂ℓ/∂V, and whether the clipped branch was the larger one.
    fn at<F: Real>(&self, value: F, old: F, target: F) -> (F, F, bool) {
        let error = value - target;
        let free = (error * error, F::of(2.0) * error, false);
        let Some(clip) = self.clip else { return free };
        let clipped = value.max(old - clip.get()).min(old + clip.get()) - target;
        if clipped * clipped > free.0 { (clipped * clipped, F::zero(), true) } else { free }
    }

    fn check<F: Real>(&self, terms: &ValueTerms<'_, F>, sequence: usize) -> Result<(), ObjectiveError> {
        let expected = terms.values.len();
        let length = |column, got| Err(ObjectiveError::Length { sequence, column, expected, got });
        if terms.returns.len() != expected {
            return length("returns", terms.returns.len());
        }
        if !terms.mask.is_empty() && terms.mask.len() != expected {
            return length("mask", terms.mask.len());
        }
        let optional = self.clip.is_none() && terms.old_values.is_empty();
        if !optional && terms.old_values.len() != expected {
            return length("old_values", terms.old_values.len());
        }
        Ok(())
    }
}
