//! Beam search as a state machine: the model is run elsewhere.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::SamplingConfigError;
use super::select::{key, position, top};

/// When a beam search stops before its last token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "FlagOrWord", into = "FlagOrWord")]
pub enum EarlyStopping {
    /// `false`: when the best live beam, if it ended now, would not beat the worst finished one.
    #[default]
    Heuristic,
    /// `true`: as soon as `num_beams` hypotheses are finished.
    Full,
    /// `"never"`: when no live beam can beat the worst finished one even at the length that suits it best.
    Never,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum FlagOrWord {
    Flag(bool),
    Word(String),
}

impl TryFrom<FlagOrWord> for EarlyStopping {
    type Error = SamplingConfigError;

    fn try_from(value: FlagOrWord) -> Result<Self, SamplingConfigError> {
        match value {
            FlagOrWord::Flag(false) => Ok(Self::Heuristic),
            FlagOrWord::Flag(true) => Ok(Self::Full),
            FlagOrWord::Word(word) if word == "never" => Ok(Self::Never),
            FlagOrWord::Word(got) => Err(SamplingConfigError::EarlyStopping { got }),
        }
    }
}

impl From<EarlyStopping> for FlagOrWord {
    fn from(value: EarlyStopping) -> Self {
        match value {
            EarlyStopping::Heuristic => Self::Flag(false),
            EarlyStopping::Full => Self::Flag(true),
            EarlyStopping::Never => Self::Word("never".into()),
        }
    }
}

/// Beam search, with the names of transformers' `generation_config.json`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BeamConfig {
    /// Live beams, and places for finished hypotheses.
    pub num_beams: NonZeroUsize,
    /// Exponent α of the length in the score `Σ ln π / length^α`; the length counts generated tokens, the end of
    /// sequence among them.
    pub length_penalty: f64,
    /// When to stop.
    pub early_stopping: EarlyStopping,
    /// Hypotheses to return, at most `num_beams`.
    pub num_return_sequences: NonZeroUsize,
}

impl Default for BeamConfig {
    fn default() -> Self {
        let (num_beams, num_return_sequences) = (NonZeroUsize::MIN, NonZeroUsize::MIN);
        Self { num_beams, length_penalty: 1.0, early_stopping: EarlyStopping::default(), num_return_sequences }
    }
}

impl BeamConfig {
    /// Checks what the types of the fields do not.
    ///
    /// # Errors
    /// If more sequences are asked for than there are beams, or the length penalty is not finite.
    pub fn validate(&self) -> Result<(), SamplingConfigError> {
        if self.num_return_sequences > self.num_beams {
            let (num_beams, num_return_sequences) = (self.num_beams.get(), self.num_return_sequences.get());
            return Err(SamplingConfigError::Returned { num_beams, num_return_sequences });
        }
        if !self.length_penalty.is_finite() {
            return Err(SamplingConfigError::LengthPenalty { got: self.length_penalty });
        }
        Ok(())
    }
}

/// A live beam of the next step: one of the present beams and the token that was appended to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// Which of the present beams it continues.
    pub parent: usize,
    /// Its new last token.
    pub token: u32,
}

/// What a beam search wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// The log-probabilities after these beams, in this order. Parents may repeat and may be missing.
    Continue(&'a [Fork]),
    /// Nothing: [`Beam::into_hypotheses`].
    Done,
}

/// A sequence that a beam search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Generated tokens, with the end of sequence if there is one.
    pub tokens: Vec<u32>,
    /// `Σ ln π / length^α`.
    pub score: f32,
}

/// A step of a beam search that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BeamError {
    /// The rows do not fit the live beams.
    #[error("expected {expected} rows of log-probabilities of one length, got {got}")]
    Rows {
        /// Live beams.
        expected: usize,
        /// Rows that came, or 0 if their lengths differ.
        got: usize,
    },
    /// A log-probability is NaN or +∞.
    #[error("expected log-probabilities in [-inf, inf), got {got} for token {token} of beam {beam}")]
    LogProb {
        /// The beam.
        beam: usize,
        /// The token.
        token: usize,
        /// What came.
        got: f32,
    },
    /// The search is over.
    #[error("expected no more log-probabilities, the search is done")]
    Done,
}

/// Beam search over one prompt, step by step.
///
/// ```text
/// candidates   the max(2, 1 + #eos) · B best of s_b + ln π_b(v) over beams b and tokens v
/// ended        v is an end of sequence, or this is the last step
/// live         the B best candidates that have not ended
/// finished     the B best of those so far and of the ended ones among the first B candidates, by Σ ln π / length^α
/// ```
///
/// These are the rules of transformers' `generate(num_beams = B)` for one prompt, in single precision as there. Among
/// equal scores the lower beam, then the lower token comes first. Where transformers fills up with candidates of
/// probability 0 or copies of the prompt (a vocabulary smaller than B, say), there are fewer beams here.
///
/// Each step the caller gives the log-probabilities after every live beam (see
/// [`Sampler::log_probs`](super::Sampler::log_probs)) and learns which beams to continue with which tokens.
///
/// ```
/// use tdrm_algo::sampling::{Beam, BeamConfig, Progress};
///
/// let config = BeamConfig { num_beams: 2.try_into()?, ..BeamConfig::default() };
/// let mut beam = Beam::new(config, vec![0], 3.try_into()?)?; // token 0 ends a sequence, after at most 3 tokens
/// let log_probs = [0.2_f32, 0.5, 0.3].map(f32::ln);
/// while let Progress::Continue(forks) = beam.advance(&vec![&log_probs[..]; beam.live()])? {
///     assert_eq!(forks.len(), 2);
/// }
/// let best = &beam.into_hypotheses()[0];
/// assert_eq!(best.tokens, [1, 1, 1]); // 3 ln ½ / 3 is above ln 0.2
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Beam {
    config: BeamConfig,
    eos: Vec<u32>,
    max_new_tokens: usize,
    length: usize,
    live: Vec<Live>,
    next: Vec<Live>,
    forks: Vec<Fork>,
    candidates: Vec<Candidate>,
    finished: Vec<Hypothesis>,
    keys: Vec<u64>,
    done: bool,
}

#[derive(Debug, Clone, Default)]
struct Live {
    tokens: Vec<u32>,
    sum: f32,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    fork: Fork,
    sum: f32,
    ended: bool,
}

impl Beam {
    /// A search that ends sequences at the tokens `eos` and after `max_new_tokens` tokens.
    ///
    /// # Errors
    /// If the config is not [valid](BeamConfig::validate).
    pub fn new(config: BeamConfig, eos: Vec<u32>, max_new_tokens: NonZeroUsize) -> Result<Self, SamplingConfigError> {
        config.validate()?;
        Ok(Self {
            config,
            eos,
            max_new_tokens: max_new_tokens.get(),
            length: 0,
            live: vec![Live::default()],
            next: Vec::new(),
            forks: Vec::new(),
            candidates: Vec::new(),
            finished: Vec::new(),
            keys: Vec::new(),
            done: false,
        })
    }

    /// Number of live beams: 1 before the first step, then `num_beams`, or fewer where there are not as many
    /// continuations of a probability above 0.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live.len()
    }

    /// Tokens that live beam `beam` has generated; none for a beam that is not there.
    #[must_use]
    pub fn generated(&self, beam: usize) -> &[u32] {
        self.live.get(beam).map_or(&[], |live| &live.tokens)
    }

    /// Takes the log-probabilities of the next token after every live beam, `[live][V]`.
    ///
    /// # Errors
    /// If the rows do not fit, a log-probability is NaN or +∞, or the search is done.
    pub fn advance(&mut self, log_probs: &[&[f32]]) -> Result<Progress<'_>, BeamError> {
        if self.done {
            return Err(BeamError::Done);
        }
        self.check(log_probs)?;
        self.length += 1;
        self.collect(log_probs);
        self.finish();
        self.fork();
        self.done = self.live.is_empty() || (self.is_full() && !self.can_improve());
        Ok(if self.done { Progress::Done } else { Progress::Continue(&self.forks) })
    }

    /// The finished hypotheses, best first, at most `num_return_sequences`. Fewer if the search was left early.
    #[must_use]
    pub fn into_hypotheses(mut self) -> Vec<Hypothesis> {
        self.finished.truncate(self.config.num_return_sequences.get());
        self.finished
    }

    fn check(&self, log_probs: &[&[f32]]) -> Result<(), BeamError> {
        let expected = self.live.len();
        if log_probs.len() != expected {
            return Err(BeamError::Rows { expected, got: log_probs.len() });
        }
        if log_probs.iter().any(|row| row.is_empty() || row.len() != log_probs[0].len()) {
            return Err(BeamError::Rows { expected, got: 0 });
        }
        for (beam, row) in log_probs.iter().enumerate() {
            if let Some(token) = row.iter().position(|&lp| lp.is_nan() || lp >= f32::INFINITY) {
                return Err(BeamError::LogProb { beam, token, got: row[token] });
            }
        }
        Ok(())
    }

    /// The best continuations, best first.
    fn collect(&mut self, log_probs: &[&[f32]]) {
        let Self { live, candidates, keys, eos, .. } = self;
        let width = log_probs[0].len();
        let wanted = self.config.num_beams.get().saturating_mul((1 + eos.len()).max(2));
        let last = u32::MAX as usize;
        let rows = live.iter().zip(log_probs).enumerate();
        let sums = rows.flat_map(|(beam, (live, row))| {
            row.iter().zip(beam * width..).map(|(&lp, flat)| (live.sum + lp, flat)) // among equals the first
        });
        let possible = sums.filter(|(sum, _)| *sum > f32::NEG_INFINITY);
        top(possible.map(|(sum, flat)| key(sum, last - flat)), wanted, keys);
        keys.sort_unstable_by(|a, b| b.cmp(a));
        let ending = self.length >= self.max_new_tokens;
        candidates.clear();
        candidates.extend(keys.iter().map(|&key| {
            let flat = last - position(key);
            let fork = Fork { parent: flat / width, token: (flat % width) as u32 };
            let sum = live[fork.parent].sum + log_probs[fork.parent][flat % width];
            Candidate { fork, sum, ended: ending || eos.contains(&fork.token) }
        }));
    }

    /// Puts what has ended among the first candidates in its place among the finished.
    fn finish(&mut self) {
        let places = self.config.num_beams.get();
        let norm = self.norm(self.length);
        for Candidate { fork, sum, .. } in self.candidates.iter().take(places).filter(|candidate| candidate.ended) {
            let parent = &self.live[fork.parent].tokens;
            let tokens = parent.iter().copied().chain([fork.token]).collect();
            self.finished.push(Hypothesis { tokens, score: sum / norm });
        }
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score)); // stable: the earlier of equals stays ahead
        self.finished.truncate(places);
    }

    /// The next live beams: the best that have not ended.
    fn fork(&mut self) {
        let continuing = self.candidates.iter().filter(|candidate| !candidate.ended);
        self.forks.clear();
        self.next.resize_with(self.config.num_beams.get(), Live::default);
        for (slot, candidate) in self.next.iter_mut().zip(continuing) {
            slot.tokens.clone_from(&self.live[candidate.fork.parent].tokens);
            slot.tokens.push(candidate.fork.token);
            slot.sum = candidate.sum;
            self.forks.push(candidate.fork);
        }
        self.next.truncate(self.forks.len());
        std::mem::swap(&mut self.live, &mut self.next);
    }

    fn is_full(&self) -> bool {
        self.finished.len() == self.config.num_beams.get()
    }

    /// Whether the best live beam may yet beat the worst finished hypothesis, as `early_stopping` guesses it.
    fn can_improve(&self) -> bool {
        let length = match self.config.early_stopping {
            EarlyStopping::Full => return false,
            EarlyStopping::Never if self.config.length_penalty > 0.0 => self.max_new_tokens,
            EarlyStopping::Never | EarlyStopping::Heuristic => self.length,
        };
        let (best, worst) = (self.live.first(), self.finished.last());
        best.zip(worst).is_some_and(|(best, worst)| best.sum / self.norm(length) > worst.score)
    }

    /// `length^α`.
    fn norm(&self, length: usize) -> f32 {
        (length as f64).powf(self.config.length_penalty) as f32
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn config(num_beams: usize, length_penalty: f64, early_stopping: EarlyStopping) -> BeamConfig {
        let num_beams = num_beams.try_into().unwrap();
        BeamConfig { num_beams, length_penalty, early_stopping, num_return_sequences: num_beams }
    }

    fn ln<const N: usize>(probabilities: [f32; N]) -> [f32; N] {
        probabilities.map(f32::ln)
    }

    #[test]
    fn two_beams_by_hand() {
        // Token 0 ends. First: a = 1 with 0.6, b = 2 with 0.3. After a: end 0.1, 1 0.5, 2 0.4; after b: end 0.9.
        let mut beam = Beam::new(config(2, 0.0, EarlyStopping::Full), vec![0], 2.try_into().unwrap()).unwrap();
        let first = beam.advance(&[&ln([0.1, 0.6, 0.3])]).unwrap();
        let forks = [Fork { parent: 0, token: 1 }, Fork { parent: 0, token: 2 }];
        assert_eq!(first, Progress::Continue(&forks));
        assert_eq!((beam.generated(0), beam.generated(1), beam.live()), (&[1][..], &[2][..], 2));
        let last = beam.advance(&[&ln([0.1, 0.5, 0.4]), &ln([0.9, 0.05, 0.05])]).unwrap();
        assert_eq!(last, Progress::Done);
        // 0.6·0.5 = 0.30 and 0.3·0.9 = 0.27 beat 0.6·0.4 = 0.24.
        let found = beam.into_hypotheses();
        assert_eq!(found.iter().map(|h| &h.tokens[..]).collect::<Vec<_>>(), [&[1, 1][..], &[2, 0][..]]);
        assert!((found[0].score - 0.3_f32.ln()).abs() < 1e-6 && (found[1].score - 0.27_f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn an_end_among_the_reserve_does_not_count_as_finished() {
        // One beam, two candidates: the end comes second, so it is dropped.
        let mut beam = Beam::new(config(1, 1.0, EarlyStopping::Full), vec![0], 5.try_into().unwrap()).unwrap();
        let step = beam.advance(&[&ln([0.4, 0.6])]).unwrap();
        assert_eq!(step, Progress::Continue(&[Fork { parent: 0, token: 1 }]));
        assert_eq!(beam.into_hypotheses(), []);
    }

    #[test]
    fn a_short_end_is_beaten_by_a_longer_sequence_only_where_the_search_goes_on() {
        // End at once: ln 0.5. Going on: ln 0.5 + 0 + 0, over 3² with α = 2.
        let run = |early_stopping| {
            let mut beam = Beam::new(config(1, 2.0, early_stopping), vec![0], 3.try_into().unwrap()).unwrap();
            let mut row = ln([0.5, 0.49]);
            while let Progress::Continue(_) = beam.advance(&[&row]).unwrap() {
                row = ln([1e-9, 1.0]);
            }
            beam.into_hypotheses().remove(0).tokens
        };
        assert_eq!(run(EarlyStopping::Full), [0]);
        assert_eq!(run(EarlyStopping::Heuristic), [0]);
        assert_eq!(run(EarlyStopping::Never), [1, 1, 1]);
    }

    #[test]
    fn equal_scores_go_by_beam_then_by_token() {
        let mut beam = Beam::new(config(2, 1.0, EarlyStopping::Heuristic), vec![], 3.try_into().unwrap()).unwrap();
        beam.advance(&[&[-1.0; 4]]).unwrap();
        assert_eq!((beam.generated(0), beam.generated(1)), (&[0][..], &[1][..]));
        beam.advance(&[&[-1.0; 4], &[-1.0; 4]]).unwrap();
        assert_eq!((beam.generated(0), beam.generated(1)), (&[0, 0][..], &[0, 1][..]));
    }

    #[test]
    fn impossible_tokens_are_no_candidates_and_a_dead_end_ends_the_search() {
        let never = f32::NEG_INFINITY;
        let mut beam = Beam::new(config(3, 1.0, EarlyStopping::Heuristic), vec![], 9.try_into().unwrap()).unwrap();
        beam.advance(&[&[never, -0.5, never, -1.0]]).unwrap();
        assert_eq!(beam.live(), 2);
        assert_eq!(beam.advance(&[&[never; 4], &[never; 4]]).unwrap(), Progress::Done);
        assert_eq!(beam.advance(&[]).unwrap_err(), BeamError::Done);
        assert_eq!(beam.into_hypotheses(), []);
    }

    #[test]
    fn rows_that_do_not_fit_and_what_is_no_log_probability_are_errors() {
        let mut beam = Beam::new(config(2, 1.0, EarlyStopping::Heuristic), vec![], 9.try_into().unwrap()).unwrap();
        let rows: [&[f32]; 2] = [&[-1.0, -2.0], &[-1.0, -2.0]];
        assert_eq!(beam.advance(&rows).unwrap_err(), BeamError::Rows { expected: 1, got: 2 });
        assert_eq!(beam.advance(&[&[]]).unwrap_err(), BeamError::Rows { expected: 1, got: 0 });
        let error = beam.advance(&[&[-1.0, f32::NAN]]).unwrap_err();
        assert!(matches!(error, BeamError::LogProb { beam: 0, token: 1, got } if got.is_nan()));
        beam.advance(&[&[-1.0, -2.0]]).unwrap();
        assert_eq!(beam.advance(&[&[-1.0, -2.0], &[-1.0]]).unwrap_err(), BeamError::Rows { expected: 2, got: 0 });
    }

    #[test]
    fn early_stopping_is_written_as_in_transformers() {
        for (text, expected) in
            [("false", EarlyStopping::Heuristic), ("true", EarlyStopping::Full), ("\"never\"", EarlyStopping::Never)]
        {
            assert_eq!(serde_json::from_str::<EarlyStopping>(text).unwrap(), expected);
            assert_eq!(serde_json::to_string(&expected).unwrap(), text);
        }
        assert!(serde_json::from_str::<EarlyStopping>("\"soon\"").is_err());
    }

    #[test]
    fn more_sequences_than_beams_are_refused() {
        let config = BeamConfig { num_return_sequences: 2.try_into().unwrap(), ..BeamConfig::default() };
        let error = Beam::new(config, vec![], 1.try_into().unwrap()).unwrap_err();
        assert_eq!(error, SamplingConfigError::Returned { num_beams: 1, num_return_sequences: 2 });
    }
}
