//! Rules that change or forbid single scores, before any of them is compared with another.

use tdrm_core::Positive;

use super::config::ONE;
use super::{History, SamplingConfig, SamplingError};

/// Marks tokens in a vocabulary; forgetting all marks costs nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    stamps: Vec<u32>,
    now: u32,
}

impl Marks {
    /// Forgets all marks.
    fn clear(&mut self, vocabulary: usize) {
        if self.now == u32::MAX {
            self.stamps.fill(0);
            self.now = 0;
        }
        self.stamps.resize(vocabulary, 0);
        self.now += 1;
    }

    /// True if the token had no mark.
    fn mark(&mut self, token: usize) -> bool {
        std::mem::replace(&mut self.stamps[token], self.now) != self.now
    }
}

/// Scores of one step on their way through the rules.
pub(super) struct Scores<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) history: History<'a>,
    pub(super) marks: &'a mut Marks,
}

impl Scores<'_> {
    /// All rules of a config, in the order of transformers.
    pub(super) fn process(&mut self, config: &SamplingConfig) -> Result<(), SamplingError> {
        self.bias(&config.sequence_bias)?;
        self.penalise(config.repetition_penalty)?;
        self.ban_ngrams(config.no_repeat_ngram_size)?;
        self.ban_words(&config.bad_words_ids, &config.eos_token_id)?;
        let history = self.history;
        if history.tokens().len() < config.min_length || history.generated() < config.min_new_tokens {
            self.suppress(&config.eos_token_id);
        }
        self.force(&config.forced_prefix)?;
        self.suppress(&config.suppress_tokens);
        if history.generated() == 0 {
            self.suppress(&config.begin_suppress_tokens);
        }
        Ok(())
    }

    fn bias(&mut self, sequences: &[(Vec<u32>, f32)]) -> Result<(), SamplingError> {
        for (sequence, bias) in sequences {
            if let Some(token) = completing(sequence, self.history.tokens()) {
                *self.at(token, "sequence_bias")? += bias;
            }
        }
        Ok(())
    }

    /// `z ← z / θ` if positive, `z θ` if not, once for each token of the history.
    fn penalise(&mut self, penalty: Positive) -> Result<(), SamplingError> {
        if penalty == ONE {
            return Ok(());
        }
        let theta: f32 = penalty.get();
        self.marks.clear(self.values.len());
        for &token in self.history.tokens() {
            let score = self.at(token, "the history")?;
            let penalised = if *score < 0.0 { *score * theta } else { *score / theta };
            if self.marks.mark(token as usize) {
                self.values[token as usize] = penalised;
            }
        }
        Ok(())
    }

    /// Bans every token that once followed the last n − 1 tokens.
    fn ban_ngrams(&mut self, n: usize) -> Result<(), SamplingError> {
        let tokens = self.history.tokens();
        if n == 0 || tokens.len() < n {
            return Ok(());
        }
        let suffix = &tokens[tokens.len() + 1 - n..];
        for ngram in tokens.windows(n).filter(|ngram| ngram.starts_with(suffix)) {
            *self.at(ngram[n - 1], "the history")? = f32::NEG_INFINITY;
        }
        Ok(())
    }

    fn ban_words(&mut self, words: &[Vec<u32>], eos: &[u32]) -> Result<(), SamplingError> {
        for word in words.iter().filter(|word| !matches!(word[..], [token] if eos.contains(&token))) {
            if let Some(token) = completing(word, self.history.tokens()) {
                *self.at(token, "bad_words_ids")? = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }

    fn force(&mut self, prefix: &[u32]) -> Result<(), SamplingError> {
        if let Some(&token) = prefix.get(self.history.generated()) {
            self.values.fill(f32::NEG_INFINITY);
            *self.at(token, "forced_prefix")? = 0.0;
        }
        Ok(())
    }

    /// Tokens beyond the vocabulary need no suppression.
    fn suppress(&mut self, tokens: &[u32]) {
        for &token in tokens {
            if let Some(score) = self.values.get_mut(token as usize) {
                *score = f32::NEG_INFINITY;
            }
        }
    }

    fn at(&mut self, token: u32, place: &'static str) -> Result<&mut f32, SamplingError> {
        let vocabulary = self.values.len();
        self.values.get_mut(token as usize).ok_or(SamplingError::Token { place, token, vocabulary })
    }
}

/// The last token of a sequence if the history ends with those before it.
fn completing(sequence: &[u32], history: &[u32]) -> Option<u32> {
    let (&last, before) = sequence.split_last()?;
    history.ends_with(before).then_some(last)
}
