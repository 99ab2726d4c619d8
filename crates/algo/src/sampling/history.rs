//! Prompt and generated tokens of one sequence.

use super::SamplingError;

/// The tokens before the next one: the prompt, then what was generated.
///
/// Penalties and n-grams look at all of it, as in transformers; `min_new_tokens` counts from the end of the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History<'a> {
    tokens: &'a [u32],
    prompt: usize,
}

impl<'a> History<'a> {
    /// A history whose first `prompt` tokens were given.
    ///
    /// # Errors
    /// If it has fewer tokens.
    pub const fn new(tokens: &'a [u32], prompt: usize) -> Result<Self, SamplingError> {
        if prompt > tokens.len() {
            return Err(SamplingError::Prompt { tokens: tokens.len(), prompt });
        }
        Ok(Self { tokens, prompt })
    }

    /// A history of which nothing was generated yet.
    #[must_use]
    pub const fn prompt(tokens: &'a [u32]) -> Self {
        Self { tokens, prompt: tokens.len() }
    }

    /// Prompt and generated tokens.
    #[must_use]
    pub const fn tokens(self) -> &'a [u32] {
        self.tokens
    }

    /// Number of generated tokens.
    #[must_use]
    pub const fn generated(self) -> usize {
        self.tokens.len() - self.prompt
    }
}
