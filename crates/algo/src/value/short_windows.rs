//! Windows of a few steps: each backed up on its own, many side by side.

use tdrm_core::{Real, Steps};

use super::TimeMajor;
use super::n_step::Windowed;
use super::recursion::{Recursion, decay};
use super::span::{Span, with_columns};

/// Longest window that costs less step by step than cut at multiples of n.
pub(crate) const SHORT: usize = 8;

/// Windows whose backups advance together.
const LANES: usize = 8;

/// Steps, or trajectories, whose coefficients are found at a time.
const BLOCK: usize = 256;

/// The windows of one trajectory, `n ≤ SHORT`; neighbours in time are neighbours in memory.
pub(crate) fn along<F: Real>(target: &impl Windowed, steps: Steps<'_, F>, out: &mut [F]) {
    let (recursion, lambda, n, end) = (target.recursion(), decay(target.lambda()), target.n(), steps.len());
    let (mut a, mut b) = ([F::zero(); BLOCK + SHORT], [F::zero(); BLOCK + SHORT]);
    with_columns!(steps, |log_ratios, q_values| {
        for start in (0..end).step_by(BLOCK) {
            let stop = end.min(start + BLOCK);
            let reach = end.min(stop + n - 1) - start;
            let span = Span::of(steps, log_ratios, q_values, start, reach);
            span.coefficients(recursion, start, lambda, &mut a[..reach], &mut b[..reach]);
            let (uncut, cut) = out[start..stop].split_at_mut((end + 1).saturating_sub(start + n).min(stop - start));
            for (c, out) in uncut.chunks_mut(LANES).enumerate() {
                let values = &steps.values()[start + c * LANES + n..][..out.len()];
                back_up(values, out, (0..n).rev().map(|k| (&a[c * LANES + k..], &b[c * LANES + k..])));
            }
            let first = uncut.len();
            for (k, out) in cut.iter_mut().enumerate() {
                *out = (first + k..reach).rev().fold(steps.bootstrap(), |x, j| a[j] + b[j] * x);
            }
            for (k, out) in out[start..stop].iter_mut().enumerate() {
                *out = recursion.target(span.seen(k, start + k, lambda(start + k)), *out);
            }
        }
    });
}

/// The windows of all trajectories, `n ≤ SHORT`, with the numbers of [`along`].
pub(crate) fn across<F: Real>(target: &impl Windowed, steps: TimeMajor<'_, F>, out: &mut [F]) {
    let (recursion, lambda, n) = (target.recursion(), decay(target.lambda()), target.n());
    let (trajectories, rows) = (steps.trajectories(), steps.rows());
    // the coefficients of row t stay in place t mod SHORT until n later rows have gone by
    let (mut a, mut b) = ([[F::zero(); BLOCK]; SHORT], [[F::zero(); BLOCK]; SHORT]);
    for start in (0..trajectories).step_by(BLOCK) {
        let lanes = BLOCK.min(trajectories - start);
        with_columns!(steps, |log_ratios, q_values| {
            let columns = (log_ratios, q_values);
            let all = Span::rows(steps.rewards(), steps.discounts(), steps.values(), columns, trajectories);
            for t in (0..rows).rev() {
                let row = all.cut(t * trajectories + start, lanes);
                let place = t % SHORT;
                row.coefficients(recursion, t, |_| lambda(t), &mut a[place][..lanes], &mut b[place][..lanes]);
                let window = n.min(rows - t);
                let values = &steps.values()[(t + window) * trajectories + start..][..lanes];
                let out = &mut out[t * trajectories + start..][..lanes];
                for (c, (out, values)) in out.chunks_mut(LANES).zip(values.chunks(LANES)).enumerate() {
                    let later = (t..t + window).rev().map(|j| j % SHORT);
                    back_up(values, out, later.map(|j| (&a[j][c * LANES..], &b[j][c * LANES..])));
                }
                for (i, out) in out.iter_mut().enumerate() {
                    *out = recursion.target(row.seen(i, t, lambda(t)), *out);
                }
            }
        });
    }
}

/// `x ← a + b x` for each pair of rows in turn, from `x = values` on.
#[inline]
fn back_up<'a, F: Real>(values: &[F], out: &mut [F], rows: impl Iterator<Item = (&'a [F], &'a [F])>) {
    if let (Ok(values), Ok(out)) = (<&[F; LANES]>::try_from(values), <&mut [F; LANES]>::try_from(&mut *out)) {
        let mut x = *values;
        for (a, b) in rows {
            let (a, b) = (&a[..LANES], &b[..LANES]);
            for l in 0..LANES {
                x[l] = a[l] + b[l] * x[l];
            }
        }
        *out = x;
        return;
    }
    out.copy_from_slice(values);
    for (a, b) in rows {
        for (x, (&a, &b)) in out.iter_mut().zip(a.iter().zip(b)) {
            *x = a + b * *x;
        }
    }
}
