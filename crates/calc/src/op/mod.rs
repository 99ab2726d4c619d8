//! The requests, one file per family: a `Request` with `run`, and its lines of the list.

mod advantage;
mod fit;
mod kl;
mod mdp;
mod metric;
mod objective;
mod plan;
mod preference;
mod smooth;
mod tdrm;
mod token;
mod transform;
mod value_target;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CalcError, OpDoc};

/// Declares the ops: the tagged enum and its dispatch.
macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident($request:ty)),* $(,)?) => {
        /// A request; the field `op` says which.
        #[derive(Debug, Deserialize)]
        #[serde(tag = "op", rename_all = "snake_case")]
        pub(crate) enum Op {
            $($(#[$doc])* $name($request)),*
        }

        impl Op {
            pub(crate) fn run(self) -> Result<Value, CalcError> {
                match self {
                    $(Self::$name(request) => answer(request.run())),*
                }
            }
        }
    };
}

ops! {
    ValueTarget(value_target::Request),
    Redistribute(value_target::Redistribute),
    ActionTarget(value_target::ActionTarget),
    TdrmTargets(tdrm::Targets),
    TdrmRows(tdrm::Rows),
    CosineShaping(tdrm::Rewards),
    Transform(transform::Transform),
    CategoricalProjection(transform::Projection),
    TwoHot(transform::TwoHot),
    Advantage(advantage::Request),
    StepAdvantage(advantage::Steps),
    MixAdvantages(advantage::Mix),
    SegmentAdvantages(token::Segments),
    TokenRewards(token::Rewards),
    PassAtK(metric::PassAtK),
    BestOfK(metric::BestOfK),
    Aggregate(metric::AggregateSteps),
    Vote(metric::Vote),
    Brier(metric::Probabilities),
    Calibration(metric::Calibrate),
    Auc(metric::Auc),
    TdResidual(smooth::Residual),
    Smoothness(smooth::Rows),
    MeanByStep(smooth::ByStep),
    GaussianSmooth(smooth::Smooth),
    BootstrapMean(metric::Bootstrap),
    PairedBootstrap(metric::Paired),
    Mcnemar(metric::Discordant),
    Holm(metric::PValues),
    Mdp(mdp::Request),
    Plan(plan::Request),
    Objective(objective::Request),
    Preference(preference::Request),
    Kl(kl::Request),
    Entropy(kl::Entropy),
    Fit(fit::Request),
    ValueLoss(fit::Values),
}

fn answer(result: Result<impl Serialize, CalcError>) -> Result<Value, CalcError> {
    Ok(serde_json::to_value(result?)?)
}

/// The lines of the list, family by family.
pub(crate) const OPS: &[&[OpDoc]] = &[
    value_target::OPS,
    tdrm::OPS,
    transform::OPS,
    advantage::OPS,
    token::OPS,
    metric::OPS,
    smooth::OPS,
    mdp::OPS,
    plan::OPS,
    objective::OPS,
    preference::OPS,
    kl::OPS,
    fit::OPS,
];
