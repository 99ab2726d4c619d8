//! Search strategies over a [`SearchSpace`](tdrm_core::SearchSpace).
//!
//! A strategy knows neither text nor model: it asks the space for children, completions and values, and spends a
//! budget on them.
//!
//! | strategy | draws | returns first |
//! |---|---|---|
//! | [`BestOfN`] | N complete solutions | the best valued |
//! | [`Majority`] | N complete solutions | the answer that most of them give |
//! | [`WeightedMajority`] | N complete solutions | the answer with the largest sum of values |
//! | [`GreedySearch`] | `branching` children of one node per level | the best valued leaf of the whole tree |
//! | [`Beam`] | `width` children of `beam` nodes per level | the best valued leaf of the whole tree |
//! | [`Dvts`] | `width` children of one node per level, in each of several subtrees | the best valued leaf of all |
//! | [`Rebase`] | a budget of children per level, shared out by value | the best valued leaf of the whole tree |
//! | [`Mcts`] | `width` children of the node that values and visits point to | the best valued leaf of the whole tree |
//!
//! [`planning`] is for models with a prior over numbered actions: PUCT and Gumbel search on a tree of `r + γ V`.
//!
//! # What they share
//! Randomness: the request for node `i` of level `d` has seed `seed.child(d).child(i)`, sample `i` of a best-of-N
//! has `seed.child(i)`; nothing depends on how a space batches.
//! Budget: it is checked before each batch of requests; none begins once it is spent.
//! Order: candidates come complete before incomplete, then by score, then in the order of discovery.
//! A value that is NaN is an error, never a rank; infinities are ordered like numbers.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use tdrm_algo::search::Beam;
//! use tdrm_core::{Budget, Expand, SearchError, SearchSpace, SearchStrategy, Seed};
//!
//! /// Three binary digits; the value is the number read so far.
//! struct Bits;
//! impl SearchSpace for Bits {
//!     type Node = Vec<u8>;
//!     fn root(&self) -> Vec<u8> { vec![] }
//!     fn expand(&mut self, requests: &[Expand<'_, Vec<u8>>]) -> Result<Vec<Vec<Vec<u8>>>, SearchError> {
//!         let child = |n: &Vec<u8>, bit| [n.as_slice(), &[bit]].concat();
//!         Ok(requests.iter().map(|r| (0..2).take(r.width).map(|bit| child(r.node, bit)).collect()).collect())
//!     }
//!     fn value(&mut self, nodes: &[Vec<u8>]) -> Result<Vec<f64>, SearchError> {
//!         Ok(nodes.iter().map(|n| n.iter().fold(0.0, |x, &bit| 2.0 * x + f64::from(bit))).collect())
//!     }
//!     fn is_complete(&self, node: &Vec<u8>) -> bool { node.len() == 3 }
//! }
//!
//! let two = NonZeroUsize::new(2).unwrap();
//! let found = Beam { beam: two, width: two, depth: 3 }.search(&mut Bits, Budget::Unlimited, Seed::root(0))?;
//! assert_eq!(found.best().unwrap().node, [1, 1, 1]);
//! assert_eq!(found.spent, 2 + 4 + 4); // one node, then two nodes twice, two children each
//! # Ok::<(), SearchError>(())
//! ```

mod beam;
mod best_of_n;
mod dvts;
mod ledger;
mod mcts;
pub mod planning;
mod rebase;
mod vote;

pub use beam::{Beam, GreedySearch};
pub use best_of_n::BestOfN;
pub use dvts::Dvts;
pub use mcts::Mcts;
pub use rebase::{Rebase, allocate};
pub use vote::{Class, Majority, WeightedMajority, tally};

#[cfg(test)]
mod scripted;
