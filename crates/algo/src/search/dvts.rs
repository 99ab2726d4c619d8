//! Diverse verifier tree search.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_core::{Budget, Found, Scored, SearchError, SearchSpace, SearchStrategy, Seed};

use super::ledger::Ledger;

/// Several greedy searches side by side, none of which sees the others.
///
/// ```text
/// for each subtree j:  c_1 … c_width ~ children(x_j),   x_j ← argmax V(c),   until x_j is complete
/// ```
///
/// Where a beam may fill up with relatives of one good node, subtrees stay apart. Subtree `j` of level `d` draws from
/// `seed.child(d).child(j)`; all subtrees of a level are one batch. Candidates are all complete nodes that were met;
/// the published code returns the `width` last children of each subtree only. With one subtree it is
/// [`super::GreedySearch`], but for stopping when the best child is complete. Beeching et al. (2024),
/// search-and-learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dvts {
    /// Number of subtrees.
    pub subtrees: NonZeroUsize,
    /// Children drawn per level and subtree.
    pub width: NonZeroUsize,
    /// Most levels.
    pub depth: usize,
}

impl<S: SearchSpace + ?Sized> SearchStrategy<S> for Dvts {
    fn search(&self, space: &mut S, budget: Budget, seed: Seed) -> Result<Found<S::Node>, SearchError> {
        let mut ledger = Ledger::new(space, budget);
        let root = ledger.space.root();
        let mut candidates = vec![];
        let mut heads: Vec<Scored<S::Node>> =
            vec![Scored { node: root.clone(), score: f64::NEG_INFINITY }; self.subtrees.get()];
        if ledger.space.is_complete(&root) {
            return ledger.close(candidates);
        }
        for depth in 0..self.depth as u64 {
            if heads.is_empty() || !ledger.is_open() {
                break;
            }
            let nodes: Vec<_> = heads.iter().map(|h| &h.node).collect();
            let families = ledger.expand(&nodes, self.width.get(), seed.child(depth))?;
            heads = advance(&mut ledger, heads, families, &mut candidates)?;
        }
        candidates.extend(heads.into_iter().filter(|head| head.score > f64::NEG_INFINITY));
        ledger.close(candidates)
    }
}

/// The best child of each family; complete children and dead ends go to the candidates.
fn advance<S: SearchSpace + ?Sized>(
    ledger: &mut Ledger<'_, S>,
    heads: Vec<Scored<S::Node>>,
    families: Vec<Vec<S::Node>>,
    candidates: &mut Vec<Scored<S::Node>>,
) -> Result<Vec<Scored<S::Node>>, SearchError> {
    let sizes: Vec<_> = families.iter().map(Vec::len).collect();
    let mut scored = ledger.score(families.into_iter().flatten().collect())?.into_iter();
    let mut next = vec![];
    for (head, size) in heads.into_iter().zip(sizes) {
        let family: Vec<_> = scored.by_ref().take(size).collect();
        let best = first_best(&family);
        match best {
            None if head.score > f64::NEG_INFINITY => candidates.push(head),
            Some(best) if !ledger.space.is_complete(&family[best].node) => next.push(family[best].clone()),
            _ => {}
        }
        candidates.extend(family.into_iter().filter(|child| ledger.space.is_complete(&child.node)));
    }
    Ok(next)
}

fn first_best<N>(family: &[Scored<N>]) -> Option<usize> {
    (0..family.len()).reduce(|best, i| if family[i].score > family[best].score { i } else { best })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::scripted::{Digits, Listed, count};
    use super::*;

    #[test]
    fn subtrees_are_independent_draws() {
        let mut space = Digits { base: 9, length: 4 };
        let dvts = |subtrees| Dvts { subtrees: count(subtrees), width: count(2), depth: 4 };
        let mut leaves = |subtrees| {
            let found = dvts(subtrees).search(&mut space, Budget::Unlimited, Seed::root(1)).unwrap();
            assert_eq!(found.spent, subtrees as u64 * 2 * 4);
            found.candidates
        };
        let one = leaves(1);
        assert_eq!(one.len(), 2);
        let three = leaves(3);
        assert!(three.len() == 6 && one.iter().all(|leaf| three.contains(leaf)));
    }

    #[test]
    fn a_subtree_ends_when_its_best_child_is_complete() {
        // a. beats b, so that ba. is never reached
        let tree = [("a.", 0.8), ("b", 0.3), ("ba.", 0.9)];
        let dvts = Dvts { subtrees: count(1), width: count(2), depth: 5 };
        let found = dvts.search(&mut Listed::new(&tree, 9), Budget::Unlimited, Seed::root(0)).unwrap();
        assert_eq!((found.best().unwrap().node.as_str(), found.spent), ("a.", 2));
    }
}
