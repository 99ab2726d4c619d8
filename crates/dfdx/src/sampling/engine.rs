//! Workers that keep their slots full.

use std::ops::{ControlFlow, Range};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rayon::prelude::*;
use tdrm_kernels::decode::{Cache, Place};
use tdrm_kernels::logprob::{self, Score};

use super::{Completion, Decoder, Decoding, Finish, Progress, Prompt, SamplingConfig};
use crate::{Lm, LmError};

/// What the workers share.
struct Job<'a> {
    lm: &'a Lm,
    decoder: &'a Decoder,
    prompts: &'a [Prompt],
    config: &'a SamplingConfig,
    /// The next prompt that nobody has taken.
    next: AtomicUsize,
    progress: Mutex<Progress>,
    watch: &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync),
}

/// Continues all prompts.
pub(super) fn run(
    lm: &Lm,
    prompts: &[Prompt],
    config: &SamplingConfig,
    watch: &(dyn Fn(Progress) -> ControlFlow<()> + Sync),
) -> Result<Vec<Completion>, LmError> {
    let decoder = lm.decoder()?;
    let progress = Mutex::new(Progress { finished: 0, total: prompts.len(), tokens: 0 });
    let job = Job { lm, decoder: &decoder, prompts, config, next: AtomicUsize::new(0), progress, watch };
    let slots = config.slots.clamp(1, prompts.len().max(1));
    let workers = rayon::current_num_threads().clamp(1, slots);
    let work = |_| Worker::new(&job, slots.div_ceil(workers)).run();
    let parts: Vec<_> = (0..workers).into_par_iter().map(work).collect::<Result<_, _>>()?;
    let mut completions: Vec<_> = parts.into_iter().flatten().collect();
    completions.sort_unstable_by_key(|(i, _)| *i);
    Ok(completions.into_iter().map(|(_, completion)| completion).collect())
}

impl Job<'_> {
    /// Takes up to `count` consecutive prompts, so that samples of one prompt meet in one worker.
    fn take(&self, count: usize) -> Range<usize> {
        let start = self.next.fetch_add(count, Ordering::Relaxed).min(self.prompts.len());
        start..(start + count).min(self.prompts.len())
    }

    /// Tells the watcher of a finished continuation.
    fn report(&self, tokens: usize) -> Result<(), LmError> {
        // A poisoned lock means that another worker panicked in `watch`; the counts are still whole.
        let mut progress = self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        progress.finished += 1;
        progress.tokens += tokens;
        match (self.watch)(*progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(LmError::Interrupted),
        }
    }

    /// Longest sequence that these settings can lead to.
    fn capacity(&self) -> usize {
        let prompt = self.prompts.iter().map(|prompt| prompt.tokens.len()).max().unwrap_or(0);
        prompt.saturating_add(self.config.max_new_tokens).min(self.lm.config().max_position_embeddings)
    }
}

/// A continuation in a slot.
struct Running {
    /// Index of the prompt.
    prompt: usize,
    /// Tokens in the cache.
    cached: usize,
    tokens: Vec<u32>,
    log_probs: Vec<f32>,
    rng: Xoshiro256PlusPlus,
}

/// A slot: its cache begins with the prompt of its last occupant.
#[derive(Default)]
struct Slot {
    running: Option<Running>,
    /// The prompt at the beginning of the cache, once it has been read.
    holds: Option<usize>,
}

struct Worker<'a> {
    job: &'a Job<'a>,
    slots: Vec<Slot>,
    caches: Vec<Cache>,
    finished: Vec<(usize, Completion)>,
}

impl<'a> Worker<'a> {
    fn new(job: &'a Job<'a>, slots: usize) -> Self {
        let caches = job.decoder.caches(job.lm, slots, job.capacity());
        Self { job, slots: (0..slots).map(|_| Slot::default()).collect(), caches, finished: Vec::new() }
    }

    fn run(mut self) -> Result<Vec<(usize, Completion)>, LmError> {
        loop {
            self.refill();
            if self.slots.iter().all(|slot| slot.running.is_none()) {
                return Ok(self.finished);
            }
            self.step()?;
        }
    }

    /// Gives each free slot a prompt while there are any.
    fn refill(&mut self) {
        let free: Vec<usize> = (0..self.slots.len()).filter(|&slot| self.slots[slot].running.is_none()).collect();
        for (prompt, slot) in self.job.take(free.len()).zip(free) {
            let rng = self.job.prompts[prompt].seed.rng();
            let running = Running { prompt, cached: 0, tokens: Vec::new(), log_probs: Vec::new(), rng };
            let Slot { holds, .. } = self.slots[slot];
            self.slots[slot].holds = holds.filter(|&held| self.tokens(held) == self.tokens(prompt));
            self.slots[slot].running = Some(running);
        }
    }

    /// Appends every slot's new tokens to the cache and draws one token for each.
    fn step(&mut self) -> Result<(), LmError> {
        self.share_prompts()?;
        let (mut tokens, mut places, mut last) = (Vec::new(), Vec::new(), Vec::new());
        for slot in 0..self.slots.len() {
            let Some(new) = self.pending(slot) else { continue };
            let Some(running) = &mut self.slots[slot].running else { continue };
            places.extend((running.cached..).take(new.len()).map(|position| Place { slot, position }));
            running.cached += new.len();
            tokens.extend(new);
            last.push((slot, tokens.len() - 1));
        }
        let job = self.job;
        let hidden = job.decoder.append(job.lm, &mut self.caches, &tokens, &places)?;
        let d = job.lm.config().hidden_size;
        let rows: Vec<f32> = last.iter().flat_map(|&(_, row)| &hidden[row * d..(row + 1) * d]).copied().collect();
        let logits = job.decoder.logits(job.lm, &rows)?;
        for ((slot, _), logits) in last.into_iter().zip(logits.chunks_exact(job.lm.config().vocab_size)) {
            self.extend(slot, logits)?;
        }
        Ok(())
    }

    /// The tokens of a slot that are not in its cache yet; `None` if it waits for another slot to read its prompt.
    fn pending(&self, slot: usize) -> Option<Vec<u32>> {
        let running = self.slots[slot].running.as_ref()?;
        match running.tokens.last() {
            Some(token) => Some(vec![*token]),
            None if self.waits(slot, running) => None,
            None => Some(self.job.prompts[running.prompt].tokens[running.cached..].to_vec()),
        }
    }

    /// Whether an earlier slot is about to read the same prompt.
    fn waits(&self, slot: usize, running: &Running) -> bool {
        let same = |other: &Running| {
            other.tokens.is_empty() && other.cached == 0 && self.tokens(other.prompt) == self.tokens(running.prompt)
        };
        let copies = running.cached == 0 && self.tokens(running.prompt).len() > 1;
        copies && self.slots[..slot].iter().filter_map(|slot| slot.running.as_ref()).any(same)
    }

    fn tokens(&self, prompt: usize) -> &'a [u32] {
        &self.job.prompts[prompt].tokens
    }

    /// Copies the cache of a slot that has read the same prompt; only the prompt's last token is read again.
    fn share_prompts(&mut self) -> Result<(), LmError> {
        for slot in 0..self.slots.len() {
            let Some(running) = &self.slots[slot].running else { continue };
            let (prompt, len) = (running.prompt, self.tokens(running.prompt).len() - 1);
            if running.cached > 0 || len == 0 {
                continue;
            }
            let reads_same = |other: &Slot| other.holds.is_some_and(|held| self.tokens(held) == self.tokens(prompt));
            let Some(donor) = self.slots.iter().position(reads_same) else { continue };
            if donor != slot {
                for cache in &mut self.caches {
                    cache.fork(donor, slot, len)?;
                }
            }
            if let Some(running) = &mut self.slots[slot].running {
                running.cached = len;
            }
        }
        Ok(())
    }

    /// Draws the next token of a slot; frees the slot if it was the last.
    fn extend(&mut self, slot: usize, logits: &[f32]) -> Result<(), LmError> {
        let (job, limit) = (self.job, self.job.lm.config().max_position_embeddings);
        let Slot { running, holds } = &mut self.slots[slot];
        let Some(state) = running.as_mut() else { return Ok(()) };
        *holds = Some(state.prompt);
        let token = match job.config.decoding {
            Decoding::Greedy => logprob::greedy(logits),
            Decoding::Sample { temperature } => logprob::draw(logits, temperature, state.rng.random::<f64>())?,
        };
        let mut score = [Score::default()];
        logprob::forward(logits, &[token], job.config.temperature(), &mut score)?;
        state.tokens.push(token);
        state.log_probs.push(score[0].log_prob);
        let full = state.tokens.len() >= job.config.max_new_tokens || state.cached + 1 >= limit;
        let finish = match (job.config.stop_tokens.contains(&token), full) {
            (true, _) => Finish::Stop,
            (false, true) => Finish::Length,
            (false, false) => return Ok(()),
        };
        if let Some(Running { prompt, tokens, log_probs, .. }) = running.take() {
            job.report(tokens.len())?;
            self.finished.push((prompt, Completion { tokens, log_probs, finish }));
        }
        Ok(())
    }
}
