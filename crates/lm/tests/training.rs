//! What training promises beside the numbers of the reference: freezing, adapters, resuming, invariances.
#![expect(clippy::unwrap_used, reason = "tests state exact values")]

mod common;

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tdrm_core::Seed;
use tdrm_lm::{
    Engine, LmError, LoraConfig, Model, ModelConfig, Optimiser, PolicyCoefficients, Scores, Sequence, Trainer,
    ValueSequence,
};

/// A small model of each family.
fn config(model_type: &str) -> ModelConfig {
    let sizes = json!({
        "architectures": ["XForCausalLM"], "model_type": model_type, "vocab_size": 50, "hidden_size": 32,
        "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 8, "initializer_range": 0.2, "max_position_embeddings": 64,
        "use_sliding_window": true, "sliding_window": 3, "max_window_layers": 1,
    });
    ModelConfig::from_value(sizes).unwrap()
}

fn model(model_type: &str) -> Model {
    Model::init(config(model_type), Seed::root(5)).unwrap()
}

fn batch() -> Vec<Sequence> {
    vec![Sequence::new(&[1, 2, 3], &[4, 5, 6, 7, 8]), Sequence::new(&[9], &[10, 11]), Sequence::new(&[3, 3], &[49])]
}

/// A loss with different coefficients everywhere, entropies included.
fn coefficients(scores: &Scores) -> PolicyCoefficients {
    let ramp = |ragged: &[Vec<f64>], a: f64| -> Vec<Vec<f64>> {
        ragged.iter().map(|row| (0..row.len()).map(|t| a * (t as f64 + 0.5)).collect()).collect()
    };
    PolicyCoefficients { log_probs: ramp(&scores.log_probs, -0.3), entropies: ramp(&scores.entropies, 0.1) }
}

fn trainer(model: Model) -> Trainer {
    Trainer::new(model, Optimiser::adamw(1e-2)).unwrap()
}

fn gradients(mut trainer: Trainer) -> Vec<(String, Vec<f32>)> {
    trainer.accumulate_policy(&batch(), 0.8, &mut coefficients).unwrap();
    trainer.gradients()
}

fn agree(a: &[(String, Vec<f32>)], b: &[(String, Vec<f32>)], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    for ((name, a), (other, b)) in a.iter().zip(b) {
        assert_eq!(name, other);
        let scale = a.iter().fold(1e-3_f32, |m, x| m.max(x.abs()));
        let far = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far <= tolerance * scale, "{name}: {far} of {scale}");
    }
}

const FAMILIES: [&str; 6] = ["qwen2", "qwen3", "llama", "mistral", "glm", "glm4"];

#[test]
fn both_engines_and_checkpointing_have_one_gradient() {
    for family in FAMILIES {
        let fused = gradients(trainer(model(family)));
        let named: Vec<_> = model(family).tensors().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(fused.len(), named.len(), "{family}: every tensor has a gradient");
        agree(&fused, &gradients(trainer(model(family).with_engine(Engine::Composed))), 1e-4);
        agree(&fused, &gradients(trainer(model(family)).with_checkpointing(true)), 1e-5);
    }
}

#[test]
fn the_embedding_of_padding_is_not_trained() {
    for (family, engine, checkpointing) in
        [("qwen2", Engine::Fused, false), ("glm4", Engine::Fused, true), ("llama", Engine::Composed, false)]
    {
        let mut file: Value = serde_json::from_str(&config(family).to_json()).unwrap();
        file["pad_token_id"] = 3.into();
        let padded = Model::init(ModelConfig::from_value(file).unwrap(), Seed::root(5)).unwrap();
        let run = |model: Model| gradients(trainer(model.with_engine(engine)).with_checkpointing(checkpointing));
        let mut wanted = run(model(family));
        let (name, embedding) = &mut wanted[0];
        assert_eq!(name, "model.embed_tokens.weight");
        let row = &mut embedding[3 * 32..4 * 32];
        assert!(row.iter().any(|g| g.abs() > 1e-3), "the batch has token 3 as an input");
        row.fill(0.0);
        agree(&run(padded), &wanted, 1e-6);
    }
}

#[test]
fn the_gradient_is_the_central_difference_of_the_loss() {
    let model = model("qwen3");
    let loss = |model: &Model| {
        let scores = model.scores(&batch(), 0.8).unwrap();
        let c = coefficients(&scores);
        let dot = |a: &[Vec<f64>], b: &[Vec<f64>]| -> f64 {
            a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| a * b).sum()
        };
        dot(&scores.log_probs, &c.log_probs) + dot(&scores.entropies, &c.entropies)
    };
    let got = gradients(trainer(model.clone()));
    for name in ["model.layers.0.self_attn.k_norm.weight", "model.layers.1.mlp.up_proj.weight", "model.norm.weight"] {
        let gradient = &got.iter().find(|(other, _)| other == name).unwrap().1;
        for i in [0, gradient.len() - 1] {
            let at = |h: f32| {
                let copy = model.snapshot().unwrap();
                let mut values = copy.tensor(name).unwrap();
                values[i] += h;
                copy.set_tensor(name, &values).unwrap();
                loss(&copy)
            };
            let difference = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((difference - f64::from(gradient[i])).abs() < 2e-2 * (1.0 + difference.abs()), "{name}[{i}]");
        }
    }
}

#[test]
fn micro_batches_add_up() {
    let whole = gradients(trainer(model("llama")));
    let mut parts = trainer(model("llama"));
    for sequence in batch() {
        parts.accumulate_policy(&[sequence], 0.8, &mut coefficients).unwrap();
    }
    agree(&whole, &parts.gradients(), 1e-5);
}

#[test]
fn what_is_frozen_stays() {
    let mut trainer = trainer(model("qwen2")).only(|name| name.contains("v_proj"));
    let before = trainer.model().snapshot().unwrap();
    trainer.accumulate_policy(&batch(), 1.0, &mut coefficients).unwrap();
    trainer.step().unwrap();
    for (name, _) in before.tensors() {
        let same = before.tensor(name).unwrap() == trainer.model().tensor(name).unwrap();
        assert_eq!(same, !name.contains("v_proj"), "{name}");
    }
}

#[test]
fn a_number_that_is_not_finite_changes_nothing() {
    let mut trainer = trainer(model("glm4"));
    let before = trainer.model().snapshot().unwrap();
    let error = trainer.accumulate_policy(&batch(), 1.0, &mut |scores| PolicyCoefficients {
        log_probs: scores.log_probs.iter().map(|row| vec![f64::NAN; row.len()]).collect(),
        entropies: Vec::new(),
    });
    assert!(matches!(error, Err(LmError::NotFinite { .. })));
    assert!(trainer.gradients().is_empty());
    let short = trainer.accumulate_policy(&batch(), 1.0, &mut |_| PolicyCoefficients {
        log_probs: vec![vec![0.0]],
        entropies: Vec::new(),
    });
    assert!(matches!(short, Err(LmError::Coefficients { expected: 3, got: 1, .. })));
    for (name, _) in before.tensors() {
        assert_eq!(before.tensor(name).unwrap(), trainer.model().tensor(name).unwrap());
    }
}

fn lora() -> LoraConfig {
    let target_modules = ["q_proj", "v_proj", "down_proj"].map(str::to_owned).to_vec();
    LoraConfig { rank: 3, alpha: 6.0, dropout: 0.0, target_modules, rank_stabilised: false }
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tdrm-lm-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn an_adapter_starts_as_nothing_learns_alone_and_merges() {
    let base = model("qwen2");
    let tokens = [1, 2, 3, 4];
    let adapted = base.snapshot().unwrap().with_adapter(lora(), Seed::root(1)).unwrap();
    assert_eq!(base.logits(&tokens).unwrap(), adapted.logits(&tokens).unwrap());
    let mut trainer = trainer(adapted);
    for _ in 0..3 {
        trainer.accumulate_policy(&batch(), 1.0, &mut coefficients).unwrap();
        assert!(trainer.gradients().iter().all(|(name, _)| name.contains("lora_")));
        trainer.step().unwrap();
    }
    let adapted = trainer.into_model();
    let logits = adapted.logits(&tokens).unwrap();
    let moved = base.logits(&tokens).unwrap().iter().zip(&logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(moved > 1e-3, "{moved}");
    common::close("composed", &adapted.clone().with_engine(Engine::Composed).logits(&tokens).unwrap(), &logits, 1e-4);

    let directory = folder("adapter");
    adapted.save_adapter(&directory).unwrap();
    let loaded = base.snapshot().unwrap().load_adapter(&directory).unwrap();
    assert_eq!(loaded.logits(&tokens).unwrap(), logits);
    let merged = adapted.merge_adapter().unwrap();
    common::close("merged", &merged.logits(&tokens).unwrap(), &logits, 1e-4);
    merged.save(&directory).unwrap();
    let unmerged = Model::load(&directory).unwrap().load_adapter(&directory).unwrap().unmerge_adapter().unwrap();
    common::close("unmerged", &unmerged.logits(&tokens).unwrap(), &logits, 1e-4);
    fs::remove_dir_all(&directory).unwrap();

    let nothing = LoraConfig { target_modules: vec!["x_proj".to_owned()], ..lora() };
    assert!(base.clone().with_adapter(nothing, Seed::root(1)).is_err());
    assert!(base.with_adapter(LoraConfig { rank: 0, ..lora() }, Seed::root(1)).is_err());
}

#[test]
fn a_resumed_run_takes_the_same_steps() {
    let mut straight = trainer(model("llama"));
    let path = folder("state").join("state.safetensors");
    for step in 0..4 {
        straight.accumulate_policy(&batch(), 1.0, &mut coefficients).unwrap();
        straight.step().unwrap();
        if step == 1 {
            straight.save_state(&path).unwrap();
        }
    }
    let mut resumed = trainer(model("llama"));
    resumed.load_state(&path).unwrap();
    assert_eq!(resumed.steps(), 2);
    for _ in 0..2 {
        resumed.accumulate_policy(&batch(), 1.0, &mut coefficients).unwrap();
        resumed.step().unwrap();
    }
    for (name, _) in straight.model().tensors() {
        assert_eq!(straight.model().tensor(name).unwrap(), resumed.model().tensor(name).unwrap(), "{name}");
    }
    assert!(trainer(model("glm")).load_state(&path).is_err());
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn a_saved_model_loads_whole() {
    for family in FAMILIES {
        let (model, directory) = (model(family), folder(family));
        model.save(&directory).unwrap();
        let loaded = Model::load(&directory).unwrap();
        assert_eq!(loaded.logits(&[1, 2, 3]).unwrap(), model.logits(&[1, 2, 3]).unwrap(), "{family}");
        assert!(fs::read_dir(&directory).unwrap().all(|file| !file.unwrap().path().ends_with(".tmp")));
        fs::remove_dir_all(&directory).unwrap();
    }
}

#[test]
fn a_value_head_learns_soft_targets_at_every_step_end() {
    let model = model("qwen2").with_value_head(Seed::root(2)).unwrap();
    let mut trainer = trainer(model).only(|name| name.starts_with("v_head"));
    let sequence = ValueSequence { tokens: vec![1, 2, 3, 4, 5, 6], positions: vec![1, 3, 5] };
    let targets = [0.2, 0.9, 0.5];
    let mut loss = f64::INFINITY;
    for _ in 0..200 {
        // L = Σ BCE(σ(z), y), ∂L/∂z = σ(z) − y.
        let batch = [sequence.clone()];
        let mut bce = 0.0;
        trainer
            .accumulate_values(&batch, &mut |z| {
                let at = |(row, y): (&Vec<f64>, f64)| {
                    let p = 1.0 / (1.0 + (-row[0]).exp());
                    bce -= y * p.ln() + (1.0 - y) * (1.0 - p).ln();
                    vec![p - y]
                };
                vec![z[0].iter().zip(targets).map(at).collect()]
            })
            .unwrap();
        trainer.step().unwrap();
        loss = bce;
    }
    let entropy: f64 = targets.iter().map(|y: &f64| -(y * y.ln() + (1.0 - y) * (1.0 - y).ln())).sum();
    assert!(loss - entropy < 0.02, "{loss} against {entropy}");
}
