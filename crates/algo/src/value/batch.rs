//! Several trajectories of any lengths at once.
//!
//! A backward pass waits for its own last result: one multiplication and one addition per step, whatever else the
//! processor could do meanwhile. Trajectories do not wait for each other, so that a few of them, step by step in
//! turn, take hardly longer than one. The results are those of the single pass, bit by bit.

use std::ops::Range;

use tdrm_core::{Real, Steps};

use super::recursion::{Recursion, whole};
use super::span::{Span, with_columns};

/// Trajectories that advance together.
const LANES: usize = 8;

/// Steps whose coefficients are found at a time; 2 · 8 · 128 of them stay in the first cache.
const BLOCK: usize = 128;

/// A ragged batch, one trajectory after the other in `out`.
pub(crate) fn together<F: Real>(recursion: impl Recursion<F>, lambda: F, batch: &[Steps<'_, F>], mut out: &mut [F]) {
    for group in batch.chunks(LANES) {
        let (here, later) = out.split_at_mut(group.iter().map(Steps::len).sum());
        match group.try_into() {
            Ok(lanes) => in_turn(recursion, lambda, lanes, here),
            Err(_) => one_by_one(group, here, |steps, out| whole(recursion, |_| lambda, steps, out)),
        }
        out = later;
    }
}

/// One trajectory after the other, where nothing is gained by taking turns.
pub(crate) fn one_by_one<F: Real>(batch: &[Steps<'_, F>], mut out: &mut [F], single: impl Fn(Steps<'_, F>, &mut [F])) {
    for &steps in batch {
        let (here, later) = out.split_at_mut(steps.len());
        single(steps, here);
        out = later;
    }
}

/// In turn over the steps that all have, counted from their ends; then what is left of each.
fn in_turn<F: Real>(recursion: impl Recursion<F>, lambda: F, group: &[Steps<'_, F>; LANES], out: &mut [F]) {
    let shared = group.iter().map(Steps::len).min().unwrap_or(0);
    let mut rest = out;
    let mut lanes = group.map(|steps| {
        let (here, later) = std::mem::take(&mut rest).split_at_mut(steps.len());
        rest = later;
        Lane { steps, cut: steps.len() - shared, carry: recursion.last(steps.bootstrap()), out: here }
    });
    let mut blocks = Blocks { a: [[F::zero(); BLOCK]; LANES], b: [[F::zero(); BLOCK]; LANES] };
    let mut end = shared;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        blocks.advance(recursion, lambda, &mut lanes, start..end);
        end = start;
    }
    for lane in lanes {
        lane.rest(recursion, lambda);
    }
}

/// One trajectory; its last steps, from `cut` on, are those that all have.
struct Lane<'a, 'o, F> {
    steps: Steps<'a, F>,
    cut: usize,
    carry: F,
    out: &'o mut [F],
}

impl<F: Real> Lane<'_, '_, F> {
    /// The steps before the shared ones.
    fn rest(self, recursion: impl Recursion<F>, lambda: F) {
        with_columns!(self.steps, |log_ratios, q_values| {
            let span = Span::of(self.steps, log_ratios, q_values, 0, self.cut);
            span.backward(recursion, |_| lambda, self.carry, &mut self.out[..self.cut]);
        });
    }
}

/// The coefficients of a block of steps of each lane: found along a trajectory, used across all.
struct Blocks<F> {
    a: [[F; BLOCK]; LANES],
    b: [[F; BLOCK]; LANES],
}

impl<F: Real> Blocks<F> {
    fn advance(
        &mut self,
        recursion: impl Recursion<F>,
        lambda: F,
        lanes: &mut [Lane<'_, '_, F>; LANES],
        block: Range<usize>,
    ) {
        for ((lane, a), b) in lanes.iter().zip(&mut self.a).zip(&mut self.b) {
            with_columns!(lane.steps, |log_ratios, q_values| {
                let span = Span::of(lane.steps, log_ratios, q_values, lane.cut + block.start, block.len());
                let (a, b) = (&mut a[..block.len()], &mut b[..block.len()]);
                span.coefficients(recursion, lane.cut + block.start, |_| lambda, a, b);
            });
        }
        self.recur(lanes, block.len());
        for (lane, g) in lanes.iter_mut().zip(&self.a) {
            with_columns!(lane.steps, |log_ratios, q_values| {
                let span = Span::of(lane.steps, log_ratios, q_values, lane.cut + block.start, block.len());
                let out = &mut lane.out[lane.cut + block.start..][..block.len()];
                span.targets(recursion, lane.cut + block.start, lambda, &g[..block.len()], out);
            });
        }
    }

    /// g ← a + b g, lane after lane within a step; g takes the place of a.
    fn recur(&mut self, lanes: &mut [Lane<'_, '_, F>; LANES], len: usize) {
        let mut g: [F; LANES] = std::array::from_fn(|l| lanes[l].carry);
        for k in (0..len.min(BLOCK)).rev() {
            for ((g, a), b) in g.iter_mut().zip(&mut self.a).zip(&self.b) {
                *g = a[k] + b[k] * *g;
                a[k] = *g;
            }
        }
        for (lane, g) in lanes.iter_mut().zip(g) {
            lane.carry = g;
        }
    }
}
