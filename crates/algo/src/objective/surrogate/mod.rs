//! The surrogate: a scalar function of the ratio and the advantage, with its derivative.

mod awr;
mod cispo;
mod divergence;
mod gmpo;
mod importance;
mod mirror;
mod ppo_clip;
mod score;
mod soft_gate;
mod trajectory_balance;
mod vespo;

use serde::{Deserialize, Serialize};
use tdrm_core::Real;

pub use awr::AdvantageWeighted;
pub use cispo::{Cispo, ClipConvention};
pub use divergence::{Divergence, DivergenceMask};
pub use gmpo::Gmpo;
pub use importance::Importance;
pub use mirror::{DirectOptimisation, MirrorDescent};
pub use ppo_clip::PpoClip;
pub use score::ScoreFunction;
pub use soft_gate::SoftGate;
pub use trajectory_balance::TrajectoryBalance;
pub use vespo::Vespo;

use super::RatioLevel;

/// Where a surrogate is evaluated. Everything but the advantage is pooled at the objective's [`RatioLevel`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point<F> {
    /// x = log π − log π_old.
    pub log_ratio: F,
    /// ρ = e^x.
    pub ratio: F,
    /// log π.
    pub logp: F,
    /// log π_ref, 0 where it is not given.
    pub ref_logp: F,
    /// A.
    pub advantage: F,
    /// Σ_t x_t over the segment, whatever the pooling.
    pub log_ratio_sum: F,
    /// ln Z of the prompt.
    pub log_z: F,
}

/// Which bound cut the gradient, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Clip {
    /// None.
    #[default]
    None,
    /// The ratio is too small.
    Low,
    /// The ratio is too large.
    High,
    /// The ratio is too large for a negative advantage.
    Dual,
}

impl Clip {
    /// The bound of a ratio that is below the lower or above the upper one.
    #[inline]
    pub(super) fn of(below: bool, above: bool) -> Self {
        if above {
            Self::High
        } else if below {
            Self::Low
        } else {
            Self::None
        }
    }
}

/// A loss and its derivatives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dual<F> {
    /// ℓ
    pub loss: F,
    /// ∂ℓ/∂x, the derivative through the ratio.
    pub dratio: F,
    /// ∂ℓ/∂log π beside the ratio.
    pub dlogp: F,
    /// Which bound was active.
    pub clip: Clip,
}

impl<F: Real> Dual<F> {
    /// A loss that depends on log π through the ratio only.
    pub(super) fn through_ratio(loss: F, dratio: F, clip: Clip) -> Self {
        Self { loss, dratio, dlogp: F::zero(), clip }
    }

    /// `ℓ = −w log π` with a weight that is held fixed.
    pub(super) fn weighted_score(weight: F, logp: F, clip: Clip) -> Self {
        Self { loss: -weight * logp, dratio: F::zero(), dlogp: -weight, clip }
    }
}

/// A surrogate objective.
///
/// # Laws
/// Where nothing is held fixed, `dratio` and `dlogp` are the partial derivatives of `loss`. At ρ = 1 the total
/// derivative of a ratio-based surrogate is `−A`.
pub trait TokenLoss<F: Real> {
    /// ℓ and its derivatives.
    fn at(&self, point: &Point<F>) -> Dual<F>;

    /// What a token contributes to the pool: its log-ratio and the derivative of that in itself. Identity but for
    /// surrogates that clip before they pool.
    fn contribution(&self, log_ratio: F, advantage: F) -> (F, F) {
        let _ = advantage;
        (log_ratio, F::one())
    }

    /// Whether [`Self::contribution`] is anything but the identity.
    fn reshapes(&self) -> bool {
        false
    }

    /// Added to the number of tokens where the pool is a mean.
    fn length_epsilon(&self) -> F {
        F::zero()
    }

    /// Whether ln Z is learned: its derivative is then that of log π.
    fn learns_log_z(&self) -> bool {
        false
    }
}

macro_rules! surrogates {
    ($($(#[$doc:meta])* $variant:ident($type:ty) = $name:literal,)*) => {
        /// The built-in surrogates.
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        #[non_exhaustive]
        pub enum Surrogate {
            $($(#[$doc])* #[serde(rename = $name)] $variant($type),)*
        }

        impl Surrogate {
            /// The name in a configuration.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }
        }

        $(impl From<$type> for Surrogate {
            fn from(surrogate: $type) -> Self {
                Self::$variant(surrogate)
            }
        })*

        /// Runs generic code on whichever surrogate it is: one branch per batch, none per token.
        macro_rules! with_surrogate {
            ($value:expr, |$s:ident| $body:expr) => {
                match $value { $($crate::objective::Surrogate::$variant($s) => $body,)* }
            };
        }
        pub(super) use with_surrogate;
    };
}

surrogates! {
    /// `−A log π`: REINFORCE, GPG.
    ScoreFunction(ScoreFunction) = "score_function",
    /// `−A ρ`: importance-weighted, no bound.
    Importance(Importance) = "importance",
    /// `−min(ρA, clip(ρ)A)`: PPO, GRPO, DAPO, GSPO.
    PpoClip(PpoClip) = "ppo_clip",
    /// `−sg[clip(ρ)] A log π`.
    Cispo(Cispo) = "cispo",
    /// Geometric mean of clipped token ratios.
    Gmpo(Gmpo) = "gmpo",
    /// `−(4/τ) σ(τ(ρ − 1)) A`: SAPO.
    SoftGate(SoftGate) = "soft_gate",
    /// `−sg[φ(ρ)] A log π` with a gamma-shaped φ.
    Vespo(Vespo) = "vespo",
    /// `−e^{A/τ} log π`: advantage-weighted regression.
    AdvantageWeighted(AdvantageWeighted) = "awr",
    /// `(A − τx)²`: Kimi k1.5.
    MirrorDescent(MirrorDescent) = "mirror_descent",
    /// `−A log π + (β/2)x²`: direct reward optimisation.
    DirectOptimisation(DirectOptimisation) = "dro",
    /// `w (ln Z + log π − βA − log π_ref)²`: FlowRL.
    TrajectoryBalance(TrajectoryBalance) = "trajectory_balance",
    /// CISPO with a divergence test in place of the clip: DPPO.
    DivergenceMask(DivergenceMask) = "divergence_mask",
}

impl Surrogate {
    /// The level at which it runs when a configuration asks for `level`: GMPO is a statement about a whole pool.
    #[must_use]
    pub fn level(&self, level: RatioLevel) -> RatioLevel {
        match (self, level) {
            (Self::Gmpo(_), RatioLevel::Token) => RatioLevel::SequenceMean,
            _ => level,
        }
    }
}
