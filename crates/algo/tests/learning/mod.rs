//! Three enumerable tasks and a softmax table that learns them: shared by the test and the example that times it.
#![allow(dead_code, reason = "each of them uses its part")]

use rand::RngExt;
use tdrm_algo::objective::categorical::{add_log_prob_gradient, log_softmax};
use tdrm_algo::objective::{Advantages, Aggregation, Objective, Preset, RatioLevel, SequenceTerms, TrajectoryBalance};
use tdrm_core::{Positive, Seed};

/// From the rewards of a group.
pub(crate) type Advantage = fn(&[f64]) -> Vec<f64>;

const GROUP: usize = 16;
const UPDATES: u64 = 150;
const EPOCHS: usize = 2;

/// An enumerable task: `horizon` choices among `actions`, a state per prefix or per step, a reward at the end.
pub(crate) struct Task {
    pub(crate) name: &'static str,
    horizon: usize,
    actions: usize,
    states: usize,
    next: fn(usize, usize) -> usize,
    reward: fn(&[usize]) -> f64,
}

/// The best reward of every task is 1.
pub(crate) const TASKS: [Task; 3] = [
    Task {
        name: "bandit",
        horizon: 1,
        actions: 5,
        states: 1,
        next: |s, _| s,
        reward: |a| [0.2, 0.0, 0.4, 1.0, 0.6][a[0]],
    },
    Task {
        name: "chain",
        horizon: 4,
        actions: 2,
        states: 4,
        next: |s, _| s + 1,
        reward: |a| a.iter().filter(|&&a| a == 1).count() as f64 / 4.0,
    },
    Task {
        name: "tree",
        horizon: 3,
        actions: 2,
        states: 7,
        next: |s, a| 2 * s + 1 + a,
        reward: |a| [0.1, 0.6, 0.4, 0.0, 1.0, 0.3, 0.7, 0.2][a[0] + 2 * a[1] + 4 * a[2]],
    },
];

/// A softmax table with Adam.
struct Table {
    logits: Vec<Vec<f64>>,
    first: Vec<Vec<f64>>,
    second: Vec<Vec<f64>>,
    log_z: f64,
    steps: i32,
}

impl Table {
    fn new(task: &Task) -> Self {
        let zeros = vec![vec![0.0; task.actions]; task.states];
        Self { logits: zeros.clone(), first: zeros.clone(), second: zeros, log_z: 0.0, steps: 0 }
    }

    fn path(&self, task: &Task, actions: &[usize]) -> Vec<(usize, Vec<f64>)> {
        let mut state = 0;
        actions
            .iter()
            .map(|&action| {
                let here = state;
                state = (task.next)(state, action);
                (here, log_softmax(&self.logits[here]))
            })
            .collect()
    }

    fn logp(&self, task: &Task, actions: &[usize]) -> Vec<f64> {
        self.path(task, actions).iter().zip(actions).map(|((_, log_probs), &a)| log_probs[a]).collect()
    }

    fn sample(&self, task: &Task, seed: Seed) -> Vec<usize> {
        let mut rng = seed.rng();
        let (mut state, mut actions) = (0, Vec::new());
        for _ in 0..task.horizon {
            let mut left = rng.random::<f64>();
            let probabilities = log_softmax(&self.logits[state]);
            let mut draw = |lp: &f64| {
                left -= lp.exp();
                left < 0.0
            };
            let action = probabilities.iter().position(&mut draw).unwrap_or(task.actions - 1);
            state = (task.next)(state, action);
            actions.push(action);
        }
        actions
    }

    /// Exactly: the sum over all sequences.
    fn value(&self, task: &Task) -> f64 {
        let sequence = |code: usize| -> Vec<usize> {
            (0..task.horizon).map(|t| code / task.actions.pow(t as u32) % task.actions).collect()
        };
        (0..task.actions.pow(task.horizon as u32))
            .map(sequence)
            .map(|actions| self.logp(task, &actions).iter().sum::<f64>().exp() * (task.reward)(&actions))
            .sum()
    }

    fn adam(&mut self, gradient: &[Vec<f64>], dlog_z: f64) {
        self.steps += 1;
        let (a, b) = (1.0 - 0.9f64.powi(self.steps), 1.0 - 0.99f64.powi(self.steps));
        for (((z, m), v), g) in self.logits.iter_mut().zip(&mut self.first).zip(&mut self.second).zip(gradient) {
            for k in 0..g.len() {
                m[k] = 0.9 * m[k] + 0.1 * g[k];
                v[k] = 0.99 * v[k] + 0.01 * g[k] * g[k];
                z[k] -= 0.15 * (m[k] / a) / ((v[k] / b).sqrt() + 1e-12);
            }
        }
        self.log_z -= 0.02 * dlog_z;
    }
}

fn centred(rewards: &[f64]) -> Vec<f64> {
    let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
    rewards.iter().map(|r| r - mean).collect()
}

pub(crate) fn standardised(rewards: &[f64]) -> Vec<f64> {
    let centred = centred(rewards);
    let std = (centred.iter().map(|a| a * a).sum::<f64>() / (rewards.len() as f64 - 1.0)).sqrt();
    centred.iter().map(|a| a / (std + 1e-6)).collect()
}

/// The value after training.
pub(crate) fn train(task: &Task, objective: &Objective, advantages: Advantage, seed: Seed) -> f64 {
    let mut table = Table::new(task);
    let reference = Table::new(task);
    for update in 0..UPDATES {
        let samples: Vec<_> = (0..GROUP).map(|g| table.sample(task, seed.child(update).child(g as u64))).collect();
        let advantages = advantages(&samples.iter().map(|a| (task.reward)(a)).collect::<Vec<_>>());
        let old: Vec<_> = samples.iter().map(|a| table.logp(task, a)).collect();
        let anchor: Vec<_> = samples.iter().map(|a| reference.logp(task, a)).collect();
        for _ in 0..EPOCHS {
            let logp: Vec<_> = samples.iter().map(|a| table.logp(task, a)).collect();
            let terms: Vec<_> = (0..GROUP)
                .map(|i| SequenceTerms {
                    old_logp: &old[i],
                    ref_logp: &anchor[i],
                    log_z: table.log_z,
                    ..SequenceTerms::new(&logp[i], Advantages::Sequence(advantages[i]))
                })
                .collect();
            let denominators = objective.prepare(&terms).expect("whole columns");
            let coefficients = objective.evaluate(&terms, &denominators).expect("whole columns").coefficients;
            let mut gradient = vec![vec![0.0; task.actions]; task.states];
            for (actions, c) in samples.iter().zip(&coefficients.log_probs) {
                for ((state, log_probs), (&action, &c)) in table.path(task, actions).iter().zip(actions.iter().zip(c)) {
                    add_log_prob_gradient(log_probs, action, c, &mut gradient[*state]);
                }
            }
            table.adam(&gradient, coefficients.log_z.iter().sum());
        }
    }
    table.value(task)
}

/// Methods that name their advantage get it; the others get the group z-score.
pub(crate) fn advantages_of(preset: Preset) -> Advantage {
    match preset {
        Preset::DrGrpo | Preset::Kimi | Preset::Rloo => centred,
        _ => standardised,
    }
}

/// GRPO without its KL: near the optimum most groups have no spread, and the leash alone pulls back by about 1 %.
pub(crate) fn grpo() -> Objective {
    Objective { kl: None, ..Preset::Grpo.objective() }
}

/// FlowRL's target π_ref e^{βr}/Z is within 1 % of the optimum at β = 40; ln Z is learned beside the policy.
pub(crate) fn sharp_trajectory_balance() -> Objective {
    let balance = TrajectoryBalance { beta: Positive::new(40.0).expect("40 is positive"), clip: None };
    Objective::new(RatioLevel::SequenceSum, balance, Aggregation::SEQUENCE_MEAN)
}
