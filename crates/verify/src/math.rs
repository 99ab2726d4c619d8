//! The math verifier.

use std::borrow::Cow;

use tdrm_core::{Unparsable, Verdict, Verifier};

use crate::algebra::Algebra;
use crate::compare::{Answer, Comparer};
use crate::extract::{How, extract, reference, spoken_choice};
use crate::fuel::{Fuel, Run};
use crate::options::{Options, Variables};
use crate::reading::{Content, Reading};
use crate::text;

/// Judges mathematical answers against a reference answer.
///
/// The reference may be bare, between `$…$`, in `\boxed{…}`, or a worked solution that ends in an answer.
///
/// ```
/// use tdrm_core::Verifier;
/// use tdrm_verify::MathVerifier;
/// let verifier = MathVerifier::new();
/// assert!(verifier.verify("1/2", r"so we get \boxed{0.5}").is_correct());
/// assert!(verifier.verify("1/2", r"so we get \boxed{2}").is_incorrect());
/// assert!(verifier.verify(r"$\frac{1}{\sqrt{2}}$", r"the answer is $\sin 45^\circ$").is_correct());
/// assert!(verifier.verify("$x > 1$", r"$(1, \infty)$").is_correct());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MathVerifier {
    options: Options,
    fuel: u64,
}

impl MathVerifier {
    /// Fuel for one pair: enough for any answer that a person would write, less than a millisecond's work.
    pub const DEFAULT_FUEL: u64 = 50_000;

    /// A verifier with default options.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// A verifier with the given options.
    #[must_use]
    pub const fn with(options: Options) -> Self {
        Self { options, fuel: Self::DEFAULT_FUEL }
    }

    /// Limits the work for one pair to `steps`.
    #[must_use]
    pub const fn fuel(self, steps: u64) -> Self {
        Self { options: self.options, fuel: steps }
    }

    /// The options.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Compares two bare answers: nothing is extracted, neither side is the reference.
    ///
    /// ```
    /// # use tdrm_verify::MathVerifier;
    /// assert!(MathVerifier::new().compare("2^3", "8").is_correct());
    /// ```
    #[must_use]
    pub fn compare(&self, a: &str, b: &str) -> Verdict {
        let mut algebra = Algebra::new(Fuel::new(self.fuel));
        let outcome = self.judge(Cow::Borrowed(a), Cow::Borrowed(b), &mut algebra);
        outcome.unwrap_or_else(|_| out_of_fuel(&algebra))
    }

    /// The canonical form of a bare answer; reading it again gives the same form.
    ///
    /// ```
    /// # use tdrm_verify::MathVerifier;
    /// let form = MathVerifier::new().canonical(r"\frac{(x+1)^2}{x+1}")?;
    /// assert_eq!(form, "x+1");
    /// # Ok::<(), tdrm_core::Unparsable>(())
    /// ```
    ///
    /// # Errors
    /// If the text cannot be read within the fuel, or its form does not settle.
    pub fn canonical(&self, text: &str) -> Result<String, Unparsable> {
        let mut form = self.form(text)?;
        for _ in 0..Self::ROUNDS {
            let again = self.form(&form)?;
            if again == form {
                return Ok(form);
            }
            form = again;
        }
        Err(Unparsable::Undecided { detail: format!("no fixed form after {} readings", Self::ROUNDS) })
    }

    /// Readings after which a canonical form must read back as itself; formulas need one.
    const ROUNDS: usize = 4;

    fn form(&self, text: &str) -> Result<String, Unparsable> {
        let mut algebra = Algebra::new(Fuel::new(self.fuel));
        match Reading::new(Cow::Borrowed(text), &mut algebra) {
            Err(_) => Err(algebra.fuel.out()),
            Ok(Reading { content: Content::Broken(why), .. }) => Err(Unparsable::Syntax { detail: why.into() }),
            Ok(reading) => Ok(reading.canonical(&algebra)),
        }
    }

    fn judge(&self, gold: Cow<'_, str>, found: Cow<'_, str>, algebra: &mut Algebra) -> Run<Verdict> {
        if text::bare_is_empty(&gold) {
            return Ok(unparsable(Unparsable::Gold { detail: "it holds no answer".into() }, None, None));
        }
        if text::bare_is_empty(&found) {
            return Ok(unparsable(Unparsable::NoAnswer, None, None));
        }
        let same_text = text::same(&gold, &found);
        let a = Reading::new(gold, algebra)?;
        if same_text {
            let form = a.canonical(algebra);
            return Ok(Verdict::Correct { gold: form.clone(), extracted: form });
        }
        let b = Reading::new(found, algebra)?;
        let answer = self.answer(&a, &b, algebra)?;
        Ok(verdict(answer, &a, &b, algebra))
    }

    /// Compares the likely readings, then the others.
    fn answer(&self, a: &Reading<'_>, b: &Reading<'_>, algebra: &mut Algebra) -> Run<Answer> {
        if let Some(answer) = by_text(a, b) {
            return Ok(Some(answer));
        }
        let answer = self.values(a, b, algebra)?;
        if answer == Some(true) || (a.others.is_empty() && b.others.is_empty()) {
            return Ok(answer);
        }
        for (i, style) in a.others.iter().chain(&b.others).enumerate() {
            let first = i < a.others.len();
            // the reference's letters are variables
            if first && style.unit_letters {
                continue;
            }
            let source = if first { &a.source } else { &b.source };
            let other = Reading::in_style(Cow::Borrowed(source.as_ref()), *style, algebra)?;
            let pair = if first { self.values(&other, b, algebra)? } else { self.values(a, &other, algebra)? };
            if pair == Some(true) {
                return Ok(pair);
            }
        }
        Ok(answer)
    }

    fn values(&self, a: &Reading<'_>, b: &Reading<'_>, algebra: &mut Algebra) -> Run<Answer> {
        let (Content::Value(x), Content::Value(y)) = (&a.content, &b.content) else { return Ok(Some(false)) };
        algebra.fuel.surface();
        let mut comparer = Comparer { algebra, options: &self.options, decimal: a.decimal || b.decimal };
        let answer = comparer.same(x, y)?;
        if answer == Some(true) || self.options.variables == Variables::Named {
            return Ok(answer);
        }
        match comparer.renamed(y, x)? {
            Some(renamed) => comparer.same(x, &renamed),
            None => Ok(answer),
        }
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
        let Some(gold) = reference(task) else {
            return unparsable(Unparsable::Gold { detail: "it holds no answer".into() }, None, None);
        };
        let mut algebra = Algebra::new(Fuel::new(self.fuel));
        let mut found = extract(response);
        if text::choice(&gold.text).is_some()
            && found.as_ref().is_none_or(|f| f.how >= How::Announced && text::choice(&f.text).is_none())
            && let Some(letter) = spoken_choice(response)
        {
            found = Some(letter);
        }
        let Some(found) = found else {
            if gold.text.trim() == response.trim() {
                return self
                    .judge(Cow::Borrowed(&gold.text), Cow::Borrowed(&gold.text), &mut algebra)
                    .unwrap_or_else(|_| out_of_fuel(&algebra));
            }
            return unparsable(Unparsable::NoAnswer, Some(gold.text.into_owned()), None);
        };
        if task == response {
            let outcome = self.judge(found.text.clone(), found.text, &mut algebra);
            return outcome.unwrap_or_else(|_| out_of_fuel(&algebra));
        }
        self.judge(gold.text, found.text, &mut algebra).unwrap_or_else(|_| out_of_fuel(&algebra))
    }
}

/// What can be told from the texts alone: words, clock times, dates, choices.
fn by_text(a: &Reading<'_>, b: &Reading<'_>) -> Answer {
    let words = |r: &Reading<'_>| matches!(r.content, Content::Words(_));
    if words(a) || words(b) {
        let (x, y) = (text::words(&a.source), text::words(&b.source));
        if x == y && !x.is_empty() {
            return Some(true);
        }
    }
    if (a.source.contains(':') || b.source.contains(':'))
        && let (Some((s, x)), Some((t, y))) = (text::clock(&a.source), text::clock(&b.source))
    {
        let noon = |minutes: u32| minutes % 720;
        return Some(if x.is_some() && y.is_some() { noon(s) == noon(t) && x == y } else { s == t });
    }
    if let (Some(x), Some(y)) = (date_of(a), date_of(b)) {
        return Some(x == y);
    }
    match (text::choice(&a.source), text::choice(&b.source)) {
        (Some(x), Some(y)) if words(b) || words(a) || b.source.len() > 3 || a.source.len() > 3 => {
            (x == y).then_some(true)
        }
        _ => None,
    }
}

fn date_of(r: &Reading<'_>) -> Option<(Option<u32>, u32, u32)> {
    let source = r.source.as_ref();
    if source.len() > 40
        || !source.bytes().any(|b| b.is_ascii_digit())
        || !(source.contains('-') || source.bytes().any(|b| b.is_ascii_alphabetic()))
    {
        return None;
    }
    text::date(source)
}

fn verdict(answer: Answer, a: &Reading<'_>, b: &Reading<'_>, algebra: &Algebra) -> Verdict {
    let (gold, extracted) = (a.canonical(algebra), b.canonical(algebra));
    match (answer, &a.content, &b.content) {
        (Some(true), ..) => Verdict::Correct { gold, extracted },
        (_, Content::Broken(why), _) => {
            unparsable(Unparsable::Gold { detail: (*why).into() }, Some(gold), Some(extracted))
        }
        (_, _, Content::Broken(why)) => {
            unparsable(Unparsable::Syntax { detail: (*why).into() }, Some(gold), Some(extracted))
        }
        (Some(false), ..) => Verdict::Incorrect { gold, extracted },
        (None, ..) => {
            let detail = "neither exact algebra nor 128 bits at six points could tell".into();
            unparsable(Unparsable::Undecided { detail }, Some(gold), Some(extracted))
        }
    }
}

fn out_of_fuel(algebra: &Algebra) -> Verdict {
    unparsable(algebra.fuel.out(), None, None)
}

fn unparsable(reason: Unparsable, gold: Option<String>, extracted: Option<String>) -> Verdict {
    Verdict::Unparsable { reason, gold, extracted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(gold: &str, response: &str) -> Verdict {
        MathVerifier::new().verify(gold, response)
    }

    #[test]
    fn equal_numbers_in_many_notations() {
        for pair in [
            ("1/2", "0.5"),
            (r"\frac12", r"\dfrac{1}{2}"),
            ("1000", "1,000"),
            ("1000", r"1{,}000"),
            ("50%", "1/2"),
            (r"1\frac{4}{5}", "9/5"),
            (r"\sqrt{12}", r"2\sqrt3"),
            (r"\frac{1}{\sqrt2}", r"\frac{\sqrt2}{2}"),
            (r"\sqrt{3+2\sqrt2}", r"1+\sqrt2"),
            (r"e^{i\pi}", "-1"),
            (r"\log_2 8", "3"),
            (r"\binom{5}{2}", "10"),
            ("5!", "120"),
            (r"0.\overline{3}", "1/3"),
            (r"\sin 30^\circ", "1/2"),
            (r"\tan\frac{\pi}{8}", r"\sqrt2-1"),
        ] {
            assert!(says(pair.0, pair.1).is_correct(), "{pair:?} {:?}", says(pair.0, pair.1));
            assert!(says(pair.1, pair.0).is_correct(), "{pair:?} {:?}", says(pair.1, pair.0));
        }
    }

    #[test]
    fn unequal_numbers_are_incorrect() {
        for pair in [
            ("1/2", "1/3"),
            (r"\sqrt2", "1.41421"),
            (r"\pi", r"\frac{22}{7}"),
            ("x+1", "x+2"),
            ("(1,2)", "(2,1)"),
            ("e^2", "2^e"),
        ] {
            assert!(says(pair.0, pair.1).is_incorrect(), "{pair:?} {:?}", says(pair.0, pair.1));
        }
    }
}
