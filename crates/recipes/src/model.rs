//! A language model with its characters: the policy and the backbone of the reward models.

use std::path::Path;

use tdrm_core::{Event, Observer, Seed, Temperature};
use tdrm_dfdx::{Decoding, Finish, Lm, Prompt, SamplingConfig};

use crate::store::write_atomically;
use crate::text::{CharTokenizer, Response, step_ends};
use crate::{Problem, RecipeError, Stop};

/// Token that ends a response.
pub(crate) const END: &str = "<eos>";

/// A language model over characters, with the token that ends a response and the one that ends a step.
#[derive(Debug, Clone)]
pub struct Model {
    /// The network.
    pub lm: Lm,
    tokenizer: CharTokenizer,
    end: u32,
    separator: u32,
}

/// How responses are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Draws {
    /// The most probable continuation.
    Greedy,
    /// This many samples of each problem at this temperature; sample `j` of problem `i` draws from
    /// `seed.child(i).child(j)`.
    Sampled {
        /// Samples per problem.
        count: usize,
        /// Temperature.
        temperature: Temperature,
        /// Root of the seeds.
        seed: Seed,
    },
}

impl Model {
    /// Joins a network with its characters.
    ///
    /// # Errors
    /// If the vocabulary does not fit the network, or lacks `<eos>` or the line break that separates steps.
    pub fn new(lm: Lm, tokenizer: CharTokenizer) -> Result<Self, RecipeError> {
        let setting = |expected: &str, got: String| RecipeError::Setting {
            field: "tokenizer",
            expected: expected.to_owned(),
            got,
        };
        let (tokens, rows) = (tokenizer.vocab_size(), lm.config().vocab_size);
        if tokens > rows {
            return Err(setting(&format!("at most the {rows} tokens of the network"), tokens.to_string()));
        }
        let end = tokenizer.special(END).ok_or_else(|| setting("a special token `<eos>`", "none".to_owned()))?;
        let separator = tokenizer.character('\n').ok_or_else(|| setting("a line break", "none".to_owned()))?;
        Ok(Self { lm, tokenizer, end, separator })
    }

    /// Reads a Hugging Face directory: `config.json`, `model.safetensors`, `tokenizer.json`.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn load(directory: &Path) -> Result<Self, RecipeError> {
        let tokenizer = CharTokenizer::load(&directory.join("tokenizer.json"))?;
        Self::new(Lm::load(directory)?, tokenizer)
    }

    /// The model that ships with the crate, trained by [`pretrain`](crate::pretrain()).
    ///
    /// # Errors
    /// If the shipped files do not fit together.
    pub fn embedded() -> Result<Self, RecipeError> {
        let lm = Lm::from_bytes(include_str!("../model/config.json"), include_bytes!("../model/model.safetensors"))?;
        let path = Path::new("model/tokenizer.json");
        let tokenizer =
            CharTokenizer::from_json(include_str!("../model/tokenizer.json")).map_err(RecipeError::content(path))?;
        Self::new(lm, tokenizer)
    }

    /// Writes a Hugging Face directory that transformers loads unchanged.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn save(&self, directory: &Path) -> Result<(), RecipeError> {
        self.lm.save(directory)?;
        write_atomically(&directory.join("tokenizer.json"), self.tokenizer.to_json().as_bytes())?;
        let settings = "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  \"eos_token\": \"<eos>\",\n  \"pad_token\": \"<pad>\",\n  \"unk_token\": \"<unk>\",\n  \"clean_up_tokenization_spaces\": false\n}\n";
        write_atomically(&directory.join("tokenizer_config.json"), settings.as_bytes())
    }

    /// The same characters with another network.
    #[must_use]
    pub fn with_lm(&self, lm: Lm) -> Self {
        Self { lm, ..self.clone() }
    }

    /// The characters.
    #[must_use]
    pub const fn tokenizer(&self) -> &CharTokenizer {
        &self.tokenizer
    }

    /// The token that ends a response.
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.end
    }

    /// The token that ends a step: the line break.
    #[must_use]
    pub const fn separator(&self) -> u32 {
        self.separator
    }

    /// The text of a response.
    #[must_use]
    pub fn text(&self, tokens: &[u32]) -> String {
        self.tokenizer.decode(tokens)
    }

    /// Where the steps of a response end.
    #[must_use]
    pub fn step_ends(&self, response: &[u32]) -> Vec<usize> {
        step_ends(response, self.separator, self.end)
    }

    /// Draws responses to each problem, `[problems][count]`, at most `max_tokens` each.
    ///
    /// # Errors
    /// If a prompt cannot be encoded, the network fails, or `stop` was requested (`state` names what is resumed).
    pub fn respond(
        &self,
        problems: &[Problem],
        draws: Draws,
        max_tokens: usize,
    ) -> Result<Vec<Vec<Response>>, RecipeError> {
        let (count, seed) = match draws {
            Draws::Greedy => (1, Seed::root(0)),
            Draws::Sampled { count, seed, .. } => (count, seed),
        };
        let mut prompts = Vec::with_capacity(problems.len() * count);
        for (i, problem) in problems.iter().enumerate() {
            let tokens = self.tokenizer.encode(&problem.prompt)?;
            let samples = (0..count as u64).map(|j| seed.child(i as u64).child(j));
            prompts.extend(samples.map(|seed| Prompt { tokens: tokens.clone(), seed }));
        }
        let responses = self.continue_prompts(&prompts, draws, max_tokens, &[self.end])?;
        let mut responses = responses.into_iter();
        Ok(problems.iter().map(|_| responses.by_ref().take(count).collect()).collect())
    }

    /// Continues prompts until one of `stops`.
    pub(crate) fn continue_prompts(
        &self,
        prompts: &[Prompt],
        draws: Draws,
        max_tokens: usize,
        stops: &[u32],
    ) -> Result<Vec<Response>, RecipeError> {
        let sampling = SamplingConfig {
            decoding: match draws {
                Draws::Greedy => Decoding::Greedy,
                Draws::Sampled { temperature, .. } => Decoding::Sample { temperature: temperature.get() },
            },
            ..SamplingConfig::sample(1.0, max_tokens, stops)
        };
        let completions = self.lm.generate(prompts, &sampling)?;
        let response = |c: tdrm_dfdx::Completion| Response {
            step_ends: self.step_ends(&c.tokens),
            stopped: c.finish == Finish::Stop,
            tokens: c.tokens,
            log_probs: c.log_probs,
        };
        Ok(completions.into_iter().map(response).collect())
    }
}

/// What long work needs from outside: someone who listens and someone who may stop it.
pub struct Context<'a> {
    /// Hears what happens.
    pub observer: &'a mut dyn Observer,
    /// May ask to stop.
    pub stop: Stop,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("stop", &self.stop).finish_non_exhaustive()
    }
}

impl Context<'_> {
    /// Does work on chunks of `items` with progress in units of items, stopping between chunks if asked.
    ///
    /// # Errors
    /// What the work fails with, or [`RecipeError::Interrupted`].
    pub fn in_chunks<T, R>(
        &mut self,
        stage: &str,
        state: &Path,
        items: &[T],
        chunk: usize,
        mut work: impl FnMut(u64, &[T]) -> Result<Vec<R>, RecipeError>,
    ) -> Result<Vec<R>, RecipeError> {
        self.observer.on(&Event::Started { stage, total: items.len() as u64 });
        let mut results = Vec::with_capacity(items.len());
        let mut done = 0;
        for (index, part) in items.chunks(chunk.max(1)).enumerate() {
            self.stop.check(state)?;
            results.extend(work(index as u64, part)?);
            done += part.len() as u64;
            self.observer.on(&Event::Progress { stage, done });
        }
        self.observer.on(&Event::Finished { stage });
        Ok(results)
    }
}
