//! Training a reward model: one procedure for every arm.

use rand::seq::SliceRandom;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tdrm_algo::value::soft_target_bce;
use tdrm_algo::value::tdrm::Saturation;
use tdrm_core::{Event, Seed, ShapeError};
use tdrm_dfdx::{Decay, Lm, Optimiser, Schedule, Trainer, ValueSequence};

use super::arm::Bootstrap;
use super::{Arm, RewardConfig, Sample, Sampled};
use crate::RecipeError;
use crate::model::Context;

/// A trained reward model and how its training went.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// Trunk and scalar head.
    pub lm: Lm,
    /// What the clamp did to the targets.
    pub saturation: Saturation,
    /// Mean loss of each optimiser step, in nats per supervised prefix.
    pub losses: Vec<f64>,
}

/// What is kept of a fit besides the network.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitSummary {
    /// Non-terminal targets that were clamped, as a share; `None` where the arm has no clamp.
    pub saturated: Option<f64>,
    /// Non-terminal targets that would be the same without the bootstrap, as a share.
    pub inert: Option<f64>,
    /// Mean loss of each optimiser step.
    pub losses: Vec<f64>,
}

impl Fitted {
    /// The part that goes into the report.
    #[must_use]
    pub fn summary(&self, arm: &Arm) -> FitSummary {
        let clamped = matches!(arm.bootstraps_from(), Bootstrap::Itself);
        FitSummary {
            saturated: clamped.then(|| self.saturation.share()),
            inert: clamped.then(|| self.saturation.inert_share()),
            losses: self.losses.clone(),
        }
    }
}

/// One trajectory as the trainer sees it.
struct Item<'a> {
    sample: &'a Sample,
    sequence: ValueSequence,
}

/// A batch in flight: what the coefficients callback computes from the logits.
#[derive(Default)]
struct Tally {
    loss: f64,
    saturation: Saturation,
    failure: Option<ShapeError>,
}

/// Trains one arm from the given trunk, with the head as it is.
///
/// # Errors
/// If a loss is not a number, the network fails, or the run was asked to stop.
pub fn fit(
    arm: &Arm,
    base: &Lm,
    data: &[Sampled],
    config: &RewardConfig,
    seed: Seed,
    state: &Path,
    context: &mut Context<'_>,
) -> Result<Fitted, RecipeError> {
    let mut items: Vec<_> = data
        .iter()
        .flat_map(|p| p.samples.iter().map(|s| Item { sample: s, sequence: p.value_sequence(s) }))
        .filter(|item| !item.sample.response.tokens.is_empty())
        .collect();
    let steps = (config.epochs * items.len().div_ceil(config.batch)) as u64;
    let mut trainer = Trainer::new(base.clone(), optimiser(config, steps))?;
    let mut target = matches!(arm.bootstraps_from(), Bootstrap::TargetNetwork).then(|| base.clone());
    let mut fitted = Fitted { lm: base.clone(), saturation: Saturation::default(), losses: Vec::new() };
    let stage = format!("fit {}", arm.name());
    context.observer.on(&Event::Started { stage: &stage, total: steps });
    for epoch in 0..config.epochs as u64 {
        items.shuffle(&mut seed.named("order").child(epoch).rng());
        for batch in items.chunks(config.batch) {
            context.stop.check(state)?;
            let tally = step(arm, &mut trainer, target.as_ref(), batch)?;
            let step = trainer.steps();
            if !tally.loss.is_finite() {
                return Err(RecipeError::Loss { stage, step, got: tally.loss });
            }
            trainer.step()?;
            if let Some(target) = &mut target {
                target.lerp_from(trainer.lm(), config.target_ema)?;
            }
            fitted.losses.push(tally.loss);
            fitted.saturation += tally.saturation;
            context.observer.on(&Event::Progress { stage: &stage, done: step + 1 });
            let metrics = [("loss", tally.loss)];
            context.observer.on(&Event::Metrics { stage: &stage, step: step + 1, metrics: &metrics });
        }
    }
    context.observer.on(&Event::Finished { stage: &stage });
    fitted.lm = trainer.into_lm();
    Ok(fitted)
}

fn optimiser(config: &RewardConfig, steps: u64) -> Optimiser {
    let schedule = Schedule { warmup_steps: steps / 20, decay: Decay::Linear { total_steps: steps } };
    Optimiser { schedule, ..Optimiser::adamw(config.learning_rate) }
}

/// Accumulates the gradient of the mean soft-target cross-entropy over the supervised prefixes of a batch.
fn step(arm: &Arm, trainer: &mut Trainer, target: Option<&Lm>, batch: &[Item<'_>]) -> Result<Tally, RecipeError> {
    let sequences: Vec<_> = batch.iter().map(|item| item.sequence.clone()).collect();
    let frozen = target.map(|lm| prefix_logits(lm, &sequences)).transpose()?;
    let mut tally = Tally::default();
    trainer.accumulate_value(&sequences, &mut |logits| {
        let source = frozen.as_deref().unwrap_or(logits);
        coefficients(arm, batch, logits, source, &mut tally)
    })?;
    match tally.failure.take() {
        Some(e) => Err(e.into()),
        None => Ok(tally),
    }
}

/// ∂L/∂z at each prefix, zero where the arm supervises nothing.
fn coefficients(
    arm: &Arm,
    batch: &[Item<'_>],
    logits: &[Vec<f32>],
    source: &[Vec<f32>],
    tally: &mut Tally,
) -> Vec<Vec<f32>> {
    let mut gradient: Vec<_> = logits.iter().map(|row| vec![0.0; row.len()]).collect();
    let mut count = 0_usize;
    for ((item, z), (bootstrap, dz)) in batch.iter().zip(logits).zip(source.iter().zip(&mut gradient)) {
        let values: Vec<_> = bootstrap.iter().map(|&z| sigmoid(z)).collect();
        let targets = match arm.targets(item.sample, &values) {
            Ok(Some(targets)) => targets,
            Ok(None) => continue,
            Err(e) => {
                tally.failure = Some(e);
                continue;
            }
        };
        for (&t, &y) in targets.prefixes.iter().zip(&targets.values) {
            let at = soft_target_bce(f64::from(z[t]), y);
            tally.loss += at.loss;
            dz[t] = at.dlogit as f32;
        }
        count += targets.prefixes.len();
        tally.saturation += targets.saturation;
    }
    let weight = 1.0 / count.max(1) as f64;
    tally.loss *= weight;
    gradient.iter_mut().flatten().for_each(|g| *g *= weight as f32);
    gradient
}

/// Logits of the scalar head at the positions of each sequence.
pub(super) fn prefix_logits(lm: &Lm, sequences: &[ValueSequence]) -> Result<Vec<Vec<f32>>, RecipeError> {
    let tokens: Vec<_> = sequences.iter().map(|s| s.tokens.as_slice()).collect();
    let all = lm.values(&tokens)?;
    let picked = all.iter().zip(sequences).map(|(row, s)| s.positions.iter().map(|&p| row[p]).collect());
    Ok(picked.collect())
}

/// σ(z), the value of a logit.
#[must_use]
pub fn sigmoid(z: f32) -> f64 {
    1.0 / (1.0 + f64::from(-z).exp())
}
