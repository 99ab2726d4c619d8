//! The math verifier.

use tdrm_core::{Unparsable, Verdict, Verifier};

use crate::extract;
use crate::fuel::{Fuel, Run};
use crate::rational::Rational;

/// Judges mathematical answers against a reference answer.
///
/// ```
/// use tdrm_core::Verifier;
/// use tdrm_verify::MathVerifier;
/// let verifier = MathVerifier::new();
/// assert!(verifier.verify("1/2", r"so we get \boxed{0.5}").is_correct());
/// assert!(verifier.verify("1/2", r"so we get \boxed{2}").is_incorrect());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MathVerifier {
    fuel: u64,
}

impl MathVerifier {
    /// Fuel for one pair: enough for any answer that a person would write.
    pub const DEFAULT_FUEL: u64 = 50_000;

    /// A verifier with default options.
    #[must_use]
    pub const fn new() -> Self {
        Self { fuel: Self::DEFAULT_FUEL }
    }

    /// Limits the work for one pair to `steps`.
    #[must_use]
    pub const fn fuel(self, steps: u64) -> Self {
        Self { fuel: steps }
    }
}

impl Default for MathVerifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier for MathVerifier {
    type Task = str;

    fn verify(&self, task: &str, response: &str) -> Verdict {
        let mut fuel = Fuel::new(self.fuel);
        let Some(gold) = extract::reference(task) else {
            return unparsable(Unparsable::Gold { detail: "it holds no answer".into() }, None, None);
        };
        let Some(found) = extract::extract(response) else {
            return unparsable(Unparsable::NoAnswer, Some(gold.text.into_owned()), None);
        };
        judge(&gold.text, &found.text, &mut fuel).unwrap_or_else(|_| unparsable(fuel.out(), None, None))
    }
}

fn judge(gold: &str, found: &str, fuel: &mut Fuel) -> Run<Verdict> {
    let (a, b) = (number(gold, fuel)?, number(found, fuel)?);
    let equal = if let (Some(a), Some(b)) = (&a, &b) { a == b } else { squeeze(gold) == squeeze(found) };
    let show = |value: Option<Rational>, text: &str| value.map_or_else(|| text.to_owned(), |v| v.to_string());
    let (gold, extracted) = (show(a, gold), show(b, found));
    Ok(if equal { Verdict::Correct { gold, extracted } } else { Verdict::Incorrect { gold, extracted } })
}

fn unparsable(reason: Unparsable, gold: Option<String>, extracted: Option<String>) -> Verdict {
    Verdict::Unparsable { reason, gold, extracted }
}

fn squeeze(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '$' | '{' | '}')).collect()
}

fn number(text: &str, fuel: &mut Fuel) -> Run<Option<Rational>> {
    let text = squeeze(text).replace("\\%", "").replace("\\!", "").replace([',', '%', '€', '£'], "");
    let text = text.trim_end_matches('.').trim_start_matches('\\');
    let (text, negative) = text.strip_prefix('-').map_or((text, false), |t| (t, true));
    let Some((n, d)) = text.split_once('/').map_or_else(|| Some((text, "1")), Some) else { return Ok(None) };
    let (Some(n), Some(d)) = (decimal(n, fuel)?, decimal(d, fuel)?) else { return Ok(None) };
    let Some(inverse) = d.recip() else { return Ok(None) };
    let value = n.mul(&inverse, fuel)?;
    Ok(Some(if negative { value.neg() } else { value }))
}

fn decimal(text: &str, fuel: &mut Fuel) -> Run<Option<Rational>> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{part}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    Rational::from_decimal(&digits, -(part.len() as i64), fuel).map(Some)
}
