//! What goes wrong when decoding.

use tdrm_core::OutOfRange;

/// A step of decoding that has no answer.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplingError {
    /// A logit is NaN or +∞.
    #[error("expected logits in [-inf, inf), got {got} for token {token}")]
    Logit {
        /// The first such token.
        token: usize,
        /// Its logit.
        got: f32,
    },
    /// No logit is above −∞, or there is none at all.
    #[error("expected a logit above -inf, got none among {vocabulary}")]
    NoLogit {
        /// Number of logits.
        vocabulary: usize,
    },
    /// Bans and suppressions left no token.
    #[error("expected a token to choose from, bans and suppressions left none of {vocabulary}")]
    NothingLeft {
        /// Number of logits.
        vocabulary: usize,
    },
    /// A score left the range of single precision on its way through penalty, bias or temperature.
    #[error(
        "expected scores that single precision holds, got {got} for token {token} after penalty, bias and temperature"
    )]
    Overflow {
        /// The first such token.
        token: usize,
        /// Its score.
        got: f32,
    },
    /// A token is not in the vocabulary.
    #[error("expected tokens below {vocabulary}, got {token} in {place}")]
    Token {
        /// Where it stands: a config key, or the history.
        place: &'static str,
        /// The token.
        token: u32,
        /// Number of logits.
        vocabulary: usize,
    },
    /// The random number is none.
    #[error("expected a uniform number in [0, 1), got {got}")]
    Uniform {
        /// What came.
        got: f64,
    },
    /// The prompt is longer than the history that begins with it.
    #[error("expected a prompt of at most {tokens} tokens, got {prompt}")]
    Prompt {
        /// Length of the history.
        tokens: usize,
        /// Length of the prompt.
        prompt: usize,
    },
}

/// Settings of decoding that cannot be followed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplingConfigError {
    /// A number outside its range.
    #[error(transparent)]
    Range(#[from] OutOfRange),
    /// A sequence to ban or to bias has no token.
    #[error("expected sequences of at least one token in {key}, got an empty one at {at}")]
    EmptySequence {
        /// The config key.
        key: &'static str,
        /// Position in the list.
        at: usize,
    },
    /// A bias is NaN or infinite.
    #[error("expected finite biases in sequence_bias, got {got} at {at}")]
    Bias {
        /// Position in the list.
        at: usize,
        /// What came.
        got: f32,
    },
    /// More sequences are asked for than there are beams.
    #[error("expected num_return_sequences of at most {num_beams} beams, got {num_return_sequences}")]
    Returned {
        /// Beams.
        num_beams: usize,
        /// Sequences asked for.
        num_return_sequences: usize,
    },
    /// The exponent of the length is NaN or infinite.
    #[error("expected a finite length_penalty, got {got}")]
    LengthPenalty {
        /// What came.
        got: f64,
    },
    /// A setting of transformers that changes what is decoded and that is not implemented here.
    #[error("{key} is not supported: expected it to be absent or neutral")]
    Unsupported {
        /// The key in `generation_config.json`.
        key: &'static str,
    },
    /// A word where transformers has `true`, `false` or `"never"`.
    #[error("expected early_stopping to be true, false or \"never\", got {got:?}")]
    EarlyStopping {
        /// What came.
        got: String,
    },
}
