//! Values written as Python writes them: `str` and `repr`.

use std::borrow::Cow;
use std::fmt::Write as _;

use minijinja::value::{DynObject, Tuple, ValueKind};
use minijinja::{Error, ErrorKind, Value};

/// Levels of lists and objects that are written; Python, too, ends somewhere.
pub(super) const DEPTH: usize = 400;

/// An error of the kind that the engine gives for an operation on the wrong type.
pub(super) fn wrong(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// `str(value)`; nothing for an undefined value.
pub(super) fn str_of(value: &Value) -> Result<Cow<'_, str>, Error> {
    if let Some(text) = value.as_str() {
        return Ok(Cow::Borrowed(text));
    }
    if value.is_undefined() {
        return Ok(Cow::Borrowed(""));
    }
    let mut out = String::new();
    repr(value, DEPTH, &mut out)?;
    Ok(Cow::Owned(out))
}

/// Writes `repr(value)`.
fn repr(value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
    if depth == 0 {
        return Err(wrong("value is nested too deeply to be written"));
    }
    match value.kind() {
        ValueKind::String => repr_str(value.as_str().unwrap_or_default(), out),
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::Number if !value.is_integer() => match f64::try_from(value.clone()) {
            Ok(number) => out.push_str(&repr_float(number)),
            Err(error) => return Err(error),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            let tuple = value.downcast_object_ref::<Tuple>().is_some();
            out.push(if tuple { '(' } else { '[' });
            let mut count = 0;
            for item in value.try_iter()?.checked() {
                out.push_str(if count > 0 { ", " } else { "" });
                repr(&item?, depth - 1, out)?;
                count += 1;
            }
            out.push_str(match (tuple, count) {
                (true, 1) => ",)",
                (true, _) => ")",
                _ => "]",
            });
        }
        ValueKind::Map if is_dict(value) => {
            out.push('{');
            for (place, (key, item)) in pairs(value)?.into_iter().enumerate() {
                out.push_str(if place > 0 { ", " } else { "" });
                repr(&key, depth - 1, out)?;
                out.push_str(": ");
                repr(&item, depth - 1, out)?;
            }
            out.push('}');
        }
        _ => {
            let _ = write!(out, "{value}");
        }
    }
    Ok(())
}

/// Whether a map is a dictionary, and not an object of the engine such as `loop`.
fn is_dict(value: &Value) -> bool {
    let text = value.as_object().map(DynObject::type_name);
    text.is_none_or(|name| !name.ends_with("Loop") && !name.ends_with("Namespace"))
}

/// The entries of a dictionary.
pub(super) fn pairs(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    let entries = value.as_object().and_then(DynObject::try_iter_pairs);
    entries.map(Iterator::collect).ok_or_else(|| wrong(format!("expected a mapping, got {}", value.kind())))
}

/// Writes `repr` of a string: in single quotes unless it holds one and no double quote, unprintable characters escaped.
fn repr_str(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => {
                let code = u32::from(c);
                let _ = match code {
                    0..=0xFF => write!(out, "\\x{code:02x}"),
                    0x100..=0xFFFF => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
}

/// Whether Python prints a character as it is: not a control, format, private-use or separator character, except the space.
/// (Unassigned characters, which Python escapes too, are taken as printable.)
fn is_printable(character: char) -> bool {
    if character.is_control() {
        return false;
    }
    let code = u32::from(character);
    let separator = character != ' ' && character.is_whitespace();
    let format = matches!(code,
        0xAD | 0x600..=0x605 | 0x61C | 0x6DD | 0x70F | 0x890 | 0x891 | 0x8E2 | 0x180E | 0x200B..=0x200F | 0x202A..=0x202E
        | 0x2060..=0x2064 | 0x2066..=0x206F | 0xFEFF | 0xFFF9..=0xFFFB | 0x110BD | 0x110CD | 0x13430..=0x1343F
        | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0001 | 0xE0020..=0xE007F);
    let private = matches!(code, 0xE000..=0xF8FF | 0xF_0000..=0xF_FFFD | 0x10_0000..=0x10_FFFD);
    !(separator || format || private)
}

/// `repr` of a float: the shortest digits that read back as the same number, with an exponent below 1e-4 and from 1e16.
pub(super) fn repr_float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{number}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_in_python() {
        let cases = [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (-2.5e-7, "-2.5e-07"),
            (1e300, "1e+300"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
            (-0.0, "-0.0"),
        ];
        for (number, text) in cases {
            assert_eq!(repr_float(number), text);
        }
    }

    #[test]
    fn containers_are_written_as_in_python() {
        let value =
            Value::from(vec![Value::from("it's"), Value::from("\u{200b}\n"), Value::from(()), Value::from(true)]);
        assert_eq!(str_of(&value).expect("shallow"), r#"["it's", '\u200b\n', None, True]"#);
    }
}
