//! Runs of TRL's trainers, replayed on our learner.
#![cfg(feature = "lm")]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests state exact values and skip loudly")]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tdrm_lm::{Engine, Model};
use tdrm_recipes::replay::replay;

fn golden() -> Option<PathBuf> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden");
    if golden.exists() {
        return Some(golden);
    }
    eprintln!("skipped: {} is not here", golden.display());
    None
}

/// A run is reproduced from the model that it started with, on both engines, its final weights included.
fn reproduced(trace: &Path, model: &Path) {
    for engine in [Engine::Fused, Engine::Composed] {
        let replayed = replay(trace, Model::load(model).unwrap().with_engine(engine)).unwrap();
        assert!(replayed.agrees(), "{} on {engine:?}: {replayed:#?}", trace.display());
        assert!(replayed.max_weight_difference.is_some());
    }
}

#[test]
fn runs_of_trl_are_reproduced() {
    let Some(golden) = golden() else { return };
    for name in ["grpo", "dpo"] {
        reproduced(&golden.join(format!("losses/traces/{name}.json")), &golden.join("models/qwen2_untied_sharded"));
    }
}

/// Runs of `peer/traces.py`: VESPO with both token filters, a weighted KL and an entropy bonus; two losses of pairs with
/// WPO's weights, shortened tails and a reference that follows. Both accumulate two micro-batches.
#[test]
fn settings_of_trl_work_together() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for name in ["grpo_together", "dpo_together"] {
        reproduced(&here.join(format!("golden/traces/{name}.json")), &here.join("data/replayed"));
    }
}

#[test]
fn a_setting_that_is_not_replayed_is_refused_by_name() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let model = Model::load(&here.join("data/replayed")).unwrap();
    let text = std::fs::read_to_string(here.join("golden/traces/grpo_together.json")).unwrap();
    let path = std::env::temp_dir().join(format!("tdrm-replay-setting-{}.json", std::process::id()));
    for (field, value) in [
        ("use_vllm", json!(true)),
        ("use_adaptive_entropy", json!(true)),
        ("optim", json!("adafactor")),
        ("loss_type", json!("another")),
        ("importance_sampling_level", json!("word")),
        ("beta", json!([])),
    ] {
        let mut trace: Value = serde_json::from_str(&text).unwrap();
        trace["config"][field] = value;
        std::fs::write(&path, trace.to_string()).unwrap();
        let error = replay(&path, model.clone()).unwrap_err().to_string();
        assert!(error.contains(&format!("config.{field}: expected")), "{error}");
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_trace_that_is_not_one_is_refused_by_name() {
    let Some(golden) = golden() else { return };
    let model = Model::load(&golden.join("models/qwen2_untied_sharded")).unwrap();
    let directory = std::env::temp_dir().join(format!("tdrm-replay-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("trace.json");
    let empty = r#"{"trainer": "GRPOTrainer", "config": {}, "micro_steps": [], "log_history": []}"#;
    let unknown = r#"{"trainer": "PPOTrainer", "config": {}, "micro_steps": [], "log_history": []}"#;
    for (text, wanted) in [("{", "EOF"), (unknown, "got PPOTrainer"), (empty, "0 micro_steps for 0 steps")] {
        std::fs::write(&path, text).unwrap();
        let error = replay(&path, model.clone()).unwrap_err().to_string();
        assert!(error.contains(wanted) && error.contains("trace.json"), "{error}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
