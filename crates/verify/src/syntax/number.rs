//! Number literals: decimals, separators of thousands, scientific notation, repeating decimals.

use super::{Comma, Style};
use crate::fuel::{Fuel, Run};
use crate::rational::Rational;

/// A literal and what was ambiguous about it.
#[derive(Debug)]
pub(super) struct Literal {
    pub(super) value: Rational,
    pub(super) end: usize,
    pub(super) decimal: bool,
    pub(super) grouped_by_comma: bool,
    pub(super) scientific: bool,
}

/// Reads the literal that starts at a digit or at a point before a digit.
pub(super) fn literal(text: &str, start: usize, in_brackets: bool, style: Style, fuel: &mut Fuel) -> Run<Literal> {
    let bytes = text.as_bytes();
    let mut end = digits(bytes, start);
    let first = end - start;
    let mut whole: Option<String> = None;
    let mut grouped_by_comma = false;
    while (1..=3).contains(&first) && bytes[start] != b'0' {
        let Some((next, comma)) = group(bytes, end, style, in_brackets) else { break };
        whole.get_or_insert_with(|| text[start..end].to_owned()).push_str(&text[next..next + 3]);
        grouped_by_comma |= comma;
        end = next + 3;
    }
    fuel.spend((end - start) as u64 / 8)?;
    let mut part = (end, end);
    let point = match bytes.get(end) {
        Some(b'.') => true,
        Some(b',') => style.comma == Comma::Decimal,
        _ => false,
    };
    if point && (bytes.get(end + 1).is_some_and(u8::is_ascii_digit) || bytes.get(end) == Some(&b'.')) {
        part = (end + 1, digits(bytes, end + 1));
        end = part.1;
        if part.0 == part.1 && !repeats(bytes, end) {
            end = if whole.is_some() || first > 0 { end - 1 } else { end };
            if bytes.get(end) == Some(&b'.') && !sentence_end(bytes, end) {
                end += 1;
            }
        }
    }
    let decimal = part.1 > part.0;
    let mut value =
        decimal_value(whole.as_deref().unwrap_or(&text[start..start + first]), &text[part.0..part.1], fuel)?;
    if let Some((period, after)) = period(text, end) {
        value = value.add(&repeating(period, part.1 - part.0, fuel)?, fuel)?;
        return Ok(Literal { value, end: after, decimal: false, grouped_by_comma, scientific: false });
    }
    if let Some((exponent, after)) = scientific(text, end, style) {
        let power = Rational::int(10).pow(exponent, fuel)?;
        value = value.mul(&power, fuel)?;
        return Ok(Literal { value, end: after, decimal, grouped_by_comma, scientific: true });
    }
    Ok(Literal { value, end, decimal, grouped_by_comma, scientific: false })
}

fn digits(bytes: &[u8], from: usize) -> usize {
    from + bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count()
}

fn sentence_end(bytes: &[u8], at: usize) -> bool {
    bytes.get(at + 1).is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'$' | b'}'))
}

/// A separator of thousands at `at`: where its three digits start, and whether it was a bare comma.
fn group(bytes: &[u8], at: usize, style: Style, in_brackets: bool) -> Option<(usize, bool)> {
    let rest = &bytes[at..];
    let three = |n: usize| {
        rest.len() >= n + 3
            && rest[n..n + 3].iter().all(u8::is_ascii_digit)
            && !rest.get(n + 3).is_some_and(u8::is_ascii_digit)
    };
    for separator in
        [&b"{,}"[..], b"{, }", b" {,}", b" {, }", b",\\!", b",\\! ", b"\\,", b"\\!", b"\\ ", b"\\;", b"\\:", b"~"]
    {
        if rest.starts_with(separator) && three(separator.len()) {
            return Some((at + separator.len(), false));
        }
    }
    if rest.first() == Some(&b' ') && three(1) && !in_brackets && rest.get(4).is_none_or(|b| !matches!(b, b'/' | b'\\'))
    {
        return Some((at + 1, false));
    }
    let commas = match style.comma {
        Comma::Groups => !in_brackets,
        Comma::Separates => in_brackets,
        Comma::Decimal => false,
    };
    (commas && rest.first() == Some(&b',') && three(1)).then_some((at + 1, true))
}

fn decimal_value(whole: &str, part: &str, fuel: &mut Fuel) -> Run<Rational> {
    if part.is_empty() {
        return Rational::from_decimal(if whole.is_empty() { "0" } else { whole }, 0, fuel);
    }
    Rational::from_decimal(&[whole, part].concat(), -(part.len() as i64), fuel)
}

fn repeats(bytes: &[u8], at: usize) -> bool {
    bytes[at..].starts_with(b"\\overline{") || bytes[at..].starts_with(b"\\bar{") || bytes[at..].starts_with(b"\\dot{")
}

/// `\overline{3}`, `\bar{3}` or `\dot{3}` after the digits: the period and the end.
fn period(text: &str, at: usize) -> Option<(&str, usize)> {
    let rest = &text[at..];
    let open = ["\\overline{", "\\bar{", "\\dot{"].iter().find(|m| rest.starts_with(**m))?.len();
    let length = rest.bytes().skip(open).take(64).position(|b| b == b'}')?;
    let period = &rest[open..open + length];
    let good = !period.is_empty() && period.bytes().all(|b| b.is_ascii_digit());
    (good && text[..at].contains('.')).then_some((period, at + open + length + 1))
}

/// `period / ((10^k − 1) · 10^before)`.
fn repeating(period: &str, before: usize, fuel: &mut Fuel) -> Run<Rational> {
    let top = Rational::from_decimal(period, -(before as i64), fuel)?;
    let nines = Rational::int(10).pow(period.len() as i64, fuel)?.sub(&Rational::ONE, fuel)?;
    top.mul(&nines.recip().unwrap_or(Rational::ONE), fuel)
}

/// `e-9` after the digits.
fn scientific(text: &str, at: usize, style: Style) -> Option<(i64, usize)> {
    let bytes = text.as_bytes();
    if !matches!(bytes.get(at), Some(b'e' | b'E')) {
        return None;
    }
    let signed = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
    if signed && !style.scientific {
        return None;
    }
    let from = at + 1 + usize::from(signed);
    let end = digits(bytes, from);
    let exponent: i64 = text[from..end].parse().ok()?;
    let letter_follows = bytes.get(end).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'^');
    (!letter_follows).then_some((if bytes[at + 1] == b'-' { -exponent } else { exponent }, end))
}
