//! Drawing responses and judging them.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tdrm_core::{Seed, Verdict};
use tdrm_dfdx::ValueSequence;

use crate::model::{Context, Draws, Model};
use crate::text::Response;
use crate::{Judge, Problem, RecipeError};

/// A judged response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// What was drawn.
    pub response: Response,
    /// Whether the verifier found it right.
    pub correct: bool,
    /// Whether the verifier could read it at all.
    pub readable: bool,
    /// The answer in canonical form, if it could be read.
    pub answer: Option<String>,
    /// Whether the chain was on track after each step, where steps can be judged.
    pub step_labels: Option<Vec<bool>>,
}

/// A problem with its samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampled {
    /// The problem.
    pub problem: Problem,
    /// Its prompt in tokens.
    pub prompt: Vec<u32>,
    /// Its samples.
    pub samples: Vec<Sample>,
}

impl Sampled {
    /// Prompt and response of sample `i` as one sequence whose values are read at all prefixes: s_0 at the last token
    /// of the prompt, s_k at the last token of step k.
    #[must_use]
    pub fn value_sequence(&self, sample: &Sample) -> ValueSequence {
        let origin = self.prompt.len() - 1;
        let ends = sample.response.step_ends.iter().map(|end| origin + end);
        let positions = std::iter::once(origin).chain(ends).collect();
        ValueSequence { tokens: [&self.prompt[..], &sample.response.tokens].concat(), positions }
    }
}

/// Judges a response.
#[must_use]
pub fn judge(model: &Model, judge: Judge, problem: &Problem, response: Response) -> Sample {
    let text = model.text(&response.tokens);
    let verdict = judge.verdict(problem, &text);
    let (answer, readable) = match &verdict {
        Verdict::Correct { extracted, .. } | Verdict::Incorrect { extracted, .. } => (Some(extracted.clone()), true),
        _ => (None, false),
    };
    let steps = response.step_ends.len();
    let step_labels = judge.step_labels(problem, &text).map(|mut labels| {
        labels.resize(steps, false); // a response without any text is one step, and off track
        labels
    });
    Sample { correct: verdict.is_correct(), readable, answer, step_labels, response }
}

/// Draws and judges `count` responses to each problem, in chunks that can be interrupted.
///
/// # Errors
/// If a prompt cannot be encoded, the network fails, or the run was asked to stop.
pub fn sample_and_judge(
    stage: &str,
    model: &Model,
    by: Judge,
    problems: &[Problem],
    plan: Plan,
    state: &Path,
    context: &mut Context<'_>,
) -> Result<Vec<Sampled>, RecipeError> {
    const CHUNK: usize = 4096;
    let chunk = (CHUNK / plan.count.max(1)).max(1);
    context.in_chunks(stage, state, problems, chunk, |index, part| {
        let seed = plan.seed.child(index);
        let draws = Draws::Sampled { count: plan.count, temperature: plan.temperature, seed };
        let responses = model.respond(part, draws, plan.max_tokens)?;
        part.iter()
            .zip(responses)
            .map(|(problem, responses)| {
                let prompt = model.tokenizer().encode(&problem.prompt)?;
                let samples = responses.into_iter().map(|r| judge(model, by, problem, r)).collect();
                Ok(Sampled { problem: problem.clone(), prompt, samples })
            })
            .collect()
    })
}

/// How many samples, how hot, how long, from which seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Samples of each problem.
    pub count: usize,
    /// Temperature.
    pub temperature: tdrm_core::Temperature,
    /// Longest response in tokens.
    pub max_tokens: usize,
    /// Root of the seeds.
    pub seed: Seed,
}
