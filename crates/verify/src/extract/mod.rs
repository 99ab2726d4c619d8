//! Extraction: which part of a response is its answer.
//!
//! In order: the last `\boxed{…}` (neighbouring boxes belong together), `<answer>` tags, `####`, a sentence that
//! announces the answer ("the answer is …", "Final Answer:", `A:`), a response that is nothing but an expression,
//! and at last the last formula or number of the text.

mod anchor;
mod boxed;
mod trailing;

use std::borrow::Cow;

/// An answer cut out of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted<'a> {
    /// The answer as it was written, without the marks around it.
    pub text: Cow<'a, str>,
    /// How it was found.
    pub how: How,
}

/// The mark that gave an answer away, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum How {
    /// `\boxed{…}` or `\fbox{…}`.
    Boxed,
    /// `<answer>…</answer>`.
    Tagged,
    /// `#### …`.
    Hashes,
    /// "the answer is …", "Final Answer: …", `A: …`.
    Announced,
    /// The text is an expression and nothing else.
    Whole,
    /// The last formula or number.
    Trailing,
}

/// Cuts the answer out of a response; `None` if it holds none.
///
/// ```
/// use tdrm_verify::{How, extract};
/// let found = extract(r"Hence $x = \boxed{\frac{1}{2}}$.").unwrap();
/// assert_eq!((found.text.as_ref(), found.how), (r"\frac{1}{2}", How::Boxed));
/// assert_eq!(extract("So there are 12 of them.").unwrap().text, "12");
/// assert!(extract("I do not know").is_none());
/// ```
#[must_use]
pub fn extract(response: &str) -> Option<Extracted<'_>> {
    let text = visible(response);
    marked(text).or_else(|| whole(text)).or_else(|| Some(found(trailing::last(text)?, How::Trailing)))
}

/// Cuts the expected answer out of a reference: a bare answer stays as it is, a worked solution is read like a
/// response.
pub(crate) fn reference(gold: &str) -> Option<Extracted<'_>> {
    let text = visible(gold);
    if gold.len() < 400 && !boxed::present(text) && (!announces(text) || is_plain(text)) {
        let answer = if is_plain(text.trim()) { last_statement(text.trim()) } else { text.trim() };
        return Some(found(Cow::Borrowed(answer), How::Whole)).filter(|e| !e.text.is_empty());
    }
    extract(gold)
}

/// The letter that a response chooses in words: "I think C is correct", "option (B)".
pub(crate) fn spoken_choice(response: &str) -> Option<Extracted<'_>> {
    let text = visible(response);
    let bytes = text.as_bytes();
    let from = bytes.len().saturating_sub(4000);
    let alone = |i: usize| {
        let before = i == 0 || !(bytes[i - 1].is_ascii_alphanumeric() || bytes[i - 1] >= 0x80 || bytes[i - 1] == b'\'');
        let after = bytes.get(i + 1).is_none_or(|b| !(b.is_ascii_alphanumeric() || *b >= 0x80 || *b == b'\''));
        let article = bytes[i] == b'A'
            && bytes.get(i + 1) == Some(&b' ')
            && bytes.get(i + 2).is_some_and(u8::is_ascii_lowercase)
            && !text[i + 2..].starts_with("is ");
        before && after && !article
    };
    let at =
        (from..bytes.len()).rev().find(|&i| (b'A'..=b'J').contains(&bytes[i]) && alone(i) && (bytes[i] != b'I'))?;
    Some(found(Cow::Borrowed(&text[at..=at]), How::Trailing))
}

fn announces(text: &str) -> bool {
    text.contains("####") || text.contains("<answer>") || anchor::announced(text).is_some()
}

fn marked(text: &str) -> Option<Extracted<'_>> {
    if let Some((inner, end)) = boxed::last_group(text) {
        if let Some(last) = anchor::final_answer(&text[end..]) {
            return Some(found(last, How::Announced));
        }
        return Some(found(inner, How::Boxed));
    }
    if let Some(inner) = tagged(text) {
        return Some(found(Cow::Borrowed(inner), How::Tagged));
    }
    if let Some(inner) = hashes(text) {
        return Some(found(Cow::Borrowed(inner), How::Hashes));
    }
    Some(found(anchor::announced(text)?, How::Announced))
}

const fn found(text: Cow<'_, str>, how: How) -> Extracted<'_> {
    Extracted { text, how }
}

fn whole(text: &str) -> Option<Extracted<'_>> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= 400 && is_plain(text))
        .then_some(Extracted { text: Cow::Borrowed(last_statement(text)), how: How::Whole })
}

/// The last of the lines that stand for themselves: a new line is no product. A line goes on where a bracket is open, an
/// operator stands at the break, or LaTeX has rows.
fn last_statement(text: &str) -> &str {
    const GLUE: [&str; 12] = ["+", "*", "/", "=", ",", ";", "^", "<", ">", "|", "\\cdot", "\\times"];
    if text.contains("\\\\") || text.contains("\\begin") {
        return text;
    }
    let depth = |part: &str| {
        let count = |brackets: &[char]| part.matches(brackets).count();
        count(&['(', '[', '{']).abs_diff(count(&[')', ']', '}']))
    };
    let (mut statement, mut rest) = (text, text);
    while let Some(at) = rest.rfind(['\n', '\r']) {
        let (before, after) = (text[..at].trim_end(), text[at..].trim_start());
        let glued = GLUE.iter().any(|glue| before.ends_with(glue) || after.starts_with(glue)) || before.ends_with('-');
        rest = &text[..at];
        if !glued && depth(before) == 0 && before.matches('$').count().is_multiple_of(2) {
            statement = after;
            break;
        }
    }
    statement
}

/// The part of a response that its reader is meant to see: after the thoughts, before the next turn.
fn visible(response: &str) -> &str {
    let mut text = response;
    if let Some(at) = text.rfind("</think>") {
        let after = &text[at + "</think>".len()..];
        if !after.trim().is_empty() {
            text = after;
        }
    }
    for mark in ["<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|im_start|>user"] {
        if (text.ends_with('>') || mark.ends_with('r'))
            && let Some(at) = text.rfind(mark)
            && at > 0
        {
            text = &text[..at];
        }
    }
    text
}

fn tagged(text: &str) -> Option<&str> {
    let start = text.rfind("<answer>")? + "<answer>".len();
    let inner = &text[start..];
    let inner = inner.find("</answer>").map_or(inner, |end| &inner[..end]).trim();
    (!inner.is_empty()).then_some(inner)
}

fn hashes(text: &str) -> Option<&str> {
    let inner = &text[text.rfind("####")? + 4..];
    let inner = inner.trim_start_matches([' ', '\t', '*', ':']).lines().next().unwrap_or("").trim();
    (!inner.is_empty()).then_some(inner)
}

/// True if the text reads as an expression or a short answer in words, not as prose.
pub(crate) fn is_plain(text: &str) -> bool {
    let mut words = 0;
    let mut digits = false;
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let b = bytes[i];
        if b == b'\\' {
            i = skip_command(bytes, i);
        } else if b.is_ascii_alphabetic() {
            let start = i;
            while i < bytes.len() && (bytes[i].is_ascii_alphabetic() || bytes[i] == b'\'') {
                i += 1;
            }
            let word = &text[start..i];
            words += usize::from(word.len() >= 2 && !crate::words::is_mathematical(word));
        } else {
            digits |= b.is_ascii_digit();
            i += 1;
        }
    }
    words == 0 || (words <= 2 && !digits && !text.contains('$'))
}

/// Index after a command and, for `\text{…}` and its kin, after its argument.
fn skip_command(bytes: &[u8], at: usize) -> usize {
    let mut i = at + 1;
    while i < bytes.len() && bytes[i].is_ascii_alphabetic() {
        i += 1;
    }
    if i == at + 1 {
        let doubled = bytes.get(i) == Some(&b'\\') && bytes.get(i + 1).is_some_and(u8::is_ascii_alphabetic);
        return if doubled { i } else { (at + 2).min(bytes.len()) };
    }
    let name = &bytes[at + 1..i];
    let wraps = name.starts_with(b"text") || matches!(name, b"mathrm" | b"mbox" | b"operatorname" | b"begin" | b"end");
    if wraps && bytes.get(i) == Some(&b'{') {
        while i < bytes.len() && bytes[i] != b'}' {
            i += 1;
        }
    }
    i.min(bytes.len())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn cut(text: &str) -> String {
        extract(text).unwrap().text.into_owned()
    }

    #[test]
    fn thoughts_do_not_answer() {
        assert_eq!(cut("<think>maybe \\boxed{1}</think> It is \\boxed{2}."), "2");
        assert_eq!(cut("<think>maybe</think>\\boxed{3}"), "3");
    }

    #[test]
    fn every_mark_is_known() {
        assert_eq!(cut("so <answer> 7 </answer>"), "7");
        assert_eq!(cut("2 + 2 = 4\n#### 4"), "4");
        assert_eq!(cut("work work 3\nA: 18"), "18");
        assert_eq!(cut("The final answer is $28 \\%$. I hope it is correct."), "28 \\%");
        assert_eq!(cut("Final Answer: The volume of $ABCD$ is 120. I hope it is correct."), "120");
    }

    #[test]
    fn an_expression_alone_is_taken_whole() {
        assert_eq!(cut("x+1"), "x+1");
        assert_eq!(extract("x+1").unwrap().how, How::Whole);
    }

    #[test]
    fn a_new_line_is_no_product() {
        assert_eq!(cut("47+35=82\n82-18=64\n#64\n"), "#64");
        assert_eq!(cut("7\n\n14"), "14");
        assert_eq!(cut("$7$\n$14$"), "$14$");
        // These go on.
        assert_eq!(cut("7 +\n14"), "7 +\n14");
        assert_eq!(cut("2\n= 1 + 1"), "2\n= 1 + 1");
        assert_eq!(cut("(1,\n2)"), "(1,\n2)");
        assert_eq!(cut("5\n(1\n2)"), "(1\n2)");
        let matrix = "\\begin{pmatrix}1 & 2\\\\\n3 & 4\\end{pmatrix}";
        assert_eq!(cut(matrix), matrix);
    }
}
