//! Hostile model directories: `config.json`, `model.safetensors.index.json` and one shard, in this order, split at NUL
//! bytes (the shard is the rest and may hold more of them).
//!
//! No panic, no overflow of stack, memory in proportion to the files; a configuration that is read is written and read
//! again as the same.
#![no_main]

use std::fs;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use tdrm_lm::{Model, ModelConfig};

fn directory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    parent.join(format!("tdrm-fuzz-{}", std::process::id()))
}

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let (config, index, shard) =
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if let Some(read) = serde_json::from_slice(config).ok().and_then(|value| ModelConfig::from_value(value).ok()) {
        let again = serde_json::from_str(&read.to_json()).expect("what is written is JSON");
        let again = ModelConfig::from_value(again).expect("what is written is a configuration");
        assert_eq!((again.to_json(), again.layers()), (read.to_json(), read.layers()));
    }
    let directory = directory();
    fs::create_dir_all(&directory).expect("a directory");
    fs::write(directory.join("config.json"), config).expect("config.json");
    fs::write(directory.join("model-00001-of-00001.safetensors"), shard).expect("a shard");
    let (name, other) = if index.is_empty() {
        ("model.safetensors", "model.safetensors.index.json")
    } else {
        ("model.safetensors.index.json", "model.safetensors")
    };
    let _ = fs::remove_file(directory.join(other));
    fs::write(directory.join(name), if index.is_empty() { shard } else { index }).expect("weights");
    if let Ok(model) = Model::load(&directory) {
        assert!(model.len() * 2 <= shard.len(), "{} parameters of {} bytes", model.len(), shard.len());
        let _ = model.logits(&[0]);
    }
});
