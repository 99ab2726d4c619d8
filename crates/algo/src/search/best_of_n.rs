//! Best of N: independent samples, one choice.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_core::{Budget, Found, SearchError, SearchSpace, SearchStrategy, Seed};

use super::ledger::Ledger;

/// Draws N complete solutions and ranks them by value.
///
/// ```text
/// argmax_{i ≤ N} V(y_i),   y_i ~ π
/// ```
///
/// `n = 1` is sampling. Under a budget fewer than N may be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestOfN {
    /// N, the number of samples.
    pub n: NonZeroUsize,
    /// Most steps of one sample; a longer one stays incomplete and ranks behind the complete ones.
    pub depth: usize,
}

impl<S: SearchSpace + ?Sized> SearchStrategy<S> for BestOfN {
    fn search(&self, space: &mut S, budget: Budget, seed: Seed) -> Result<Found<S::Node>, SearchError> {
        let mut ledger = Ledger::new(space, budget);
        let samples = ledger.sample(self.n.get(), self.depth, seed)?;
        let candidates = ledger.score(samples)?;
        ledger.close(candidates)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests state exact values")]
    use tdrm_core::Expand;

    use super::super::scripted::{Digits, count};
    use super::*;

    #[test]
    fn the_best_of_all_samples_comes_first_and_costs_add_up() {
        let mut space = Digits { base: 10, length: 3 };
        let found = BestOfN { n: count(50), depth: 9 }.search(&mut space, Budget::Unlimited, Seed::root(1)).unwrap();
        assert_eq!((found.candidates.len(), found.spent, found.nodes), (50, 150, 50));
        assert!(found.candidates.is_sorted_by(|a, b| a.score >= b.score));
    }

    #[test]
    fn best_of_one_is_sampling() {
        let mut space = Digits { base: 10, length: 3 };
        for seed in (0..20).map(Seed::root) {
            let found = BestOfN { n: count(1), depth: 3 }.search(&mut space, Budget::Unlimited, seed).unwrap();
            let root = space.root();
            let request = Expand { node: &root, width: 1, seed: seed.child(0) };
            let sample = space.complete(&[request], 3).unwrap().remove(0).remove(0);
            assert_eq!(found.candidates[0].node, sample.node);
        }
    }

    #[test]
    fn the_first_samples_do_not_depend_on_how_many_follow() {
        let mut space = Digits { base: 10, length: 3 };
        let mut nodes = |n| {
            let mut found =
                BestOfN { n: count(n), depth: 3 }.search(&mut space, Budget::Unlimited, Seed::root(4)).unwrap();
            found.candidates.sort_by(|a, b| a.node.cmp(&b.node));
            found.candidates
        };
        let few = nodes(4);
        assert!(few.iter().all(|c| nodes(16).contains(c)));
    }

    #[test]
    fn a_budget_of_ten_buys_three_samples_of_three_steps_and_one_that_is_begun() {
        // waves: 1 (3 spent), (10 − 3) / 3 = 2 (9 spent), 1 (12 spent); then 12 ≥ 10
        let mut space = Digits { base: 2, length: 3 };
        let found = BestOfN { n: count(50), depth: 3 }.search(&mut space, Budget::Units(10), Seed::root(1)).unwrap();
        assert_eq!((found.candidates.len(), found.spent), (4, 12));
    }

    #[test]
    fn samples_that_do_not_end_in_time_are_incomplete_and_no_budget_leaves_the_root() {
        let mut space = Digits { base: 2, length: 3 };
        let found = BestOfN { n: count(2), depth: 2 }.search(&mut space, Budget::Unlimited, Seed::root(1)).unwrap();
        assert!(found.candidates.iter().all(|c| c.node.len() == 2));
        let found = BestOfN { n: count(2), depth: 3 }.search(&mut space, Budget::Units(0), Seed::root(1)).unwrap();
        assert_eq!((found.best().unwrap().node.clone(), found.best().unwrap().score, found.spent), (vec![], 0.0, 0));
    }
}
