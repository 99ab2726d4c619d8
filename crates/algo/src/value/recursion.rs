//! A target as a recursion: stated once, run on one trajectory, on a ragged batch, or time-major.

use tdrm_core::{Real, Steps, Transition, ValueTarget};

use super::batch::{one_by_one, together};
use super::span::{Span, with_columns};
use super::time_major::across;
use super::{TimeMajor, Trace};
use crate::exponential::exp;

/// What a recursion sees of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<F> {
    pub(crate) t: usize,
    pub(crate) step: Transition<F>,
    pub(crate) lambda: F,
    /// log π − log μ, where the column is given.
    pub(crate) log_ratio: Option<F>,
    /// Q(s, a), where the column is given.
    pub(crate) q: Option<F>,
}

impl<F: Real> Seen<F> {
    /// ρ = π/μ; 1 on-policy.
    #[inline]
    pub(crate) fn ratio(&self) -> F {
        self.log_ratio.map_or(F::one(), exp)
    }

    /// Q(s, a), or v where no action values are known.
    #[inline]
    pub(crate) fn q_or_value(&self) -> F {
        self.q.unwrap_or(self.step.value)
    }

    /// r + γ v(s').
    #[inline]
    pub(crate) fn one_step(&self) -> F {
        self.step.reward + self.step.discount * self.step.next_value
    }

    /// δ = r + γ v(s') − v(s).
    #[inline]
    pub(crate) fn delta(&self) -> F {
        self.one_step() - self.step.value
    }
}

/// A backward pass that carries one number.
///
/// ```text
/// g_t = a_t + b_t c_{t+1},     c_t = carried(g_t),     G_t = target(g_t),     c_T = last(v_T)
/// ```
///
/// Only `b c` and `carried` wait for the later steps; `a` and `b` do not.
pub(crate) trait Recursion<F: Real>: Copy {
    /// Whether `carried` is the identity.
    const CARRIES_ITSELF: bool = true;

    /// c_T.
    #[inline]
    fn last(self, bootstrap: F) -> F {
        bootstrap
    }

    /// (a_t, b_t).
    fn coefficients(self, seen: Seen<F>) -> (F, F);

    /// c_t.
    #[inline]
    fn carried(self, seen: Seen<F>, g: F) -> F {
        let _ = seen;
        g
    }

    /// G_t.
    #[inline]
    fn target(self, seen: Seen<F>, g: F) -> F {
        let _ = seen;
        g
    }
}

/// A recursion of values in place of advantages: G_t = g_t + v_t.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlusValue<R>(pub(crate) R);

impl<F: Real, R: Recursion<F>> Recursion<F> for PlusValue<R> {
    const CARRIES_ITSELF: bool = R::CARRIES_ITSELF;

    #[inline]
    fn last(self, bootstrap: F) -> F {
        self.0.last(bootstrap)
    }

    #[inline]
    fn coefficients(self, seen: Seen<F>) -> (F, F) {
        self.0.coefficients(seen)
    }

    #[inline]
    fn carried(self, seen: Seen<F>, g: F) -> F {
        self.0.carried(seen, g)
    }

    #[inline]
    fn target(self, seen: Seen<F>, g: F) -> F {
        self.0.target(seen, g) + seen.step.value
    }
}

/// A target that is a recursion with a trace decay.
pub(crate) trait Backward {
    /// The recursion, its numbers converted.
    fn recursion<F: Real>(&self) -> impl Recursion<F>;

    /// λ, where the formula has one.
    fn lambda(&self) -> Option<&Trace>;
}

/// Turns many trajectories into regression targets at once.
///
/// # Contract
/// The numbers are those of [`ValueTarget::targets_into`] on each trajectory, bit by bit; only the order of the work
/// differs, and with it the speed.
///
/// ```
/// use tdrm_algo::value::{BatchTarget, TdLambda, TimeMajor};
/// use tdrm_core::Lambda;
/// let target = TdLambda { lambda: Lambda::try_from(0.5)?.into() };
/// // Two trajectories of two steps, side by side; the first terminates.
/// let (rewards, discounts) = ([1.0, 10.0, 2.0, 20.0], [1.0, 1.0, 0.0, 1.0]);
/// let steps = TimeMajor::new(2, &rewards, &discounts, &[0.0, 0.0, 4.0, 40.0, 9.0, 90.0])?;
/// let mut targets = vec![];
/// target.time_major_into(steps, &mut targets);
/// assert_eq!(targets, [4.0, 85.0, 2.0, 110.0]); // 10 + ½·40 + ½·(20 + 90)
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait BatchTarget<F: Real>: ValueTarget<F> {
    /// Replaces the contents of `out` by the targets of a ragged batch, one trajectory after the other, `[ΣT]`.
    fn batch_into(&self, batch: &[Steps<'_, F>], out: &mut Vec<F>);

    /// Replaces the contents of `out` by the targets of a rectangle, `[T, B]`.
    fn time_major_into(&self, steps: TimeMajor<'_, F>, out: &mut Vec<F>);
}

macro_rules! backward_targets {
    ($($target:ty),* $(,)?) => {$(
        impl<F: Real> ValueTarget<F> for $target {
            fn targets_into(&self, steps: Steps<'_, F>, out: &mut Vec<F>) {
                single(self.recursion(), self.lambda(), steps, out);
            }
        }

        impl<F: Real> BatchTarget<F> for $target {
            fn batch_into(&self, batch: &[Steps<'_, F>], out: &mut Vec<F>) {
                ragged(self.recursion(), self.lambda(), batch, out);
            }

            fn time_major_into(&self, steps: TimeMajor<'_, F>, out: &mut Vec<F>) {
                rectangle(self.recursion(), self.lambda(), steps, out);
            }
        }
    )*};
}
backward_targets!(
    super::Td0,
    super::MonteCarlo,
    super::TdLambda,
    super::Gae,
    super::VTrace,
    super::LeakyVTrace,
    super::ImportanceSampling,
    super::OffPolicy,
    super::Retrace,
    super::TreeBackup,
    super::Watkins,
    super::QLambda,
    super::Upgo,
    super::Soft,
);

/// λ_t as a function of t.
pub(crate) fn decay<F: Real>(lambda: Option<&Trace>) -> impl Fn(usize) -> F + Copy {
    move |t| lambda.map_or_else(F::one, |lambda| lambda.at(t))
}

/// λ, where it is one for all steps.
pub(crate) fn constant<F: Real>(lambda: Option<&Trace>) -> Option<F> {
    match lambda {
        None => Some(F::one()),
        Some(Trace::Constant(lambda)) => Some(lambda.get()),
        Some(Trace::PerStep(_)) => None,
    }
}

/// One trajectory.
pub(crate) fn single<F: Real>(
    recursion: impl Recursion<F>,
    lambda: Option<&Trace>,
    steps: Steps<'_, F>,
    out: &mut Vec<F>,
) {
    // Every entry is written below: what `out` held needs no clearing.
    out.resize(steps.len(), F::zero());
    match constant(lambda) {
        Some(lambda) => whole(recursion, |_| lambda, steps, out),
        None => whole(recursion, decay(lambda), steps, out),
    }
}

/// One trajectory after the other, or several in turn where that is faster.
pub(crate) fn ragged<F: Real, R: Recursion<F>>(
    recursion: R,
    lambda: Option<&Trace>,
    batch: &[Steps<'_, F>],
    out: &mut Vec<F>,
) {
    out.resize(batch.iter().map(Steps::len).sum(), F::zero());
    match constant(lambda) {
        Some(lambda) if R::CARRIES_ITSELF => together(recursion, lambda, batch, out),
        Some(lambda) => one_by_one(batch, out, |steps, out| whole(recursion, |_| lambda, steps, out)),
        None => one_by_one(batch, out, |steps, out| whole(recursion, decay(lambda), steps, out)),
    }
}

/// All trajectories at each time.
pub(crate) fn rectangle<F: Real>(
    recursion: impl Recursion<F>,
    lambda: Option<&Trace>,
    steps: TimeMajor<'_, F>,
    out: &mut Vec<F>,
) {
    out.resize(steps.rewards().len(), F::zero());
    across(recursion, decay(lambda), steps, out);
}

pub(crate) fn whole<F: Real, R: Recursion<F>>(
    recursion: R,
    lambda: impl Fn(usize) -> F + Copy,
    steps: Steps<'_, F>,
    out: &mut [F],
) {
    let carry = recursion.last(steps.bootstrap());
    with_columns!(steps, |log_ratios, q_values| {
        let span = Span::of(steps, log_ratios, q_values, 0, steps.len());
        if R::CARRIES_ITSELF && steps.log_ratios().is_some() {
            span.backward_in_blocks(recursion, lambda, carry, out);
        } else {
            span.backward(recursion, lambda, carry, out);
        }
    });
}
