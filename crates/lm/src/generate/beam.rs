//! Beam search on forks of the cache.

use std::num::NonZeroUsize;

use tdrm_algo::sampling::{Beam, BeamConfig, Fork, History, Hypothesis, Progress, Sampler};

use super::{Branch, Generation, Session};
use crate::{LmError, Model};

impl Model {
    /// The best continuations of a prompt as transformers' `generate(num_beams)` finds them, best first.
    ///
    /// Of the settings it follows the ends of sequence, `max_new_tokens` and the processors of `sampling`; it draws
    /// nothing, and stop strings are refused.
    ///
    /// # Errors
    /// If a setting is out of its range, the prompt is malformed, the beams do not fit into the cache, or the model has
    /// no language-model head.
    pub fn beam_search(
        &self,
        prompt: &[u32],
        beam: &BeamConfig,
        settings: &Generation,
    ) -> Result<Vec<Hypothesis>, LmError> {
        settings.check()?;
        self.check_prompt(0, prompt)?;
        if !settings.stop_strings.is_empty() {
            return Err(LmError::setting("stop_strings", "none in a beam search", settings.stop_strings.len()));
        }
        let room = settings.max_new_tokens.min(self.config().longest() - prompt.len());
        let Some(new_tokens) = NonZeroUsize::new(room) else { return Ok(Vec::new()) };
        let (beams, capacity) = (beam.num_beams.get(), prompt.len() + room);
        let bytes = Session::cache_bytes(self, beams, capacity);
        if bytes > settings.cache_bytes {
            let expected = format!("at least {bytes} for {beams} beams of {capacity} tokens");
            return Err(LmError::setting("cache_bytes", expected, settings.cache_bytes));
        }
        let mut session = Session::new(self, beams, capacity)?;
        let mut sampler = Sampler::new(settings.sampling.clone())?;
        let mut search = Beam::new(*beam, settings.ends(), new_tokens)?;
        let mut live = vec![session.open(prompt)?];
        loop {
            let log_probs = live.iter().map(|&branch| {
                let history = History::new(session.tokens(branch)?, prompt.len())?;
                Ok(sampler.log_probs(session.logits(branch)?, history)?.to_vec())
            });
            let log_probs = log_probs.collect::<Result<Vec<_>, LmError>>()?;
            let rows: Vec<&[f32]> = log_probs.iter().map(Vec::as_slice).collect();
            match search.advance(&rows)? {
                Progress::Done => return Ok(search.into_hypotheses()),
                Progress::Continue(forks) => live = follow(&mut session, &live, forks)?,
            }
        }
    }
}

/// Continues the beams: a beam's first child takes its branch, the others fork it, beams without children end.
fn follow(session: &mut Session, live: &[Branch], forks: &[Fork]) -> Result<Vec<Branch>, LmError> {
    for (parent, &branch) in live.iter().enumerate() {
        if !forks.iter().any(|fork| fork.parent == parent) {
            session.close(branch)?;
        }
    }
    let mut next = Vec::with_capacity(forks.len());
    for (i, fork) in forks.iter().enumerate() {
        let branch = live[fork.parent];
        let taken = forks[..i].iter().any(|other| other.parent == fork.parent);
        next.push(if taken { session.fork(branch)? } else { branch });
    }
    let tokens: Vec<[u32; 1]> = forks.iter().map(|fork| [fork.token]).collect();
    let parts: Vec<(Branch, &[u32])> = next.iter().zip(&tokens).map(|(branch, token)| (*branch, &token[..])).collect();
    session.extend(&parts)?;
    Ok(next)
}
