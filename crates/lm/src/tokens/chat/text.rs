//! Python's operations on strings.

/// Whether Python takes a character for white space: what Unicode does, and the four information separators.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

/// Which ends of a string are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// Both.
    Both,
    /// The beginning.
    Left,
    /// The end.
    Right,
}

/// The string without the characters of `set` at its ends; without white space where no set is given.
pub(super) fn strip<'t>(text: &'t str, set: Option<&str>, ends: Ends) -> &'t str {
    let strips = |character: char| match set {
        Some(set) => set.contains(character),
        None => is_space(character),
    };
    let text = if ends == Ends::Right { text } else { text.trim_start_matches(strips) };
    if ends == Ends::Left { text } else { text.trim_end_matches(strips) }
}

/// The parts between separators, at most `limit` cuts counted from the left.
pub(super) fn split<'t>(text: &'t str, separator: Option<&str>, limit: Option<usize>) -> Vec<&'t str> {
    let limit = limit.unwrap_or(usize::MAX);
    if let Some(separator) = separator {
        return text.splitn(limit.saturating_add(1), separator).collect();
    }
    let mut parts = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let end = if parts.len() < limit { rest.find(is_space) } else { None };
        let Some(end) = end else {
            parts.push(rest);
            break;
        };
        parts.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(is_space);
    }
    parts
}

/// The parts between separators, at most `limit` cuts counted from the right.
pub(super) fn rsplit<'t>(text: &'t str, separator: Option<&str>, limit: Option<usize>) -> Vec<&'t str> {
    let limit = limit.unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    if let Some(separator) = separator {
        parts.extend(text.rsplitn(limit.saturating_add(1), separator));
    } else {
        let mut rest = text.trim_end_matches(is_space);
        while !rest.is_empty() {
            let start = if parts.len() < limit { rest.rfind(is_space) } else { None };
            let Some(start) = start else {
                parts.push(rest);
                break;
            };
            let after = start + rest[start..].chars().next().map_or(1, char::len_utf8);
            parts.push(&rest[after..]);
            rest = rest[..start].trim_end_matches(is_space);
        }
    }
    parts.reverse();
    parts
}

/// The lines, with their ends where `keep` says so. Python ends lines at ten characters and at `\r\n`.
pub(super) fn lines(text: &str, keep: bool) -> Vec<&str> {
    let ends = |c: char| {
        matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(ends) {
        let length =
            if rest[end..].starts_with("\r\n") { 2 } else { rest[end..].chars().next().map_or(1, char::len_utf8) };
        lines.push(&rest[..if keep { end + length } else { end }]);
        rest = &rest[end + length..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// Every word with a capital at its beginning, where a word is a run of letters.
pub(super) fn title(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for character in text.chars() {
        if inside {
            out.extend(character.to_lowercase());
        } else {
            out.extend(character.to_uppercase());
        }
        inside = character.is_lowercase() || character.is_uppercase();
    }
    out
}

/// A capital at the beginning, everything else small.
pub(super) fn capitalize(text: &str) -> String {
    let mut characters = text.chars();
    let first: String = characters.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    first + &characters.as_str().to_lowercase()
}

/// Small letters for capitals and capitals for small letters.
pub(super) fn swapcase(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if character.is_uppercase() {
            out.extend(character.to_lowercase());
        } else {
            out.extend(character.to_uppercase());
        }
    }
    out
}

/// The places of a Python slice over `length` items.
///
/// Negative bounds count from the end, bounds outside are moved to the end they passed, and a negative step walks back.
pub(super) fn slice(length: usize, start: Option<i64>, stop: Option<i64>, step: i64) -> Vec<usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let bound = |bound: Option<i64>, default: i64| match bound {
        None => default,
        Some(bound) if bound < 0 => bound.saturating_add(length).max(lowest),
        Some(bound) => bound.min(highest),
    };
    let (first, end) = if step > 0 { (0, length) } else { (length - 1, -1) };
    let (mut place, stop) = (bound(start, first), bound(stop, end));
    let mut places = Vec::new();
    while if step > 0 { place < stop } else { place > stop } {
        places.push(usize::try_from(place).unwrap_or_default());
        place = place.saturating_add(step);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_walk_as_in_python() {
        assert_eq!(slice(0, None, None, -1), Vec::<usize>::new());
        assert_eq!(slice(4, None, None, -1), [3, 2, 1, 0]);
        assert_eq!(slice(4, Some(1), Some(3), -1), Vec::<usize>::new());
        assert_eq!(slice(5, Some(-2), None, 1), [3, 4]);
        assert_eq!(slice(5, Some(9), Some(-4), -2), [4, 2]);
        assert_eq!(slice(3, Some(i64::MIN), Some(i64::MAX), i64::MAX), [0]);
        assert_eq!(slice(3, None, None, i64::MIN), [2]);
    }

    #[test]
    fn splitting_follows_python() {
        assert_eq!(split("  a b  c ", None, None), ["a", "b", "c"]);
        assert_eq!(split("  a b  c ", None, Some(1)), ["a", "b  c "]);
        assert_eq!(rsplit("  a b  c ", None, Some(1)), ["  a b", "c"]);
        assert_eq!(rsplit("a,b,c", Some(","), Some(1)), ["a,b", "c"]);
        assert_eq!(split("", Some(","), None), [""]);
        assert_eq!(lines("a\r\nb\n\nc", false), ["a", "b", "", "c"]);
        assert_eq!(title("they're 2nd"), "They'Re 2Nd");
    }
}
