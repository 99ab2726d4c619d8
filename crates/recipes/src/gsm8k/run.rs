//! The stages of the recipe, in order.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tdrm_core::{Event, Seed};
use tdrm_dfdx::{Lm, LmConfig};

use super::prepare::{Encoder, Split, vocabulary};
use super::{
    Agreement, ArmResults, Exercise, Gsm8kConfig, Gsm8kResults, NetworkResults, PairedResults, PartResults,
    WordTokenizer, measure, read_gsm8k,
};
use crate::cycle::quality::{Values, constant, score};
use crate::cycle::{Arm, FitSummary, Sampled, fit, stats};
use crate::{Context, RecipeError, Store, write_atomically};

/// What the recipe runs on.
#[derive(Debug, Clone, PartialEq)]
pub struct Gsm8k {
    /// Settings.
    pub config: Gsm8kConfig,
    /// Folder with the two files.
    pub data: PathBuf,
    /// Where the list of disagreements and the unfinished state go.
    pub out: PathBuf,
}

/// Share of agreement between verifier and labels below which a warning is given.
pub const EXPECTED_AGREEMENT: f64 = 0.995;

/// Reads, verifies, trains and compares; writes `disagreements.jsonl`.
///
/// # Errors
/// If a setting makes no sense, a file is malformed, a part fails, or the run was asked to stop; finished stages are
/// kept then.
pub fn gsm8k(job: &Gsm8k, context: &mut Context<'_>) -> Result<Gsm8kResults, RecipeError> {
    job.config.check()?;
    let exercises = read_gsm8k(&job.data)?;
    let identity = (&job.config, checksum(&exercises));
    let (store, found) = Store::open(&job.out.join("state"), &identity)?;
    if found > 0 {
        let message = format!("{found} finished stages found, going on from there");
        context.observer.on(&Event::Warning { stage: "resume", message: &message });
    }
    let agreement = verify(&exercises, &job.out, context)?;
    let results = Run::new(&job.config, &exercises, &agreement, &store)?.results(agreement, context)?;
    store.remove()?;
    Ok(results)
}

/// FNV-1a over all texts and labels.
fn checksum(exercises: &[Exercise]) -> u64 {
    let solutions = |e: &Exercise| {
        let each: Vec<_> = e.solutions.iter().map(|s| format!("{}{}", s.text, s.is_correct)).collect();
        each.concat()
    };
    let texts = exercises.iter().map(|e| format!("{}{}{}", e.question, e.gold, solutions(e)));
    let byte = |hash: u64, b: u8| (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3);
    texts.fold(0xCBF2_9CE4_8422_2325, |hash, text| text.bytes().fold(hash, byte))
}

fn verify(exercises: &[Exercise], out: &Path, context: &mut Context<'_>) -> Result<Agreement, RecipeError> {
    let stage = "verify the solutions";
    context.observer.on(&Event::Started { stage, total: exercises.len() as u64 });
    let agreement = Agreement::of(exercises);
    write_atomically(&out.join("disagreements.jsonl"), agreement.to_json_lines().as_bytes())?;
    context.observer.on(&Event::Finished { stage });
    if agreement.share() < EXPECTED_AGREEMENT {
        let share = 100.0 * agreement.share();
        let message = format!("verifier and labels agree on {share:.2} % of the solutions, expected at least 99.5 %");
        context.observer.on(&Event::Warning { stage, message: &message });
    }
    Ok(agreement)
}

/// One training and what it knows. The test values are looked at only if this training is chosen.
#[derive(Debug, Serialize, Deserialize)]
struct Candidate {
    summary: FitSummary,
    validation: Values,
    test: Values,
}

/// An arm with its values on the test problems.
struct Measured {
    results: ArmResults,
    test: Values,
    best_of: Vec<f64>,
}

struct Run<'a> {
    config: &'a Gsm8kConfig,
    store: &'a Store,
    root: Seed,
    tokenizer: WordTokenizer,
    base: Lm,
    train: Vec<Sampled>,
    validation: Vec<Sampled>,
    test: Vec<Sampled>,
}

impl<'a> Run<'a> {
    fn new(
        config: &'a Gsm8kConfig,
        exercises: &[Exercise],
        agreement: &Agreement,
        store: &'a Store,
    ) -> Result<Self, RecipeError> {
        let root = Seed::root(config.seed);
        let split = Split::new(exercises.len(), &config.split, root.named("split"))?;
        let tokenizer = vocabulary(exercises, &split.train, &config.text);
        let encoder = Encoder { tokenizer: &tokenizer, max_tokens: config.text.max_tokens };
        let encode = |part: &[usize]| encoder.encode(exercises, &agreement.verdicts, part);
        let (train, validation, test) = (encode(&split.train), encode(&split.validation), encode(&split.test));
        let longest = train.iter().chain(&validation).chain(&test).map(|p| p.prompt.len()).max().unwrap_or(0);
        let base = network(config, tokenizer.vocab_size(), longest, root.named("network"))?;
        Ok(Self { config, store, root, tokenizer, base, train, validation, test })
    }

    fn results(&self, agreement: Agreement, context: &mut Context<'_>) -> Result<Gsm8kResults, RecipeError> {
        let arms = &self.config.training.arms;
        let arms = arms.iter().map(|arm| self.arm(arm, context)).collect::<Result<Vec<_>, _>>()?;
        let references = self.references();
        Ok(Gsm8kResults {
            sources: agreement.sources,
            disagreements: agreement.disagreements,
            parts: vec![
                self.part("train", &self.train),
                self.part("validation", &self.validation),
                self.part("test", &self.test),
            ],
            network: NetworkResults { vocabulary: self.tokenizer.vocab_size(), parameters: self.base.len() },
            paired: self.paired(&arms),
            references: references.into_iter().map(|(name, right)| (name, self.interval(&right))).collect(),
            arms: arms.into_iter().map(|arm| arm.results).collect(),
        })
    }

    /// Every arm and pick is measured on the same resamples of the same problems.
    fn intervals(&self) -> Seed {
        self.root.named("intervals")
    }

    fn interval(&self, per_problem: &[f64]) -> crate::report::Estimate {
        stats::mean_with_interval(per_problem, self.intervals())
    }

    fn arm(&self, arm: &Arm, context: &mut Context<'_>) -> Result<Measured, RecipeError> {
        if !arm.is_trained() {
            let right = stats::mean(measure::random(&self.train).into_iter());
            return Ok(self.measured(arm, 0, vec![], &FitSummary::default(), constant(right, &self.test)));
        }
        let mut tried = Vec::new();
        for &epochs in &self.config.training.epochs {
            let candidate = self.candidate(arm, epochs, context)?;
            tried.push((epochs, measure::brier(&candidate.validation, &self.validation), candidate));
        }
        let validation = tried.iter().map(|(epochs, brier, _)| (*epochs, *brier)).collect();
        let best = tried.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
        let (epochs, _, best) = best.ok_or_else(|| RecipeError::Setting {
            field: "training.epochs",
            expected: "at least one number".to_owned(),
            got: "none".to_owned(),
        })?;
        Ok(self.measured(arm, epochs, validation, &best.summary, best.test))
    }

    fn candidate(&self, arm: &Arm, epochs: usize, context: &mut Context<'_>) -> Result<Candidate, RecipeError> {
        let name = format!("fit-{}-{epochs}", arm.name().replace([' ', '='], "-"));
        self.store.stage(&name, || {
            let (config, seed) = (self.config.training.for_epochs(epochs), self.root.named("fit"));
            let fitted = fit(arm, &self.base, &self.train, &config, seed, self.store.folder(), context)?;
            let (validation, test) = (score(&fitted.lm, &self.validation)?, score(&fitted.lm, &self.test)?);
            Ok(Candidate { summary: fitted.summary(arm), validation, test })
        })
    }

    fn measured(
        &self,
        arm: &Arm,
        epochs: usize,
        validation: Vec<(usize, f64)>,
        summary: &FitSummary,
        test: Values,
    ) -> Measured {
        const LAST: usize = 20;
        let last = &summary.losses[summary.losses.len().saturating_sub(LAST)..];
        let best_of = measure::best_of(&test, &self.test);
        let results = ArmResults {
            name: arm.name(),
            description: arm.describe(),
            epochs,
            validation,
            loss: (!last.is_empty()).then(|| stats::mean(last.iter().copied())),
            saturated: summary.saturated,
            inert: summary.inert,
            quality: measure::quality(&test, &self.test, self.intervals()),
            best_of: self.interval(&best_of),
            vote: self.interval(&measure::vote(&test, &self.test)),
        };
        Measured { results, test, best_of }
    }

    /// Picks that need no reward model.
    fn references(&self) -> Vec<(String, Vec<f64>)> {
        let sources = 0..self.train.first().map_or(0, |p| p.samples.len());
        let on_training = |&i: &usize| stats::mean(measure::source(i, &self.train).into_iter());
        let best = sources.max_by(|a, b| on_training(a).total_cmp(&on_training(b))).unwrap_or(0);
        vec![
            (RANDOM.to_owned(), measure::random(&self.test)),
            (MAJORITY.to_owned(), measure::majority(&self.test)),
            ("the source that is best on the training problems".to_owned(), measure::source(best, &self.test)),
            ("oracle".to_owned(), measure::oracle(&self.test)),
        ]
    }

    /// Each trained arm against the picks and against the arms before it.
    fn paired(&self, arms: &[Measured]) -> Vec<PairedResults> {
        let trained: Vec<_> = arms.iter().filter(|arm| arm.results.epochs > 0).collect();
        let picks = self.references().into_iter().filter(|(name, _)| name == RANDOM || name == MAJORITY);
        let picks: Vec<_> = picks.collect();
        let mut paired = Vec::new();
        for (i, a) in trained.iter().enumerate() {
            let accuracy = |b: &[f64]| {
                let differences: Vec<_> = a.best_of.iter().zip(b).map(|(a, b)| a - b).collect();
                self.interval(&differences)
            };
            let name = |b: &str| format!("{} - {b}", a.results.name);
            paired.extend(picks.iter().map(|(b, right)| PairedResults {
                name: name(b),
                accuracy: accuracy(right),
                auc: None,
            }));
            paired.extend(trained[..i].iter().map(|b| PairedResults {
                name: name(&b.results.name),
                accuracy: accuracy(&b.best_of),
                auc: measure::auc_difference(&a.test, &b.test, &self.test, self.intervals()),
            }));
        }
        paired
    }

    fn part(&self, name: &str, data: &[Sampled]) -> PartResults {
        let samples = || data.iter().flat_map(|p| &p.samples);
        let tokens = || samples().flat_map(|s| &s.response.tokens);
        let unknown = tokens().filter(|id| **id == self.tokenizer.unknown()).count();
        PartResults {
            name: name.to_owned(),
            problems: data.len(),
            solutions: samples().count(),
            right: stats::mean(measure::random(data).into_iter()),
            steps: stats::mean(samples().map(|s| s.response.step_ends.len() as f64)),
            tokens: stats::mean(samples().map(|s| s.response.tokens.len() as f64)),
            unknown: unknown as f64 / tokens().count().max(1) as f64,
            cut: samples().filter(|s| !s.response.stopped).count(),
        }
    }
}

const RANDOM: &str = "random";
const MAJORITY: &str = "majority";

/// A fresh network for this vocabulary.
fn network(config: &Gsm8kConfig, vocabulary: usize, longest_prompt: usize, seed: Seed) -> Result<Lm, RecipeError> {
    let shape = &config.model;
    let lm = LmConfig {
        intermediate_size: shape.intermediate_size,
        max_position_embeddings: longest_prompt + config.text.max_tokens,
        ..LmConfig::llama(vocabulary, shape.hidden_size, shape.layers, shape.heads)
    };
    Ok(Lm::init(lm, seed)?)
}
