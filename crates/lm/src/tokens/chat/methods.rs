//! Methods of Python's strings, lists and dictionaries.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Tuple, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::Arguments;
use super::python::{pairs, str_of, wrong};
use super::source::SLICE;
use super::text::{Ends, capitalize, is_space, lines, rsplit, slice, split, strip, swapcase, title};

/// Methods that change their object, which templates must not.
const CHANGING: [&str; 12] = [
    "append",
    "clear",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
    "__setitem__",
];

/// Calls a method by the type of its object.
pub(super) fn call(state: &mut State, object: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if name == SLICE {
        return sliced(object, args);
    }
    match object.kind() {
        ValueKind::String => string(state, object.as_str().unwrap_or_default(), name, args),
        ValueKind::Map => mapping(object, name, args),
        ValueKind::Seq | ValueKind::Iterable => sequence(object, name, args),
        ValueKind::Undefined => {
            Err(Error::new(ErrorKind::UndefinedError, format!("no method `{name}` of an undefined value")))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// `object[start:stop:step]`.
fn sliced(object: &Value, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::read(args, &["start", "stop", "step"])?;
    let step = args.integer(2)?.unwrap_or(1);
    if step == 0 {
        return Err(wrong("slice step cannot be zero"));
    }
    let places = |length| Ok::<_, Error>(slice(length, args.integer(0)?, args.integer(1)?, step));
    match object.kind() {
        ValueKind::String => {
            let characters: Vec<char> = object.as_str().unwrap_or_default().chars().collect();
            Ok(places(characters.len())?.into_iter().map(|place| characters[place]).collect::<String>().into())
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items = object.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
            let part: Vec<Value> = places(items.len())?.into_iter().map(|place| items[place].clone()).collect();
            let tuple = object.downcast_object_ref::<Tuple>().is_some();
            Ok(if tuple { Value::from(Tuple::from(part)) } else { Value::from(part) })
        }
        ValueKind::Undefined => Err(Error::new(ErrorKind::UndefinedError, "slice of an undefined value")),
        other => Err(wrong(format!("a value of type {other} has no slices"))),
    }
}

fn mapping(object: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let listed = |item: fn((Value, Value)) -> Value| {
        Arguments::read(args, &[])?;
        Ok(Value::from(pairs(object)?.into_iter().map(item).collect::<Vec<_>>()))
    };
    match name {
        "keys" => listed(|(key, _)| key),
        "values" => listed(|(_, value)| value),
        "items" => listed(|(key, value)| Value::from(Tuple::from([key, value]))),
        "copy" => Ok(object.clone()),
        "get" => {
            let args = Arguments::read(args, &["key", "default"])?;
            let found = object.as_object().and_then(|dict| dict.get_value(args.need(0).ok()?));
            Ok(found.or_else(|| args.get(1).cloned()).unwrap_or_else(|| Value::from(())))
        }
        _ => unknown(object, name),
    }
}

fn sequence(object: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let items = || object.try_iter()?.checked().collect::<Result<Vec<_>, _>>();
    match name {
        "copy" => Ok(Value::from(items()?)),
        "count" => {
            let args = Arguments::read(args, &["value"])?;
            let wanted = args.need(0)?;
            Ok(Value::from(items()?.iter().filter(|item| *item == wanted).count()))
        }
        "index" => {
            let args = Arguments::read(args, &["value"])?;
            let wanted = args.need(0)?;
            let place = items()?.iter().position(|item| item == wanted);
            place.map(Value::from).ok_or_else(|| wrong("value is not in the list"))
        }
        _ => unknown(object, name),
    }
}

fn unknown(object: &Value, name: &str) -> Result<Value, Error> {
    if CHANGING.contains(&name) {
        return Err(wrong(format!("`{name}` would change a {}, which a template must not", object.kind())));
    }
    Err(Error::from(ErrorKind::UnknownMethod))
}

fn string(state: &mut State, text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(value) = cut(text, name, args)? {
        return Ok(value);
    }
    if let Some(value) = searched(text, name, args)? {
        return Ok(value);
    }
    let plain = match name {
        "upper" => Value::from(text.to_uppercase()),
        "lower" | "casefold" => Value::from(text.to_lowercase()),
        "capitalize" => Value::from(capitalize(text)),
        "title" => Value::from(title(text)),
        "swapcase" => Value::from(swapcase(text)),
        _ => match holds(text, name) {
            Some(answer) => Value::from(answer),
            None => return made(state, text, name, args),
        },
    };
    Arguments::read(args, &[])?;
    Ok(plain)
}

/// The `is…` methods: whether all characters are of a kind, and there is one.
fn holds(text: &str, name: &str) -> Option<bool> {
    let all = |is: fn(char) -> bool| !text.is_empty() && text.chars().all(is);
    let cased = |is: fn(char) -> bool, other: fn(char) -> bool| text.chars().any(is) && !text.chars().any(other);
    Some(match name {
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isdigit" | "isdecimal" | "isnumeric" => all(char::is_numeric),
        "isspace" => all(is_space),
        "isascii" => text.is_ascii(),
        "islower" => cased(char::is_lowercase, char::is_uppercase),
        "isupper" => cased(char::is_uppercase, char::is_lowercase),
        "istitle" => cased(char::is_alphabetic, |_| false) && title(text) == text,
        _ => return None,
    })
}

/// Methods that take off or cut.
fn cut(text: &str, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let limit = |args: &Arguments| Ok::<_, Error>(args.integer(1)?.and_then(|limit| usize::try_from(limit).ok()));
    let ends = match name {
        "strip" => Some(Ends::Both),
        "lstrip" => Some(Ends::Left),
        "rstrip" => Some(Ends::Right),
        _ => None,
    };
    if let Some(ends) = ends {
        return Ok(Some(strip(text, Arguments::read(args, &["chars"])?.text_or_none(0)?, ends).into()));
    }
    Ok(Some(match name {
        "split" | "rsplit" => {
            let args = Arguments::read(args, &["sep", "maxsplit"])?;
            let separator = args.text_or_none(0)?;
            if separator == Some("") {
                return Err(wrong("empty separator"));
            }
            let cutter = if name == "split" { split } else { rsplit };
            Value::from(cutter(text, separator, limit(&args)?).into_iter().map(Value::from).collect::<Vec<_>>())
        }
        "splitlines" => {
            let keep = Arguments::read(args, &["keepends"])?.flag(0);
            Value::from(lines(text, keep).into_iter().map(Value::from).collect::<Vec<_>>())
        }
        "partition" | "rpartition" => {
            let args = Arguments::read(args, &["sep"])?;
            let separator = args.text(0)?;
            let left = name == "partition";
            let found = if left { text.split_once(separator) } else { text.rsplit_once(separator) };
            let parts = match found {
                Some((before, after)) => [before, separator, after],
                None if left => [text, "", ""],
                None => ["", "", text],
            };
            Value::from(Tuple::from(parts.map(Value::from)))
        }
        "removeprefix" | "removesuffix" => {
            let args = Arguments::read(args, &["affix"])?;
            let affix = args.text(0)?;
            let bare = if name == "removeprefix" { text.strip_prefix(affix) } else { text.strip_suffix(affix) };
            Value::from(bare.unwrap_or(text))
        }
        _ => return Ok(None),
    }))
}

/// Methods that look for a string, perhaps between two places.
fn searched(text: &str, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    if !matches!(name, "find" | "rfind" | "index" | "rindex" | "count" | "startswith" | "endswith") {
        return Ok(None);
    }
    let args = Arguments::read(args, &["sub", "start", "end"])?;
    let places = slice(text.chars().count(), args.integer(1)?, args.integer(2)?, 1);
    let offset = places.first().copied().unwrap_or(0);
    let part: String = text.chars().skip(offset).take(places.len()).collect();
    if matches!(name, "startswith" | "endswith") {
        let sought = args.need(0)?;
        let alternatives: Vec<Value> = match sought.downcast_object_ref::<Tuple>() {
            Some(tuple) => tuple.iter().cloned().collect(),
            None => vec![sought.clone()],
        };
        for affix in alternatives {
            let affix = affix.as_str().ok_or_else(|| wrong(format!("{name} expects strings, got {}", affix.kind())))?;
            if if name == "startswith" { part.starts_with(affix) } else { part.ends_with(affix) } {
                return Ok(Some(true.into()));
            }
        }
        return Ok(Some(false.into()));
    }
    let sought = args.text(0)?;
    if name == "count" {
        return Ok(Some(part.matches(sought).count().into()));
    }
    let found = if name.starts_with('r') { part.rfind(sought) } else { part.find(sought) };
    match found {
        Some(byte) => Ok(Some((part[..byte].chars().count() + offset).into())),
        None if name.ends_with("find") => Ok(Some((-1).into())),
        None => Err(wrong("substring not found")),
    }
}

/// Methods that make a new string out of several.
fn made(state: &mut State, text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let padded = |args: &[Value], side: fn(usize) -> usize| {
        let args = Arguments::read(args, &["width", "fillchar"])?;
        let fill = args.text_or_none(1)?.unwrap_or(" ").to_owned();
        let missing = missing(text, &args)?;
        let left = side(missing);
        Ok(Value::from(fill.repeat(left) + text + &fill.repeat(missing - left)))
    };
    match name {
        "replace" => {
            let args = Arguments::read(args, &["old", "new", "count"])?;
            let (old, new) = (args.text(0)?, args.text(1)?);
            let count = args.integer(2)?.and_then(|count| usize::try_from(count).ok());
            Ok(Value::from(count.map_or_else(|| text.replace(old, new), |count| text.replacen(old, new, count))))
        }
        "join" => {
            let args = Arguments::read(args, &["iterable"])?;
            let items = args.need(0)?.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
            let words = items
                .iter()
                .map(|item| item.as_str().ok_or_else(|| wrong(format!("join expects strings, got {}", item.kind()))));
            Ok(Value::from(words.collect::<Result<Vec<_>, _>>()?.join(text)))
        }
        "ljust" => padded(args, |_| 0),
        "rjust" => padded(args, |missing| missing),
        "center" => padded(args, |missing| missing / 2),
        "zfill" => {
            let missing = missing(text, &Arguments::read(args, &["width"])?)?;
            let digits = text.trim_start_matches(['+', '-']);
            let sign = if text.len() - digits.len() == 1 { &text[..1] } else { "" };
            Ok(Value::from(format!("{sign}{}{}", "0".repeat(missing), &text[sign.len()..])))
        }
        "format" => format(FormatStyle::StrFormat, text, args).map(Value::from),
        _ => {
            let object = Value::from(text);
            minijinja_contrib::pycompat::unknown_method_callback(state, &object, name, args).or_else(|error| {
                if error.kind() == ErrorKind::UnknownMethod { unknown(&object, name) } else { Err(error) }
            })
        }
    }
}

/// Characters that are missing to a width, which may not be absurd.
fn missing(text: &str, args: &Arguments) -> Result<usize, Error> {
    const WIDEST: usize = 1 << 20;
    let width = usize::try_from(args.integer(0)?.unwrap_or(0)).unwrap_or(0);
    if width > WIDEST {
        return Err(wrong(format!("expected a width of at most {WIDEST}, got {width}")));
    }
    Ok(width.saturating_sub(text.chars().count()))
}

/// The text of a value for concatenation with others.
pub(super) fn joined(items: &[Value], separator: &str) -> Result<String, Error> {
    let words = items.iter().map(str_of).collect::<Result<Vec<_>, _>>()?;
    Ok(words.join(separator))
}
