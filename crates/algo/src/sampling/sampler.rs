//! From logits to a token.

use tdrm_core::{Probability, Temperature};

use super::candidates::Candidates;
use super::lanes;
use super::processors::{Marks, Scores};
use super::{History, SamplingConfig, SamplingConfigError, SamplingError};
use crate::exponential::exp;

/// A chosen token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The token.
    pub token: u32,
    /// ln π of the token under the distribution it was drawn from, after all filters, in nats; 0 if greedy.
    pub log_prob: f64,
    /// ln π of the token under `softmax(logits)`: temperature 1, no filter. −∞ if a bias or a forced prefix chose it
    /// against a logit of −∞.
    pub log_prob_full: f64,
    /// Entropy of the distribution it was drawn from, in nats; 0 if greedy.
    pub entropy: f64,
    /// Entropy of `softmax(logits)`, in nats.
    pub entropy_full: f64,
    /// Number of tokens the filters kept.
    pub kept: usize,
}

/// What the filters leave: tokens in ascending order and their probabilities, which sum to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distribution<'a> {
    /// Kept tokens.
    pub tokens: &'a [u32],
    /// Their probabilities.
    pub probabilities: &'a [f64],
}

/// Chooses tokens by a [`SamplingConfig`].
///
/// It holds nothing of the sequence, only room to work in: one sampler serves any number of sequences in turn, and the
/// result does not depend on what it did before. Once the room has grown, a step allocates nothing.
///
/// ```
/// use tdrm_algo::sampling::{History, Sampler, SamplingConfig};
///
/// let mut sampler = Sampler::new(SamplingConfig { top_k: 2, ..SamplingConfig::default() })?;
/// let logits = [0.0, 3.0_f32.ln(), 0.0, 1.0_f32.ln() - 9.0, 9.0_f32.ln()];
/// let choice = sampler.step(&logits, History::prompt(&[4, 1]), 0.2)?; // π = 3/12 and 9/12 for tokens 1 and 4
/// assert_eq!((choice.token, choice.kept), (1, 2));
/// assert!((choice.log_prob - 0.25_f64.ln()).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sampler {
    config: SamplingConfig,
    scores: Vec<f32>,
    marks: Marks,
    candidates: Candidates,
    probabilities: Vec<f64>,
}

impl Sampler {
    /// A sampler for a config.
    ///
    /// # Errors
    /// If the config is not [valid](SamplingConfig::validate).
    pub fn new(config: SamplingConfig) -> Result<Self, SamplingConfigError> {
        config.validate()?;
        let (scores, marks) = (Vec::new(), Marks::default());
        Ok(Self { config, scores, marks, candidates: Candidates::default(), probabilities: Vec::new() })
    }

    /// The config.
    #[must_use]
    pub const fn config(&self) -> &SamplingConfig {
        &self.config
    }

    /// Chooses the token after `history` from its logits, `[V]`, by a uniform number u in [0, 1).
    ///
    /// A draw takes the token at which the running sum of the probabilities, in order of tokens, passes u. Greedy
    /// decoding takes the lowest token of the largest score and does not look at u.
    ///
    /// # Errors
    /// If a logit is NaN or +∞, if none is above −∞ or the rules leave none, if a token of the history or the config
    /// is not in the vocabulary, if scores overflow, or if u is not in [0, 1).
    pub fn step(&mut self, logits: &[f32], history: History<'_>, u: f64) -> Result<Choice, SamplingError> {
        if !(0.0..1.0).contains(&u) {
            return Err(SamplingError::Uniform { got: u });
        }
        let largest = self.filter(logits, history)?;
        let chosen = self.candidates.draw(u);
        let token = self.candidates.tokens[chosen];
        let (log_prob, entropy) = (self.candidates.log_probability(chosen), self.candidates.entropy());
        let (log_prob_full, entropy_full) = if self.candidates.is_whole() && lanes::same(&self.scores, logits) {
            (log_prob, entropy)
        } else {
            let (ln_total, entropy) = normaliser(logits, largest);
            (f64::from(logits[token as usize]) - f64::from(largest) - ln_total, entropy)
        };
        Ok(Choice { token, log_prob, log_prob_full, entropy, entropy_full, kept: self.candidates.tokens.len() })
    }

    /// The distribution that [`step`](Self::step) draws from.
    ///
    /// # Errors
    /// As `step`.
    pub fn filtered(&mut self, logits: &[f32], history: History<'_>) -> Result<Distribution<'_>, SamplingError> {
        self.filter(logits, history)?;
        let Candidates { tokens, weights, total, .. } = &self.candidates;
        self.probabilities.clear();
        self.probabilities.extend(weights.iter().map(|weight| weight / total));
        Ok(Distribution { tokens, probabilities: &self.probabilities })
    }

    /// `log softmax(logits)`, then the processors but no warper, `[V]`: what beam search adds up.
    ///
    /// As in transformers, penalty and bias act on log-probabilities here and the result is not normalised again.
    ///
    /// # Errors
    /// If a logit is NaN or +∞, if none is above −∞, or if a token of the history or the config is not in the
    /// vocabulary.
    pub fn log_probs(&mut self, logits: &[f32], history: History<'_>) -> Result<&[f32], SamplingError> {
        let largest = checked_largest(logits)?;
        let (ln_total, _) = normaliser(logits, largest);
        let log_prob = |&logit: &f32| (f64::from(logit) - f64::from(largest) - ln_total) as f32;
        self.scores.clear();
        self.scores.extend(logits.iter().map(log_prob));
        self.process(history)?;
        Ok(&self.scores)
    }

    /// Fills the candidates; returns the largest logit.
    fn filter(&mut self, logits: &[f32], history: History<'_>) -> Result<f32, SamplingError> {
        let largest_logit = checked_largest(logits)?;
        self.scores.clear();
        self.scores.extend_from_slice(logits);
        self.process(history)?;
        if self.config.do_sample {
            self.warp()?;
        } else {
            self.take_mode()?;
        }
        Ok(largest_logit)
    }

    fn process(&mut self, history: History<'_>) -> Result<(), SamplingError> {
        Scores { values: &mut self.scores, history, marks: &mut self.marks }.process(&self.config)
    }

    fn warp(&mut self) -> Result<(), SamplingError> {
        let Self { config, scores, candidates, .. } = self;
        if config.temperature != Temperature::ONE {
            let temperature: f32 = config.temperature.get();
            for score in scores.iter_mut() {
                *score /= temperature;
            }
        }
        checked_scores(scores)?;
        candidates.fill(scores, config.top_k);
        if config.top_p != Probability::ALWAYS {
            candidates.top_p(config.top_p.get());
        }
        if config.min_p != Probability::NEVER {
            candidates.min_p(config.min_p.get());
        }
        if config.typical_p != Probability::ALWAYS {
            candidates.typical(config.typical_p.get());
        }
        Ok(())
    }

    fn take_mode(&mut self) -> Result<(), SamplingError> {
        let largest = checked_scores(&self.scores)?;
        let mode = self.scores.iter().position(|&score| score >= largest);
        let vocabulary = self.scores.len();
        let token = mode.ok_or(SamplingError::NothingLeft { vocabulary })?;
        self.candidates.fill_with(token as u32, largest);
        Ok(())
    }
}

/// The largest logit, once all are numbers below +∞.
fn checked_largest(logits: &[f32]) -> Result<f32, SamplingError> {
    if let Some((token, got)) = invalid(logits) {
        return Err(SamplingError::Logit { token, got });
    }
    let largest = lanes::largest(logits);
    if largest > f32::NEG_INFINITY { Ok(largest) } else { Err(SamplingError::NoLogit { vocabulary: logits.len() }) }
}

/// The largest score, once all are numbers below +∞.
fn checked_scores(scores: &[f32]) -> Result<f32, SamplingError> {
    if let Some((token, got)) = invalid(scores) {
        return Err(SamplingError::Overflow { token, got });
    }
    let largest = lanes::largest(scores);
    if largest > f32::NEG_INFINITY { Ok(largest) } else { Err(SamplingError::NothingLeft { vocabulary: scores.len() }) }
}

/// The first value that is NaN or +∞.
fn invalid(values: &[f32]) -> Option<(usize, f32)> {
    // Every value is looked at, so that the loop vectorises.
    if lanes::count(values, |value| value < f32::INFINITY) == values.len() {
        return None;
    }
    values.iter().copied().enumerate().find(|(_, value)| value.is_nan() || *value >= f32::INFINITY)
}

/// `ln Σ e^{z − max z}` and the entropy of softmax(z), in nats.
fn normaliser(logits: &[f32], largest: f32) -> (f64, f64) {
    let [total, surprise] = lanes::sums(logits.len(), |i| {
        let below = logits[i] - largest;
        let weight = f64::from(exp(below));
        [weight, weight * f64::from(below.max(f32::MIN))] // 0 · −∞ is 0 here
    });
    (total.ln(), total.ln() - surprise / total)
}
