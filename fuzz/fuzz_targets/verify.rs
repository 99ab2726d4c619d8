//! The verifier on arbitrary pairs of texts, split at the first NUL.
//!
//! No panic, no overflow of stack or memory; a text is never an incorrect answer to itself; the exact comparison is
//! symmetric; canonical forms are fixed points.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdrm_core::Verifier;
use tdrm_verify::{MathVerifier, Options};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (gold, response) = text.split_once('\0').unwrap_or((&text, &text));
    let verifier = MathVerifier::new();
    let _ = verifier.verify(gold, response);
    assert!(!verifier.verify(response, response).is_incorrect(), "{response:?} is not itself");

    let exact = MathVerifier::with(Options::EXACT);
    let (there, back) = (exact.compare(gold, response), exact.compare(response, gold));
    assert!(!(there.is_correct() && back.is_incorrect()), "not symmetric: {there:?} {back:?}");

    if let Ok(form) = exact.canonical(response) {
        assert_eq!(exact.canonical(&form).as_ref(), Ok(&form), "{response:?} has no fixed form");
    }
});
