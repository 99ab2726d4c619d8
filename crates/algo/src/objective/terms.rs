//! What an objective sees of a sequence.

use tdrm_core::Real;

use super::ObjectiveError;

/// Advantages of one sequence: one number for all its tokens, or one per token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Advantages<'a, F> {
    /// The same advantage for every token.
    Sequence(F),
    /// `[T]`, one advantage per token.
    Token(&'a [F]),
}

impl<F: Real> Advantages<'_, F> {
    /// A_t.
    #[inline]
    pub(super) fn at(&self, t: usize) -> F {
        match self {
            Self::Sequence(advantage) => *advantage,
            Self::Token(advantages) => advantages[t],
        }
    }
}

/// The numbers of one sequence of `T` tokens; columns are `[T]`, and an empty column means "not given".
///
/// Nothing is padded. `mask` is for tokens that are not the policy's own (tool output), not for padding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SequenceTerms<'a, F> {
    /// log π of each token under the weights being trained.
    pub logp: &'a [F],
    /// log π_old, the weights that the batch was drawn with; empty: the same as `logp`, held fixed.
    pub old_logp: &'a [F],
    /// log π_ref; needed where a KL term or trajectory balance stands in the loss.
    pub ref_logp: &'a [F],
    /// log μ as the sampling engine reported it; needed by [`super::Mismatch`].
    pub rollout_logp: &'a [F],
    /// Entropy of each token's distribution in nats; needed by an entropy bonus and the entropy filter.
    pub entropy: &'a [F],
    /// KL(π‖π_ref) of each token's whole distribution, as the model computed it; needed by the estimator `full`.
    pub full_kl: &'a [F],
    /// Which tokens take part; empty: all.
    pub mask: &'a [bool],
    /// Exclusive ends of the steps, the last one `T`; needed by the step levels; empty: one step.
    pub step_ends: &'a [usize],
    /// The advantages.
    pub advantages: Advantages<'a, F>,
    /// ln Z of the prompt, for [`super::TrajectoryBalance`]; 0 elsewhere.
    pub log_z: F,
}

impl<'a, F: Real> SequenceTerms<'a, F> {
    /// An on-policy sequence: only log-probabilities and advantages.
    #[must_use]
    pub fn new(logp: &'a [F], advantages: Advantages<'a, F>) -> Self {
        Self {
            logp,
            old_logp: &[],
            ref_logp: &[],
            rollout_logp: &[],
            entropy: &[],
            full_kl: &[],
            mask: &[],
            step_ends: &[],
            advantages,
            log_z: F::zero(),
        }
    }

    /// Whether token `t` takes part.
    #[inline]
    pub(super) fn active(&self, t: usize) -> bool {
        self.mask.is_empty() || self.mask[t]
    }

    /// Number of tokens that take part.
    #[must_use]
    pub fn tokens(&self) -> usize {
        if self.mask.is_empty() { self.logp.len() } else { self.mask.iter().filter(|&&m| m).count() }
    }

    /// log π_t − log π_old,t; zero where the old log-probabilities are the current ones.
    #[inline]
    pub(super) fn log_ratio(&self, t: usize) -> F {
        if self.old_logp.is_empty() { F::zero() } else { self.logp[t] - self.old_logp[t] }
    }

    /// log π_old,t.
    #[inline]
    pub(super) fn old(&self, t: usize) -> F {
        if self.old_logp.is_empty() { self.logp[t] } else { self.old_logp[t] }
    }

    /// Checks the lengths of all columns that are given.
    pub(super) fn check(&self, sequence: usize) -> Result<(), ObjectiveError> {
        let expected = self.logp.len();
        let advantages = match self.advantages {
            Advantages::Sequence(_) => expected,
            Advantages::Token(advantages) => advantages.len(),
        };
        if advantages != expected {
            return Err(ObjectiveError::Length { sequence, column: "advantages", expected, got: advantages });
        }
        let columns = [
            ("old_logp", self.old_logp.len()),
            ("ref_logp", self.ref_logp.len()),
            ("rollout_logp", self.rollout_logp.len()),
            ("entropy", self.entropy.len()),
            ("full_kl", self.full_kl.len()),
            ("mask", self.mask.len()),
        ];
        match columns.into_iter().find(|&(_, got)| got != 0 && got != expected) {
            Some((column, got)) => Err(ObjectiveError::Length { sequence, column, expected, got }),
            None => self.check_steps(sequence),
        }
    }

    fn check_steps(&self, sequence: usize) -> Result<(), ObjectiveError> {
        let increasing = self.step_ends.windows(2).all(|pair| pair[0] < pair[1]);
        let complete = self.step_ends.last().is_none_or(|&end| end == self.logp.len());
        if increasing && complete {
            return Ok(());
        }
        Err(ObjectiveError::Steps { sequence, expected: self.logp.len(), got: self.step_ends.to_vec() })
    }

    /// Says which column is missing, where one is.
    pub(super) fn need(
        &self,
        column: &'static str,
        given: &[F],
        needed_by: &'static str,
        sequence: usize,
    ) -> Result<(), ObjectiveError> {
        if given.is_empty() && !self.logp.is_empty() {
            return Err(ObjectiveError::Missing { sequence, column, needed_by });
        }
        Ok(())
    }
}
