#![doc = include_str!("tdrm.md")]

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_algo::value::tdrm::TdMode;
use tdrm_core::Lambda;

use crate::cycle::Arm;

/// The published n-step target with curves scaled to answers of at most `max_len` tokens (512 in the release).
#[must_use]
pub fn published(n: NonZeroUsize, max_len: u32) -> Arm {
    Arm::Td { mode: TdMode::published().with_n(n).with_max_len(max_len) }
}

/// The repaired n-step target: reward at the end only, γ = 1, values of a target network.
#[must_use]
pub const fn repaired(n: NonZeroUsize) -> Arm {
    Arm::Td { mode: TdMode::repaired().with_n(n) }
}

/// The repaired target as TD(λ).
#[must_use]
pub const fn td_lambda(lambda: Lambda) -> Arm {
    Arm::Td { mode: TdMode::td_lambda(lambda) }
}

/// Weights of the reward in RL.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixture {
    /// Weight of the reward model's value before the answer is given.
    pub w_prm: f64,
    /// Weight of the rule.
    pub w_rule: f64,
}

impl Mixture {
    /// "prm_weight 0.2", "rule_weight 0.8": the only published script (card §4.1).
    pub const PUBLISHED: Self = Self { w_prm: 0.2, w_rule: 0.8 };

    /// `w_rule · rule + w_prm · V(s_{T−1})`.
    ///
    /// ```
    /// use tdrm_recipes::methods::tdrm::Mixture;
    /// assert_eq!(Mixture::PUBLISHED.reward(1.0, 0.5), 0.9); // 0.8·1 + 0.2·0.5
    /// ```
    #[must_use]
    pub fn reward(&self, rule: f64, value: f64) -> f64 {
        self.w_rule * rule + self.w_prm * value
    }
}
