//! Reading tokenizer files, with errors that name file and line.

use std::io::ErrorKind;
use std::path::Path;

use super::error::TokensError;
use super::json::Json;

/// The text of a file; `None` where there is no such file.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, TokensError> {
    match std::fs::read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => Err(TokensError::Unreadable { path: path.to_owned(), message: error.to_string() }),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TokensError::Unreadable { path: path.to_owned(), message: error.to_string() }),
    }
}

/// The object of a JSON file; `None` where there is no such file.
pub(super) fn read_json(path: &Path) -> Result<Option<Json>, TokensError> {
    let Some(text) = read_text(path)? else { return Ok(None) };
    match serde_json::from_str(&text) {
        Ok(json @ Json::Object(_)) => Ok(Some(json)),
        Ok(other) => Err(malformed(path, "an object", &format!("got {}", other.kind()))),
        Err(error) => Err(syntax(path, "JSON", &error)),
    }
}

/// A JSON error at its place.
pub(super) fn syntax(path: &Path, expected: &'static str, error: &serde_json::Error) -> TokensError {
    TokensError::Malformed {
        path: path.to_owned(),
        expected,
        line: error.line(),
        column: error.column(),
        message: error.to_string(),
    }
}

/// A file whose JSON is sound and whose contents are not.
pub(super) fn malformed(path: &Path, expected: &'static str, message: &str) -> TokensError {
    TokensError::Malformed { path: path.to_owned(), expected, line: 0, column: 0, message: message.to_owned() }
}
