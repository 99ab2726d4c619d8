//! Numbers of transformers on tiny random models: logits, log-probabilities, gradients, an optimiser run.
#![expect(clippy::unwrap_used, reason = "tests state exact values")]

mod common;

use common::{CAUSAL, Reference, close};
use tdrm_lm::{Engine, Model, Optimiser, PolicyCoefficients, Scores, Sequence, Trainer, ValueSequence};

const ENGINES: [Engine; 2] = [Engine::Fused, Engine::Composed];

/// As the reference's README has it.
fn tolerance(name: &str) -> f64 {
    if name == "qwen2_tied" { 2e-4 } else { 5e-5 }
}

fn load(reference: &Reference, engine: Engine) -> Model {
    let model = Model::load(&reference.directory).unwrap().with_engine(engine);
    assert!(model.unknown_tensors().is_empty(), "{:?}", model.unknown_tensors());
    model
}

/// L = −mean log π of the next tokens.
fn mean_loss(loss: &mut f64) -> impl FnMut(&Scores) -> PolicyCoefficients + '_ {
    |scores| {
        let n = scores.log_probs.iter().map(Vec::len).sum::<usize>() as f64;
        *loss = -scores.log_probs.iter().flatten().sum::<f64>() / n;
        let log_probs = scores.log_probs.iter().map(|row| vec![-1.0 / n; row.len()]).collect();
        PolicyCoefficients { log_probs, entropies: Vec::new() }
    }
}

#[test]
fn logits_and_hidden_states() {
    for (name, engine) in CAUSAL.into_iter().flat_map(|name| ENGINES.map(|engine| (name, engine))) {
        let Some(reference) = Reference::load(name) else { return };
        let (model, tolerance) = (load(&reference, engine), tolerance(name));
        assert_eq!(model.len() as u64, reference.json["params"].as_u64().unwrap());
        let tokens = &reference.rows("ids1", None)[0];
        close(name, &model.logits(tokens).unwrap(), reference.tensor("logits"), tolerance);
        let states = model.hidden_states(tokens).unwrap().concat();
        close(&format!("{name} states"), &states, reference.tensor("hidden_states"), tolerance);
        let long = &reference.rows("ids_long", None)[0];
        let logits = model.logits(long).unwrap();
        let tail = reference.tensor("logits_long_tail");
        close(&format!("{name} long"), &logits[logits.len() - tail.len()..], tail, tolerance);
        let last = model.last_logits(long).unwrap();
        close(&format!("{name} last"), &last, &tail[tail.len() - last.len()..], tolerance);
    }
}

#[test]
fn padding_on_either_side_changes_nothing() {
    for name in CAUSAL {
        let Some(reference) = Reference::load(name) else { return };
        let model = load(&reference, Engine::Fused);
        for side in ["left", "right"] {
            let mask = format!("{side}_mask");
            let all = &reference.tensors[&format!("logits_{side}")];
            let kept = common::rows(&reference.json[&mask], None);
            for (i, tokens) in reference.rows(&format!("{side}_ids"), Some(&mask)).iter().enumerate() {
                let (t, v) = (all.0[1], all.0[2]);
                let rows = (0..t).filter(|j| kept[i][*j] == 1);
                let wanted: Vec<f32> = rows.flat_map(|j| &all.1[(i * t + j) * v..][..v]).copied().collect();
                close(&format!("{name} {side} {i}"), &model.logits(tokens).unwrap(), &wanted, tolerance(name));
            }
        }
    }
}

#[test]
fn log_probabilities_and_entropies() {
    for (name, engine) in CAUSAL.into_iter().flat_map(|name| ENGINES.map(|engine| (name, engine))) {
        let Some(reference) = Reference::load(name) else { return };
        let model = load(&reference, engine);
        let tokens = &reference.rows("ids1", None)[0];
        let scores = model.scores(&[Sequence { tokens: tokens.clone(), prompt_len: 1 }], 1.0).unwrap();
        close(name, &scores.log_probs[0], reference.tensor("token_logprobs"), 1e-4);
        let entropy = reference.tensor("entropy");
        close(name, &scores.entropies[0], &entropy[..tokens.len() - 1], 1e-4);
    }
}

#[test]
fn gradients_of_the_mean_next_token_loss() {
    for (name, engine) in CAUSAL.into_iter().flat_map(|name| ENGINES.map(|engine| (name, engine))) {
        let Some(reference) = Reference::load(name) else { return };
        for checkpointing in [false, true] {
            let optimiser = Optimiser::adamw(1e-3);
            let mut trainer =
                Trainer::new(load(&reference, engine), optimiser).unwrap().with_checkpointing(checkpointing);
            let batch = [Sequence { tokens: reference.rows("ids1", None)[0].clone(), prompt_len: 1 }];
            let mut loss = 0.0;
            trainer.accumulate_policy(&batch, 1.0, &mut mean_loss(&mut loss)).unwrap();
            assert!((loss - reference.json["loss"].as_f64().unwrap()).abs() < 1e-5 * loss, "{name}: {loss}");
            check_gradients(name, &reference, &trainer);
        }
    }
}

/// Every parameter has a gradient, within 1e-4 of its norm.
fn check_gradients(name: &str, reference: &Reference, trainer: &Trainer) {
    let wanted = reference.gradients();
    let got = trainer.gradients();
    assert_eq!(got.len(), wanted.len(), "{name}");
    for (tensor, gradient) in got {
        let wanted = &wanted[&tensor].1;
        let norm = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let difference: Vec<f32> = gradient.iter().zip(wanted).map(|(g, w)| g - w).collect();
        assert!(norm(&difference) <= 1e-4 * norm(wanted), "{name} {tensor}: {}", norm(&difference) / norm(wanted));
        assert!(norm(&gradient) > 0.0, "{name} {tensor}");
    }
}

#[test]
fn eight_steps_of_adamw() {
    for name in CAUSAL {
        let Some(reference) = Reference::load(name) else { return };
        let settings = &reference.json["adamw"];
        let number = |value: &serde_json::Value| value.as_f64().unwrap() as f32;
        let optimiser = Optimiser {
            beta1: number(&settings["betas"][0]),
            beta2: number(&settings["betas"][1]),
            epsilon: number(&settings["eps"]),
            weight_decay: number(&settings["weight_decay"]),
            clip_norm: number(&settings["clip"]),
            ..Optimiser::adamw(number(&settings["lr"]))
        };
        let mut trainer = Trainer::new(load(&reference, Engine::Fused), optimiser).unwrap();
        let batch = [Sequence { tokens: reference.rows("ids1", None)[0].clone(), prompt_len: 1 }];
        for (i, step) in settings["steps"].as_array().unwrap().iter().enumerate() {
            let mut loss = 0.0;
            trainer.accumulate_policy(&batch, 1.0, &mut mean_loss(&mut loss)).unwrap();
            let norm = trainer.step().unwrap().gradient_norm;
            let (wanted, wanted_norm) = (step["loss"].as_f64().unwrap(), step["grad_norm"].as_f64().unwrap());
            assert!((loss - wanted).abs() < 1e-5 * wanted.max(1.0), "{name} step {i}: {loss} {wanted}");
            assert!((norm - wanted_norm).abs() < 1e-3 * wanted_norm, "{name} step {i}: {norm} {wanted_norm}");
        }
    }
}

#[test]
fn a_sequence_classifier_scores_the_last_token() {
    let Some(reference) = Reference::load("qwen2_seqcls") else { return };
    for engine in ENGINES {
        let model = load(&reference, engine);
        for (ids, mask, wanted) in [
            ("ids1", None, "logits"),
            ("left_ids", Some("left_mask"), "logits_left"),
            ("right_ids", Some("right_mask"), "logits_right"),
        ] {
            let batch: Vec<_> = reference.rows(ids, mask).iter().map(|row| ValueSequence::at_the_end(row)).collect();
            let scores: Vec<f64> = model.values(&batch).unwrap().into_iter().flatten().flatten().collect();
            close(wanted, &scores, reference.tensor(wanted), 1e-5);
        }
    }
}

#[test]
fn gradients_of_a_bradley_terry_loss() {
    let Some(reference) = Reference::load("qwen2_seqcls") else { return };
    for (engine, checkpointing) in [(Engine::Fused, false), (Engine::Fused, true), (Engine::Composed, false)] {
        let trainer = Trainer::new(load(&reference, engine), Optimiser::adamw(1e-3)).unwrap();
        let mut trainer = trainer.with_checkpointing(checkpointing);
        let rows = reference.rows("right_ids", Some("right_mask"));
        let batch: Vec<_> = rows.iter().take(2).map(|row| ValueSequence::at_the_end(row)).collect();
        let mut loss = 0.0;
        trainer
            .accumulate_values(&batch, &mut |scores| {
                // L = −log σ(chosen − rejected).
                let margin = scores[0][0][0] - scores[1][0][0];
                let wrong = 1.0 / (1.0 + margin.exp());
                loss = -(1.0 - wrong).ln();
                vec![vec![vec![-wrong]], vec![vec![wrong]]]
            })
            .unwrap();
        assert!((loss - reference.json["loss"].as_f64().unwrap()).abs() < 1e-5, "{loss}");
        check_gradients("qwen2_seqcls", &reference, &trainer);
    }
}

#[test]
fn a_process_reward_head_scores_every_token() {
    let Some(reference) = Reference::load("qwen2_prm_head") else { return };
    for engine in ENGINES {
        let model = load(&reference, engine);
        let tokens = &reference.rows("ids1", None)[0];
        let scores = model.values(&[ValueSequence::everywhere(tokens)]).unwrap();
        close("logits", &scores[0].concat(), reference.tensor("logits"), 1e-5);
        let steps: Vec<usize> = serde_json::from_value(reference.json["step_positions"].clone()).unwrap();
        let sequence = ValueSequence { tokens: tokens.clone(), positions: steps };
        let probabilities = |row: &Vec<f64>| 1.0 / (1.0 + (row[0] - row[1]).exp());
        let got: Vec<f64> = model.values(&[sequence]).unwrap()[0].iter().map(probabilities).collect();
        close("step probabilities", &got, reference.tensor("step_probs"), 1e-5);
    }
}
