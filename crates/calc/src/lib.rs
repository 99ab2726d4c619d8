//! The calculator of tdrm: JSON lines in, JSON lines out, over the pure mathematics.
//!
//! One request per line, one answer per line, so that anyone can check their own implementation against ours:
//!
//! ```
//! let answer = tdrm_calc::line(r#"{"op":"pass_at_k","n":4,"c":1,"k":2}"#);
//! assert_eq!(answer, r#"{"pass_at_k":0.5}"#);
//! assert!(tdrm_calc::line("nonsense").starts_with(r#"{"error":"#));
//! ```
//!
//! All arithmetic is `f64`; numbers are written so that they read back to the same bits. A result that is not
//! finite is an error line, never a `null`. Unknown fields are errors. [`ops`] lists what there is.

mod doc;
mod error;
mod op;

pub use doc::{OpDoc, ops};
pub use error::CalcError;

use op::Op;
use serde_json::Value;

/// Answers one request: the result, or `{"error": "…"}`; one line of JSON without a newline.
#[must_use]
pub fn line(text: &str) -> String {
    let answer = evaluate(text).unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }));
    answer.to_string()
}

/// Answers one request as a JSON value.
///
/// # Errors
/// If the line is no request, its numbers do not fit together, or the result is not finite.
pub fn evaluate(text: &str) -> Result<Value, CalcError> {
    let answer = serde_json::from_str::<Op>(text)?.run()?;
    match not_finite(&answer) {
        Some(field) => Err(CalcError::NotFinite { field }),
        None => Ok(answer),
    }
}

/// The path of the first `null`, which is how a NaN or an infinity leaves the serialiser (no answer has another).
fn not_finite(answer: &Value) -> Option<String> {
    match answer {
        Value::Null => Some(String::new()),
        Value::Array(items) => items.iter().enumerate().find_map(|(i, x)| Some(format!("[{i}]{}", not_finite(x)?))),
        Value::Object(fields) => fields.iter().find_map(|(name, x)| Some(format!("{name}{}", not_finite(x)?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_example_runs() {
        for doc in ops() {
            let answer = line(doc.example);
            assert!(!answer.starts_with(r#"{"error""#), "{} {}: {} -> {answer}", doc.name, doc.kind, doc.example);
            assert!(doc.example.contains(&format!(r#""op":"{}""#, doc.name)), "{}", doc.name);
            assert!(doc.kind.is_empty() || doc.example.contains(doc.kind), "{} {}", doc.name, doc.kind);
        }
    }

    #[test]
    fn a_line_that_is_no_request_gives_one_error_line() {
        for text in
            ["", "{", "[]", r#"{"op":"no such"}"#, r#"{"n":1}"#, r#"{"op":"pass_at_k","n":4,"c":1,"k":2,"d":0}"#]
        {
            let answer = line(text);
            assert!(answer.starts_with(r#"{"error":""#), "{text}: {answer}");
            assert!(!answer.contains('\n'), "{text}");
        }
    }

    #[test]
    fn a_misspelt_field_is_named() {
        let answer = line(r#"{"op":"pass_at_k","n":4,"c":1,"kk":2}"#);
        assert!(answer.contains("unknown field `kk`"), "{answer}");
    }

    #[test]
    fn the_path_of_a_number_that_is_not_finite_is_reported() {
        let answer = serde_json::json!({"a": [1.0, f64::NAN]});
        assert_eq!(not_finite(&answer), Some("a[1]".into()));
    }
}
