//! The verifier against the published labels.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tdrm_core::{Verdict, Verifier};
use tdrm_verify::MathVerifier;

use super::{Exercise, Solution};

/// Verdicts on all solutions, and where they contradict the labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Verdicts, `[problems][sources]`.
    pub verdicts: Vec<Vec<Verdict>>,
    /// How each source fares, in the order of the sources.
    pub sources: Vec<SourceAgreement>,
    /// Every solution on which verifier and label differ.
    pub disagreements: Vec<Disagreement>,
}

/// Counts of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceAgreement {
    /// Name.
    pub source: String,
    /// Solutions.
    pub solutions: usize,
    /// Labelled as right.
    pub labelled_right: usize,
    /// Found right by the verifier.
    pub found_right: usize,
    /// That the verifier could not read.
    pub unreadable: usize,
    /// On which verifier and label agree; an unreadable solution counts as not right.
    pub agreed: usize,
}

/// A solution on which verifier and label differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disagreement {
    /// Line of the solutions' file, from 1.
    pub line: usize,
    /// Who wrote the solution.
    pub source: String,
    /// The reference answer.
    pub gold: String,
    /// The answer that the verifier found, in canonical form.
    pub extracted: Option<String>,
    /// Last line of the solution.
    pub last_line: String,
    /// The published label.
    pub is_correct: bool,
    /// Why the verifier says otherwise.
    pub reason: String,
}

impl Agreement {
    /// Judges every solution of every problem.
    #[must_use]
    pub fn of(exercises: &[Exercise]) -> Self {
        let verifier = MathVerifier::new();
        let judge = |e: &Exercise| e.solutions.iter().map(|s| verifier.verify(&e.gold, &s.text)).collect();
        let verdicts: Vec<Vec<Verdict>> = exercises.par_iter().map(judge).collect();
        let rows = || exercises.iter().zip(&verdicts);
        let judged = || rows().flat_map(|(e, v)| e.solutions.iter().zip(v).map(move |(s, v)| (e, s, v)));
        let disagreements = judged().filter(|(_, s, v)| v.is_correct() != s.is_correct);
        let disagreements = disagreements.map(|(e, s, v)| Disagreement::new(e, s, v)).collect();
        let names = exercises.first().map(|e| e.solutions.iter().map(|s| s.source.as_str()));
        let own = |name| judged().filter(move |(_, s, _)| s.source == name).map(|(_, s, v)| (s, v));
        let sources = names.into_iter().flatten().map(|name| SourceAgreement::count(name, own(name))).collect();
        Self { verdicts, sources, disagreements }
    }

    /// Number of solutions.
    #[must_use]
    pub fn solutions(&self) -> usize {
        self.sources.iter().map(|s| s.solutions).sum()
    }

    /// Share of the solutions on which verifier and label agree, in [0, 1].
    #[must_use]
    pub fn share(&self) -> f64 {
        self.sources.iter().map(|s| s.agreed).sum::<usize>() as f64 / self.solutions().max(1) as f64
    }

    /// The disagreements as JSON lines.
    #[must_use]
    pub fn to_json_lines(&self) -> String {
        let line = |d: &Disagreement| serde_json::to_string(d).map(|line| line + "\n").unwrap_or_default();
        self.disagreements.iter().map(line).collect()
    }
}

impl SourceAgreement {
    fn count<'a>(source: &str, judged: impl Iterator<Item = (&'a Solution, &'a Verdict)>) -> Self {
        let none = Self {
            source: source.to_owned(),
            solutions: 0,
            labelled_right: 0,
            found_right: 0,
            unreadable: 0,
            agreed: 0,
        };
        judged.fold(none, |mut counts, (solution, verdict)| {
            counts.solutions += 1;
            counts.labelled_right += usize::from(solution.is_correct);
            counts.found_right += usize::from(verdict.is_correct());
            counts.unreadable += usize::from(verdict.unparsable().is_some());
            counts.agreed += usize::from(verdict.is_correct() == solution.is_correct);
            counts
        })
    }
}

impl Disagreement {
    fn new(exercise: &Exercise, solution: &Solution, verdict: &Verdict) -> Self {
        let (extracted, reason) = match verdict {
            Verdict::Correct { gold, extracted } => {
                (Some(extracted.clone()), format!("labelled wrong, but {extracted} is the reference answer {gold}"))
            }
            Verdict::Incorrect { gold, extracted } => {
                (Some(extracted.clone()), format!("labelled right, but {extracted} is not {gold}"))
            }
            Verdict::Unparsable { reason, extracted, .. } => {
                (extracted.clone(), format!("labelled right, but {reason}"))
            }
            _ => (None, "the verifier gives a verdict that this version does not know".to_owned()),
        };
        Self {
            line: exercise.line,
            source: solution.source.clone(),
            gold: exercise.gold.clone(),
            extracted,
            last_line: solution.steps().last().unwrap_or_default().to_owned(),
            is_correct: solution.is_correct,
            reason,
        }
    }
}

/// The canonical answer of a verdict, where there is one to vote with.
pub(super) fn answer(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Correct { extracted, .. } | Verdict::Incorrect { extracted, .. } => Some(extracted),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "tests state exact values")]
    use super::*;

    fn exercise(gold: &str, solutions: &[(&str, bool)]) -> Exercise {
        let solution = |(i, &(text, is_correct)): (usize, &(&str, bool))| Solution {
            source: format!("m{i}"),
            text: text.to_owned(),
            is_correct,
        };
        let solutions = solutions.iter().enumerate().map(solution).collect();
        Exercise { question: "?".to_owned(), gold: gold.to_owned(), line: 1, solutions }
    }

    #[test]
    fn every_disagreement_is_listed_with_its_reason() {
        let judged = [("8+10 = 18\nA: 18.0", true), ("A: 1,800", true), ("A: 18", false), ("", true)];
        let a = Agreement::of(&[exercise("18", &judged)]);
        assert_eq!((a.solutions(), a.share(), a.disagreements.len()), (4, 0.25, 3));
        let reasons: Vec<_> = a.disagreements.iter().map(|d| d.reason.as_str()).collect();
        assert_eq!(reasons[0], "labelled right, but 1800 is not 18");
        assert_eq!(reasons[1], "labelled wrong, but 18 is the reference answer 18");
        assert_eq!(reasons[2], "labelled right, but the response holds no answer");
        assert_eq!(a.to_json_lines().lines().count(), 3);
        assert_eq!(a.disagreements[0].last_line, "A: 1,800");
    }

    #[test]
    fn a_source_is_counted_over_all_problems() {
        let a = Agreement::of(&[exercise("1", &[("A: 1", true)]), exercise("2", &[("A: 1", false)])]);
        let expected = SourceAgreement {
            source: "m0".to_owned(),
            solutions: 2,
            labelled_right: 1,
            found_right: 1,
            unreadable: 0,
            agreed: 2,
        };
        assert_eq!(a.sources, [expected]);
        assert_eq!(answer(&a.verdicts[1][0]), Some("1"));
    }

    #[test]
    fn nothing_agrees_with_nothing() {
        assert_eq!(Agreement::of(&[]).share(), 0.0);
    }
}
