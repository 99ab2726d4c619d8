//! Search over partial solutions: what a space offers, what a strategy spends.

use std::error::Error;

use serde::{Deserialize, Serialize};

use crate::{PolicyError, RewardError, Seed};

/// A request for children of one node.
#[derive(Debug, Clone, Copy)]
pub struct Expand<'a, N> {
    /// The node to continue.
    pub node: &'a N,
    /// How many children are wanted.
    pub width: usize,
    /// The randomness of this expansion.
    pub seed: Seed,
}

/// What a strategy may ask. Policy and reward model live behind it; a strategy knows neither text nor model.
///
/// # Contract
/// Batch in, batch out: `out[i]` answers request `i` and depends on nothing else. A complete node has no children.
/// `cost` never decreases from parent to child.
pub trait SearchSpace {
    /// A partial or complete solution.
    type Node: Clone;

    /// The empty solution.
    fn root(&self) -> Self::Node;

    /// Up to `width` children each; none for a complete node.
    ///
    /// # Errors
    /// If the policy fails.
    fn expand(&mut self, requests: &[Expand<'_, Self::Node>]) -> Result<Vec<Vec<Self::Node>>, SearchError>;

    /// One value per node, higher is better.
    ///
    /// # Errors
    /// If the reward model fails.
    fn value(&mut self, nodes: &[Self::Node]) -> Result<Vec<f64>, SearchError>;

    /// Whether the node is a complete solution.
    fn is_complete(&self, node: &Self::Node) -> bool;

    /// What generating the last step of this node alone has cost, in units of the budget (tokens, for language
    /// models; 1 where nothing else is said).
    fn cost(&self, _node: &Self::Node) -> u64 {
        1
    }

    /// One complete solution for each request's node and seed (`width` solutions each), by repeated expansion
    /// unless the space has a faster way. Returns the solutions with the cost of completing them; a node from
    /// which no completion is reached within `max_depth` expansions is returned as it stands.
    ///
    /// # Errors
    /// If the policy fails.
    fn complete(
        &mut self,
        requests: &[Expand<'_, Self::Node>],
        max_depth: usize,
    ) -> Result<Vec<Vec<Completed<Self::Node>>>, SearchError> {
        requests.iter().map(|r| complete_by_expansion(self, r, max_depth)).collect()
    }
}

/// A complete solution with what it has cost to complete it.
#[derive(Debug, Clone, PartialEq)]
pub struct Completed<N> {
    /// The solution.
    pub node: N,
    /// Units of budget spent on it.
    pub cost: u64,
}

fn complete_by_expansion<S: SearchSpace + ?Sized>(
    space: &mut S,
    request: &Expand<'_, S::Node>,
    max_depth: usize,
) -> Result<Vec<Completed<S::Node>>, SearchError> {
    (0..request.width as u64)
        .map(|sample| {
            let mut done = Completed { node: request.node.clone(), cost: 0 };
            for depth in 0..max_depth as u64 {
                if space.is_complete(&done.node) {
                    break;
                }
                let seed = request.seed.child(sample).child(depth);
                let step = [Expand { node: &done.node, width: 1, seed }];
                let Some(child) = space.expand(&step)?.pop().and_then(|mut children| children.pop()) else { break };
                done = Completed { cost: done.cost + space.cost(&child), node: child };
            }
            Ok(done)
        })
        .collect()
}

/// A space whose complete solutions have answers that can be compared: majority voting needs it.
pub trait Answers: SearchSpace {
    /// What two solutions share when they give the same answer; `None` where there is no readable answer.
    fn answer(&self, node: &Self::Node) -> Option<String>;
}

/// A node with its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored<N> {
    /// The node.
    pub node: N,
    /// Its value, higher is better.
    pub score: f64,
}

/// What a strategy has found and spent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found<N> {
    /// Candidates, best first; complete solutions before incomplete ones.
    pub candidates: Vec<Scored<N>>,
    /// Units of budget spent on generation.
    pub spent: u64,
    /// Nodes generated.
    pub nodes: u64,
}

impl<N> Found<N> {
    /// The best candidate, if any was found.
    #[must_use]
    pub fn best(&self) -> Option<&Scored<N>> {
        self.candidates.first()
    }
}

/// How much a search may spend, in the space's unit of cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Budget {
    /// As much as the strategy's own parameters ask for.
    Unlimited,
    /// No expansion is begun once this much is spent.
    Units(u64),
}

impl Budget {
    /// Whether `spent` leaves room for another expansion.
    #[must_use]
    pub const fn allows(self, spent: u64) -> bool {
        match self {
            Self::Unlimited => true,
            Self::Units(limit) => spent < limit,
        }
    }
}

/// Spends a budget of expansions to find good nodes.
///
/// # Contract
/// Deterministic in (space, seed). No expansion begins once the budget is spent. Candidates come best first; ties
/// are broken by discovery order.
///
/// # Laws
/// `tdrm_testkit::laws::search_strategy`: determinism, budget, order, and the optimum of enumerable trees when
/// width and depth cover them.
pub trait SearchStrategy<S: SearchSpace + ?Sized> {
    /// Searches from the root.
    ///
    /// # Errors
    /// If the space fails.
    fn search(&self, space: &mut S, budget: Budget, seed: Seed) -> Result<Found<S::Node>, SearchError>;
}

const _: fn(&mut dyn SearchSpace<Node = String>) = |_| {};
const _: fn(&mut dyn Answers<Node = String>) = |_| {};
const _: fn(&dyn SearchStrategy<dyn SearchSpace<Node = String>>) = |_| {};

/// A search failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The policy behind the space failed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The reward model behind the space failed.
    #[error(transparent)]
    Reward(#[from] RewardError),
    /// The space itself failed.
    #[error("search space failed: {0}")]
    Space(#[source] Box<dyn Error + Send + Sync>),
    /// The space answered another number of requests than it was asked.
    #[error("expected {expected} answers, search space returned {got}")]
    Arity {
        /// Requests made.
        expected: usize,
        /// Answers returned.
        got: usize,
    },
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<S: SearchSpace + ?Sized, T: SearchStrategy<S> + ?Sized> SearchStrategy<S> for $pointer {
            fn search(&self, space: &mut S, budget: Budget, seed: Seed) -> Result<Found<S::Node>, SearchError> {
                (**self).search(space, budget, seed)
            }
        }
    )*};
}
forward!(&T, Box<T>, std::sync::Arc<T>);

macro_rules! forward_space {
    ($($pointer:ty),*) => {$(
        impl<S: SearchSpace + ?Sized> SearchSpace for $pointer {
            type Node = S::Node;

            fn root(&self) -> S::Node {
                (**self).root()
            }

            fn expand(&mut self, requests: &[Expand<'_, S::Node>]) -> Result<Vec<Vec<S::Node>>, SearchError> {
                (**self).expand(requests)
            }

            fn value(&mut self, nodes: &[S::Node]) -> Result<Vec<f64>, SearchError> {
                (**self).value(nodes)
            }

            fn is_complete(&self, node: &S::Node) -> bool {
                (**self).is_complete(node)
            }

            fn cost(&self, node: &S::Node) -> u64 {
                (**self).cost(node)
            }

            fn complete(
                &mut self,
                requests: &[Expand<'_, S::Node>],
                max_depth: usize,
            ) -> Result<Vec<Vec<Completed<S::Node>>>, SearchError> {
                (**self).complete(requests, max_depth)
            }
        }

        impl<S: Answers + ?Sized> Answers for $pointer {
            fn answer(&self, node: &S::Node) -> Option<String> {
                (**self).answer(node)
            }
        }
    )*};
}
forward_space!(&mut S, Box<S>);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    struct Bits;
    impl SearchSpace for Bits {
        type Node = String;
        fn root(&self) -> String {
            String::new()
        }
        fn expand(&mut self, requests: &[Expand<'_, String>]) -> Result<Vec<Vec<String>>, SearchError> {
            let children = |n: &String| ["0", "1"].map(|b| format!("{n}{b}")).to_vec();
            Ok(requests.iter().map(|r| if r.node.len() == 3 { vec![] } else { children(r.node) }).collect())
        }
        fn value(&mut self, nodes: &[String]) -> Result<Vec<f64>, SearchError> {
            Ok(nodes.iter().map(|n| n.matches('1').count() as f64).collect())
        }
        fn is_complete(&self, node: &String) -> bool {
            node.len() == 3
        }
    }

    #[test]
    fn completion_by_expansion_pays_for_each_step() {
        let root = Bits.root();
        let request = Expand { node: &root, width: 2, seed: Seed::root(0) };
        let done = Bits.complete(&[request], 10).unwrap();
        assert_eq!(done[0], vec![Completed { node: "111".to_owned(), cost: 3 }; 2]);
    }

    #[test]
    fn a_spent_budget_allows_nothing() {
        assert!(Budget::Units(3).allows(2) && !Budget::Units(3).allows(3));
        assert!(Budget::Unlimited.allows(u64::MAX));
    }
}
