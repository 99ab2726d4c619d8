//! Ops of estimators and metrics.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_algo::metrics::{
    Aggregate, Calibration, Interval, McNemar, PairedDifference, auc, best_of_k, best_of_k_curve, bootstrap_mean,
    brier, calibration, holm, mcnemar, paired_bootstrap, pass_at_k,
};
use tdrm_algo::search::tally;
use tdrm_core::{Probability, Seed, ShapeError};

use crate::{CalcError, OpDoc};

/// Declares an answer of one named field.
macro_rules! single {
    ($(#[$doc:meta])* $name:ident { $field:ident: $type:ty }) => {
        $(#[$doc])*
        #[derive(Debug, Serialize)]
        pub(crate) struct $name {
            $field: $type,
        }
    };
}

/// Fields of `pass_at_k`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PassAtK {
    n: u64,
    c: u64,
    k: u64,
}

single!(
    /// Answer of `pass_at_k`.
    PassAtKAnswer { pass_at_k: f64 }
);

impl PassAtK {
    pub(crate) fn run(self) -> Result<PassAtKAnswer, CalcError> {
        let pass_at_k = pass_at_k(self.n, self.c, self.k).map_err(CalcError::invalid)?;
        Ok(PassAtKAnswer { pass_at_k })
    }
}

/// Fields of `best_of_k`; the whole curve where `k` is absent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BestOfK {
    scores: Vec<f64>,
    outcomes: Vec<f64>,
    k: Option<usize>,
}

/// Answer of `best_of_k`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum BestOfKAnswer {
    One { best_of_k: f64 },
    Curve { curve: Vec<f64> },
}

impl BestOfK {
    pub(crate) fn run(self) -> Result<BestOfKAnswer, CalcError> {
        let answer = match self.k {
            Some(k) => best_of_k(&self.scores, &self.outcomes, k).map(|best_of_k| BestOfKAnswer::One { best_of_k }),
            None => best_of_k_curve(&self.scores, &self.outcomes).map(|curve| BestOfKAnswer::Curve { curve }),
        };
        answer.map_err(CalcError::invalid)
    }
}

/// Fields of `aggregate`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AggregateSteps {
    kind: String,
    temperature: Option<f64>,
    step_scores: Vec<f64>,
}

/// Answer of `aggregate`: the number under the name of the op and under that of a reward model's answer.
#[derive(Debug, Serialize)]
pub(crate) struct Aggregated {
    aggregate: f64,
    score: f64,
}

impl AggregateSteps {
    pub(crate) fn run(self) -> Result<Aggregated, CalcError> {
        let mut kind = serde_json::json!({ "kind": self.kind });
        if let Some(temperature) = self.temperature {
            kind["temperature"] = temperature.into();
        }
        let score = serde_json::from_value::<Aggregate>(kind)?.of(&self.step_scores);
        let score = score.ok_or_else(|| CalcError::invalid("expected at least one step score, got none"))?;
        Ok(Aggregated { aggregate: score, score })
    }
}

/// Fields of `vote`; a weight of 1 each where `weights` is absent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vote {
    answers: Vec<Option<String>>,
    weights: Option<Vec<f64>>,
}

/// Answer of `vote`, the winner first.
#[derive(Debug, Serialize)]
pub(crate) struct Votes {
    #[serde(skip_serializing_if = "Option::is_none")]
    winner: Option<String>,
    classes: Vec<Class>,
}

/// One class of equal answers.
#[derive(Debug, Serialize)]
struct Class {
    answer: String,
    weight: f64,
    voters: Vec<usize>,
}

impl Vote {
    pub(crate) fn run(self) -> Result<Votes, CalcError> {
        let weights = self.weights.unwrap_or_else(|| vec![1.0; self.answers.len()]);
        ShapeError::check("weights", self.answers.len(), weights.len())?;
        if let Some(w) = weights.iter().find(|w| !(0.0..f64::INFINITY).contains(*w)) {
            return Err(CalcError::invalid(format!("a vote must weigh at least 0, got {w}")));
        }
        let answers: Vec<_> = self.answers.iter().map(Option::as_deref).collect();
        let class =
            |c: tdrm_algo::search::Class<'_>| Class { answer: c.answer.to_owned(), weight: c.weight, voters: c.voters };
        let classes: Vec<Class> = tally(&answers, &weights).into_iter().map(class).collect();
        Ok(Votes { winner: classes.first().map(|c| c.answer.clone()), classes })
    }
}

/// Fields of `brier` and `calibration`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probabilities {
    probabilities: Vec<f64>,
    labels: Vec<f64>,
}

single!(
    /// Answer of `brier`.
    BrierAnswer { brier: f64 }
);

impl Probabilities {
    pub(crate) fn run(self) -> Result<BrierAnswer, CalcError> {
        let brier = brier(&self.probabilities, &self.labels).map_err(CalcError::invalid)?;
        Ok(BrierAnswer { brier })
    }
}

/// Fields of `calibration`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calibrate {
    probabilities: Vec<f64>,
    labels: Vec<f64>,
    #[serde(default = "ten")]
    bins: NonZeroUsize,
}

const fn ten() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(9)
}

impl Calibrate {
    pub(crate) fn run(self) -> Result<Calibration, CalcError> {
        if self.bins.get() > 1_000_000 {
            return Err(CalcError::invalid(format!("expected at most 1000000 bins, got {}", self.bins)));
        }
        calibration(&self.probabilities, &self.labels, self.bins).map_err(CalcError::invalid)
    }
}

/// Fields of `auc`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auc {
    scores: Vec<f64>,
    labels: Vec<f64>,
}

single!(
    /// Answer of `auc`.
    AucAnswer { auc: f64 }
);

impl Auc {
    pub(crate) fn run(self) -> Result<AucAnswer, CalcError> {
        Ok(AucAnswer { auc: auc(&self.scores, &self.labels).map_err(CalcError::invalid)? })
    }
}

/// How to resample; at most a billion draws.
#[derive(Debug, Deserialize)]
struct Resampling {
    level: Probability,
    resamples: NonZeroUsize,
    seed: u64,
}

impl Resampling {
    fn new(level: Option<Probability>, resamples: Option<NonZeroUsize>, seed: u64) -> Result<Self, CalcError> {
        let level = level.map_or_else(|| Probability::try_from(0.95), Ok).map_err(CalcError::invalid)?;
        let resamples = resamples.unwrap_or(NonZeroUsize::MIN.saturating_add(9_999));
        Ok(Self { level, resamples, seed })
    }

    fn check(&self, samples: usize) -> Result<(), CalcError> {
        match self.resamples.get().checked_mul(samples) {
            Some(draws) if draws <= 1_000_000_000 => Ok(()),
            _ => Err(CalcError::invalid("expected at most 1e9 draws (resamples times samples)")),
        }
    }
}

/// Fields of `bootstrap_mean`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bootstrap {
    samples: Vec<f64>,
    level: Option<Probability>,
    resamples: Option<NonZeroUsize>,
    seed: u64,
}

impl Bootstrap {
    pub(crate) fn run(self) -> Result<Interval, CalcError> {
        let how = Resampling::new(self.level, self.resamples, self.seed)?;
        how.check(self.samples.len())?;
        bootstrap_mean(&self.samples, how.level, how.resamples, Seed::root(how.seed)).map_err(CalcError::invalid)
    }
}

/// Fields of `paired_bootstrap`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paired {
    a: Vec<f64>,
    b: Vec<f64>,
    level: Option<Probability>,
    resamples: Option<NonZeroUsize>,
    seed: u64,
}

impl Paired {
    pub(crate) fn run(self) -> Result<PairedDifference, CalcError> {
        let how = Resampling::new(self.level, self.resamples, self.seed)?;
        how.check(self.a.len())?;
        paired_bootstrap(&self.a, &self.b, how.level, how.resamples, Seed::root(how.seed)).map_err(CalcError::invalid)
    }
}

/// Fields of `mcnemar`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Discordant {
    b: u64,
    c: u64,
}

impl Discordant {
    #[expect(clippy::unnecessary_wraps, reason = "the shape of every op")]
    pub(crate) fn run(self) -> Result<McNemar, CalcError> {
        Ok(mcnemar(self.b, self.c))
    }
}

/// Fields of `holm`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PValues {
    p_values: Vec<f64>,
}

single!(
    /// Answer of `holm`.
    HolmAnswer { adjusted: Vec<f64> }
);

impl PValues {
    #[expect(clippy::unnecessary_wraps, reason = "the shape of every op")]
    pub(crate) fn run(self) -> Result<HolmAnswer, CalcError> {
        Ok(HolmAnswer { adjusted: holm(&self.p_values) })
    }
}

const fn op(name: &'static str, fields: &'static str, formula: &'static str, example: &'static str) -> OpDoc {
    OpDoc { name, kind: "", fields, formula, example }
}

const fn aggregate(kind: &'static str, fields: &'static str, formula: &'static str, example: &'static str) -> OpDoc {
    OpDoc { name: "aggregate", kind, fields, formula, example }
}

/// Their lines of the list.
pub(crate) const OPS: &[OpDoc] = &[
    op("pass_at_k", "n, c, k", "1 − C(n−c, k) / C(n, k)", r#"{"op":"pass_at_k","n":4,"c":1,"k":2}"#),
    op(
        "best_of_k",
        "scores[N], outcomes[N], k (the curve for 1…N without it)",
        "Σ_i C(i−1, k−1)/C(n, k) · outcome_(i), ascending by score, ties averaged",
        r#"{"op":"best_of_k","scores":[0.9,0.5,0.1],"outcomes":[1,0,1],"k":2}"#,
    ),
    aggregate("min", "step_scores[K]", "min_k p_k", r#"{"op":"aggregate","kind":"min","step_scores":[0.5,0.25]}"#),
    aggregate(
        "product",
        "step_scores[K]",
        "exp Σ_k ln p_k",
        r#"{"op":"aggregate","kind":"product","step_scores":[0.5,0.25]}"#,
    ),
    aggregate("last", "step_scores[K]", "p_K", r#"{"op":"aggregate","kind":"last","step_scores":[0.5,0.25]}"#),
    aggregate(
        "mean",
        "step_scores[K]",
        "(1/K) Σ_k p_k",
        r#"{"op":"aggregate","kind":"mean","step_scores":[0.5,0.25]}"#,
    ),
    aggregate("sum", "step_scores[K]", "Σ_k p_k", r#"{"op":"aggregate","kind":"sum","step_scores":[0.5,0.25]}"#),
    aggregate(
        "softmin",
        "step_scores[K], temperature",
        "Σ_k softmax(−p/T)_k p_k",
        r#"{"op":"aggregate","kind":"softmin","temperature":0.1,"step_scores":[0.5,0.25]}"#,
    ),
    op(
        "vote",
        "answers[N] (text or null), weights[N] = 1",
        "argmax_a Σ_i w_i 1[a_i = a], ties to the first seen",
        r#"{"op":"vote","answers":["3",null,"5","5"],"weights":[0.9,0.8,0.3,0.4]}"#,
    ),
    op(
        "brier",
        "probabilities[N], labels[N]",
        "(1/N) Σ (p − y)²",
        r#"{"op":"brier","probabilities":[0.5,1],"labels":[0,1]}"#,
    ),
    op(
        "calibration",
        "probabilities[N], labels[N], bins = 10",
        "ECE = Σ_b n_b/N |accuracy_b − confidence_b|",
        r#"{"op":"calibration","probabilities":[0.25,0.75],"labels":[0,1]}"#,
    ),
    op(
        "auc",
        "scores[N], labels[N]",
        "P(s₊ > s₋) + ½ P(s₊ = s₋)",
        r#"{"op":"auc","scores":[0.9,0.4,0.4],"labels":[1,1,0]}"#,
    ),
    op(
        "bootstrap_mean",
        "samples[N], level = 0.95, resamples = 10000, seed",
        "percentile interval of the mean",
        r#"{"op":"bootstrap_mean","samples":[0,1,1],"resamples":100,"seed":7}"#,
    ),
    op(
        "paired_bootstrap",
        "a[N], b[N], level = 0.95, resamples = 10000, seed",
        "percentile interval and two-sided p of mean(a − b)",
        r#"{"op":"paired_bootstrap","a":[1,1,0],"b":[0,1,0],"resamples":100,"seed":7}"#,
    ),
    op(
        "mcnemar",
        "b, c (items only one arm solves)",
        "p = min(1, 2 P(Bin(b+c, ½) ≤ min(b, c)))",
        r#"{"op":"mcnemar","b":1,"c":4}"#,
    ),
    op("holm", "p_values[M]", "p̃_(i) = max_{j≤i} min(1, (M−j+1) p_(j))", r#"{"op":"holm","p_values":[0.03,0.01,0.5]}"#),
];
