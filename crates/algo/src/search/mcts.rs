//! Monte-Carlo tree search with values instead of roll-outs.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_core::{Budget, Found, NonNegative, Scored, SearchError, SearchSpace, SearchStrategy, Seed};

use super::ledger::Ledger;

/// Descends by PUCT, expands one node per simulation and backs the values of its children up.
///
/// ```text
/// descend:  argmax_c  q̂(c) + C · P(c) · √N(parent) / (1 + N(c)),   P = 1 / number of siblings
/// q̂(c) = (Q(c) − min) / (max − min)   over all values seen, Q(c) = mean of the values backed up through c
/// ```
///
/// Expansion draws `width` children and values them in one batch; each counts as one visit of itself and of all its
/// ancestors. Coming to a complete node or a dead end backs its value up once more. A node `depth` steps deep is not
/// expanded. Children of a language model are samples, so the prior is uniform over them. After Silver et al. (2017)
/// and Schrittwieser et al. (2020), appendix B, without their schedule of C.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mcts {
    /// Children drawn when a node is expanded.
    pub width: NonZeroUsize,
    /// Number of descents.
    pub simulations: usize,
    /// Most steps of a solution.
    pub depth: usize,
    /// C, the weight of exploration.
    pub exploration: NonNegative,
}

impl<S: SearchSpace + ?Sized> SearchStrategy<S> for Mcts {
    fn search(&self, space: &mut S, budget: Budget, seed: Seed) -> Result<Found<S::Node>, SearchError> {
        let mut ledger = Ledger::new(space, budget);
        let mut tree = Tree::new(ledger.space.root());
        for simulation in 0..self.simulations as u64 {
            if !ledger.is_open() {
                break;
            }
            let path = tree.descend(self.exploration.get());
            let leaf = path[path.len() - 1];
            if tree.is_leaf_for_good(leaf)
                || path.len() > self.depth
                || ledger.space.is_complete(&tree.nodes[leaf].node)
            {
                tree.nodes[leaf].expanded = true;
                tree.back_up(&path, tree.nodes[leaf].value);
                continue;
            }
            let children = ledger.expand(&[&tree.nodes[leaf].node], self.width.get(), seed.child(simulation))?;
            let children = ledger.score(children.into_iter().flatten().collect())?;
            tree.grow(&path, children);
        }
        let candidates = tree.candidates();
        ledger.close(candidates)
    }
}

struct Visited<N> {
    node: N,
    value: f64,
    visits: f64,
    total: f64,
    children: Vec<usize>,
    /// Whether it has been asked for children, or never will be.
    expanded: bool,
}

struct Tree<N> {
    nodes: Vec<Visited<N>>,
    low: f64,
    high: f64,
}

impl<N> Tree<N> {
    fn new(root: N) -> Self {
        let root = Visited { node: root, value: 0.0, visits: 0.0, total: 0.0, children: vec![], expanded: false };
        Self { nodes: vec![root], low: f64::INFINITY, high: f64::NEG_INFINITY }
    }

    fn is_leaf_for_good(&self, id: usize) -> bool {
        self.nodes[id].expanded && self.nodes[id].children.is_empty()
    }

    /// The root, and what is followed from there to a node without children.
    fn descend(&self, exploration: f64) -> Vec<usize> {
        let mut path = vec![0];
        loop {
            let parent = &self.nodes[path[path.len() - 1]];
            let wish = |id: usize| self.wish(parent, &self.nodes[id], exploration);
            let Some(next) = parent.children.iter().copied().reduce(|a, b| if wish(b) > wish(a) { b } else { a })
            else {
                return path;
            };
            path.push(next);
        }
    }

    /// q̂(c) + C · P(c) · √N(parent) / (1 + N(c)).
    fn wish(&self, parent: &Visited<N>, child: &Visited<N>, exploration: f64) -> f64 {
        let prior = 1.0 / parent.children.len() as f64;
        self.normalised(child.total / child.visits) + exploration * prior * parent.visits.sqrt() / (1.0 + child.visits)
    }

    fn normalised(&self, q: f64) -> f64 {
        if self.high > self.low { (q - self.low) / (self.high - self.low) } else { 0.0 }
    }

    fn grow(&mut self, path: &[usize], children: Vec<Scored<N>>) {
        let parent = path[path.len() - 1];
        self.nodes[parent].expanded = true;
        for Scored { node, score } in children {
            let id = self.nodes.len();
            self.nodes.push(Visited {
                node,
                value: score,
                visits: 1.0,
                total: score,
                children: vec![],
                expanded: false,
            });
            self.nodes[parent].children.push(id);
            self.back_up(path, score);
        }
    }

    fn back_up(&mut self, path: &[usize], value: f64) {
        // an infinite value would make every mean infinite: it ranks a candidate but does not steer
        let steering = if value.is_finite() { value } else { return };
        (self.low, self.high) = (self.low.min(steering), self.high.max(steering));
        for &id in path {
            self.nodes[id].visits += 1.0;
            self.nodes[id].total += steering;
        }
    }

    /// All nodes but the root that were not continued: complete ones, dead ends, and the frontier.
    fn candidates(self) -> Vec<Scored<N>> {
        let ends = self.nodes.into_iter().skip(1).filter(|v| v.children.is_empty());
        ends.map(|v| Scored { node: v.node, score: v.value }).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::scripted::{Digits, Listed, count};
    use super::*;

    fn mcts(simulations: usize, exploration: f64) -> Mcts {
        Mcts { width: count(2), simulations, depth: 5, exploration: NonNegative::new(exploration).unwrap() }
    }

    #[test]
    fn the_second_descent_follows_value_or_visits_by_hand() {
        // after the first: a 0.4, b 0.6, one visit each, N = 2, P = ½; q̂ = 0 and 1: b wins by value
        let tree = [("a", 0.4), ("b", 0.6), ("aa.", 0.9), ("ab.", 0.1), ("ba.", 0.2), ("bb.", 0.3)];
        let best = |simulations, exploration| {
            let mut space = Listed::new(&tree, 2);
            let found = mcts(simulations, exploration).search(&mut space, Budget::Unlimited, Seed::root(0)).unwrap();
            (found.best().unwrap().node.clone(), found.spent)
        };
        assert_eq!(best(2, 1.0), ("bb.".to_owned(), 4));
        // then Q(b) = (0.6 + 0.2 + 0.3)/3 = 0.367 < Q(a) = 0.4: a is next, and holds the best leaf
        assert_eq!(best(3, 1.0), ("aa.".to_owned(), 6));
    }

    #[test]
    fn values_mislead_greedy_search_but_not_enough_simulations() {
        let mut space = Digits { base: 3, length: 3 };
        let search = Mcts { width: count(3), ..mcts(200, 2.0) };
        let found = search.search(&mut space, Budget::Unlimited, Seed::root(1)).unwrap();
        assert!(found.best().unwrap().score >= 24.0, "{:?}", found.best());
    }

    #[test]
    fn a_complete_root_and_a_dead_one_end_quietly() {
        let found = mcts(5, 1.0).search(&mut Digits { base: 2, length: 0 }, Budget::Unlimited, Seed::root(0)).unwrap();
        assert_eq!((found.candidates.len(), found.spent), (1, 0));
        let found = mcts(5, 1.0).search(&mut Listed::new(&[], 3), Budget::Unlimited, Seed::root(0)).unwrap();
        assert_eq!((found.candidates.len(), found.spent), (1, 0));
    }

    #[test]
    fn infinite_values_rank_but_do_not_steer() {
        let tree = [("a.", f64::INFINITY), ("b", f64::NEG_INFINITY), ("ba.", 0.1)];
        let found = mcts(8, 1.0).search(&mut Listed::new(&tree, 9), Budget::Unlimited, Seed::root(0)).unwrap();
        assert_eq!(found.best().unwrap().node, "a.");
    }
}
