//! Beam search and its greedy special case.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_core::{Budget, Found, Scored, SearchError, SearchSpace, SearchStrategy, Seed};

use super::ledger::{Ledger, descending};

/// Keeps the best `beam` incomplete nodes of each level and collects every complete one.
///
/// ```text
/// B_0 = {root};   C_d = children(B_d, width);   B_{d+1} = top_beam { c ∈ C_d incomplete } by V
/// answer = argmax V over the complete nodes of C_0 ∪ … ∪ C_{depth−1}
/// ```
///
/// A complete node leaves the beam without taking a place in it. The answer is the best valued leaf of the whole
/// tree, not of the last level (TDRM card, §5); among equal values the first found wins, where the released code
/// takes the last. When `beam` and `width` cover an enumerable tree, the answer is its optimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beam {
    /// Incomplete nodes kept per level.
    pub beam: NonZeroUsize,
    /// Children drawn for each of them.
    pub width: NonZeroUsize,
    /// Most levels.
    pub depth: usize,
}

impl<S: SearchSpace + ?Sized> SearchStrategy<S> for Beam {
    fn search(&self, space: &mut S, budget: Budget, seed: Seed) -> Result<Found<S::Node>, SearchError> {
        let mut ledger = Ledger::new(space, budget);
        let mut levels = Levels { active: vec![], finished: vec![] };
        for depth in 0..self.depth as u64 {
            if !ledger.is_open() || !levels.grow(&mut ledger, depth, self.width.get(), seed)? {
                break;
            }
            levels.prune(self.beam.get());
        }
        ledger.close(levels.candidates())
    }
}

/// Incomplete nodes of the present level; leaves and dead ends of all levels before.
struct Levels<N> {
    active: Vec<Scored<N>>,
    finished: Vec<Scored<N>>,
}

impl<N: Clone> Levels<N> {
    /// Replaces the active nodes by their children; false if there is nothing to grow.
    fn grow<S: SearchSpace<Node = N> + ?Sized>(
        &mut self,
        ledger: &mut Ledger<'_, S>,
        depth: u64,
        width: usize,
        seed: Seed,
    ) -> Result<bool, SearchError> {
        let root = ledger.space.root();
        let parents = std::mem::take(&mut self.active);
        let nodes: Vec<&N> = if depth == 0 { vec![&root] } else { parents.iter().map(|p| &p.node).collect() };
        if nodes.is_empty() || (depth == 0 && ledger.space.is_complete(&root)) {
            return Ok(false);
        }
        let families = ledger.expand(&nodes, width, seed.child(depth))?;
        let barren = parents.into_iter().zip(&families).filter(|(_, family)| family.is_empty());
        self.finished.extend(barren.map(|(parent, _)| parent));
        for child in ledger.score(families.into_iter().flatten().collect())? {
            let list = if ledger.space.is_complete(&child.node) { &mut self.finished } else { &mut self.active };
            list.push(child);
        }
        Ok(true)
    }

    fn prune(&mut self, beam: usize) {
        self.active.sort_by(descending);
        self.active.truncate(beam);
    }

    fn candidates(mut self) -> Vec<Scored<N>> {
        self.finished.append(&mut self.active);
        self.finished
    }
}

/// Follows the best of `branching` children, and answers with the best leaf met on the way.
///
/// The tree search of TDRM (card §5; published with 2, 4, 8 and 16 branches and a depth of 30). It is [`Beam`] with
/// a beam of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GreedySearch {
    /// Children drawn per level.
    pub branching: NonZeroUsize,
    /// Most levels.
    pub depth: usize,
}

impl<S: SearchSpace + ?Sized> SearchStrategy<S> for GreedySearch {
    fn search(&self, space: &mut S, budget: Budget, seed: Seed) -> Result<Found<S::Node>, SearchError> {
        Beam { beam: NonZeroUsize::MIN, width: self.branching, depth: self.depth }.search(space, budget, seed)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests state exact values")]
    use super::super::scripted::{Digits, Listed, count};
    use super::*;

    const fn beam(beam: usize, width: usize, depth: usize) -> Beam {
        Beam { beam: count(beam), width: count(width), depth }
    }

    #[test]
    fn a_beam_of_one_is_greedy_search() {
        for seed in (0..20).map(Seed::root) {
            let mut space = Digits { base: 7, length: 4 };
            let narrow = beam(1, 3, 4).search(&mut space, Budget::Unlimited, seed).unwrap();
            let greedy = GreedySearch { branching: count(3), depth: 4 };
            assert_eq!(greedy.search(&mut space, Budget::Unlimited, seed).unwrap(), narrow);
        }
    }

    #[test]
    fn a_beam_that_covers_the_tree_finds_its_optimum_where_greedy_search_is_deceived() {
        // a: 0.9 → aa 0.1, ab 0.2 ; b: 0.5 → ba 0.3, bb 1.0
        let tree = [("a", 0.9), ("b", 0.5), ("aa", 0.1), ("ab", 0.2), ("ba", 0.3), ("bb", 1.0)];
        let mut space = Listed::new(&tree, 2);
        let greedy = GreedySearch { branching: count(2), depth: 2 };
        let found = greedy.search(&mut space, Budget::Unlimited, Seed::root(0)).unwrap();
        assert_eq!((found.best().unwrap().node.as_str(), found.spent), ("ab", 4));
        let found = beam(2, 2, 2).search(&mut space, Budget::Unlimited, Seed::root(0)).unwrap();
        assert_eq!((found.best().unwrap().node.as_str(), found.spent), ("bb", 6));
    }

    #[test]
    fn the_answer_is_the_best_leaf_of_the_whole_tree_not_of_the_last_level() {
        // "ax" is not among the names: a and b are leaves at level 1 when the length is 1 for them
        let tree = [("a.", 0.8), ("b", 0.9), ("ba.", 0.3), ("bb.", 0.7)];
        let mut space = Listed::new(&tree, 9);
        let found = beam(1, 2, 5).search(&mut space, Budget::Unlimited, Seed::root(0)).unwrap();
        let order: Vec<_> = found.candidates.iter().map(|c| c.node.as_str()).collect();
        assert_eq!(order, ["a.", "bb.", "ba."]);
    }

    #[test]
    fn equal_values_keep_the_order_of_discovery() {
        let tree = [("a.", 0.5), ("b.", 0.5), ("c.", 0.5)];
        let found = beam(1, 3, 1).search(&mut Listed::new(&tree, 9), Budget::Unlimited, Seed::root(0)).unwrap();
        let order: Vec<_> = found.candidates.iter().map(|c| c.node.as_str()).collect();
        assert_eq!(order, ["a.", "b.", "c."]);
    }

    #[test]
    fn dead_ends_and_unfinished_nodes_come_after_every_leaf() {
        // b is a dead end of high value, c. a leaf of low value
        let tree = [("b", 0.9), ("c.", 0.1)];
        let found = beam(2, 2, 5).search(&mut Listed::new(&tree, 9), Budget::Unlimited, Seed::root(0)).unwrap();
        let order: Vec<_> = found.candidates.iter().map(|c| c.node.as_str()).collect();
        assert_eq!(order, ["c.", "b"]);
    }

    #[test]
    fn no_level_begins_once_the_budget_is_spent() {
        let mut space = Digits { base: 2, length: 10 };
        let found = beam(2, 2, 10).search(&mut space, Budget::Units(3), Seed::root(0)).unwrap();
        assert_eq!(found.spent, 2 + 4); // 0 < 3, 2 < 3, 6 ≥ 3
        assert_eq!(found.candidates.len(), 2);
    }

    #[test]
    fn a_value_that_is_nan_is_an_error() {
        let mut space = Listed::new(&[("a.", f64::NAN)], 9);
        let error = beam(1, 1, 1).search(&mut space, Budget::Unlimited, Seed::root(0)).unwrap_err();
        assert_eq!(error.to_string(), "score of trajectory 0 is not finite: NaN");
    }

    #[test]
    fn a_complete_root_is_the_answer() {
        let mut space = Digits { base: 2, length: 0 };
        let found = beam(1, 1, 3).search(&mut space, Budget::Unlimited, Seed::root(0)).unwrap();
        assert_eq!((found.best().unwrap().score, found.spent, found.nodes), (0.0, 0, 0));
    }

    #[test]
    fn a_config_with_a_beam_of_zero_is_refused() {
        assert!(serde_json::from_str::<Beam>(r#"{"beam":0,"width":1,"depth":1}"#).is_err());
    }
}
