//! Gumbel search: sequential halving at the root, a deterministic policy below it.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::tree::{Node, Tree};
use super::{CompletedQ, Dynamics, Plan, PlanError, Prediction, best, check, masked, softmax};

/// Improves a prior with few simulations.
///
/// ```text
/// root      among the actions whose visits are next in sequential halving: argmax  g(a) + logit(a) + σ(Q(a))
/// interior  argmax  π'(a) − N(a)/(1 + ΣN),     π' = softmax(logit + σ(Q))
/// answer    argmax  g + logit + σ(Q) over the most visited;   action_weights = π' of the root
/// ```
///
/// `g` are Gumbel numbers, one per action of the root; zeros make the search deterministic and greedy.
/// "Policy improvement by planning with Gumbel" (Danihelka et al. 2022), §3–5.
///
/// ```
/// use tdrm_algo::search::planning::{Arrival, GumbelSearch, Prediction};
/// let node = || Prediction { state: (), logits: vec![1.0, 0.0, 0.0], value: 0.0 };
/// let mut model = |_: &(), action: usize| Arrival { reward: action as f64, discount: 0.0, next: node() };
/// let search = GumbelSearch::new(8.try_into()?, 3.try_into()?);
/// let plan = search.plan(node(), &[], &[0.0; 3], &mut model)?;
/// assert_eq!(plan.action, 2); // each action once or more, then the better half
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GumbelSearch {
    /// Number of simulations.
    pub simulations: NonZeroUsize,
    /// Most actions of the root that are considered.
    pub considered: NonZeroUsize,
    /// Most steps from the root; none: as many as there are simulations.
    #[serde(default)]
    pub depth: Option<NonZeroUsize>,
    /// σ.
    #[serde(default)]
    pub q: CompletedQ,
}

impl GumbelSearch {
    /// With the published constants.
    #[must_use]
    pub fn new(simulations: NonZeroUsize, considered: NonZeroUsize) -> Self {
        Self { simulations, considered, depth: None, q: CompletedQ::default() }
    }

    /// Plans from a root of whose actions some may be forbidden (`[A]`, or empty); `gumbel` is `[A]`.
    ///
    /// # Errors
    /// If no action is allowed, a length is wrong, the model changes the number of actions, or a score is NaN.
    pub fn plan<S>(
        &self,
        mut root: Prediction<S>,
        forbidden: &[bool],
        gumbel: &[f64],
        model: &mut impl Dynamics<S>,
    ) -> Result<Plan, PlanError> {
        check(&root, forbidden)?;
        let (expected, got) = (root.logits.len(), gumbel.len());
        if expected != got {
            return Err(PlanError::Length { column: "gumbel", expected, got });
        }
        root.logits = masked(&root.logits, forbidden);
        let allowed = expected - forbidden.iter().filter(|&&f| f).count();
        let schedule = considered_visits(self.considered.get().min(allowed), self.simulations.get());
        let mut tree = Tree::new(root);
        let depth = self.depth.unwrap_or(self.simulations).get();
        for &visits in &schedule {
            let select = |node: &Node<S>, depth| match depth {
                0 => best(self.root_scores(node, gumbel, visits), forbidden),
                _ => best(self.interior_scores(node), &[]),
            };
            tree.simulate(model, depth, select)?;
        }
        let most = tree.root().edges.iter().map(|e| e.visits).max().unwrap_or(0);
        let action = best(self.root_scores(tree.root(), gumbel, most), forbidden)?;
        let weights = softmax(&masked(&self.improved(tree.root()), forbidden));
        Ok(tree.plan(weights, action))
    }

    /// logit + σ(Q).
    fn improved<S>(&self, node: &Node<S>) -> Vec<f64> {
        self.q.of(node).into_iter().zip(&node.prediction.logits).map(|(q, z)| q + z).collect()
    }

    /// Only the actions with as many visits are in question.
    fn root_scores<S>(&self, root: &Node<S>, gumbel: &[f64], visits: u64) -> impl Iterator<Item = f64> {
        let one = move |((x, g), n): ((f64, f64), u64)| {
            if n == visits { (x + g).max(LEAST) } else { f64::NEG_INFINITY }
        };
        let counts: Vec<u64> = root.edges.iter().map(|e| e.visits).collect();
        self.improved(root).into_iter().zip(gumbel.to_vec()).zip(counts).map(one)
    }

    fn interior_scores<S>(&self, node: &Node<S>) -> impl Iterator<Item = f64> {
        let total = 1.0 + node.taken() as f64;
        let counts: Vec<f64> = node.edges.iter().map(|e| e.visits as f64).collect();
        softmax(&self.improved(node)).into_iter().zip(counts).map(move |(p, n)| p - n / total)
    }
}

/// A score that every considered action reaches, so that it beats those that are not considered.
const LEAST: f64 = -1e9;

/// Sequential halving: how many visits the action of each simulation has before it.
///
/// Every phase visits the considered actions `max(1, ⌊simulations / (⌈log₂ considered⌉ · left)⌋)` times each, then keeps
/// half of them, at least two. Karnin et al. (2013).
///
/// ```
/// use tdrm_algo::search::planning::considered_visits;
/// assert_eq!(considered_visits(4, 8), [0, 0, 0, 0, 1, 1, 2, 2]);
/// assert_eq!(considered_visits(1, 3), [0, 1, 2]);
/// ```
#[must_use]
pub fn considered_visits(considered: usize, simulations: usize) -> Vec<u64> {
    if considered <= 1 {
        return (0..simulations as u64).collect();
    }
    let phases = considered.next_power_of_two().trailing_zeros() as usize;
    let (mut schedule, mut left, mut visits) = (Vec::with_capacity(simulations), considered, 0);
    while schedule.len() < simulations {
        for _ in 0..(simulations / (phases * left)).max(1) {
            let missing = simulations - schedule.len();
            schedule.extend(std::iter::repeat_n(visits, left.min(missing)));
            visits += 1;
        }
        left = (left / 2).max(2);
    }
    schedule
}
