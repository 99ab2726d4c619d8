//! Planning with a model that has a prior: PUCT and Gumbel search over numbered actions.
//!
//! Where [`super::Mcts`] draws children from a sampler, a planner here asks a model ([`Dynamics`]) for one action of one
//! node at a time, and the model says reward, discount, prior and value. One simulation adds one node:
//!
//! ```text
//! select    from the root on, an action per node, until an action that was not taken before (or the depth)
//! expand    r, γ, prior and v of what it leads to
//! back up   G ← r + γ G from v on;   V(parent) ← (N V + G)/(N + 1),   N ← N + 1
//! Q(s, a) = r(s, a) + γ(s, a) V(child)
//! ```
//!
//! At the depth limit a node is met again: its value is the model's once more, and one more visit.

mod gumbel;
mod puct;
mod q;
mod tree;

pub use gumbel::{GumbelSearch, considered_visits};
pub use puct::Puct;
pub use q::{CompletedQ, NormalisedQ, Rescale};

use serde::{Deserialize, Serialize};

/// What a model says of a state.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction<S> {
    /// The state.
    pub state: S,
    /// Logits of the prior over actions, `[A]`.
    pub logits: Vec<f64>,
    /// v.
    pub value: f64,
}

/// What an action leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival<S> {
    /// r, paid for the action.
    pub reward: f64,
    /// γ of the step, 0 where the episode ends.
    pub discount: f64,
    /// The state that follows.
    pub next: Prediction<S>,
}

/// A deterministic model of the world. Closures implement it.
pub trait Dynamics<S> {
    /// Takes `action` in `state`; every prediction has as many logits as the root.
    fn step(&mut self, state: &S, action: usize) -> Arrival<S>;
}

impl<S, F: FnMut(&S, usize) -> Arrival<S>> Dynamics<S> for F {
    fn step(&mut self, state: &S, action: usize) -> Arrival<S> {
        self(state, action)
    }
}

/// A root or a model that cannot be planned with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The root needs an action that is allowed.
    #[error("expected an allowed action at the root, got {actions} actions of which {forbidden} are forbidden")]
    NoAction {
        /// Actions of the root.
        actions: usize,
        /// Those that are forbidden.
        forbidden: usize,
    },
    /// A column has another length than the root's prior.
    #[error("expected {expected} entries of `{column}`, got {got}")]
    Length {
        /// The column.
        column: &'static str,
        /// Actions of the root.
        expected: usize,
        /// Entries that came.
        got: usize,
    },
    /// A score is NaN.
    #[error("expected numbers from the model, got NaN")]
    NotANumber,
}

/// The outcome of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Visits of the root's actions, `[A]`.
    pub visit_counts: Vec<u64>,
    /// Q of the root's actions, 0 where none was taken, `[A]`.
    pub q_values: Vec<f64>,
    /// V of the root.
    pub value: f64,
    /// A policy better than the prior, to act by and to learn from, `[A]`.
    pub action_weights: Vec<f64>,
    /// The action to take.
    pub action: usize,
    /// Every node in the order of its first visit; the root is the first.
    pub nodes: Vec<PlanNode>,
}

/// A node of the tree as it was left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanNode {
    /// N.
    pub visits: u64,
    /// V.
    pub value: f64,
    /// Index of the parent and the action that led here; none for the root.
    pub origin: Option<(usize, usize)>,
}

/// The prior of the root, on the actions that are allowed: below all others elsewhere.
fn masked(logits: &[f64], forbidden: &[bool]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let one = |(i, &z): (usize, &f64)| if is_forbidden(forbidden, i) { f64::MIN } else { z - most };
    logits.iter().enumerate().map(one).collect()
}

fn is_forbidden(forbidden: &[bool], action: usize) -> bool {
    forbidden.get(action).copied().unwrap_or(false)
}

fn check<S>(root: &Prediction<S>, forbidden: &[bool]) -> Result<(), PlanError> {
    let (actions, banned) = (root.logits.len(), forbidden.iter().filter(|&&f| f).count());
    if !forbidden.is_empty() && forbidden.len() != actions {
        return Err(PlanError::Length { column: "forbidden", expected: actions, got: forbidden.len() });
    }
    if banned == actions { Err(PlanError::NoAction { actions, forbidden: banned }) } else { Ok(()) }
}

/// The first of the largest scores among the allowed actions.
fn best(scores: impl Iterator<Item = f64>, forbidden: &[bool]) -> Result<usize, PlanError> {
    let mut best: Option<(usize, f64)> = None;
    for (action, score) in scores.enumerate().filter(|(action, _)| !is_forbidden(forbidden, *action)) {
        if score.is_nan() {
            return Err(PlanError::NotANumber);
        }
        if best.is_none_or(|(_, most)| score > most) {
            best = Some((action, score));
        }
    }
    best.map(|(action, _)| action).ok_or(PlanError::NoAction { actions: 0, forbidden: forbidden.len() })
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|z| (z - most).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / total).collect()
}
