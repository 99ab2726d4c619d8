//! A few tokens side by side: each part of an objective is a loop over arrays, which becomes vector instructions.

use std::ops::Range;

use tdrm_core::Real;

use super::{Advantages, Clip, Point, SequenceTerms, TokenLoss};
use crate::exponential::exp;

/// Tokens in a block.
pub(super) const BLOCK: usize = 64;

/// Active tokens of a sequence, at most [`BLOCK`] of them, and what is known of each.
pub(super) struct Block<F> {
    positions: Positions,
    len: usize,
    /// log π − log π_old of the token itself.
    pub(super) log_ratio: [F; BLOCK],
    /// x, which the surrogate sees, limited.
    pub(super) x: [F; BLOCK],
    /// e^x.
    pub(super) ratio: [F; BLOCK],
    pub(super) logp: [F; BLOCK],
    pub(super) reference: [F; BLOCK],
    pub(super) advantage: [F; BLOCK],
    /// The policy term, weighted, and its derivatives through the ratio and beside it; 0 where it is dropped.
    pub(super) loss: [F; BLOCK],
    pub(super) dratio: [F; BLOCK],
    pub(super) dlogp: [F; BLOCK],
    clip: [Clip; BLOCK],
}

impl<F: Real> Block<F> {
    pub(super) fn new() -> Self {
        let zeros = [F::zero(); BLOCK];
        Self {
            positions: Positions::From(0),
            len: 0,
            log_ratio: zeros,
            x: zeros,
            ratio: zeros,
            logp: zeros,
            reference: zeros,
            advantage: zeros,
            loss: zeros,
            dratio: zeros,
            dlogp: zeros,
            clip: [Clip::None; BLOCK],
        }
    }

    /// The next active tokens of a range, which shrinks by those that were looked at; `false` when there are none.
    pub(super) fn next(&mut self, terms: &SequenceTerms<'_, F>, range: &mut Range<usize>) -> bool {
        if terms.mask.is_empty() {
            self.len = range.len().min(BLOCK);
            self.positions = Positions::From(range.start);
            range.start += self.len;
        } else {
            let mut at = [0; BLOCK];
            self.len = 0;
            for (slot, t) in at.iter_mut().zip(range.by_ref().filter(|&t| terms.mask[t])) {
                *slot = t;
                self.len += 1;
            }
            self.positions = Positions::At(at);
        }
        self.load(terms);
        self.len > 0
    }

    fn load(&mut self, terms: &SequenceTerms<'_, F>) {
        let (n, positions) = (self.len, &self.positions);
        positions.gather(terms.logp, &mut self.logp[..n]);
        match terms.advantages {
            Advantages::Sequence(advantage) => self.advantage[..n].fill(advantage),
            Advantages::Token(advantages) => positions.gather(advantages, &mut self.advantage[..n]),
        }
        if !terms.ref_logp.is_empty() {
            positions.gather(terms.ref_logp, &mut self.reference[..n]);
        }
        if !terms.old_logp.is_empty() {
            positions.gather(terms.old_logp, &mut self.log_ratio[..n]);
            for (old, &logp) in self.log_ratio[..n].iter_mut().zip(&self.logp) {
                *old = logp - *old;
            }
        }
    }

    /// The position of the k-th token in the sequence.
    pub(super) fn position(&self, k: usize) -> usize {
        self.positions.at(k)
    }

    /// Gives each token its entry of a column, from what it had.
    pub(super) fn update(&self, column: &mut [F], entry: impl Fn(usize, F) -> F) {
        match &self.positions {
            Positions::From(start) => {
                let column = &mut column[*start..start + self.len];
                column.iter_mut().enumerate().for_each(|(k, x)| *x = entry(k, *x));
            }
            Positions::At(at) => at[..self.len].iter().enumerate().for_each(|(k, &t)| column[t] = entry(k, column[t])),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// x = the log-ratio of each token, held to ± `limit`; and e^x. On-policy that is 0 and 1.
    pub(super) fn own_ratios(&mut self, terms: &SequenceTerms<'_, F>, limit: F) {
        if terms.old_logp.is_empty() {
            return self.shared_ratio(F::zero(), F::one());
        }
        let n = self.len;
        let (log_ratio, x, ratio) = (&self.log_ratio[..n], &mut self.x[..n], &mut self.ratio[..n]);
        for k in 0..n {
            x[k] = limited(log_ratio[k], limit).0;
            ratio[k] = exp(x[k]);
        }
    }

    /// One x and one ratio for all of them.
    pub(super) fn shared_ratio(&mut self, x: F, ratio: F) {
        self.x[..self.len].fill(x);
        self.ratio[..self.len].fill(ratio);
    }

    /// The surrogate at each token, weighted: `weight` sees the position and the advantage, and says `None` to drop the
    /// token. `pooled` replaces what a segment shares. Returns how many were dropped.
    pub(super) fn evaluate(
        &mut self,
        surrogate: &impl TokenLoss<F>,
        pooled: Option<&Point<F>>,
        log_z: F,
        weight: impl Fn(usize, F) -> Option<F>,
    ) -> f64 {
        let n = self.len;
        let positions = &self.positions;
        let (x, ratio, logp, reference) = (&self.x[..n], &self.ratio[..n], &self.logp[..n], &self.reference[..n]);
        let (advantage, log_ratio) = (&self.advantage[..n], &self.log_ratio[..n]);
        let (loss, dratio, dlogp) = (&mut self.loss[..n], &mut self.dratio[..n], &mut self.dlogp[..n]);
        let clip = &mut self.clip[..n];
        let mut dropped = 0u32;
        for k in 0..n {
            let own = Point {
                log_ratio: x[k],
                ratio: ratio[k],
                logp: logp[k],
                ref_logp: reference[k],
                advantage: advantage[k],
                log_ratio_sum: log_ratio[k],
                log_z,
            };
            let point = pooled.map_or(own, |pooled| Point { advantage: own.advantage, ..*pooled });
            let (dual, weight) = (surrogate.at(&point), weight(positions.at(k), advantage[k]));
            dropped += u32::from(weight.is_none());
            let weighted = |x: F| weight.map_or(F::zero(), |weight| weight * x);
            (loss[k], dratio[k], dlogp[k]) = (weighted(dual.loss), weighted(dual.dratio), weighted(dual.dlogp));
            clip[k] = weight.map_or(Clip::None, |_| dual.clip);
        }
        f64::from(dropped)
    }

    /// Kept tokens that this bound cut.
    pub(super) fn clipped(&self, bound: Clip) -> f64 {
        f64::from(self.clip[..self.len].iter().map(|&clip| u32::from(clip == bound)).sum::<u32>())
    }

    /// Σ of one of the arrays.
    pub(super) fn sum(&self, array: &[F; BLOCK]) -> F {
        reduce(&array[..self.len], |sum, x| sum + x)
    }

    /// The largest ratio, at least 0.
    pub(super) fn largest_ratio(&self) -> F {
        reduce(&self.ratio[..self.len], |max, x| if x > max { x } else { max })
    }
}

/// x held to ± `limit`, and whether it was inside.
pub(super) fn limited<F: Real>(x: F, limit: F) -> (F, bool) {
    let above = if x > limit { limit } else { x };
    (if x < -limit { -limit } else { above }, !(x > limit || x < -limit))
}

/// A fold from 0 in eight lanes that do not wait for each other.
pub(super) fn reduce<F: Real>(values: &[F], fold: impl Fn(F, F) -> F) -> F {
    let mut lanes = [F::zero(); 8];
    let (eights, rest) = values.as_chunks::<8>();
    for eight in eights {
        for (lane, &x) in lanes.iter_mut().zip(eight) {
            *lane = fold(*lane, x);
        }
    }
    rest.iter().chain(&lanes).fold(F::zero(), |sum, &x| fold(sum, x))
}

/// Where the tokens of a block stand in their sequence.
#[expect(clippy::large_enum_variant, reason = "one on the stack per sequence; a box would allocate in the hot call")]
enum Positions {
    /// One after the other.
    From(usize),
    /// With gaps.
    At([usize; BLOCK]),
}

impl Positions {
    #[inline]
    fn at(&self, k: usize) -> usize {
        match self {
            Self::From(start) => start + k,
            Self::At(at) => at[k],
        }
    }

    fn gather<F: Copy>(&self, column: &[F], into: &mut [F]) {
        match self {
            Self::From(start) => into.copy_from_slice(&column[*start..*start + into.len()]),
            Self::At(at) => at.iter().zip(into).for_each(|(&t, x)| *x = column[t]),
        }
    }
}
