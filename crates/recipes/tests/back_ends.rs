//! The same weights are the same model on both back ends.
#![cfg(feature = "lm")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use tdrm_lm::{Engine, Sequence};
use tdrm_recipes::Model;

/// The directory of the embedded model.
fn embedded() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("model")
}

fn texts() -> [&'static str; 2] {
    ["12+75-3:", "58-2=56"]
}

#[test]
fn logits_and_log_probabilities_agree() {
    let dfdx = Model::embedded().unwrap();
    for engine in [Engine::Fused, Engine::Composed] {
        let candle = tdrm_lm::Model::load(&embedded()).unwrap().with_engine(engine);
        for text in texts() {
            let tokens = dfdx.tokenizer().encode(text).unwrap();
            let (a, b) = (dfdx.lm.logits(&tokens).unwrap(), candle.logits(&tokens).unwrap());
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4), "{text} on {engine:?}");
            let batch = [Sequence { tokens, prompt_len: 1 }];
            let (a, b) = (dfdx.lm.scores(&batch, 0.7).unwrap(), candle.scores(&batch, 0.7).unwrap());
            let pairs = |a: &[Vec<f32>], b: &[Vec<f64>]| a[0].iter().map(|x| f64::from(*x)).zip(b[0].clone()).collect();
            let log_probs: Vec<(f64, f64)> = pairs(&a.log_probs, &b.log_probs);
            let entropies: Vec<(f64, f64)> = pairs(&a.entropies, &b.entropies);
            assert!(log_probs.into_iter().chain(entropies).all(|(a, b)| (a - b).abs() < 1e-4), "{text}");
        }
    }
}

#[test]
fn its_tokenizer_is_read_by_the_general_one() {
    let (own, general) = (Model::embedded().unwrap(), tdrm_lm::tokens::Tokenizer::load(embedded()).unwrap());
    for text in texts() {
        let tokens = own.tokenizer().encode(text).unwrap();
        assert_eq!(general.encode(text, tdrm_lm::tokens::Special::Without).unwrap().tokens, tokens);
    }
}
