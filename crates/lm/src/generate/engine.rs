//! Slots that are kept full.

use std::ops::ControlFlow;

use candle_core::Tensor;
use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rayon::prelude::*;
use tdrm_algo::sampling::{History, Sampler, SamplingConfig};

use super::decoder::Decoder;
use super::text::Text;
use super::{Completion, Finish, Generation, Progress, Prompt};
use crate::LmError;
use crate::ops::on_pool;
use crate::tokens::Tokenizer;

/// Logits of a step from which on tokens are chosen on all threads.
const PARALLEL: usize = 1 << 12;

/// A continuation in a slot.
struct Running<'a> {
    /// Index of its prompt.
    index: usize,
    prompt_len: usize,
    /// Prompt and continuation.
    tokens: Vec<u32>,
    log_probs: Vec<f64>,
    log_probs_full: Vec<f64>,
    rng: Xoshiro256PlusPlus,
    text: Option<Text<'a>>,
    finish: Option<Finish>,
}

/// A slot: room for choosing, and who is in it.
struct Slot<'a> {
    sampler: Sampler,
    running: Option<Running<'a>>,
}

pub(super) struct Engine<'a> {
    decoder: Decoder,
    slots: Vec<Slot<'a>>,
    prompts: &'a [Prompt],
    settings: &'a Generation,
    tokenizer: Option<&'a Tokenizer>,
    ends: Vec<u32>,
    /// The next prompt that is in no slot yet.
    next: usize,
    progress: Progress,
    completions: Vec<Option<Completion>>,
}

impl<'a> Engine<'a> {
    pub(super) fn new(
        decoder: Decoder,
        slots: usize,
        prompts: &'a [Prompt],
        settings: &'a Generation,
        tokenizer: Option<&'a Tokenizer>,
    ) -> Result<Self, LmError> {
        let slot = || Ok(Slot { sampler: Sampler::new(settings.sampling.clone())?, running: None });
        let slots = (0..slots).map(|_| slot()).collect::<Result<_, LmError>>()?;
        let progress = Progress { finished: 0, total: prompts.len(), tokens: 0, rows: 0 };
        let (ends, completions) = (settings.ends(), vec![None; prompts.len()]);
        Ok(Self { decoder, slots, prompts, settings, tokenizer, ends, next: 0, progress, completions })
    }

    pub(super) fn run(
        mut self,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, LmError> {
        while self.progress.finished < self.prompts.len() {
            on_pool(|| self.refill().and_then(|()| self.step()))?;
            if watch(self.progress).is_break() {
                return Err(LmError::Interrupted);
            }
        }
        Ok(self.completions.into_iter().flatten().collect())
    }

    /// Gives each free slot a prompt while there are any; of several slots, the one that holds most of it.
    fn refill(&mut self) -> Result<(), LmError> {
        let mut free: Vec<usize> = (0..self.slots.len()).filter(|&i| self.slots[i].running.is_none()).collect();
        while let Some(prompt) = self.prompts.get(self.next).filter(|_| !free.is_empty()) {
            let kept =
                |slot: usize| self.decoder.held(slot).iter().zip(&prompt.tokens).take_while(|(a, b)| a == b).count();
            let best = (0..free.len()).rev().max_by_key(|&i| kept(free[i])).unwrap_or(0);
            let slot = free.remove(best);
            self.decoder.keep(slot, &prompt.tokens);
            self.slots[slot].take(self.next, prompt, self.settings, self.tokenizer)?;
            self.next += 1;
        }
        Ok(())
    }

    /// Runs every slot's new tokens and chooses a token for each.
    fn step(&mut self) -> Result<(), LmError> {
        self.share()?;
        let ready: Vec<usize> = (0..self.slots.len()).filter(|&slot| self.is_ready(slot)).collect();
        let Self { decoder, slots, .. } = self;
        let pending = |&slot: &usize| {
            let running = slots[slot].running.as_ref()?;
            Some((slot, running.tokens[decoder.held(slot).len()..].to_vec()))
        };
        let parts: Vec<(usize, Vec<u32>)> = ready.iter().filter_map(pending).collect();
        let parts: Vec<(usize, &[u32])> = parts.iter().map(|(slot, tokens)| (*slot, tokens.as_slice())).collect();
        let hidden = decoder.append(&parts)?;
        self.progress.rows += parts.iter().map(|(_, tokens)| tokens.len()).sum::<usize>();
        self.choose(&ready, &hidden)?;
        self.release()
    }

    /// Copies the beginnings that other slots have read by now.
    fn share(&mut self) -> Result<(), LmError> {
        for (slot, Slot { running, .. }) in self.slots.iter().enumerate() {
            let Some(running) = running else { continue };
            if running.tokens.len() > self.decoder.held(slot).len() + 1 {
                self.decoder.reuse(slot, &running.tokens)?;
            }
        }
        Ok(())
    }

    /// Whether a slot runs now: it is occupied, and no earlier one is about to read a beginning that it could copy.
    fn is_ready(&self, slot: usize) -> bool {
        let Some(running) = &self.slots[slot].running else { return false };
        let earlier = self.slots.iter().filter_map(|slot| slot.running.as_ref()).filter(|it| it.index < running.index);
        running.tokens.len() == self.decoder.held(slot).len() + 1
            || !earlier.clone().any(|other| self.decoder.gains(slot, &running.tokens, &other.tokens))
    }

    /// Chooses a token for each ready slot.
    fn choose(&mut self, ready: &[usize], hidden: &Tensor) -> Result<(), LmError> {
        let (vocabulary, longest) = (self.decoder.model().config().vocab_size, self.decoder.capacity());
        let (settings, ends) = (self.settings, &self.ends);
        let logits = self.decoder.logits(hidden)?;
        let chosen = self.slots.iter_mut().enumerate().filter(|(slot, _)| ready.contains(slot)).map(|(_, slot)| slot);
        let work: Vec<_> = chosen.zip(logits.chunks_exact(vocabulary)).collect();
        self.progress.tokens += work.len();
        let step = |(slot, logits): (&mut Slot<'_>, &[f32])| slot.step(logits, settings, ends, longest);
        if work.len() > 1 && logits.len() >= PARALLEL {
            work.into_par_iter().try_for_each(step)
        } else {
            work.into_iter().try_for_each(step)
        }
    }

    /// Frees the slots whose continuations have ended.
    fn release(&mut self) -> Result<(), LmError> {
        for slot in &mut self.slots {
            if let Some(running) = slot.running.take_if(|running| running.finish.is_some()) {
                let index = running.index;
                self.completions[index] = Some(running.into_completion()?);
                self.progress.finished += 1;
            }
        }
        Ok(())
    }
}

impl<'a> Slot<'a> {
    /// Begins a continuation.
    fn take(
        &mut self,
        index: usize,
        prompt: &Prompt,
        settings: &'a Generation,
        tokenizer: Option<&Tokenizer>,
    ) -> Result<(), LmError> {
        let forced = if prompt.forced.is_empty() { &settings.sampling.forced_prefix } else { &prompt.forced };
        if self.sampler.config().forced_prefix != *forced {
            self.sampler = Sampler::new(SamplingConfig { forced_prefix: forced.clone(), ..settings.sampling.clone() })?;
        }
        self.running = Some(Running {
            index,
            prompt_len: prompt.tokens.len(),
            tokens: prompt.tokens.clone(),
            log_probs: Vec::new(),
            log_probs_full: Vec::new(),
            rng: prompt.seed.rng(),
            text: tokenizer.map(|tokenizer| Text::new(tokenizer, &settings.stop_strings)),
            finish: None,
        });
        Ok(())
    }

    /// Chooses the next token.
    fn step(&mut self, logits: &[f32], settings: &Generation, ends: &[u32], longest: usize) -> Result<(), LmError> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let history = History::new(&running.tokens, running.prompt_len)?;
        let choice = self.sampler.step(logits, history, running.rng.random::<f64>())?;
        running.tokens.push(choice.token);
        running.log_probs.push(choice.log_prob);
        running.log_probs_full.push(choice.log_prob_full);
        let stopped = running.text.as_mut().map_or(Ok(false), |text| text.push(choice.token))?;
        let full = running.log_probs.len() >= settings.max_new_tokens || running.tokens.len() >= longest;
        running.finish = match (ends.contains(&choice.token), stopped, full) {
            (true, _, _) => Some(Finish::Stop),
            (_, true, _) => Some(Finish::StopString),
            (_, _, true) => Some(Finish::Length),
            _ => None,
        };
        Ok(())
    }
}

impl Running<'_> {
    fn into_completion(self) -> Result<Completion, LmError> {
        let Self { prompt_len, mut tokens, log_probs, log_probs_full, text, finish, .. } = self;
        let (text, finish) = (text.map(Text::finish).transpose()?, finish.unwrap_or(Finish::Length));
        Ok(Completion { tokens: tokens.split_off(prompt_len), log_probs, log_probs_full, finish, text })
    }
}
