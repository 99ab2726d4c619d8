//! Two tiny models against transformers and PyTorch: `golden/tiny_models.json`, made by `golden/make.py`.
#![expect(clippy::unwrap_used, reason = "tests state exact values")]

use std::collections::HashMap;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Deserialize;
use tdrm_core::Seed;
use tdrm_dfdx::{Architecture, Lm, LmConfig, Optimiser, Sequence, Trainer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    made_by: String,
    tokens: Vec<u32>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    architecture: Architecture,
    rope_theta: f64,
    tie_word_embeddings: bool,
    last_logits: Vec<f32>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    loss: f64,
    gradient_norm: f64,
}

/// The formula of `make.py`.
fn weights(name: &str, count: usize) -> Vec<f32> {
    let seed = name.bytes().fold(0_u32, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let centre = if name.contains("norm") { 0.5 } else { -0.5 };
    let value = |i: u32| ((i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 12) % 1024) as f32 / 1024.0 + centre;
    (0..count as u32).map(value).collect()
}

fn model(case: &Case) -> Lm {
    let config = LmConfig {
        architecture: case.architecture,
        intermediate_size: 20,
        num_key_value_heads: 2,
        head_dim: 4,
        max_position_embeddings: 64,
        rope_theta: case.rope_theta,
        rms_norm_eps: 1e-5,
        tie_word_embeddings: case.tie_word_embeddings,
        ..LmConfig::llama(19, 12, 2, 4)
    };
    let shapes = Lm::init(config.clone(), Seed::root(0)).unwrap();
    let bytes = |name: &str, n: usize| weights(name, n).iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
    let model = shapes.parameters().filter(|(name, ..)| !name.starts_with("score."));
    let tensors: Vec<_> = model.map(|(name, shape, data)| (name, shape.to_vec(), bytes(name, data.len()))).collect();
    let views = tensors.iter().map(|(name, shape, b)| (*name, TensorView::new(Dtype::F32, shape.clone(), b).unwrap()));
    let file = safetensors::serialize(views, None::<HashMap<String, String>>).unwrap();
    Lm::from_bytes(&config.to_json(), &file).unwrap()
}

#[test]
fn logits_and_five_clipped_steps_of_adamw_are_those_of_pytorch() {
    let golden: Golden = serde_json::from_str(include_str!("golden/tiny_models.json")).unwrap();
    assert!(golden.made_by.contains("make.py"));
    for case in &golden.cases {
        let lm = model(case);
        let logits = lm.logits(&golden.tokens).unwrap();
        let last = &logits[logits.len() - case.last_logits.len()..];
        assert!(last.iter().zip(&case.last_logits).all(|(a, b)| (a - b).abs() < 1e-5), "{last:?}");

        let optimiser = Optimiser { beta2: 0.95, weight_decay: 0.1, ..Optimiser::adamw(1e-2) };
        let mut trainer = Trainer::new(lm, optimiser).unwrap();
        let batch = [Sequence { tokens: golden.tokens.clone(), prompt_len: 1 }];
        for step in &case.steps {
            let mut loss = 0.0;
            let mean = &mut |log_probs: &[Vec<f32>]| {
                let n = log_probs[0].len() as f32;
                loss = -f64::from(log_probs[0].iter().sum::<f32>() / n);
                vec![vec![-1.0 / n; log_probs[0].len()]]
            };
            trainer.accumulate_policy(&batch, 1.0, mean).unwrap();
            let norm = trainer.step().unwrap().gradient_norm;
            assert!((loss - step.loss).abs() < 2e-5, "{loss} {}", step.loss);
            assert!((norm / step.gradient_norm - 1.0).abs() < 1e-4, "{norm} {}", step.gradient_norm);
        }
    }
}
