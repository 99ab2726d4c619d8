//! The columns of some steps, cut so that loops over them become vector instructions.

use tdrm_core::{Real, Steps, Transition};

use super::recursion::{Recursion, Seen};

/// A column that may be absent; code is compiled for either, so that no loop asks.
pub(crate) trait Column<F>: Copy {
    /// Its part that starts at `from` and has `n` entries.
    fn cut(self, from: usize, n: usize) -> Self;
    /// The i-th entry.
    fn at(self, i: usize) -> Option<F>;
}

/// No column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Absent;

impl<F> Column<F> for Absent {
    fn cut(self, _: usize, _: usize) -> Self {
        self
    }

    fn at(self, _: usize) -> Option<F> {
        None
    }
}

impl<F: Real> Column<F> for &[F] {
    #[inline]
    fn cut(self, from: usize, n: usize) -> Self {
        &self[from..from + n]
    }

    #[inline]
    fn at(self, i: usize) -> Option<F> {
        Some(self[i])
    }
}

/// Runs a block with the two optional columns of some steps, each as the slice it is or as [`Absent`].
macro_rules! with_columns {
    ($steps:expr, |$log_ratios:ident, $q_values:ident| $body:expr) => {
        match ($steps.log_ratios(), $steps.q_values()) {
            (None, None) => {
                let ($log_ratios, $q_values) = ($crate::value::span::Absent, $crate::value::span::Absent);
                $body
            }
            (Some($log_ratios), None) => {
                let $q_values = $crate::value::span::Absent;
                $body
            }
            (None, Some($q_values)) => {
                let $log_ratios = $crate::value::span::Absent;
                $body
            }
            (Some($log_ratios), Some($q_values)) => $body,
        }
    };
}
pub(crate) use with_columns;

/// Steps side by side in memory: one after the other in time, or of several trajectories at one time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<'a, F, L, Q> {
    rewards: &'a [F],
    discounts: &'a [F],
    values: &'a [F],
    next_values: &'a [F],
    log_ratios: L,
    q_values: Q,
}

impl<'a, F: Real, L: Column<F>, Q: Column<F>> Span<'a, F, L, Q> {
    /// `n` steps of a trajectory from `from` on.
    #[inline]
    pub(crate) fn of(steps: Steps<'a, F>, log_ratios: L, q_values: Q, from: usize, n: usize) -> Self {
        Self::rows(steps.rewards(), steps.discounts(), steps.values(), (log_ratios, q_values), 1).cut(from, n)
    }

    /// Rows of `lanes` entries, one per time.
    #[inline]
    pub(crate) fn rows(rewards: &'a [F], discounts: &'a [F], values: &'a [F], columns: (L, Q), lanes: usize) -> Self {
        let (log_ratios, q_values) = columns;
        let n = rewards.len();
        Self { rewards, discounts, values: &values[..n], next_values: &values[lanes..lanes + n], log_ratios, q_values }
    }

    /// All columns cut to one length, so that a loop over it needs no checks and becomes vector instructions.
    #[inline]
    pub(crate) fn cut(&self, from: usize, n: usize) -> Self {
        Self {
            rewards: &self.rewards[from..from + n],
            discounts: &self.discounts[from..from + n],
            values: &self.values[from..from + n],
            next_values: &self.next_values[from..from + n],
            log_ratios: self.log_ratios.cut(from, n),
            q_values: self.q_values.cut(from, n),
        }
    }

    #[inline]
    pub(crate) fn seen(&self, i: usize, t: usize, lambda: F) -> Seen<F> {
        let step = Transition {
            reward: self.rewards[i],
            discount: self.discounts[i],
            value: self.values[i],
            next_value: self.next_values[i],
        };
        Seen { t, step, lambda, log_ratio: self.log_ratios.at(i), q: self.q_values.at(i) }
    }

    /// The recursion over the steps of a trajectory from the last of the span to the first, `s_0`.
    #[inline]
    pub(crate) fn backward(
        self,
        recursion: impl Recursion<F>,
        lambda: impl Fn(usize) -> F,
        mut carry: F,
        out: &mut [F],
    ) {
        let n = out.len();
        let span = self.cut(0, n);
        for t in (0..n).rev() {
            let seen = span.seen(t, t, lambda(t));
            let (a, b) = recursion.coefficients(seen);
            let g = a + b * carry;
            carry = recursion.carried(seen, g);
            out[t] = recursion.target(seen, g);
        }
    }

    /// The same with the coefficients of a few steps at a time: exponentials are then found together.
    #[inline]
    pub(crate) fn backward_in_blocks(
        self,
        recursion: impl Recursion<F>,
        lambda: impl Fn(usize) -> F + Copy,
        mut carry: F,
        out: &mut [F],
    ) {
        const BLOCK: usize = 64;
        let (mut a, mut b) = ([F::zero(); BLOCK], [F::zero(); BLOCK]);
        let mut end = out.len();
        while end > 0 {
            let n = (end - 1) % BLOCK + 1;
            let start = end - n;
            let (span, out) = (self.cut(start, n), &mut out[start..end]);
            span.coefficients(recursion, start, lambda, &mut a[..n], &mut b[..n]);
            for k in (0..n).rev() {
                carry = a[k] + b[k] * carry;
                out[k] = recursion.target(span.seen(k, start + k, lambda(start + k)), carry);
            }
            end = start;
        }
    }

    /// One row of the recursion: each trajectory takes a step back.
    #[inline]
    pub(crate) fn sideways(self, recursion: impl Recursion<F>, t: usize, lambda: F, carry: &mut [F], out: &mut [F]) {
        let n = out.len();
        let (span, carry) = (self.cut(0, n), &mut carry[..n]);
        for i in 0..n {
            let seen = span.seen(i, t, lambda);
            let (a, b) = recursion.coefficients(seen);
            let g = a + b * carry[i];
            carry[i] = recursion.carried(seen, g);
            out[i] = recursion.target(seen, g);
        }
    }

    /// (a, b) of the steps of a trajectory, the first of which is `s_start`.
    #[inline]
    pub(crate) fn coefficients(
        self,
        recursion: impl Recursion<F>,
        start: usize,
        lambda: impl Fn(usize) -> F,
        a: &mut [F],
        b: &mut [F],
    ) {
        let n = a.len();
        let (span, b) = (self.cut(0, n), &mut b[..n]);
        for k in 0..n {
            (a[k], b[k]) = recursion.coefficients(span.seen(k, start + k, lambda(start + k)));
        }
    }

    /// G of the steps of a trajectory, the first of which is `s_start`.
    #[inline]
    pub(crate) fn targets(self, recursion: impl Recursion<F>, start: usize, lambda: F, g: &[F], out: &mut [F]) {
        let n = g.len();
        let (span, out) = (self.cut(0, n), &mut out[..n]);
        for k in 0..n {
            out[k] = recursion.target(span.seen(k, start + k, lambda), g[k]);
        }
    }
}
