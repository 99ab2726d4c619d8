//! Policy objectives: `(log π, log π_old, log π_ref, advantage)` to the loss and its derivative in every `log π`.
//!
//! A published method is a point in a product of small axes:
//!
//! ```text
//! L = Σ_i Σ_t  w_i · m_t · [ f_t c_t · ℓ(x, A_t)  +  β k(log π_t − log π_ref,t)  −  η H_t ]
//! ```
//!
//! | axis | type | chooses |
//! |---|---|---|
//! | ratio level | [`RatioLevel`] | whether `x` is the log-ratio of a token, a step or a sequence |
//! | surrogate | [`Surrogate`] | the scalar function `ℓ(x, A)` |
//! | aggregation | [`Aggregation`] | the weight `w_i` of the tokens of sequence `i`, from explicit [`Denominators`] |
//! | KL | [`Kl`] | the estimator `k`, β, and its one place: the loss or the reward |
//! | engine mismatch | [`Mismatch`] | the weight `c_t` where sampler and trainer disagree |
//! | filters | [`Filter`] | which tokens take part, `f_t` |
//!
//! [`Objective`] is such a point, [`Preset`] names the published ones, [`Objective::evaluate`] gives the loss, the
//! coefficients `∂L/∂log π` that a back end propagates, and [`Metrics`]. Nothing here needs a tensor.
//!
//! ```
//! use tdrm_algo::objective::{Advantages, Denominators, Preset, SequenceTerms};
//!
//! let objective = Preset::DrGrpo.objective(); // Σ over tokens / 1024 by default
//! let (logp, old) = ([-0.5, -1.0], [-0.5, -1.0]);
//! let terms = [SequenceTerms { old_logp: &old, ..SequenceTerms::new(&logp, Advantages::Sequence(2.0)) }];
//! let result = objective.evaluate(&terms, &Denominators::of(&terms)).unwrap();
//! assert_eq!(result.coefficients.log_probs, vec![vec![-2.0 / 1024.0; 2]]); // ratio 1: −A / denominator
//! ```

mod aggregation;
mod block;
mod config;
mod covariance;
mod error;
mod evaluate;
mod filter;
mod kl;
mod level;
mod metrics;
mod mismatch;
mod preset;
mod sequence;
mod surrogate;
mod terms;
mod value_loss;

pub mod categorical;

pub use aggregation::{Aggregation, Denominators};
pub use config::{Objective, ObjectiveConfig};
pub use covariance::CovariancePenalty;
pub use error::ObjectiveError;
pub use evaluate::{Coefficients, Evaluation};
pub use filter::Filter;
pub use kl::{Kl, KlDual, KlEstimator, KlPlace};
pub use level::RatioLevel;
pub use metrics::Metrics;
pub use mismatch::Mismatch;
pub use preset::Preset;
pub use surrogate::{
    AdvantageWeighted, Cispo, Clip, ClipConvention, DirectOptimisation, Divergence, DivergenceMask, Dual, Gmpo,
    Importance, MirrorDescent, Point, PpoClip, ScoreFunction, SoftGate, Surrogate, TokenLoss, TrajectoryBalance, Vespo,
};
pub use terms::{Advantages, SequenceTerms};
pub use value_loss::{ValueEvaluation, ValueLoss, ValueTerms};
