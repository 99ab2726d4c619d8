//! The JSON lines of `tdrm verify`.

use serde::{Deserialize, Serialize};
use tdrm_core::{Verdict, Verifier};

use crate::{MathVerifier, Options};

/// One line of input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The reference: bare, in `$…$`, in `\boxed{…}`, or a worked solution.
    pub gold: String,
    /// What is judged.
    pub response: String,
    /// Options for this line instead of those of the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Options>,
}

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Response {
    /// The judgement, with both canonical forms.
    Judged(Verdict),
    /// The line could not be read.
    Failed {
        /// Why.
        error: String,
    },
}

/// Answers one line of `tdrm verify`: a pure function from a JSON object to a JSON object, without line ends.
///
/// ```
/// use tdrm_verify::{MathVerifier, Options, cli_line};
/// let line = r#"{"gold":"1/2","response":"so \\boxed{0.5}"}"#;
/// let answer = cli_line(line, Options::default(), MathVerifier::DEFAULT_FUEL);
/// assert_eq!(answer, r#"{"verdict":"correct","gold":"1/2","extracted":"1/2"}"#);
/// let answer = cli_line(r#"{"gold":"1"}"#, Options::default(), MathVerifier::DEFAULT_FUEL);
/// assert!(answer.starts_with(r#"{"error":"#));
/// ```
#[must_use]
pub fn cli_line(json_line: &str, options: Options, fuel: u64) -> String {
    let response = match serde_json::from_str::<Request>(json_line) {
        Ok(request) => {
            let verifier = MathVerifier::with(request.options.unwrap_or(options)).fuel(fuel);
            Response::Judged(verifier.verify(&request.gold, &request.response))
        }
        Err(error) => Response::Failed { error: error.to_string() },
    };
    serde_json::to_string(&response)
        .unwrap_or_else(|error| format!("{{\"error\":\"{}\"}}", error.to_string().replace('"', "'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_errors() {
        let answer = cli_line(r#"{"gold":"1","response":"1","fule":3}"#, Options::default(), 1000);
        assert!(answer.contains("unknown field"), "{answer}");
    }

    #[test]
    fn malformed_escapes_are_errors_of_their_line() {
        let answer = cli_line("{\"gold\":\"1\",\"response\":\"\\ud800\"}", Options::default(), 1000);
        assert!(answer.starts_with("{\"error\":"), "{answer}");
    }

    #[test]
    fn a_line_may_bring_its_own_options() {
        let line = r#"{"gold":"1/3","response":"0.333333","options":{"float_rounding":null}}"#;
        assert!(cli_line(line, Options::default(), 10_000).contains("\"incorrect\""));
    }
}
