//! Sentences that announce the answer.

use std::borrow::Cow;

use super::trailing;

/// Announcements further from the end than this are not looked at.
const MAX_ANCHORS: usize = 8;

/// What the last announcement of the text announces.
pub(super) fn announced(text: &str) -> Option<Cow<'_, str>> {
    if let Some(found) = letter_line(text) {
        return Some(found);
    }
    let mut end = text.len();
    for _ in 0..MAX_ANCHORS {
        let Some(at) = text[..end].rfind("nswer") else { break };
        end = at;
        if let Some(content) = after_answer(&text[at + 5..])
            && let Some(found) = leading(content)
        {
            return Some(found);
        }
    }
    None
}

/// "Final answer: …" after the last box overrules the box.
pub(super) fn final_answer(rest: &str) -> Option<Cow<'_, str>> {
    let at = rest.rfind("inal answer is").or_else(|| rest.rfind("inal Answer:"))?;
    let content = after_answer(&rest[at + 11..])?;
    let found = leading(content)?;
    found.bytes().any(|b| b.is_ascii_digit() || b == b'\\').then_some(found)
}

/// `A: 18` on the last line.
fn letter_line(text: &str) -> Option<Cow<'_, str>> {
    let at = if text.starts_with("A:") { 0 } else { text.rfind("\nA:")? + 1 };
    let line = text[at + 2..].trim();
    (!line.is_empty() && !line.contains('\n')).then_some(Cow::Borrowed(line))
}

/// The words after "answer" if they announce something: `is …`, `: …`, `to the question is …`.
fn after_answer(rest: &str) -> Option<&str> {
    let rest = rest.strip_prefix('s').unwrap_or(rest);
    let rest = rest.trim_start_matches(['*', '_', ' ', '}', ')']);
    for mark in [":", "is:", "is ", "is\n", "are ", "= ", "was ", "should be ", "would be ", "must be ", "\n"] {
        if let Some(content) = rest.strip_prefix(mark) {
            return Some(content);
        }
    }
    let near = &rest[..floor_boundary(rest, 120)];
    let sentence = &near[..near.find(". ").unwrap_or(near.len())];
    let at = sentence.find(" is ").map(|i| i + 4).or_else(|| sentence.find(": ").map(|i| i + 2))?;
    Some(&rest[at..])
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The answer at the head of an announcement; if it starts with prose, the last expression of its sentence.
fn leading(content: &str) -> Option<Cow<'_, str>> {
    let content = content.trim_start_matches([' ', '\n', '\t', '*', ':', '_']);
    if let Some(span) = trailing::first_span(content) {
        return Some(span);
    }
    let sentence = first_sentence(content);
    if sentence.is_empty() {
        return None;
    }
    let head = &sentence[..trailing::expression_prefix(sentence)];
    let head = head.trim_end_matches([' ', '.', ',', ';', ':', '*', '_', '"', '!']).trim();
    if !head.is_empty() && head.bytes().any(|b| b.is_ascii_alphanumeric() || b >= 0x80) {
        return Some(Cow::Borrowed(head));
    }
    trailing::last(sentence).or_else(|| short_words(sentence))
}

/// Up to the end of the sentence or line; a point between digits does not end a sentence.
fn first_sentence(content: &str) -> &str {
    let line = content.lines().next().unwrap_or("");
    let end = line.find(". ").or_else(|| line.strip_suffix('.').map(str::len)).unwrap_or(line.len());
    line[..end].trim()
}

fn short_words(sentence: &str) -> Option<Cow<'_, str>> {
    let words = sentence.trim_matches(['*', '_', '"', '.', ' ']);
    (!words.is_empty() && words.len() <= 80).then_some(Cow::Borrowed(words))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_head_of_the_announcement_is_the_answer() {
        assert_eq!(announced("The answer is 2x+3 because 1 = 1").unwrap(), "2x+3");
        assert_eq!(announced("**Final Answer**\n\n$42$").unwrap(), "42");
        assert_eq!(announced("Answer: $1$ and $2$.").unwrap(), "1, 2");
        assert_eq!(announced("the answer is $10,455.").unwrap(), "$10,455");
    }

    #[test]
    fn words_may_be_an_answer() {
        assert_eq!(announced("The answer is Navin.").unwrap(), "Navin");
        assert_eq!(announced("The answer is (C).").unwrap(), "(C)");
    }

    #[test]
    fn talk_about_answers_announces_nothing() {
        assert!(announced("I hope this answers it").is_none());
    }
}
