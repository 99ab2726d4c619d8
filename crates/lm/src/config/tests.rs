#![expect(clippy::unwrap_used, reason = "tests state exact values")]

use serde_json::json;

use super::*;

/// The smallest file that says what it must.
fn file(model_type: &str) -> Value {
    json!({
        "architectures": ["XForCausalLM"], "model_type": model_type, "vocab_size": 64, "hidden_size": 32,
        "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 8,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "json!(…) in each call")]
fn with(model_type: &str, changes: Value) -> Result<ModelConfig, LmError> {
    let mut file = file(model_type);
    for (field, value) in changes.as_object().unwrap() {
        file[field] = value.clone();
    }
    ModelConfig::from_value(file)
}

#[test]
fn families_have_their_switches() {
    let qwen2 = with("qwen2", json!({})).unwrap();
    assert!(qwen2.biases.qkv && !qwen2.biases.output && !qwen2.qk_norm);
    let qwen3 = with("qwen3", json!({"attention_bias": true})).unwrap();
    assert!(qwen3.qk_norm && qwen3.biases.qkv && qwen3.biases.output);
    let llama = with("llama", json!({"attention_bias": true, "mlp_bias": true})).unwrap();
    assert_eq!(llama.biases, Biases { qkv: true, output: true, mlp: true });
    let glm = with("glm", json!({"attention_bias": false})).unwrap();
    assert!(!glm.biases.qkv && glm.fused_gate_up && !glm.sandwich_norm && glm.rope.dim == 4);
    assert_eq!(glm.rope.pairs, Pairs::Neighbours);
    assert!(with("glm4", json!({})).unwrap().sandwich_norm);
}

#[test]
fn windows_follow_the_layers() {
    let windows = |model_type, changes| with(model_type, changes).unwrap().windows;
    assert_eq!(windows("mistral", json!({"sliding_window": 7})), [Some(7); 4]);
    assert_eq!(windows("mistral", json!({"sliding_window": null})), [None; 4]);
    let qwen = json!({"use_sliding_window": true, "sliding_window": 5, "max_window_layers": 3});
    assert_eq!(windows("qwen2", qwen), [None, None, None, Some(5)]);
    assert_eq!(windows("qwen2", json!({"sliding_window": 5, "max_window_layers": 0})), [None; 4]);
    let types = json!(["full_attention", "sliding_attention", "full_attention", "sliding_attention"]);
    let qwen = json!({"use_sliding_window": true, "sliding_window": 5, "layer_types": types});
    assert_eq!(windows("qwen3", qwen), [None, Some(5), None, Some(5)]);
}

#[test]
fn both_styles_of_rotary_parameters_are_read() {
    let old = with("llama", json!({"rope_theta": 5.0, "rope_scaling": {"type": "linear", "factor": 2.0}})).unwrap();
    let new = json!({"rope_parameters": {"rope_theta": 5.0, "rope_type": "linear", "factor": 2.0}});
    assert_eq!(with("llama", new).unwrap().rope, old.rope);
    // θ = 5, R = 8: ω_1 = 5^(−2/8), halved by the factor.
    assert!((f64::from(old.rope.frequencies()[1]) - 5.0_f64.powf(-0.25) / 2.0).abs() < 1e-7);
    let partial =
        json!({"rope_parameters": {"rope_theta": 5.0, "rope_type": "default", "partial_rotary_factor": 0.25}});
    assert_eq!(with("glm4", partial).unwrap().rope.dim, 2);
}

#[test]
fn yarn_keeps_short_waves_and_squeezes_long_ones() {
    let scaling = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64});
    let config = with("qwen2", json!({"rope_scaling": scaling, "head_dim": 64})).unwrap();
    let (plain, yarn) = (with("qwen2", json!({"head_dim": 64})).unwrap().rope.frequencies(), config.rope.frequencies());
    assert!((yarn[0] - plain[0]).abs() < 1e-7);
    assert!((yarn[31] - plain[31] / 4.0).abs() < 1e-9);
    let RopeScaling::Yarn { attention_factor, .. } = config.rope.scaling else { panic!("not YaRN") };
    assert!((attention_factor - (0.1 * 4.0_f64.ln() + 1.0)).abs() < 1e-12);
}

#[test]
fn padding_has_the_familys_default_unless_the_file_says_none() {
    let padding = |model_type, changes| with(model_type, changes).unwrap().pad_token_id;
    assert_eq!(padding("glm4", json!({})), Some(151_329));
    assert_eq!(padding("glm4", json!({"pad_token_id": null})), None);
    assert_eq!(padding("llama", json!({})), None);
    assert_eq!(padding("llama", json!({"pad_token_id": 7})), Some(7));
    assert_eq!(padding("llama", json!({"pad_token_id": -1})), None);
}

#[test]
fn what_cannot_be_computed_is_refused_by_field() {
    let cases = [
        (json!({"model_type": "gpt2"}), "model_type"),
        (json!({"hidden_act": "gelu"}), "hidden_act"),
        (json!({"hidden_size": 0}), "hidden_size"),
        (json!({"hidden_size": "many"}), "hidden_size"),
        (json!({"vocab_size": 1e30}), "vocab_size"),
        (json!({"num_key_value_heads": 3}), "num_attention_heads"),
        (json!({"num_hidden_layers": 100_000}), "num_hidden_layers"),
        (json!({"head_dim": 7}), "head_dim"),
        (json!({"rms_norm_eps": -1.0}), "rms_norm_eps"),
        (json!({"layer_types": ["full_attention"]}), "layer_types"),
        (json!({"rope_scaling": {"rope_type": "longrope"}}), "rope_scaling.rope_type"),
        (json!({"rope_scaling": {"rope_type": "llama3", "factor": 2.0}}), "rope_scaling.low_freq_factor"),
        (json!({"rope_scaling": []}), "rope_scaling"),
        (json!({"eos_token_id": "stop"}), "eos_token_id"),
    ];
    for (changes, wanted) in cases {
        match with("qwen3", changes) {
            Err(LmError::Config { field, .. }) => assert_eq!(field, wanted),
            other => panic!("{wanted}: {other:?}"),
        }
    }
    assert!(ModelConfig::from_value(json!([])).is_err());
}

#[test]
fn heads_follow_the_class() {
    let head = |class: &str| with("qwen2", json!({"architectures": [class], "id2label": {"0": "a"}})).unwrap().head;
    assert_eq!(head("Qwen2ForCausalLM"), HeadKind::CausalLm);
    assert_eq!(head("Qwen2ForSequenceClassification"), HeadKind::SequenceClassification { labels: 1 });
    assert_eq!(head("Qwen2ForTokenClassification"), HeadKind::TokenClassification { labels: 1 });
    assert_eq!(head("Qwen2ForProcessRewardModel"), HeadKind::ProcessReward { labels: 1 });
    assert_eq!(head("Qwen2ForRewardModel"), HeadKind::Reward);
}
