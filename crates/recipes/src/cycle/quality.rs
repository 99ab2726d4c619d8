//! How well a reward model knows the value of a prefix.

use serde::{Deserialize, Serialize};
use std::path::Path;
use tdrm_core::{Seed, Temperature};
use tdrm_dfdx::{Lm, Prompt};

use super::fit::{prefix_logits, sigmoid};
use super::stats;
use super::{Arm, CycleConfig, Sample, Sampled};
use crate::model::{Context, Draws, Model};
use crate::report::Estimate;
use crate::{Judge, RecipeError};

/// Values of all prefixes of all samples, `[problems][samples][K+1]`.
pub(crate) type Values = Vec<Vec<Vec<f64>>>;

/// Scores every prefix of every sample, one forward pass per sample.
///
/// # Errors
/// If the network fails.
pub(crate) fn score(lm: &Lm, data: &[Sampled]) -> Result<Values, RecipeError> {
    data.iter()
        .map(|p| {
            let sequences: Vec<_> = p.samples.iter().map(|s| p.value_sequence(s)).collect();
            let logits = prefix_logits(lm, &sequences)?;
            Ok(logits.into_iter().map(|z| z.into_iter().map(sigmoid).collect()).collect())
        })
        .collect()
}

/// The same value everywhere.
#[must_use]
pub(crate) fn constant(value: f64, data: &[Sampled]) -> Values {
    let prefixes = |s: &Sample| vec![value; s.response.step_ends.len() + 1];
    data.iter().map(|p| p.samples.iter().map(prefixes).collect()).collect()
}

/// V^π of the unfinished prefixes of some trajectories, estimated by rollouts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Truth {
    /// For each trajectory (the first sample of the first test problems): V^π(s_0) … V^π(s_{K−1}).
    values: Vec<Vec<f64>>,
    /// Rollouts behind each value.
    rollouts: usize,
}

/// Rolls out every unfinished prefix of the first sample of the first problems.
///
/// # Errors
/// If the network fails or the run was asked to stop.
pub(super) fn roll_out(
    config: &CycleConfig,
    model: &Model,
    judge: Judge,
    data: &[Sampled],
    seed: Seed,
    state: &Path,
    context: &mut Context<'_>,
) -> Result<Truth, RecipeError> {
    let rollouts = config.truth.rollouts;
    let chosen = &data[..config.truth.trajectories.min(data.len())];
    let values = context.in_chunks("true values by rollouts", state, chosen, 10, |chunk, part| {
        let prefixes = prefixes_of(part);
        let seed = seed.child(chunk);
        let prompts: Vec<_> =
            prefixes.iter().enumerate().flat_map(|(i, p)| p.prompts(seed.child(i as u64), rollouts)).collect();
        let draws = Draws::Sampled { count: rollouts, temperature: Temperature::ONE, seed };
        let drawn = model.continue_prompts(&prompts, draws, config.data.max_tokens, &[model.end()])?;
        let mut drawn = drawn.into_iter();
        let mut trajectories = vec![Vec::new(); part.len()];
        for prefix in &prefixes {
            let right = drawn.by_ref().take(rollouts).filter(|rest| {
                let text = model.text(&[prefix.response, &rest.tokens].concat());
                judge.verdict(&part[prefix.trajectory].problem, &text).is_correct()
            });
            trajectories[prefix.trajectory].push(right.count() as f64 / rollouts as f64);
        }
        Ok(trajectories)
    })?;
    Ok(Truth { values, rollouts })
}

struct PrefixOf<'a> {
    trajectory: usize,
    prompt: &'a [u32],
    response: &'a [u32],
}

impl PrefixOf<'_> {
    fn prompts(&self, seed: Seed, count: usize) -> impl Iterator<Item = Prompt> + use<> {
        let tokens = [self.prompt, self.response].concat();
        (0..count as u64).map(move |j| Prompt { tokens: tokens.clone(), seed: seed.child(j) })
    }
}

/// All unfinished prefixes of the first sample of each problem, in order.
fn prefixes_of(data: &[Sampled]) -> Vec<PrefixOf<'_>> {
    let mut prefixes = Vec::new();
    for (trajectory, p) in data.iter().enumerate() {
        let Some(sample) = p.samples.first() else { continue };
        let ends = &sample.response.step_ends;
        let unfinished = std::iter::once(0).chain(ends.iter().copied()).take(ends.len());
        prefixes.extend(unfinished.map(|end| PrefixOf {
            trajectory,
            prompt: &p.prompt,
            response: &sample.response.tokens[..end],
        }));
    }
    prefixes
}

impl Truth {
    /// Mean |V^π(s_{t+1}) − V^π(s_t)|, both unfinished.
    #[must_use]
    pub(super) fn value_change(&self) -> f64 {
        stats::mean(self.values.iter().flat_map(|v| v.windows(2)).map(|w| (w[1] - w[0]).abs()))
    }

    /// Mean squared error of the estimates themselves: p(1 − p)/(m − 1), the unbiased binomial variance.
    #[must_use]
    pub(super) fn noise(&self) -> f64 {
        let m = (self.rollouts as f64 - 1.0).max(1.0);
        stats::mean(self.values.iter().flatten().map(|p| p * (1.0 - p) / m))
    }

    /// Number of prefixes.
    #[must_use]
    pub(super) fn prefixes(&self) -> usize {
        self.values.iter().map(Vec::len).sum()
    }
}

/// What is measured of one reward model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quality {
    pub(super) brier_end: Estimate,
    pub(super) auc_end: Option<Estimate>,
    pub(super) brier_prefix: Estimate,
    pub(super) auc_prefix: Option<Estimate>,
    pub(super) mse_truth: Estimate,
    pub(super) mse_by_step: Vec<f64>,
    pub(super) value_change: f64,
    pub(super) td_error: f64,
}

/// Measures a reward model against outcomes and against V^π.
///
/// # Errors
/// If values and samples do not fit together.
pub(super) fn measure(values: &Values, data: &[Sampled], truth: &Truth, seed: Seed) -> Result<Quality, RecipeError> {
    let end = pairs(values, data, |steps| steps..steps + 1);
    let prefix = pairs(values, data, |steps| 0..steps);
    let errors: Vec<Vec<f64>> = truth
        .values
        .iter()
        .zip(values)
        .map(|(v, problem)| {
            problem.first().map_or(vec![], |own| v.iter().zip(own).map(|(v, x)| (v - x) * (v - x)).collect())
        })
        .collect();
    Ok(Quality {
        brier_end: stats::brier(&end, seed.named("brier end")),
        auc_end: stats::auc(&end, seed.named("auc end")),
        brier_prefix: stats::brier(&prefix, seed.named("brier prefix")),
        auc_prefix: stats::auc(&prefix, seed.named("auc prefix")),
        mse_truth: stats::mean_with_interval(&errors.concat(), seed.named("mse")),
        mse_by_step: by_step(&errors),
        value_change: value_change(values),
        td_error: published_td_error(values, data)?,
    })
}

/// (value, outcome) of the chosen prefixes, per problem: problems are what is resampled.
pub(crate) fn pairs(
    values: &Values,
    data: &[Sampled],
    chosen: impl Fn(usize) -> std::ops::Range<usize>,
) -> Vec<Vec<(f64, bool)>> {
    let of_sample = |(s, v): (&Sample, &Vec<f64>)| {
        v[chosen(s.response.step_ends.len())].iter().map(|&x| (x, s.correct)).collect::<Vec<_>>()
    };
    data.iter().zip(values).map(|(p, v)| p.samples.iter().zip(v).flat_map(of_sample).collect()).collect()
}

/// Mean error by the number of steps done.
fn by_step(errors: &[Vec<f64>]) -> Vec<f64> {
    let longest = errors.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).map(|t| stats::mean(errors.iter().filter_map(|e| e.get(t).copied()))).collect()
}

fn value_change(values: &Values) -> f64 {
    let unfinished = values.iter().flatten().map(|v| &v[..v.len() - 1]);
    stats::mean(unfinished.flat_map(|v| v.windows(2)).map(|w| (w[1] - w[0]).abs()))
}

/// Mean |y − V(s_t)| over unfinished prefixes s_1 … s_{K−1}, y the published one-step target from the same values.
fn published_td_error(values: &Values, data: &[Sampled]) -> Result<f64, RecipeError> {
    let Some(published) = Arm::all().into_iter().find(|a| a.name() == "tdrm n=1") else { return Ok(f64::NAN) };
    let mut errors = Vec::new();
    for (problem, rows) in data.iter().zip(values) {
        for (sample, v) in problem.samples.iter().zip(rows) {
            let Some(targets) = published.targets(sample, v)? else { continue };
            let unfinished = targets.prefixes.iter().zip(&targets.values).filter(|(t, _)| **t + 1 < v.len());
            errors.extend(unfinished.map(|(&t, y)| (y - v[t]).abs()));
        }
    }
    Ok(stats::mean(errors.into_iter()))
}
