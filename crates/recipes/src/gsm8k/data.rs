//! Reading problems and model solutions, each mistake named by file, line and field.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::RecipeError;

/// Problems with their reference answers, one JSON object a line.
pub const PROBLEMS: &str = "test.jsonl";
/// Solutions of the same problems by models, one JSON object a line.
pub const SOLUTIONS: &str = "example_model_solutions.jsonl";

/// A problem with its reference answer and what models wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exercise {
    /// The problem.
    pub question: String,
    /// The reference answer: what follows `####`.
    pub gold: String,
    /// Line of the solutions, from 1.
    pub line: usize,
    /// One solution of each source, in the order of the sources' names.
    pub solutions: Vec<Solution>,
}

/// What one model wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Solution {
    /// The model: the name of the field.
    pub source: String,
    /// The whole text; each line is a step.
    pub text: String,
    /// The published label: is the final answer right?
    pub is_correct: bool,
}

impl Solution {
    /// The steps: lines that are not blank, trimmed.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.text.lines().map(str::trim).filter(|line| !line.is_empty())
    }
}

/// Reads both files of the folder, in the order of the problems.
///
/// Each solution line must belong to a problem and each problem must have one; every field of a solution line besides
/// `question` and `ground_truth` is a source, and all lines have the same sources.
///
/// # Errors
/// Names the file, the line and the field, with what was expected and what came.
pub fn read_gsm8k(folder: &Path) -> Result<Vec<Exercise>, RecipeError> {
    let mut exercises = Vec::new();
    let mut index = HashMap::new();
    let path = folder.join(PROBLEMS);
    for record in records(&path)? {
        let question = record.text("question")?.to_owned();
        if let Some(first) = index.insert(question.clone(), exercises.len()) {
            return Err(record.wrong("question", "a problem that is not there yet", &format!("problem {}", first + 1)));
        }
        exercises.push(Exercise { question, gold: record.gold()?, line: 0, solutions: vec![] });
    }
    add_solutions(&folder.join(SOLUTIONS), &index, &mut exercises)?;
    Ok(exercises)
}

fn add_solutions(path: &Path, index: &HashMap<String, usize>, exercises: &mut [Exercise]) -> Result<(), RecipeError> {
    let mut sources: Option<Vec<String>> = None;
    for record in records(path)? {
        let question = record.text("question")?;
        let Some(exercise) = index.get(question).map(|&i| &mut exercises[i]) else {
            return Err(record.wrong("question", &format!("a question of {PROBLEMS}"), &brief(question)));
        };
        if exercise.line > 0 {
            return Err(record.wrong("question", "one line a problem", &format!("line {} again", exercise.line)));
        }
        exercise.line = record.line;
        exercise.solutions = record.solutions(sources.get_or_insert_with(|| record.sources()))?;
    }
    match exercises.iter().find(|e| e.line == 0) {
        Some(e) => {
            Err(content(path, format!("expected solutions of every problem, got none of {}", brief(&e.question))))
        }
        None if exercises.is_empty() => Err(content(path, "expected at least one problem, got none".to_owned())),
        None => Ok(()),
    }
}

fn content(path: &Path, message: String) -> RecipeError {
    RecipeError::Content { path: path.to_owned(), message }
}

/// One line of a file.
struct Record<'a> {
    path: &'a Path,
    line: usize,
    fields: Map<String, Value>,
}

fn records(path: &Path) -> Result<Vec<Record<'_>>, RecipeError> {
    let text = fs::read_to_string(path).map_err(RecipeError::file(path))?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(text, line)| {
            let failed =
                |e: serde_json::Error| RecipeError::Line { path: path.to_owned(), line, message: e.to_string() };
            Ok(Record { path, line, fields: serde_json::from_str(text).map_err(failed)? })
        })
        .collect()
}

impl Record<'_> {
    fn wrong(&self, field: &str, expected: &str, got: &str) -> RecipeError {
        let message = format!("field `{field}`: expected {expected}, got {got}");
        RecipeError::Line { path: self.path.to_owned(), line: self.line, message }
    }

    fn found<'v>(&self, value: Option<&'v Value>, field: &str, expected: &str) -> Result<&'v Value, RecipeError> {
        value.ok_or_else(|| self.wrong(field, expected, "nothing"))
    }

    fn text(&self, field: &str) -> Result<&str, RecipeError> {
        self.text_at(self.fields.get(field), field)
    }

    fn text_at<'v>(&self, value: Option<&'v Value>, field: &str) -> Result<&'v str, RecipeError> {
        let value = self.found(value, field, "a text")?;
        value.as_str().ok_or_else(|| self.wrong(field, "a text", &brief(&value.to_string())))
    }

    /// What follows the last `####` of the reference solution.
    fn gold(&self) -> Result<String, RecipeError> {
        let answer = self.text("answer")?;
        let gold = answer.rsplit_once("####").map(|(_, gold)| gold.trim()).filter(|gold| !gold.is_empty());
        gold.map(str::to_owned).ok_or_else(|| self.wrong("answer", "a last line `#### number`", &brief(answer)))
    }

    fn sources(&self) -> Vec<String> {
        let reserved = ["question", "ground_truth"];
        self.fields.keys().filter(|key| !reserved.contains(&key.as_str())).cloned().collect()
    }

    fn solutions(&self, sources: &[String]) -> Result<Vec<Solution>, RecipeError> {
        if sources.is_empty() {
            return Err(self.wrong("question", "solutions beside it", "none"));
        }
        if let Some(other) = self.sources().iter().find(|s| !sources.contains(s)) {
            return Err(self.wrong(
                other,
                &format!("the sources of the first line ({})", sources.join(", ")),
                "another",
            ));
        }
        sources.iter().map(|source| self.solution(source)).collect()
    }

    fn solution(&self, source: &str) -> Result<Solution, RecipeError> {
        let expected = "an object with `solution` and `is_correct`";
        let value = self.found(self.fields.get(source), source, expected)?;
        let object = value.as_object().ok_or_else(|| self.wrong(source, expected, &brief(&value.to_string())))?;
        let text = self.text_at(object.get("solution"), &format!("{source}.solution"))?.to_owned();
        let field = format!("{source}.is_correct");
        let label = self.found(object.get("is_correct"), &field, "true or false")?;
        let is_correct =
            label.as_bool().ok_or_else(|| self.wrong(&field, "true or false", &brief(&label.to_string())))?;
        Ok(Solution { source: source.to_owned(), text, is_correct })
    }
}

/// The beginning of a text, quoted.
fn brief(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    if start.len() < text.len() { format!("{start:?}…") } else { format!("{start:?}") }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::path::PathBuf;

    const PROBLEM: &str = r#"{"question": "2+2?", "answer": "2+2=4\n#### 4"}"#;
    const LINE: &str = r#"{"question": "2+2?", "ground_truth": "4", "a": {"is_correct": true, "solution": "4\n\n A: 4 "}, "b": {"is_correct": false, "solution": "A: 5"}}"#;

    fn folder(name: &str, problems: &str, solutions: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("tdrm-gsm8k-data-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(PROBLEMS), problems).unwrap();
        fs::write(folder.join(SOLUTIONS), solutions).unwrap();
        folder
    }

    fn error(name: &str, problems: &str, solutions: &str) -> String {
        let folder = folder(name, problems, solutions);
        let error = read_gsm8k(&folder).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        error
    }

    #[test]
    fn problems_and_solutions_are_joined_and_cut_into_steps() {
        let folder = folder("joined", PROBLEM, LINE);
        let exercises = read_gsm8k(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((exercises[0].gold.as_str(), exercises[0].line), ("4", 1));
        let labels: Vec<_> = exercises[0].solutions.iter().map(|s| (s.source.as_str(), s.is_correct)).collect();
        assert_eq!(labels, [("a", true), ("b", false)]);
        assert_eq!(exercises[0].solutions[0].steps().collect::<Vec<_>>(), ["4", "A: 4"]);
    }

    #[test]
    fn a_malformed_line_is_named_by_file_line_and_field() {
        let of_solutions = |name, from: &str, to: &str| error(name, PROBLEM, &LINE.replace(from, to));
        let cases = [
            (error("json", "\n{", LINE), "test.jsonl:2: EOF"),
            (
                error("gold", &PROBLEM.replace("####", ""), LINE),
                "test.jsonl:1: field `answer`: expected a last line `#### number`, got",
            ),
            (
                error("twice", &format!("{PROBLEM}\n{PROBLEM}"), LINE),
                "test.jsonl:2: field `question`: expected a problem that is not there yet, got problem 1",
            ),
            (
                of_solutions("question", "2+2?", "2+3?"),
                "solutions.jsonl:1: field `question`: expected a question of test.jsonl, got \"2+3?\"",
            ),
            (
                of_solutions("label", "true", "\"yes\""),
                "solutions.jsonl:1: field `a.is_correct`: expected true or false, got",
            ),
            (
                of_solutions("text", "\"A: 5\"", "5"),
                "solutions.jsonl:1: field `b.solution`: expected a text, got \"5\"",
            ),
            (
                error("sources", PROBLEM, r#"{"question": "2+2?"}"#),
                "solutions.jsonl:1: field `question`: expected solutions beside it, got none",
            ),
            (
                error("again", PROBLEM, &format!("{LINE}\n{LINE}")),
                "solutions.jsonl:2: field `question`: expected one line a problem, got line 1 again",
            ),
            (error("none", PROBLEM, ""), "solutions.jsonl: expected solutions of every problem, got none of \"2+2?\""),
        ];
        for (error, expected) in cases {
            assert!(error.contains(expected), "expected {expected}\ngot {error}");
        }
    }

    #[test]
    fn a_source_that_comes_and_goes_is_named() {
        let problems = format!("{PROBLEM}\n{}", PROBLEM.replace("2+2?", "two and two?"));
        let second = LINE.replace("2+2?", "two and two?");
        let missing = error("missing", &problems, &format!("{LINE}\n{}", second.replace("\"b\": ", "\"c\": ")));
        assert!(
            missing.contains("solutions.jsonl:2: field `c`: expected the sources of the first line (a, b)"),
            "{missing}"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_gsm8k(Path::new("/nowhere")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/test.jsonl: "), "{error}");
    }
}
