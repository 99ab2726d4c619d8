//! Adapters in PEFT's files: what belongs to one is trained, saved and loaded with it.
#![expect(clippy::unwrap_used, reason = "tests state exact values")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use tdrm_core::Seed;
use tdrm_lm::{LmError, LoraConfig, Model, ModelConfig, Optimiser, Trainer, ValueSequence};

const TOKENS: [u32; 6] = [1, 7, 3, 9, 3, 4];

fn model(architecture: &str, labels: usize) -> Model {
    let file = json!({
        "architectures": [architecture], "model_type": "qwen2", "vocab_size": 40, "hidden_size": 32,
        "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "initializer_range": 0.3, "num_labels": labels,
    });
    Model::init(ModelConfig::from_value(file).unwrap(), Seed::root(3)).unwrap()
}

fn lora() -> LoraConfig {
    let target_modules = ["q_proj", "v_proj"].map(str::to_owned).to_vec();
    LoraConfig { rank: 2, alpha: 6.0, dropout: 0.0, target_modules, rank_stabilised: false }
}

/// A folder of one test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("adapters-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn config(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.0.join("adapter_config.json")).unwrap()).unwrap()
    }

    fn set(&self, changes: &Value) {
        let mut config = self.config();
        for (field, value) in changes.as_object().unwrap() {
            config[field] = value.clone();
        }
        fs::write(self.0.join("adapter_config.json"), config.to_string()).unwrap();
    }

    fn tensors(&self) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
        let bytes = fs::read(self.0.join("adapter_model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        file.tensors().into_iter().map(|(name, view)| (name, (view.shape().to_vec(), view.data().to_vec()))).collect()
    }

    fn write(&self, tensors: &BTreeMap<String, (Vec<usize>, Vec<u8>)>) {
        let view = |(shape, bytes)| TensorView::new(Dtype::F32, Vec::clone(shape), bytes).unwrap();
        let views = tensors.iter().map(|(name, (shape, bytes))| (name, view((shape, bytes))));
        safetensors::serialize_to_file(views, None, &self.0.join("adapter_model.safetensors")).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An adapter that does something.
fn trained(base: &Model) -> Model {
    let adapted = base.snapshot().unwrap().with_adapter(lora(), Seed::root(1)).unwrap();
    let names: Vec<String> = adapted.tensors().map(|(name, _)| name.to_owned()).collect();
    for name in names.iter().filter(|name| name.ends_with("lora_B.weight")) {
        let n = adapted.tensor(name).unwrap().len();
        let values: Vec<f32> = (0..n).map(|i| 0.1 * (i as f32).sin()).collect();
        adapted.set_tensor(name, &values).unwrap();
    }
    adapted
}

fn far(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn values(model: &Model) -> Vec<Vec<f64>> {
    let sequence = ValueSequence { tokens: TOKENS.to_vec(), positions: vec![2, 5] };
    model.values(&[sequence]).unwrap().remove(0)
}

#[test]
fn a_head_is_trained_saved_and_loaded_with_its_adapter() {
    let base = model("Qwen2ForSequenceClassification", 1);
    let mut trainer = Trainer::new(trained(&base), Optimiser::adamw(0.05)).unwrap();
    for _ in 0..2 {
        let batch = [ValueSequence { tokens: TOKENS.to_vec(), positions: vec![5] }];
        trainer.accumulate_values(&batch, &mut |_| vec![vec![vec![1.0]]]).unwrap();
        let trained: Vec<String> = trainer.gradients().into_iter().map(|(name, _)| name).collect();
        assert!(trained.contains(&"score.weight".to_owned()), "{trained:?}");
        assert!(trained.iter().all(|name| name == "score.weight" || name.contains("lora_")), "{trained:?}");
        trainer.step().unwrap();
    }
    let adapted = trainer.into_model();
    let folder = Folder::new("head");
    adapted.save_adapter(&folder.0).unwrap();
    assert_eq!(folder.config()["modules_to_save"], json!(["score"]));
    assert_eq!(folder.config()["task_type"], "SEQ_CLS");
    assert!(folder.tensors().contains_key("base_model.model.score.weight"));
    let loaded = base.snapshot().unwrap().load_adapter(&folder.0).unwrap();
    assert_eq!(values(&loaded), values(&adapted));
    // A clone of the base shares nothing that loading changed.
    assert_ne!(values(&base), values(&adapted));

    // What was loaded is saved again as it was.
    let again = Folder::new("head-again");
    loaded.save_adapter(&again.0).unwrap();
    assert_eq!((again.config(), again.tensors()), (folder.config(), folder.tensors()));
}

#[test]
fn a_language_model_becomes_the_classifier_that_an_adapter_was_trained_as() {
    for (class, labels) in [("Qwen2ForSequenceClassification", 3), ("Qwen2ForTokenClassification", 2)] {
        let classifier = model(class, labels);
        let folder = Folder::new(class);
        trained(&classifier).save_adapter(&folder.0).unwrap();
        let base = model("Qwen2ForCausalLM", 2);
        for (name, _) in base.tensors().filter(|(name, _)| name.starts_with("model.")) {
            base.set_tensor(name, &classifier.tensor(name).unwrap()).unwrap();
        }
        let loaded = base.load_adapter(&folder.0).unwrap();
        assert_eq!(loaded.config().architecture, class);
        assert_eq!(values(&loaded), values(&trained(&classifier)));
        // Merged, it is a checkpoint of its own.
        let merged = loaded.merge_adapter().unwrap();
        merged.save(&folder.0).unwrap();
        assert_eq!(values(&Model::load(&folder.0).unwrap()), values(&merged));
    }
}

#[test]
fn modules_have_their_own_ranks_and_alphas() {
    let base = model("Qwen2ForCausalLM", 2);
    let folder = Folder::new("patterns");
    trained(&base).save_adapter(&folder.0).unwrap();
    // Rank 1 for one module: the second row of A and column of B go away, and α/r doubles.
    let mut tensors = folder.tensors();
    let module = "base_model.model.model.layers.1.self_attn.v_proj";
    let a = tensors.get_mut(&format!("{module}.lora_A.weight")).unwrap();
    (a.0[0], a.1) = (1, a.1[..32 * 4].to_vec());
    let b = tensors.get_mut(&format!("{module}.lora_B.weight")).unwrap();
    (b.0[1], b.1) = (1, b.1.chunks_exact(8).flat_map(|row| row[..4].to_vec()).collect());
    folder.write(&tensors);
    folder.set(&json!({"alpha_pattern": {"layers.0.self_attn.q_proj": 3}, "target_modules": r".*\.(q|v)_proj"}));
    let loaded = base.snapshot().unwrap().load_adapter(&folder.0).unwrap();

    let wanted = trained(&base);
    let change = |name: &str, f: &dyn Fn(usize, f32) -> f32| {
        let values = wanted.tensor(name).unwrap();
        let values: Vec<f32> = values.iter().enumerate().map(|(i, x)| f(i, *x)).collect();
        wanted.set_tensor(name, &values).unwrap();
    };
    change(&format!("{module}.lora_B.weight"), &|i, x| if i % 2 == 0 { 2.0 * x } else { 0.0 });
    change("base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", &|_, x| x / 2.0);
    let off = far(&loaded.logits(&TOKENS).unwrap(), &wanted.logits(&TOKENS).unwrap());
    assert!(off < 1e-5, "{off}");
    let merged = loaded.clone().merge_adapter().unwrap();
    let off = far(&merged.logits(&TOKENS).unwrap(), &loaded.logits(&TOKENS).unwrap());
    assert!(off < 1e-4, "{off}");
}

#[test]
fn biases_and_saved_modules_replace_the_models() {
    let base = model("Qwen2ForCausalLM", 2);
    let folder = Folder::new("saved");
    trained(&base).save_adapter(&folder.0).unwrap();
    let mut tensors = folder.tensors();
    let bytes = |n: usize, x: f32| (0..n).flat_map(|i| (x * (i as f32).cos()).to_le_bytes()).collect::<Vec<u8>>();
    // PEFT keeps the bias of an adapted module a level deeper.
    let named = [
        ("model.layers.0.self_attn.q_proj.base_layer.bias", "model.layers.0.self_attn.q_proj.bias", 32),
        ("model.layers.1.self_attn.k_proj.bias", "model.layers.1.self_attn.k_proj.bias", 16),
        ("model.norm.weight", "model.norm.weight", 32),
    ];
    for (theirs, _, n) in named {
        tensors.insert(format!("base_model.model.{theirs}"), (vec![n], bytes(n, 0.5)));
    }
    folder.write(&tensors);
    folder.set(&json!({"bias": "all", "modules_to_save": ["norm"]}));
    let loaded = base.snapshot().unwrap().load_adapter(&folder.0).unwrap();
    let wanted = trained(&base);
    for (_, ours, n) in named {
        let values: Vec<f32> = (0..n).map(|i| 0.5 * (i as f32).cos()).collect();
        assert_eq!(loaded.tensor(ours).unwrap(), values);
        wanted.set_tensor(ours, &values).unwrap();
    }
    assert_eq!(loaded.logits(&TOKENS).unwrap(), wanted.logits(&TOKENS).unwrap());
    let again = Folder::new("saved-again");
    loaded.save_adapter(&again.0).unwrap();
    assert_eq!((again.config(), again.tensors()), (folder.config(), folder.tensors()));
}

#[test]
fn an_embedding_that_an_adapter_brings_is_no_longer_tied() {
    let untied = model("Qwen2ForCausalLM", 2);
    let embedding = untied.tensor("model.embed_tokens.weight").unwrap();
    untied.set_tensor("lm_head.weight", &embedding).unwrap();
    let mut file: Value = serde_json::from_str(&untied.config().to_json()).unwrap();
    file["tie_word_embeddings"] = true.into();
    let tied = Model::init(ModelConfig::from_value(file).unwrap(), Seed::root(3)).unwrap();
    assert_eq!(tied.logits(&TOKENS).unwrap(), untied.logits(&TOKENS).unwrap());
    for name in ["model.embed_tokens.weight", "lm_head.weight"] {
        let folder = Folder::new("tied");
        trained(&tied).save_adapter(&folder.0).unwrap();
        let mut tensors = folder.tensors();
        let bytes = embedding.iter().flat_map(|x| (x + 0.1).to_le_bytes()).collect();
        tensors.insert(format!("base_model.model.{name}"), (vec![40, 32], bytes));
        folder.write(&tensors);
        let wanted = trained(&untied);
        wanted.set_tensor(name, &embedding.iter().map(|x| x + 0.1).collect::<Vec<_>>()).unwrap();
        for base in [&tied, &untied] {
            let loaded = base.snapshot().unwrap().load_adapter(&folder.0).unwrap();
            assert_eq!(loaded.logits(&TOKENS).unwrap(), wanted.logits(&TOKENS).unwrap());
            loaded.merge_adapter().unwrap().save(&folder.0).unwrap();
            assert!(!Model::load(&folder.0).unwrap().config().tie_word_embeddings);
        }
    }
}

#[test]
fn what_an_adapter_would_not_be_is_refused_by_name() {
    let base = model("Qwen2ForCausalLM", 2);
    let folder = Folder::new("refused");
    let saved = trained(&base);
    for (changes, wanted) in [
        (json!({"peft_type": "IA3"}), "peft_type"),
        (json!({"use_dora": true}), "use_dora"),
        (json!({"lora_bias": true}), "lora_bias"),
        (json!({"init_lora_weights": "pissa"}), "init_lora_weights"),
        (json!({"alpha_pattern": {"^model": 2}}), "alpha_pattern"),
        (json!({"alpha_pattern": []}), "alpha_pattern"),
        (json!({"target_modules": 3}), "target_modules"),
        (json!({"trainable_token_indices": [3]}), "trainable_token_indices"),
        (json!({"r": "two"}), "r"),
        (json!({"lora_alpha": -1}), "alpha"),
    ] {
        saved.save_adapter(&folder.0).unwrap();
        folder.set(&changes);
        let error = base.clone().load_adapter(&folder.0).unwrap_err();
        assert!(matches!(error, LmError::Setting { .. }) && error.to_string().contains(wanted), "{changes}: {error}");
    }
    saved.save_adapter(&folder.0).unwrap();
    let whole = folder.tensors();
    let module = "base_model.model.model.layers.1.self_attn.v_proj";
    let without = |name: &str| whole.iter().filter(|(n, _)| *n != name).map(|(n, t)| (n.clone(), t.clone())).collect();
    folder.write(&without(&format!("{module}.lora_B.weight")));
    assert!(matches!(base.clone().load_adapter(&folder.0), Err(LmError::MissingTensor { .. })));
    folder.write(&without(&format!("{module}.lora_A.weight")));
    let error = base.clone().load_adapter(&folder.0).unwrap_err().to_string();
    assert!(error.contains("v_proj.lora_B.weight belongs to no module"), "{error}");
    let mut other = whole.clone();
    other.insert("base_model.model.model.norm.weight".to_owned(), (vec![2], vec![0; 8]));
    folder.write(&other);
    assert!(matches!(base.clone().load_adapter(&folder.0), Err(LmError::TensorShape { .. })));
    folder.write(&whole);
    let adapted = base.load_adapter(&folder.0).unwrap();
    assert!(adapted.clone().load_adapter(&folder.0).is_err());
    assert!(adapted.with_value_head(Seed::root(1)).is_err(), "a head comes before an adapter");
}
