//! Token sequences, packed: the tokens of all sequences one after another, without padding.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tdrm_kernels::Rows;

use crate::{LmError, ModelConfig};

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

/// A sequence and the positions at which the head for scores is read.
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

/// Packed sequences and the rows whose outputs are wanted.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub(crate) tokens: Vec<u32>,
    pub(crate) rows: Arc<Rows>,
    /// Ascending rows, `[P]`.
    pub(crate) picks: Vec<usize>,
    /// The tokens to be scored there, `[P]`; empty where scores are read.
    pub(crate) targets: Vec<u32>,
    pub(crate) outputs: OutputShape,
}

impl Packed {
    fn new<'a>(
        config: &ModelConfig,
        sequences: impl Iterator<Item = &'a [u32]> + Clone,
        mut picks: impl FnMut(usize, usize) -> Result<Vec<usize>, LmError>,
    ) -> Result<Self, LmError> {
        let (mut tokens, mut at, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for (i, sequence) in sequences.clone().enumerate() {
            check_tokens(config, i, sequence)?;
            let positions = picks(i, sequence.len())?;
            counts.push(positions.len());
            at.extend(positions.into_iter().map(|position| tokens.len() + position));
            tokens.extend_from_slice(sequence);
        }
        let rows = Arc::new(Rows::new(sequences.map(<[u32]>::len))?);
        Ok(Self { tokens, rows, picks: at, targets: Vec::new(), outputs: OutputShape { counts } })
    }

    /// Packs sequences for their targets' log-probabilities.
    pub(crate) fn for_targets(config: &ModelConfig, batch: &[Sequence]) -> Result<Self, LmError> {
        let picks = |sequence: usize, len: usize| {
            let prompt_len = batch[sequence].prompt_len;
            if !(1..=len).contains(&prompt_len) {
                let expected = format!("1 to {len}");
                return Err(LmError::Sequence { sequence, what: "prompt_len", expected, got: prompt_len });
            }
            Ok((prompt_len - 1..len - 1).collect())
        };
        let packed = Self::new(config, batch.iter().map(|sequence| sequence.tokens.as_slice()), picks)?;
        Ok(Self { targets: batch.iter().flat_map(Sequence::targets).copied().collect(), ..packed })
    }

    /// Packs sequences for the head for scores at the given positions.
    pub(crate) fn for_positions(config: &ModelConfig, batch: &[ValueSequence]) -> Result<Self, LmError> {
        let picks = |sequence: usize, len: usize| {
            let positions = &batch[sequence].positions;
            let descending = positions.windows(2).find(|pair| pair[0] >= pair[1]).map(|pair| pair[1]);
            match descending.or(positions.last().copied().filter(|last| *last >= len)) {
                Some(got) => {
                    let expected = format!("ascending positions below {len}");
                    Err(LmError::Sequence { sequence, what: "position", expected, got })
                }
                None => Ok(positions.clone()),
            }
        };
        Self::new(config, batch.iter().map(|sequence| sequence.tokens.as_slice()), picks)
    }

    /// Packs one sequence for outputs at every position.
    pub(crate) fn for_all(config: &ModelConfig, tokens: &[u32]) -> Result<Self, LmError> {
        Self::new(config, std::iter::once(tokens), |_, len| Ok((0..len).collect()))
    }
}

/// How many outputs each sequence has, `[B]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputShape {
    counts: Vec<usize>,
}

impl OutputShape {
    /// Outputs in all, P.
    pub(crate) fn len(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Cuts `[P]` outputs into the sequences'.
    pub(crate) fn ragged<T: Clone>(&self, flat: &[T]) -> Vec<Vec<T>> {
        let mut start = 0;
        let cut = |count: &usize| {
            start += count;
            flat[start - count..start].to_vec()
        };
        self.counts.iter().map(cut).collect()
    }

    /// Joins the sequences' coefficients to `[P]`, after checking their shape and that they are finite; none at all
    /// stands for zeros.
    pub(crate) fn flat(&self, what: &'static str, ragged: &[Vec<f64>]) -> Result<Vec<f32>, LmError> {
        if ragged.is_empty() {
            return Ok(vec![0.0; self.len()]);
        }
        if ragged.len() != self.counts.len() {
            return Err(LmError::Coefficients { what, expected: self.counts.len(), got: ragged.len() });
        }
        for (row, &expected) in ragged.iter().zip(&self.counts) {
            if row.len() != expected {
                return Err(LmError::Coefficients { what, expected, got: row.len() });
            }
            if !row.iter().all(|c| c.is_finite()) {
                return Err(LmError::NotFinite { what: format!("a coefficient of {what}") });
            }
        }
        Ok(ragged.iter().flatten().map(|&c| c as f32).collect())
    }
}

/// `Ok` if the sequence is not empty, not too long and inside the vocabulary.
pub(crate) fn check_tokens(config: &ModelConfig, sequence: usize, tokens: &[u32]) -> Result<(), LmError> {
    let longest = config.longest();
    if !(1..=longest).contains(&tokens.len()) {
        let expected = format!("1 to {longest} tokens");
        return Err(LmError::Sequence { sequence, what: "length", expected, got: tokens.len() });
    }
    let vocabulary = config.vocab_size;
    match tokens.iter().find(|&&token| token as usize >= vocabulary) {
        Some(&token) => Err(LmError::Token { sequence, token, vocabulary }),
        None => Ok(()),
    }
}

/// `Ok` for a positive, finite temperature.
pub(crate) fn check_temperature(temperature: f32) -> Result<(), LmError> {
    if temperature.is_finite() && temperature > 0.0 {
        return Ok(());
    }
    Err(LmError::setting("temperature", "a positive number", temperature))
}

/// Cuts a batch into consecutive parts of at most `budget` tokens (or one sequence).
pub(crate) fn micro_batches<T>(batch: &[T], budget: usize, len: impl Fn(&T) -> usize) -> Vec<Range<usize>> {
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
