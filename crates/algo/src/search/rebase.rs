//! Reward-balanced search.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_core::{Budget, Found, Positive, Scored, SearchError, SearchSpace, SearchStrategy, Seed};

use super::ledger::{Ledger, descending};

/// Shares out a number of children per level by the softmax of values.
///
/// ```text
/// W_i = ⌈ B_rem · e^{V_i / T} / Σ_{j ≥ i} e^{V_j / T} ⌉,   B_rem ← B_rem − W_i      best nodes first
/// ```
///
/// `B` starts at `width` and shrinks by one for each solution that is complete; the root gets all of it. The rest of
/// the sum is computed anew for each node: a running subtraction in low precision gives out more than B. Wu et al.
/// (2024), "Inference scaling laws", §3; T = 0.2 there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rebase {
    /// B, the children of a level all together.
    pub width: NonZeroUsize,
    /// T.
    pub temperature: Positive,
    /// Most levels.
    pub depth: usize,
}

/// How many children each node gets, best first; the shares sum to `budget` unless there is no node.
///
/// `values` must be sorted, best first.
///
/// ```
/// use tdrm_algo::search::allocate;
/// // ⌈8 · 4/7⌉ = 5, then ⌈3 · 2/3⌉ = 2, then 1
/// assert_eq!(allocate(8, &[4.0_f64.ln(), 2.0_f64.ln(), 0.0], 1.0), [5, 2, 1]);
/// ```
#[must_use]
pub fn allocate(budget: usize, values: &[f64], temperature: f64) -> Vec<usize> {
    let mut left = budget;
    let share = |i: usize| {
        // relative to the present node, so that nothing overflows; it is the best of the rest
        let rest: f64 = values[i..].iter().map(|v| ((v - values[i]) / temperature).exp()).sum();
        let exact = left as f64 / if rest >= 1.0 { rest } else { 1.0 };
        // 3.0000000000000004 children are three
        let given = ((exact - 1e-9).ceil() as usize).min(left);
        left -= given;
        given
    };
    (0..values.len()).map(share).collect()
}

impl<S: SearchSpace + ?Sized> SearchStrategy<S> for Rebase {
    fn search(&self, space: &mut S, budget: Budget, seed: Seed) -> Result<Found<S::Node>, SearchError> {
        let mut ledger = Ledger::new(space, budget);
        let (root, mut active, mut finished) = (ledger.space.root(), vec![], vec![]);
        if ledger.space.is_complete(&root) {
            return ledger.close(finished);
        }
        let mut width = self.width.get();
        for depth in 0..self.depth as u64 {
            let shares: Vec<(&S::Node, usize)> =
                if depth == 0 { vec![(&root, width)] } else { self.shares(&active, width) };
            if shares.is_empty() || !ledger.is_open() {
                break;
            }
            let families = ledger.expand_by(&shares, seed.child(depth))?;
            let children = ledger.score(families.into_iter().flatten().collect())?;
            let (complete, mut open): (Vec<_>, Vec<_>) =
                children.into_iter().partition(|child| ledger.space.is_complete(&child.node));
            width = width.saturating_sub(complete.len());
            finished.extend(complete);
            open.sort_by(descending);
            active = open;
        }
        finished.extend(active);
        ledger.close(finished)
    }
}

impl Rebase {
    fn shares<'n, N>(&self, active: &'n [Scored<N>], width: usize) -> Vec<(&'n N, usize)> {
        let values: Vec<_> = active.iter().map(|a| a.score).collect();
        let widths = allocate(width, &values, self.temperature.get());
        active.iter().map(|a| &a.node).zip(widths).filter(|(_, width)| *width > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::super::scripted::{Digits, Listed, count};
    use super::*;

    proptest! {
        #[test]
        fn shares_sum_to_the_budget_and_follow_the_values(
            mut values in prop::collection::vec(-1e3..1e3_f64, 1..30), budget in 0..200_usize, temperature in 1e-3..1e3_f64,
        ) {
            values.sort_by(|a, b| b.total_cmp(a));
            let shares = allocate(budget, &values, temperature);
            prop_assert_eq!(shares.iter().sum::<usize>(), budget);
            prop_assert!(shares[0] >= *shares.iter().max().unwrap());
        }
    }

    #[test]
    fn each_level_costs_what_is_left_of_the_width() {
        let mut space = Digits { base: 9, length: 3 };
        let rebase = Rebase { width: count(6), temperature: Positive::new(0.2).unwrap(), depth: 3 };
        let found = rebase.search(&mut space, Budget::Unlimited, Seed::root(0)).unwrap();
        assert_eq!((found.spent, found.candidates.len()), (18, 6));
    }

    #[test]
    fn complete_solutions_take_their_share_out_of_the_next_level() {
        // level 1: a., b; one is complete, so that level 2 has one child of b
        let tree = [("a.", 0.2), ("b", 0.3), ("ba.", 0.1), ("bb.", 0.9)];
        let rebase = Rebase { width: count(2), temperature: Positive::new(0.2).unwrap(), depth: 5 };
        let found = rebase.search(&mut Listed::new(&tree, 9), Budget::Unlimited, Seed::root(0)).unwrap();
        let order: Vec<_> = found.candidates.iter().map(|c| c.node.as_str()).collect();
        assert_eq!((order, found.spent), (vec!["a.", "ba."], 3));
    }

    #[test]
    fn infinite_values_take_everything_without_trouble() {
        assert_eq!(allocate(5, &[f64::INFINITY, 0.0], 1.0), [5, 0]);
        assert_eq!(allocate(5, &[], 1.0), [0; 0]);
    }
}
