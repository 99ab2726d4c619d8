//! Batches of token sequences: packed without padding for a forward pass, and their ragged outputs.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Rows, ShapeError};

/// A prompt and what follows it; the targets are `tokens[prompt_len..]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// Prompt and continuation.
    pub tokens: Vec<u32>,
    /// Tokens that are given, at least 1: the first target is predicted from the last of them.
    pub prompt_len: usize,
}

impl Sequence {
    /// Joins a prompt and a continuation.
    #[must_use]
    pub fn new(prompt: &[u32], continuation: &[u32]) -> Self {
        Self { tokens: [prompt, continuation].concat(), prompt_len: prompt.len() }
    }

    /// The tokens whose log-probabilities count.
    #[must_use]
    pub fn targets(&self) -> &[u32] {
        self.tokens.get(self.prompt_len..).unwrap_or_default()
    }
}

/// A sequence and the positions at which a head for scores is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueSequence {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// Ascending positions: position p reads the state after `tokens[..=p]`.
    pub positions: Vec<usize>,
}

impl ValueSequence {
    /// A sequence that is read after its last token.
    #[must_use]
    pub fn at_the_end(tokens: &[u32]) -> Self {
        Self { tokens: tokens.to_vec(), positions: vec![tokens.len().saturating_sub(1)] }
    }

    /// A sequence that is read after every token.
    #[must_use]
    pub fn everywhere(tokens: &[u32]) -> Self {
        Self { tokens: tokens.to_vec(), positions: (0..tokens.len()).collect() }
    }
}

/// A batch that does not fit a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A token lies outside the vocabulary.
    #[error("sequence {sequence}: expected tokens below {vocabulary}, got {token}")]
    Token {
        /// Index of the sequence in its batch.
        sequence: usize,
        /// The token.
        token: u32,
        /// Size of the vocabulary.
        vocabulary: usize,
    },
    /// A sequence is empty, too long, or its parts do not fit.
    #[error("sequence {sequence}, {what}: expected {expected}, got {got}")]
    Sequence {
        /// Index of the sequence in its batch.
        sequence: usize,
        /// What was measured.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        got: usize,
    },
    /// The sequences cannot be packed.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// What a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tokens of the vocabulary, V.
    pub vocabulary: usize,
    /// Tokens of the longest sequence.
    pub longest: usize,
}

impl Limits {
    /// `Ok` if a sequence is not empty, not too long and inside the vocabulary.
    ///
    /// # Errors
    /// Names `sequence`, its index in the batch, and what is wrong with it.
    pub fn check(self, sequence: usize, tokens: &[u32]) -> Result<(), BatchError> {
        let Self { vocabulary, longest } = self;
        if !(1..=longest).contains(&tokens.len()) {
            let expected = format!("1 to {longest} tokens");
            return Err(BatchError::Sequence { sequence, what: "length", expected, got: tokens.len() });
        }
        match tokens.iter().find(|&&token| token as usize >= vocabulary) {
            Some(&token) => Err(BatchError::Token { sequence, token, vocabulary }),
            None => Ok(()),
        }
    }
}

/// The tokens of all sequences one after another, and the rows whose outputs are wanted.
#[derive(Debug, Clone)]
pub struct Packed {
    /// `[N]`.
    pub tokens: Vec<u32>,
    /// Where the sequences lie.
    pub rows: Arc<Rows>,
    /// Ascending rows, `[P]`.
    pub picks: Vec<usize>,
    /// The tokens to be scored there, `[P]`; empty where scores are read.
    pub targets: Vec<u32>,
    /// How the outputs belong to the sequences.
    pub outputs: OutputShape,
}

impl Packed {
    /// Packs sequences; `picks` tells the positions of interest of sequence i.
    fn new<'a>(
        limits: Limits,
        sequences: impl Iterator<Item = &'a [u32]> + Clone,
        mut picks: impl FnMut(usize, usize) -> Result<Vec<usize>, BatchError>,
    ) -> Result<Self, BatchError> {
        let (mut tokens, mut at, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for (i, sequence) in sequences.clone().enumerate() {
            limits.check(i, sequence)?;
            let positions = picks(i, sequence.len())?;
            counts.push(positions.len());
            at.extend(positions.into_iter().map(|position| tokens.len() + position));
            tokens.extend_from_slice(sequence);
        }
        let rows = Arc::new(Rows::new(sequences.map(<[u32]>::len))?);
        Ok(Self { tokens, rows, picks: at, targets: Vec::new(), outputs: OutputShape { counts } })
    }

    /// Packs sequences for their targets' log-probabilities.
    ///
    /// # Errors
    /// If a sequence does not fit the limits or has no token before its first target.
    pub fn for_targets(limits: Limits, batch: &[Sequence]) -> Result<Self, BatchError> {
        let picks = |sequence: usize, len: usize| {
            let prompt_len = batch[sequence].prompt_len;
            if !(1..=len).contains(&prompt_len) {
                let expected = format!("1 to {len}");
                return Err(BatchError::Sequence { sequence, what: "prompt_len", expected, got: prompt_len });
            }
            Ok((prompt_len - 1..len - 1).collect())
        };
        let packed = Self::new(limits, batch.iter().map(|sequence| sequence.tokens.as_slice()), picks)?;
        Ok(Self { targets: batch.iter().flat_map(Sequence::targets).copied().collect(), ..packed })
    }

    /// Packs sequences for a head for scores at the given positions.
    ///
    /// # Errors
    /// If a sequence does not fit the limits, or its positions do not ascend or leave it.
    pub fn for_positions(limits: Limits, batch: &[ValueSequence]) -> Result<Self, BatchError> {
        let picks = |sequence: usize, len: usize| {
            let positions = &batch[sequence].positions;
            let descending = positions.windows(2).find(|pair| pair[0] >= pair[1]).map(|pair| pair[1]);
            match descending.or(positions.last().copied().filter(|last| *last >= len)) {
                Some(got) => {
                    let expected = format!("ascending positions below {len}");
                    Err(BatchError::Sequence { sequence, what: "position", expected, got })
                }
                None => Ok(positions.clone()),
            }
        };
        Self::new(limits, batch.iter().map(|sequence| sequence.tokens.as_slice()), picks)
    }

    /// Packs sequences for outputs at every position.
    ///
    /// # Errors
    /// If a sequence does not fit the limits.
    pub fn for_all(limits: Limits, batch: &[&[u32]]) -> Result<Self, BatchError> {
        Self::new(limits, batch.iter().copied(), |_, len| Ok((0..len).collect()))
    }
}

/// Coefficients that do not have the shape of the outputs that they belong to, or are no numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CoefficientError {
    /// Too few or too many.
    #[error("coefficients of {what}: expected {expected}, got {got}")]
    Count {
        /// Which coefficients.
        what: &'static str,
        /// How many.
        expected: usize,
        /// How many came.
        got: usize,
    },
    /// One is not finite.
    #[error("a coefficient of {what} is not finite")]
    NotFinite {
        /// Which coefficients.
        what: &'static str,
    },
}

/// How many outputs each sequence has, `[B]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputShape {
    counts: Vec<usize>,
}

impl OutputShape {
    /// Outputs in all, P.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Whether there is no output.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cuts `[P]` outputs into the sequences'.
    ///
    /// # Panics
    /// If there are fewer outputs than that.
    pub fn ragged<T: Clone>(&self, flat: &[T]) -> Vec<Vec<T>> {
        let mut start = 0;
        let cut = |count: &usize| {
            start += count;
            flat[start - count..start].to_vec()
        };
        self.counts.iter().map(cut).collect()
    }

    /// Joins the sequences' coefficients to `[P]`.
    ///
    /// # Errors
    /// If they have another shape or one is not finite.
    pub fn flat<F: Copy + Into<f64>>(
        &self,
        what: &'static str,
        ragged: &[Vec<F>],
    ) -> Result<Vec<f32>, CoefficientError> {
        if ragged.len() != self.counts.len() {
            return Err(CoefficientError::Count { what, expected: self.counts.len(), got: ragged.len() });
        }
        for (row, &expected) in ragged.iter().zip(&self.counts) {
            if row.len() != expected {
                return Err(CoefficientError::Count { what, expected, got: row.len() });
            }
            if !row.iter().all(|&c| c.into().is_finite()) {
                return Err(CoefficientError::NotFinite { what });
            }
        }
        Ok(ragged.iter().flatten().map(|&c| c.into() as f32).collect())
    }
}

/// Cuts a batch into consecutive parts of at most `budget` tokens (or one sequence).
pub fn micro_batches<T>(batch: &[T], budget: usize, len: impl Fn(&T) -> usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (i, item) in batch.iter().enumerate() {
        if tokens > 0 && tokens + len(item) > budget {
            parts.push(start..i);
            (start, tokens) = (i, 0);
        }
        tokens += len(item);
    }
    if start < batch.len() {
        parts.push(start..batch.len());
    }
    parts
}
