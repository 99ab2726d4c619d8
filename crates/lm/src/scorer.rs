//! Checkpoints as reward models: outcome and process rewards of prompts, chats, texts and token sequences.
//!
//! All steps of a response are scored in one forward pass, as a causal model's state after a step depends on nothing
//! behind it.

use serde::{Deserialize, Serialize};
use tdrm_core::{RewardError, RewardModel, Rewards};

use crate::tokens::{ChatRequest, Json, Special, Tokenizer};
use crate::{HeadKind, LmError, Model, Sequence, ValueSequence};

/// What is scored. Exactly one of the forms: `prompt` with `steps`; `messages`; `text`; `tokens`, with or without
/// `step_ends`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreInput {
    /// A question.
    pub prompt: Option<String>,
    /// The steps of its answer.
    pub steps: Option<Vec<String>>,
    /// A chat, for the checkpoint's template.
    pub messages: Option<Vec<Json>>,
    /// A text, without a template.
    pub text: Option<String>,
    /// Tokens, without a template.
    pub tokens: Option<Vec<u32>>,
    /// Positions of the last tokens of the steps, strictly ascending. A list that ends with the number of tokens is read
    /// as exclusive ends.
    pub step_ends: Option<Vec<usize>>,
}

/// The scores of an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepScores {
    /// One for each step; one in all where there are no steps.
    pub step_scores: Vec<f64>,
    /// That of the whole: the last step's.
    pub score: f64,
}

/// How a score is read from a model.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Reader {
    /// The head for scores: the probability of its last label, or its output where it has one label only.
    Head,
    /// The single output z of the head for scores as a logit, σ(z), as Skywork-o1-Open-PRM reads its value head and as
    /// heads are read that were trained with cross-entropy on soft targets.
    Logit,
    /// The language-model head, as Math-Shepherd (arXiv 2312.08935) and RLHFlow read it: the probability of `positive`
    /// against `negative` as the next token.
    Tokens {
        /// The token that says "right".
        positive: u32,
        /// The token that says "wrong".
        negative: u32,
    },
    /// An implicit reward against a reference policy: `r(step) = β Σ_{t ∈ step} (log π_t − log π_ref,t)`. Rafailov et al.
    /// (arXiv 2305.18290) §4; Yuan et al. (arXiv 2412.01981) §3 for steps.
    Implicit {
        /// The reference policy.
        reference: Box<Model>,
        /// β, positive.
        beta: f64,
    },
}

/// How a prompt and steps become tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
#[non_exhaustive]
pub enum StepFormat {
    /// Through the chat template, with a special token after each step where its score is read (Qwen2.5-Math-PRM:
    /// `<extra_0>`).
    Marker {
        /// The special token.
        token: String,
        /// A system message, if any.
        system: Option<String>,
    },
    /// The prompt, then each step followed by a separator; scores are read at the separators' last tokens (TRL's
    /// `PRMTrainer`, Math-Shepherd with ` ки`).
    Separator {
        /// What follows a step.
        text: String,
        /// Whether the prompt goes through the chat template.
        chat: bool,
    },
    /// A chat in which each step is a message of the user, the first one behind the prompt and a space, and each is
    /// answered with the same reply; scores are read where a reply begins (RLHFlow's PRMs, with the reply `+`).
    Turns {
        /// The reply.
        reply: String,
    },
}

/// A model that scores.
#[derive(Debug, Clone)]
pub struct Scorer {
    model: Model,
    tokenizer: Option<Tokenizer>,
    reader: Reader,
    format: StepFormat,
}

/// Tokens, and the positions where steps end.
struct Steps {
    tokens: Vec<u32>,
    /// Tokens that are given, for an implicit reward.
    prompt_len: usize,
    ends: Vec<usize>,
}

impl Scorer {
    /// A scorer that reads the model's head for scores as it is, in the format that models with such a head are trained on.
    ///
    /// # Errors
    /// If the model has no head for scores.
    pub fn new(model: Model, tokenizer: Option<Tokenizer>) -> Result<Self, LmError> {
        model.score_head()?;
        Ok(Self::with_reader(model, tokenizer, Reader::Head))
    }

    /// A scorer that reads in another way.
    #[must_use]
    pub fn with_reader(model: Model, tokenizer: Option<Tokenizer>, reader: Reader) -> Self {
        let chat = tokenizer.as_ref().is_some_and(Tokenizer::has_chat_template);
        let format = match model.config().head {
            HeadKind::ProcessReward { .. } => StepFormat::Marker {
                token: "<extra_0>".to_owned(),
                system: Some(r"Please reason step by step, and put your final answer within \boxed{}.".to_owned()),
            },
            HeadKind::TokenClassification { .. } => StepFormat::Separator { text: "\n".to_owned(), chat: false },
            _ => StepFormat::Separator { text: "\n".to_owned(), chat },
        };
        Self { model, tokenizer, reader, format }
    }

    /// Another format of steps.
    #[must_use]
    pub fn with_format(self, format: StepFormat) -> Self {
        Self { format, ..self }
    }

    /// Scores inputs; `out[i]` belongs to `inputs[i]`.
    ///
    /// # Errors
    /// If an input has not exactly one of the forms, cannot be made into tokens, or does not fit the model.
    pub fn scores(&self, inputs: &[&ScoreInput]) -> Result<Vec<StepScores>, LmError> {
        let steps = inputs.iter().map(|input| self.steps(input)).collect::<Result<Vec<_>, _>>()?;
        let scores = match &self.reader {
            Reader::Head => self.head(&steps, |z| z)?,
            Reader::Logit => self.head(&steps, |z| 1.0 / (1.0 + (-z).exp()))?,
            Reader::Tokens { positive, negative } => {
                steps.iter().map(|steps| self.next_token(steps, *positive, *negative)).collect::<Result<_, _>>()?
            }
            Reader::Implicit { reference, beta } => self.implicit(&steps, reference, *beta)?,
        };
        let finish = |step_scores: Vec<f64>| match step_scores.last() {
            Some(&score) => Ok(StepScores { step_scores, score }),
            None => Err(LmError::setting("steps", "at least one", "none")),
        };
        scores.into_iter().map(finish).collect()
    }

    /// `single` reads the output of a head that has one; one with labels is read as the probability of the last.
    fn head(&self, steps: &[Steps], single: impl Fn(f64) -> f64) -> Result<Vec<Vec<f64>>, LmError> {
        let batch: Vec<_> = steps
            .iter()
            .map(|steps| ValueSequence { tokens: steps.tokens.clone(), positions: steps.ends.clone() })
            .collect();
        let read = |logits: &Vec<f64>| match logits.as_slice() {
            [z] => single(*z),
            // The last entry of a softmax.
            [others @ .., last] => 1.0 / (1.0 + others.iter().map(|x| (x - last).exp()).sum::<f64>()),
            [] => 0.0,
        };
        Ok(self.model.values(&batch)?.iter().map(|rows| rows.iter().map(read).collect()).collect())
    }

    fn next_token(&self, steps: &Steps, positive: u32, negative: u32) -> Result<Vec<f64>, LmError> {
        let (vocabulary, logits) = (self.model.config().vocab_size, self.model.logits_at(&steps.tokens, &steps.ends)?);
        for token in [positive, negative] {
            if token as usize >= vocabulary {
                return Err(LmError::Token { sequence: 0, token, vocabulary });
            }
        }
        let read = |row: &[f32]| 1.0 / (1.0 + f64::from(row[negative as usize] - row[positive as usize]).exp());
        Ok(logits.chunks_exact(vocabulary).map(read).collect())
    }

    fn implicit(&self, steps: &[Steps], reference: &Model, beta: f64) -> Result<Vec<Vec<f64>>, LmError> {
        let sequence = |steps: &Steps| Sequence { tokens: steps.tokens.clone(), prompt_len: steps.prompt_len };
        let batch: Vec<_> = steps.iter().map(sequence).collect();
        let (own, other) = (self.model.scores(&batch, 1.0)?, reference.scores(&batch, 1.0)?);
        let rewards = |(i, steps): (usize, &Steps)| {
            let mut start = 0;
            let mut step = |&end: &usize| {
                // Target t of the sequence is token `prompt_len + t`.
                let end = (end + 1).saturating_sub(steps.prompt_len);
                let ratios = own.log_probs[i][start..end].iter().zip(&other.log_probs[i][start..end]);
                start = end;
                beta * ratios.map(|(own, other)| own - other).sum::<f64>()
            };
            steps.ends.iter().map(&mut step).collect()
        };
        Ok(steps.iter().enumerate().map(rewards).collect())
    }

    /// Makes tokens of an input.
    fn steps(&self, input: &ScoreInput) -> Result<Steps, LmError> {
        let forms = [
            input.prompt.is_some() || input.steps.is_some(),
            input.messages.is_some(),
            input.text.is_some(),
            input.tokens.is_some() || input.step_ends.is_some(),
        ];
        if forms.iter().filter(|given| **given).count() != 1 {
            let expected = "one of: prompt and steps; messages; text; tokens, perhaps with step_ends";
            return Err(LmError::setting(
                "input",
                expected,
                format!("{} of them", forms.iter().filter(|f| **f).count()),
            ));
        }
        match (input.prompt.as_deref(), input.steps.as_deref(), &input.messages, &input.text, &input.tokens) {
            (Some(prompt), Some(steps), ..) => match &self.format {
                StepFormat::Marker { token, system } => self.marked(prompt, steps, token, system.as_deref()),
                StepFormat::Separator { text, chat } => self.separated(prompt, steps, text, *chat),
                StepFormat::Turns { reply } => self.turns(prompt, steps, reply),
            },
            (_, _, Some(messages), ..) => self.chat(messages.clone()),
            (_, _, _, Some(text), _) => Ok(self.at_the_end(self.tokenizer()?.encode(text, Special::With)?.tokens)),
            (.., Some(tokens)) => match input.step_ends.as_deref() {
                Some(ends) => token_steps(tokens, ends),
                None => Ok(self.at_the_end(tokens.clone())),
            },
            _ => Err(LmError::setting("input", "prompt and steps together, step_ends with tokens", "one of two")),
        }
    }

    fn tokenizer(&self) -> Result<&Tokenizer, LmError> {
        self.tokenizer.as_ref().ok_or_else(|| LmError::setting("tokenizer", "one, for text", "none: give tokens"))
    }

    /// Tokens that are read after the last one; by a sequence classifier after the last that is not padding, which is
    /// where transformers reads it: a text may end with a token that also pads.
    fn at_the_end(&self, tokens: Vec<u32>) -> Steps {
        let config = self.model.config();
        let padding = config.pad_token_id.filter(|_| matches!(config.head, HeadKind::SequenceClassification { .. }));
        let end = tokens.iter().rposition(|token| Some(*token) != padding).unwrap_or(0);
        Steps { tokens, prompt_len: 1, ends: vec![end] }
    }

    /// A chat: read at the markers where there are any, else at the end.
    fn chat(&self, messages: Vec<Json>) -> Result<Steps, LmError> {
        let (_, tokens) = self.tokenizer()?.chat(&ChatRequest::new(messages))?;
        let StepFormat::Marker { token, .. } = &self.format else { return Ok(self.at_the_end(tokens)) };
        let marker = self.tokenizer()?.id(token)?;
        let ends = positions(&tokens, marker);
        if ends.is_empty() { Ok(self.at_the_end(tokens)) } else { Ok(Steps { tokens, prompt_len: 1, ends }) }
    }

    fn marked(&self, prompt: &str, steps: &[String], marker: &str, system: Option<&str>) -> Result<Steps, LmError> {
        let answer: String = steps.iter().flat_map(|step| [step.as_str(), marker]).collect();
        let system = system.map(|text| message("system", text));
        let messages = system.into_iter().chain([message("user", prompt), message("assistant", &answer)]).collect();
        let (_, tokens) = self.tokenizer()?.chat(&ChatRequest::new(messages))?;
        let ends = positions(&tokens, self.tokenizer()?.id(marker)?);
        if ends.len() != steps.len() {
            return Err(LmError::setting(
                "steps",
                format!("texts without {marker}"),
                format!("{} markers", ends.len()),
            ));
        }
        Ok(Steps { tokens, prompt_len: 1, ends })
    }

    fn separated(&self, prompt: &str, steps: &[String], separator: &str, chat: bool) -> Result<Steps, LmError> {
        let tokenizer = self.tokenizer()?;
        let mut tokens = if chat {
            let user = vec![message("user", prompt)];
            tokenizer.chat(&ChatRequest { add_generation_prompt: true, ..ChatRequest::new(user) })?.1
        } else {
            let prompt = tokenizer.encode(prompt, Special::Without)?.tokens;
            tokenizer.bos_id().into_iter().chain(prompt).collect()
        };
        let (prompt_len, mut ends) = (tokens.len(), Vec::new());
        let after = tokenizer.encode(separator, Special::Without)?.tokens;
        for step in steps {
            tokens.extend(tokenizer.encode(step, Special::Without)?.tokens);
            tokens.extend(&after);
            ends.push(tokens.len().saturating_sub(1));
        }
        if prompt_len == 0 || ends.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(LmError::setting("prompt and steps", "texts of at least one token", "an empty one"));
        }
        Ok(Steps { tokens, prompt_len, ends })
    }

    fn turns(&self, prompt: &str, steps: &[String], reply: &str) -> Result<Steps, LmError> {
        let (tokenizer, mut messages, mut prefixes) = (self.tokenizer()?, Vec::new(), Vec::new());
        for (k, step) in steps.iter().enumerate() {
            let first = format!("{prompt} {step}");
            messages.push(message("user", if k == 0 { &first } else { step }));
            let asked = ChatRequest { add_generation_prompt: true, ..ChatRequest::new(messages.clone()) };
            prefixes.push(tokenizer.chat(&asked)?.1);
            messages.push(message("assistant", reply));
        }
        let (_, tokens) = tokenizer.chat(&ChatRequest::new(messages))?;
        if !prefixes.iter().all(|prefix| tokens.starts_with(prefix) && !prefix.is_empty()) {
            let expected = "one that writes a turn in the same way whatever follows it";
            return Err(LmError::setting("chat template", expected, "one that does not"));
        }
        Ok(Steps { tokens, prompt_len: 1, ends: prefixes.iter().map(|prefix| prefix.len() - 1).collect() })
    }
}

/// A message of a chat.
fn message(role: &str, content: &str) -> Json {
    let field = |name: &str, value: &str| (name.to_owned(), Json::String(value.to_owned()));
    Json::Object(vec![field("role", role), field("content", content)])
}

/// Where a token stands.
fn positions(tokens: &[u32], token: u32) -> Vec<usize> {
    tokens.iter().enumerate().filter(|(_, t)| **t == token).map(|(i, _)| i).collect()
}

/// Tokens with the ends of their steps.
fn token_steps(tokens: &[u32], ends: &[usize]) -> Result<Steps, LmError> {
    let exclusive = ends.last() == Some(&tokens.len());
    let ends = ends.iter().map(|end| if exclusive { end.checked_sub(1) } else { Some(*end) });
    let ends = ends.collect::<Option<Vec<_>>>().ok_or_else(|| LmError::setting("step_ends", "at least 1 each", 0))?;
    if !ends.is_sorted_by(|a, b| a < b) || ends.last().is_none_or(|&end| end >= tokens.len()) {
        let expected = format!("ascending positions among {} tokens", tokens.len());
        return Err(LmError::setting("step_ends", expected, format!("{ends:?}")));
    }
    Ok(Steps { tokens: tokens.to_vec(), prompt_len: 1, ends })
}

impl RewardModel for Scorer {
    type Input = ScoreInput;
    type Scalar = f64;

    fn score(&self, batch: &[&ScoreInput]) -> Result<Vec<Rewards<f64>>, RewardError> {
        let scores = self.scores(batch).map_err(RewardError::backend)?;
        let rewards = |(input, scores): (&&ScoreInput, StepScores)| {
            let steps = input.steps.is_some() || input.step_ends.is_some();
            if steps { Rewards::Steps(scores.step_scores) } else { Rewards::Trajectory(scores.score) }
        };
        Ok(batch.iter().zip(scores).map(rewards).collect())
    }
}
