//! The published methods, one line each.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Positive, Probability};

use super::{
    AdvantageWeighted, Aggregation, Cispo, ClipConvention, CovariancePenalty, DirectOptimisation, Divergence,
    DivergenceMask, Gmpo, Importance, Kl, KlEstimator, MirrorDescent, Objective, PpoClip, RatioLevel, ScoreFunction,
    SoftGate, TrajectoryBalance, Vespo,
};

/// A literal checked by the compiler.
macro_rules! checked {
    ($unit:ident, $x:expr) => {
        const {
            match $unit::new($x) {
                Ok(x) => x,
                Err(_) => panic!("out of range"),
            }
        }
    };
}
macro_rules! above {
    ($x:expr) => {
        checked!(Positive, $x)
    };
}
macro_rules! at_least {
    ($x:expr) => {
        checked!(NonNegative, $x)
    };
}
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
    /// 2511.20347: soft gates with τ₊ = 1.0, τ₋ = 1.05, which verl's and ms-swift's examples give as the paper's values.
    Sapo,
    /// 2501.12599 §2.3.2: the squared mirror-descent residual of the sequence, τ = 0.1 until you name yours.
    Kimi,
    /// 2405.19107: −A log π + (β/2) x², β = 0.1 until you name yours.
    Dro,
    /// 2509.15207 eq. 7: β = 15, log-probabilities per token, ε = 0.2 on the weight.
    FlowRl,
    /// 1910.00177: τ = 0.05 with weights up to 20, mean over all tokens.
    Awr,
    /// 2602.10693: the weight of the whole sequence, without length normalisation; (k, λ) = (2, 3) and (3, 2) and the
    /// token mean are TRL's (pull request 5199).
    Vespo,
    /// "Length-Unbiased Sequence Policy Optimization" (github.com/murphy4122/LUSPO) as TRL has it: GSPO's ratio, token
    /// losses summed over the sequence.
    Luspo,
    /// 2602.04879 eq. 11–13: binary total variation at most 0.2 (the threshold of SkyRL and open-instruct), ratio at
    /// most 20 (verl).
    DppoTv,
    /// 2602.04879 eq. 14: binary KL at most 0.05 (the threshold of SkyRL and open-instruct), ratio at most 20 (verl).
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
            Self::Ppo => Objective::new(Level::Token, clip(P2, P2), Agg::TOKEN_MEAN),
            Self::Grpo => Objective::new(Level::Token, clip(P2, P2), Agg::SEQUENCE_MEAN_TOKEN_MEAN)
                .with_kl(Kl::in_loss(KlEstimator::K3, at_least!(0.04))),
            Self::DrGrpo => Objective::new(Level::Token, clip(P2, P2), Agg::Constant { denominator: above!(1024.0) }),
            Self::Dapo => Objective::new(Level::Token, clip(P2, at_least!(0.28)), Agg::TOKEN_MEAN),
            Self::Rloo => Objective::new(Level::SequenceSum, ScoreFunction {}, Agg::SEQUENCE_MEAN),
            Self::Gspo => Objective::new(Level::SequenceMean, GSPO, Agg::SEQUENCE_MEAN),
            Self::GspoToken => Objective::new(Level::SequenceMeanToken, GSPO, Agg::SEQUENCE_MEAN_TOKEN_MEAN),
            Self::Gmpo => Objective::new(Level::SequenceMean, GMPO, Agg::SEQUENCE_MEAN),
            Self::Cispo => Objective::new(Level::Token, CISPO, Agg::TOKEN_MEAN),
            Self::Gpg => Objective::new(Level::Token, ScoreFunction {}, Agg::TOKEN_MEAN),
            Self::Sapo => Objective::new(Level::Token, SAPO, Agg::SEQUENCE_MEAN_TOKEN_MEAN),
            Self::Kimi => Objective::new(Level::SequenceSum, MirrorDescent { tau: above!(0.1) }, Agg::SEQUENCE_MEAN),
            Self::Dro => Objective::new(Level::Token, DirectOptimisation { beta: above!(0.1) }, Agg::TOKEN_MEAN),
            Self::FlowRl => Objective::new(Level::SequenceMean, FLOW_RL, Agg::SEQUENCE_MEAN),
            Self::Awr => Objective::new(Level::Token, AWR, Agg::TOKEN_MEAN),
            Self::Vespo => Objective::new(Level::SequenceSumToken, VESPO, Agg::TOKEN_MEAN),
            Self::Luspo => Objective::new(Level::SequenceMean, GSPO, Agg::SEQUENCE_MEAN_TOKEN_SUM),
            Self::DppoTv => Objective::new(Level::Token, dppo(Divergence::TotalVariation, P2), Agg::TOKEN_MEAN),
            Self::DppoKl => Objective::new(Level::Token, dppo(Divergence::Kl, at_least!(0.05)), Agg::TOKEN_MEAN),
            Self::KlCov => Objective::new(Level::Token, Importance {}, Agg::TOKEN_MEAN).with_covariance_penalty(KL_COV),
        }
    }
}

const P2: NonNegative = at_least!(0.2);
const P4: NonNegative = at_least!(0.4);
const GSPO: PpoClip = clip(at_least!(3e-4), at_least!(4e-4));
const GMPO: Gmpo = Gmpo { low: P4, high: P4, length_epsilon: NonNegative::ZERO };
const CISPO: Cispo = Cispo { low: None, high: P2, convention: ClipConvention::AroundOne };
const SAPO: SoftGate = SoftGate { tau_positive: above!(1.0), tau_negative: above!(1.05) };
const FLOW_RL: TrajectoryBalance = TrajectoryBalance { beta: above!(15.0), clip: Some((P2, P2)) };
const AWR: AdvantageWeighted = AdvantageWeighted { temperature: above!(0.05), max_weight: Some(above!(20.0)) };
const VESPO: Vespo = Vespo {
    k_positive: at_least!(2.0),
    lambda_positive: above!(3.0),
    k_negative: at_least!(3.0),
    lambda_negative: above!(2.0),
};
const KL_COV: CovariancePenalty =
    CovariancePenalty { fraction: checked!(Probability, 2e-4), coefficient: at_least!(1.0) };

const fn clip(low: NonNegative, high: NonNegative) -> PpoClip {
    PpoClip { low, high, dual: None }
}

const fn dppo(divergence: Divergence, most: NonNegative) -> DivergenceMask {
    DivergenceMask { divergence, low: most, high: most, max_ratio: Some(above!(20.0)) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_preset_survives_a_configuration_file() {
        for preset in Preset::ALL {
            let text = serde_json::to_string(&preset.objective()).unwrap();
            let read: Objective = serde_json::from_str(&text).unwrap();
            assert_eq!(read, preset.objective(), "{text}");
            let named = format!(r#"{{"preset": {}}}"#, serde_json::to_string(&preset).unwrap());
            assert_eq!(serde_json::from_str::<Objective>(&named).unwrap(), preset.objective());
        }
    }
}
