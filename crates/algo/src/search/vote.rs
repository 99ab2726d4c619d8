//! Majority: samples vote with their answers.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_core::{Answers, Budget, Found, Scored, SearchError, SearchStrategy, Seed};

use super::ledger::Ledger;

/// Samples that give the same answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Class<'a> {
    /// The answer.
    pub answer: &'a str,
    /// Sum of the weights of its voters.
    pub weight: f64,
    /// Positions of the voters, in order.
    pub voters: Vec<usize>,
}

/// Counts votes; the winner comes first.
///
/// ```text
/// argmax_a Σ_i w_i 1[a_i = a]
/// ```
///
/// Samples without an answer do not vote. Equal weights are ranked by the class seen first; weights of one class
/// are added in the order of the samples. `weights` are expected to be ≥ 0 and there is one per answer (missing
/// ones count 0).
///
/// ```
/// use tdrm_algo::search::tally;
/// let classes = tally(&[Some("3"), None, Some("5"), Some("5")], &[0.9, 0.8, 0.3, 0.4]);
/// assert_eq!((classes[0].answer, classes[0].voters.as_slice()), ("3", &[0][..])); // 0.9 > 0.3 + 0.4
/// ```
#[must_use]
pub fn tally<'a>(answers: &[Option<&'a str>], weights: &[f64]) -> Vec<Class<'a>> {
    let mut classes: Vec<Class<'a>> = vec![];
    let mut index: HashMap<&str, usize> = HashMap::new();
    for (voter, answer) in answers.iter().enumerate() {
        let Some(answer) = *answer else { continue };
        let id = *index.entry(answer).or_insert(classes.len());
        if id == classes.len() {
            classes.push(Class { answer, weight: 0.0, voters: vec![] });
        }
        classes[id].weight += weights.get(voter).copied().unwrap_or(0.0);
        classes[id].voters.push(voter);
    }
    classes.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    classes
}

/// Draws N complete solutions and ranks their answers by number of votes; no reward model is asked.
///
/// One candidate per answer, scored with its share of all samples: the first sample that gave it. Equal shares are
/// ranked by the answer seen first (samples are numbered by their seeds, so that this does not depend on batching).
/// Samples without a readable answer follow with score 0. Self-consistency, Wang et al. (2023).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Majority {
    /// N, the number of samples.
    pub n: NonZeroUsize,
    /// Most steps of one sample.
    pub depth: usize,
}

impl<S: Answers + ?Sized> SearchStrategy<S> for Majority {
    fn search(&self, space: &mut S, budget: Budget, seed: Seed) -> Result<Found<S::Node>, SearchError> {
        let mut ledger = Ledger::new(space, budget);
        let samples = ledger.sample(self.n.get(), self.depth, seed)?;
        let share = 1.0 / samples.len().max(1) as f64;
        let votes: Vec<_> = samples.into_iter().map(|node| Scored { node, score: share }).collect();
        let candidates = elect(ledger.space, &votes);
        ledger.close(candidates)
    }
}

/// Draws N complete solutions and ranks their answers by the sum of their values.
///
/// The representative of an answer is its best valued sample; its score is the sum. Values must be ≥ 0: with raw
/// logits a vote against would be a vote for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedMajority {
    /// N, the number of samples.
    pub n: NonZeroUsize,
    /// Most steps of one sample.
    pub depth: usize,
}

impl<S: Answers + ?Sized> SearchStrategy<S> for WeightedMajority {
    fn search(&self, space: &mut S, budget: Budget, seed: Seed) -> Result<Found<S::Node>, SearchError> {
        let mut ledger = Ledger::new(space, budget);
        let samples = ledger.sample(self.n.get(), self.depth, seed)?;
        let votes = ledger.score(samples)?;
        if let Some(index) = votes.iter().position(|v| v.score < 0.0) {
            return Err(SearchError::Space(Box::new(NegativeVote { index, got: votes[index].score })));
        }
        let candidates = elect(ledger.space, &votes);
        ledger.close(candidates)
    }
}

/// A weight that cannot be a vote.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a vote must weigh at least 0, sample {index} has {got}")]
struct NegativeVote {
    index: usize,
    got: f64,
}

/// One candidate per answer, then the samples without one.
fn elect<S: Answers + ?Sized>(space: &S, votes: &[Scored<S::Node>]) -> Vec<Scored<S::Node>> {
    let answers: Vec<_> = votes.iter().map(|v| space.answer(&v.node).filter(|_| space.is_complete(&v.node))).collect();
    let weights: Vec<_> = votes.iter().map(|v| v.score).collect();
    let classes = tally(&answers.iter().map(Option::as_deref).collect::<Vec<_>>(), &weights);
    let elected = classes.iter().map(|class| {
        let first_best = |best: usize, &i: &usize| if weights[i] > weights[best] { i } else { best };
        let representative = class.voters.iter().fold(class.voters[0], first_best);
        Scored { node: votes[representative].node.clone(), score: class.weight }
    });
    let silent = votes.iter().zip(&answers).filter(|(_, answer)| answer.is_none());
    elected.chain(silent.map(|(vote, _)| Scored { node: vote.node.clone(), score: 0.0 })).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests state exact values")]
    use super::super::scripted::{Digits, count};
    use super::*;

    #[test]
    fn the_most_frequent_answer_wins_and_unanswered_samples_do_not_vote() {
        let classes = tally(&[None, Some("b"), None, None, Some("a"), Some("a")], &[1.0; 6]);
        assert_eq!((classes[0].answer, classes[0].weight), ("a", 2.0));
        assert_eq!(classes.len(), 2);
    }

    #[test]
    fn ties_go_to_the_answer_seen_first() {
        assert_eq!(tally(&[Some("b"), Some("a"), Some("a"), Some("b")], &[1.0; 4])[0].answer, "b");
    }

    #[test]
    fn majority_scores_are_shares_of_the_samples() {
        // base 2, length 1: answers "0" and "1"
        let mut space = Digits { base: 2, length: 1 };
        let found = Majority { n: count(9), depth: 1 }.search(&mut space, Budget::Unlimited, Seed::root(2)).unwrap();
        let shares: Vec<_> = found.candidates.iter().map(|c| c.score).collect();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12 && shares[0] > 0.5, "{shares:?}");
        assert_eq!(found.spent, 9);
    }

    #[test]
    fn a_weighted_majority_follows_values() {
        // values are 0 and 1: the answer "1" wins even when it is rare
        let mut space = Digits { base: 2, length: 1 };
        let found =
            WeightedMajority { n: count(9), depth: 1 }.search(&mut space, Budget::Unlimited, Seed::root(2)).unwrap();
        assert_eq!(found.best().unwrap().node, [1]);
    }

    #[test]
    fn a_negative_vote_is_an_error() {
        let error = NegativeVote { index: 3, got: -0.5 };
        assert_eq!(error.to_string(), "a vote must weigh at least 0, sample 3 has -0.5");
    }
}
