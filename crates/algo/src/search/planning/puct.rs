//! PUCT with a prior.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Positive};

use super::tree::{Node, Tree};
use super::{Dynamics, NormalisedQ, Plan, PlanError, Prediction, best, check, masked, softmax};

/// Follows the prior at first and the values with time.
///
/// ```text
/// a = argmax_a  q̂(s, a) + P(s, a) √N(s) / (1 + N(s, a)) · (init + ln((N(s) + base + 1) / base))
/// ```
///
/// `action_weights` are the shares of visits, `action` is the first of the most visited. Equal scores go to the first
/// action. Silver et al. (2018); Schrittwieser et al. (2020), appendix B, without noise at the root.
///
/// ```
/// use tdrm_algo::search::planning::{Arrival, NormalisedQ, Prediction, Puct};
/// // One step: action 1 pays 1, whatever the prior says.
/// let node = || Prediction { state: (), logits: vec![1.0, 0.0], value: 0.0 };
/// let mut model = |_: &(), action: usize| Arrival { reward: action as f64, discount: 0.0, next: node() };
/// let plan = Puct::new(50.try_into()?).plan(node(), &[], &mut model)?;
/// assert_eq!(plan.action, 1);
/// assert_eq!(plan.visit_counts.iter().sum::<u64>(), 50);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Puct {
    /// Number of simulations.
    pub simulations: NonZeroUsize,
    /// Most steps from the root; none: as many as there are simulations.
    #[serde(default)]
    pub depth: Option<NonZeroUsize>,
    /// Weight of the prior at the start, 1.25 unless stated.
    #[serde(default = "init")]
    pub init: NonNegative,
    /// How slowly that weight grows, 19652 unless stated.
    #[serde(default = "base")]
    pub base: Positive,
    /// How Q meets the prior.
    #[serde(default = "siblings")]
    pub q: NormalisedQ,
}

const fn init() -> NonNegative {
    match NonNegative::new(1.25) {
        Ok(x) => x,
        Err(_) => unreachable!(),
    }
}

const fn base() -> Positive {
    match Positive::new(19652.0) {
        Ok(x) => x,
        Err(_) => unreachable!(),
    }
}

const fn siblings() -> NormalisedQ {
    NormalisedQ::ParentAndSiblings {}
}

impl Puct {
    /// With the published constants.
    #[must_use]
    pub const fn new(simulations: NonZeroUsize) -> Self {
        Self { simulations, depth: None, init: init(), base: base(), q: siblings() }
    }

    /// Plans from a root of whose actions some may be forbidden (`[A]`, or empty).
    ///
    /// # Errors
    /// If no action is allowed, the model changes the number of actions, or a score is NaN.
    pub fn plan<S>(
        &self,
        mut root: Prediction<S>,
        forbidden: &[bool],
        model: &mut impl Dynamics<S>,
    ) -> Result<Plan, PlanError> {
        check(&root, forbidden)?;
        root.logits = masked(&root.logits, forbidden);
        let mut tree = Tree::new(root);
        let depth = self.depth.unwrap_or(self.simulations).get();
        for _ in 0..self.simulations.get() {
            let select = |node: &Node<S>, depth| best(self.wishes(node), if depth == 0 { forbidden } else { &[] });
            tree.simulate(model, depth, select)?;
        }
        let visits: Vec<f64> = tree.root().edges.iter().map(|e| e.visits as f64).collect();
        let action = best(visits.iter().copied(), forbidden)?;
        let total: f64 = visits.iter().sum();
        Ok(tree.plan(visits.into_iter().map(|n| n / total).collect(), action))
    }

    /// What each action is worth following.
    fn wishes<S>(&self, node: &Node<S>) -> impl Iterator<Item = f64> {
        let (visits, base) = (node.visits as f64, self.base.get::<f64>());
        let weight = visits.sqrt() * (self.init.get::<f64>() + ((visits + base + 1.0) / base).ln());
        let q = self.q.of(node).into_iter();
        let priors = softmax(&node.prediction.logits).into_iter();
        q.zip(priors).zip(&node.edges).map(move |((q, p), e)| q + weight * p / (1.0 + e.visits as f64))
    }
}
