//! Golden files: numbers that tests compare with carry the name of the program that made them.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::files;

/// Complaints about the golden files below `crates/` and `tests/` at `root`.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for file in files::below(root, "crates")?.into_iter().chain(files::below(root, "tests")?) {
        if is_golden(&file) {
            complaints.extend(anonymous(&file, &files::read(&root.join(&file))?));
        }
    }
    Ok(complaints)
}

/// JSON in a folder named `golden`.
fn is_golden(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|e| e == "json") && file.split('/').any(|folder| folder == "golden")
}

/// A golden file is an object whose `made_by` says program, version and command.
fn anonymous(file: &str, text: &str) -> Option<String> {
    match serde_json::from_str::<Value>(text) {
        Err(error) => Some(format!("{file} is not JSON: {error}")),
        Ok(golden) => match golden.get("made_by").and_then(Value::as_str) {
            Some(maker) if !maker.trim().is_empty() => None,
            _ => Some(format!("{file} does not say who made it: add a `made_by` with program, version and command")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_golden_file_says_who_made_it() {
        assert_eq!(anonymous("a.json", r#"{"made_by":"rlax 0.1.9","cases":[]}"#), None);
        assert!(anonymous("a.json", r#"{"made_by":" ","cases":[]}"#).is_some());
        assert!(anonymous("a.json", r"[1, 2]").is_some());
        assert!(anonymous("a.json", "{").is_some_and(|s| s.starts_with("a.json is not JSON")));
    }

    #[test]
    fn only_json_in_a_golden_folder_is_golden() {
        assert!(is_golden("crates/algo/tests/golden/value/td.json"));
        assert!(!is_golden("crates/algo/tests/data/td.json"));
        assert!(!is_golden("crates/algo/tests/golden/README.md"));
    }
}
