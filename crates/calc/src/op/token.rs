//! Ops between responses and tokens: `segment_advantages`, `token_rewards`.

use serde::{Deserialize, Serialize};
use tdrm_algo::advantage::broadcast;
use tdrm_algo::objective::Kl;

use super::kl::same_length;
use crate::{CalcError, OpDoc};

/// Fields of `segment_advantages`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Segments {
    advantages: Vec<f64>,
    /// Tokens of each segment.
    lengths: Vec<usize>,
}

/// Answer of `segment_advantages`, one number per token.
#[derive(Debug, Serialize)]
pub(crate) struct SegmentsAnswer {
    advantages: Vec<f64>,
}

/// Most tokens of an answer.
const TOKENS: usize = 10_000_000;

impl Segments {
    pub(crate) fn run(self) -> Result<SegmentsAnswer, CalcError> {
        let tokens = self.lengths.iter().try_fold(0_usize, |sum, &n| sum.checked_add(n));
        if tokens.is_none_or(|n| n > TOKENS) {
            return Err(CalcError::invalid(format!("expected at most {TOKENS} tokens")));
        }
        Ok(SegmentsAnswer { advantages: broadcast(&self.advantages, &self.lengths)? })
    }
}

/// Fields of `token_rewards`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rewards {
    kl: Kl,
    logp: Vec<f64>,
    ref_logp: Vec<f64>,
    /// Of the whole response, paid at its last token.
    reward: f64,
}

/// Answer of `token_rewards`.
#[derive(Debug, Serialize)]
pub(crate) struct RewardsAnswer {
    rewards: Vec<f64>,
}

impl Rewards {
    pub(crate) fn run(self) -> Result<RewardsAnswer, CalcError> {
        same_length("ref_logp", self.logp.len(), self.ref_logp.len())?;
        let penalty = |(p, q): (&f64, &f64)| -self.kl.coefficient.get::<f64>() * self.kl.at(p - q).value;
        let mut rewards: Vec<f64> = self.logp.iter().zip(&self.ref_logp).map(penalty).collect();
        if let Some(last) = rewards.last_mut() {
            *last += self.reward;
        }
        Ok(RewardsAnswer { rewards })
    }
}

/// Their lines of the list.
pub(crate) const OPS: &[OpDoc] = &[
    OpDoc {
        name: "segment_advantages",
        kind: "",
        fields: "advantages[S] of steps, turns, thoughts or responses, lengths[S] in tokens",
        formula: "A_t = A of the segment that holds t",
        example: r#"{"op":"segment_advantages","advantages":[1,-1],"lengths":[2,1]}"#,
    },
    OpDoc {
        name: "token_rewards",
        kind: "",
        fields: "kl.{estimator, coefficient, value_limit = null}, logp[T], ref_logp[T], reward",
        formula: "r_t = −β k(log π_t − log π_ref,t), plus the reward at the last token",
        example: r#"{"op":"token_rewards","kl":{"estimator":"k1","coefficient":0.1},"logp":[-0.5,-1.0],"ref_logp":[-0.7,-0.9],"reward":1}"#,
    },
];

#[cfg(test)]
mod tests {
    use crate::line;

    #[test]
    fn each_token_has_the_advantage_of_its_segment() {
        let answer = line(r#"{"op":"segment_advantages","advantages":[1,-1],"lengths":[2,1]}"#);
        assert_eq!(answer, r#"{"advantages":[1.0,1.0,-1.0]}"#);
        assert!(
            line(r#"{"op":"segment_advantages","advantages":[1],"lengths":[18446744073709551615]}"#)
                .contains("at most")
        );
    }

    #[test]
    fn the_penalty_is_paid_along_the_way_and_the_reward_at_the_end() {
        // k2 = d²/2 of d = 1, 2 at β = 0.5: −0.25 and −1, then + 3
        let answer = line(
            r#"{"op":"token_rewards","kl":{"estimator":"k2","coefficient":0.5},"logp":[0,0],"ref_logp":[-1,-2],"reward":3}"#,
        );
        assert_eq!(answer, r#"{"rewards":[-0.25,2.0]}"#);
    }
}
