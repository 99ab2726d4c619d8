//! `\boxed{…}` with nested braces, and neighbouring boxes as one answer.

use std::borrow::Cow;

/// A box: where its command starts, where its content starts and ends, where it ends.
#[derive(Debug, Clone, Copy)]
struct Span {
    outer: usize,
    start: usize,
    end: usize,
    after: usize,
}

/// Boxes further from the end than this are not looked at, so that the scan stays linear on hostile input.
const MAX_BOXES: usize = 24;

pub(super) fn present(text: &str) -> bool {
    text.contains("boxed") || text.contains("\\fbox")
}

/// Content of the last box and its end; neighbouring boxes are joined by `, `.
pub(super) fn last_group(text: &str) -> Option<(Cow<'_, str>, usize)> {
    let mut group: Vec<Span> = Vec::new();
    let mut limit = text.len();
    for _ in 0..MAX_BOXES {
        let Some(outer) = last_command(&text[..limit]) else { break };
        limit = outer;
        let Some(span) = measure(text, outer, group.is_empty()) else { continue };
        if let Some(next) = group.last()
            && (span.after > next.outer || !is_glue(&text[span.after..next.outer]))
        {
            break;
        }
        group.push(span);
    }
    let inner = |s: &Span| text[s.start..s.end].trim();
    let end = group.first()?.after;
    let content = match group.as_slice() {
        [one] => Cow::Borrowed(inner(one)),
        many => {
            let mut parts: Vec<&str> = Vec::new();
            for part in many.iter().rev().map(inner) {
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
            Cow::Owned(parts.join(", "))
        }
    };
    Some((content, end))
}

/// Start of the last `\boxed`, `\fbox` or `\framebox`.
fn last_command(text: &str) -> Option<usize> {
    let mut end = text.len();
    while let Some(at) = text[..end].rfind("box") {
        let head = &text[..at];
        for name in ["\\", "\\f", "\\frame"] {
            if let Some(stem) = head.strip_suffix(name) {
                let tail = &text[at + 3..];
                if name != "\\" || tail.starts_with("ed") {
                    return Some(stem.len());
                }
            }
        }
        end = at;
    }
    None
}

/// Measures the box whose command starts at `outer`; an unclosed last box ends with its line.
fn measure(text: &str, outer: usize, is_last: bool) -> Option<Span> {
    let bytes = text.as_bytes();
    let mut i = outer + 1;
    while bytes.get(i).is_some_and(u8::is_ascii_alphabetic) {
        i += 1;
    }
    while bytes.get(i).is_some_and(u8::is_ascii_whitespace) {
        i += 1;
    }
    if bytes.get(i) != Some(&b'{') {
        // `\boxed 5`
        let end = i + text[i..].find(['$', ' ', '\n']).unwrap_or(text.len() - i);
        return (end > i).then_some(Span { outer, start: i, end, after: end });
    }
    let start = i + 1;
    let mut depth = 0_usize;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            b'{' => depth += 1,
            b'}' if depth == 1 => {
                let blank = text[start..i].trim().is_empty();
                return (!blank).then_some(Span { outer, start, end: i, after: i + 1 });
            }
            b'}' => depth -= 1,
            _ => {}
        }
        i += 1;
    }
    let end = start + text[start..].find('\n').unwrap_or(text.len() - start);
    let end = if text[start..end].ends_with('$') { end - 1 } else { end };
    (is_last && end > start && !text[start..end].trim().is_empty()).then_some(Span { outer, start, end, after: end })
}

/// True if only separators stand between two boxes.
fn is_glue(between: &str) -> bool {
    if between.len() > 60 {
        return false;
    }
    let mut rest = between.trim_start();
    let glue = [
        "\\text", "\\quad", "\\qquad", "\\(", "\\)", "\\[", "\\]", "\\,", "\\;", "\\ ", "and", "or", ",", ";", "$",
        "{", "}", "&", "\\mathrm", "\\\\", "(", ")",
    ];
    while !rest.is_empty() {
        let Some(token) = glue.iter().find(|g| rest.starts_with(**g)) else { return false };
        rest = rest[token.len()..].trim_start();
    }
    true
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn content(text: &str) -> Option<Cow<'_, str>> {
        last_group(text).map(|(content, _)| content)
    }

    #[test]
    fn braces_nest_and_the_last_box_wins() {
        assert_eq!(content(r"\boxed{1}, then \boxed{\frac{1}{\sqrt{2}}}.").unwrap(), r"\frac{1}{\sqrt{2}}");
        assert_eq!(content(r"\fbox{7}").unwrap(), "7");
        assert_eq!(content(r"\boxed{\{1,2\}}").unwrap(), r"\{1,2\}");
    }

    #[test]
    fn neighbours_are_one_answer() {
        assert_eq!(content(r"\(\boxed{1}\) and \(\boxed{-2}\).").unwrap(), "1, -2");
        assert_eq!(content(r"$\boxed{1}\boxed{2}$").unwrap(), "1, 2");
        assert_eq!(content(r"\boxed{3}. Check: \boxed{4}").unwrap(), "4");
    }

    #[test]
    fn an_unclosed_last_box_ends_with_its_line() {
        assert_eq!(content("\\boxed{42\nrest").unwrap(), "42");
        assert!(last_group("no box").is_none());
    }

    #[test]
    fn many_unclosed_boxes_take_linear_time() {
        assert!(last_group(&"\\boxed{".repeat(20_000)).is_some());
    }
}
