//! The level of the importance ratio.

use serde::{Deserialize, Serialize};

/// Over what the log-ratio `x = log π − log π_old` is pooled before the surrogate sees it.
///
/// ```text
/// token                x_t
/// step_mean, step_sum  mean or sum of x over the tokens of t's step
/// sequence_mean        x̄ = Σ_t x_t / |y|                    GSPO (2507.18071) eq. 7
/// sequence_sum         Σ_t x_t, the true sequence ratio      RLOO (2402.14740) §3
/// sequence_mean_token  sg[x̄] + log π_t − sg[log π_t]         GSPO-token, eq. 14: the value of the sequence, the
///                                                            gradient of the token
/// sequence_sum_token   the same with the sum                 VESPO
/// ```
///
/// At the levels without `_token`, `log π` itself is pooled alike for surrogates that use it, so that the score
/// function at `sequence_sum` is REINFORCE on the probability of the whole sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RatioLevel {
    /// Each token on its own: PPO, GRPO.
    #[default]
    Token,
    /// Geometric mean over the step.
    StepMean,
    /// Product over the step.
    StepSum,
    /// Geometric mean over the sequence: GSPO.
    SequenceMean,
    /// Product over the sequence.
    SequenceSum,
    /// Value of `SequenceMean`, gradient of each token: GSPO-token.
    SequenceMeanToken,
    /// Value of `SequenceSum`, gradient of each token.
    SequenceSumToken,
}

/// How a pooled value depends on its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    Mean,
    Sum,
}

impl RatioLevel {
    pub(super) fn pool(self) -> Pool {
        match self {
            Self::StepMean | Self::SequenceMean | Self::SequenceMeanToken => Pool::Mean,
            Self::Token | Self::StepSum | Self::SequenceSum | Self::SequenceSumToken => Pool::Sum,
        }
    }

    /// Whether each token keeps its own gradient.
    pub(super) fn own_gradient(self) -> bool {
        matches!(self, Self::Token | Self::SequenceMeanToken | Self::SequenceSumToken)
    }

    pub(super) fn by_step(self) -> bool {
        matches!(self, Self::StepMean | Self::StepSum)
    }

    /// The name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::StepMean => "step_mean",
            Self::StepSum => "step_sum",
            Self::SequenceMean => "sequence_mean",
            Self::SequenceSum => "sequence_sum",
            Self::SequenceMeanToken => "sequence_mean_token",
            Self::SequenceSumToken => "sequence_sum_token",
        }
    }
}
