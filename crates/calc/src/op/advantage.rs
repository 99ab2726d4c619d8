//! Ops of advantages: `advantage`, `step_advantage`, `mix_advantages`.

use serde::{Deserialize, Serialize};
use tdrm_algo::advantage::{
    Estimator, MinForm, Outcomes, ProcessGroups, ReinforcePlusPlus, mix, remax, suffix_sums, vine,
};
use tdrm_core::ShapeError;

use crate::{CalcError, OpDoc};

/// Fields of `advantage`: one reward per sample.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    estimator: Estimator,
    rewards: Vec<f64>,
    groups: Option<Vec<i64>>,
    lengths: Option<Vec<f64>>,
    baselines: Option<Vec<f64>>,
    /// 0 takes a number out of the statistics and gives it 0.
    mask: Option<Vec<f64>>,
}

/// Answer of `advantage` and `mix_advantages`.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    advantages: Vec<f64>,
}

impl Request {
    pub(crate) fn run(mut self) -> Result<Answer, CalcError> {
        let total = self.rewards.len();
        let Some(mask) = self.mask.take() else {
            return Ok(Answer { advantages: self.estimate()? });
        };
        ShapeError::check("mask", total, mask.len())?;
        let kept: Vec<usize> = (0..total).filter(|&i| mask[i] != 0.0).collect();
        self.keep(&kept, total)?;
        let mut advantages = vec![0.0; total];
        for (&i, a) in kept.iter().zip(self.estimate()?) {
            advantages[i] = a;
        }
        Ok(Answer { advantages })
    }

    fn estimate(&self) -> Result<Vec<f64>, CalcError> {
        let mut outcomes = Outcomes::new(&self.rewards).map_err(CalcError::invalid)?;
        if let Some(groups) = &self.groups {
            outcomes = outcomes.with_groups(groups).map_err(CalcError::invalid)?;
        }
        if let Some(lengths) = &self.lengths {
            outcomes = outcomes.with_lengths(lengths).map_err(CalcError::invalid)?;
        }
        if let Some(baselines) = &self.baselines {
            outcomes = outcomes.with_baselines(baselines).map_err(CalcError::invalid)?;
        }
        self.estimator.advantages(outcomes).map_err(CalcError::invalid)
    }

    fn keep(&mut self, kept: &[usize], total: usize) -> Result<(), ShapeError> {
        select(&mut self.rewards, kept, total, "rewards")?;
        if let Some(groups) = &mut self.groups {
            select(groups, kept, total, "groups")?;
        }
        for (column, name) in [(&mut self.lengths, "lengths"), (&mut self.baselines, "baselines")] {
            if let Some(column) = column {
                select(column, kept, total, name)?;
            }
        }
        Ok(())
    }
}

fn select<T: Copy>(column: &mut Vec<T>, kept: &[usize], total: usize, name: &'static str) -> Result<(), ShapeError> {
    ShapeError::check(name, total, column.len())?;
    *column = kept.iter().map(|&i| column[i]).collect();
    Ok(())
}

/// Fields of `step_advantage`: ragged rewards of steps, turns or tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Steps {
    estimator: StepEstimator,
    rewards: Vec<Vec<f64>>,
    groups: Option<Vec<i64>>,
    values: Option<Vec<Vec<f64>>>,
    baselines: Option<Vec<f64>>,
}

/// The estimators of `step_advantage`.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum StepEstimator {
    SuffixSum(Plain),
    ProcessGroupZScore(ProcessGroups),
    MinForm(MinForm),
    Vine(Plain),
    ReinforcePlusPlus(ReinforcePlusPlus),
    Remax(Plain),
}

/// No options.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {}

/// Answer of `step_advantage`.
#[derive(Debug, Serialize)]
pub(crate) struct StepsAnswer {
    advantages: Vec<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    returns: Option<Vec<Vec<f64>>>,
}

impl Steps {
    pub(crate) fn run(self) -> Result<StepsAnswer, CalcError> {
        let rewards = &self.rewards;
        let mut returns = None;
        let advantages = match &self.estimator {
            StepEstimator::SuffixSum(_) => rewards.iter().map(|row| suffix_sums(row)).collect(),
            StepEstimator::MinForm(rule) => rewards.iter().map(|row| rule.advantages(row)).collect(),
            StepEstimator::ProcessGroupZScore(rule) => {
                let groups = self.groups.as_ref().ok_or(CalcError::missing("groups", "process_group_z_score"))?;
                rule.advantages(rewards, groups).map_err(CalcError::invalid)?
            }
            StepEstimator::ReinforcePlusPlus(rule) => {
                returns = Some(rule.returns(rewards));
                rule.advantages(rewards)
            }
            StepEstimator::Vine(_) => self.vine()?,
            StepEstimator::Remax(_) => self.remax()?,
        };
        Ok(StepsAnswer { advantages, returns })
    }

    fn vine(&self) -> Result<Vec<Vec<f64>>, CalcError> {
        let values = self.values.as_ref().ok_or(CalcError::missing("values", "vine"))?;
        ShapeError::check("values", self.rewards.len(), values.len())?;
        self.rewards.iter().zip(values).map(|(r, v)| Ok(vine(r, v)?)).collect()
    }

    fn remax(&self) -> Result<Vec<Vec<f64>>, CalcError> {
        let baselines = self.baselines.as_ref().ok_or(CalcError::missing("baselines", "remax"))?;
        ShapeError::check("baselines", self.rewards.len(), baselines.len())?;
        Ok(self.rewards.iter().zip(baselines).map(|(r, &b)| remax(r, b)).collect())
    }
}

/// Fields of `mix_advantages`: a list of `advantage` requests with weights.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mix {
    channels: Vec<WeightedChannel>,
}

/// One channel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WeightedChannel {
    weight: f64,
    channel: Request,
}

impl Mix {
    pub(crate) fn run(self) -> Result<Answer, CalcError> {
        let estimated = self.channels.into_iter().map(|c| Ok((c.weight, c.channel.run()?.advantages)));
        Ok(Answer { advantages: mix(&estimated.collect::<Result<Vec<_>, CalcError>>()?)? })
    }
}

const fn advantage(kind: &'static str, fields: &'static str, formula: &'static str, example: &'static str) -> OpDoc {
    OpDoc { name: "advantage", kind, fields, formula, example }
}

const fn step(kind: &'static str, fields: &'static str, formula: &'static str, example: &'static str) -> OpDoc {
    OpDoc { name: "step_advantage", kind, fields, formula, example }
}

/// Their lines of the list.
pub(crate) const OPS: &[OpDoc] = &[
    advantage(
        "group_z_score",
        "estimator.{epsilon = 1e-6, ddof = 1, pool = group|batch, zero_spread = zero|keep|over_epsilon, singleton = zero|raw}; rewards[N], groups[N], mask[N] optional",
        "A_i = (r_i − mean_G) / (std + ε)",
        r#"{"op":"advantage","estimator":{"kind":"group_z_score"},"rewards":[1,0,1],"groups":[0,0,0]}"#,
    ),
    advantage(
        "group_mean",
        "estimator.singleton = zero|raw; rewards[N], groups[N]",
        "A_i = r_i − mean_G",
        r#"{"op":"advantage","estimator":{"kind":"group_mean"},"rewards":[1,0,1],"groups":[0,0,0]}"#,
    ),
    advantage(
        "leave_one_out",
        "estimator.singleton = zero|raw; rewards[N], groups[N]",
        "A_i = r_i − Σ_{j≠i} r_j / (G−1)",
        r#"{"op":"advantage","estimator":{"kind":"leave_one_out"},"rewards":[1,0,1],"groups":[0,0,0]}"#,
    ),
    advantage(
        "batch_whiten",
        "estimator.{epsilon = 1e-8, ddof = 1, zero_spread = zero}; rewards[N], mask[N] optional",
        "A_i = (r_i − mean) / √(var + ε) over the batch",
        r#"{"op":"advantage","estimator":{"kind":"batch_whiten"},"rewards":[1,0,1]}"#,
    ),
    advantage(
        "greedy_baseline",
        "rewards[N], baselines[N]",
        "A_i = r_i − r(greedy_i)",
        r#"{"op":"advantage","estimator":{"kind":"greedy_baseline"},"rewards":[1,0],"baselines":[0,1]}"#,
    ),
    advantage(
        "pass_at_k",
        "estimator.{epsilon = 1e-6, ddof = 1, scale = deviation|none, zero_spread = zero}; rewards[N], groups[N]",
        "A = (r_(1) − r_(2)) / (std + ε) for the best of the group, 0 for the others",
        r#"{"op":"advantage","estimator":{"kind":"pass_at_k"},"rewards":[1,0,0.5],"groups":[0,0,0]}"#,
    ),
    advantage(
        "best_of_k",
        "estimator.k ≥ 2; rewards[N], groups[N]",
        "A_i = k · mean_{S∋i, |S|=k} (max_S r − max_{S∖i} r), unbiased for the best of k",
        r#"{"op":"advantage","estimator":{"kind":"best_of_k","k":2},"rewards":[1,0,0.5],"groups":[0,0,0]}"#,
    ),
    advantage(
        "length_weighted",
        "estimator.singleton = zero|raw; rewards[N], groups[N], lengths[N]",
        "A_i = r_i − Σ_G l r / Σ_G l (OPO)",
        r#"{"op":"advantage","estimator":{"kind":"length_weighted"},"rewards":[1,0],"groups":[0,0],"lengths":[3,1]}"#,
    ),
    advantage(
        "gpg",
        "estimator.singleton = zero|raw; rewards[N], groups[N]",
        "A_i = N / #{r ≠ 0} · (r_i − mean_G)",
        r#"{"op":"advantage","estimator":{"kind":"gpg"},"rewards":[1,0],"groups":[0,0]}"#,
    ),
    step(
        "suffix_sum",
        "rewards[N][K]",
        "A_k = Σ_{j≥k} r_j",
        r#"{"op":"step_advantage","estimator":{"kind":"suffix_sum"},"rewards":[[1,2,4]]}"#,
    ),
    step(
        "process_group_z_score",
        "estimator.{epsilon = 1e-6, ddof = 1, pool = group|position, zero_spread = zero}; rewards[N][K], groups[N]",
        "A_k = Σ_{j≥k} (r_j − mean) / (std + ε) over all steps of the group",
        r#"{"op":"step_advantage","estimator":{"kind":"process_group_z_score"},"rewards":[[1,2],[3]],"groups":[0,0]}"#,
    ),
    step(
        "min_form",
        "estimator.temperature; rewards[N][K]",
        "r*_k = softmin_k(r/T) r_k, A_k = Σ_{j≥k} r*_j (PURE)",
        r#"{"op":"step_advantage","estimator":{"kind":"min_form","temperature":0.1},"rewards":[[0.9,0.1,0.8]]}"#,
    ),
    step(
        "vine",
        "rewards[N][K], values[N][K+1]",
        "A_k = r_k + V̂(s_{k+1}) − V̂(s_k) (VinePPO)",
        r#"{"op":"step_advantage","estimator":{"kind":"vine"},"rewards":[[0,0]],"values":[[0.5,0.25,1]]}"#,
    ),
    step(
        "reinforce_plus_plus",
        "estimator.{gamma = 1, whiten = batch_whiten's}; rewards[N][T]; answers advantages and returns",
        "whitened returns-to-go of token rewards",
        r#"{"op":"step_advantage","estimator":{"kind":"reinforce_plus_plus"},"rewards":[[0,1],[0,0.5]]}"#,
    ),
    step(
        "remax",
        "rewards[N][T], baselines[N]",
        "A_t = Σ_{j≥t} r_j − r(greedy)",
        r#"{"op":"step_advantage","estimator":{"kind":"remax"},"rewards":[[0,1]],"baselines":[0.5]}"#,
    ),
    OpDoc {
        name: "mix_advantages",
        kind: "",
        fields: "channels[C].{weight, channel = the fields of `advantage`}",
        formula: "A_i = Σ_c w_c A^c_i",
        example: r#"{"op":"mix_advantages","channels":[{"weight":0.5,"channel":{"estimator":{"kind":"group_mean"},"rewards":[1,0],"groups":[0,0]}}]}"#,
    },
];
