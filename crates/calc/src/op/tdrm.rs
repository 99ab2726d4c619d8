//! Ops of the TDRM family: `tdrm_targets`, `tdrm_rows`, `cosine_shaping`.

use serde::{Deserialize, Serialize};
use tdrm_algo::value::tdrm::{Clamp, CosineShaping, PrefixValues, Sign, TdMode, row_target};
use tdrm_algo::value::{soft_target_bce, soft_target_bce_epsilon};
use tdrm_core::{NonNegative, ShapeError};

use crate::{CalcError, OpDoc};

/// Fields of `tdrm_targets`: one trajectory of K steps.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Targets {
    mode: TdMode,
    lengths: Vec<usize>,
    values: Vec<f64>,
    label: f64,
    step_labels: Option<Vec<f64>>,
}

/// Answer of `tdrm_targets`.
#[derive(Debug, Serialize)]
pub(crate) struct TargetsAnswer {
    first_prefix: usize,
    targets: Vec<f64>,
    saturation_rate: f64,
    inert_rate: f64,
}

impl Targets {
    pub(crate) fn run(self) -> Result<TargetsAnswer, CalcError> {
        let mut trajectory = PrefixValues::new(&self.lengths, &self.values, self.label)?;
        if let Some(labels) = &self.step_labels {
            trajectory = trajectory.with_step_labels(labels)?;
        }
        let mut targets = Vec::new();
        let saturation = self.mode.targets(trajectory, &mut targets);
        let (saturation_rate, inert_rate) = (saturation.share(), saturation.inert_share());
        Ok(TargetsAnswer { first_prefix: self.mode.first_prefix(), targets, saturation_rate, inert_rate })
    }
}

/// Fields of `tdrm_rows`: a minibatch in the format of the release.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rows {
    /// z of the state, `[B]`.
    logits: Vec<f64>,
    /// z of the state n steps later, `[B]`.
    bootstrap_logits: Vec<f64>,
    /// r_1 … r_n, `[n][B]`.
    rewards: Vec<Vec<f64>>,
    label: Vec<f64>,
    /// 1 at a terminal row, `[B]`.
    done: Vec<f64>,
    /// 0 where the state n steps later does not exist, `[B]`.
    bootstrap_mask: Option<Vec<f64>>,
    #[serde(default = "published_gamma")]
    gamma: f64,
    #[serde(default)]
    clamp: Clamp,
    terminal_weight: Option<NonNegative>,
    /// ε inside the logarithms; the form on logits where absent.
    epsilon: Option<NonNegative>,
}

const fn published_gamma() -> f64 {
    0.8
}

/// Answer of `tdrm_rows`.
#[derive(Debug, Serialize)]
pub(crate) struct RowsAnswer {
    /// The clamped backup of every row, also of terminal ones, where the loss uses the label.
    targets: Vec<f64>,
    loss: f64,
    dlogits: Vec<f64>,
}

impl Rows {
    pub(crate) fn run(self) -> Result<RowsAnswer, CalcError> {
        self.check()?;
        let rows = self.logits.len() as f64;
        let targets: Vec<f64> = (0..self.logits.len()).map(|i| self.target(i)).collect();
        let (mut loss, mut dlogits) = (0.0, Vec::with_capacity(targets.len()));
        for (i, &target) in targets.iter().enumerate() {
            let terminal = self.done[i] >= 0.5;
            let weight = if terminal { self.terminal_weight.map_or(1.0, NonNegative::get) } else { 1.0 } / rows;
            let y = if terminal { self.label[i] } else { target };
            let at = match self.epsilon {
                Some(epsilon) => soft_target_bce_epsilon(self.logits[i], y, epsilon.get()),
                None => soft_target_bce(self.logits[i], y),
            };
            loss += weight * at.loss;
            dlogits.push(weight * at.dlogit);
        }
        Ok(RowsAnswer { targets, loss, dlogits })
    }

    fn check(&self) -> Result<(), ShapeError> {
        let rows = self.logits.len();
        ShapeError::check("bootstrap_logits", rows, self.bootstrap_logits.len())?;
        ShapeError::check("label", rows, self.label.len())?;
        ShapeError::check("done", rows, self.done.len())?;
        self.bootstrap_mask.iter().try_for_each(|mask| ShapeError::check("bootstrap_mask", rows, mask.len()))?;
        self.rewards.iter().try_for_each(|column| ShapeError::check("rewards", rows, column.len()))
    }

    fn target(&self, row: usize) -> f64 {
        let rewards: Vec<f64> = self.rewards.iter().map(|column| column[row]).collect();
        let masked = self.bootstrap_mask.as_ref().is_some_and(|mask| mask[row] < 0.5);
        let value = 1.0 / (1.0 + (-self.bootstrap_logits[row]).exp());
        row_target(&rewards, self.gamma, (!masked).then_some(value), self.clamp)
    }
}

/// Fields of `cosine_shaping`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rewards {
    #[serde(default)]
    shaping: CosineShaping,
    lengths: Vec<usize>,
    sign: Sign,
}

/// Answer of `cosine_shaping`.
#[derive(Debug, Serialize)]
pub(crate) struct RewardsAnswer {
    rewards: Vec<f64>,
}

impl Rewards {
    #[expect(clippy::unnecessary_wraps, reason = "the shape of every op")]
    pub(crate) fn run(self) -> Result<RewardsAnswer, CalcError> {
        let rewards = self.lengths.iter().map(|&l| self.shaping.reward(self.sign, l)).collect();
        Ok(RewardsAnswer { rewards })
    }
}

/// Their lines of the list.
pub(crate) const OPS: &[OpDoc] = &[
    OpDoc {
        name: "tdrm_targets",
        kind: "published",
        fields: "mode.{n, gamma, shaping = none, clamp = true}; lengths[K+1], values[K+1], label, step_labels[K] optional",
        formula: "y_t = clamp(Σ γ^k r_{t+k} + γ^n V(s_{t+n})), t = 1…K−1; y_K = label",
        example: r#"{"op":"tdrm_targets","mode":{"kind":"published","n":1,"gamma":0.8,"shaping":{"max_len":512}},"lengths":[0,497,508],"values":[0.5,0.5,0.9],"label":0}"#,
    },
    OpDoc {
        name: "tdrm_targets",
        kind: "repaired",
        fields: "mode.{backup = {n} or {lambda}, gamma = 1}; lengths[K+1], values[K+1], label",
        formula: "y_t = V'(s_{t+n}) or γ[(1−λ) V'(s_{t+1}) + λ y_{t+1}], V'(s_K) = y_K = label, t = 0…K",
        example: r#"{"op":"tdrm_targets","mode":{"kind":"repaired","backup":{"lambda":0.7}},"lengths":[0,20,40],"values":[0.5,0.5,0.9],"label":1}"#,
    },
    OpDoc {
        name: "tdrm_rows",
        kind: "",
        fields: "logits[B], bootstrap_logits[B], rewards[n][B], label[B], done[B], bootstrap_mask[B] optional, gamma = 0.8, clamp = true, terminal_weight = 1, epsilon = none",
        formula: "y = clamp(Σ γ^k r_k + γ^n σ(z_n) mask); loss = mean w BCE(z, done ? label : y); dloss/dz = w (σ(z) − y)/B",
        example: r#"{"op":"tdrm_rows","logits":[0.3,-1],"bootstrap_logits":[1,2],"rewards":[[0.1,-0.2]],"label":[0,1],"done":[0,1]}"#,
    },
    OpDoc {
        name: "cosine_shaping",
        kind: "",
        fields: "sign = positive | negative, lengths[K], shaping.{pos = [2,1], neg = [-10,0], max_len = 512}",
        formula: "r = r_L + ½ (r_0 − r_L)(1 + cos(π l / L))",
        example: r#"{"op":"cosine_shaping","sign":"negative","lengths":[256]}"#,
    },
];
