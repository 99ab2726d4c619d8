//! Laws of verifiers.

use tdrm_core::Verifier;

use super::{DETERMINISM, Verdict, equal, require};

const OWN: &str = "a task's own answer is never judged incorrect";

/// Text that readers of answers have fallen over.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "\0",
    "####",
    "\\boxed{",
    "\\boxed{}}",
    "}{",
    "2^{100000000}",
    "10^{10^{10}}",
    "\\frac{1}{0}",
    "1/0",
    "-",
    "--1",
    "1e999999999",
    "0.000000000000000000000000000000000000001",
    "99999999999999999999999999999999999999999999999",
    "NaN",
    "∞",
    "١٢٣",
    "🦀",
    "\u{202e}12",
    "a\u{301}",
    "=",
    "?=",
    "#",
    ",,,",
    "1,,000",
    "$",
    "\\",
];

/// Checks a verifier; each case is a task with a response that answers it.
///
/// Besides the answers themselves it is given every beginning of them, every case's answer for every other task,
/// hostile fragments and long repetitions: it must not panic and must judge alike each time.
///
/// # Errors
/// The first law that it breaks.
pub fn verifier<V: Verifier + ?Sized>(verifier: &V, cases: &[(&V::Task, &str)]) -> Verdict {
    for (i, (task, answer)) in cases.iter().enumerate() {
        let verdict = verifier.verify(task, answer);
        require(OWN, !verdict.is_incorrect(), || format!("case {i}: {answer:?} is {verdict:?}"))?;
        let others = cases.iter().map(|(_, other)| *other);
        for response in others.chain(HOSTILE.iter().copied()).chain(beginnings(answer)) {
            repeatable(verifier, task, response)?;
        }
        for fragment in HOSTILE.iter().chain([answer]) {
            repeatable(verifier, task, &fragment.repeat(500))?;
            repeatable(verifier, task, &format!("{answer}{fragment}"))?;
            repeatable(verifier, task, &format!("{fragment}{answer}"))?;
        }
    }
    Ok(())
}

fn beginnings(text: &str) -> impl Iterator<Item = &str> {
    text.char_indices().take(200).map(|(end, _)| &text[..end])
}

fn repeatable<V: Verifier + ?Sized>(verifier: &V, task: &V::Task, response: &str) -> Verdict {
    let shown: String = response.chars().take(40).collect();
    equal(
        DETERMINISM,
        &format!("verdict on {shown:?}"),
        &verifier.verify(task, response),
        &verifier.verify(task, response),
    )
}
