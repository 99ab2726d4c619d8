//! The ops `kl` and `entropy`.

use serde::{Deserialize, Serialize};
use tdrm_algo::objective::categorical::{add_entropy_gradient, add_kl_gradient, entropy, kl, log_softmax};
use tdrm_algo::objective::{Aggregation, Denominators, Kl, KlEstimator, KlPlace};
use tdrm_core::{NonNegative, Positive};

use super::objective::mask::{self, Mask};
use crate::{CalcError, OpDoc};

/// Fields of `kl`: log-probabilities of drawn tokens, or whole distributions for the estimator `full`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    estimator: KlEstimator,
    logp: Column,
    ref_logp: Column,
    #[serde(default)]
    value_limit: Option<Positive>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "logp: [T], or [T][A] for the estimator full")]
enum Column {
    Drawn(Vec<f64>),
    Whole(Vec<Vec<f64>>),
}

/// Answer of `kl`.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    kl: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dlogp: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dlogits: Vec<Vec<f64>>,
}

impl Request {
    pub(crate) fn run(self) -> Result<Answer, CalcError> {
        match (&self.logp, &self.ref_logp) {
            (Column::Drawn(logp), Column::Drawn(ref_logp)) if self.estimator != KlEstimator::Full => {
                same_length("ref_logp", logp.len(), ref_logp.len())?;
                Ok(self.estimate(logp, ref_logp))
            }
            (Column::Whole(p), Column::Whole(q)) if self.estimator == KlEstimator::Full => {
                same_length("ref_logp", p.len(), q.len())?;
                full(p, q)
            }
            _ if matches!((&self.logp, &self.ref_logp), (Column::Drawn(p), _) if p.is_empty()) => {
                Ok(Answer { kl: Vec::new(), dlogp: Vec::new(), dlogits: Vec::new() })
            }
            _ => Err(CalcError::invalid(
                "expected `logp` and `ref_logp` of shape [T], or [T][A] for the estimator `full` and only there",
            )),
        }
    }

    fn estimate(&self, logp: &[f64], ref_logp: &[f64]) -> Answer {
        let term = Kl {
            estimator: self.estimator,
            coefficient: NonNegative::ZERO,
            weighted_by_ratio: false,
            place: KlPlace::Loss,
            value_limit: self.value_limit,
        };
        let duals = logp.iter().zip(ref_logp).map(|(&p, &q)| term.at(p - q));
        let (kl, dlogp) = duals.map(|dual| (dual.value, dual.dlogp)).unzip();
        Answer { kl, dlogp, dlogits: Vec::new() }
    }
}

/// Whole distributions, as log-probabilities or logits.
fn full(p: &[Vec<f64>], q: &[Vec<f64>]) -> Result<Answer, CalcError> {
    let mut answer = Answer { kl: Vec::new(), dlogp: Vec::new(), dlogits: Vec::new() };
    for (p, q) in p.iter().zip(q) {
        same_length("ref_logp", p.len(), q.len())?;
        let (p, q) = (log_softmax(p), log_softmax(q));
        let mut gradient = vec![0.0; p.len()];
        add_kl_gradient(&p, &q, 1.0, &mut gradient);
        answer.kl.push(kl(&p, &q));
        answer.dlogits.push(gradient);
    }
    Ok(answer)
}

pub(crate) fn same_length(column: &str, expected: usize, got: usize) -> Result<(), CalcError> {
    if expected == got {
        return Ok(());
    }
    Err(CalcError::invalid(format!("expected {expected} entries of `{column}`, got {got}")))
}

/// Fields of `entropy`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entropy {
    sequences: Vec<Logits>,
    #[serde(default = "token_mean")]
    aggregation: Aggregation,
}

/// One sequence of `T` distributions over `A` actions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Logits {
    logits: Vec<Vec<f64>>,
    #[serde(default)]
    mask: Option<Mask>,
}

/// Answer of `entropy`.
#[derive(Debug, Serialize)]
pub(crate) struct EntropyAnswer {
    loss: f64,
    entropy: Vec<Vec<f64>>,
    dlogits: Vec<Vec<Vec<f64>>>,
}

fn token_mean() -> Aggregation {
    Aggregation::TOKEN_MEAN
}

impl Entropy {
    pub(crate) fn run(self) -> Result<EntropyAnswer, CalcError> {
        let lengths = self.sequences.iter().map(Logits::tokens).collect::<Result<Vec<_>, _>>()?;
        let denominators = Denominators::of_lengths(lengths.iter().copied());
        let mut answer = EntropyAnswer { loss: 0.0, entropy: Vec::new(), dlogits: Vec::new() };
        for (sequence, &length) in self.sequences.iter().zip(&lengths) {
            let weight: f64 = self.aggregation.weight(length, &denominators);
            let log_probs: Vec<Vec<f64>> = sequence.logits.iter().map(|logits| log_softmax(logits)).collect();
            let weights: Vec<f64> =
                (0..log_probs.len()).map(|t| if sequence.active(t) { weight } else { 0.0 }).collect();
            let entropies: Vec<f64> = log_probs.iter().map(|lp| entropy(lp)).collect();
            let gradient = |(lp, &w): (&Vec<f64>, &f64)| {
                let mut gradient = vec![0.0; lp.len()];
                add_entropy_gradient(lp, w, &mut gradient);
                gradient
            };
            answer.loss += entropies.iter().zip(&weights).map(|(h, w)| h * w).sum::<f64>();
            answer.dlogits.push(log_probs.iter().zip(&weights).map(gradient).collect());
            answer.entropy.push(entropies);
        }
        Ok(answer)
    }
}

impl Logits {
    fn active(&self, t: usize) -> bool {
        mask::slice(self.mask.as_ref()).get(t).copied().unwrap_or(true)
    }

    fn tokens(&self) -> Result<usize, CalcError> {
        let mask = mask::slice(self.mask.as_ref());
        if !mask.is_empty() {
            same_length("mask", self.logits.len(), mask.len())?;
        }
        Ok((0..self.logits.len()).filter(|&t| self.active(t)).count())
    }
}

/// Their lines of the list.
pub(crate) const OPS: &[OpDoc] = &[
    OpDoc {
        name: "kl",
        kind: "",
        fields: "estimator = k1 | k2 | k3 | abs | k1+ | k3+, logp [T], ref_logp [T], value_limit = null",
        formula: "d = log π − log π_ref: d, d²/2, e^{−d} − 1 + d, |d|; with + the gradient of k2",
        example: r#"{"op":"kl","estimator":"k3","logp":[-0.5,-1.0],"ref_logp":[-0.7,-0.9]}"#,
    },
    OpDoc {
        name: "kl",
        kind: "full",
        fields: "estimator, logp [T][A], ref_logp [T][A] (logits will do)",
        formula: "Σ_a π(a) ln(π(a)/π_ref(a)), with its derivative in the logits of π",
        example: r#"{"op":"kl","estimator":"full","logp":[[0.0,1.0]],"ref_logp":[[1.0,0.0]]}"#,
    },
    OpDoc {
        name: "entropy",
        kind: "",
        fields: "sequences [{logits [T][A], mask = all}], aggregation = token_mean",
        formula: "−Σ_a π(a) ln π(a), aggregated, with its derivative in the logits",
        example: r#"{"op":"entropy","sequences":[{"logits":[[0.0,1.0]]}]}"#,
    },
];
