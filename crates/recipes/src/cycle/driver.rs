//! The stages of the main job, in order, for each seed.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tdrm_algo::metrics::holm;
use tdrm_algo::search::{Beam, GreedySearch};
use tdrm_core::{Budget, Event, SearchStrategy, Seed};
use tdrm_dfdx::Lm;

use super::fit::{FitSummary, Fitted};
use super::grpo::greedy_accuracy;
use super::quality::{Truth, Values, constant, measure, roll_out, score};
use super::{
    Arm, ArmResults, CycleConfig, PairedResult, Plan, PolicyResults, ReferenceResults, RlResult, Run, Sampled,
    SearchResult, SeedResults, Signal, StepSpace, Targets, fit, sample_and_judge, select, stats,
};
use crate::model::{Context, Model};
use crate::{Judge, Problem, RecipeError, Store, write_atomically};

/// N at which arms are compared.
const COMPARED_N: usize = 16;

/// What the main job runs on.
#[derive(Debug, Clone)]
pub struct Cycle {
    /// Settings.
    pub config: CycleConfig,
    /// The policy, and the trunk of the reward models.
    pub model: Model,
    /// Problems of one's own; drawn from the task where absent.
    pub problems: Option<Vec<Problem>>,
    /// Where unfinished state goes.
    pub out: PathBuf,
}

/// Runs all seeds.
///
/// # Errors
/// If a setting makes no sense, a part fails, or the run was asked to stop; finished stages are kept then.
pub fn cycle(job: &Cycle, context: &mut Context<'_>) -> Result<Vec<SeedResults>, RecipeError> {
    job.config.check()?;
    let seeds = (0..job.config.seeds as u64).map(|i| job.config.seed + i);
    let results = seeds.map(|seed| one_seed(job, seed, context)).collect::<Result<Vec<_>, _>>()?;
    for seed in results.iter().map(|r| r.seed) {
        let folder = state_folder(&job.out, seed);
        fs::remove_dir_all(&folder).map_err(RecipeError::file(&folder))?;
    }
    Ok(results)
}

fn state_folder(out: &Path, seed: u64) -> PathBuf {
    out.join("state").join(format!("seed-{seed}"))
}

/// What binds stages on disk to a run.
#[derive(Serialize)]
struct Identity<'a> {
    config: CycleConfig,
    weights: u64,
    problems: &'a Option<Vec<Problem>>,
}

fn one_seed(job: &Cycle, seed: u64, context: &mut Context<'_>) -> Result<SeedResults, RecipeError> {
    let config = CycleConfig { seed, seeds: 1, ..job.config.clone() };
    let identity = Identity { config, weights: checksum(&job.model.lm), problems: &job.problems };
    let (store, found) = Store::open(&state_folder(&job.out, seed), &identity)?;
    if found > 0 {
        let message = format!("seed {seed}: {found} finished stages found, going on from there");
        context.observer.on(&Event::Warning { stage: "resume", message: &message });
    }
    let seed_run = SeedRun { job, root: Seed::root(seed), store: &store, seed };
    store.stage("results", || seed_run.run(context))
}

/// FNV-1a over the bits of all weights.
fn checksum(lm: &Lm) -> u64 {
    let words = lm.parameters().flat_map(|(_, _, weights)| weights.iter().map(|w| w.to_bits()));
    words.fold(0xCBF2_9CE4_8422_2325, |hash, w| (hash ^ u64::from(w)).wrapping_mul(0x0000_0100_0000_01B3))
}

/// Problems for each purpose, disjoint.
#[derive(Debug, Serialize, Deserialize)]
struct Split {
    train: Vec<Problem>,
    validation: Vec<Problem>,
    test: Vec<Problem>,
}

/// A trained arm with its values on the test samples.
#[derive(Clone)]
struct Scored {
    arm: Arm,
    lm: Option<Lm>,
    test: Values,
    results: ArmResults,
    per_problem: Vec<f64>,
}

impl Scored {
    /// The same model under the name of another arm that has the same targets.
    fn named_after(&self, arm: &Arm) -> Self {
        let description = format!("{}; every target is that of `{}`", arm.describe(), self.results.name);
        let results = ArmResults { name: arm.name(), description, ..self.results.clone() };
        Self { arm: arm.clone(), results, ..self.clone() }
    }
}

/// The earlier arm whose targets are, sample by sample, those of `arm`, and depend on no value.
fn same_targets(arm: &Arm, earlier: &[Scored], train: &[Sampled]) -> Result<Option<usize>, RecipeError> {
    'arms: for (i, other) in earlier.iter().enumerate().filter(|(_, other)| other.lm.is_some()) {
        for sample in train.iter().flat_map(|p| &p.samples) {
            let fixed = arm.fixed_targets(sample)?;
            let same =
                |t: &Targets| Ok::<_, RecipeError>(other.arm.fixed_targets(sample)?.is_some_and(|o| o.same_as(t)));
            if !fixed.as_ref().map_or(Ok(false), same)? {
                continue 'arms;
            }
        }
        return Ok(Some(i));
    }
    Ok(None)
}

struct SeedRun<'a> {
    job: &'a Cycle,
    root: Seed,
    store: &'a Store,
    seed: u64,
}

impl SeedRun<'_> {
    fn config(&self) -> &CycleConfig {
        &self.job.config
    }

    fn run(&self, context: &mut Context<'_>) -> Result<SeedResults, RecipeError> {
        let split = self.store.stage("problems", || self.split())?;
        let judge = Judge::of(&[&split.train[..], &split.validation, &split.test].concat());
        let data = &self.config().data;
        let train = self.samples("sample for training", &split.train, data.train_samples, judge, context)?;
        let validation = self.samples("sample for validation", &split.validation, data.test_samples, judge, context)?;
        let test = self.samples("sample for testing", &split.test, data.test_samples, judge, context)?;
        let truth = self.store.stage("truth", || {
            let seed = self.root.named("truth");
            roll_out(self.config(), &self.job.model, judge, &test, seed, self.store.folder(), context)
        })?;
        let arms = self.arms(&train, &validation, &test, &truth, context)?;
        let searches = self.searches(&arms, &test, judge, context)?;
        let rl = self.reinforce(&arms, &split, judge, context)?;
        let best = arms.iter().max_by(|a, b| a.results.validation.total_cmp(&b.results.validation));
        Ok(SeedResults {
            seed: self.seed,
            policy: self.policy(&split, &test, judge)?,
            references: self.references(&test, &truth),
            paired: self.paired(&arms),
            chosen: best.map(|a| a.arm.name()).unwrap_or_default(),
            arms: arms.into_iter().map(|a| a.results).collect(),
            searches,
            rl,
        })
    }

    /// Draws distinct problems, or shares out the given ones.
    fn split(&self) -> Result<Split, RecipeError> {
        let data = &self.config().data;
        let rng = &mut self.root.named("problems").rng();
        let (mut problems, validation, test) = match &self.job.problems {
            Some(given) => {
                let mut seen = HashSet::new();
                let mut given: Vec<_> = given.iter().filter(|p| seen.insert(p.prompt.as_str())).cloned().collect();
                given.shuffle(rng);
                let (validation, test) = (given.len() / 10, given.len() * 3 / 10);
                (given, validation.min(data.validation_problems), test.min(data.test_problems))
            }
            None => (self.drawn(rng)?, data.validation_problems, data.test_problems),
        };
        let enough = validation > 0 && test > 0 && problems.len() > validation + test;
        if !enough {
            let got = problems.len().to_string();
            return Err(RecipeError::Setting {
                field: "problems",
                expected: "at least 10 different problems".into(),
                got,
            });
        }
        let test = problems.drain(..test).collect();
        let validation = problems.drain(..validation).collect();
        problems.truncate(data.train_problems);
        Ok(Split { train: problems, validation, test })
    }

    fn drawn(&self, rng: &mut dyn rand::Rng) -> Result<Vec<Problem>, RecipeError> {
        let data = &self.config().data;
        let wanted = data.train_problems + data.validation_problems + data.test_problems;
        let (mut seen, mut problems) = (HashSet::new(), Vec::with_capacity(wanted));
        for _ in 0..100 * wanted {
            if problems.len() == wanted {
                break;
            }
            let chain = data.task.sample(rng).map_err(|e| RecipeError::Setting {
                field: "data.task",
                expected: "a task that can be drawn from".to_owned(),
                got: e.to_string(),
            })?;
            if seen.insert(chain.to_string()) {
                problems.push(Problem::from(&chain));
            }
        }
        Ok(problems)
    }

    fn samples(
        &self,
        stage: &str,
        problems: &[Problem],
        count: usize,
        judge: Judge,
        context: &mut Context<'_>,
    ) -> Result<Vec<Sampled>, RecipeError> {
        let data = &self.config().data;
        let (temperature, max_tokens, seed) = (data.temperature, data.max_tokens, self.root.named(stage));
        let plan = Plan { count, temperature, max_tokens, seed };
        self.store.stage(&stage.replace(' ', "-"), || {
            sample_and_judge(stage, &self.job.model, judge, problems, plan, self.store.folder(), context)
        })
    }

    fn arms(
        &self,
        train: &[Sampled],
        validation: &[Sampled],
        test: &[Sampled],
        truth: &Truth,
        context: &mut Context<'_>,
    ) -> Result<Vec<Scored>, RecipeError> {
        let labelled = train.iter().flat_map(|p| &p.samples).all(|s| s.step_labels.is_some());
        let mut arms = Vec::new();
        for arm in &self.config().reward.arms {
            if !labelled && matches!(arm, Arm::StepLabels {}) {
                let message = "steps of these problems have no labels: the arm `step labels` is left out";
                context.observer.on(&Event::Warning { stage: "fit", message });
                continue;
            }
            let same = same_targets(arm, &arms, train)?;
            if let Some(earlier) = same.and_then(|i| arms.get(i)) {
                let message =
                    format!("every target of `{}` is that of `{}`: trained once", arm.name(), earlier.results.name);
                context.observer.on(&Event::Warning { stage: "fit", message: &message });
                arms.push(earlier.named_after(arm));
                continue;
            }
            arms.push(self.arm(arm, train, validation, test, truth, context)?);
        }
        Ok(arms)
    }

    fn arm(
        &self,
        arm: &Arm,
        train: &[Sampled],
        validation: &[Sampled],
        test: &[Sampled],
        truth: &Truth,
        context: &mut Context<'_>,
    ) -> Result<Scored, RecipeError> {
        let (summary, lm) = if arm.is_trained() {
            let fitted = self.fitted(arm, train, context)?;
            (fitted.summary(arm), Some(fitted.lm))
        } else {
            (FitSummary::default(), None)
        };
        let base_rate = stats::mean(train.iter().flat_map(|p| &p.samples).map(|s| f64::from(u8::from(s.correct))));
        let values = |data: &[Sampled]| lm.as_ref().map_or_else(|| Ok(constant(base_rate, data)), |lm| score(lm, data));
        let (on_test, on_validation) = (values(test)?, values(validation)?);
        // Every arm is measured on the same resamples of the same problems.
        let quality = measure(&on_test, test, truth, self.root.named("intervals"))?;
        let interval = |values: &[f64]| stats::mean_with_interval(values, self.root.named("best of"));
        let n = COMPARED_N.min(self.config().data.test_samples);
        let best_of = |n, scores: &[Vec<f64>]| select::best_of(n, scores, test);
        let last = select::last(&on_test);
        let results = ArmResults {
            name: arm.name(),
            description: arm.describe(),
            fit: summary,
            brier_end: quality.brier_end,
            auc_end: quality.auc_end,
            brier_prefix: quality.brier_prefix,
            auc_prefix: quality.auc_prefix,
            mse_truth: quality.mse_truth,
            mse_by_step: quality.mse_by_step,
            value_change: quality.value_change,
            td_error: quality.td_error,
            best_of: self.sizes().into_iter().map(|n| (n, interval(&best_of(n, &last)))).collect(),
            aggregations: select::summaries(&on_test)
                .iter()
                .map(|(k, s)| (k.clone(), interval(&best_of(n, s))))
                .collect(),
            validation: stats::mean(select::best_of(n, &select::last(&on_validation), validation).into_iter()),
        };
        Ok(Scored { arm: arm.clone(), lm, per_problem: best_of(n, &last), test: on_test, results })
    }

    fn sizes(&self) -> Vec<usize> {
        select::sizes(self.config().data.test_samples)
    }

    /// Fits an arm, or reads it from an earlier attempt.
    fn fitted(&self, arm: &Arm, train: &[Sampled], context: &mut Context<'_>) -> Result<Fitted, RecipeError> {
        let name = format!("arm-{}", arm.name().replace([' ', '='], "-"));
        let weights = self.store.folder().join(format!("{name}.safetensors"));
        let mut fresh = None;
        let (saturation, losses) = self.store.stage(&name, || {
            let seed = self.root.named("fit");
            let base = &self.job.model.lm;
            let fitted = fit(arm, base, train, &self.config().reward, seed, self.store.folder(), context)?;
            write_atomically(&weights, &fitted.lm.to_bytes()?)?;
            let kept = (fitted.saturation, fitted.losses);
            fresh = Some(fitted.lm);
            Ok::<_, RecipeError>(kept)
        })?;
        let lm = if let Some(lm) = fresh {
            lm
        } else {
            let bytes = fs::read(&weights).map_err(RecipeError::file(&weights))?;
            Lm::from_bytes(&self.job.model.lm.config().to_json(), &bytes)?
        };
        Ok(Fitted { lm, saturation, losses })
    }

    fn policy(&self, split: &Split, test: &[Sampled], judge: Judge) -> Result<PolicyResults, RecipeError> {
        let greedy = greedy_accuracy(self.config(), &self.job.model, judge, &split.test)?;
        let samples = || test.iter().flat_map(|p| &p.samples);
        let sampled: Vec<_> =
            test.iter().map(|p| stats::mean(p.samples.iter().map(|s| f64::from(u8::from(s.correct))))).collect();
        let steps = samples().filter_map(|s| Some((s.step_labels.as_ref()?, s.correct)));
        let conflicts: Vec<_> =
            steps.flat_map(|(labels, right)| labels.iter().map(move |&l| f64::from(u8::from(l != right)))).collect();
        Ok(PolicyResults {
            sampled: stats::mean_with_interval(&sampled, self.root.named("best of")),
            greedy: stats::mean_with_interval(&greedy, self.root.named("best of")),
            unreadable: stats::mean(samples().map(|s| f64::from(u8::from(!s.readable)))),
            label_conflict: (!conflicts.is_empty()).then(|| stats::mean(conflicts.into_iter())),
            tokens: stats::mean(samples().map(|s| s.response.tokens.len() as f64)),
        })
    }

    fn references(&self, test: &[Sampled], truth: &Truth) -> ReferenceResults {
        let interval = |values: &[f64]| stats::mean_with_interval(values, self.root.named("best of"));
        let seed = self.root.named("majority");
        let sizes = self.sizes();
        ReferenceResults {
            oracle: sizes.iter().map(|&n| (n, interval(&select::oracle(n, test)))).collect(),
            majority: sizes.iter().map(|&n| (n, interval(&select::majority(n, test, seed.child(n as u64))))).collect(),
            true_value_change: truth.value_change(),
            rollout_noise: truth.noise(),
            prefixes: truth.prefixes(),
        }
    }

    /// The comparisons that were chosen before anything was run (TDRM card, §12).
    fn paired(&self, arms: &[Scored]) -> Vec<PairedResult> {
        let planned = [
            ("tdrm n=1", "outcome"),
            ("td n=1", "outcome"),
            ("td(0.95)", "outcome"),
            ("tdrm n=1", "step labels"),
            ("td(0.95)", "step labels"),
            ("td(0.95)", "orm"),
            ("tdrm n=1", "tdrm n=3"),
        ];
        let find = |name: &str| arms.iter().find(|a| a.results.name == name);
        let compared: Vec<_> = planned.iter().filter_map(|(a, b)| Some((find(a)?, find(b)?))).collect();
        let seed = self.root.named("best of");
        let differences = compared.iter().map(|(a, b)| stats::difference(&a.per_problem, &b.per_problem, seed));
        let (differences, p_values): (Vec<_>, Vec<_>) = differences.unzip();
        let names = compared.iter().map(|(a, b)| format!("{} - {}", a.results.name, b.results.name));
        let rows = names.zip(differences).zip(holm(&p_values));
        rows.map(|((name, difference), p_value)| PairedResult { name, difference, p_value }).collect()
    }

    fn searches(
        &self,
        arms: &[Scored],
        test: &[Sampled],
        judge: Judge,
        context: &mut Context<'_>,
    ) -> Result<Vec<SearchResult>, RecipeError> {
        let config = &self.config().search;
        let guides: Vec<_> = arms.iter().filter(|a| config.arms.contains(&a.results.name)).collect();
        let strategies = self.strategies();
        let stage = "guided search";
        context.observer.on(&Event::Started { stage, total: (strategies.len() * guides.len()) as u64 });
        let mut results = Vec::new();
        for (name, strategy) in &strategies {
            for guide in &guides {
                context.stop.check(self.store.folder())?;
                let key = format!("search-{}-{}", name, guide.results.name).replace([' ', '='], "-");
                results.push(self.store.stage(&key, || self.search(name, &**strategy, guide, test, judge))?);
                context.observer.on(&Event::Progress { stage, done: results.len() as u64 });
            }
        }
        context.observer.on(&Event::Finished { stage });
        Ok(results)
    }

    fn strategies(&self) -> Vec<(String, Box<Strategy>)> {
        let config = &self.config().search;
        let count = |n| std::num::NonZeroUsize::new(n).unwrap_or(std::num::NonZeroUsize::MIN);
        let mut strategies: Vec<(String, Box<Strategy>)> = Vec::new();
        for &branches in &config.branching {
            let greedy = GreedySearch { branching: count(branches), depth: config.depth };
            strategies.push((format!("greedy, {branches} branches"), Box::new(greedy)));
        }
        let beam = Beam { beam: count(config.beam), width: count(config.width), depth: config.depth };
        strategies.push((format!("beam {}x{}", config.beam, config.width), Box::new(beam)));
        strategies
    }

    fn search(
        &self,
        name: &str,
        strategy: &Strategy,
        guide: &Scored,
        test: &[Sampled],
        judge: Judge,
    ) -> Result<SearchResult, RecipeError> {
        let config = self.config();
        let searched = &test[..config.search.problems.min(test.len())];
        let lm = guide.lm.as_ref().unwrap_or(&self.job.model.lm);
        let seed = self.root.named("search").named(name);
        let one = |(i, p): (usize, &Sampled)| -> Result<(f64, f64), RecipeError> {
            let prompt = &p.problem.prompt;
            let mut space =
                StepSpace::new(&self.job.model, lm, prompt, config.data.temperature, config.search.step_tokens)?;
            let found = strategy.search(&mut space, Budget::Unlimited, seed.child(i as u64))?;
            let text = found.best().map(|best| self.job.model.text(&best.node.tokens)).unwrap_or_default();
            let right = judge.verdict(&p.problem, &text).is_correct();
            Ok((f64::from(u8::from(right)), found.spent as f64))
        };
        let found: Vec<_> = searched.par_iter().enumerate().map(one).collect::<Result<_, _>>()?;
        let (right, tokens): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let tokens = stats::mean(tokens.into_iter());
        let per_sample = stats::mean(searched.iter().flat_map(|p| &p.samples).map(|s| s.response.tokens.len() as f64));
        let scores = select::last(&guide.test);
        let curve: Vec<_> = self
            .sizes()
            .into_iter()
            .map(|n| {
                (n, crate::report::Estimate::exact(stats::mean(select::best_of(n, &scores, searched).into_iter())))
            })
            .collect();
        Ok(SearchResult {
            strategy: name.to_owned(),
            arm: guide.results.name.clone(),
            accuracy: stats::mean_with_interval(&right, self.root.named("best of")),
            tokens,
            best_of_equal: select::interpolated(&curve, tokens / per_sample),
        })
    }

    fn reinforce(
        &self,
        arms: &[Scored],
        split: &Split,
        judge: Judge,
        context: &mut Context<'_>,
    ) -> Result<Vec<RlResult>, RecipeError> {
        let wanted = &self.config().rl.reward_model;
        let Some(reward) = arms.iter().find(|a| &a.results.name == wanted).and_then(|a| a.lm.as_ref()) else {
            let message = format!("the arm `{wanted}` is not there: no reinforcement learning");
            context.observer.on(&Event::Warning { stage: "grpo", message: &message });
            return Ok(vec![]);
        };
        let before = greedy_accuracy(self.config(), &self.job.model, judge, &split.test)?;
        let runs = Signal::ALL.into_iter();
        runs.map(|signal| {
            self.store.stage(&format!("grpo-{}", signal.name().replace(' ', "-")), || {
                self.reinforce_with(signal, reward, split, judge, &before, context)
            })
        })
        .collect()
    }

    fn reinforce_with(
        &self,
        signal: Signal,
        reward: &Lm,
        split: &Split,
        judge: Judge,
        before: &[f64],
        context: &mut Context<'_>,
    ) -> Result<RlResult, RecipeError> {
        let config = self.config();
        let run = Run {
            config,
            signal,
            policy: &self.job.model,
            reward,
            judge,
            problems: &split.train,
            validation: &split.validation,
            seed: self.root.named("grpo"),
        };
        let improved = run.learn(self.store.folder(), context)?;
        let greedy = greedy_accuracy(config, &improved.model, judge, &split.test)?;
        let plan = Plan {
            count: 4,
            temperature: config.data.temperature,
            max_tokens: config.data.max_tokens,
            seed: self.root.named("grpo").named("samples"),
        };
        let stage = format!("test {}", signal.name());
        let samples =
            sample_and_judge(&stage, &improved.model, judge, &split.test, plan, self.store.folder(), context)?;
        let right: Vec<_> =
            samples.iter().map(|p| stats::mean(p.samples.iter().map(|s| f64::from(u8::from(s.correct))))).collect();
        let values = select::last(&score(reward, &samples)?).concat();
        let seed = self.root.named("best of");
        Ok(RlResult {
            signal,
            curve: improved.curve,
            gain: stats::difference(&greedy, before, seed).0,
            greedy: stats::mean_with_interval(&greedy, seed),
            sampled: stats::mean_with_interval(&right, seed),
            value: stats::mean(values.into_iter()),
        })
    }
}

type Strategy = dyn for<'s> SearchStrategy<StepSpace<'s>> + Sync;
