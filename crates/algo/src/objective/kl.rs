//! Estimators of KL(π‖π_ref) from the log-probabilities of one sample.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Positive, Real};

/// An estimator of KL(π‖π_ref) at a token, with `d = log π − log π_ref` and the token drawn from π.
///
/// ```text
/// k1   d                  unbiased, signed
/// k2   d²/2               biased, its gradient is that of the KL
/// k3   e^{−d} − 1 + d     unbiased, ≥ 0, its gradient is that of KL(π_ref‖π)
/// abs  |d|
/// k1+  value k1, gradient k2        k3+  value k3, gradient k2
/// full Σ_a π(a) log π(a)/π_ref(a), computed by the model from whole distributions
/// ```
///
/// As a term of an on-policy loss k1 has expected gradient zero: in the reward it is the right one.
/// Schulman, "Approximating KL divergence" (2020); straight-through forms as in verl.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KlEstimator {
    /// d.
    #[serde(alias = "kl")]
    K1,
    /// d²/2.
    #[serde(alias = "mse")]
    K2,
    /// e^{−d} − 1 + d.
    #[serde(alias = "low_var_kl")]
    K3,
    /// |d|.
    Abs,
    /// Value of k1, gradient of k2.
    #[serde(rename = "k1+")]
    K1Straight,
    /// Value of k3, gradient of k2.
    #[serde(rename = "k3+")]
    K3Straight,
    /// The exact divergence of the two distributions at the token, given as a column.
    Full,
}

/// An estimate and its derivative in log π.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KlDual<F> {
    /// The estimate.
    pub value: F,
    /// ∂value/∂log π.
    pub dlogp: F,
}

/// Largest |d| that enters the exponential of k3; beyond it the estimate is flat.
const LOG_RATIO_LIMIT: f64 = 20.0;

impl KlEstimator {
    /// The estimate at `d = log π − log π_ref`. `Full` cannot be computed from one sample and gives k1.
    #[must_use]
    #[inline]
    pub fn at<F: Real>(self, d: F) -> KlDual<F> {
        match self {
            Self::K1 | Self::Full => KlDual { value: d, dlogp: F::one() },
            Self::K2 => KlDual { value: F::of(0.5) * d * d, dlogp: d },
            Self::K3 => k3(d),
            Self::Abs => KlDual { value: d.abs(), dlogp: sign(d) },
            Self::K1Straight => KlDual { value: d, dlogp: d },
            Self::K3Straight => KlDual { value: k3(d).value, dlogp: d },
        }
    }

    fn straight(self) -> bool {
        matches!(self, Self::K1Straight | Self::K3Straight)
    }
}

/// e^{−d} − 1 + d, near zero by its series, where the difference would cancel.
fn k3<F: Real>(d: F) -> KlDual<F> {
    let limit = F::of(LOG_RATIO_LIMIT);
    if d.abs() < F::of(SERIES_BELOW) {
        return k3_series(d);
    }
    let clamped = if d > limit {
        limit
    } else if d < -limit {
        -limit
    } else {
        d
    };
    let slope = F::one() - (-clamped).exp();
    KlDual { value: clamped - slope, dlogp: if d.abs() > limit { F::zero() } else { slope } }
}

/// Σ_{n≥2} (−d)ⁿ/n! and its derivative; eight terms are exact to rounding below [`SERIES_BELOW`].
fn k3_series<F: Real>(d: F) -> KlDual<F> {
    let (mut term, mut slope, mut value) = (d, F::zero(), F::zero());
    for n in 2..10 {
        slope = slope + term; // d − d²/2 + d³/6 − …
        term = -term * d / F::count(n);
        value = value - term; // d²/2 − d³/6 + …
    }
    KlDual { value, dlogp: slope }
}

/// Where the series takes over.
const SERIES_BELOW: f64 = 0.03;

/// The sign of `x`, 0 at 0: the derivative of |x| that autograd uses.
pub(super) fn sign<F: Real>(x: F) -> F {
    if x > F::zero() {
        F::one()
    } else if x < F::zero() {
        -F::one()
    } else {
        F::zero()
    }
}

/// Where the KL is counted. Exactly one place: counting it in both is a defect that has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KlPlace {
    /// `+ β k` in the loss of each token: GRPO.
    #[default]
    Loss,
    /// `− β k` in the reward of each token ([`super::Objective::reward_penalty`]), nothing in the loss: PPO for language models.
    Reward,
}

/// A KL term.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kl {
    /// The estimator.
    pub estimator: KlEstimator,
    /// β; 0 switches the term off.
    pub coefficient: NonNegative,
    /// Multiplies the estimate by the ratio, with its gradient: the unbiased k3 of DeepSeek-V3.2 (TRL:
    /// `use_bias_correction_kl`). The ratio is that of the objective's level, or the token's own where the level leaves
    /// each token its gradient.
    #[serde(default)]
    pub weighted_by_ratio: bool,
    /// The one place.
    #[serde(default)]
    pub place: KlPlace,
    /// Clamps the estimate to ± this (verl's k3: 10); the gradient is 0 beyond it, except where it is straight-through.
    #[serde(default)]
    pub value_limit: Option<Positive>,
}

impl Kl {
    /// A term in the loss.
    #[must_use]
    pub fn in_loss(estimator: KlEstimator, coefficient: NonNegative) -> Self {
        Self { estimator, coefficient, weighted_by_ratio: false, place: KlPlace::Loss, value_limit: None }
    }

    /// A penalty of the reward.
    #[must_use]
    pub fn in_reward(estimator: KlEstimator, coefficient: NonNegative) -> Self {
        Self { place: KlPlace::Reward, ..Self::in_loss(estimator, coefficient) }
    }

    /// The clamped estimate at `d = log π − log π_ref`, before the coefficient.
    #[must_use]
    #[inline]
    pub fn at<F: Real>(&self, d: F) -> KlDual<F> {
        let dual = self.estimator.at(d);
        match self.value_limit {
            Some(limit) if dual.value.abs() > limit.get() => KlDual {
                value: limit.get::<F>() * sign(dual.value),
                dlogp: if self.estimator.straight() { dual.dlogp } else { F::zero() },
            },
            _ => dual,
        }
    }

    pub(super) fn in_the_loss(&self) -> bool {
        self.place == KlPlace::Loss && self.coefficient != NonNegative::ZERO
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMOOTH: [KlEstimator; 4] = [KlEstimator::K1, KlEstimator::K2, KlEstimator::K3, KlEstimator::Abs];

    #[test]
    fn estimators_by_hand() {
        // d = ln 2: k1 = 0.6931, k2 = 0.2402, k3 = 1/2 − 1 + 0.6931 = 0.1931; derivatives 1, ln 2, 1 − 1/2.
        let d = 2f64.ln();
        let close = |x: f64, y: f64| assert!((x - y).abs() < 1e-12, "{x} {y}");
        close(KlEstimator::K2.at(d).value, d * d / 2.0);
        close(KlEstimator::K3.at(d).value, d - 0.5);
        close(KlEstimator::K3.at(d).dlogp, 0.5);
        close(KlEstimator::K3Straight.at(d).value, d - 0.5);
        close(KlEstimator::K3Straight.at(d).dlogp, d);
    }

    #[test]
    fn the_series_of_k3_meets_the_exponential_without_cancellation() {
        for d in [1e-9, -1e-9, 1e-4, -0.02, 0.029_999, 0.030_001] {
            let k = KlEstimator::K3.at::<f64>(d);
            let exact = (-d).exp_m1() + d;
            assert!((k.dlogp + (-d).exp_m1()).abs() < 1e-14 * d.abs());
            assert!((k.value - exact).abs() < 1e-16 + 1e-12 * exact.abs(), "{d}");
        }
        assert!(
            (KlEstimator::K3.at(1e-9f64).value - 5e-19).abs() < 1e-27,
            "d²/2, where the difference has no digit left"
        );
    }

    proptest! {
        #[test]
        fn derivatives_match_central_differences(d in -3.0f64..3.0) {
            prop_assume!(d.abs() > 1e-3);
            let h = 1e-6;
            for k in SMOOTH {
                let difference = (k.at(d + h).value - k.at(d - h).value) / (2.0 * h);
                prop_assert!((k.at(d).dlogp - difference).abs() < 1e-6, "{k:?} {d}");
            }
        }

        #[test]
        fn k2_k3_and_abs_are_never_negative_and_always_finite(d in -1e4f64..1e4) {
            for k in [KlEstimator::K2, KlEstimator::K3, KlEstimator::Abs] {
                prop_assert!(k.at(d).value >= 0.0 && k.at(d).value.is_finite() && k.at(d).dlogp.is_finite());
            }
        }

        #[test]
        fn k1_and_k3_are_unbiased_and_the_gradient_of_k2_is_that_of_the_divergence(
            a in -2.0f64..2.0, b in -2.0f64..2.0, u in -2.0f64..2.0, v in -2.0f64..2.0,
        ) {
            let (p, q) = (softmax([a, b, 0.0]), softmax([u, v, 0.0]));
            let exact: f64 = (0..3).map(|i| p[i] * (p[i] / q[i]).ln()).sum();
            let mean = |k: KlEstimator| (0..3).map(|i| p[i] * k.at((p[i] / q[i]).ln()).value).sum::<f64>();
            prop_assert!((mean(KlEstimator::K1) - exact).abs() < 1e-12);
            prop_assert!((mean(KlEstimator::K3) - exact).abs() < 1e-12);
            // ∂KL/∂θ_0 of a softmax = p_0 (ln p_0/q_0 − KL); E[k' · ∂ln π/∂θ_0] for the estimators as losses.
            let as_loss = |k: KlEstimator| (0..3)
                .map(|i| p[i] * k.at((p[i] / q[i]).ln()).dlogp * (f64::from(u8::from(i == 0)) - p[0])).sum::<f64>();
            prop_assert!(as_loss(KlEstimator::K1).abs() < 1e-12);
            prop_assert!((as_loss(KlEstimator::K2) - p[0] * ((p[0] / q[0]).ln() - exact)).abs() < 1e-12);
            prop_assert!((as_loss(KlEstimator::K3) - (p[0] - q[0])).abs() < 1e-12); // ∂KL(q‖p)/∂θ_0
        }
    }

    fn softmax(logits: [f64; 3]) -> [f64; 3] {
        let z: f64 = logits.iter().map(|x| x.exp()).sum();
        logits.map(|x| x.exp() / z)
    }
}
