//! The published backup on plain steps.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tdrm_core::{Discount, Real};

use super::Clamp;
use crate::value::Trace;
use crate::value::n_step::Windowed;
use crate::value::recursion::{Recursion, Seen};

/// The target of one row of the released data: n rewards and the value n steps later.
///
/// ```text
/// y = clamp( Σ_{k<n} γ^k r_k + γ^n V_n · mask )
/// ```
///
/// `bootstrap` is `None` where the row's mask is 0. TDRM card §2.3.
///
/// ```
/// use tdrm_algo::value::tdrm::{Clamp, row_target};
/// let y: f64 = row_target(&[0.25, 0.5], 0.5, Some(0.5), Clamp::UNIT);
/// assert_eq!(y, 0.625); // 0.25 + 0.5·0.5 + 0.25·0.5
/// ```
#[must_use]
pub fn row_target<F: Real>(rewards: &[F], gamma: F, bootstrap: Option<F>, clamp: Clamp) -> F {
    let u = rewards.iter().rev().fold(bootstrap.unwrap_or_else(F::zero), |u, &r| r + gamma * u);
    clamp.apply(u)
}

/// TDRM's clamped n-step target with one γ for all steps.
///
/// ```text
/// y_t = clamp( Σ_{k<n} γ^k r_{t+k} + γ^n v_{t+n} )
/// ```
///
/// The discounts of the steps say only where the trajectory terminates (0); the window ends there, without a
/// bootstrap, and at T, with one. Give the label as the reward of the terminal step. For whole reasoning
/// trajectories, with shaping and the released treatment of windows past the end, see [`super::TdMode`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tdrm {
    /// n ≥ 1.
    #[serde(alias = "n_step")]
    pub n: NonZeroUsize,
    /// γ, 0.8 unless stated.
    pub gamma: Discount,
    /// What keeps y in [0, 1].
    pub clamp: Clamp,
}

impl Default for Tdrm {
    fn default() -> Self {
        let gamma = Discount::try_from(0.8).unwrap_or(Discount::ONE);
        Self { n: NonZeroUsize::MIN, gamma, clamp: Clamp::UNIT }
    }
}

impl Windowed for Tdrm {
    fn recursion<F: Real>(&self) -> impl Recursion<F> {
        Clamped { gamma: self.gamma.get(), clamp: self.clamp }
    }

    fn lambda(&self) -> Option<&Trace> {
        None
    }

    fn n(&self) -> usize {
        self.n.get()
    }
}

/// a = r, b = γ until the trajectory terminates.
#[derive(Debug, Clone, Copy)]
struct Clamped<F> {
    gamma: F,
    clamp: Clamp,
}

impl<F: Real> Recursion<F> for Clamped<F> {
    #[inline]
    fn coefficients(self, seen: Seen<F>) -> (F, F) {
        (seen.step.reward, if seen.step.discount == F::zero() { F::zero() } else { self.gamma })
    }

    #[inline]
    fn target(self, _: Seen<F>, g: F) -> F {
        self.clamp.apply(g)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests state exact values")]
    use tdrm_core::{Steps, ValueTarget};

    use super::*;

    fn tdrm(n: usize, gamma: f64, clamp: Clamp) -> Tdrm {
        Tdrm { n: NonZeroUsize::new(n).unwrap(), gamma: Discount::new(gamma).unwrap(), clamp }
    }

    #[test]
    fn the_golden_rows_of_the_card_come_out() {
        let row = |r, v| row_target(&[r], 0.8, Some(v), Clamp::UNIT);
        assert_eq!(row(1.98717, 0.76172), 1.0);
        assert_eq!(row(-8.38046, 0.02441), 0.0);
        assert!((row(-0.02116, 0.9) - 0.69884_f64).abs() < 1e-12);
        assert_eq!(row_target(&[0.0], 0.8, None, Clamp::UNIT), 0.0);
    }

    #[test]
    fn one_gamma_stands_for_every_discount_but_zero() {
        // y_0 = 0.1 + ½·0.2 + ¼·0.8 = 0.4; y_1 = 0.2 + ½·1 = 0.7 (terminal, no bootstrap); y_2 = 1
        let steps = Steps::new(&[0.1, 0.2, 1.0], &[0.99, 1.0, 0.0], &[0.0, 0.0, 0.8, 7.0]).unwrap();
        let y: Vec<f64> = tdrm(2, 0.5, Clamp::UNIT).targets(steps);
        assert!(y.iter().zip([0.4, 0.7, 1.0]).all(|(a, b)| (a - b).abs() < 1e-15), "{y:?}");
    }

    #[test]
    fn every_window_is_a_row() {
        let (r, v) = ([0.3, -0.1, 0.2, 0.4], [0.5, 0.6, 0.7, 0.8, 0.9]);
        let steps = Steps::new(&r, &[1.0; 4], &v).unwrap();
        let y: Vec<f64> = tdrm(3, 0.8, Clamp::Off).targets(steps);
        for (t, y) in y.into_iter().enumerate() {
            let end = (t + 3).min(4);
            let row = row_target(&r[t..end], 0.8, Some(v[end]), Clamp::Off);
            assert!((y - row).abs() < 1e-15);
        }
    }

    #[test]
    fn an_empty_config_is_the_published_backup() {
        assert_eq!(serde_json::from_str::<Tdrm>("{}").unwrap(), Tdrm::default());
        assert!(serde_json::from_str::<Tdrm>(r#"{"n":0}"#).is_err());
        assert!(serde_json::from_str::<Tdrm>(r#"{"gama":1}"#).is_err());
    }
}
