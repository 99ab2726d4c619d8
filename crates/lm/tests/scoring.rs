//! Checkpoints as reward models: one pass for all steps, formats, readers, what is refused.
#![expect(clippy::unwrap_used, reason = "tests state exact values")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Reference, close};
use serde_json::{Value, json};
use tdrm_core::{Probability, RewardModel as _, Rewards, Seed};
use tdrm_lm::tokens::{ChatRequest, Json, Special, Tokenizer};
use tdrm_lm::{LmError, Model, ModelConfig, Reader, ScoreInput, Scorer, Sequence, StepFormat};
use tdrm_testkit::laws;

/// ChatML without a default system message, as Qwen's templates have it.
const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                      {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// Tests run side by side: each call of [`tokenizer`] has a folder of its own.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// The byte-level tokenizer of this repository with another chat template.
fn tokenizer(template: &str) -> Tokenizer {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/byte_level");
    let mut config: Value =
        serde_json::from_str(&fs::read_to_string(from.join("tokenizer_config.json")).unwrap()).unwrap();
    config["chat_template"] = template.into();
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let to = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("scoring-{}-{call}", std::process::id()));
    fs::create_dir_all(&to).unwrap();
    fs::copy(from.join("tokenizer.json"), to.join("tokenizer.json")).unwrap();
    fs::write(to.join("tokenizer_config.json"), config.to_string()).unwrap();
    let tokenizer = Tokenizer::load(&to).unwrap();
    fs::remove_dir_all(&to).unwrap();
    tokenizer
}

fn model(architecture: &str, labels: usize, seed: u64) -> Model {
    padded(architecture, labels, seed, None)
}

fn padded(architecture: &str, labels: usize, seed: u64, padding: Option<u32>) -> Model {
    let file = json!({
        "pad_token_id": padding,
        "architectures": [architecture], "model_type": "qwen2", "vocab_size": 400, "hidden_size": 32,
        "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 256, "initializer_range": 0.3, "num_labels": labels,
    });
    Model::init(ModelConfig::from_value(file).unwrap(), Seed::root(seed)).unwrap()
}

fn steps(prompt: &str, steps: &[&str]) -> ScoreInput {
    let steps = Some(steps.iter().map(|&step| step.to_owned()).collect());
    ScoreInput { prompt: Some(prompt.to_owned()), steps, ..ScoreInput::default() }
}

fn at(tokens: &[u32], ends: &[usize]) -> ScoreInput {
    ScoreInput { tokens: Some(tokens.to_vec()), step_ends: Some(ends.to_vec()), ..ScoreInput::default() }
}

fn one(scorer: &Scorer, input: &ScoreInput) -> Vec<f64> {
    scorer.scores(&[input]).unwrap().remove(0).step_scores
}

fn near(got: &[f64], wanted: &[f64]) {
    assert_eq!(got.len(), wanted.len(), "{got:?} {wanted:?}");
    assert!(got.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{got:?} {wanted:?}");
}

fn message(role: &str, content: &str) -> Json {
    serde_json::from_value(json!({"role": role, "content": content})).unwrap()
}

#[test]
fn scorers_obey_the_laws_of_reward_models() {
    let inputs = [at(&[1, 2, 3, 4, 5], &[1, 4]), at(&[7, 8], &[1]), steps("2+2", &["is", "4"])];
    for (architecture, labels) in [("Qwen2ForTokenClassification", 2), ("Qwen2ForSequenceClassification", 1)] {
        let scorer = Scorer::new(model(architecture, labels, 1), Some(tokenizer(CHATML))).unwrap();
        laws::reward_model(&scorer, &inputs.each_ref(), 1e-5).unwrap();
    }
}

#[test]
fn a_pass_over_all_steps_has_the_scores_of_a_pass_for_each_prefix() {
    let scorer = Scorer::new(model("Qwen2ForProcessRewardModel", 2, 2), Some(tokenizer(CHATML))).unwrap();
    let tokens: Vec<u32> = (0..40).map(|i| (i * 37) % 290).collect();
    let ends = [3, 9, 20, 39];
    let prefixes: Vec<f64> = ends.iter().map(|&end| one(&scorer, &at(&tokens[..=end], &[end]))[0]).collect();
    near(&one(&scorer, &at(&tokens, &ends)), &prefixes);
    // A list that ends with the number of tokens has exclusive ends.
    near(&one(&scorer, &at(&tokens, &[4, 10, 21, 40])), &prefixes);
    let probability = |p: &f64| Probability::new(*p).is_ok();
    assert!(prefixes.iter().all(probability), "{prefixes:?}");
}

#[test]
fn texts_chats_and_tokens_without_steps_have_one_score() {
    let scorer = Scorer::new(model("Qwen2ForSequenceClassification", 1, 3), Some(tokenizer(CHATML))).unwrap();
    let tokenizer = tokenizer(CHATML);
    let messages = vec![message("user", "1+1"), message("assistant", "2")];
    let (_, chat) = tokenizer.chat(&ChatRequest::new(messages.clone())).unwrap();
    let text = tokenizer.encode("one and one", Special::With).unwrap().tokens;
    let pairs = [
        (ScoreInput { messages: Some(messages), ..ScoreInput::default() }, chat),
        (ScoreInput { text: Some("one and one".to_owned()), ..ScoreInput::default() }, text),
    ];
    for (input, tokens) in pairs {
        let whole = ScoreInput { tokens: Some(tokens.clone()), ..ScoreInput::default() };
        near(&one(&scorer, &input), &one(&scorer, &whole));
        near(&one(&scorer, &whole), &one(&scorer, &at(&tokens, &[tokens.len() - 1])));
        assert!(matches!(scorer.score(&[&whole]).unwrap()[0], Rewards::Trajectory(_)));
    }
}

#[test]
fn a_classifier_reads_before_padding_as_in_transformers() {
    let whole = |tokens: &[u32]| ScoreInput { tokens: Some(tokens.to_vec()), ..ScoreInput::default() };
    let plain = Scorer::new(model("Qwen2ForSequenceClassification", 1, 3), None).unwrap();
    let scorer = Scorer::new(padded("Qwen2ForSequenceClassification", 1, 3, Some(9)), None).unwrap();
    near(&one(&scorer, &whole(&[5, 9, 6, 9, 9])), &one(&plain, &whole(&[5, 9, 6])));
    near(&one(&scorer, &whole(&[9, 9])), &one(&plain, &whole(&[9])));
    // Where ends are given, they are meant.
    near(&one(&scorer, &at(&[5, 6, 9], &[2])), &one(&plain, &whole(&[5, 6, 9])));
    // A head on tokens scores tokens.
    let tokens = |padding| padded("Qwen2ForTokenClassification", 2, 3, padding);
    let [read, unpadded] = [Some(9), None].map(|padding| Scorer::new(tokens(padding), None).unwrap());
    near(&one(&read, &whole(&[5, 6, 9])), &one(&unpadded, &whole(&[5, 6, 9])));
}

#[test]
fn a_logit_is_read_through_the_sigmoid() {
    let plain = Scorer::new(model("Qwen2ForSequenceClassification", 1, 4), None).unwrap();
    let logit = Scorer::with_reader(model("Qwen2ForSequenceClassification", 1, 4), None, Reader::Logit);
    let input = at(&[5, 6, 7, 8], &[0, 2, 3]);
    let wanted: Vec<f64> = one(&plain, &input).iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect();
    near(&one(&logit, &input), &wanted);
}

#[test]
fn a_turn_is_read_where_its_reply_begins() {
    let (tokenizer, model) = (tokenizer(CHATML), model("Qwen2ForCausalLM", 2, 5));
    let reader = Reader::Tokens { positive: 10, negative: 12 };
    let scorer = Scorer::with_reader(model.clone(), Some(tokenizer.clone()), reader)
        .with_format(StepFormat::Turns { reply: "+".to_owned() });
    let got = one(&scorer, &steps("2+3+4?", &["2+3=5", "5+4=9"]));
    let mut messages = Vec::new();
    let wanted: Vec<f64> = ["2+3+4? 2+3=5", "5+4=9"]
        .iter()
        .map(|step| {
            messages.push(message("user", step));
            let asked = ChatRequest { add_generation_prompt: true, ..ChatRequest::new(messages.clone()) };
            messages.push(message("assistant", "+"));
            let logits = model.last_logits(&tokenizer.chat(&asked).unwrap().1).unwrap();
            1.0 / (1.0 + f64::from(logits[12] - logits[10]).exp())
        })
        .collect();
    near(&got, &wanted);
}

#[test]
fn a_template_that_writes_turns_differently_is_refused() {
    let template = "{% for m in messages %}{{ m.content }}{% if loop.last %}!{% endif %}{% endfor %}";
    let reader = Reader::Tokens { positive: 10, negative: 12 };
    let scorer = Scorer::with_reader(model("Qwen2ForCausalLM", 2, 5), Some(tokenizer(template)), reader)
        .with_format(StepFormat::Turns { reply: "+".to_owned() });
    let error = scorer.scores(&[&steps("a", &["b", "c"])]).unwrap_err();
    assert!(error.to_string().contains("whatever follows it"), "{error}");
}

#[test]
fn an_implicit_reward_is_the_log_ratio_of_a_step() {
    let (own, other) = (model("Qwen2ForCausalLM", 2, 6), model("Qwen2ForCausalLM", 2, 7));
    let reader = Reader::Implicit { reference: Box::new(other.clone()), beta: 0.5 };
    let scorer = Scorer::with_reader(own.clone(), None, reader);
    let tokens = [9, 8, 7, 6, 5, 4];
    let log_probs = |model: &Model| {
        let sequence = Sequence { tokens: tokens.to_vec(), prompt_len: 1 };
        model.scores(&[sequence], 1.0).unwrap().log_probs.remove(0)
    };
    let ratios: Vec<f64> = log_probs(&own).iter().zip(log_probs(&other)).map(|(a, b)| 0.5 * (a - b)).collect();
    near(&one(&scorer, &at(&tokens, &[2, 5])), &[ratios[..2].iter().sum(), ratios[2..].iter().sum()]);
}

#[test]
fn malformed_inputs_are_refused_by_every_reader() {
    let causal = || model("Qwen2ForCausalLM", 2, 8);
    let scorers = [
        Scorer::new(model("Qwen2ForTokenClassification", 2, 8), None).unwrap(),
        Scorer::with_reader(causal(), None, Reader::Tokens { positive: 1, negative: 2 }),
        Scorer::with_reader(causal(), None, Reader::Implicit { reference: Box::new(causal()), beta: 1.0 }),
    ];
    let empty = ScoreInput { tokens: Some(Vec::new()), ..ScoreInput::default() };
    let two = ScoreInput { text: Some("x".to_owned()), ..at(&[1], &[0]) };
    let inputs = [
        at(&[1, 2, 3], &[]),
        at(&[1, 2, 3], &[2, 1]),
        at(&[1, 2, 3], &[1, 1]),
        at(&[1, 2, 3], &[5]),
        at(&[1, 2, 999], &[1]),
        at(&[], &[0]),
        empty,
        two,
        steps("no", &["tokenizer"]),
        ScoreInput::default(),
    ];
    for (k, scorer) in scorers.iter().enumerate() {
        for input in &inputs {
            assert!(scorer.scores(&[input]).is_err(), "reader {k}: {input:?}");
        }
    }
    assert!(matches!(Scorer::new(causal(), None), Err(LmError::Head { .. })));
}

#[test]
fn heads_of_transformers_are_read_as_there() {
    let Some(reference) = Reference::load("qwen2_prm_head") else { return };
    let scorer = Scorer::new(Model::load(&reference.directory).unwrap(), None).unwrap();
    let ends: Vec<usize> = serde_json::from_value(reference.json["step_positions"].clone()).unwrap();
    let got = one(&scorer, &at(&reference.rows("ids1", None)[0], &ends));
    close("step probabilities", &got, reference.tensor("step_probs"), 1e-5);
}

#[test]
fn texts_and_steps_have_the_scores_of_the_reference() {
    let Some(file) = common::shared("golden/http/rm_expected.json") else { return };
    let expected: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let scorer = |name: &str| {
        let directory = common::shared(&format!("golden/models/{name}")).unwrap();
        Scorer::new(Model::load(&directory).unwrap(), Some(Tokenizer::load(&directory).unwrap())).unwrap()
    };
    let (outcome, process) = (scorer("qwen2_seqcls"), scorer("qwen2_prm_head"));
    for case in expected["seqcls"].as_array().unwrap() {
        let input = ScoreInput { text: Some(case["text"].as_str().unwrap().to_owned()), ..ScoreInput::default() };
        near(&one(&outcome, &input), &[case["score"].as_f64().unwrap()]);
    }
    for case in expected["prm"].as_array().unwrap() {
        let texts: Vec<String> = serde_json::from_value(case["steps"].clone()).unwrap();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let wanted: Vec<f64> = serde_json::from_value(case["step_probs"].clone()).unwrap();
        near(&one(&process, &steps(case["question"].as_str().unwrap(), &texts)), &wanted);
    }
}
