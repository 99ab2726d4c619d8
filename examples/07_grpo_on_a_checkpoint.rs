//! GRPO with a verifier on a Hugging Face checkpoint: sample groups, judge them, one step on the log-probabilities.
//!
//! `cargo run --release --package tdrm-examples --example 07_grpo_on_a_checkpoint -- [DIR] [STEPS]`
//!
//! Without a directory it takes the embedded model of the main job, which knows chained arithmetic. What is special to that
//! task is [`problems`]; for your own checkpoint, put prompts and reference answers there.
#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;
use tdrm::advantage::{GroupZScore, Outcomes};
use tdrm::envs::reasoning::ChainTask;
use tdrm::lm::tokens::{Special, Tokenizer};
use tdrm::lm::{Completion, Generation, LmLearner, Model, Optimiser, Prompt, Sequence, Trainer};
use tdrm::objective::{Advantages, Denominators, Objective, Preset, SequenceTerms};
use tdrm::prelude::*;
use tdrm::verify::MathVerifier;

const EMBEDDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/recipes/model");
const PROBLEMS: usize = 16; // per step
const GROUP: usize = 8; // samples of each problem

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let directory = args.next().unwrap_or_else(|| EMBEDDED.to_owned());
    let steps = args.next().map_or(Ok(20), |steps| steps.parse())?;
    train(Path::new(&directory), steps, Seed::root(7), &mut |step, share| {
        println!("step {step:3}: {:5.1} % of {} samples are right", 100.0 * share, PROBLEMS * GROUP);
    })?;
    Ok(())
}

/// A prompt and the reference answer.
struct Problem {
    prompt: String,
    gold: String,
}

fn problems(seed: Seed) -> Result<Vec<Problem>> {
    let (task, mut rng) = (ChainTask { min_operations: 3, max_operations: 6 }, seed.rng());
    let draw = |_| {
        let problem = task.sample(&mut rng)?;
        Ok(Problem { prompt: problem.to_string(), gold: problem.answer().to_string() })
    };
    (0..PROBLEMS).map(draw).collect()
}

/// Trains for some steps; `tell` hears the share of right samples of each.
fn train(directory: &Path, steps: u64, seed: Seed, tell: &mut dyn FnMut(u64, f64)) -> Result<Model> {
    let (tokenizer, model) = (Tokenizer::load(directory)?, Model::load(directory)?);
    let generation = Generation::sample(Temperature::ONE, 96).until(&model.config().eos_token_id);
    let mut learner = LmLearner::new(Trainer::new(model, Optimiser::adamw(3e-4))?, Temperature::ONE);
    for step in 0..steps {
        let (batch, seed) = (problems(seed.named("problems").child(step))?, seed.named("samples").child(step));
        let prompts = prompts(&batch, &tokenizer, seed)?;
        let model = learner.trainer.model();
        let samples =
            model.generate_watched(&prompts, &generation, Some(&tokenizer), &mut |_| ControlFlow::Continue(()))?;
        let rewards = rewards(&batch, &samples);
        tell(step, rewards.iter().sum::<f64>() / rewards.len() as f64);
        learn(&mut learner, &prompts, &samples, &rewards)?;
    }
    Ok(learner.trainer.into_model())
}

/// Each problem's prompt, once for each sample, with a seed of its own.
fn prompts(batch: &[Problem], tokenizer: &Tokenizer, seed: Seed) -> Result<Vec<Prompt>> {
    let mut prompts = Vec::new();
    for problem in batch {
        let tokens = tokenizer.encode(&problem.prompt, Special::With)?.tokens;
        let first = prompts.len() as u64;
        prompts.extend((0..GROUP as u64).map(|i| Prompt::new(&tokens, seed.child(first + i))));
    }
    Ok(prompts)
}

/// 1 for a right answer, 0 for a wrong one; a response that cannot be read is worth 0 here, by choice.
fn rewards(batch: &[Problem], samples: &[Completion]) -> Vec<f64> {
    let verifier = MathVerifier::default();
    let judge = |(i, sample): (usize, &Completion)| {
        let response = sample.text.as_deref().unwrap_or_default();
        f64::from(u8::from(verifier.verify(&batch[i / GROUP].gold, response).is_correct()))
    };
    samples.iter().enumerate().map(judge).collect()
}

/// One step of GRPO: advantages within each group, coefficients of the log-probabilities, one backward pass.
fn learn(learner: &mut LmLearner, prompts: &[Prompt], samples: &[Completion], rewards: &[f64]) -> Result<()> {
    let groups: Vec<i64> = (0..rewards.len()).map(|i| (i / GROUP) as i64).collect();
    let advantages = GroupZScore::default().advantages(Outcomes::new(rewards)?.with_groups(&groups)?)?;
    let batch: Vec<_> = prompts.iter().zip(samples).map(|(p, s)| Sequence::new(&p.tokens, &s.tokens)).collect();
    let objective = Objective { kl: None, ..Preset::DrGrpo.objective() };
    // Counted on the whole batch, so that micro-batches add up to it.
    let lengths: Vec<Vec<f64>> = samples.iter().map(|sample| sample.log_probs.clone()).collect();
    let whole: Vec<_> = lengths.iter().map(|l| SequenceTerms::new(l, Advantages::Sequence(0.0))).collect();
    let denominators = Denominators::of(&whole);
    let mut refused = Ok(());
    learner.update(&batch, &mut |outputs| {
        let rows = outputs.log_probs.iter().zip(&advantages[outputs.range.clone()]);
        let terms: Vec<_> = rows.map(|(logp, &a)| SequenceTerms::new(logp, Advantages::Sequence(a))).collect();
        let evaluation = objective.evaluate(&terms, &denominators);
        evaluation.map_err(|e| refused = Err(e)).map_or(Coefficients::default(), |e| e.coefficients.into())
    })?;
    refused?;
    Ok(())
}

#[test]
fn a_few_steps_raise_the_share_of_right_samples() -> Result<()> {
    let mut shares = Vec::new();
    let model = train(Path::new(EMBEDDED), 8, Seed::root(7), &mut |_, share| shares.push(share))?;
    assert!(shares[6..].iter().sum::<f64>() > shares[..2].iter().sum::<f64>() + 0.1, "{shares:?}");
    assert!(model.logits(&[1, 2, 3])?.iter().all(|x| x.is_finite()));
    Ok(())
}
