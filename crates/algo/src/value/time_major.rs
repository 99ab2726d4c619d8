//! Trajectories of one length, side by side.

use tdrm_core::{Real, ShapeError, Steps};

use super::recursion::Recursion;
use super::span::{Column, Span, with_columns};

/// `T` transitions and `T + 1` values of each of `B` trajectories, one row per time.
///
/// ```text
/// rewards   [T, B]     r of trajectory i at time t is entry t·B + i
/// discounts [T, B]     0 after a terminal step, kept after a truncation
/// values    [T+1, B]   the last row holds the bootstrap values
/// ```
///
/// The layout of a vector environment. An episode that ends before `T` has discount 0 there, and the next one begins in
/// the row after; nothing is padded. `log_ratios` and `q_values`, `[T, B]`, as in [`Steps`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeMajor<'a, F> {
    trajectories: usize,
    rewards: &'a [F],
    discounts: &'a [F],
    values: &'a [F],
    log_ratios: Option<&'a [F]>,
    q_values: Option<&'a [F]>,
}

impl<'a, F: Real> TimeMajor<'a, F> {
    /// Checks the shapes once.
    ///
    /// # Errors
    /// If `rewards` is not a whole number of rows of `trajectories` entries, `discounts` differs from it in length, or
    /// `values` has not one row more.
    pub const fn new(
        trajectories: usize,
        rewards: &'a [F],
        discounts: &'a [F],
        values: &'a [F],
    ) -> Result<Self, ShapeError> {
        let rows = rows(rewards.len(), trajectories);
        if let Err(e) = ShapeError::check("rewards", rows * trajectories, rewards.len()) {
            return Err(e);
        }
        if let Err(e) = ShapeError::check("discounts", rewards.len(), discounts.len()) {
            return Err(e);
        }
        if let Err(e) = ShapeError::check("values", rewards.len() + trajectories, values.len()) {
            return Err(e);
        }
        Ok(Self { trajectories, rewards, discounts, values, log_ratios: None, q_values: None })
    }

    /// Adds log π(a|s) − log μ(a|s), `[T, B]`.
    ///
    /// # Errors
    /// If it differs from `rewards` in length.
    pub fn with_log_ratios(self, log_ratios: &'a [F]) -> Result<Self, ShapeError> {
        ShapeError::check("log_ratios", self.rewards.len(), log_ratios.len())?;
        Ok(Self { log_ratios: Some(log_ratios), ..self })
    }

    /// Adds Q(s, a), `[T, B]`.
    ///
    /// # Errors
    /// If it differs from `rewards` in length.
    pub fn with_q_values(self, q_values: &'a [F]) -> Result<Self, ShapeError> {
        ShapeError::check("q_values", self.rewards.len(), q_values.len())?;
        Ok(Self { q_values: Some(q_values), ..self })
    }

    /// B.
    #[must_use]
    pub const fn trajectories(&self) -> usize {
        self.trajectories
    }

    /// T.
    #[must_use]
    pub const fn rows(&self) -> usize {
        rows(self.rewards.len(), self.trajectories)
    }

    /// r, `[T, B]`.
    #[must_use]
    pub const fn rewards(&self) -> &'a [F] {
        self.rewards
    }

    /// γ, `[T, B]`.
    #[must_use]
    pub const fn discounts(&self) -> &'a [F] {
        self.discounts
    }

    /// v, `[T+1, B]`.
    #[must_use]
    pub const fn values(&self) -> &'a [F] {
        self.values
    }

    /// log π − log μ, `[T, B]`, if the trajectories are off-policy.
    #[must_use]
    pub const fn log_ratios(&self) -> Option<&'a [F]> {
        self.log_ratios
    }

    /// Q(s, a), `[T, B]`, if known.
    #[must_use]
    pub const fn q_values(&self) -> Option<&'a [F]> {
        self.q_values
    }

    /// v(s_T) of each trajectory, `[B]`.
    #[must_use]
    pub fn bootstrap(&self) -> &'a [F] {
        &self.values[self.rewards.len()..]
    }
}

/// Whole rows among so many entries.
const fn rows(entries: usize, trajectories: usize) -> usize {
    match entries.checked_div(trajectories) {
        Some(rows) => rows,
        None => 0,
    }
}

/// A trajectory alone is a rectangle of one column.
impl<'a, F: Real> From<Steps<'a, F>> for TimeMajor<'a, F> {
    fn from(steps: Steps<'a, F>) -> Self {
        Self {
            trajectories: 1,
            rewards: steps.rewards(),
            discounts: steps.discounts(),
            values: steps.values(),
            log_ratios: steps.log_ratios(),
            q_values: steps.q_values(),
        }
    }
}

/// Trajectories that go back in time together: what they carry and one row of each column stay in the first cache.
const LANES: usize = 2048;

/// The recursion on all trajectories, `out` `[T, B]`.
pub(crate) fn across<F: Real>(
    recursion: impl Recursion<F>,
    lambda: impl Fn(usize) -> F,
    steps: TimeMajor<'_, F>,
    out: &mut [F],
) {
    let mut carry = [F::zero(); LANES];
    let trajectories = steps.trajectories();
    for start in (0..trajectories).step_by(LANES) {
        let carry = &mut carry[..LANES.min(trajectories - start)];
        for (carry, &v) in carry.iter_mut().zip(&steps.bootstrap()[start..]) {
            *carry = recursion.last(v);
        }
        with_columns!(steps, |log_ratios, q_values| {
            let columns = (log_ratios, q_values);
            let span = Span::rows(steps.rewards(), steps.discounts(), steps.values(), columns, trajectories);
            back(recursion, &lambda, span, (start, trajectories), carry, out);
        });
    }
}

/// The columns from `start` on, as many as there are carries, from the last row to the first.
fn back<F: Real, L: Column<F>, Q: Column<F>>(
    recursion: impl Recursion<F>,
    lambda: impl Fn(usize) -> F,
    span: Span<'_, F, L, Q>,
    (start, trajectories): (usize, usize),
    carry: &mut [F],
    out: &mut [F],
) {
    let lanes = carry.len();
    for (t, out) in out.chunks_exact_mut(trajectories).enumerate().rev() {
        let row = span.cut(t * trajectories + start, lanes);
        row.sideways(recursion, t, lambda(t), carry, &mut out[start..start + lanes]);
    }
}
