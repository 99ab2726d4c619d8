//! Ordered labels.

use serde::{Deserialize, Serialize};
use tdrm_core::Real;

use super::{PreferenceError, same_length, sigmoid, softplus};

/// Ordinal regression by a cumulative logistic link: label k of K is the event `c_{k−1} < s + noise ≤ c_k`.
///
/// ```text
/// ℓ = −ln( σ(c_k − s) − σ(c_{k−1} − s) ),    c_{−1} = −∞,  c_{K−1} = +∞
/// ```
///
/// McCullagh (1980). One cut and two labels: logistic regression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ordinal {
    /// c, increasing, one fewer than there are labels.
    pub cuts: Vec<f64>,
}

/// An ordinal loss on a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct OrdinalEvaluation<F> {
    /// Mean over the entries.
    pub loss: F,
    /// Derivative in each score.
    pub scores: Vec<F>,
    /// Derivative in each cut.
    pub cuts: Vec<F>,
}

impl Ordinal {
    /// Mean over the entries and its derivatives.
    ///
    /// # Errors
    /// If the lengths differ, a label does not exist, or the cuts do not increase.
    pub fn evaluate<F: Real>(&self, scores: &[F], labels: &[usize]) -> Result<OrdinalEvaluation<F>, PreferenceError> {
        same_length("labels", scores.len(), labels.len())?;
        self.check(labels)?;
        let share = F::count(scores.len().max(1)).recip();
        let mut out = OrdinalEvaluation { loss: F::zero(), scores: Vec::new(), cuts: vec![F::zero(); self.cuts.len()] };
        for (&score, &label) in scores.iter().zip(labels) {
            let upper = self.cuts.get(label).map(|&cut| F::of(cut) - score);
            let lower = label.checked_sub(1).map(|below| F::of(self.cuts[below]) - score);
            let (loss, dupper, dlower) = interval(lower, upper);
            out.loss = out.loss + share * loss;
            out.scores.push(-share * (dupper + dlower));
            if upper.is_some() {
                out.cuts[label] = out.cuts[label] + share * dupper;
            }
            if let Some(below) = label.checked_sub(1) {
                out.cuts[below] = out.cuts[below] + share * dlower;
            }
        }
        Ok(out)
    }

    fn check(&self, labels: &[usize]) -> Result<(), PreferenceError> {
        if let Some(pair) =
            self.cuts.windows(2).find(|pair| !matches!(pair[0].partial_cmp(&pair[1]), Some(std::cmp::Ordering::Less)))
        {
            return Err(PreferenceError::Cuts { before: pair[0], got: pair[1] });
        }
        let classes = self.cuts.len() + 1;
        match labels.iter().find(|&&label| label >= classes) {
            Some(&got) => Err(PreferenceError::Index { column: "labels", expected: classes, got }),
            None => Ok(()),
        }
    }
}

/// −ln(σ(b) − σ(a)) and its derivatives in b and a; an absent bound is infinite.
///
/// σ(b) − σ(a) = σ(b) σ(−a) (1 − e^{a−b}), so that nothing cancels far out.
fn interval<F: Real>(a: Option<F>, b: Option<F>) -> (F, F, F) {
    match (a, b) {
        (None, None) => (F::zero(), F::zero(), F::zero()),
        (None, Some(b)) => (softplus(-b), -sigmoid(-b), F::zero()),
        (Some(a), None) => (softplus(a), F::zero(), sigmoid(a)),
        (Some(a), Some(b)) => {
            let width = b - a;
            let pull = width.exp_m1().recip(); // e^{−w}/(1 − e^{−w})
            let loss = softplus(-b) + softplus(a) - (-(-width).exp_m1()).ln();
            (loss, -sigmoid(-b) - pull, sigmoid(a) + pull)
        }
    }
}
