//! All token sequences up to a length, as a tree.

use serde::{Deserialize, Serialize};

use super::{Table, TableError, point, surely};

/// An enumerable sequence model's world: tokens `0..vocabulary`, at most `length` of them, optionally ended early.
///
/// States are prefixes, in order of length and then alphabetically, the empty one first; actions are tokens. A
/// policy on these states is a language model of a vocabulary so small that every expectation is a finite sum.
///
/// ```
/// use tdrm_core::Discount;
/// use tdrm_envs::{dp::{expected_return, StateActions}, tabular::Sequences};
/// let coins = Sequences::new(2, 3, None)?;
/// let heads = |y: &[usize]| y.iter().sum::<usize>() as f64;
/// let tree = coins.table(heads)?;
/// let uniform = StateActions::uniform(&tree);
/// assert_eq!(expected_return(&tree, Discount::ONE, &uniform)?, 1.5);
/// assert_eq!(coins.expectation(&uniform, heads), 1.5); // the same by enumeration
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Sequences {
    vocabulary: usize,
    length: usize,
    end: Option<usize>,
}

/// Sequences that cannot be enumerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SequenceError {
    /// There must be a token and a place for it.
    #[error("expected a vocabulary and a length of at least 1, got {vocabulary} and {length}")]
    Empty {
        /// The vocabulary.
        vocabulary: usize,
        /// The length.
        length: usize,
    },
    /// There are too many.
    #[error("expected at most {most} prefixes, {vocabulary} tokens to the length {length} have more")]
    TooMany {
        /// The limit.
        most: usize,
        /// The vocabulary.
        vocabulary: usize,
        /// The length.
        length: usize,
    },
    /// The end token must be a token.
    #[error("expected an end token below {vocabulary}, got {got}")]
    End {
        /// The vocabulary.
        vocabulary: usize,
        /// The token.
        got: usize,
    },
}

const MOST: usize = 1 << 20;

impl Sequences {
    /// Sequences of `length` tokens, or fewer where the token `end` closes one.
    ///
    /// # Errors
    /// If there is no sequence, or there are more than 2²⁰ prefixes, or `end` is no token.
    pub const fn new(vocabulary: usize, length: usize, end: Option<usize>) -> Result<Self, SequenceError> {
        if vocabulary == 0 || length == 0 {
            return Err(SequenceError::Empty { vocabulary, length });
        }
        if let Some(got) = end
            && got >= vocabulary
        {
            return Err(SequenceError::End { vocabulary, got });
        }
        let (mut prefixes, mut t, mut width) = (1, 1, 1_usize);
        while t < length {
            width = width.saturating_mul(vocabulary);
            prefixes += if width > MOST { MOST } else { width };
            if prefixes > MOST {
                return Err(SequenceError::TooMany { most: MOST, vocabulary, length });
            }
            t += 1;
        }
        Ok(Self { vocabulary, length, end })
    }

    /// Number of prefixes from which a token may be drawn.
    #[must_use]
    pub fn n_prefixes(&self) -> usize {
        (0..self.length as u32).map(|t| self.vocabulary.pow(t)).sum()
    }

    /// The state of a prefix of fewer than `length` tokens; `None` for anything longer or not of these tokens.
    #[must_use]
    pub fn prefix(&self, tokens: &[usize]) -> Option<usize> {
        let fits = tokens.len() < self.length && tokens.iter().all(|&t| t < self.vocabulary);
        fits.then(|| tokens.iter().fold(0, |state, &token| self.child(state, token)))
    }

    /// Prefixes are numbered like a heap.
    const fn child(&self, state: usize, token: usize) -> usize {
        state * self.vocabulary + token + 1
    }

    /// The tokens of a state.
    #[must_use]
    pub fn tokens(&self, mut state: usize) -> Vec<usize> {
        let mut tokens = vec![];
        while state > 0 {
            tokens.push((state - 1) % self.vocabulary);
            state = (state - 1) / self.vocabulary;
        }
        tokens.reverse();
        tokens
    }

    fn is_complete(&self, tokens: &[usize]) -> bool {
        tokens.len() == self.length || (self.end.is_some() && tokens.last().copied() == self.end)
    }

    /// The tree as an MDP: a complete sequence pays `reward` at its last token and terminates.
    ///
    /// # Errors
    /// If a reward is not finite.
    pub fn table(&self, mut reward: impl FnMut(&[usize]) -> f64) -> Result<Table, TableError> {
        let n = self.n_prefixes();
        Table::from_fn(n, self.vocabulary, point(n, 0), |s, token| {
            let mut tokens = self.tokens(s);
            if self.end.is_some() && tokens.last().copied() == self.end {
                return surely(s, 0.0, true);
            }
            tokens.push(token);
            let complete = self.is_complete(&tokens);
            let next = if complete { s } else { self.child(s, token) };
            surely(next, if complete { reward(&tokens) } else { 0.0 }, complete)
        })
    }

    /// All complete sequences, in depth-first order.
    #[must_use]
    pub fn all(&self) -> Vec<Vec<usize>> {
        let (mut complete, mut open) = (vec![], vec![vec![]]);
        while let Some(tokens) = open.pop() {
            if self.is_complete(&tokens) {
                complete.push(tokens);
            } else {
                open.extend((0..self.vocabulary).rev().map(|t| [tokens.as_slice(), &[t]].concat()));
            }
        }
        complete
    }

    /// π(y) = Π_t π(y_t | y_<t); 0 where the policy has no such state.
    #[must_use]
    pub fn probability(&self, policy: &crate::dp::StateActions, tokens: &[usize]) -> f64 {
        let mut state = 0;
        let mut probability = 1.0;
        for &token in tokens {
            probability *= policy.row(state).get(token).copied().unwrap_or(0.0);
            state = self.child(state, token);
        }
        probability
    }

    /// E_{y ~ π} f(y), by enumeration.
    #[must_use]
    pub fn expectation(&self, policy: &crate::dp::StateActions, mut f: impl FnMut(&[usize]) -> f64) -> f64 {
        self.all().iter().map(|y| self.probability(policy, y) * f(y)).sum()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    vocabulary: usize,
    length: usize,
    #[serde(default)]
    end: Option<usize>,
}

impl TryFrom<Unchecked> for Sequences {
    type Error = SequenceError;

    fn try_from(u: Unchecked) -> Result<Self, SequenceError> {
        Self::new(u.vocabulary, u.length, u.end)
    }
}

impl From<Sequences> for Unchecked {
    fn from(s: Sequences) -> Self {
        Self { vocabulary: s.vocabulary, length: s.length, end: s.end }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests state exact values")]
    use tdrm_core::Discount;

    use super::*;
    use crate::dp::{StateActions, entropy, expected_return, kl};

    #[test]
    fn prefixes_are_numbered_by_length_then_alphabet() {
        let s = Sequences::new(3, 3, None).unwrap();
        assert_eq!(s.n_prefixes(), 1 + 3 + 9);
        assert!((0..13).all(|state| s.prefix(&s.tokens(state)) == Some(state)));
        assert_eq!((s.tokens(4), s.prefix(&[0, 0, 0]), s.prefix(&[3])), (vec![0, 0], None, None));
    }

    #[test]
    fn an_end_token_closes_early() {
        // 0 ends: 0, 10, 110, 111
        let s = Sequences::new(2, 3, Some(0)).unwrap();
        assert_eq!(s.all(), [vec![0], vec![1, 0], vec![1, 1, 0], vec![1, 1, 1]]);
        let uniform = StateActions::from_fn(s.n_prefixes(), 2, |_, _| 0.5);
        // lengths 1, 2, 3, 3 with 1/2, 1/4, 1/8, 1/8
        assert_eq!(s.expectation(&uniform, |y| y.len() as f64), 1.75);
    }

    #[test]
    fn enumeration_and_dynamic_programming_agree() {
        let s = Sequences::new(3, 3, Some(2)).unwrap();
        let wave = |i: usize| (i as f64 * 1.7).sin();
        let f = |y: &[usize]| y.iter().fold(0.3, |x, &t| 0.5 * x + wave(t + 1));
        let tree = s.table(f).unwrap();
        let policy = StateActions::from_fn(s.n_prefixes(), 3, |s, a| wave(3 * s + a)).softmax();
        let reference = StateActions::uniform(&tree);
        let total: f64 = s.expectation(&policy, |_| 1.0);
        assert!((total - 1.0).abs() < 1e-14);
        let mean = expected_return(&tree, Discount::ONE, &policy).unwrap();
        assert!((mean - s.expectation(&policy, f)).abs() < 1e-14);
        let log = |p: &StateActions, y: &[usize]| s.probability(p, y).ln();
        let divergence = s.expectation(&policy, |y| log(&policy, y) - log(&reference, y));
        assert!((kl(&tree, Discount::ONE, &policy, &reference).unwrap() - divergence).abs() < 1e-13);
        let nats = s.expectation(&policy, |y| -log(&policy, y));
        assert!((entropy(&tree, Discount::ONE, &policy).unwrap() - nats).abs() < 1e-13);
    }

    #[test]
    fn what_cannot_be_enumerated_is_refused() {
        assert!(matches!(Sequences::new(50_000, 20, None), Err(SequenceError::TooMany { .. })));
        assert!(Sequences::new(0, 3, None).is_err() && Sequences::new(2, 2, Some(2)).is_err());
        assert!(serde_json::from_str::<Sequences>(r#"{"vocabulary":9,"length":99}"#).is_err());
    }
}
