//! Whole models, with the processor in place of a GPU.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::process::Command;

use serde_json::json;
use tdrm_core::Seed;
use tdrm_kernels::batch::{Sequence, ValueSequence};
use tdrm_kernels::optimiser::Optimiser;

use super::*;
use crate::{
    Engine, Generation, Model, ModelConfig, Placement, PolicyCoefficients, Precision, Prompt, Scores, Session, Trainer,
};

fn model(family: &str) -> Model {
    let (heads, groups, dim) = if family == "glm4" { (7, 1, 64) } else { (4, 2, 8) };
    let file = json!({
        "architectures": ["XForCausalLM"], "model_type": family, "vocab_size": 50, "hidden_size": 32,
        "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": heads, "num_key_value_heads": groups,
        "head_dim": dim, "initializer_range": 0.2, "max_position_embeddings": 512, "sliding_window": 20,
    });
    Model::init(ModelConfig::from_value(file).unwrap(), Seed::root(5)).unwrap()
}

fn tokens(seed: usize, len: usize) -> Vec<u32> {
    (0..len).map(|i| ((i * i * 3 + i * seed + seed) % 50) as u32).collect()
}

fn assert_near(what: &str, got: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let off = norm(&mut got.iter().zip(wanted).map(|(a, b)| a - b)) / norm(&mut wanted.iter().copied());
    assert!(off < tolerance, "{what}: {off}");
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

fn batch() -> Vec<Sequence> {
    [(3, 40), (4, 2), (5, 17)].map(|(seed, len)| Sequence { tokens: tokens(seed, len), prompt_len: 1 }).to_vec()
}

/// One step on the mean log-probability; returns the norm of the gradient.
fn step(trainer: &mut Trainer) -> f64 {
    let mut mean = |scores: &Scores| PolicyCoefficients {
        log_probs: scores.log_probs.iter().map(|row| vec![-1.0 / 56.0; row.len()]).collect(),
        entropies: Vec::new(),
    };
    trainer.accumulate_policy(&batch(), 1.0, &mut mean).unwrap();
    trainer.step().unwrap().gradient_norm
}

/// In a process of its own, where the processor stands in for a GPU.
#[test]
#[ignore = "started by models_on_an_emulated_gpu_are_what_they_were"]
fn models_in_this_process() {
    assert!(is_gpu(&Device::Cpu));
    for (family, precision, tolerance) in [
        ("qwen3", Precision::F32, 1e-5),
        ("mistral", Precision::F32, 1e-5),
        ("qwen2", Precision::Bf16, 0.02),
        ("glm4", Precision::Bf16, 0.02),
    ] {
        let what = format!("{family} {precision:?}");
        let placement = Placement { precision, ..Placement::default() };
        let there = model(family).to(placement).unwrap().with_engine(Engine::Composed);
        let here = there.to(Placement::default()).unwrap().with_engine(Engine::Fused);
        assert!(there.attends_on_gpu());
        // In tiles, with their rest.
        let sequence = tokens(1, 70);
        let logits = |model: &Model| wide(&model.logits(&sequence).unwrap());
        assert_near(&what, &logits(&there), &logits(&here), tolerance);

        let scores = |model: &Model| model.scores(&batch(), 0.7).unwrap();
        let (a, b) = (scores(&there), scores(&here));
        assert_near(&what, &a.log_probs.concat(), &b.log_probs.concat(), tolerance);
        assert_near(&what, &a.entropies.concat(), &b.entropies.concat(), tolerance);

        // Row by row, in parts where a row is long, and after copies of slots.
        let continued = |model: &Model| {
            let mut session = Session::new(model, 3, 400).unwrap();
            let left = session.open(&tokens(2, 140)).unwrap();
            let right = session.fork(left).unwrap();
            let other = session.open(&tokens(2, 9)).unwrap();
            session.extend(&[(left, &[4]), (right, &[5, 6]), (other, &[7])]).unwrap();
            [left, right, other].map(|branch| wide(session.logits(branch).unwrap())).concat()
        };
        assert_near(&what, &continued(&there), &continued(&here), tolerance);

        let with_head = |model: &Model| model.to(placement).unwrap().with_value_head(Seed::root(3)).unwrap();
        let head = with_head(&there);
        let values = |model: &Model| model.values(&[ValueSequence::everywhere(&sequence)]).unwrap().concat().concat();
        let same = head.to(Placement::default()).unwrap().with_engine(Engine::Fused);
        assert_near(&what, &values(&head), &values(&same), 2.0 * tolerance);

        // Training: gradients by candle, with the layers' forward passes by the kernels where they run twice.
        let trainer = |model: &Model| Trainer::new(model.clone(), Optimiser::adamw(1e-2)).unwrap();
        let mut b = trainer(&here.snapshot().unwrap());
        let wanted = [step(&mut b), step(&mut b)];
        for checkpointing in [false, true] {
            let mut a = trainer(&there.snapshot().unwrap()).with_checkpointing(checkpointing);
            assert_near(&what, &[step(&mut a), step(&mut a)], &wanted, tolerance);
            let weights = |trainer: &Trainer| wide(&trainer.model().tensor("model.norm.weight").unwrap());
            assert_near(&what, &weights(&a), &weights(&b), tolerance);
        }
    }
    let placement = Placement { precision: Precision::Bf16, ..Placement::default() };
    let there = model("llama").to(placement).unwrap().with_engine(Engine::Composed);
    let prompts = [Prompt::new(&tokens(1, 5), Seed::root(1)), Prompt::new(&tokens(2, 40), Seed::root(2))];
    for (prompt, completion) in prompts.iter().zip(there.generate(&prompts, &Generation::greedy(4)).unwrap()) {
        let whole = there.scores(&[Sequence::new(&prompt.tokens, &completion.tokens)], 1.0).unwrap();
        assert_near("generation", &completion.log_probs_full, &whole.log_probs.concat(), 0.05);
    }
}

#[test]
fn models_on_an_emulated_gpu_are_what_they_were() {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    if Command::new(compiler).arg("--version").output().is_err() {
        eprintln!("NOT CHECKED: no C++ compiler, so no model ran on an emulated GPU");
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--ignored", "ops::cuda::tests::models_in_this_process"]);
    let output = child.env("TDRM_EMULATES_A_GPU", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
