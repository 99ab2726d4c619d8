//! A verifier around another: it insists on a form and leaves the judgement to the inner one.
//!
//! `cargo run --package tdrm-examples --example 05_custom_verifier`
#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use tdrm::Unparsable;
use tdrm::prelude::*;
use tdrm::verify::MathVerifier;

/// Judges what stands between `<answer>` and `</answer>`, and nothing else.
struct Tagged<V>(V);

impl<V: Verifier<Task = str>> Verifier for Tagged<V> {
    type Task = str;

    fn verify(&self, task: &str, response: &str) -> Verdict {
        match between(response, "<answer>", "</answer>") {
            Some(answer) => self.0.verify(task, answer),
            None => Verdict::Unparsable { reason: Unparsable::NoAnswer, gold: Some(task.to_owned()), extracted: None },
        }
    }
}

/// The text between the last opening mark and the closing mark after it.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let (_, rest) = text.rsplit_once(open)?;
    Some(rest.split_once(close)?.0)
}

const RESPONSES: [&str; 4] = [
    "Half of it. <answer>\\boxed{0.5}</answer>",
    "Twice of it. <answer>\\boxed{2}</answer>",
    "It is \\boxed{0.5}, surely.",
    "<answer>\\boxed{0.5}",
];

fn main() {
    for response in RESPONSES {
        println!("{response:45} {:?}", Tagged(MathVerifier::new()).verify("1/2", response));
    }
}

#[test]
fn a_right_answer_without_its_tags_is_neither_right_nor_wrong() {
    let [right, wrong, untagged, unclosed] = RESPONSES.map(|r| Tagged(MathVerifier::new()).verify("1/2", r));
    assert!(right.is_correct() && wrong.is_incorrect());
    assert_eq!(untagged.unparsable(), Some(&Unparsable::NoAnswer));
    assert_eq!(unclosed.unparsable(), Some(&Unparsable::NoAnswer));
    main();
}
