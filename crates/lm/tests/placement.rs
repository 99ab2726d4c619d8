//! Models in bfloat16 and on other devices are the models that they were, to the precision of their type.
#![expect(clippy::unwrap_used, reason = "tests state exact values")]

use std::fs;

use serde_json::json;
use tdrm_core::{Seed, Temperature};
#[cfg(not(feature = "cuda"))]
use tdrm_lm::LmError;
use tdrm_lm::{
    Device, Engine, Generation, LoraConfig, Model, ModelConfig, Optimiser, Placement, PolicyCoefficients, Precision,
    Prompt, Sequence, Trainer, ValueSequence,
};

const FAMILIES: [&str; 6] = ["qwen2", "qwen3", "llama", "mistral", "glm", "glm4"];
const TOKENS: [u32; 12] = [3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 9, 32];

fn model(model_type: &str, class: &str) -> Model {
    let file = json!({
        "architectures": [class], "model_type": model_type, "vocab_size": 50, "hidden_size": 32,
        "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 8, "initializer_range": 0.2, "max_position_embeddings": 64, "num_labels": 1,
    });
    Model::init(ModelConfig::from_value(file).unwrap(), Seed::root(5)).unwrap()
}

fn bf16(device: Device) -> Placement {
    Placement { device, precision: Precision::Bf16 }
}

/// |a − b| / |b| in the 2-norm.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    difference / norm(&mut b.iter().map(|&b| f64::from(b)))
}

fn sequences() -> Vec<Sequence> {
    vec![Sequence::new(&TOKENS[..3], &TOKENS[3..]), Sequence::new(&[1], &[2, 3])]
}

/// Mean negative log-probability, and its gradient in the trainer.
fn accumulate(trainer: &mut Trainer) -> f64 {
    let mut loss = 0.0;
    let mut mean = |scores: &tdrm_lm::Scores| {
        let n = scores.log_probs.iter().flatten().count() as f64;
        loss = -scores.log_probs.iter().flatten().sum::<f64>() / n;
        let log_probs = scores.log_probs.iter().map(|row| vec![-1.0 / n; row.len()]).collect();
        PolicyCoefficients { log_probs, entropies: Vec::new() }
    };
    trainer.accumulate_policy(&sequences(), 1.0, &mut mean).unwrap();
    loss
}

/// Holds a model at another place against its copy in 32 bits on the processor.
fn agree(placement: Placement, engine: Engine, logits: f64, gradients: f64) {
    for family in FAMILIES {
        let there = model(family, "XForCausalLM").to(placement).unwrap().with_engine(engine);
        // The same rounded weights, so that only the arithmetic differs.
        let here = there.to(Placement::default()).unwrap();
        let off = distance(&there.logits(&TOKENS).unwrap(), &here.logits(&TOKENS).unwrap());
        assert!(off < logits, "{family}: logits {off}");

        let trainer = |model: &Model| Trainer::new(model.clone(), Optimiser::adamw(1e-3)).unwrap();
        for checkpointing in [false, true] {
            let (mut a, mut b) = (trainer(&there).with_checkpointing(checkpointing), trainer(&here));
            let (loss, wanted) = (accumulate(&mut a), accumulate(&mut b));
            assert!((loss - wanted).abs() < logits * wanted, "{family}: loss {loss} {wanted}");
            for ((name, got), (_, wanted)) in a.gradients().iter().zip(b.gradients()) {
                let off = distance(got, &wanted);
                assert!(off < gradients, "{family} {name}: gradient {off}");
            }
        }
        let prompts = [Prompt::new(&TOKENS[..4], Seed::root(1)), Prompt::new(&TOKENS[..7], Seed::root(2))];
        for completion in there.generate(&prompts, &Generation::greedy(6)).unwrap() {
            let which = usize::from(
                completion.tokens != there.generate(&prompts[..1], &Generation::greedy(6)).unwrap()[0].tokens,
            );
            let all = [&prompts[which].tokens[..], &completion.tokens].concat();
            let sequence = Sequence { tokens: all, prompt_len: prompts[which].tokens.len() };
            let whole = there.scores(&[sequence], 1.0).unwrap().log_probs.remove(0);
            let near = whole.iter().zip(&completion.log_probs_full).all(|(a, b)| (a - b).abs() < 10.0 * logits);
            assert!(near, "{family}: {whole:?} {:?}", completion.log_probs_full);
        }
        let head = there.to(placement).unwrap().with_value_head(Seed::root(3)).unwrap();
        let values = |model: &Model| model.values(&[ValueSequence::everywhere(&TOKENS)]).unwrap().concat().concat();
        let float = |values: Vec<f64>| values.into_iter().map(|x| x as f32).collect::<Vec<_>>();
        let off = distance(&float(values(&head)), &float(values(&head.to(Placement::default()).unwrap())));
        assert!(off < 3.0 * logits, "{family}: values {off}");
    }
}

#[test]
fn bfloat16_agrees_with_32_bits() {
    for engine in [Engine::Fused, Engine::Composed] {
        agree(bf16(Device::Cpu), engine, 0.02, 0.05);
    }
}

#[test]
fn bfloat16_is_saved_and_loaded_as_it_is() {
    let there = model("qwen2", "Qwen2ForCausalLM").to(bf16(Device::Cpu)).unwrap();
    let directory = std::env::temp_dir().join(format!("tdrm-lm-bf16-{}", std::process::id()));
    there.save(&directory).unwrap();
    let bytes = fs::metadata(directory.join("model.safetensors")).unwrap().len();
    assert!((bytes as usize) < 2 * there.len() + 8192, "{bytes} for {} parameters", there.len());
    assert!(fs::read_to_string(directory.join("config.json")).unwrap().contains("model_type"));
    let again = Model::load_on(&directory, bf16(Device::Cpu)).unwrap();
    let wide = Model::load(&directory).unwrap();
    for (name, _) in there.tensors() {
        assert_eq!(there.tensor(name).unwrap(), again.tensor(name).unwrap(), "{name}");
        assert_eq!(there.tensor(name).unwrap(), wide.tensor(name).unwrap(), "{name}");
    }
    assert_eq!(there.logits(&TOKENS).unwrap(), again.logits(&TOKENS).unwrap());
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn small_steps_add_up_behind_rounded_weights() {
    // One step of 1e-4 moves a weight of 0.2 by less than half of bfloat16's spacing there; forty of them move it.
    let mut optimiser = Optimiser::adamw(1e-4);
    optimiser.weight_decay = 0.0;
    let start = model("llama", "LlamaForCausalLM").to(bf16(Device::Cpu)).unwrap();
    let run = |model: &Model, steps: usize| {
        let mut trainer = Trainer::new(model.to(bf16(Device::Cpu)).unwrap(), optimiser).unwrap();
        let losses: Vec<f64> = (0..steps)
            .map(|_| {
                let loss = accumulate(&mut trainer);
                trainer.step().unwrap();
                loss
            })
            .collect();
        (trainer, losses)
    };
    let (trainer, losses) = run(&start, 40);
    let mut wide = Trainer::new(start.to(Placement::default()).unwrap(), optimiser).unwrap();
    for loss in &losses {
        let wanted = accumulate(&mut wide);
        wide.step().unwrap();
        assert!((loss - wanted).abs() < 0.05 * wanted, "{loss} {wanted}");
    }
    assert!(losses[39] < 0.7 * losses[0], "{losses:?}");

    // A resumed run knows the weights behind the rounded ones.
    let path = std::env::temp_dir().join(format!("tdrm-lm-master-{}.safetensors", std::process::id()));
    let (mut straight, _) = run(&start, 3);
    straight.save_state(&path).unwrap();
    let mut resumed = Trainer::new(start.to(bf16(Device::Cpu)).unwrap(), optimiser).unwrap();
    resumed.load_state(&path).unwrap();
    for trainer in [&mut straight, &mut resumed] {
        for _ in 0..3 {
            accumulate(trainer);
            trainer.step().unwrap();
        }
    }
    for (name, _) in start.tensors() {
        assert_eq!(straight.model().tensor(name).unwrap(), resumed.model().tensor(name).unwrap(), "{name}");
    }
    fs::remove_file(&path).unwrap();

    // A weight that somebody sets is not undone by what was behind it.
    let zeros = vec![0.0; start.tensor("model.norm.weight").unwrap().len()];
    let mut frozen = optimiser;
    frozen.learning_rate = 0.0;
    let mut trainer = Trainer::new(trainer.into_model(), frozen).unwrap();
    accumulate(&mut trainer);
    trainer.step().unwrap();
    trainer.model().set_tensor("model.norm.weight", &zeros).unwrap();
    accumulate(&mut trainer);
    trainer.step().unwrap();
    assert_eq!(trainer.model().tensor("model.norm.weight").unwrap(), zeros);
}

#[test]
fn an_adapter_trains_in_bfloat16() {
    let lora = LoraConfig {
        rank: 2,
        alpha: 4.0,
        dropout: 0.1,
        target_modules: vec!["q_proj".to_owned(), "down_proj".to_owned()],
        rank_stabilised: false,
    };
    let base = model("qwen3", "Qwen3ForCausalLM").to(bf16(Device::Cpu)).unwrap();
    let mut trainer = Trainer::new(base.with_adapter(lora, Seed::root(2)).unwrap(), Optimiser::adamw(1e-2)).unwrap();
    let first = accumulate(&mut trainer);
    trainer.step().unwrap();
    for _ in 0..10 {
        accumulate(&mut trainer);
        trainer.step().unwrap();
    }
    let adapted = trainer.into_model();
    let logits = adapted.logits(&TOKENS).unwrap();
    let off = distance(&adapted.clone().merge_adapter().unwrap().logits(&TOKENS).unwrap(), &logits);
    assert!(off < 0.03, "{off}");
    let mut trainer = Trainer::new(adapted, Optimiser::adamw(1e-2)).unwrap();
    assert!(accumulate(&mut trainer) < first);
}

#[test]
fn a_sequence_in_bfloat16_does_not_see_its_neighbours() {
    let model = model("qwen2", "Qwen2ForCausalLM").to(bf16(Device::Cpu)).unwrap();
    let prompts: Vec<Prompt> = (0..20).map(|i| Prompt::new(&TOKENS[..=i % 9], Seed::root(i as u64))).collect();
    let settings = Generation::sample(Temperature::ONE, 8);
    let together = model.generate(&prompts, &settings).unwrap();
    for (prompt, wanted) in prompts.iter().zip(&together) {
        let alone = model.generate(std::slice::from_ref(prompt), &settings).unwrap().remove(0);
        assert_eq!(alone.tokens, wanted.tokens);
        assert_eq!(alone.log_probs, wanted.log_probs, "bit for bit");
    }
}

#[test]
fn places_are_read_as_they_are_written() {
    for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(3)] {
        assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
    }
    assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
    for wrong in ["", "cuda:", "cuda:-1", "gpu", "cpu:0"] {
        assert!(wrong.parse::<Device>().is_err(), "{wrong}");
    }
    assert_eq!("bfloat16".parse::<Precision>().unwrap(), Precision::Bf16);
    assert!("f8".parse::<Precision>().is_err());
}

#[test]
#[cfg(not(feature = "cuda"))]
fn a_device_that_this_build_does_not_know_is_refused() {
    let there = Placement { device: Device::Cuda(0), precision: Precision::F32 };
    let error = model("llama", "LlamaForCausalLM").to(there).unwrap_err();
    assert!(matches!(&error, LmError::Setting { got, .. } if got == "cuda:0"), "{error}");
}

/// Needs an Nvidia GPU.
#[test]
#[cfg(feature = "cuda")]
fn a_gpu_agrees_with_the_processor() {
    // The fused engine gives way where it cannot run.
    agree(Placement { device: Device::Cuda(0), precision: Precision::F32 }, Engine::Fused, 2e-3, 1e-2);
    agree(bf16(Device::Cuda(0)), Engine::Fused, 0.02, 0.05);
}

/// Needs an Nvidia GPU: heads, groups and lengths of real checkpoints, in tiles, in rows and in parts of rows.
#[test]
#[cfg(feature = "cuda")]
fn kernels_of_a_gpu_agree_at_the_sizes_of_checkpoints() {
    for (family, dim, window) in [("qwen2", 64, 4096), ("qwen3", 128, 4096), ("mistral", 128, 100), ("glm4", 128, 4096)]
    {
        let file = json!({
            "architectures": ["XForCausalLM"], "model_type": family, "vocab_size": 1000, "hidden_size": 512,
            "intermediate_size": 1000, "num_hidden_layers": 2, "num_attention_heads": 14, "num_key_value_heads": 2,
            "head_dim": dim, "initializer_range": 0.05, "max_position_embeddings": 2048, "sliding_window": window,
        });
        let model = Model::init(ModelConfig::from_value(file).unwrap(), Seed::root(5)).unwrap();
        let tokens: Vec<u32> = (0..1100_u32).map(|i| (i * i * 3 + i * 7 + 1) % 1000).collect();
        for (precision, tolerance) in [(Precision::F32, 2e-3), (Precision::Bf16, 0.03)] {
            let there = model.to(Placement { device: Device::Cuda(0), precision }).unwrap();
            let here = there.to(Placement::default()).unwrap();
            let off = distance(&there.logits(&tokens).unwrap(), &here.logits(&tokens).unwrap());
            assert!(off < tolerance, "{family} {precision:?}: logits {off}");
            let continued = |model: &Model| {
                let mut session = tdrm_lm::Session::new(model, 2, 1200).unwrap();
                let left = session.open(&tokens).unwrap();
                let right = session.fork(left).unwrap();
                session.extend(&[(left, &[4]), (right, &[5, 6])]).unwrap();
                [left, right].map(|branch| session.logits(branch).unwrap().to_vec()).concat()
            };
            let off = distance(&continued(&there), &continued(&here));
            assert!(off < tolerance, "{family} {precision:?}: continuations {off}");
        }
    }
}
