//! Checkpoints that are truncated, lying, or of another model give typed errors.
#![expect(clippy::unwrap_used, reason = "tests state exact values")]

use std::collections::HashMap;

use proptest::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tdrm_core::Seed;
use tdrm_dfdx::{Lm, LmConfig, LmError};

fn model() -> Lm {
    Lm::init(LmConfig { tie_word_embeddings: false, ..LmConfig::llama(6, 8, 1, 2) }, Seed::root(1)).unwrap()
}

/// A tensor as a file has it: name, type, shape, bytes.
type Raw = (String, Dtype, Vec<usize>, Vec<u8>);

/// The file of [`model`] after `change` has edited its tensor of this name.
fn file_with(name: &str, change: impl Fn(&mut Raw)) -> Vec<u8> {
    file(|tensors| tensors.iter_mut().filter(|tensor| tensor.0 == name).for_each(change))
}

/// The file of [`model`] after `change` has edited its list of tensors.
fn file(change: impl FnOnce(&mut Vec<Raw>)) -> Vec<u8> {
    let bytes = model().to_bytes().unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> =
        file.iter().map(|(name, v)| (name.to_owned(), v.dtype(), v.shape().to_vec(), v.data().to_vec())).collect();
    change(&mut tensors);
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, data)| (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
    safetensors::serialize(views, None::<HashMap<String, String>>).unwrap()
}

fn load(bytes: &[u8]) -> Result<Lm, LmError> {
    Lm::from_bytes(&model().config().to_json(), bytes)
}

fn error(bytes: &[u8]) -> String {
    load(bytes).unwrap_err().to_string()
}

#[test]
fn an_unchanged_file_loads() {
    assert!(load(&file(|_| {})).unwrap() == model());
}

#[test]
fn a_missing_tensor_is_named() {
    let bytes = file(|tensors| tensors.retain(|(name, ..)| name != "model.norm.weight"));
    assert_eq!(error(&bytes), "tensor model.norm.weight is missing");
}

#[test]
fn a_wrong_shape_is_named_with_both_shapes() {
    let bytes = file_with("lm_head.weight", |(_, _, shape, _)| *shape = vec![8, 6]);
    assert_eq!(error(&bytes), "tensor lm_head.weight: expected shape [6, 8], got [8, 6]");
}

#[test]
fn another_dtype_is_named() {
    let bytes = file_with("model.norm.weight", |(_, dtype, _, data)| (*dtype, *data) = (Dtype::BF16, vec![0; 16]));
    assert_eq!(error(&bytes), "tensor model.norm.weight: expected dtype F32, got BF16");
}

#[test]
fn an_unknown_tensor_is_named() {
    let bytes = file(|tensors| tensors.push(("surprise".to_owned(), Dtype::F32, vec![1], vec![0; 4])));
    assert_eq!(error(&bytes), "tensor surprise is unknown to this model");
}

#[test]
fn a_weight_that_is_not_a_number_is_named() {
    let bytes = file(|tensors| tensors[0].3[..4].copy_from_slice(&f32::NAN.to_le_bytes()));
    assert!(error(&bytes).contains("is not finite"), "{}", error(&bytes));
}

#[test]
fn a_missing_folder_and_a_missing_file_are_named() {
    let nowhere = std::env::temp_dir().join("tdrm-no-such-folder");
    assert!(matches!(Lm::load(&nowhere), Err(LmError::Io { path, .. }) if path.ends_with("config.json")));
}

#[test]
fn the_checkpoint_of_another_configuration_is_refused() {
    let config = LmConfig { num_hidden_layers: 2, ..model().config().clone() };
    let result = Lm::from_bytes(&config.to_json(), &model().to_bytes().unwrap());
    assert!(matches!(result, Err(LmError::MissingTensor { .. })));
}

proptest! {
    #[test]
    fn a_truncated_or_damaged_file_is_an_error_or_a_model_but_never_a_panic(
        cut in 0_usize..4000,
        at in 0_usize..4000,
        value in any::<u8>(),
    ) {
        let mut bytes = model().to_bytes().unwrap();
        let len = bytes.len();
        bytes[at % len] = value;
        bytes.truncate(len - cut % len);
        let _ = load(&bytes);
    }
}
