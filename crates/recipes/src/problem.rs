//! Problems with reference answers, and who judges the responses.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tdrm_core::{Verdict, Verifier};
use tdrm_envs::reasoning::{ChainProblem, ChainVerifier, check_steps};
use tdrm_verify::MathVerifier;

use crate::RecipeError;

/// A prompt with its reference answer, one JSON object a line: `{"prompt": "47+35:", "gold": "82"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// What the policy is given.
    pub prompt: String,
    /// The reference answer.
    pub gold: String,
}

impl From<&ChainProblem> for Problem {
    fn from(chain: &ChainProblem) -> Self {
        Self { prompt: chain.to_string(), gold: chain.answer().to_string() }
    }
}

/// Reads problems from a file of JSON lines; empty lines are skipped.
///
/// # Errors
/// Names the file and, for a malformed line, its number.
pub fn read_problems(path: &Path) -> Result<Vec<Problem>, RecipeError> {
    let text = fs::read_to_string(path).map_err(RecipeError::file(path))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(i, line)| {
            serde_json::from_str(line).map_err(|e| RecipeError::Line {
                path: path.to_owned(),
                line: i + 1,
                message: e.to_string(),
            })
        })
        .collect()
}

/// Who judges responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Judge {
    /// The exact judge of chained arithmetic: outcome and steps.
    Chain,
    /// The mathematical verifier: outcome only.
    Math,
}

impl Judge {
    /// The most capable judge for these problems: [`Judge::Chain`] if each of them is chained arithmetic.
    #[must_use]
    pub fn of(problems: &[Problem]) -> Self {
        if problems.iter().all(|p| chain(p).is_some()) { Self::Chain } else { Self::Math }
    }

    /// Judges the outcome of a response.
    #[must_use]
    pub fn verdict(self, problem: &Problem, response: &str) -> Verdict {
        match (self, chain(problem)) {
            (Self::Chain, Some(chain)) => ChainVerifier.verify(&chain, response),
            _ => MathVerifier::default().verify(&problem.gold, response),
        }
    }

    /// Judges each line of a response (is the chain on track after it?); `None` where only outcomes can be judged.
    #[must_use]
    pub fn step_labels(self, problem: &Problem, response: &str) -> Option<Vec<bool>> {
        match self {
            Self::Chain => Some(check_steps(&chain(problem)?, response).iter().map(|s| s.on_track).collect()),
            Self::Math => None,
        }
    }
}

fn chain(problem: &Problem) -> Option<ChainProblem> {
    let chain: ChainProblem = problem.prompt.parse().ok()?;
    (chain.answer().to_string() == problem.gold).then_some(chain)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn problem(prompt: &str, gold: &str) -> Problem {
        Problem { prompt: prompt.into(), gold: gold.into() }
    }

    #[test]
    fn chained_arithmetic_is_judged_by_its_own_judge() {
        assert_eq!(Judge::of(&[problem("1+2:", "3")]), Judge::Chain);
        assert_eq!(Judge::of(&[problem("1+2:", "3"), problem("What is 1+2?", "3")]), Judge::Math);
        assert_eq!(Judge::of(&[problem("1+2:", "4")]), Judge::Math); // a gold that contradicts the chain
    }

    #[test]
    fn a_bad_line_is_named_by_file_and_number() {
        let path = std::env::temp_dir().join(format!("tdrm-problems-{}.jsonl", std::process::id()));
        fs::write(&path, "{\"prompt\": \"1+2:\", \"gold\": \"3\"}\n\n{\"prompt\": \"1+2:\"}\n").unwrap();
        let error = read_problems(&path).unwrap_err().to_string();
        assert!(error.contains(".jsonl:3: missing field `gold`"), "{error}");
        fs::remove_file(&path).unwrap();
        assert!(read_problems(&path).unwrap_err().to_string().contains("No such file"));
    }
}
