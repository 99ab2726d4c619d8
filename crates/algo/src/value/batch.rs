//! Several trajectories at once.
//!
//! A backward pass waits for its own last result: one multiplication and one addition per step, whatever else the
//! processor could do meanwhile. Trajectories do not wait for each other, so that a few of them, step by step in
//! turn, take hardly longer than one. The results are those of the single pass, bit by bit.

use tdrm_core::{Real, Steps, Transition};

/// Trajectories that advance together.
const LANES: usize = 8;

/// Steps whose coefficients are found at a time; 2 · 8 · 128 of them stay in the first cache.
const BLOCK: usize = 128;

/// The recursions `g_t = a_t + b_t g_{t+1}` of a ragged batch, one trajectory after the other in `out`.
///
/// `first` gives g_T, `backup` gives (a_t, b_t).
pub(crate) fn recursions<F: Real>(
    batch: &[Steps<'_, F>],
    first: impl Fn(Steps<'_, F>) -> F + Copy,
    backup: impl Fn(Transition<F>) -> (F, F) + Copy,
    out: &mut Vec<F>,
) {
    // Every entry is written below: what `out` held needs no clearing.
    out.resize(batch.iter().map(Steps::len).sum(), F::zero());
    let mut rest = out.as_mut_slice();
    for group in batch.chunks(LANES) {
        let total = group.iter().map(Steps::len).sum();
        let (here, later) = rest.split_at_mut(total);
        match group.try_into() {
            Ok(lanes) => together(lanes, first, backup, here),
            Err(_) => one_by_one(group, first, backup, here),
        }
        rest = later;
    }
}

fn one_by_one<F: Real>(
    group: &[Steps<'_, F>],
    first: impl Fn(Steps<'_, F>) -> F,
    backup: impl Fn(Transition<F>) -> (F, F) + Copy,
    mut out: &mut [F],
) {
    for &steps in group {
        let (here, later) = out.split_at_mut(steps.len());
        alone(steps, steps.len(), first(steps), backup, here);
        out = later;
    }
}

/// The first `len` steps of one trajectory, from g_len down.
fn alone<F: Real>(steps: Steps<'_, F>, len: usize, mut g: F, backup: impl Fn(Transition<F>) -> (F, F), out: &mut [F]) {
    let skipped = steps.len() - len;
    for (slot, step) in out[..len].iter_mut().rev().zip(steps.iter().rev().skip(skipped)) {
        let (a, b) = backup(step);
        g = a + b * g;
        *slot = g;
    }
}

/// In turn over the steps that all have, counted from their ends; then what is left of each.
fn together<F: Real>(
    group: &[Steps<'_, F>; LANES],
    first: impl Fn(Steps<'_, F>) -> F,
    backup: impl Fn(Transition<F>) -> (F, F) + Copy,
    out: &mut [F],
) {
    let shared = group.iter().map(Steps::len).min().unwrap_or(0);
    let mut rest = out;
    let mut lanes = group.map(|steps| {
        let (here, later) = std::mem::take(&mut rest).split_at_mut(steps.len());
        rest = later;
        Lane { steps, cut: steps.len() - shared, g: first(steps), out: here }
    });
    let mut blocks = Blocks { a: [[F::zero(); BLOCK]; LANES], b: [[F::zero(); BLOCK]; LANES] };
    let mut end = shared;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        blocks.advance(&mut lanes, start, end, backup);
        end = start;
    }
    for lane in lanes {
        alone(lane.steps, lane.cut, lane.g, backup, lane.out);
    }
}

/// One trajectory; its last steps, from `cut` on, are those that all have.
struct Lane<'a, 'o, F> {
    steps: Steps<'a, F>,
    cut: usize,
    g: F,
    out: &'o mut [F],
}

/// The coefficients of a block of steps of each lane: found along a trajectory, used across all.
struct Blocks<F> {
    a: [[F; BLOCK]; LANES],
    b: [[F; BLOCK]; LANES],
}

impl<F: Real> Blocks<F> {
    fn advance(
        &mut self,
        lanes: &mut [Lane<'_, '_, F>; LANES],
        start: usize,
        end: usize,
        backup: impl Fn(Transition<F>) -> (F, F) + Copy,
    ) {
        for (l, lane) in lanes.iter().enumerate() {
            coefficients(lane, start..end, backup, &mut self.a[l], &mut self.b[l]);
        }
        self.recur(lanes, end - start);
        for (lane, g) in lanes.iter_mut().zip(&self.a) {
            lane.out[lane.cut + start..lane.cut + end].copy_from_slice(&g[..end - start]);
        }
    }

    /// g ← a + b g, lane after lane within a step; g takes the place of a.
    fn recur(&mut self, lanes: &mut [Lane<'_, '_, F>; LANES], len: usize) {
        let mut g: [F; LANES] = std::array::from_fn(|l| lanes[l].g);
        for k in (0..len.min(BLOCK)).rev() {
            for ((g, a), b) in g.iter_mut().zip(&mut self.a).zip(&self.b) {
                *g = a[k] + b[k] * *g;
                a[k] = *g;
            }
        }
        for (lane, g) in lanes.iter_mut().zip(g) {
            lane.g = g;
        }
    }
}

/// (a, b) of the steps of a span. The columns are cut to one length first, so that the loop needs no checks and the
/// compiler turns it into vector instructions.
fn coefficients<F: Real>(
    lane: &Lane<'_, '_, F>,
    span: std::ops::Range<usize>,
    backup: impl Fn(Transition<F>) -> (F, F),
    a: &mut [F; BLOCK],
    b: &mut [F; BLOCK],
) {
    let (from, to, n) = (lane.cut + span.start, lane.cut + span.end, span.len());
    let (rewards, discounts) = (&lane.steps.rewards()[from..to][..n], &lane.steps.discounts()[from..to][..n]);
    let (values, next) = (&lane.steps.values()[from..to][..n], &lane.steps.values()[from + 1..=to][..n]);
    let (a, b) = (&mut a[..n], &mut b[..n]);
    for k in 0..n {
        let step = Transition { reward: rewards[k], discount: discounts[k], value: values[k], next_value: next[k] };
        (a[k], b[k]) = backup(step);
    }
}
