//! The last formula or number of a text.

use std::borrow::Cow;

use crate::words;

/// A formula between delimiters: content, and where the whole ends.
struct Span {
    outer: usize,
    start: usize,
    end: usize,
    after: usize,
}

const DELIMITERS: [(&str, &str); 4] = [("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$")];

/// The last formula or number, whichever comes later.
pub(super) fn last(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim_end();
    let span = last_span(text);
    let from = span.as_ref().map_or(0, |s| s.after);
    if let Some(number) = last_number(text, from) {
        return Some(Cow::Borrowed(number));
    }
    let span = span?;
    let tail = text[span.after..].trim_start();
    if tail.starts_with('%') || tail.starts_with("\\%") {
        return Some(Cow::Owned(format!("{} \\%", &text[span.start..span.end])));
    }
    Some(join_back(text, &span))
}

/// Joins `$1$ and $2$ and $3$` to one list.
fn join_back<'t>(text: &'t str, last: &Span) -> Cow<'t, str> {
    let mut parts = vec![text[last.start..last.end].trim()];
    let mut outer = last.outer;
    for _ in 0..32 {
        let head = text[..outer].trim_end();
        let Some(head) = ["and", "or", ","].iter().find_map(|glue| head.strip_suffix(glue)) else { break };
        let head = head.trim_end_matches([' ', ',']);
        let Some(span) = last_span(head).filter(|s| s.after == head.len()) else { break };
        parts.push(text[span.start..span.end].trim());
        outer = span.outer;
    }
    if parts.len() == 1 {
        return Cow::Borrowed(parts[0]);
    }
    parts.reverse();
    Cow::Owned(parts.join(", "))
}

/// The formulas that a text starts with, joined to one list.
pub(super) fn first_span(text: &str) -> Option<Cow<'_, str>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((open, close)) = DELIMITERS.iter().find(|(open, _)| rest.starts_with(open)) {
        let Some(end) = find_close(&rest[open.len()..], close) else { break };
        let inner = &rest[open.len()..open.len() + end];
        if *open == "$" && is_currency(inner, &rest[open.len() + end + 1..]) {
            break;
        }
        parts.push(inner.trim());
        rest = rest[open.len() + end + close.len()..].trim_start();
        let tail = ["and ", "or ", ", and ", ", or ", ","].iter().find_map(|glue| rest.strip_prefix(glue));
        match tail.map(str::trim_start) {
            Some(tail) if tail.starts_with('$') || tail.starts_with("\\(") => rest = tail,
            _ => break,
        }
    }
    let percent = rest.starts_with('%') || rest.starts_with("\\%");
    match parts.as_slice() {
        [] => None,
        [one] if percent => Some(Cow::Owned(format!("{one} \\%"))),
        [one] => Some(Cow::Borrowed(one)),
        many => Some(Cow::Owned(many.join(", "))),
    }
}

fn find_close(text: &str, close: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find(close)?;
        let escaped = close.starts_with('$') && text[..at].ends_with('\\');
        if !escaped {
            return Some(at);
        }
        from = at + close.len();
    }
}

/// `$5 to $7` is about money, not a formula.
fn is_currency(inner: &str, after: &str) -> bool {
    let starts_with_digit = inner.bytes().next().is_some_and(|b| b.is_ascii_digit());
    starts_with_digit && inner.ends_with(' ') && after.bytes().next().is_some_and(|b| b.is_ascii_digit())
}

fn last_span(text: &str) -> Option<Span> {
    let candidates = [("$", "$"), ("\\[", "\\]"), ("\\(", "\\)")];
    candidates.iter().filter_map(|(open, close)| span_before(text, open, close)).max_by_key(|s| s.after)
}

fn span_before(text: &str, open: &str, close: &str) -> Option<Span> {
    if open != "$" {
        let end = text.rfind(close)?;
        let outer = text[..end].rfind(open)?;
        return Some(Span { outer, start: outer + open.len(), end, after: end + close.len() });
    }
    let (end, width) = last_dollar(text)?;
    let (outer, opening) = last_dollar(&text[..end])?;
    let start = outer + opening;
    let blank = text[start..end].trim().is_empty();
    let money = is_currency(&text[start..end], &text[end + width..]);
    (!blank && !money).then_some(Span { outer, start, end, after: end + width })
}

/// The last `$` or `$$` that no backslash escapes: position and width.
fn last_dollar(text: &str) -> Option<(usize, usize)> {
    let mut end = text.len();
    loop {
        let at = text[..end].rfind('$')?;
        if text[..at].ends_with('\\') {
            end = at;
        } else if text[..at].ends_with('$') {
            return Some((at - 1, 2));
        } else {
            return Some((at, 1));
        }
    }
}

/// The last number after `from`, with the signs, operators and percent marks that belong to it.
fn last_number(text: &str, from: usize) -> Option<&str> {
    let bytes = text.as_bytes();
    let digit = (from..bytes.len()).rev().find(|&i| bytes[i].is_ascii_digit())?;
    let start = extend_left(bytes, from, digit);
    let end = extend_right(text, digit + 1);
    let number = text[start..end].trim_matches([' ', ',', '.', '(', '=', '*']);
    let number = if number.ends_with(')') && !number.contains('(') { number.trim_end_matches(')') } else { number };
    let cut = text[start..end].find(number)? + start;
    // `text[start..]` may have lost its opening parenthesis to the trimming above
    let number = if number.contains(')') && cut > start && bytes[cut - 1] == b'(' {
        &text[cut - 1..cut + number.len()]
    } else {
        number
    };
    if number.is_empty() {
        return None;
    }
    Some(formula_around(text, from, cut, cut + number.len()).unwrap_or(number))
}

/// The formula around a number that has letters next to it, as in `f(x) = 2x`: from the last relation sign or word
/// to the next word.
fn formula_around(text: &str, from: usize, start: usize, end: usize) -> Option<&str> {
    let bytes = text.as_bytes();
    let letter = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_alphabetic);
    let single = |i: usize| letter(i) && !letter(i + 1) && (i == 0 || !letter(i - 1));
    let after = single(end) || (bytes.get(end) == Some(&b'*') && single(end + 1));
    let before = start > from
        && (single(start - 1)
            || (matches!(bytes[start - 1], b'+' | b'-' | b'*' | b'^') && start >= 2 && single(start - 2)));
    // `5m²` is five square metres
    let unit = after
        && words::unit(&text[end..=end]).is_some()
        && !text[end + 1..].trim_start().starts_with(['+', '-', '*', '/', '^', '(']);
    if unit || (!after && !before) {
        return None;
    }
    let line = text[..start].rfind('\n').map_or(from, |i| (i + 1).max(from));
    let mut left = text[line..start].rfind(['=', ':', '<', '>']).map_or(line, |i| line + i + 1);
    loop {
        let prefix = expression_prefix(&text[left..]);
        if left + prefix >= end {
            let formula = text[left..left + prefix].trim().trim_end_matches(['.', ',', ';']);
            return (!formula.is_empty()).then_some(formula);
        }
        let word = left + prefix;
        left = word + text[word..].find(|c: char| !c.is_ascii_alphabetic() && c != '\'')?;
        if left > start {
            return None;
        }
    }
}

fn extend_left(bytes: &[u8], from: usize, digit: usize) -> usize {
    let mut start = digit;
    while start > from {
        let b = bytes[start - 1];
        let spaced_digits = b == b' ' && is_group(bytes, start, from);
        if b.is_ascii_digit() || matches!(b, b'.' | b',' | b'/' | b'^' | b'(' | b')' | b'*' | b'+') || spaced_digits {
            start -= 1;
        } else if b == b'-' {
            start -= 1;
            let joined = start > from && bytes[start - 1].is_ascii_alphanumeric();
            if joined && !bytes[start - 1].is_ascii_digit() {
                return start + 1;
            }
        } else if b == b'$' || (start >= 3 && start - 3 >= from && matches!(&bytes[start - 3..start], b"\xe2\x82\xac"))
        {
            return start;
        } else {
            break;
        }
    }
    if start > from && bytes[start - 1] == b':' && start >= 2 && bytes[start - 2].is_ascii_digit() {
        return extend_left(bytes, from, start - 2);
    }
    start
}

/// `1 000`: a space between a digit and a group of exactly three.
fn is_group(bytes: &[u8], start: usize, from: usize) -> bool {
    let digits = bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count();
    digits == 3 && start >= 2 && start - 2 >= from && bytes[start - 2].is_ascii_digit()
}

fn extend_right(text: &str, from: usize) -> usize {
    let rest = &text[from..];
    let mut end = from;
    for tail in
        ["%", " %", "\\%", " \\%", " percent", " pct", "°", "!", ")", "π", " AM", " PM", " am", " pm", " a.m", " p.m"]
    {
        if rest.starts_with(tail) {
            end = from + tail.len();
        }
    }
    end
}

/// Length of the expression that a sentence starts with: up to its first word of prose.
pub(super) fn expression_prefix(sentence: &str) -> usize {
    let bytes = sentence.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] == b'\\' {
            i = super::skip_command(bytes, i);
        } else if bytes[i].is_ascii_alphabetic() {
            let start = i;
            while i < bytes.len() && (bytes[i].is_ascii_alphabetic() || bytes[i] == b'\'') {
                i += 1;
            }
            let word = &sentence[start..i];
            let article = matches!(word, "a" | "I" | "A") && bytes.get(i) == Some(&b' ') && start == 0;
            if article || (word.len() >= 2 && !words::is_mathematical(word)) {
                return start;
            }
        } else {
            i += 1;
        }
    }
    sentence.len()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_later_of_formula_and_number_wins() {
        assert_eq!(last("Since $x=3$ we get 12 of them.").unwrap(), "12");
        assert_eq!(last("We have 12, so $x \\geq 5$ is the solution.").unwrap(), "x \\geq 5");
        assert_eq!(last("$28$ %").unwrap(), "28 \\%");
        assert_eq!(last("so $1$ and $2$").unwrap(), "1, 2");
    }

    #[test]
    fn numbers_keep_what_belongs_to_them() {
        assert_eq!(last("not 10 which is 1,000.99€").unwrap(), "1,000.99");
        assert_eq!(last("wins is 2/3.").unwrap(), "2/3");
        assert_eq!(last("3 * 4 = 13").unwrap(), "13");
        assert_eq!(last("increases by 100%.").unwrap(), "100%");
        assert_eq!(last("minus: -5").unwrap(), "-5");
        assert_eq!(last("from $5 to $7").unwrap(), "7");
    }
}
