//! Template source as our engine wants it.
//!
//! Templates are written for Jinja2 as `transformers` sets it up. Five things are put differently for minijinja, on the
//! source, line by line where they were:
//! * line ends become `\n`, as Jinja2 reads them;
//! * `{% generation %}` … `{% endgeneration %}`, by which `transformers` marks what the assistant wrote, becomes
//!   `{% with %}` … `{% endwith %}`: the same scope, the same white space, no marks;
//! * slices `x[a:b:c]` become the method call `x.__slice__(a, b, c)`, which slices as Python does: the engine's own slice
//!   panics on `[][::-1]` and gives iterators where Python gives lists;
//! * `{% for x in y %}` becomes `{% for x in (y)|__iter__ %}`, a filter that fails where Python cannot iterate: the engine
//!   takes none for an empty list;
//! * string escapes that only Python knows (`\a`, `\v`, `\U0001F600`, and `\/`, which it leaves alone).

/// The method that slices are turned into.
pub(super) const SLICE: &str = "__slice__";

/// The filter that loops go through.
pub(super) const ITER: &str = "__iter__";

/// The source for minijinja.
pub(super) fn prepare(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(source.len() + source.len() / 8);
    let mut rest = source.as_str();
    while let Some(place) = find_tag(rest) {
        let (data, tag) = rest.split_at(place);
        out.push_str(data);
        rest = match tag.as_bytes().get(1) {
            Some(b'#') => copy_until(tag, "#}", &mut out),
            Some(b'%') => block(tag, &mut out),
            _ => expression(tag, "}}", None, &mut out),
        };
    }
    out.push_str(rest);
    out
}

/// Where the next `{{`, `{%` or `{#` is.
fn find_tag(text: &str) -> Option<usize> {
    text.as_bytes().windows(2).position(|pair| pair[0] == b'{' && matches!(pair[1], b'{' | b'%' | b'#'))
}

/// Copies up to and with `end`; gives what follows.
fn copy_until<'t>(text: &'t str, end: &str, out: &mut String) -> &'t str {
    let length = text.find(end).map_or(text.len(), |place| place + end.len());
    out.push_str(&text[..length]);
    &text[length..]
}

/// A block tag; gives what follows it.
fn block<'t>(tag: &'t str, out: &mut String) -> &'t str {
    let inside = tag[2..].trim_start_matches(['-', '+']).trim_start();
    let name_length = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
    let (name, after) = inside.split_at(name_length);
    let opening = &tag[..tag.len() - inside.len()];
    match name {
        "raw" => raw(tag, out),
        "generation" | "endgeneration" => {
            out.push_str(opening);
            out.push_str(if name == "generation" { "with" } else { "endwith" });
            copy_until(after, "%}", out)
        }
        "for" => expression(tag, "%}", Some(Loop::Head), out),
        _ => expression(tag, "%}", None, out),
    }
}

/// A raw block, copied as it stands up to its end tag.
fn raw<'t>(tag: &'t str, out: &mut String) -> &'t str {
    let mut rest = copy_until(tag, "%}", out);
    while let Some(place) = rest.find("{%") {
        let inside = rest[place + 2..].trim_start_matches(['-', '+']).trim_start();
        out.push_str(&rest[..place + 2]);
        rest = &rest[place + 2..];
        if inside.starts_with("endraw") {
            return copy_until(rest, "%}", out);
        }
    }
    out.push_str(rest);
    ""
}

/// An open bracket of an expression: where it lies in the output, and the colons right inside it.
struct Bracket {
    square: bool,
    place: usize,
    colons: Vec<usize>,
}

/// How far a `for` tag is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loop {
    /// Before `in`.
    Head,
    /// In what is iterated over.
    Items,
}

/// A tag that holds an expression, up to `end` outside of brackets and strings; gives what follows.
fn expression<'t>(tag: &'t str, end: &str, mut reading: Option<Loop>, out: &mut String) -> &'t str {
    out.push_str(&tag[..2]);
    let mut rest = &tag[2..];
    let mut open: Vec<Bracket> = Vec::new();
    while let Some(character) = rest.chars().next() {
        if open.is_empty() && rest.starts_with(end) {
            if reading == Some(Loop::Items) {
                let sign = out.ends_with(['-', '+']).then(|| out.pop()).flatten();
                out.extend([")|", ITER, " "]);
                out.extend(sign);
            }
            out.push_str(end);
            return &rest[end.len()..];
        }
        if matches!(character, '"' | '\'') {
            rest = string(rest, character, out);
            continue;
        }
        if is_word(character) {
            let (word, after) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
            rest = after;
            match (reading.filter(|_| open.is_empty()), word) {
                (Some(Loop::Head), "in") => {
                    out.push_str("in (");
                    reading = Some(Loop::Items);
                }
                (Some(Loop::Items), "if" | "recursive") => {
                    out.extend([")|", ITER, " ", word]);
                    reading = None;
                }
                _ => out.push_str(word),
            }
            continue;
        }
        rest = &rest[character.len_utf8()..];
        bracketed(character, &mut open, out);
    }
    rest
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Writes a character that is neither word nor string, and a slice as a call once its bracket closes.
fn bracketed(character: char, open: &mut Vec<Bracket>, out: &mut String) {
    match character {
        '[' | '(' | '{' => open.push(Bracket { square: character == '[', place: out.len(), colons: Vec::new() }),
        ':' => {
            if let Some(bracket) = open.last_mut() {
                bracket.colons.push(out.len());
            }
        }
        ']' | ')' | '}' => {
            let closed = open.pop();
            if let Some(bracket) = closed.filter(|b| b.square && character == ']' && !b.colons.is_empty()) {
                return slice(&bracket, out);
            }
        }
        _ => {}
    }
    out.push(character);
}

/// Turns `[a:b:c`, at the end of the output, into the method call.
fn slice(bracket: &Bracket, out: &mut String) {
    let inside = out.split_off(bracket.place);
    let mut from = 1;
    let ends = bracket.colons.iter().map(|colon| colon - bracket.place).chain([inside.len()]);
    out.push('.');
    out.push_str(SLICE);
    for (place, end) in ends.enumerate() {
        out.push_str(if place == 0 { "(" } else { ", " });
        let part = &inside[from..end];
        out.push_str(if part.trim().is_empty() { "none" } else { part });
        from = end + 1;
    }
    out.push(')');
}

/// A string literal; gives what follows it.
fn string<'t>(text: &'t str, quote: char, out: &mut String) -> &'t str {
    out.push(quote);
    let mut rest = &text[1..];
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        if character == quote {
            out.push(quote);
            return rest;
        }
        if character != '\\' {
            out.push(character);
            continue;
        }
        let Some(escaped) = rest.chars().next() else {
            out.push('\\');
            return rest;
        };
        rest = &rest[escaped.len_utf8()..];
        match escaped {
            'a' => out.push('\u{7}'),
            'v' => out.push('\u{b}'),
            '/' => out.push_str("\\\\/"),
            '\n' => {}
            'U' => {
                let code = rest.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
                match code.and_then(char::from_u32) {
                    Some(wide) => {
                        out.push(wide);
                        rest = &rest[8..];
                    }
                    None => out.push_str("\\U"),
                }
            }
            _ => out.extend(['\\', escaped]),
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_become_calls() {
        assert_eq!(prepare("{{ m[::-1] }}"), "{{ m.__slice__(none, none, -1) }}");
        assert_eq!(prepare("{% if a[b[1:][0]:] %}"), "{% if a.__slice__(b.__slice__(1, none)[0], none) %}");
        assert_eq!(prepare("{{ {'a': [1, 2]}['a'] }}[1:]"), "{{ {'a': [1, 2]}['a'] }}[1:]");
        assert_eq!(prepare("{{ 'x[1:]' ~ y[:-1] }}"), "{{ 'x[1:]' ~ y.__slice__(none, -1) }}");
    }

    #[test]
    fn loops_go_through_a_filter() {
        assert_eq!(prepare("{% for x in y -%}"), "{% for x in ( y )|__iter__ -%}");
        assert_eq!(
            prepare("{%- for k, v in d.items() if k in ['if'] recursive %}"),
            "{%- for k, v in ( d.items() )|__iter__ if k in ['if'] recursive %}"
        );
        assert_eq!(prepare("{% for x in [a if b] recursive%}"), "{% for x in ( [a if b] )|__iter__ recursive%}");
    }

    #[test]
    fn generation_becomes_a_scope() {
        assert_eq!(prepare("{%- generation -%}a{% endgeneration %}"), "{%- with -%}a{% endwith %}");
        assert_eq!(prepare("{% raw %}{% generation %}{% endraw %}"), "{% raw %}{% generation %}{% endraw %}");
        assert_eq!(prepare("{# {% generation %} #}\r\n"), "{# {% generation %} #}\n");
    }

    #[test]
    fn braces_inside_expressions_do_not_end_them() {
        assert_eq!(prepare("{{ {'a': {'b': x[1:]}}}}"), "{{ {'a': {'b': x.__slice__(1, none)}}}}");
        assert_eq!(prepare(r#"{{ "}}" ~ '\/\U0001F600' }}"#), "{{ \"}}\" ~ '\\\\/\u{1F600}' }}");
    }
}
