//! The cache gives the numbers of a whole pass, and the batch leaves no trace.
#![expect(clippy::unwrap_used, reason = "tests state exact values")]

mod common;

use std::ops::ControlFlow;
use std::path::Path;

use common::{CAUSAL, Reference, close};
use proptest::prelude::*;
use serde_json::json;
use tdrm_algo::sampling::{BeamConfig, SamplingConfig};
use tdrm_core::{Probability, Seed, Temperature};
use tdrm_lm::tokens::{Special, Tokenizer};
use tdrm_lm::{
    Completion, Engine, Finish, Generation, LmError, LmPolicy, LoraConfig, Model, ModelConfig, Optimiser,
    PolicyCoefficients, Prompt, Scores, Sequence, Session, Trainer,
};
use tdrm_testkit::laws;

const ENGINES: [Engine; 2] = [Engine::Fused, Engine::Composed];

/// A random model; every other layer sees 5 tokens. The weights are large, so that the logits differ.
fn random(model_type: &str, seed: u64) -> Model {
    let mut file = json!({
        "architectures": ["XForCausalLM"], "model_type": model_type, "vocab_size": 90, "hidden_size": 40,
        "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 12, "max_position_embeddings": 96, "initializer_range": 0.3,
    });
    if model_type.starts_with("qwen") {
        file["use_sliding_window"] = true.into();
        file["sliding_window"] = 5.into();
        file["layer_types"] = json!(["full_attention", "sliding_attention", "full_attention"]);
    }
    Model::init(ModelConfig::from_value(file).unwrap(), Seed::root(seed)).unwrap()
}

fn text(len: usize, vocabulary: usize, seed: u64) -> Vec<u32> {
    let mut rng = Seed::root(seed).rng();
    (0..len).map(|_| rng.random_range(0..vocabulary as u32)).collect()
}

/// Every model that is at hand: its name, it, the tolerance of its logits.
fn models() -> Vec<(String, Model, f64)> {
    let golden = |name: &&str| {
        let model = Model::load(&Reference::load(name)?.directory).unwrap();
        Some(((*name).to_owned(), model, if *name == "qwen2_tied" { 2e-4 } else { 5e-5 }))
    };
    let random = ["qwen2", "qwen3", "glm"].map(|name| (format!("random {name}"), random(name, 7), 2e-4));
    CAUSAL.iter().filter_map(golden).chain(random).collect()
}

fn each(mut check: impl FnMut(&str, &Model, f64)) {
    for ((name, model, tolerance), engine) in models().iter().flat_map(|model| ENGINES.map(|engine| (model, engine))) {
        check(&format!("{name} {engine:?}"), &model.clone().with_engine(engine), *tolerance);
    }
}

fn row(logits: &[f32], vocabulary: usize, i: usize) -> &[f32] {
    &logits[i * vocabulary..(i + 1) * vocabulary]
}

#[test]
fn cached_is_uncached_for_rows_of_many_slots_in_pieces() {
    each(|name, model, tolerance| {
        let v = model.config().vocab_size;
        let texts: Vec<_> = (0..3).map(|i| text(40 + i as usize, v, i)).collect();
        let whole: Vec<_> = texts.iter().map(|text| model.logits(text).unwrap()).collect();
        let mut session = Session::new(model, 3, 64).unwrap();
        let starts = [1, 20, 33];
        let branches: Vec<_> = texts.iter().zip(starts).map(|(text, n)| session.open(&text[..n]).unwrap()).collect();
        let mut ends = starts;
        for step in 0..4 {
            for i in 0..3 {
                let what = format!("{name} slot {i} at {}", ends[i]);
                close(&what, session.logits(branches[i]).unwrap(), row(&whole[i], v, ends[i] - 1), tolerance);
            }
            // Rows of different numbers, at different positions, one after another.
            let widths = [1 + 7 * (step % 2), 1, 2];
            let parts: Vec<_> = (0..3).map(|i| (branches[i], &texts[i][ends[i]..ends[i] + widths[i]])).collect();
            session.extend(&parts).unwrap();
            (0..3).for_each(|i| ends[i] += widths[i]);
        }
    });
}

#[test]
fn a_long_prompt_runs_in_pieces() {
    let (model, tokens) = (random("qwen2", 3), text(1100, 90, 1));
    let config = json!({
        "architectures": ["XForCausalLM"], "model_type": "qwen2", "vocab_size": 90, "hidden_size": 24,
        "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 2048,
    });
    assert!(Session::new(&model, 1, 97).is_err());
    let model = Model::init(ModelConfig::from_value(config).unwrap(), Seed::root(1)).unwrap();
    for (engine, len) in [(Engine::Fused, 1100), (Engine::Composed, 150)] {
        let model = model.clone().with_engine(engine);
        let mut session = Session::new(&model, 1, len).unwrap();
        let branch = session.open(&tokens[..len]).unwrap();
        close("long", session.logits(branch).unwrap(), &model.last_logits(&tokens[..len]).unwrap(), 5e-5);
    }
}

#[test]
fn forks_go_their_own_ways() {
    each(|name, model, tolerance| {
        let v = model.config().vocab_size;
        let mut session = Session::new(model, 3, 64).unwrap();
        let trunk = text(35, v, 5);
        let left = session.open(&trunk).unwrap();
        let right = session.fork(left).unwrap();
        assert_eq!(session.logits(left).unwrap(), session.logits(right).unwrap());
        let (a, b) = (text(6, v, 6), text(9, v, 7));
        session.extend(&[(right, &b), (left, &a)]).unwrap();
        for (branch, tail) in [(left, &a), (right, &b)] {
            let whole = [&trunk[..], tail].concat();
            assert_eq!(session.tokens(branch).unwrap(), whole);
            close(name, session.logits(branch).unwrap(), &model.last_logits(&whole).unwrap(), tolerance);
        }
        // What an ended branch held is copied again, and only the rest runs.
        session.close(right).unwrap();
        assert!(session.logits(right).is_err() && session.fork(right).is_err() && session.close(right).is_err());
        let again = session.open(&[&trunk[..], &b[..4]].concat()).unwrap();
        assert_ne!(again, right);
        let whole = [&trunk[..], &b[..4]].concat();
        close(name, session.logits(again).unwrap(), &model.last_logits(&whole).unwrap(), tolerance);
    });
}

#[test]
fn a_session_refuses_what_it_cannot_hold() {
    let model = random("llama", 1);
    assert!(Session::new(&model, 0, 8).is_err());
    let mut session = Session::new(&model, 1, 8).unwrap();
    assert!(session.open(&[]).is_err() && session.open(&[90]).is_err() && session.open(&[1; 9]).is_err());
    let branch = session.open(&[1, 2]).unwrap();
    assert!(session.fork(branch).is_err() && session.open(&[3]).is_err());
    let before = session.logits(branch).unwrap().to_vec();
    assert!(session.extend(&[(branch, &[1]), (branch, &[2])]).is_err());
    assert!(session.extend(&[(branch, &[])]).is_err() && session.extend(&[(branch, &[1; 7])]).is_err());
    assert_eq!(session.logits(branch).unwrap(), before);
    session.extend(&[]).unwrap();
    session.extend(&[(branch, &[1; 6])]).unwrap();
    assert_eq!(session.tokens(branch).unwrap(), [1, 2, 1, 1, 1, 1, 1, 1]);
}

/// Prompts of different lengths, some of them with common beginnings, some the same.
fn prompts(vocabulary: usize, count: usize, seed: u64) -> Vec<Prompt> {
    let trunk = text(30, vocabulary, seed);
    let prompt = |i: usize| {
        let tail = text(1 + i % 3, vocabulary, seed + i as u64 / 4);
        let tokens = if i % 5 == 4 { tail } else { [&trunk[..6 + 8 * (i % 4)], &tail].concat() };
        Prompt::new(&tokens, Seed::root(seed).child(i as u64))
    };
    (0..count).map(prompt).collect()
}

fn sampled(max_new_tokens: usize) -> Generation {
    let top_p = Probability::new(0.95).unwrap();
    let temperature = Temperature::new(0.8).unwrap();
    let sampling = SamplingConfig { temperature, top_p, top_k: 40, ..SamplingConfig::default() };
    Generation::new(sampling, max_new_tokens).until(&[3, 17])
}

/// The completion of each prompt by itself.
fn alone(model: &Model, prompts: &[Prompt], settings: &Generation) -> Vec<Completion> {
    let one = |prompt: &Prompt| model.generate(std::slice::from_ref(prompt), settings).unwrap().remove(0);
    prompts.iter().map(one).collect()
}

#[test]
fn a_completion_does_not_depend_on_its_batch_to_the_bit() {
    for (name, model, _) in models() {
        let v = model.config().vocab_size;
        let (prompts, settings) = (prompts(v, 12, 11), sampled(20));
        let wanted = alone(&model, &prompts, &settings);
        assert!(wanted.iter().any(|completion| completion.tokens.len() > 5));
        for slots in [1, 3, 12, 64] {
            let settings = Generation { slots, ..settings.clone() };
            assert_eq!(model.generate(&prompts, &settings).unwrap(), wanted, "{name}, {slots} slots");
        }
        let backwards: Vec<_> = prompts.iter().rev().cloned().collect();
        let mut got = model.generate(&backwards, &Generation { slots: 4, ..settings }).unwrap();
        got.reverse();
        assert_eq!(got, wanted, "{name}, backwards");
    }
}

#[test]
fn composed_completions_hardly_depend_on_their_batch() {
    let (mut tokens, mut different) = (0, 0);
    for (name, model, _) in models() {
        let model = model.with_engine(Engine::Composed);
        let prompts = prompts(model.config().vocab_size, 8, 23);
        let wanted = alone(&model, &prompts, &sampled(12));
        let got = model.generate(&prompts, &Generation { slots: 5, ..sampled(12) }).unwrap();
        for (got, wanted) in got.iter().zip(&wanted) {
            let same = got.tokens.iter().zip(&wanted.tokens).take_while(|(a, b)| a == b).count();
            tokens += wanted.tokens.len();
            different += usize::from(same < wanted.tokens.len());
            let full: Vec<f32> = wanted.log_probs_full[..same].iter().map(|&l| l as f32).collect();
            close(&name, &got.log_probs_full[..same], &full, 1e-3);
        }
    }
    assert!(different <= 1, "{different} sequences differ among {tokens} tokens");
}

#[test]
fn log_probabilities_are_those_of_a_whole_pass() {
    each(|name, model, _| {
        let prompts = prompts(model.config().vocab_size, 6, 31);
        let temperature = Temperature::new(0.7).unwrap();
        let got = model.generate(&prompts, &Generation::sample(temperature, 10)).unwrap();
        let sequences: Vec<_> =
            prompts.iter().zip(&got).map(|(prompt, got)| Sequence::new(&prompt.tokens, &got.tokens)).collect();
        let drawn = model.scores(&sequences, 0.7).unwrap().log_probs;
        let full = model.scores(&sequences, 1.0).unwrap().log_probs;
        for (i, completion) in got.iter().enumerate() {
            let single = |row: &[f64]| row.iter().map(|&l| l as f32).collect::<Vec<_>>();
            close(name, &completion.log_probs, &single(&drawn[i]), 1e-3);
            close(name, &completion.log_probs_full, &single(&full[i]), 1e-3);
        }
    });
}

#[test]
fn an_adapter_takes_part() {
    let target_modules = ["q_proj", "v_proj", "down_proj"].map(str::to_owned).to_vec();
    let config = LoraConfig { rank: 2, alpha: 4.0, dropout: 0.0, target_modules, rank_stabilised: false };
    let bare = random("qwen2", 2);
    let (tokens, seed) = (text(20, 90, 3), Seed::root(1));
    // B is zero at first; one step of training changes that.
    let mut trainer = Trainer::new(bare.clone().with_adapter(config, seed).unwrap(), Optimiser::adamw(0.05)).unwrap();
    let batch = [Sequence { tokens: tokens.clone(), prompt_len: 1 }];
    let push = &mut |scores: &Scores| {
        let log_probs = scores.log_probs.iter().map(|row| vec![-1.0; row.len()]).collect();
        PolicyCoefficients { log_probs, entropies: Vec::new() }
    };
    trainer.accumulate_policy(&batch, 1.0, push).unwrap();
    trainer.step().unwrap();
    for engine in ENGINES {
        let model = trainer.model().clone().with_engine(engine);
        let mut session = Session::new(&model, 1, 30).unwrap();
        let branch = session.open(&tokens).unwrap();
        let wanted = model.last_logits(&tokens).unwrap();
        close("adapter", session.logits(branch).unwrap(), &wanted, 5e-4);
        let without = bare.last_logits(&tokens).unwrap();
        assert!(wanted.iter().zip(without).any(|(a, b)| (a - b).abs() > 0.1));
    }
}

#[test]
fn the_shared_beginning_of_prompts_runs_once() {
    let model = random("llama", 4);
    let prompt = text(30, 90, 1);
    let many: Vec<_> = (0..6).map(|i| Prompt::new(&prompt, Seed::root(i))).collect();
    for slots in [2, 6] {
        let mut last = None;
        let settings = Generation { slots, ..Generation::sample(Temperature::ONE, 5) };
        let mut watch = |progress| {
            last = Some(progress);
            ControlFlow::Continue(())
        };
        model.generate_watched(&many, &settings, None, &mut watch).unwrap();
        let progress = last.unwrap();
        assert_eq!((progress.finished, progress.total, progress.tokens), (6, 6, 30));
        // 30 of the first sample, then the last token of five prompts, and four drawn tokens of each.
        assert_eq!(progress.rows, 30 + 5 + 6 * 4, "{slots} slots");
    }
}

#[test]
fn continuations_end_at_tokens_and_lengths() {
    let model = random("llama", 5);
    let prompt = Prompt::new(&text(5, 90, 2), Seed::root(9));
    let free = model.generate(std::slice::from_ref(&prompt), &Generation::greedy(12)).unwrap().remove(0);
    assert_eq!((free.tokens.len(), free.finish, &free.text), (12, Finish::Length, &None));
    assert!(free.log_probs.iter().all(|l| *l == 0.0) && free.log_probs_full.iter().all(|l| *l < 0.0));
    let end = free.tokens[4];
    let first = free.tokens.iter().position(|token| *token == end).unwrap();
    for settings in
        [Generation::greedy(12).until(&[end]), Generation { stop_tokens: vec![end], ..Generation::greedy(12) }]
    {
        let got = model.generate(std::slice::from_ref(&prompt), &settings).unwrap().remove(0);
        assert_eq!((&got.tokens[..], got.finish), (&free.tokens[..=first], Finish::Stop));
    }
    // The model's longest sequence ends it, too: 96 − 5.
    let got = model.generate(std::slice::from_ref(&prompt), &Generation::greedy(1000)).unwrap().remove(0);
    assert_eq!((got.tokens.len(), got.finish), (91, Finish::Length));
    let got = model.generate(&[prompt], &Generation::greedy(0)).unwrap().remove(0);
    assert_eq!((got.tokens.len(), got.finish), (0, Finish::Length));
    assert_eq!(model.generate(&[], &Generation::greedy(3)).unwrap(), []);
}

#[test]
fn a_forced_beginning_is_generated_but_not_drawn() {
    let model = random("llama", 6);
    let prompt = Prompt::new(&text(9, 90, 2), Seed::root(9));
    let settings = Generation::sample(Temperature::ONE, 8);
    let batch = [prompt.clone().forced(&[7, 8, 9]), prompt.clone(), prompt.clone().forced(&[7, 8])];
    let got = model.generate(&batch, &Generation { slots: 1, ..settings.clone() }).unwrap();
    assert_eq!(got[0].tokens[..3], [7, 8, 9]);
    assert_eq!(got[0].tokens.len(), 8);
    assert!(got[0].log_probs[..3].iter().all(|l| *l == 0.0) && got[0].log_probs[3] < 0.0);
    let sequence = Sequence::new(&prompt.tokens, &got[0].tokens);
    let scores = model.scores(&[sequence], 1.0).unwrap();
    let wanted: Vec<f32> = scores.log_probs[0].iter().map(|l| *l as f32).collect();
    close("full", &got[0].log_probs_full, &wanted, 1e-3);
    assert_eq!(got[2].tokens[..2], [7, 8]);
    // Prompts without one are free, whatever stood in their slot before.
    assert_eq!(got[1..2], model.generate(&[prompt], &settings).unwrap());
}

fn tokenizer() -> Tokenizer {
    Tokenizer::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/byte_level")).unwrap()
}

/// A model over the tokenizer's vocabulary.
fn speaking(tokenizer: &Tokenizer) -> Model {
    let file = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": tokenizer.vocab_size(),
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 2, "max_position_embeddings": 64,
    });
    Model::init(ModelConfig::from_value(file).unwrap(), Seed::root(1)).unwrap()
}

#[test]
fn a_stop_string_ends_the_text_before_it() {
    let tokenizer = tokenizer();
    let model = speaking(&tokenizer);
    let said = tokenizer.encode("one, two, three and four", Special::Without).unwrap().tokens;
    let prompt = Prompt::new(&[1], Seed::root(0)).forced(&said);
    let run = |stops: &[&str]| {
        let stop_strings = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let settings = Generation { stop_strings, ..Generation::greedy(said.len()) };
        let mut go_on = |_| ControlFlow::Continue(());
        model
            .generate_watched(std::slice::from_ref(&prompt), &settings, Some(&tokenizer), &mut go_on)
            .unwrap()
            .remove(0)
    };
    let whole = run(&["five"]);
    assert_eq!((whole.text.as_deref(), whole.finish), (Some("one, two, three and four"), Finish::Length));
    assert_eq!(whole.tokens, said);
    for (stops, text) in [(&["o, th"][..], "one, tw"), (&["four", ", two"], "one"), (&["one"], "")] {
        let got = run(stops);
        assert_eq!((got.text.as_deref(), got.finish), (Some(text), Finish::StopString), "{stops:?}");
        // The tokens are those that were drawn: all that spell the text and the stop string, no more.
        assert!(said.starts_with(&got.tokens) && got.tokens.len() == got.log_probs.len());
        let spelled = tokenizer.decode(&got.tokens, Special::Without).unwrap();
        let shorter = tokenizer.decode(&got.tokens[..got.tokens.len() - 1], Special::Without).unwrap();
        let holds = |spelled: &str| stops.iter().any(|stop| spelled.contains(stop));
        assert!(holds(&spelled) && !holds(&shorter), "{stops:?}: {spelled}");
    }
}

#[test]
fn the_watcher_stops_the_work() {
    let model = random("llama", 8);
    let mut steps = 0;
    let mut watch = |_| {
        steps += 1;
        if steps < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let got = model.generate_watched(&prompts(90, 4, 1), &Generation::greedy(50), None, &mut watch);
    assert!(matches!(got, Err(LmError::Interrupted)));
    assert_eq!(steps, 3);
}

#[test]
fn the_cache_stays_within_its_budget() {
    let model = random("llama", 8);
    let (prompts, settings) = (prompts(90, 6, 2), sampled(8));
    let capacity = prompts.iter().map(|prompt| prompt.tokens.len()).max().unwrap() + 8;
    let one = Session::cache_bytes(&model, 1, capacity);
    assert_eq!(Session::cache_bytes(&model, 3, capacity), 3 * one);
    let wanted = model.generate(&prompts, &settings).unwrap();
    let tight = Generation { cache_bytes: 2 * one, ..settings.clone() };
    assert_eq!(model.generate(&prompts, &tight).unwrap(), wanted);
    let error = model.generate(&prompts, &Generation { cache_bytes: one - 1, ..settings }).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("cache_bytes: expected at least {one} for one sequence of {capacity} tokens, got {}", one - 1)
    );
    let beam = BeamConfig { num_beams: 3.try_into().unwrap(), ..BeamConfig::default() };
    let small = Generation { cache_bytes: one, ..Generation::greedy(8) };
    assert!(model.beam_search(&prompts[0].tokens, &beam, &small).is_err());
}

#[test]
fn what_cannot_be_generated_is_refused() {
    let model = random("llama", 8);
    let run = |tokens: &[u32], settings: &Generation| {
        model.generate(&[Prompt::new(tokens, Seed::root(0))], settings).map(|_| ()).unwrap_err().to_string()
    };
    let greedy = Generation::greedy(4);
    assert_eq!(run(&[], &greedy), "sequence 0, length: expected 1 to 96 tokens, got 0");
    assert_eq!(run(&[90], &greedy), "sequence 0: expected tokens below 90, got 90");
    assert_eq!(run(&[1; 96], &greedy), "sequence 0, length of a prompt: expected below 96, got 96");
    assert!(run(&[1], &Generation { slots: 0, ..greedy.clone() }).starts_with("slots: expected at least 1"));
    let stops = Generation { stop_strings: vec!["a".to_owned()], ..greedy.clone() };
    assert!(run(&[1], &stops).contains("no tokenizer"));
    assert!(run(&[1], &Generation { stop_strings: vec![String::new()], ..greedy.clone() }).starts_with("stop_strings"));
    assert!(model.beam_search(&[1], &BeamConfig::default(), &stops).is_err());
    let bans = SamplingConfig { suppress_tokens: (0..90).collect(), ..SamplingConfig::greedy() };
    assert!(run(&[1], &Generation::new(bans, 4)).contains("left none of 90"));
    assert!(serde_json::from_str::<Generation>(r#"{"sampling": {}, "max_new_tokens": 1, "x": 1}"#).is_err());
}

#[test]
fn one_beam_is_greedy() {
    let model = random("qwen3", 8);
    let prompt = text(12, 90, 4);
    let greedy = model.generate(&[Prompt::new(&prompt, Seed::root(0))], &Generation::greedy(15)).unwrap();
    let found = model.beam_search(&prompt, &BeamConfig::default(), &Generation::greedy(15)).unwrap();
    assert_eq!(found[0].tokens, greedy[0].tokens);
    let mean = greedy[0].log_probs_full.iter().sum::<f64>() / 15.0;
    assert!((f64::from(found[0].score) - mean).abs() < 1e-4);
}

#[test]
fn a_language_model_is_a_policy() {
    let contexts: Vec<_> = (0..4).map(|i| text(3 + 4 * i as usize, 90, i)).collect();
    let contexts: Vec<&[u32]> = contexts.iter().map(Vec::as_slice).collect();
    for generation in [Generation::sample(Temperature::new(0.7).unwrap(), 7).until(&[3]), Generation::greedy(7)] {
        let policy = LmPolicy { model: random("qwen2", 8), generation, version: 3 };
        laws::policy(&policy, &contexts, Seed::root(4), 0.0).unwrap();
        laws::log_prob(&policy, &contexts, Seed::root(4), 1e-3).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_batch_in_any_slots_gives_what_each_prompt_gives(
        seed in 0_u64..1000,
        count in 1_usize..9,
        slots in 1_usize..6,
        new_tokens in 1_usize..9,
    ) {
        let model = random("qwen2", seed % 3);
        let prompts = prompts(90, count, seed);
        let settings = sampled(new_tokens);
        let got = model.generate(&prompts, &Generation { slots, ..settings.clone() }).unwrap();
        prop_assert_eq!(got, alone(&model, &prompts, &settings));
    }
}
