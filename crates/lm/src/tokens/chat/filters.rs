//! Filters and tests where the engine's own differ from Jinja2's.

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error};

use super::arguments::Arguments;
use super::dump::{Style, dumps};
use super::methods::joined;
use super::python::{pairs, str_of, wrong};
use super::source::ITER;

/// The arguments of a filter, by place and by name.
pub(super) type Given = Rest<ValueOrKwargs>;

/// Puts the filters and tests into an environment.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter(ITER, |value: Value| {
        if is_iterable(&value) {
            Ok(value)
        } else {
            Err(wrong(format!("expected something to loop over, got {}", value.kind())))
        }
    });
    environment.add_filter("tojson", to_json);
    environment.add_filter("join", join);
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("dictsort", dictsort);
    environment
        .add_filter("first", |value: Value| Ok::<_, Error>(items(&value)?.into_iter().next().unwrap_or_default()));
    environment.add_filter("last", |value: Value| Ok::<_, Error>(items(&value)?.pop().unwrap_or_default()));
    environment.add_filter("list", |value: Value| items(&value).map(Value::from));
    environment.add_test("iterable", is_iterable);
    environment.add_test("sequence", is_sequence);
    environment.add_test("callable", is_callable);
    environment.add_test("divisibleby", is_divisible);
}

/// The items of what Python can iterate over.
fn items(value: &Value) -> Result<Vec<Value>, Error> {
    if is_iterable(value) {
        value.try_iter()?.checked().collect()
    } else {
        Err(wrong(format!("expected something to iterate over, got {}", value.kind())))
    }
}

/// `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`: `json.dumps`, without escapes for HTML.
fn to_json(value: &Value, args: Given) -> Result<String, Error> {
    let args = Arguments::read(&args.into_values(), &["ensure_ascii", "indent", "separators", "sort_keys"])?;
    let indent = match args.get(1) {
        Some(text) if text.as_str().is_some() => text.as_str().map(str::to_owned),
        _ => args.integer(1)?.map(|width| " ".repeat(usize::try_from(width.clamp(0, 64)).unwrap_or(0))),
    };
    let separators = match args.get(2).filter(|separators| !separators.is_none()) {
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
        Some(pair) => match items(pair)?.as_slice() {
            [item, key] => (str_of(item)?.into_owned(), str_of(key)?.into_owned()),
            other => return Err(wrong(format!("expected two separators, got {}", other.len()))),
        },
    };
    dumps(value, &Style { ensure_ascii: args.flag(0), indent, separators, sort_keys: args.flag(3) })
}

fn join(value: &Value, args: Given) -> Result<String, Error> {
    let args = Arguments::read(&args.into_values(), &["d", "attribute"])?;
    let separator = args.get(0).map(str_of).transpose()?.unwrap_or_default();
    let mut items = items(value)?;
    if let Some(attribute) = args.get(1) {
        items = items.iter().map(|item| attribute_of(item, attribute)).collect::<Result<_, _>>()?;
    }
    joined(&items, &separator)
}

/// The item under a key, or along a path of keys with dots between.
fn attribute_of(item: &Value, attribute: &Value) -> Result<Value, Error> {
    let Some(path) = attribute.as_str() else { return item.get_item(attribute) };
    path.split('.').try_fold(item.clone(), |value, part| match part.parse::<usize>() {
        Ok(place) => value.get_item(&place.into()),
        Err(_) => value.get_attr(part),
    })
}

fn length(value: &Value) -> Result<usize, Error> {
    if value.is_undefined() {
        return Ok(0);
    }
    value.len().ok_or_else(|| wrong(format!("a value of type {} has no length", value.kind())))
}

fn default(value: &Value, args: Given) -> Result<Value, Error> {
    let args = Arguments::read(&args.into_values(), &["default_value", "boolean"])?;
    let replaced = value.is_undefined() || (args.flag(1) && !value.is_true());
    Ok(if replaced { args.get(0).cloned().unwrap_or_else(|| "".into()) } else { value.clone() })
}

fn dictsort(value: &Value, args: Given) -> Result<Value, Error> {
    let args = Arguments::read(&args.into_values(), &["case_sensitive", "by", "reverse"])?;
    let by_value = match args.text_or_none(1)?.unwrap_or("key") {
        "key" => false,
        "value" => true,
        other => return Err(wrong(format!("expected to sort by \"key\" or \"value\", got {other:?}"))),
    };
    let folded = |value: &Value| match value.as_str() {
        Some(text) if !args.flag(0) => text.to_lowercase().into(),
        _ => value.clone(),
    };
    let mut entries: Vec<(Value, (Value, Value))> = pairs(value)?
        .into_iter()
        .map(|(key, item)| (folded(if by_value { &item } else { &key }), (key, item)))
        .collect();
    entries.sort_by(|(a, _), (b, _)| if args.flag(2) { b.cmp(a) } else { a.cmp(b) });
    Ok(entries.into_iter().map(|(_, pair)| Value::from(pair)).collect())
}

/// What Python's `iter` takes: strings, lists, dictionaries; also what is undefined, but not none.
fn is_iterable(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::String
            | ValueKind::Seq
            | ValueKind::Iterable
            | ValueKind::Map
            | ValueKind::Undefined
            | ValueKind::Bytes
    )
}

/// What has a length and items in Python: as above, for an iterator only if it knows its length.
fn is_sequence(value: &Value) -> bool {
    is_iterable(value) && (value.kind() != ValueKind::Iterable || value.len().is_some())
}

/// Functions and macros.
fn is_callable(value: &Value) -> bool {
    let name = value.as_object().map_or("", |object| object.type_name());
    name.contains("Function") || name.ends_with("Macro")
}

fn is_divisible(value: i64, by: i64) -> Result<bool, Error> {
    value.checked_rem(by).map(|rest| rest == 0).ok_or_else(|| wrong("division by zero"))
}
