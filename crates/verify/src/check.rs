//! Checks of a response alone: format, length, language, JSON.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tdrm_core::{Unparsable, Verdict, Verifier};

/// What a response must be like, whatever the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Rule {
    /// The text occurs.
    Contains {
        /// The text.
        text: String,
    },
    /// The text does not occur.
    Lacks {
        /// The text.
        text: String,
    },
    /// The response is `<a>…</a><b>…</b>` in this order, each tag once, with white space only around them.
    Tags {
        /// Names of the tags.
        names: Vec<String>,
    },
    /// The number of characters (Unicode scalar values) is in the range, both ends included.
    Characters {
        /// Fewest.
        min: usize,
        /// Most.
        max: usize,
    },
    /// The number of words (runs without white space) is in the range, both ends included.
    Words {
        /// Fewest.
        min: usize,
        /// Most.
        max: usize,
    },
    /// At least this share of the letters is written in the script.
    Language {
        /// The script.
        script: Script,
        /// Share in [0, 1].
        share: f64,
    },
    /// The response is a JSON value that passes all tests.
    Json {
        /// Tests of parts of the value.
        tests: Vec<JsonTest>,
    },
}

/// A system of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Script {
    /// English, French, German, …
    Latin,
    /// Russian, …
    Cyrillic,
    /// Chinese characters.
    Han,
    /// Japanese syllables.
    Kana,
    /// Korean.
    Hangul,
    /// Arabic, Persian, …
    Arabic,
    /// Greek.
    Greek,
}

impl Script {
    const fn contains(self, c: char) -> bool {
        match self {
            Self::Latin => matches!(c, 'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}'),
            Self::Cyrillic => matches!(c, '\u{400}'..='\u{52f}'),
            Self::Han => matches!(c, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{323af}'),
            Self::Kana => matches!(c, '\u{3040}'..='\u{30ff}'),
            Self::Hangul => matches!(c, '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7a3}'),
            Self::Arabic => matches!(c, '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}'),
            Self::Greek => matches!(c, '\u{370}'..='\u{3ff}'),
        }
    }
}

/// A test of one part of a JSON value, named by its JSON pointer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonTest {
    /// JSON pointer (RFC 6901); empty for the whole value.
    pub pointer: String,
    /// What the part must be.
    pub expect: Expect,
}

/// What a part of a JSON value must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Expect {
    /// Equal to this value.
    Equals(Value),
    /// One of these values.
    OneOf(Vec<Value>),
    /// Of this type: `null`, `boolean`, `number`, `string`, `array`, `object`.
    Type(String),
    /// A number in [low, high].
    Between(f64, f64),
    /// A text, array or object of this many characters, items or fields.
    Length(usize),
    /// Not there.
    Absent,
}

/// A [`Rule`] as a verifier of any task.
///
/// ```
/// use tdrm_core::Verifier;
/// use tdrm_verify::{Check, Expect, JsonTest, Rule};
/// let test = JsonTest { pointer: "/answer".into(), expect: Expect::Between(0.0, 1.0) };
/// let check: Check<str> = Check::new(Rule::Json { tests: vec![test] });
/// assert!(check.verify("", r#"{"answer": 0.5}"#).is_correct());
/// assert!(check.verify("", r#"{"answer": 2}"#).is_incorrect());
/// assert!(check.verify("", "no JSON").unparsable().is_some());
/// ```
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Check<T: ?Sized> {
    rule: Rule,
    #[serde(skip)]
    task: PhantomData<fn(&T)>,
}

impl<T: ?Sized> Check<T> {
    /// Checks a rule.
    #[must_use]
    pub const fn new(rule: Rule) -> Self {
        Self { rule, task: PhantomData }
    }
}

impl<T: ?Sized> Clone for Check<T> {
    fn clone(&self) -> Self {
        Self::new(self.rule.clone())
    }
}

impl<T: ?Sized> PartialEq for Check<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}

impl<T: ?Sized> fmt::Debug for Check<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.rule).finish()
    }
}

impl<T: ?Sized> Verifier for Check<T> {
    type Task = T;

    fn verify(&self, _: &T, response: &str) -> Verdict {
        self.rule.check(response)
    }
}

impl Rule {
    /// Judges a response; the canonical forms say what was expected and what was met.
    #[must_use]
    pub fn check(&self, response: &str) -> Verdict {
        match self {
            Self::Contains { text } => say(response.contains(text), format!("contains {text:?}"), response),
            Self::Lacks { text } => say(!response.contains(text), format!("lacks {text:?}"), response),
            Self::Tags { names } => say(tags(response, names).is_some(), format!("tags {names:?}"), response),
            Self::Characters { min, max } => counted(response.chars().count(), *min, *max, "characters"),
            Self::Words { min, max } => counted(response.split_whitespace().count(), *min, *max, "words"),
            Self::Language { script, share } => language(response, *script, *share),
            Self::Json { tests } => json(response, tests),
        }
    }
}

fn say(passed: bool, gold: String, extracted: impl Into<String>) -> Verdict {
    let extracted: String = extracted.into().chars().take(80).collect();
    if passed { Verdict::Correct { gold, extracted } } else { Verdict::Incorrect { gold, extracted } }
}

fn counted(n: usize, min: usize, max: usize, what: &str) -> Verdict {
    say((min..=max).contains(&n), format!("{min} to {max} {what}"), format!("{n} {what}"))
}

/// What is left after the tags, if they are there in order.
fn tags<'r>(response: &'r str, names: &[String]) -> Option<&'r str> {
    let mut rest = response.trim();
    for name in names {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let inner = rest.strip_prefix(open.as_str())?;
        let end = inner.find(&close)?;
        rest = inner[end + close.len()..].trim_start();
        if inner[..end].contains(&open) || rest.contains(&open) {
            return None;
        }
    }
    rest.is_empty().then_some(rest)
}

fn language(response: &str, script: Script, share: f64) -> Verdict {
    let letters = response.chars().filter(|c| c.is_alphabetic()).count();
    let own = response.chars().filter(|c| script.contains(*c)).count();
    if letters == 0 {
        let detail = "there are no letters to tell a language by".into();
        return Verdict::Unparsable { reason: Unparsable::Undecided { detail }, gold: None, extracted: None };
    }
    let met = own as f64 / letters as f64;
    say(met >= share, format!("{share} of the letters {script:?}"), format!("{met}"))
}

fn json(response: &str, tests: &[JsonTest]) -> Verdict {
    let body = response.trim();
    let body = body
        .strip_prefix("```json")
        .or_else(|| body.strip_prefix("```"))
        .and_then(|b| b.strip_suffix("```"))
        .unwrap_or(body);
    let value: Value = match serde_json::from_str(body.trim()) {
        Ok(value) => value,
        Err(error) => {
            let reason = Unparsable::Syntax { detail: error.to_string() };
            return Verdict::Unparsable { reason, gold: None, extracted: None };
        }
    };
    let failed = tests.iter().find(|test| !test.expect.holds(value.pointer(&test.pointer)));
    match failed {
        None => say(true, format!("{} tests", tests.len()), format!("{} passed", tests.len())),
        Some(test) => {
            let met = value.pointer(&test.pointer).map_or_else(|| "nothing".to_owned(), Value::to_string);
            say(false, format!("{:?} at {:?}", test.expect, test.pointer), met)
        }
    }
}

impl Expect {
    fn holds(&self, part: Option<&Value>) -> bool {
        let Some(part) = part else { return *self == Self::Absent };
        match self {
            Self::Equals(value) => part == value,
            Self::OneOf(values) => values.contains(part),
            Self::Type(name) => type_of(part) == name,
            Self::Between(low, high) => part.as_f64().is_some_and(|x| (*low..=*high).contains(&x)),
            Self::Length(n) => match part {
                Value::String(s) => s.chars().count() == *n,
                Value::Array(items) => items.len() == *n,
                Value::Object(fields) => fields.len() == *n,
                _ => false,
            },
            Self::Absent => false,
        }
    }
}

const fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_stand_in_order_and_once() {
        let rule = Rule::Tags { names: vec!["think".into(), "answer".into()] };
        assert!(rule.check(" <think>a</think>\n<answer>b</answer> ").is_correct());
        assert!(rule.check("<answer>b</answer><think>a</think>").is_incorrect());
        assert!(rule.check("<think>a</think><answer>b</answer> more").is_incorrect());
        assert!(rule.check("<think>a<think></think><answer>b</answer>").is_incorrect());
    }

    #[test]
    fn lengths_include_both_ends() {
        let rule = Rule::Words { min: 2, max: 3 };
        assert!(rule.check("a").is_incorrect());
        assert!(rule.check("a b").is_correct() && rule.check("a b c").is_correct());
        assert!(rule.check("a b c d").is_incorrect());
        assert!(Rule::Characters { min: 1, max: 1 }.check("é").is_correct());
    }

    #[test]
    fn languages_are_told_by_their_script() {
        let russian = Rule::Language { script: Script::Cyrillic, share: 0.9 };
        assert!(russian.check("Ответ: 42").is_correct());
        assert!(russian.check("Answer: 42").is_incorrect());
        assert!(russian.check("42").unparsable().is_some());
    }

    #[test]
    fn json_is_tested_part_by_part() {
        let test = |pointer: &str, expect| JsonTest { pointer: pointer.into(), expect };
        let rule = Rule::Json {
            tests: vec![
                test("/name", Expect::Type("string".into())),
                test("/tags", Expect::Length(2)),
                test("/x", Expect::Equals(1.into())),
                test("/y", Expect::Absent),
            ],
        };
        assert!(rule.check("```json\n{\"name\":\"a\",\"tags\":[1,2],\"x\":1}\n```").is_correct());
        assert!(rule.check(r#"{"name":"a","tags":[1],"x":1}"#).is_incorrect());
        assert!(rule.check(r#"{"name":"a","tags":[1,2],"x":1,"y":0}"#).is_incorrect());
    }
}
