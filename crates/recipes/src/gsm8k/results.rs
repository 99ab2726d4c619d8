//! What one run has found, as data.

use serde::{Deserialize, Serialize};

use super::{Disagreement, SourceAgreement};
use crate::report::Estimate;

/// All results; every number is of the test problems unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gsm8kResults {
    /// The verifier against the labels, by source, on all problems.
    pub sources: Vec<SourceAgreement>,
    /// Every solution on which they differ.
    pub disagreements: Vec<Disagreement>,
    /// What was trained and judged on.
    pub parts: Vec<PartResults>,
    /// The vocabulary and the network.
    pub network: NetworkResults,
    /// Each reward model.
    pub arms: Vec<ArmResults>,
    /// What no reward model is needed for: accuracy by name.
    pub references: Vec<(String, Estimate)>,
    /// Differences between arms, and of arms to picks that need none.
    pub paired: Vec<PairedResults>,
}

/// One part of the split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartResults {
    /// `train`, `validation` or `test`.
    pub name: String,
    /// Problems.
    pub problems: usize,
    /// Solutions.
    pub solutions: usize,
    /// Share of right solutions.
    pub right: f64,
    /// Mean steps of a solution.
    pub steps: f64,
    /// Mean tokens of a solution.
    pub tokens: f64,
    /// Share of unknown tokens in the solutions.
    pub unknown: f64,
    /// Solutions that were cut.
    pub cut: usize,
}

/// The vocabulary and the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkResults {
    /// Tokens.
    pub vocabulary: usize,
    /// Weights.
    pub parameters: usize,
}

/// One reward model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmResults {
    /// Name.
    pub name: String,
    /// What it was trained on.
    pub description: String,
    /// Passes over the training solutions, chosen on the validation problems; 0 without training.
    pub epochs: usize,
    /// Brier score of complete validation solutions for each number of epochs that was tried.
    pub validation: Vec<(usize, f64)>,
    /// Mean loss of the last optimiser steps.
    pub loss: Option<f64>,
    /// Non-terminal targets that were clamped, as a share; `None` without a clamp.
    pub saturated: Option<f64>,
    /// Non-terminal targets that would be the same without the bootstrap, as a share.
    pub inert: Option<f64>,
    /// How well it knows the outcome.
    pub quality: Quality,
    /// Accuracy of the solution with the highest value of each problem.
    pub best_of: Estimate,
    /// Accuracy of the answer with the largest sum of values.
    pub vote: Estimate,
}

/// How well values know the outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// Area under the ROC curve at complete solutions; `None` where one outcome is missing.
    pub auc_end: Option<Estimate>,
    /// The same at unfinished prefixes, the question alone included.
    pub auc_prefix: Option<Estimate>,
    /// Share of the pairs of a right and a wrong complete solution of one problem in which the right one is valued
    /// higher, ties half.
    pub auc_within: Option<Estimate>,
    /// Brier score at complete solutions.
    pub brier_end: Estimate,
    /// Brier score at unfinished prefixes.
    pub brier_prefix: Estimate,
    /// Area under the ROC curve where 0, 1, 2, … steps are left.
    pub auc_by_steps_left: Vec<f64>,
    /// (mean value, share of right ones) of complete solutions in bins of their value that are not empty.
    pub reliability: Vec<(f64, f64)>,
}

/// A paired difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairedResults {
    /// `a - b`.
    pub name: String,
    /// Of accuracy among the solutions of a problem.
    pub accuracy: Estimate,
    /// Of the area under the ROC curve at complete solutions, where both have one.
    pub auc: Option<Estimate>,
}
