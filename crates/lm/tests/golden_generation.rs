//! What transformers' `generate` found with tiny random models: greedy, left-padded, penalised, with beams.
#![expect(clippy::unwrap_used, reason = "tests state exact values")]

mod common;

use common::{CAUSAL, Reference};
use serde_json::Value;
use tdrm_algo::sampling::{BeamConfig, SamplingConfig};
use tdrm_core::{Positive, Seed};
use tdrm_lm::{Engine, Finish, Generation, Model, Prompt};

/// Below this gap between the two best logits, rounding may decide.
const DECIDED: f64 = 1e-3;

fn each(mut check: impl FnMut(&str, &Model, &Value)) {
    for name in CAUSAL {
        let Some(reference) = Reference::load(name) else { return };
        let model = Model::load(&reference.directory).unwrap();
        for engine in [Engine::Fused, Engine::Composed] {
            let what = format!("{name} {engine:?}");
            check(&what, &model.clone().with_engine(engine), &reference.json["generations"]);
        }
    }
}

fn tokens(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

fn id(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

#[test]
fn greedy_tokens_are_the_same() {
    each(|name, model, generations| {
        let golden = &generations["greedy"];
        let prompt = tokens(&golden["prompt"][0]);
        let wanted = tokens(&golden["sequences"][0]).split_off(prompt.len());
        let gaps: Vec<f64> = serde_json::from_value(golden["gaps"][0].clone()).unwrap();
        let decided = gaps.iter().take_while(|gap| **gap >= DECIDED).count();
        let prompts = [Prompt::new(&prompt, Seed::root(0))];
        let got = model.generate(&prompts, &Generation::greedy(wanted.len())).unwrap();
        assert_eq!(got[0].tokens[..decided], wanted[..decided], "{name}");
        assert_eq!(got[0].finish, Finish::Length);
    });
}

#[test]
fn prompts_that_were_padded_on_the_left_continue_as_without_padding() {
    each(|name, model, generations| {
        let golden = &generations["greedy_leftpad"];
        let wanted: Vec<Vec<u32>> = serde_json::from_value(golden["sequences"].clone()).unwrap();
        let padded = golden["prompt"][0].as_array().unwrap().len();
        let prompts = common::rows(&golden["prompt"], Some(&golden["mask"]));
        let prompts: Vec<_> = prompts.iter().map(|prompt| Prompt::new(prompt, Seed::root(0))).collect();
        let gaps: Vec<Vec<f64>> = serde_json::from_value(golden["gaps"].clone()).unwrap_or_default();
        let got = model.generate(&prompts, &Generation::greedy(wanted[0].len() - padded)).unwrap();
        for (i, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
            let wanted = &wanted[padded..];
            let gaps = gaps.get(i).map_or(wanted.len(), |row| row.iter().take_while(|gap| **gap >= DECIDED).count());
            assert_eq!(got.tokens[..gaps], wanted[..gaps], "{name} {i}");
        }
    });
}

#[test]
fn a_penalty_and_an_end_of_sequence() {
    each(|name, model, generations| {
        let golden = &generations["greedy_eos_reppen"];
        let prompt = tokens(&golden["prompt"][0]);
        let wanted = tokens(&golden["sequences"][0]).split_off(prompt.len());
        let repetition_penalty = Positive::new(golden["repetition_penalty"].as_f64().unwrap()).unwrap();
        let sampling = SamplingConfig { repetition_penalty, ..SamplingConfig::greedy() };
        let settings = Generation::new(sampling, 40).until(&[id(&golden["eos"])]);
        let got = model.generate(&[Prompt::new(&prompt, Seed::root(0))], &settings).unwrap();
        assert_eq!((&got[0].tokens, got[0].finish), (&wanted, Finish::Stop), "{name}");
    });
}

#[test]
fn beams_find_the_same_sequences_and_scores() {
    each(|name, model, generations| {
        for beams in [3_usize, 4, 5] {
            let golden = &generations[format!("beam{beams}")];
            let prompt = tokens(&golden["prompt"][0]);
            let wanted: Vec<Vec<u32>> = serde_json::from_value(golden["sequences"].clone()).unwrap();
            let scores: Vec<f64> = serde_json::from_value(golden["sequences_scores"].clone()).unwrap();
            let beam = BeamConfig {
                num_beams: beams.try_into().unwrap(),
                length_penalty: golden["length_penalty"].as_f64().unwrap(),
                early_stopping: serde_json::from_value(golden["early_stopping"].clone()).unwrap(),
                num_return_sequences: wanted.len().try_into().unwrap(),
            };
            let new_tokens = golden["max_new_tokens"].as_u64().unwrap() as usize;
            let settings = Generation::greedy(new_tokens).until(&[id(&golden["eos"])]);
            let got = model.beam_search(&prompt, &beam, &settings).unwrap();
            assert_eq!(got.len(), wanted.len(), "{name} {beams}");
            for (got, (wanted, score)) in got.iter().zip(wanted.iter().zip(scores)) {
                let (found, padding) = wanted[prompt.len()..].split_at(got.tokens.len());
                assert_eq!(got.tokens, found, "{name} {beams}");
                assert!(padding.iter().all(|token| *token == id(&golden["pad"])), "{name} {beams}");
                assert!((f64::from(got.score) - score).abs() < 1e-4, "{name} {beams}: {} {score}", got.score);
            }
        }
    });
}
