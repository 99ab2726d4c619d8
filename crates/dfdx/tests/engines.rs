//! The fused model and the one composed of dfdx's own operations are the same function.
#![expect(clippy::unwrap_used, reason = "tests state exact values")]

use tdrm_core::Seed;
use tdrm_dfdx::{
    Architecture, Device, Engine, Lm, LmConfig, Optimiser, PolicyCoefficients, Scores, Sequence, Trainer, ValueSequence,
};

/// Outputs and gradients of a policy and of a value pass over ragged sequences.
fn run(config: &LmConfig, engine: Engine) -> (Vec<f32>, Vec<(String, Vec<f32>)>) {
    let lm = Lm::init(config.clone(), Seed::root(3)).unwrap();
    let mut trainer = Trainer::new(lm, Optimiser::adamw(1e-3)).unwrap().with_engine(engine);
    let tokens = |len: u32, k: u32| (0..len).map(|i| (i * k + 1) % 11).collect::<Vec<u32>>();
    let batch: Vec<_> = [(5, 3, 1), (9, 7, 4), (2, 1, 1)]
        .map(|(l, k, prompt_len)| Sequence { tokens: tokens(l, k), prompt_len })
        .into();
    let mut outputs = Vec::new();
    let wave = |rows: &[Vec<f32>], phase: f32| -> Vec<Vec<f32>> {
        rows.iter().map(|row| (0..row.len()).map(|i| (i as f32 * 1.7 + phase).sin()).collect()).collect()
    };
    let both = &mut |scores: &Scores| {
        outputs.extend(scores.log_probs.iter().chain(&scores.entropies).flatten().copied());
        PolicyCoefficients { log_probs: wave(&scores.log_probs, 0.0), entropies: wave(&scores.entropies, 1.0) }
    };
    trainer.accumulate_policy_and_entropy(&batch, 0.8, both).unwrap();
    let values: Vec<_> =
        batch.iter().map(|s| ValueSequence { tokens: s.tokens.clone(), positions: vec![0, 1] }).collect();
    trainer
        .accumulate_value(&values, &mut |z| {
            outputs.extend(z.iter().flatten());
            wave(z, 2.0)
        })
        .unwrap();
    let gradients = trainer.gradients().map(|(name, g)| (name.to_owned(), g.to_vec())).collect();
    (outputs, gradients)
}

fn compare(engine: &Engine) {
    let llama = LmConfig { num_key_value_heads: 2, initializer_range: 0.3, ..LmConfig::llama(11, 16, 2, 4) };
    let qwen = LmConfig { architecture: Architecture::Qwen2, tie_word_embeddings: false, ..llama.clone() };
    for config in [llama, qwen] {
        let (wanted, fused) = run(&config, Engine::Fused);
        let (got, composed) = run(&config, engine.clone());
        assert!(wanted.iter().zip(&got).all(|(a, b)| (a - b).abs() < 1e-5), "{wanted:?} {got:?}");
        for ((name, a), (_, b)) in fused.iter().zip(&composed) {
            let norm = a.iter().map(|x| x * x).sum::<f32>().sqrt();
            let difference = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
            assert!(norm > 0.0 && difference < 1e-5 * norm, "{name}: {difference} of {norm}");
        }
    }
}

#[test]
fn composed_on_the_cpu_is_fused() {
    compare(&Engine::Composed(Device::cpu()));
}

#[test]
#[cfg(feature = "cuda")]
fn composed_on_a_gpu_is_fused() {
    compare(&Engine::Composed(Device::cuda(0).unwrap()));
}
