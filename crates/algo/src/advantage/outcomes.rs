//! One reward per sample, with what estimators may need beside it.

use tdrm_core::{Real, ShapeError};

use super::{AdvantageError, Groups};

/// Rewards of a batch of samples, checked once.
///
/// ```text
/// rewards    [N]
/// groups     [N]  which samples answer the same prompt; integers in any order
/// lengths    [N]  tokens of each response, optional
/// baselines  [N]  rewards of the greedy responses, optional
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcomes<'a, F> {
    rewards: &'a [F],
    groups: Option<&'a [i64]>,
    lengths: Option<&'a [F]>,
    baselines: Option<&'a [F]>,
}

impl<'a, F: Real> Outcomes<'a, F> {
    /// Rewards without groups.
    ///
    /// # Errors
    /// If there are none.
    pub const fn new(rewards: &'a [F]) -> Result<Self, AdvantageError> {
        if rewards.is_empty() {
            return Err(AdvantageError::Empty);
        }
        Ok(Self { rewards, groups: None, lengths: None, baselines: None })
    }

    /// Adds group ids.
    ///
    /// # Errors
    /// If there are not N.
    pub fn with_groups(self, groups: &'a [i64]) -> Result<Self, AdvantageError> {
        ShapeError::check("groups", self.rewards.len(), groups.len())?;
        Ok(Self { groups: Some(groups), ..self })
    }

    /// Adds lengths.
    ///
    /// # Errors
    /// If there are not N.
    pub fn with_lengths(self, lengths: &'a [F]) -> Result<Self, AdvantageError> {
        ShapeError::check("lengths", self.rewards.len(), lengths.len())?;
        Ok(Self { lengths: Some(lengths), ..self })
    }

    /// Adds rewards of greedy responses.
    ///
    /// # Errors
    /// If there are not N.
    pub fn with_baselines(self, baselines: &'a [F]) -> Result<Self, AdvantageError> {
        ShapeError::check("baselines", self.rewards.len(), baselines.len())?;
        Ok(Self { baselines: Some(baselines), ..self })
    }

    /// r, `[N]`, not empty.
    #[must_use]
    pub const fn rewards(&self) -> &'a [F] {
        self.rewards
    }

    pub(super) fn groups(&self, estimator: &'static str) -> Result<Groups, AdvantageError> {
        self.groups.map(Groups::of).ok_or(AdvantageError::Missing { column: "groups", estimator })
    }

    pub(super) fn lengths(&self, estimator: &'static str) -> Result<&'a [F], AdvantageError> {
        self.lengths.ok_or(AdvantageError::Missing { column: "lengths", estimator })
    }

    pub(super) fn baselines(&self, estimator: &'static str) -> Result<&'a [F], AdvantageError> {
        self.baselines.ok_or(AdvantageError::Missing { column: "baselines", estimator })
    }

    /// Applies `rule` to the rewards of each group: the indices and rewards of its members in, one advantage per
    /// member out.
    pub(super) fn per_group(&self, groups: &Groups, mut rule: impl FnMut(&[usize], &[F]) -> Vec<F>) -> Vec<F> {
        let mut out = vec![F::zero(); self.rewards.len()];
        for members in groups.iter() {
            let rewards: Vec<F> = members.iter().map(|&i| self.rewards[i]).collect();
            for (&i, a) in members.iter().zip(rule(members, &rewards)) {
                out[i] = a;
            }
        }
        out
    }
}
