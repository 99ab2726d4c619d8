//! The tokens that are still in the running, and the filters that compare them.

use super::lanes;
use super::select::{first_passing, key, top};
use crate::exponential::exp;

/// Tokens with a score above −∞, ascending, with their weights.
///
/// ```text
/// weight_i = e^{z_i − max z},    π_i = weight_i / total,    ln π_i = z_i − max z − ln total
/// ```
///
/// Weights are computed in single precision, as accurate as scores are, and added up in double.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidates {
    pub(super) tokens: Vec<u32>,
    scores: Vec<f32>,
    pub(super) weights: Vec<f64>,
    largest: f32,
    pub(super) total: f64,
    whole: bool,
    keys: Vec<u64>,
    buffer: Vec<f32>,
}

/// `weight / total` as transformers has it, in single precision. Its filters compare at that precision, so that round
/// numbers (ten equal tokens, p = 0.9) fall on the same side.
fn share(weight: f64, total: f64) -> f32 {
    weight as f32 / total as f32
}

impl Candidates {
    /// Takes all tokens that have a score, or the top k of them and their equals.
    pub(super) fn fill(&mut self, scores: &[f32], top_k: usize) {
        let mut floor = f32::NEG_INFINITY;
        if top_k > 0 && top_k < scores.len() {
            top(scores.iter().copied(), top_k, &mut self.buffer);
            floor = self.buffer.last().copied().unwrap_or(floor);
        }
        self.whole = floor.is_infinite();
        self.tokens.clear();
        self.scores.clear();
        if self.whole && lanes::count(scores, |score| score > f32::NEG_INFINITY) == scores.len() {
            self.tokens.extend((0..).zip(scores).map(|(token, _)| token));
            self.scores.extend_from_slice(scores);
        } else {
            for (token, &score) in (0..).zip(scores) {
                if score >= floor && score > f32::NEG_INFINITY {
                    self.tokens.push(token);
                    self.scores.push(score);
                }
            }
        }
        self.weigh();
    }

    /// Takes one token.
    pub(super) fn fill_with(&mut self, token: u32, score: f32) {
        self.whole = false;
        self.tokens.clear();
        self.scores.clear();
        self.tokens.push(token);
        self.scores.push(score);
        self.weigh();
    }

    fn weigh(&mut self) {
        let largest = lanes::largest(&self.scores);
        self.largest = largest;
        self.weights.clear();
        self.weights.extend(self.scores.iter().map(|&score| f64::from(exp(score - largest))));
        self.add_up();
    }

    fn add_up(&mut self) {
        let weights = &self.weights;
        [self.total] = lanes::sums(weights.len(), |i| [weights[i]]);
    }

    /// Whether no filter dropped a token.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// ln π of the i-th candidate.
    pub(super) fn log_probability(&self, i: usize) -> f64 {
        f64::from(self.scores[i]) - f64::from(self.largest) - self.total.ln()
    }

    /// `H = −Σ π ln π` in nats.
    pub(super) fn entropy(&self) -> f64 {
        let (weights, scores, largest) = (&self.weights, &self.scores, f64::from(self.largest));
        let [surprise] = lanes::sums(weights.len(), |i| [weights[i] * (f64::from(scores[i]) - largest)]);
        self.total.ln() - surprise / self.total
    }

    /// The candidate at which the running sum of π passes u, in order of tokens.
    pub(super) fn draw(&self, u: f64) -> usize {
        let target = u * self.total;
        let mut sum = 0.0;
        let passing = self.weights.iter().position(|weight| {
            sum += weight;
            sum > target
        });
        // Rounding may leave the sum short of the target: then it is the last token with a weight.
        passing.or_else(|| self.weights.iter().rposition(|&weight| weight > 0.0)).unwrap_or(0)
    }

    /// Nucleus (1904.09751): drops the tokens which, from the least probable on, have a mass of at most 1 − p together.
    /// Among equals the lowest tokens go first. The most probable one stays.
    pub(super) fn top_p(&mut self, p: f64) {
        let Self { scores, weights, keys, total, .. } = self;
        let tail = (1.0 - p) as f32;
        // n tokens of this weight have less than the tail's mass together: they go without being put in order.
        let negligible = f64::from(tail) * (1.0 - 1e-6) * *total / weights.len() as f64;
        let mut dropped = 0.0;
        keys.clear();
        for (i, (&score, &weight)) in scores.iter().zip(&*weights).enumerate() {
            if weight <= negligible {
                dropped += weight;
            } else {
                keys.push(key(score, i));
            }
        }
        let (dropped, share) = (dropped / *total, |i: usize| f64::from(share(weights[i], *total)));
        let Some(first) = first_passing(keys, dropped, share, |sum| sum as f32 > tail) else { return };
        self.keep(|i, score, _| key(score, i) >= first);
    }

    /// Drops the tokens less than `ratio` times as probable as the most probable one.
    pub(super) fn min_p(&mut self, ratio: f64) {
        let total = self.total;
        let floor = ratio as f32 * share(1.0, total);
        self.keep(|_, _, weight| share(weight, total) >= floor);
    }

    /// Locally typical (2202.00666): from the token whose surprise −ln π is nearest to the entropy on, up to the one
    /// at which `mass` is reached, and all as near as that one.
    pub(super) fn typical(&mut self, mass: f64) {
        let (largest, ln_total, entropy) = (f64::from(self.largest), self.total.ln(), self.entropy() as f32);
        let distance = |score: f32| ((ln_total + largest - f64::from(score)) as f32 - entropy).abs();
        let Self { scores, weights, keys, total, .. } = self;
        keys.clear();
        keys.extend(scores.iter().enumerate().map(|(i, &score)| key(distance(score), i)));
        let weight = |i: usize| f64::from(share(weights[i], *total));
        let Some(last) = first_passing(keys, 0.0, weight, |sum| sum as f32 >= mass as f32) else { return };
        self.keep(|_, score, _| key(distance(score), 0) >> 32 <= last >> 32);
        self.weigh(); // the most probable token may be gone
    }

    fn keep(&mut self, wanted: impl Fn(usize, f32, f64) -> bool) {
        let mut kept = 0;
        for i in 0..self.tokens.len() {
            if wanted(i, self.scores[i], self.weights[i]) {
                self.tokens[kept] = self.tokens[i];
                self.scores[kept] = self.scores[i];
                self.weights[kept] = self.weights[i];
                kept += 1;
            }
        }
        self.whole &= kept == self.tokens.len();
        self.tokens.truncate(kept);
        self.scores.truncate(kept);
        self.weights.truncate(kept);
        self.add_up();
    }
}
