//! Targets at the prefixes of a reasoning trajectory.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_core::{Discount, Lambda, NonNegative, Real, ShapeError};

use super::{Clamp, CosineShaping, Saturation, Sign};

/// What a trajectory of K steps offers: lengths and values at its K + 1 prefixes, and how it ended.
///
/// ```text
/// lengths     [K+1]  tokens of the answer prefix s_0 … s_K; s_0 is the question alone, length 0
/// values      [K+1]  V(s_t) as probabilities, from the network that bootstraps (its own, or an EMA copy)
/// label              the outcome, 1 right, 0 wrong
/// step_labels [K]    optional, of steps 1 … K: which curve shapes a step; the outcome's where absent
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrefixValues<'a, F> {
    lengths: &'a [usize],
    values: &'a [F],
    label: F,
    step_labels: Option<&'a [F]>,
}

impl<'a, F: Real> PrefixValues<'a, F> {
    /// Checks the shapes once.
    ///
    /// # Errors
    /// If there is no prefix, or `lengths` and `values` differ in length.
    pub const fn new(lengths: &'a [usize], values: &'a [F], label: F) -> Result<Self, ShapeError> {
        if values.is_empty()
            && let Err(e) = ShapeError::check("values", 1, 0)
        {
            return Err(e);
        }
        if let Err(e) = ShapeError::check("lengths", values.len(), lengths.len()) {
            return Err(e);
        }
        Ok(Self { lengths, values, label, step_labels: None })
    }

    /// Adds labels of the steps.
    ///
    /// # Errors
    /// If there are not K of them.
    pub fn with_step_labels(self, step_labels: &'a [F]) -> Result<Self, ShapeError> {
        ShapeError::check("step_labels", self.steps(), step_labels.len())?;
        Ok(Self { step_labels: Some(step_labels), ..self })
    }

    /// K.
    #[must_use]
    pub const fn steps(&self) -> usize {
        self.values.len() - 1
    }

    /// r_t of the step leaving s_t: 0 at the end, shaped before it.
    fn reward(&self, t: usize, shaping: Option<&CosineShaping>) -> F {
        match shaping {
            Some(shaping) if t < self.steps() => shaping.reward(self.sign(t), self.lengths[t]),
            _ => F::zero(),
        }
    }

    /// The curve of prefix s_t: by the label of its last step, or by the outcome.
    fn sign(&self, t: usize) -> Sign {
        let own = t.checked_sub(1).and_then(|k| self.step_labels?.get(k).copied());
        Sign::of_label(own.unwrap_or(self.label))
    }

    /// V(s_t) before the end, the label at the end.
    fn value_or_label(&self, t: usize) -> F {
        if t < self.steps() { self.values[t] } else { self.label }
    }
}

/// How far a repaired target looks ahead.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Backup {
    /// n steps.
    N(NonZeroUsize),
    /// All of them, mixed geometrically.
    Lambda(Lambda),
}

/// Turns the values at the prefixes of a trajectory into regression targets.
///
/// ```
/// use tdrm_algo::value::tdrm::{PrefixValues, TdMode};
/// let trajectory = PrefixValues::new(&[0, 20, 45, 60], &[0.9, 0.6, 0.7, 0.8], 0.0)?;
/// let mut targets = vec![];
///
/// // As published: rows s_1 … s_K; the shaped reward is so large that the bootstrap never shows.
/// let saturation = TdMode::published().targets(trajectory, &mut targets);
/// assert_eq!((targets.as_slice(), saturation.share()), (&[0.0, 0.0, 0.0][..], 1.0));
///
/// // Repaired: s_0 too; each value learns from its successor, the last two from the outcome.
/// TdMode::repaired().targets(trajectory, &mut targets);
/// assert_eq!(targets, [0.6, 0.7, 0.0, 0.0]);
/// # Ok::<(), tdrm_core::ShapeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum TdMode {
    /// The released recipe (card §2.2–2.3), with a mask per row so that windows stop at the end:
    ///
    /// ```text
    /// u_t = Σ_{k<n, t+k<K} γ^k r_{t+k} + [t+n ≤ K] γ^n V(s_{t+n}),    y_t = clamp(u_t),    t = 1 … K−1
    /// y_K = label
    /// ```
    ///
    /// The reward of the terminal row is 0 in a window that contains it; its own target is the label. `s_0` is no
    /// regression target.
    Published {
        /// n ≥ 1.
        n: NonZeroUsize,
        /// γ.
        gamma: Discount,
        /// r_t; none means 0 before the end.
        #[serde(default)]
        shaping: Option<CosineShaping>,
        /// What keeps y in [0, 1].
        #[serde(default)]
        clamp: Clamp,
    },
    /// Temporal differences of a success probability (card §9): the reward is the outcome, paid at the end.
    ///
    /// ```text
    /// n-step   y_t = γ^m V'(s_{t+m}),   m = min(n, K − t)
    /// λ        y_t = γ [ (1 − λ) V'(s_{t+1}) + λ y_{t+1} ]
    /// with V'(s_K) = y_K = label,   t = 0 … K
    /// ```
    ///
    /// With γ = 1 the targets cannot leave the range of the values. `n ≥ K` or λ = 1 is the outcome on all prefixes.
    Repaired {
        /// n or λ.
        backup: Backup,
        /// γ, 1 unless stated.
        #[serde(default = "undiscounted")]
        gamma: Discount,
    },
}

const fn undiscounted() -> Discount {
    Discount::ONE
}

impl TdMode {
    /// One step, γ = 0.8, cosine shaping, clamp: what was released.
    #[must_use]
    pub fn published() -> Self {
        let gamma = Discount::try_from(0.8).unwrap_or(Discount::ONE);
        let shaping = Some(CosineShaping::default());
        Self::Published { n: NonZeroUsize::MIN, gamma, shaping, clamp: Clamp::UNIT }
    }

    /// One step, γ = 1.
    #[must_use]
    pub const fn repaired() -> Self {
        Self::Repaired { backup: Backup::N(NonZeroUsize::MIN), gamma: Discount::ONE }
    }

    /// TD(λ), γ = 1.
    #[must_use]
    pub const fn td_lambda(lambda: Lambda) -> Self {
        Self::Repaired { backup: Backup::Lambda(lambda), gamma: Discount::ONE }
    }

    /// Looks `n` steps ahead instead.
    #[must_use]
    pub const fn with_n(self, n: NonZeroUsize) -> Self {
        match self {
            Self::Published { gamma, shaping, clamp, .. } => Self::Published { n, gamma, shaping, clamp },
            Self::Repaired { gamma, .. } => Self::Repaired { backup: Backup::N(n), gamma },
        }
    }

    /// Scales the published curves to answers of at most `max_len` tokens; a repaired target has none.
    #[must_use]
    pub fn with_max_len(self, max_len: u32) -> Self {
        match self {
            Self::Published { n, gamma, shaping, clamp } => {
                let shaping = shaping.map(|s| CosineShaping { max_len, ..s });
                Self::Published { n, gamma, shaping, clamp }
            }
            repaired @ Self::Repaired { .. } => repaired,
        }
    }

    /// The first supervised prefix: `s_1` as published, `s_0` repaired. `targets[i]` belongs to `s_{first + i}`.
    #[must_use]
    pub const fn first_prefix(&self) -> usize {
        match self {
            Self::Published { .. } => 1,
            Self::Repaired { .. } => 0,
        }
    }

    /// Replaces `out` by the targets of prefixes `first_prefix() … K`, and counts what the clamp did.
    ///
    /// `out` has K entries as published and K + 1 repaired; a trajectory without steps has none as published.
    pub fn targets<F: Real>(&self, trajectory: PrefixValues<'_, F>, out: &mut Vec<F>) -> Saturation {
        out.clear();
        match *self {
            Self::Published { n, gamma, ref shaping, clamp } => {
                let rule = Windowed { n: n.get(), gamma: gamma.get(), shaping: shaping.as_ref(), clamp };
                rule.targets(trajectory, out)
            }
            Self::Repaired { backup: Backup::N(n), gamma } => n_step(n.get(), gamma.get(), trajectory, out),
            Self::Repaired { backup: Backup::Lambda(lambda), gamma } => {
                lambda_return(lambda.get(), gamma.get(), trajectory, out)
            }
        }
    }

    /// Weights of the targets, aligned with them: `terminal_weight` on the last, 1 before.
    pub fn weights<F: Real>(&self, steps: usize, terminal_weight: NonNegative, out: &mut Vec<F>) {
        out.clear();
        out.resize((steps + 1).saturating_sub(self.first_prefix()), F::one());
        if let Some(last) = out.last_mut() {
            *last = terminal_weight.get();
        }
    }
}

/// The published rule.
struct Windowed<'a, F> {
    n: usize,
    gamma: F,
    shaping: Option<&'a CosineShaping>,
    clamp: Clamp,
}

impl<F: Real> Windowed<'_, F> {
    fn targets(&self, trajectory: PrefixValues<'_, F>, out: &mut Vec<F>) -> Saturation {
        let end = trajectory.steps();
        let mut saturation = Saturation::default();
        for t in 1..end {
            let (rewards, bootstrap) = self.window(&trajectory, t);
            saturation.count(self.clamp, rewards + bootstrap, rewards);
            out.push(self.clamp.apply(rewards + bootstrap));
        }
        if end > 0 {
            out.push(trajectory.label);
        }
        saturation
    }

    /// Σ γ^k r_{t+k} and γ^n V(s_{t+n}), the latter 0 past the end.
    fn window(&self, trajectory: &PrefixValues<'_, F>, t: usize) -> (F, F) {
        let (mut sum, mut weight) = (F::zero(), F::one());
        for k in t..t.saturating_add(self.n).min(trajectory.steps() + 1) {
            sum = sum + weight * trajectory.reward(k, self.shaping);
            weight = weight * self.gamma;
        }
        let bootstrap = trajectory.values.get(t.saturating_add(self.n)).map_or(F::zero(), |&v| weight * v);
        (sum, bootstrap)
    }
}

fn n_step<F: Real>(n: usize, gamma: F, trajectory: PrefixValues<'_, F>, out: &mut Vec<F>) -> Saturation {
    let end = trajectory.steps();
    out.extend((0..=end).map(|t| {
        let m = n.min(end - t);
        gamma.powi(i32::try_from(m).unwrap_or(i32::MAX)) * trajectory.value_or_label(t + m)
    }));
    Saturation { rows: end, ..Saturation::default() }
}

fn lambda_return<F: Real>(lambda: F, gamma: F, trajectory: PrefixValues<'_, F>, out: &mut Vec<F>) -> Saturation {
    let end = trajectory.steps();
    let mut y = trajectory.label;
    out.resize(end + 1, y);
    for t in (0..end).rev() {
        y = gamma * ((F::one() - lambda) * trajectory.value_or_label(t + 1) + lambda * y);
        out[t] = y;
    }
    Saturation { rows: end, ..Saturation::default() }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests state exact values")]
    use proptest::prelude::*;

    use super::*;

    fn targets(mode: TdMode, trajectory: PrefixValues<'_, f64>) -> (Vec<f64>, Saturation) {
        let mut out = vec![9.0; 3];
        let saturation = mode.targets(trajectory, &mut out);
        (out, saturation)
    }

    fn n(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    const LENGTHS: [usize; 5] = [0, 100, 430, 497, 510];
    const VALUES: [f64; 5] = [0.5, 0.4, 0.3, 0.9, 0.2];

    fn wrong() -> PrefixValues<'static, f64> {
        PrefixValues::new(&LENGTHS, &VALUES, 0.0).unwrap()
    }

    fn right() -> PrefixValues<'static, f64> {
        PrefixValues::new(&LENGTHS, &VALUES, 1.0).unwrap()
    }

    #[test]
    fn the_soft_case_of_the_card_is_soft() {
        // l = 497, r = −0.02116, V' = 0.9:  y = −0.02116 + 0.8·0.9 = 0.69884
        let trajectory = PrefixValues::new(&[0, 497, 508], &[0.0, 0.0, 0.9], 0.0).unwrap();
        let (y, saturation) = targets(TdMode::published(), trajectory);
        assert!((y[0] - 0.69884).abs() < 5e-6, "{y:?}");
        assert_eq!((y[1], saturation), (0.0, Saturation { rows: 1, saturated: 0, inert: 0 }));
    }

    #[test]
    fn a_right_answer_saturates_every_published_target() {
        let (y, saturation) = targets(TdMode::published(), right());
        assert_eq!(y, [1.0; 4]);
        assert_eq!(saturation, Saturation { rows: 3, saturated: 3, inert: 3 });
    }

    #[test]
    fn windows_stop_at_the_end_row_by_row() {
        // Unshaped, unclamped, γ = 1/2, n = 2: V(s_{t+2})/4 where it exists, 0 past the end, the label at the end.
        let gamma = Discount::new(0.5).unwrap();
        let mode = TdMode::Published { n: n(2), gamma, shaping: None, clamp: Clamp::Off };
        let (y, saturation) = targets(mode, right());
        assert_eq!(y, [0.9 / 4.0, 0.2 / 4.0, 0.0, 1.0]);
        assert_eq!(saturation, Saturation { rows: 3, saturated: 0, inert: 1 });
    }

    #[test]
    fn repaired_targets_are_later_values_and_then_the_label() {
        let (y, _) = targets(TdMode::repaired().with_n(n(2)), right());
        assert_eq!(y, [0.3, 0.9, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn lambda_zero_is_one_step_and_lambda_one_is_the_outcome_on_all_prefixes() {
        assert_eq!(targets(TdMode::td_lambda(Lambda::ZERO), wrong()), targets(TdMode::repaired(), wrong()));
        let everywhere = targets(TdMode::td_lambda(Lambda::ONE), right());
        assert_eq!(everywhere.0, [1.0; 5]);
        assert_eq!(everywhere, targets(TdMode::repaired().with_n(n(100)), right()));
    }

    #[test]
    fn a_lambda_return_by_hand() {
        // λ = ½: y_4 = 1, y_3 = 1, y_2 = (0.9 + 1)/2 = 0.95, y_1 = (0.3 + 0.95)/2 = 0.625, y_0 = (0.4 + 0.625)/2
        let (y, _) = targets(TdMode::td_lambda(Lambda::new(0.5).unwrap()), right());
        assert_eq!(y, [0.5125, 0.625, 0.95, 1.0, 1.0]);
    }

    #[test]
    fn step_labels_choose_the_curve_of_their_own_step() {
        let trajectory = wrong().with_step_labels(&[1.0, 0.0, 0.0, 0.0]).unwrap();
        assert_eq!(targets(TdMode::published(), trajectory).0[0], 1.0);
        assert!(wrong().with_step_labels(&[1.0]).is_err());
    }

    #[test]
    fn a_trajectory_without_steps_has_only_its_question() {
        let nothing = PrefixValues::new(&[0], &[0.4], 1.0).unwrap();
        assert!(targets(TdMode::published(), nothing).0.is_empty());
        assert_eq!(targets(TdMode::repaired(), nothing).0, [1.0]);
        assert!(PrefixValues::<f64>::new(&[], &[], 1.0).is_err());
    }

    #[test]
    fn the_terminal_row_carries_its_own_weight() {
        let mut weights = vec![];
        TdMode::published().weights::<f64>(3, NonNegative::new(2.0).unwrap(), &mut weights);
        assert_eq!(weights, [1.0, 1.0, 2.0]);
    }

    #[test]
    fn modes_are_configs() {
        for mode in [TdMode::published(), TdMode::repaired(), TdMode::td_lambda(Lambda::ONE)] {
            let text = serde_json::to_string(&mode).unwrap();
            assert_eq!(serde_json::from_str::<TdMode>(&text).unwrap(), mode, "{text}");
        }
        let read = serde_json::from_str::<TdMode>(r#"{"kind":"repaired","backup":{"n":3}}"#).unwrap();
        assert_eq!(read, TdMode::repaired().with_n(n(3)));
        assert!(serde_json::from_str::<TdMode>(r#"{"kind":"repaired","backup":{"n":3},"lamda":1}"#).is_err());
    }

    proptest! {
        #[test]
        fn the_published_bootstrap_is_inert_before_token_418(
            lengths in prop::collection::vec(0usize..=418, 2..8),
            values in prop::collection::vec(0.0..=1.0f64, 8),
            label in prop::sample::select(vec![0.0, 1.0]),
        ) {
            let trajectory = PrefixValues::new(&lengths, &values[..lengths.len()], label).unwrap();
            let (y, saturation) = targets(TdMode::published(), trajectory);
            let TdMode::Published { n, shaping, clamp, .. } = TdMode::published() else { unreachable!() };
            let myopic = TdMode::Published { n, gamma: Discount::TERMINAL, shaping, clamp };
            prop_assert_eq!(y, targets(myopic, trajectory).0);
            prop_assert_eq!(saturation.inert, saturation.rows);
        }

        #[test]
        fn repaired_targets_never_leave_the_range_of_probabilities(
            values in prop::collection::vec(0.0..=1.0f64, 1..9),
            look in 1usize..6,
            lambda in 0.0..=1.0f64,
        ) {
            let lengths = vec![0; values.len()];
            let trajectory = PrefixValues::new(&lengths, &values, 1.0).unwrap();
            for mode in [TdMode::repaired().with_n(n(look)), TdMode::td_lambda(Lambda::new(lambda).unwrap())] {
                prop_assert!(targets(mode, trajectory).0.iter().all(|y| (0.0..=1.0).contains(y)));
            }
        }
    }
}
