//! Tiny Hugging Face models whose logits, log-probabilities, generations and gradients were made by transformers.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests state exact values and skip loudly")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::Value;
use tdrm_core::Seed;
use tdrm_dfdx::{Lm, Optimiser, Prompt, SamplingConfig, Scores, Sequence, Trainer};

/// The reference folders that lie beside the repository, or `None` with a loud note.
fn references() -> Option<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = root.ancestors().map(|folder| folder.join("shared/golden/models")).find(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: no folder `shared/golden/models` beside the repository");
    }
    found.map(|models| ["llama_gqa", "qwen2_tied"].map(|name| models.join(name)).to_vec())
}

fn tensors(path: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |data: &[u8]| data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    file.iter().map(|(name, view)| (name.to_owned(), floats(view.data()))).collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn tokens(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|token| token.as_u64().unwrap() as u32).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_log_probabilities_and_entropies_are_those_of_transformers() {
    for folder in references().unwrap_or_default() {
        let (lm, wanted) = (Lm::load(&folder).unwrap(), tensors(&folder.join("reference.safetensors")));
        let reference = json(&folder.join("reference.json"));
        let ids = tokens(&reference["ids1"][0]);
        // The README of the references: tied models within 2e-4, the others within 5e-5.
        let bound = if lm.config().tie_word_embeddings { 2e-4 } else { 5e-5 };
        let difference = largest_difference(&lm.logits(&ids).unwrap(), &wanted["logits"]);
        assert!(difference < bound, "{}: {difference}", folder.display());

        let sequence = Sequence { tokens: ids.clone(), prompt_len: 1 };
        let Scores { log_probs, entropies } = lm.scores(&[sequence], 1.0).unwrap();
        assert!(largest_difference(&log_probs[0], &wanted["token_logprobs"]) < 1e-4);
        assert!(largest_difference(&entropies[0], &wanted["entropy"][..ids.len() - 1]) < 1e-4);

        let long = tokens(&reference["ids_long"][0]);
        let logits = lm.logits(&long).unwrap();
        let tail = &wanted["logits_long_tail"];
        assert!(largest_difference(&logits[logits.len() - tail.len()..], tail) < 2.0 * bound);
    }
}

#[test]
fn greedy_continuations_are_those_of_transformers() {
    for folder in references().unwrap_or_default() {
        let lm = Lm::load(&folder).unwrap();
        let reference = json(&folder.join("reference.json"));
        let case = &reference["generations"]["greedy"];
        let (prompt, wanted) = (tokens(&case["prompt"][0]), tokens(&case["sequences"][0]));
        let config = SamplingConfig::greedy(wanted.len() - prompt.len(), &[]);
        let prompts = [Prompt { tokens: prompt.clone(), seed: Seed::root(0) }];
        let got = lm.generate(&prompts, &config).unwrap();
        assert_eq!(got[0].tokens, wanted[prompt.len()..]);
    }
}

#[test]
fn gradients_are_those_of_transformers() {
    for folder in references().unwrap_or_default() {
        let lm = Lm::load(&folder).unwrap();
        let reference = json(&folder.join("reference.json"));
        let wanted = tensors(&folder.join("reference_grads.safetensors"));
        let sequence = Sequence { tokens: tokens(&reference["ids1"][0]), prompt_len: 1 };
        let mut trainer = Trainer::new(lm, Optimiser::adamw(1e-3)).unwrap();
        let mut loss = 0.0;
        trainer
            .accumulate_policy(&[sequence], 1.0, &mut |log_probs| {
                let n = log_probs[0].len() as f32;
                loss = -log_probs[0].iter().sum::<f32>() / n;
                vec![vec![-1.0 / n; log_probs[0].len()]]
            })
            .unwrap();
        assert!((f64::from(loss) - reference["loss"].as_f64().unwrap()).abs() < 1e-5 * f64::from(loss));
        let got: BTreeMap<_, _> = trainer.gradients().filter(|(name, _)| !name.starts_with("score.")).collect();
        assert_eq!(got.len(), wanted.len());
        for (name, wanted) in &wanted {
            let norm = wanted.iter().map(|x| x * x).sum::<f32>().sqrt();
            let difference = got[name.as_str()].iter().zip(wanted).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
            assert!(difference < 1e-4 * norm, "{} {name}: {difference} of {norm}", folder.display());
        }
    }
}

#[test]
fn eight_steps_of_adamw_are_those_of_pytorch() {
    for folder in references().unwrap_or_default() {
        let lm = Lm::load(&folder).unwrap();
        let reference = json(&folder.join("reference.json"));
        let (case, number) = (&reference["adamw"], |key: &str| reference["adamw"][key].as_f64().unwrap() as f32);
        let optimiser = Optimiser {
            beta1: case["betas"][0].as_f64().unwrap() as f32,
            beta2: case["betas"][1].as_f64().unwrap() as f32,
            epsilon: number("eps"),
            weight_decay: number("weight_decay"),
            clip_norm: number("clip"),
            ..Optimiser::adamw(number("lr"))
        };
        let mut trainer = Trainer::new(lm, optimiser).unwrap();
        let batch = [Sequence { tokens: tokens(&reference["ids1"][0]), prompt_len: 1 }];
        for wanted in case["steps"].as_array().unwrap() {
            let mut loss = 0.0;
            trainer
                .accumulate_policy(&batch, 1.0, &mut |log_probs| {
                    let n = log_probs[0].len() as f32;
                    loss = -log_probs[0].iter().sum::<f32>() / n;
                    vec![vec![-1.0 / n; log_probs[0].len()]]
                })
                .unwrap();
            let report = trainer.step().unwrap();
            let (loss, wanted_loss) = (f64::from(loss), wanted["loss"].as_f64().unwrap());
            let wanted_norm = wanted["grad_norm"].as_f64().unwrap();
            assert!((loss - wanted_loss).abs() < 1e-5 * wanted_loss.max(1.0), "{loss} {wanted_loss}");
            assert!((report.gradient_norm / wanted_norm - 1.0).abs() < 1e-4, "{} {wanted_norm}", report.gradient_norm);
        }
    }
}
