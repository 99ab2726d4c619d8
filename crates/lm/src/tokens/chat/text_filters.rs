//! Filters that make strings and numbers, where the engine's own differ from Jinja2's.

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error};

use super::arguments::Arguments;
use super::filters::Given;
use super::python::{str_of, wrong};
use super::text::{Ends, lines, split, strip};

/// Puts the filters into an environment.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("string", |value: Value| str_of(&value).map(String::from));
    environment.add_filter("trim", trim);
    environment.add_filter("replace", replace);
    environment.add_filter("indent", indent);
    environment.add_filter("escape", escape);
    environment.add_filter("e", escape);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("wordcount", |value: Value| Ok::<_, Error>(split(&str_of(&value)?, None, None).len()));
}

fn trim(value: &Value, args: Given) -> Result<String, Error> {
    let args = Arguments::read(&args.into_values(), &["chars"])?;
    Ok(strip(&str_of(value)?, args.text_or_none(0)?, Ends::Both).to_owned())
}

fn replace(value: &Value, args: Given) -> Result<String, Error> {
    let args = Arguments::read(&args.into_values(), &["old", "new", "count"])?;
    let (text, old, new) = (str_of(value)?, str_of(args.need(0)?)?, str_of(args.need(1)?)?);
    let count = args.integer(2)?.and_then(|count| usize::try_from(count).ok());
    Ok(count.map_or_else(|| text.replace(&*old, &new), |count| text.replacen(&*old, &new, count)))
}

/// `indent(width=4, first=False, blank=False)`: every line but the first moved in, empty ones only with `blank`.
fn indent(value: &Value, args: Given) -> Result<String, Error> {
    const WIDEST: i64 = 1 << 10;
    let args = Arguments::read(&args.into_values(), &["width", "first", "blank"])?;
    let margin = match args.get(0) {
        Some(text) if text.as_str().is_some() => str_of(text)?.into_owned(),
        _ => " ".repeat(usize::try_from(args.integer(0)?.unwrap_or(4).clamp(0, WIDEST)).unwrap_or(0)),
    };
    let text = str_of(value)?.into_owned() + "\n";
    let mut out = String::new();
    for (place, line) in lines(&text, false).into_iter().enumerate() {
        let first = place == 0;
        out.push_str(if first { "" } else { "\n" });
        let moved = if first { args.flag(1) } else { args.flag(2) || !line.is_empty() };
        out.push_str(if moved { &margin } else { "" });
        out.push_str(line);
    }
    Ok(out)
}

/// The text with the five characters that HTML reads as its own written as entities, as MarkupSafe writes them.
fn escape(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    for character in str_of(value)?.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            other => out.push(other),
        }
    }
    Ok(out)
}

/// `int(default=0, base=10)`: what cannot be read is the default.
fn int(value: &Value, args: Given) -> Result<Value, Error> {
    let args = Arguments::read(&args.into_values(), &["default", "base"])?;
    let base = u32::try_from(args.integer(1)?.unwrap_or(10)).unwrap_or(0);
    if !(2..=36).contains(&base) {
        return Err(wrong(format!("expected a base from 2 to 36, got {base}")));
    }
    let read = match value.as_str() {
        Some(text) => whole(text, base).or_else(|| floating(text).and_then(truncated)),
        None if value.is_integer() => return Ok(value.clone()),
        None => number(value).and_then(truncated),
    };
    Ok(read.map(Value::from).or_else(|| args.get(0).cloned()).unwrap_or_else(|| Value::from(0)))
}

/// `float(default=0.0)`: what cannot be read is the default.
fn float(value: &Value, args: Given) -> Result<Value, Error> {
    let args = Arguments::read(&args.into_values(), &["default"])?;
    let read = match value.as_str() {
        Some(text) => floating(text),
        None => number(value),
    };
    Ok(read.map(Value::from).or_else(|| args.get(0).cloned()).unwrap_or_else(|| Value::from(0.0)))
}

/// An integer as Python's `int` reads it: white space around, a sign, a prefix for bases 2, 8 and 16, `_` between digits.
fn whole(text: &str, base: u32) -> Option<i128> {
    let bare = strip(text, None, Ends::Both).to_lowercase();
    let (negative, digits) = match bare.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, bare.strip_prefix('+').unwrap_or(&bare)),
    };
    let prefix = match base {
        2 => "0b",
        8 => "0o",
        16 => "0x",
        _ => "",
    };
    let digits = digits.strip_prefix(prefix).unwrap_or(digits);
    if !digits.starts_with(|c: char| c.is_digit(base)) || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let size = i128::from_str_radix(&digits.replace('_', ""), base).ok()?;
    Some(if negative { -size } else { size })
}

/// A float as Python's `float` reads it.
fn floating(text: &str) -> Option<f64> {
    strip(text, None, Ends::Both).replace('_', "").parse().ok()
}

/// A number or a truth value as a float.
fn number(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(if value.is_true() { 1.0 } else { 0.0 }),
        _ => f64::try_from(value.clone()).ok(),
    }
}

fn truncated(number: f64) -> Option<i128> {
    number.is_finite().then_some(number as i128)
}
