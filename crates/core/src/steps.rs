//! A borrowed, columnar, shape-checked view of one trajectory.

use crate::Real;

/// Column lengths disagree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{column}` has {got} entries, expected {expected}")]
#[non_exhaustive]
pub struct ShapeError {
    /// Name of the column.
    pub column: &'static str,
    /// Entries it should have.
    pub expected: usize,
    /// Entries it has.
    pub got: usize,
}

impl ShapeError {
    /// Checks one column.
    ///
    /// # Errors
    /// If `got` differs from `expected`.
    pub const fn check(column: &'static str, expected: usize, got: usize) -> Result<(), Self> {
        if expected == got { Ok(()) } else { Err(Self { column, expected, got }) }
    }
}

/// One transition as the formulas see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transition<F> {
    /// r, the reward of leaving the state.
    pub reward: F,
    /// γ, 0 when the successor is terminal.
    pub discount: F,
    /// v(s).
    pub value: F,
    /// v(s').
    pub next_value: F,
}

/// `T` transitions and `T + 1` values of one trajectory.
///
/// ```text
/// rewards   [T]     r_t, of the step leaving s_t
/// discounts [T]     γ_t, in [0, 1]; 0 after a terminal step, kept (and bootstrapped) after a truncation
/// values    [T+1]   v(s_t); the last is the bootstrap value
/// ```
///
/// Two optional columns serve off-policy targets: `log_ratios` `[T]` (log π − log μ of the action at t; on-policy
/// where absent) and `q_values` `[T]` (Q(s_t, a_t)). Shapes are checked here; every formula after it is total.
///
/// ```
/// use tdrm_core::Steps;
/// let steps = Steps::new(&[0.0, 1.0], &[0.9, 0.0], &[0.5, 0.6, 0.0])?;
/// assert_eq!(steps.len(), 2);
/// # Ok::<(), tdrm_core::ShapeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps<'a, F> {
    rewards: &'a [F],
    discounts: &'a [F],
    values: &'a [F],
    log_ratios: Option<&'a [F]>,
    q_values: Option<&'a [F]>,
}

impl<'a, F: Real> Steps<'a, F> {
    /// Checks the shapes once.
    ///
    /// # Errors
    /// If `discounts.len() != T` or `values.len() != T + 1`.
    pub const fn new(rewards: &'a [F], discounts: &'a [F], values: &'a [F]) -> Result<Self, ShapeError> {
        if let Err(e) = ShapeError::check("discounts", rewards.len(), discounts.len()) {
            return Err(e);
        }
        if let Err(e) = ShapeError::check("values", rewards.len() + 1, values.len()) {
            return Err(e);
        }
        Ok(Self { rewards, discounts, values, log_ratios: None, q_values: None })
    }

    /// Adds log π(a_t|s_t) − log μ(a_t|s_t), `[T]`.
    ///
    /// # Errors
    /// If `log_ratios.len() != T`.
    pub fn with_log_ratios(self, log_ratios: &'a [F]) -> Result<Self, ShapeError> {
        ShapeError::check("log_ratios", self.len(), log_ratios.len())?;
        Ok(Self { log_ratios: Some(log_ratios), ..self })
    }

    /// Adds Q(s_t, a_t), `[T]`.
    ///
    /// # Errors
    /// If `q_values.len() != T`.
    pub fn with_q_values(self, q_values: &'a [F]) -> Result<Self, ShapeError> {
        ShapeError::check("q_values", self.len(), q_values.len())?;
        Ok(Self { q_values: Some(q_values), ..self })
    }

    /// Number of transitions T.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rewards.len()
    }

    /// True for the empty trajectory.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rewards.is_empty()
    }

    /// Transitions in time order.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Transition<F>> + ExactSizeIterator + use<'a, F> {
        let now = self.values.iter();
        let next = self.values[1..].iter();
        let columns = self.rewards.iter().zip(self.discounts).zip(now.zip(next));
        columns.map(|((&reward, &discount), (&value, &next_value))| Transition { reward, discount, value, next_value })
    }

    /// r, `[T]`.
    #[must_use]
    pub const fn rewards(&self) -> &'a [F] {
        self.rewards
    }

    /// γ, `[T]`.
    #[must_use]
    pub const fn discounts(&self) -> &'a [F] {
        self.discounts
    }

    /// v, `[T+1]`.
    #[must_use]
    pub const fn values(&self) -> &'a [F] {
        self.values
    }

    /// log π − log μ, `[T]`, if the trajectory is off-policy.
    #[must_use]
    pub const fn log_ratios(&self) -> Option<&'a [F]> {
        self.log_ratios
    }

    /// Q(s_t, a_t), `[T]`, if known.
    #[must_use]
    pub const fn q_values(&self) -> Option<&'a [F]> {
        self.q_values
    }

    /// v(s_T), the bootstrap value.
    #[must_use]
    pub const fn bootstrap(&self) -> F {
        self.values[self.rewards.len()]
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests state exact values")]
    use super::*;

    #[test]
    fn a_missing_bootstrap_value_is_named() {
        let error = Steps::new(&[1.0], &[1.0], &[0.0]).unwrap_err();
        assert_eq!(error.to_string(), "`values` has 1 entries, expected 2");
    }

    #[test]
    fn the_empty_trajectory_has_only_a_bootstrap_value() {
        let steps = Steps::new(&[], &[], &[3.0]).unwrap();
        assert!(steps.is_empty());
        assert_eq!(steps.iter().count(), 0);
        assert_eq!(steps.bootstrap(), 3.0);
    }

    #[test]
    fn iteration_pairs_each_value_with_its_successor() {
        let steps = Steps::new(&[1.0, 2.0], &[0.9, 0.0], &[3.0, 4.0, 5.0]).unwrap();
        let pairs: Vec<_> = steps.iter().map(|t| (t.value, t.next_value)).collect();
        assert_eq!(pairs, [(3.0, 4.0), (4.0, 5.0)]);
    }

    #[test]
    fn off_policy_columns_must_have_one_entry_per_transition() {
        let steps = Steps::new(&[1.0], &[1.0], &[0.0, 0.0]).unwrap();
        assert!(steps.with_log_ratios(&[]).is_err());
        assert!(steps.with_q_values(&[1.0, 2.0]).is_err());
        assert_eq!(steps.with_log_ratios(&[0.5]).unwrap().log_ratios(), Some(&[0.5][..]));
    }
}
