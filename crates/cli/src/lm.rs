//! `tdrm lm`, `tdrm score` and `tdrm train`: Hugging Face checkpoints.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tdrm_core::{Probability, Seed, Temperature};
use tdrm_lm::tokens::{ChatRequest, Json, Special, Tokenizer};
use tdrm_lm::{
    Engine, Generation, GenerationConfig, Model, Optimiser, Placement, PolicyCoefficients, Prompt, Reader,
    SamplingConfig, ScoreInput, Scorer, Sequence, StepFormat, Trainer,
};

use crate::args::{CheckpointArgs, EngineArg, GenerateArgs, LmCommand, LmInput, ScoreArgs, TrainCommand};
use crate::lines;
use crate::observe::print;

pub(crate) fn lm(command: LmCommand) -> Result<()> {
    match command {
        LmCommand::Logits { checkpoint, input, last } => {
            let model = load(&checkpoint)?;
            answer(&input, |Tokens { tokens }| logits(&model, &tokens, last))
        }
        LmCommand::Generate(args) => generate(&args),
        LmCommand::Grads { checkpoint, input } => {
            let mut trainer = Trainer::new(load(&checkpoint)?, Optimiser::adamw(0.0))?.with_dropout(false);
            answer(&input, |Tokens { tokens }| grads(&mut trainer, tokens))
        }
        LmCommand::Encode { model, input } => {
            let tokenizer = Tokenizer::load(&model)?;
            answer(&input, |Text { text, add_special_tokens }| {
                Ok(tokenizer.encode(&text, Special::added(add_special_tokens))?)
            })
        }
        LmCommand::Decode { model, input } => {
            let tokenizer = Tokenizer::load(&model)?;
            answer(&input, |Ids { tokens, skip_special_tokens }| {
                Ok(json!({"text": tokenizer.decode(&tokens, Special::skipped(skip_special_tokens))?}))
            })
        }
        #[cfg(feature = "hub")]
        LmCommand::Download { name, revision } => {
            let directory = tdrm_lm::hub::download(&name, &revision, true)?;
            print(&format!("{}\n", directory.display()))
        }
        LmCommand::Chat { model, input } => {
            let tokenizer = Tokenizer::load(&model)?;
            answer(&input, |request: ChatRequest| {
                let (text, tokens) = tokenizer.chat(&request)?;
                Ok(json!({"text": text, "tokens": tokens}))
            })
        }
    }
}

/// Answers each line: an object of the requested form, or `{"error": …}`.
fn answer<Q: for<'a> Deserialize<'a>, A: Serialize>(
    input: &LmInput,
    mut work: impl FnMut(Q) -> Result<A>,
) -> Result<()> {
    lines::answer_each(input.input.as_deref(), |line| {
        let answered = serde_json::from_str(line).map_err(anyhow::Error::from).and_then(&mut work);
        let written = answered.and_then(|answer| Ok(serde_json::to_string(&answer)?));
        written.unwrap_or_else(|error| json!({"error": format!("{error:#}")}).to_string())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tokens {
    tokens: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
    #[serde(default = "yes")]
    add_special_tokens: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ids {
    tokens: Vec<u32>,
    #[serde(default)]
    skip_special_tokens: bool,
}

/// Loads a checkpoint and says what it has no use for.
fn load(args: &CheckpointArgs) -> Result<Model> {
    let placement = Placement { device: args.device, precision: args.dtype };
    let engine = match args.engine {
        EngineArg::Fused => Engine::Fused,
        EngineArg::Composed => Engine::Composed,
    };
    let mut model = Model::load_on(&args.model, placement)?.with_engine(engine);
    if let Some(adapter) = &args.adapter {
        model = model.load_adapter(adapter)?;
    }
    if !model.unknown_tensors().is_empty() {
        let names = model.unknown_tensors().join(", ");
        crate::observe::warn(&format!("{}: tensors without a use in this model: {names}", args.model.display()));
    }
    Ok(model)
}

fn logits(model: &Model, tokens: &[u32], last: bool) -> Result<Value> {
    let values = if last { model.last_logits(tokens)? } else { model.logits(tokens)? };
    let rows: Vec<&[f32]> = values.chunks_exact(model.config().vocab_size).collect();
    Ok(match (last, rows.as_slice()) {
        (true, [row]) => json!({"logits": row}),
        _ => json!({"logits": rows}),
    })
}

/// Mean next-token loss and the norm of its gradient in each tensor.
fn grads(trainer: &mut Trainer, tokens: Vec<u32>) -> Result<Value> {
    if tokens.len() < 2 {
        bail!("tokens: expected at least 2, got {}", tokens.len());
    }
    let n = (tokens.len() - 1) as f64;
    let mut loss = 0.0;
    let batch = [Sequence { tokens, prompt_len: 1 }];
    let accumulated = trainer.accumulate_policy(&batch, 1.0, &mut |scores| {
        loss = -scores.log_probs.iter().flatten().sum::<f64>() / n;
        let log_probs = scores.log_probs.iter().map(|row| vec![-1.0 / n; row.len()]).collect();
        PolicyCoefficients { log_probs, entropies: Vec::new() }
    });
    let norm = |gradient: &[f32]| gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    let norms: BTreeMap<_, _> = trainer.gradients().into_iter().map(|(name, g)| (name, norm(&g))).collect();
    trainer.clear();
    accumulated?;
    Ok(json!({"loss": loss, "grad_norms": norms}))
}

fn generate(args: &GenerateArgs) -> Result<()> {
    let model = load(&args.checkpoint)?;
    // Tokens in, tokens out works without a tokenizer.
    let tokenizer = args.checkpoint.model.join("tokenizer.json").exists();
    let tokenizer = tokenizer.then(|| Tokenizer::load(&args.checkpoint.model)).transpose()?;
    let (settings, config) = generation(args, &model)?;
    let beam = config.beam;
    let after = |prompt: &[u32]| {
        let max_new_tokens = config.new_tokens(prompt.len()).unwrap_or(DEFAULT_NEW_TOKENS);
        if max_new_tokens == 0 {
            bail!("max_length: expected more than the prompt's {} tokens, or max_new_tokens above 0", prompt.len());
        }
        Ok(Generation { max_new_tokens, ..settings.clone() })
    };
    if beam.num_beams.get() > 1 {
        if settings.sampling.do_sample {
            bail!("num_beams: expected 1 where tokens are drawn, got {}", beam.num_beams);
        }
        return answer(&args.input, |request: GenerateRequest| {
            let prompt = request.tokens(tokenizer.as_ref())?;
            let best =
                model.beam_search(&prompt, &beam, &after(&prompt)?)?.into_iter().next().context("a hypothesis")?;
            let text = tokenizer.as_ref().map(|t| t.decode_known(&best.tokens, Special::Without)).transpose()?;
            Ok(json!({"tokens": best.tokens, "score": best.score, "text": text}))
        });
    }
    let seed = Seed::root(args.seed);
    let mut line = 0;
    answer(&args.input, |request: GenerateRequest| {
        let tokens = request.tokens(tokenizer.as_ref())?;
        let prompt = Prompt::new(&tokens, seed.child(line));
        line += 1;
        let watch = &mut |_| std::ops::ControlFlow::Continue(());
        let mut completions = model.generate_watched(&[prompt], &after(&tokens)?, tokenizer.as_ref(), watch)?;
        completions.pop().context("a completion")
    })
}

/// A prompt in one of three forms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenerateRequest {
    tokens: Option<Vec<u32>>,
    prompt: Option<String>,
    messages: Option<Vec<Json>>,
    tools: Option<Vec<Json>>,
    template_args: Option<Json>,
}

impl GenerateRequest {
    fn tokens(self, tokenizer: Option<&Tokenizer>) -> Result<Vec<u32>> {
        let tokenizer = || tokenizer.context("tokenizer.json: expected one for text, found none: give tokens");
        match (self.tokens, self.prompt, self.messages) {
            (Some(tokens), None, None) => Ok(tokens),
            (None, Some(prompt), None) => Ok(tokenizer()?.encode(&prompt, Special::With)?.tokens),
            (None, None, Some(messages)) => {
                let mut request = ChatRequest::new(messages);
                request.add_generation_prompt = true;
                request.tools = self.tools;
                request.template_args = self.template_args.unwrap_or(request.template_args);
                Ok(tokenizer()?.chat(&request)?.1)
            }
            _ => bail!("expected exactly one of tokens, prompt and messages"),
        }
    }
}

/// Longest continuation where neither the command line nor the checkpoint says one.
const DEFAULT_NEW_TOKENS: usize = 128;

/// The checkpoint's own settings, changed by what the command line says.
fn generation(args: &GenerateArgs, model: &Model) -> Result<(Generation, GenerationConfig)> {
    let path = args.checkpoint.model.join("generation_config.json");
    let mut config = if path.exists() {
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str::<GenerationConfig>(&text).with_context(|| path.display().to_string())?
    } else {
        GenerationConfig::default()
    };
    let mut sampling: SamplingConfig = config.sampling.clone();
    if sampling.eos_token_id.is_empty() {
        sampling.eos_token_id.clone_from(&model.config().eos_token_id);
    }
    if !args.eos_token_id.is_empty() {
        sampling.eos_token_id.clone_from(&args.eos_token_id);
    }
    if args.ignore_eos {
        sampling.eos_token_id.clear();
    }
    let asked = [args.temperature, args.top_p, args.min_p, args.typical_p].iter().any(Option::is_some);
    let beams = args.num_beams.is_some_and(|beams| beams.get() > 1);
    sampling.do_sample = !args.greedy && !beams && (sampling.do_sample || asked || args.top_k.is_some() || args.sample);
    if let Some(temperature) = args.temperature {
        sampling.temperature = Temperature::new(temperature)?;
    }
    sampling.top_k = args.top_k.unwrap_or(sampling.top_k);
    for (given, field) in [
        (args.top_p, &mut sampling.top_p),
        (args.min_p, &mut sampling.min_p),
        (args.typical_p, &mut sampling.typical_p),
    ] {
        if let Some(given) = given {
            *field = Probability::new(given)?;
        }
    }
    if let Some(penalty) = args.repetition_penalty {
        sampling.repetition_penalty = tdrm_core::Positive::new(penalty)?;
    }
    sampling.no_repeat_ngram_size = args.no_repeat_ngram_size.unwrap_or(sampling.no_repeat_ngram_size);
    config.max_new_tokens = args.max_new_tokens.or(config.max_new_tokens);
    let stop_strings = args.stop.clone();
    let beam = &mut config.beam;
    beam.num_beams = args.num_beams.unwrap_or(beam.num_beams);
    beam.length_penalty = args.length_penalty.unwrap_or(beam.length_penalty);
    beam.early_stopping = args.early_stopping.unwrap_or(beam.early_stopping);
    Ok((Generation { stop_strings, ..Generation::new(sampling, DEFAULT_NEW_TOKENS) }, config))
}

pub(crate) fn score(args: &ScoreArgs) -> Result<()> {
    let model = load(&args.checkpoint)?;
    let tokenizer = args.checkpoint.model.join("tokenizer.json").exists();
    let tokenizer = tokenizer.then(|| Tokenizer::load(&args.checkpoint.model)).transpose()?;
    let mut scorer = match (&args.reference, &args.positive, &args.negative) {
        (Some(reference), None, None) => {
            let reference =
                Box::new(load(&CheckpointArgs { model: reference.clone(), adapter: None, ..args.checkpoint.clone() })?);
            Scorer::with_reader(model, tokenizer, Reader::Implicit { reference, beta: args.beta })
        }
        (None, Some(positive), Some(negative)) => {
            let id = |text: &str| one_token(tokenizer.as_ref(), text);
            let reader = Reader::Tokens { positive: id(positive)?, negative: id(negative)? };
            Scorer::with_reader(model, tokenizer, reader)
        }
        (None, None, None) if args.sigmoid => Scorer::with_reader(model, tokenizer, Reader::Logit),
        (None, None, None) => Scorer::new(model, tokenizer)?,
        _ => bail!("expected --reference, or --positive with --negative, or none of them"),
    };
    if let Some(text) = &args.step_separator {
        scorer = scorer.with_format(StepFormat::Separator { text: text.clone(), chat: args.chat });
    }
    if let Some(token) = &args.step_token {
        scorer = scorer.with_format(StepFormat::Marker { token: token.clone(), system: args.system.clone() });
    }
    if let Some(reply) = &args.step_reply {
        scorer = scorer.with_format(StepFormat::Turns { reply: reply.clone() });
    }
    answer(&args.input, |input: ScoreInput| {
        let mut scores = scorer.scores(&[&input])?;
        scores.pop().context("scores")
    })
}

/// The one token that a text is: an entry of the vocabulary, or what the tokenizer makes of it.
fn one_token(tokenizer: Option<&Tokenizer>, text: &str) -> Result<u32> {
    let tokenizer = tokenizer.context("tokenizer.json: expected one, found none")?;
    if let Ok(id) = tokenizer.id(text) {
        return Ok(id);
    }
    match tokenizer.encode(text, Special::Without)?.tokens.as_slice() {
        [one] => Ok(*one),
        several => bail!("{text:?}: expected one token, got {}", several.len()),
    }
}

pub(crate) fn train(command: &TrainCommand) -> Result<()> {
    let TrainCommand::Replay { trace, checkpoint } = command;
    let replayed = tdrm_recipes::replay::replay(trace, load(checkpoint)?)?;
    let mut summary = Map::new();
    for step in &replayed.steps {
        print(&format!("{}\n", serde_json::to_string(step)?))?;
    }
    if let Value::Object(all) = serde_json::to_value(&replayed)? {
        summary.extend(all.into_iter().filter(|(field, _)| field != "steps"));
    }
    summary.insert("agrees".to_owned(), json!(replayed.agrees()));
    print(&format!("{}\n", Value::Object(summary)))?;
    if !replayed.agrees() {
        bail!("the replay differs: expected losses within 1e-5, gradient norms within 1e-3, weights within 1e-4");
    }
    Ok(())
}
