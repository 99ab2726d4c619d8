//! What one seed of the main job has found, as data.

use serde::{Deserialize, Serialize};

use super::fit::FitSummary;
use super::grpo::{CurvePoint, Signal};
use crate::report::Estimate;

/// All results of one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedResults {
    /// The seed.
    pub seed: u64,
    /// The policy before anything is learnt.
    pub policy: PolicyResults,
    /// Each reward model.
    pub arms: Vec<ArmResults>,
    /// What no reward model is needed for.
    pub references: ReferenceResults,
    /// Paired differences of best-of-16 between arms.
    pub paired: Vec<PairedResult>,
    /// Name of the arm with the best validation best-of-16.
    pub chosen: String,
    /// Searches.
    pub searches: Vec<SearchResult>,
    /// Reinforcement learning.
    pub rl: Vec<RlResult>,
}

/// The policy before anything is learnt, on the test problems.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyResults {
    /// Share of right answers at temperature 1.
    pub sampled: Estimate,
    /// Share of right answers of greedy decoding.
    pub greedy: Estimate,
    /// Responses that the verifier could not read, as a share.
    pub unreadable: f64,
    /// Steps whose label differs from the outcome, as a share; `None` where steps have no label.
    pub label_conflict: Option<f64>,
    /// Mean tokens of a response.
    pub tokens: f64,
}

/// One reward model on the test problems.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmResults {
    /// Name.
    pub name: String,
    /// What it was trained on.
    pub description: String,
    /// How training went.
    pub fit: FitSummary,
    /// Brier score against the outcome at complete responses.
    pub brier_end: Estimate,
    /// Area under the ROC curve against the outcome at complete responses.
    pub auc_end: Option<Estimate>,
    /// Brier score against the outcome at unfinished prefixes.
    pub brier_prefix: Estimate,
    /// Area under the ROC curve against the outcome at unfinished prefixes.
    pub auc_prefix: Option<Estimate>,
    /// Mean squared error against V^π by rollouts, unfinished prefixes.
    pub mse_truth: Estimate,
    /// Mean squared error by number of steps done.
    pub mse_by_step: Vec<f64>,
    /// Mean |V(s_{t+1}) − V(s_t)|, both unfinished.
    pub value_change: f64,
    /// Mean |y − V(s_t)| with the published target y, unfinished prefixes.
    pub td_error: f64,
    /// Expected accuracy of the best of N by the value of the complete response.
    pub best_of: Vec<(usize, Estimate)>,
    /// Best of 16 by other summaries of the step values.
    pub aggregations: Vec<(String, Estimate)>,
    /// Best of 16 on the validation problems.
    pub validation: f64,
}

/// What no reward model is needed for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceResults {
    /// P(at least one of N is right).
    pub oracle: Vec<(usize, Estimate)>,
    /// Expected accuracy of the majority answer of N.
    pub majority: Vec<(usize, Estimate)>,
    /// Mean |V^π(s_{t+1}) − V^π(s_t)| by rollouts.
    pub true_value_change: f64,
    /// Mean squared error of the rollout estimate itself, from its binomial variance.
    pub rollout_noise: f64,
    /// Prefixes with rollouts.
    pub prefixes: usize,
}

/// A paired difference of best-of-16 accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairedResult {
    /// `a − b`.
    pub name: String,
    /// The difference, with a paired bootstrap interval.
    pub difference: Estimate,
    /// Two-sided bootstrap p-value, adjusted for the number of comparisons (Holm).
    pub p_value: f64,
}

/// One search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchResult {
    /// Strategy and its settings.
    pub strategy: String,
    /// The arm that guides.
    pub arm: String,
    /// Share of right answers.
    pub accuracy: Estimate,
    /// Tokens generated per problem.
    pub tokens: f64,
    /// Best-of-N by the same arm on the same problems with as many tokens (N interpolated).
    pub best_of_equal: f64,
}

/// One run of reinforcement learning, on the test problems.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RlResult {
    /// What was rewarded.
    pub signal: Signal,
    /// Learning curve on the validation problems.
    pub curve: Vec<CurvePoint>,
    /// Share of right answers of greedy decoding.
    pub greedy: Estimate,
    /// Gain over the policy it started from, paired.
    pub gain: Estimate,
    /// Share of right answers at temperature 1.
    pub sampled: Estimate,
    /// Mean value that the reward model gives to the samples.
    pub value: f64,
}
