//! From exercises to what the reward models are trained and judged on.

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use tdrm_core::{Seed, Verdict};

use super::agreement::answer;
use super::{Exercise, Solution, SplitConfig, TextConfig, WordTokenizer};
use crate::cycle::{Sample, Sampled};
use crate::text::{Response, step_ends};
use crate::{Problem, RecipeError};

/// Positions of the problems for each purpose: disjoint, ascending, together all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Trains tokenizer and reward models.
    pub train: Vec<usize>,
    /// Chooses the number of epochs.
    pub validation: Vec<usize>,
    /// Is reported on.
    pub test: Vec<usize>,
}

impl Split {
    /// Shares out `problems` problems at random.
    ///
    /// # Errors
    /// If a part would be empty.
    pub fn new(problems: usize, shares: &SplitConfig, seed: Seed) -> Result<Self, RecipeError> {
        let mut order: Vec<_> = (0..problems).collect();
        order.shuffle(&mut seed.rng());
        let count = |share: f64| (problems as f64 * share).round() as usize;
        let (validation, test) = (count(shares.validation), count(shares.test));
        if validation == 0 || test == 0 || validation + test >= problems {
            let expected =
                format!("problems for each part with {} validation and {} test", shares.validation, shares.test);
            return Err(RecipeError::Setting { field: "split", expected, got: format!("{problems} problems") });
        }
        let mut part = |count: usize| {
            let mut part: Vec<_> = order.drain(..count).collect();
            part.sort_unstable();
            part
        };
        let (test, validation) = (part(test), part(validation));
        Ok(Self { train: part(problems - test.len() - validation.len()), validation, test })
    }
}

/// The vocabulary of the chosen problems: each question once, all their solutions.
#[must_use]
pub(super) fn vocabulary(exercises: &[Exercise], chosen: &[usize], config: &TextConfig) -> WordTokenizer {
    let texts = chosen
        .iter()
        .map(|&i| &exercises[i])
        .flat_map(|e| std::iter::once(e.question.as_str()).chain(e.solutions.iter().map(|s| s.text.as_str())));
    WordTokenizer::build(texts, config.word_floor)
}

/// Exercises in tokens.
pub(super) struct Encoder<'a> {
    pub(super) tokenizer: &'a WordTokenizer,
    pub(super) max_tokens: usize,
}

impl Encoder<'_> {
    /// The chosen problems with their solutions as trajectories; the outcome is the published label.
    pub(super) fn encode(&self, exercises: &[Exercise], verdicts: &[Vec<Verdict>], chosen: &[usize]) -> Vec<Sampled> {
        chosen.iter().map(|&i| self.problem(&exercises[i], &verdicts[i])).collect()
    }

    fn problem(&self, exercise: &Exercise, verdicts: &[Verdict]) -> Sampled {
        let one_line = exercise.question.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut prompt = self.tokenizer.encode(&one_line);
        prompt.push(self.tokenizer.separator());
        let samples = exercise.solutions.iter().zip(verdicts).map(|(s, v)| self.sample(s, v)).collect();
        Sampled { problem: Problem { prompt: one_line, gold: exercise.gold.clone() }, prompt, samples }
    }

    fn sample(&self, solution: &Solution, verdict: &Verdict) -> Sample {
        let (separator, end) = (self.tokenizer.separator(), self.tokenizer.end());
        let mut tokens = self.tokenizer.encode(&solution.steps().collect::<Vec<_>>().join("\n"));
        let stopped = tokens.len() < self.max_tokens;
        if stopped {
            tokens.push(end);
        }
        tokens.truncate(self.max_tokens);
        let step_ends = step_ends(&tokens, separator, end);
        Sample {
            correct: solution.is_correct,
            readable: verdict.unparsable().is_none(),
            answer: answer(verdict).map(str::to_owned),
            step_labels: None,
            response: Response { tokens, log_probs: vec![], step_ends, stopped },
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn no_problem_is_in_two_parts_and_none_is_lost() {
        for seed in 0..20 {
            let split = Split::new(101, &SplitConfig::default(), Seed::root(seed)).unwrap();
            let mut all = [&split.train[..], &split.validation, &split.test].concat();
            all.sort_unstable();
            assert_eq!(all, (0..101).collect::<Vec<_>>());
            assert_eq!((split.validation.len(), split.test.len()), (15, 25));
        }
    }

    #[test]
    fn the_split_follows_its_seed() {
        let of = |seed| Split::new(40, &SplitConfig::default(), Seed::root(seed)).unwrap();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn too_few_problems_are_refused() {
        let error = Split::new(2, &SplitConfig::default(), Seed::root(0)).unwrap_err().to_string();
        assert!(error.contains("got 2 problems"), "{error}");
    }

    fn exercise(text: &str) -> Exercise {
        let solution = Solution { source: "m".to_owned(), text: text.to_owned(), is_correct: true };
        Exercise { question: "How\nmany?".to_owned(), gold: "4".to_owned(), line: 1, solutions: vec![solution] }
    }

    fn encoded(text: &str, max_tokens: usize) -> Sampled {
        let exercises = [exercise(text)];
        let tokenizer = WordTokenizer::build(["how many eggs A: + = ?"], 1);
        let verdicts = vec![vec![Verdict::Correct { gold: "4".to_owned(), extracted: "4".to_owned() }]];
        Encoder { tokenizer: &tokenizer, max_tokens }.encode(&exercises, &verdicts, &[0]).remove(0)
    }

    #[test]
    fn a_line_is_a_step_and_the_last_holds_the_end() {
        let p = encoded("2+2=4 eggs\n\nA: 4\n", 50);
        assert_eq!(p.prompt.len(), 4); // how many ? and the line break
        let response = &p.samples[0].response;
        assert_eq!((&response.step_ends[..], response.tokens.len()), (&[7, 11][..], 11)); // 2 + 2 = 4 eggs ⏎ | a : 4 <eos>
        assert_eq!(response.tokens[10], 1);
        assert!(response.stopped && p.samples[0].correct);
        assert_eq!(p.value_sequence(&p.samples[0]).positions, [3, 10, 14]);
    }

    #[test]
    fn a_long_solution_is_cut_and_has_no_end() {
        let p = encoded("2+2=4 eggs\nA: 4", 9);
        let response = &p.samples[0].response;
        assert_eq!((&response.step_ends[..], response.tokens.len(), response.stopped), (&[7, 9][..], 9, false));
    }

    #[test]
    fn the_vocabulary_knows_only_the_chosen_problems() {
        let exercises = [exercise("apples"), exercise("pears")];
        let tokenizer = vocabulary(&exercises, &[0], &TextConfig { word_floor: 1, max_tokens: 9 });
        assert_eq!(tokenizer.decode(&tokenizer.encode("apples pears")), "apples <unk>");
    }
}
