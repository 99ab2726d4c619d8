//! The embedded model is the same model in Hugging Face transformers.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde::Deserialize;
use tdrm_core::{Seed, Temperature};
use tdrm_recipes::{Draws, Judge, Model, Problem};

#[derive(Deserialize)]
struct Golden {
    made_by: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    tokens: Vec<u32>,
    last_logits: Vec<f32>,
    sum: f64,
}

#[test]
fn tokens_and_logits_are_those_of_transformers() {
    let golden: Golden = serde_json::from_str(include_str!("golden/embedded_model.json")).unwrap();
    let model = Model::embedded().unwrap();
    for case in golden.cases {
        assert_eq!(model.tokenizer().encode(&case.text).unwrap(), case.tokens, "{}", golden.made_by);
        let logits = model.lm.logits(&case.tokens).unwrap();
        let last = &logits[logits.len() - case.last_logits.len()..];
        for (ours, theirs) in last.iter().zip(&case.last_logits) {
            assert!((ours - theirs).abs() < 1e-4, "{}: {ours} against {theirs}", case.text);
        }
        let sum: f64 = logits.iter().map(|&x| f64::from(x)).sum();
        assert!((sum - case.sum).abs() < 1e-4 * logits.len() as f64, "{sum} against {}", case.sum);
    }
}

#[test]
fn its_samples_are_right_about_half_of_the_time() {
    let model = Model::embedded().unwrap();
    let problem = |i: i64| Problem { prompt: format!("{}+{}-{}:", 20 + i, 13 + i, 7), gold: (26 + 2 * i).to_string() };
    let problems: Vec<_> = (0..30).map(problem).collect();
    let draws = Draws::Sampled { count: 8, temperature: Temperature::ONE, seed: Seed::root(1) };
    let responses = model.respond(&problems, draws, 120).unwrap();
    let judged = problems
        .iter()
        .zip(&responses)
        .flat_map(|(p, r)| r.iter().map(|r| Judge::Chain.verdict(p, &model.text(&r.tokens)).is_correct()));
    let right = judged.filter(|&right| right).count();
    // 240 draws: far from none and from all, whatever the processor's rounding
    assert!((60..=210).contains(&right), "{right} of 240");
}

#[test]
fn the_model_that_is_saved_is_the_model_that_is_loaded() {
    let model = Model::embedded().unwrap();
    let folder = std::env::temp_dir().join(format!("tdrm-embedded-{}", std::process::id()));
    model.save(&folder).unwrap();
    let loaded = Model::load(&folder).unwrap();
    let tokens = model.tokenizer().encode("12+34:").unwrap();
    assert_eq!(model.lm.logits(&tokens).unwrap(), loaded.lm.logits(&tokens).unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
}
