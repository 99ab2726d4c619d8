//! Implementations that break each law on purpose: the kit must find them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::cell::Cell;

use rand::{Rng, RngExt};
use tdrm_core::{
    Behaviour, Budget, Coefficients, Decision, Draw, Environment, Expand, Found, Given, LogProb, LogProbs, Outcome,
    Outputs, Policy, PolicyError, Positive, RewardError, RewardModel, Rewards, Scored, SearchError, SearchSpace,
    SearchStrategy, Seed, Step, StepEnd, Steps, TabularMdp, Temperature, Trainable, Update, ValueTarget, Verdict,
    Verifier,
};
use tdrm_envs::learner::{Optimiser, TablePolicy};
use tdrm_envs::tabular::random_walk;
use tdrm_testkit::generators::OwnedSteps;
use tdrm_testkit::laws::{self, LawViolation, Scaling};
use tdrm_testkit::mocks::ScriptedTree;

fn law(result: Result<(), LawViolation>) -> &'static str {
    result.unwrap_err().law
}

// Reward models

/// What is wrong with a reward model on words.
#[derive(Clone, Copy)]
enum Flaw {
    LosesOne,
    CountsNeighbours,
    Moody,
    Sorts,
    Infinite,
    ChangesForm,
}

struct BrokenReward {
    flaw: Flaw,
    calls: std::sync::atomic::AtomicU32,
}

impl BrokenReward {
    fn new(flaw: Flaw) -> Self {
        Self { flaw, calls: 0.into() }
    }
}

impl RewardModel for BrokenReward {
    type Input = str;
    type Scalar = f32;

    fn score(&self, batch: &[&str]) -> Result<Vec<Rewards<f32>>, RewardError> {
        let call = self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut scores: Vec<_> = batch.iter().map(|s| s.len() as f32).collect();
        match self.flaw {
            Flaw::LosesOne => scores.truncate(1),
            Flaw::CountsNeighbours => scores.iter_mut().for_each(|s| *s += batch.len() as f32),
            Flaw::Moody => scores.iter_mut().for_each(|s| *s += call as f32),
            Flaw::Sorts => scores.sort_by(f32::total_cmp),
            Flaw::Infinite => scores.iter_mut().for_each(|s| *s /= 0.0),
            Flaw::ChangesForm if call > 0 => return Ok(scores.iter().map(|&s| Rewards::Steps(vec![s])).collect()),
            Flaw::ChangesForm => {}
        }
        Ok(scores.into_iter().map(Rewards::Trajectory).collect())
    }
}

#[test]
fn each_flaw_of_a_reward_model_is_found() {
    let found = |flaw| law(laws::reward_model(&BrokenReward::new(flaw), &["ccc", "a", "bb"], 1e-6));
    assert_eq!(found(Flaw::LosesOne), "one answer per request");
    assert_eq!(found(Flaw::CountsNeighbours), "an answer does not depend on its neighbours in the batch");
    assert_eq!(found(Flaw::Moody), "the same input gives the same output");
    assert_eq!(found(Flaw::Sorts), "answers follow the order of the requests");
    assert_eq!(found(Flaw::Infinite), "a score is a finite number");
    assert_eq!(found(Flaw::ChangesForm), "an input is scored in the same form (outcome or steps) every time");
}

// Policies

/// Draws a coin per context; `flaw` says what is wrong.
struct BrokenPolicy {
    flaw: PolicyFlaw,
    calls: Cell<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum PolicyFlaw {
    SharesOneSeed,
    HiddenRandomness,
    PositiveLogProbability,
    LosesOne,
    OtherTemperature,
}

impl Policy for BrokenPolicy {
    type Context = usize;
    type Action = u8;

    fn act(&self, draws: &[Draw<'_, usize>]) -> Result<Vec<Decision<u8>>, PolicyError> {
        self.calls.set(self.calls.get() + 1);
        let shared = draws.iter().fold(Seed::root(0), |s, d| s.child(d.seed.value()));
        let seed = |d: &Draw<'_, usize>| match self.flaw {
            PolicyFlaw::SharesOneSeed => shared.child(*d.context as u64),
            PolicyFlaw::HiddenRandomness => d.seed.child(self.calls.get()),
            _ => d.seed,
        };
        let log_prob = if self.flaw == PolicyFlaw::PositiveLogProbability { 0.5 } else { -(256.0_f64.ln()) };
        let behaviour = || Behaviour {
            log_probs: [log_prob].into_iter().collect(),
            temperature: Temperature::ONE,
            policy_version: 0,
        };
        let decisions = draws.iter().map(|d| Decision { action: seed(d).rng().random(), behaviour: behaviour() });
        Ok(decisions.skip(usize::from(self.flaw == PolicyFlaw::LosesOne)).collect())
    }
}

impl LogProb for BrokenPolicy {
    fn log_prob(&self, given: &[Given<'_, usize, u8>], _: Temperature) -> Result<Vec<LogProbs>, PolicyError> {
        Ok(given.iter().map(|_| [-1.0].into_iter().collect()).collect())
    }
}

#[test]
fn each_flaw_of_a_policy_is_found() {
    let broken = |flaw| BrokenPolicy { flaw, calls: Cell::new(0) };
    let found = |flaw| law(laws::policy(&broken(flaw), &[&0, &1, &2, &3], Seed::root(1), 0.0));
    assert_eq!(found(PolicyFlaw::SharesOneSeed), "answers follow the order of the requests");
    assert_eq!(found(PolicyFlaw::HiddenRandomness), "the same input gives the same output");
    assert_eq!(found(PolicyFlaw::PositiveLogProbability), "a log-probability is at most 0 and not NaN");
    assert_eq!(found(PolicyFlaw::LosesOne), "one answer per request");
    let scores = laws::log_prob(&broken(PolicyFlaw::OtherTemperature), &[&0], Seed::root(1), 1e-9);
    assert_eq!(law(scores), "log_prob agrees with the log-probabilities of the draw");
}

// Models that learn

#[derive(Clone, Copy, PartialEq)]
enum LearnFlaw {
    Downhill,
    SwallowsNan,
    ForgetsOne,
    CountsByTwo,
    Moody,
}

struct BrokenLearner {
    inner: TablePolicy,
    flaw: LearnFlaw,
    mood: f64,
}

impl Trainable for BrokenLearner {
    type Sequence = Vec<(usize, usize)>;

    fn update(
        &mut self,
        batch: &[Self::Sequence],
        loss: &mut dyn FnMut(Outputs<'_>) -> Coefficients,
    ) -> Result<Update, PolicyError> {
        let batch = if self.flaw == LearnFlaw::ForgetsOne { &batch[1..] } else { batch };
        let factor = match self.flaw {
            LearnFlaw::Downhill => -1.0,
            LearnFlaw::Moody => self.mood,
            _ => 1.0,
        };
        let swallows = self.flaw == LearnFlaw::SwallowsNan;
        let repaired = |x: f64| if swallows && x.is_nan() { 0.0 } else { factor * x };
        let update = self.inner.update(batch, &mut |outputs| {
            let mut c = loss(outputs);
            c.log_probs.iter_mut().flatten().for_each(|x| *x = repaired(*x));
            c
        })?;
        let step = if self.flaw == LearnFlaw::CountsByTwo { 2 * update.step } else { update.step };
        Ok(Update { step, ..update })
    }
}

#[test]
fn each_flaw_of_a_learner_is_found() {
    let batch = [vec![(0, 1), (1, 0)], vec![(1, 1)], vec![(0, 0)]];
    let optimiser = Optimiser::Sgd { learning_rate: Positive::new(0.1).unwrap() };
    let mut mood = 0.0;
    let mut found = |flaw| {
        let fresh = || {
            mood += 1.0;
            BrokenLearner { inner: TablePolicy::new(2, 3, optimiser), flaw, mood }
        };
        law(laws::trainable(fresh, &batch, 0.0))
    };
    assert_eq!(found(LearnFlaw::Downhill), "a small step up the log-probabilities raises them");
    assert_eq!(found(LearnFlaw::ForgetsOne), "each sequence is asked for once, in order");
    assert_eq!(found(LearnFlaw::CountsByTwo), "steps are counted by one and norms are finite");
    assert_eq!(found(LearnFlaw::Moody), "the same input gives the same output");
    assert_eq!(
        found(LearnFlaw::SwallowsNan),
        "a coefficient that is not finite is refused and leaves the weights as they were"
    );
    laws::trainable(|| TablePolicy::new(2, 3, optimiser), &batch, 0.0).unwrap();
}

// Value targets

#[derive(Clone, Copy)]
enum TargetFlaw {
    OneTooMany,
    Appends,
    IgnoresDiscounts,
    Clamps,
    ChokesOnNan,
}

struct BrokenTarget(TargetFlaw);

impl ValueTarget<f64> for BrokenTarget {
    fn targets_into(&self, steps: Steps<'_, f64>, out: &mut Vec<f64>) {
        if !matches!(self.0, TargetFlaw::Appends) {
            out.clear();
        }
        let one_step = steps.iter().map(|t| t.reward + t.discount * t.next_value);
        match self.0 {
            TargetFlaw::OneTooMany => out.extend(one_step.chain([0.0])),
            TargetFlaw::Appends => out.extend(one_step),
            TargetFlaw::IgnoresDiscounts => out.extend(steps.iter().map(|t| t.reward + t.next_value)),
            TargetFlaw::Clamps => out.extend(one_step.map(|x| x.clamp(0.0, 1.0))),
            TargetFlaw::ChokesOnNan => out.extend(one_step.filter(|x| !x.is_nan())),
        }
    }
}

#[test]
fn each_flaw_of_a_value_target_is_found() {
    let steps = OwnedSteps::on_policy(vec![0.3, -1.0, 0.7], vec![0.9, 0.5, 1.0], vec![0.1, 0.2, 0.3, 0.4]);
    let found = |flaw| law(laws::value_target(&BrokenTarget(flaw), &steps, Scaling::Linear));
    assert_eq!(found(TargetFlaw::OneTooMany), "there is one target per transition");
    assert_eq!(found(TargetFlaw::Appends), "what was in the output before does not matter");
    assert_eq!(found(TargetFlaw::IgnoresDiscounts), "what follows a discount of 0 changes nothing before it");
    assert_eq!(found(TargetFlaw::Clamps), "scaling rewards and values scales the targets");
    assert_eq!(found(TargetFlaw::ChokesOnNan), "any numbers give one target per transition");
    laws::value_target(&BrokenTarget(TargetFlaw::Clamps), &steps, Scaling::Other).unwrap();
}

// Verifiers

struct BrokenVerifier {
    forgetful: bool,
    calls: std::sync::atomic::AtomicU32,
}

impl Verifier for BrokenVerifier {
    type Task = str;

    fn verify(&self, task: &str, response: &str) -> Verdict {
        let call = self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (gold, extracted) = (task.to_owned(), response.to_owned());
        let right = if self.forgetful { call.is_multiple_of(2) } else { task.len() < response.len() };
        if right { Verdict::Correct { gold, extracted } } else { Verdict::Incorrect { gold, extracted } }
    }
}

#[test]
fn each_flaw_of_a_verifier_is_found() {
    let broken = |forgetful| BrokenVerifier { forgetful, calls: 0.into() };
    assert_eq!(law(laws::verifier(&broken(true), &[("4", "4")])), "the same input gives the same output");
    assert_eq!(law(laws::verifier(&broken(false), &[("4", "4")])), "a task's own answer is never judged incorrect");
}

// Search strategies

#[derive(Clone, Copy)]
enum SearchFlaw {
    Overdraws,
    Underreports,
    WorstFirst,
    IncompleteFirst,
    Nan,
}

/// Expands the root twice and returns everything.
struct BrokenSearch(SearchFlaw);

impl<S: SearchSpace> SearchStrategy<S> for BrokenSearch {
    fn search(&self, space: &mut S, budget: Budget, seed: Seed) -> Result<Found<S::Node>, SearchError> {
        let (root, mut nodes, mut spent) = (space.root(), vec![], 0);
        for level in 0..2 {
            if budget.allows(spent) || matches!(self.0, SearchFlaw::Overdraws) {
                let request = Expand { node: nodes.last().unwrap_or(&root), width: 2, seed: seed.child(level) };
                let children = space.expand(&[request])?.concat();
                spent += children.iter().map(|c| space.cost(c)).sum::<u64>();
                nodes.extend(children);
            }
        }
        let values = space.value(&nodes)?;
        let count = nodes.len() as u64;
        let mut candidates: Vec<_> =
            nodes.into_iter().zip(values).map(|(node, score)| Scored { node, score }).collect();
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        candidates.sort_by_key(|c| !space.is_complete(&c.node));
        match self.0 {
            SearchFlaw::Overdraws => {}
            SearchFlaw::Underreports => spent /= 2,
            SearchFlaw::WorstFirst => candidates.sort_by(|a, b| a.score.total_cmp(&b.score)),
            SearchFlaw::IncompleteFirst => candidates.sort_by_key(|c| space.is_complete(&c.node)),
            SearchFlaw::Nan => candidates[0].score = f64::NAN,
        }
        Ok(Found { candidates, spent, nodes: count })
    }
}

#[test]
fn each_flaw_of_a_search_is_found() {
    let tree = || ScriptedTree::full(2, 2, |path| path.iter().fold(0.0, |x, &c| 2.0 * x + c as f64));
    let found = |flaw| law(laws::search_strategy(&BrokenSearch(flaw), tree, Seed::root(0)));
    assert_eq!(found(SearchFlaw::Overdraws), "no expansion begins once the budget is spent");
    assert_eq!(found(SearchFlaw::Underreports), "what is reported as spent is what was spent");
    assert_eq!(
        found(SearchFlaw::IncompleteFirst),
        "complete candidates come before incomplete ones, better before worse"
    );
    assert_eq!(found(SearchFlaw::WorstFirst), "complete candidates come before incomplete ones, better before worse");
    assert_eq!(found(SearchFlaw::Nan), "no score is NaN");
}

// Environments

struct BrokenWorld {
    rows: [Vec<Outcome>; 2],
    initial: Vec<f64>,
    ticks: Cell<u32>,
    moody: bool,
}

impl BrokenWorld {
    fn new(row: &[(f64, usize, f64)], initial: Vec<f64>) -> Self {
        let outcome =
            |&(probability, next_state, reward)| Outcome { probability, next_state, reward, terminated: false };
        let row: Vec<_> = row.iter().map(outcome).collect();
        Self { rows: [row.clone(), row], initial, ticks: Cell::new(0), moody: false }
    }
}

impl TabularMdp for BrokenWorld {
    fn n_states(&self) -> usize {
        2
    }
    fn n_actions(&self) -> usize {
        1
    }
    fn transitions(&self, state: usize, action: usize) -> &[Outcome] {
        if action == 0 { self.rows.get(state).map_or(&[], Vec::as_slice) } else { &[] }
    }
    fn initial(&self) -> &[f64] {
        &self.initial
    }
}

/// Samples all outcomes of a row alike, whatever their probabilities.
impl Environment for BrokenWorld {
    type State = usize;
    type Action = usize;

    fn reset(&self, _: &mut dyn Rng) -> usize {
        0
    }

    fn step(&self, state: &usize, _: &usize, rng: &mut dyn Rng) -> Step<usize> {
        self.ticks.set(self.ticks.get() + 1);
        let row = &self.rows[*state];
        let outcome = row[rng.random_range(0..row.len())];
        let mood = if self.moody { f64::from(self.ticks.get()) } else { 0.0 };
        Step { state: outcome.next_state, reward: outcome.reward + mood, end: StepEnd::Running }
    }
}

#[test]
fn each_flaw_of_an_environment_is_found() {
    let moody = BrokenWorld { moody: true, ..BrokenWorld::new(&[(1.0, 1, 0.0)], vec![1.0, 0.0]) };
    assert_eq!(law(laws::environment(&moody, &[0], Seed::root(0))), "the same input gives the same output");
    let nan = BrokenWorld::new(&[(1.0, 1, f64::NAN)], vec![1.0, 0.0]);
    assert_eq!(law(laws::environment(&nan, &[0], Seed::root(0))), "a reward is a finite number");
}

#[test]
fn each_flaw_of_a_table_is_found() {
    let found =
        |row: &[(f64, usize, f64)], initial: &[f64]| law(laws::tabular_mdp(&BrokenWorld::new(row, initial.to_vec())));
    assert_eq!(found(&[(0.9, 0, 0.0)], &[1.0, 0.0]), "probabilities are positive and sum to 1");
    assert_eq!(found(&[(1.5, 0, 0.0), (-0.5, 1, 0.0)], &[1.0, 0.0]), "probabilities are positive and sum to 1");
    assert_eq!(found(&[(1.0, 2, 0.0)], &[1.0, 0.0]), "successors exist");
    assert_eq!(found(&[(1.0, 0, f64::INFINITY)], &[1.0, 0.0]), "a reward is a finite number");
    assert_eq!(found(&[(1.0, 0, 0.0)], &[0.7, 0.0]), "the initial distribution sums to 1");
    let lopsided = BrokenWorld::new(&[(0.9, 0, 0.0), (0.1, 1, 0.0)], vec![1.0, 0.0]);
    assert_eq!(law(laws::frequencies(&lopsided, 2000, Seed::root(0))), "samples follow the listed probabilities");
    laws::frequencies(&random_walk(3, 0.0, 1.0).unwrap(), 2000, Seed::root(0)).unwrap();
}
