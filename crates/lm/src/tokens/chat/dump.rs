//! `tojson` as `transformers` defines it: Python's `json.dumps`.

use std::fmt::Write as _;

use minijinja::value::ValueKind;
use minijinja::{Error, Value};

use super::python::{DEPTH, pairs, repr_float, wrong};

/// The arguments of `json.dumps` that templates may set.
#[derive(Debug, Clone)]
pub(super) struct Style {
    /// Whether to write everything beyond ASCII as `\uXXXX`.
    pub(super) ensure_ascii: bool,
    /// What to indent each level by; `None` writes everything on one line.
    pub(super) indent: Option<String>,
    /// Between items, and between a key and its value.
    pub(super) separators: (String, String),
    /// Whether to order objects by their keys.
    pub(super) sort_keys: bool,
}

/// The JSON text of a value.
pub(super) fn dumps(value: &Value, style: &Style) -> Result<String, Error> {
    let mut out = String::new();
    write_value(value, style, 0, &mut out)?;
    Ok(out)
}

fn write_value(value: &Value, style: &Style, level: usize, out: &mut String) -> Result<(), Error> {
    if level > DEPTH {
        return Err(wrong("value is nested too deeply for JSON"));
    }
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number if value.is_integer() => {
            let _ = write!(out, "{value}");
        }
        ValueKind::Number => out.push_str(&number(f64::try_from(value.clone())?)),
        ValueKind::String => write_string(value.as_str().unwrap_or_default(), style.ensure_ascii, out),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
            write_items(&items, ('[', ']'), style, level, out, |item, out| write_value(item, style, level + 1, out))?;
        }
        ValueKind::Map => {
            let mut entries = pairs(value)?
                .into_iter()
                .map(|(key, item)| Ok((key_text(&key)?, item)))
                .collect::<Result<Vec<_>, Error>>()?;
            if style.sort_keys {
                entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            }
            write_items(&entries, ('{', '}'), style, level, out, |(key, item), out| {
                write_string(key, style.ensure_ascii, out);
                out.push_str(&style.separators.1);
                write_value(item, style, level + 1, out)
            })?;
        }
        other => return Err(wrong(format!("a value of type {other} cannot be written as JSON"))),
    }
    Ok(())
}

/// Writes the items of a list or an object between its brackets.
fn write_items<T>(
    items: &[T],
    brackets: (char, char),
    style: &Style,
    level: usize,
    out: &mut String,
    mut write: impl FnMut(&T, &mut String) -> Result<(), Error>,
) -> Result<(), Error> {
    let line = |level: usize, out: &mut String| {
        if let Some(indent) = &style.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(indent.as_str(), level));
        }
    };
    out.push(brackets.0);
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push_str(&style.separators.0);
        }
        line(level + 1, out);
        write(item, out)?;
    }
    if !items.is_empty() {
        line(level, out);
    }
    out.push(brackets.1);
    Ok(())
}

/// The text of a key: strings, and the scalars that Python turns into strings.
fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number if key.is_integer() => Ok(key.to_string()),
        ValueKind::Number => Ok(number(f64::try_from(key.clone())?)),
        other => Err(wrong(format!("a key of type {other} cannot be written as JSON"))),
    }
}

/// A float, with Python's names for what is not finite.
fn number(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        repr_float(number)
    }
}

/// Writes a string in quotes. Without `ensure_ascii` only quotes, backslashes and controls below U+0020 are escaped.
fn write_string(text: &str, ensure_ascii: bool, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || (ensure_ascii && c >= '\u{7f}') => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
