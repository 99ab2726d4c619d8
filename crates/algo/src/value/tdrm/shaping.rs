//! The cosine length reward.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};
use tdrm_core::Real;

/// Which curve a step's reward is read from.
///
/// In the release it behaves like the final outcome of the trajectory, not like the step's own label (card §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// The reward of the right.
    Positive,
    /// The reward of the wrong.
    Negative,
}

impl Sign {
    /// Positive for a label of at least ½.
    #[must_use]
    pub fn of_label<F: Real>(label: F) -> Self {
        if label >= F::of(0.5) { Self::Positive } else { Self::Negative }
    }
}

/// Two ends of a half cosine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 2]", into = "[f64; 2]")]
pub struct Curve {
    /// Reward of a prefix of length 0.
    pub start: f64,
    /// Reward at `max_len`.
    pub end: f64,
}

impl From<[f64; 2]> for Curve {
    fn from([start, end]: [f64; 2]) -> Self {
        Self { start, end }
    }
}

impl From<Curve> for [f64; 2] {
    fn from(curve: Curve) -> Self {
        [curve.start, curve.end]
    }
}

/// Reward of a step by the length of the answer prefix, along a half cosine.
///
/// ```text
/// r(l) = r_L + ½ (r_0 − r_L)(1 + cos(π min(l, L) / L))
///   right:  r_0 =   2, r_L = 1      r = 1.5 + 0.5 cos(πl/512)
///   wrong:  r_0 = −10, r_L = 0      r = −5 − 5 cos(πl/512)
/// ```
///
/// `l` is the number of tokens of the answer prefix (question excluded, cumulative). Recovered from the released
/// data of TDRM (card §2.2), where `l > L` is undefined; here it is clipped.
///
/// ```
/// use tdrm_algo::value::tdrm::{CosineShaping, Sign};
/// let r: f64 = CosineShaping::default().reward(Sign::Negative, 256);
/// assert!((r + 5.0).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CosineShaping {
    /// r_0 and r_L of the right.
    #[serde(alias = "cosine_pos")]
    pub pos: Curve,
    /// r_0 and r_L of the wrong.
    #[serde(alias = "cosine_neg")]
    pub neg: Curve,
    /// L, tokens; a length of 0 counts as 1.
    #[serde(alias = "cosine_max_len")]
    pub max_len: u32,
}

impl Default for CosineShaping {
    fn default() -> Self {
        Self { pos: Curve { start: 2.0, end: 1.0 }, neg: Curve { start: -10.0, end: 0.0 }, max_len: 512 }
    }
}

impl CosineShaping {
    /// The published curves for answers of at most `max_len` tokens.
    #[must_use]
    pub fn scaled_to(max_len: u32) -> Self {
        Self { max_len, ..Self::default() }
    }

    /// r(l).
    #[must_use]
    pub fn reward<F: Real>(&self, sign: Sign, length: usize) -> F {
        let Curve { start, end } = match sign {
            Sign::Positive => self.pos,
            Sign::Negative => self.neg,
        };
        let max_len = self.max_len.max(1) as usize;
        let phase = PI * length.min(max_len) as f64 / max_len as f64;
        F::of(end + 0.5 * (start - end) * (1.0 + phase.cos()))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_golden_values_of_the_card_come_out() {
        let golden = [
            (Sign::Positive, 17, 1.997_282),
            (Sign::Positive, 37, 1.987_170),
            (Sign::Positive, 262, 1.481_596),
            (Sign::Negative, 13, -9.984_101),
            (Sign::Negative, 135, -8.380_464),
            (Sign::Negative, 256, -5.000_000),
            (Sign::Negative, 497, -0.021_163),
            (Sign::Negative, 508, -0.001_506),
        ];
        for (sign, length, expected) in golden {
            let r: f64 = CosineShaping::default().reward(sign, length);
            assert!((r - expected).abs() < 5e-7, "{sign:?} {length}: {r}");
        }
    }

    #[test]
    fn longer_than_the_longest_is_as_good_as_the_longest() {
        let at = |l| CosineShaping::default().reward::<f64>(Sign::Positive, l).to_bits();
        assert_eq!(at(512), at(100_000));
    }

    #[test]
    fn a_config_may_name_the_fields_as_the_card_does() {
        let read: CosineShaping = serde_json::from_str(r#"{"cosine_max_len":96,"cosine_pos":[2,1]}"#).unwrap();
        assert_eq!(read, CosineShaping::scaled_to(96));
    }
}
