//! Q values made comparable with priors.

use serde::{Deserialize, Serialize};
use tdrm_core::NonNegative;

use super::softmax;
use super::tree::{Edge, Node};

/// Q in [0, 1], for PUCT.
///
/// ```text
/// parent_and_siblings   (Q − min) / (max − min) over V(s) and the Q of actions taken; the others count 0
/// range                 (Q − low) / (high − low); actions not taken count 0
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum NormalisedQ {
    /// By what is known at the node.
    ParentAndSiblings {},
    /// By a range that is known beforehand.
    Range {
        /// Least Q.
        low: f64,
        /// Largest Q.
        high: f64,
    },
}

/// Smallest spread that is divided by.
const EPSILON: f64 = 1e-8;

impl NormalisedQ {
    pub(super) fn of<S>(&self, node: &Node<S>) -> Vec<f64> {
        let (low, width) = match *self {
            Self::Range { low, high } => (low, high - low),
            Self::ParentAndSiblings {} => {
                let (low, high) = range(taken(node).map(Edge::q), node.value);
                (low, (high - low).max(EPSILON))
            }
        };
        node.edges.iter().map(|e| if e.visits > 0 { (e.q() - low) / width } else { 0.0 }).collect()
    }
}

/// Q on the scale of logits, completed where no action was taken: for Gumbel search.
///
/// ```text
/// v_mix = (v + ΣN · Σ_taken P Q / Σ_taken P) / (1 + ΣN)
/// σ(Q) = (visits + max N) · scale · Q̃,     Q̃ = Q or v_mix, rescaled to [0, 1] unless switched off
/// ```
///
/// "Policy improvement by planning with Gumbel" (Danihelka et al. 2022), eq. 8 and appendix D.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompletedQ {
    /// c_scale, 0.1 unless stated.
    pub scale: NonNegative,
    /// c_visit, 50 unless stated.
    pub visits: NonNegative,
    /// Whether Q̃ is rescaled to [0, 1].
    pub rescale: Rescale,
}

/// Whether Q is rescaled before it meets the prior.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rescale {
    /// To [0, 1] over the actions of the node.
    #[default]
    Unit,
    /// Not at all.
    Off,
}

const TENTH: NonNegative = match NonNegative::new(0.1) {
    Ok(x) => x,
    Err(_) => unreachable!(),
};
const FIFTY: NonNegative = match NonNegative::new(50.0) {
    Ok(x) => x,
    Err(_) => unreachable!(),
};

impl Default for CompletedQ {
    fn default() -> Self {
        Self { scale: TENTH, visits: FIFTY, rescale: Rescale::Unit }
    }
}

impl CompletedQ {
    pub(super) fn of<S>(&self, node: &Node<S>) -> Vec<f64> {
        let mixed = mixed_value(node);
        let mut q: Vec<f64> = node.edges.iter().map(|e| if e.visits > 0 { e.q() } else { mixed }).collect();
        if self.rescale == Rescale::Unit {
            let (low, high) = range(q.iter().copied(), q.first().copied().unwrap_or(0.0));
            let width = (high - low).max(EPSILON);
            for q in &mut q {
                *q = (*q - low) / width;
            }
        }
        let most = node.edges.iter().map(|e| e.visits).max().unwrap_or(0) as f64;
        let scale = (self.visits.get::<f64>() + most) * self.scale.get::<f64>();
        q.into_iter().map(|q| scale * q).collect()
    }
}

/// v_mix.
fn mixed_value<S>(node: &Node<S>) -> f64 {
    let priors = softmax(&node.prediction.logits);
    // an action of no prior may have been taken all the same
    let priors = priors.into_iter().map(|p| p.max(f64::MIN_POSITIVE));
    let (mut mass, mut sum) = (0.0, 0.0);
    for (edge, prior) in node.edges.iter().zip(priors).filter(|(edge, _)| edge.visits > 0) {
        mass += prior;
        sum += prior * edge.q();
    }
    let taken = node.taken() as f64;
    let average = if mass > 0.0 { sum / mass } else { 0.0 };
    (node.prediction.value + taken * average) / (1.0 + taken)
}

fn taken<S>(node: &Node<S>) -> impl Iterator<Item = &Edge> {
    node.edges.iter().filter(|e| e.visits > 0)
}

fn range(xs: impl Iterator<Item = f64>, first: f64) -> (f64, f64) {
    xs.fold((first, first), |(low, high), x| (low.min(x), high.max(x)))
}
