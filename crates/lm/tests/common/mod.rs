//! Reference models beside the project.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a reference that cannot be read fails its test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::Value;

/// Models with a language-model head.
pub(crate) const CAUSAL: [&str; 4] = ["qwen2_tied", "qwen2_untied_sharded", "llama_gqa", "glm4"];

/// A directory of `../shared`, or `None` with a word about it.
#[expect(clippy::print_stderr, reason = "a skip must be heard")]
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    if directory.exists() {
        return Some(directory);
    }
    eprintln!("SKIPPED: {} is not here: its cases were NOT run", directory.display());
    None
}

/// What transformers computed with a model.
pub(crate) struct Reference {
    pub(crate) directory: PathBuf,
    pub(crate) json: Value,
    pub(crate) tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Reference {
    pub(crate) fn load(name: &str) -> Option<Self> {
        let directory = shared(&format!("golden/models/{name}"))?;
        let json = serde_json::from_str(&fs::read_to_string(directory.join("reference.json")).unwrap()).unwrap();
        let tensors = tensors(&directory.join("reference.safetensors"));
        Some(Self { directory, json, tensors })
    }

    pub(crate) fn gradients(&self) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
        tensors(&self.directory.join("reference_grads.safetensors"))
    }

    pub(crate) fn tensor(&self, name: &str) -> &[f32] {
        &self.tensors[name].1
    }

    /// Token rows of a field, where the mask (if there is one) is 1.
    pub(crate) fn rows(&self, ids: &str, mask: Option<&str>) -> Vec<Vec<u32>> {
        rows(&self.json[ids], mask.map(|mask| &self.json[mask]))
    }
}

/// Token rows, where the mask (if there is one) is 1.
pub(crate) fn rows(ids: &Value, mask: Option<&Value>) -> Vec<Vec<u32>> {
    let all = numbers(ids);
    let kept = mask.map(numbers);
    let row = |(i, row): (usize, Vec<u32>)| match &kept {
        Some(mask) => row.into_iter().zip(&mask[i]).filter(|(_, kept)| **kept == 1).map(|(id, _)| id).collect(),
        None => row,
    };
    all.into_iter().enumerate().map(row).collect()
}

fn numbers(value: &Value) -> Vec<Vec<u32>> {
    serde_json::from_value(value.clone()).unwrap()
}

/// All tensors of a file.
pub(crate) fn tensors(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |data: &[u8]| data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    file.tensors().into_iter().map(|(name, view)| (name, (view.shape().to_vec(), floats(view.data())))).collect()
}

/// Asserts that two lists agree within an absolute tolerance.
pub(crate) fn close<T: Into<f64> + Copy>(what: &str, got: &[T], wanted: &[f32], tolerance: f64) {
    assert_eq!(got.len(), wanted.len(), "{what}: length");
    for (i, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        let (got, wanted) = ((*got).into(), f64::from(*wanted));
        assert!((got - wanted).abs() <= tolerance, "{what}[{i}]: got {got}, wanted {wanted}");
    }
}
