//! The published methods, one line each.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Positive};

use super::{
    AdvantageWeighted, Aggregation, Cispo, ClipConvention, CovariancePenalty, Divergence, DivergenceMask, Gmpo, Kl,
    KlEstimator, MirrorDescent, Objective, PpoClip, RatioLevel, ScoreFunction, SoftGate, TrajectoryBalance, Vespo,
};

/// A published objective. Each is a line of [`Preset::objective`]; the advantage is chosen elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Preset {
    /// Williams (1992): "−A log π", summed over the tokens of a sequence, mean over sequences.
    Reinforce,
    /// 1707.06347 eq. 7 with ε = 0.2, mean over all tokens. KL, if any, belongs in the reward.
    Ppo,
    /// 2402.03300 eq. 3 and §4.2: ε = 0.2, "the KL coefficient is 0.04", k3 in the loss, `1/|o_i|` per sequence.
    Grpo,
    /// 2503.20783 §3.2: "simply remove the 1/|o_i| and std normalization terms"; a constant denominator, 1024 until you
    /// name yours (group size × maximal length).
    DrGrpo,
    /// 2503.14476 §3: ε_low = 0.2, ε_high = 0.28, token-level loss, no KL.
    Dapo,
    /// 2402.14740 §3: REINFORCE on the probability of the whole sequence; leave-one-out advantages.
    Rloo,
    /// 2507.18071 §5: the geometric-mean ratio of the sequence, clipped to [1 − 3e-4, 1 + 4e-4].
    Gspo,
    /// 2507.18071 eq. 13–14: the same value, with per-token advantages.
    GspoToken,
    /// 2507.20673 eq. 4: geometric mean of token ratios clipped to (e^{−0.4}, e^{0.4}).
    Gmpo,
    /// 2506.13585 eq. 4: clipped weights held fixed, token mean; no lower bound, ε_high = 0.2.
    Cispo,
    /// 2504.02546 eq. 5: "directly optimise the original RL objective", token mean.
    Gpg,
    /// 2511.20347 §3: soft gates τ₊ = 1.0, τ₋ = 1.05.
    Sapo,
    /// 2501.12599 §2.3.2: the squared mirror-descent residual of the sequence, τ = 0.1 until you name yours.
    Kimi,
    /// 2405.19107: −A log π + (β/2) x², β = 0.1 until you name yours.
    Dro,
    /// 2509.15207 eq. 7: β = 15, log-probabilities per token, ε = 0.2 on the weight.
    FlowRl,
    /// 1910.00177: τ = 0.05 with weights up to 20, mean over all tokens.
    Awr,
    /// 2602.10693 with TRL's (k, λ) = (2, 3) and (3, 2), token mean.
    Vespo,
    /// Length-unbiased GSPO: the sequence ratio, token losses summed over the sequence.
    Luspo,
    /// 2602.04879, total variation at most 0.2, ratio at most 20.
    DppoTv,
    /// 2602.04879, binary KL at most 0.2, ratio at most 20.
    DppoKl,
    /// 2505.22617 §4: unclipped ratio, |x| penalised on the 0.02 % tokens of largest covariance, coefficient 1.
    KlCov,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 21] = [
        Self::Reinforce,
        Self::Ppo,
        Self::Grpo,
        Self::DrGrpo,
        Self::Dapo,
        Self::Rloo,
        Self::Gspo,
        Self::GspoToken,
        Self::Gmpo,
        Self::Cispo,
        Self::Gpg,
        Self::Sapo,
        Self::Kimi,
        Self::Dro,
        Self::FlowRl,
        Self::Awr,
        Self::Vespo,
        Self::Luspo,
        Self::DppoTv,
        Self::DppoKl,
        Self::KlCov,
    ];

    /// The composition.
    #[must_use]
    pub fn objective(self) -> Objective {
        use Aggregation as Agg;
        use RatioLevel as Level;
        match self {
            Self::Reinforce => Objective::new(Level::Token, ScoreFunction {}, Agg::SEQUENCE_MEAN_TOKEN_SUM),
            Self::Ppo => Objective::new(Level::Token, clip(0.2, 0.2), Agg::TOKEN_MEAN),
            Self::Grpo => Objective::new(Level::Token, clip(0.2, 0.2), Agg::SEQUENCE_MEAN_TOKEN_MEAN)
                .with_kl(Kl::in_loss(KlEstimator::K3, at_least_zero(0.04))),
            Self::DrGrpo => {
                Objective::new(Level::Token, clip(0.2, 0.2), Agg::Constant { denominator: positive(1024.0) })
            }
            Self::Dapo => Objective::new(Level::Token, clip(0.2, 0.28), Agg::TOKEN_MEAN),
            Self::Rloo => Objective::new(Level::SequenceSum, ScoreFunction {}, Agg::SEQUENCE_MEAN),
            Self::Gspo => Objective::new(Level::SequenceMean, clip(3e-4, 4e-4), Agg::SEQUENCE_MEAN),
            Self::GspoToken => {
                Objective::new(Level::SequenceMeanToken, clip(3e-4, 4e-4), Agg::SEQUENCE_MEAN_TOKEN_MEAN)
            }
            Self::Gmpo => Objective::new(Level::SequenceMean, gmpo(0.4), Agg::SEQUENCE_MEAN),
            Self::Cispo => Objective::new(Level::Token, cispo(0.2), Agg::TOKEN_MEAN),
            Self::Gpg => Objective::new(Level::Token, ScoreFunction {}, Agg::TOKEN_MEAN),
            Self::Sapo => Objective::new(Level::Token, sapo(1.0, 1.05), Agg::SEQUENCE_MEAN_TOKEN_MEAN),
            Self::Kimi => Objective::new(Level::SequenceSum, MirrorDescent { tau: positive(0.1) }, Agg::SEQUENCE_MEAN),
            Self::Dro => Objective::new(Level::Token, dro(0.1), Agg::TOKEN_MEAN),
            Self::FlowRl => Objective::new(Level::SequenceMean, flow(15.0, 0.2), Agg::SEQUENCE_MEAN),
            Self::Awr => Objective::new(Level::Token, awr(0.05, 20.0), Agg::TOKEN_MEAN),
            Self::Vespo => Objective::new(Level::SequenceSumToken, vespo(), Agg::TOKEN_MEAN),
            Self::Luspo => Objective::new(Level::SequenceMean, clip(3e-4, 4e-4), Agg::SEQUENCE_MEAN_TOKEN_SUM),
            Self::DppoTv => Objective::new(Level::Token, dppo(Divergence::TotalVariation), Agg::TOKEN_MEAN),
            Self::DppoKl => Objective::new(Level::Token, dppo(Divergence::Kl), Agg::TOKEN_MEAN),
            Self::KlCov => kl_cov(),
        }
    }
}

fn positive(x: f64) -> Positive {
    Positive::new(x).expect("presets are literals in range")
}

fn at_least_zero(x: f64) -> NonNegative {
    NonNegative::new(x).expect("presets are literals in range")
}

fn clip(low: f64, high: f64) -> PpoClip {
    PpoClip { low: at_least_zero(low), high: at_least_zero(high), dual: None }
}

fn gmpo(epsilon: f64) -> Gmpo {
    Gmpo { low: at_least_zero(epsilon), high: at_least_zero(epsilon), length_epsilon: NonNegative::ZERO }
}

fn cispo(high: f64) -> Cispo {
    Cispo { low: None, high: at_least_zero(high), convention: ClipConvention::AroundOne }
}

fn sapo(positive_tau: f64, negative_tau: f64) -> SoftGate {
    SoftGate { tau_positive: positive(positive_tau), tau_negative: positive(negative_tau) }
}

fn dro(beta: f64) -> super::DirectOptimisation {
    super::DirectOptimisation { beta: positive(beta) }
}

fn flow(beta: f64, epsilon: f64) -> TrajectoryBalance {
    TrajectoryBalance { beta: positive(beta), clip: Some((at_least_zero(epsilon), at_least_zero(epsilon))) }
}

fn awr(temperature: f64, max_weight: f64) -> AdvantageWeighted {
    AdvantageWeighted { temperature: positive(temperature), max_weight: Some(positive(max_weight)) }
}

fn vespo() -> Vespo {
    Vespo {
        k_positive: at_least_zero(2.0),
        lambda_positive: positive(3.0),
        k_negative: at_least_zero(3.0),
        lambda_negative: positive(2.0),
    }
}

fn dppo(divergence: Divergence) -> DivergenceMask {
    DivergenceMask { divergence, low: at_least_zero(0.2), high: at_least_zero(0.2), max_ratio: Some(positive(20.0)) }
}

fn kl_cov() -> Objective {
    let penalty = CovariancePenalty {
        fraction: tdrm_core::Probability::new(2e-4).expect("presets are literals in range"),
        coefficient: at_least_zero(1.0),
    };
    Objective {
        covariance_penalty: Some(penalty),
        ..Objective::new(RatioLevel::Token, super::Importance {}, Aggregation::TOKEN_MEAN)
    }
}
