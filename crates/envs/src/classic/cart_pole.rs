//! CartPole.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use tdrm_core::{Environment, Step, StepEnd};

/// A pole on a cart (Barto, Sutton & Anderson, 1983): push left (0) or right (1) so that it does not fall.
///
/// ```text
/// h  = (F + m_p l θ̇² sin θ) / m
/// θ̈  = (g sin θ − h cos θ) / (l (4/3 − m_p cos² θ / m)),   ẍ = h − m_p l θ̈ cos θ / m
/// ```
///
/// Every step pays 1; |x| > 2.4 or |θ| > 12° terminates. Starts are uniform in ±0.05. Gymnasium 1.4, `CartPole-v1`
/// (time limit 500: wrap it in [`TimeLimit`](crate::TimeLimit)). The state is kept in f64, as Gymnasium keeps it.
/// Any action other than 1 pushes left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CartPole {
    /// How the equations are stepped.
    pub integrator: Integrator,
}

/// How differential equations are stepped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Integrator {
    /// Positions move with the velocities before the step (Gymnasium's default).
    #[default]
    Euler,
    /// Positions move with the velocities after the step.
    SemiImplicitEuler,
}

/// Where cart and pole are.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CartPoleState {
    /// Position of the cart, m.
    pub x: f64,
    /// Its velocity, m/s.
    pub x_dot: f64,
    /// Angle of the pole from the vertical, rad.
    pub theta: f64,
    /// Its angular velocity, rad/s.
    pub theta_dot: f64,
}

const GRAVITY: f64 = 9.8;
const POLE_MASS: f64 = 0.1;
const TOTAL_MASS: f64 = POLE_MASS + 1.0;
/// Half of the pole's length, m.
const LENGTH: f64 = 0.5;
const POLE_MOMENT: f64 = POLE_MASS * LENGTH;
const FORCE: f64 = 10.0;
/// Seconds per step.
const TAU: f64 = 0.02;
const FARTHEST: f64 = 2.4;
const STEEPEST: f64 = 12.0 * 2.0 * std::f64::consts::PI / 360.0;

impl CartPoleState {
    /// The observation `[x, ẋ, θ, θ̇]`.
    #[must_use]
    pub const fn observation(&self) -> [f64; 4] {
        [self.x, self.x_dot, self.theta, self.theta_dot]
    }

    fn has_fallen(&self) -> bool {
        self.x.abs() > FARTHEST || self.theta.abs() > STEEPEST
    }

    /// ẍ and θ̈ under a force.
    fn accelerations(&self, force: f64) -> (f64, f64) {
        let (sin, cos) = sin_cos(self.theta);
        let h = (force + POLE_MOMENT * (self.theta_dot * self.theta_dot) * sin) / TOTAL_MASS;
        let theta_acc = (GRAVITY * sin - cos * h) / (LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / TOTAL_MASS));
        (h - POLE_MOMENT * theta_acc * cos / TOTAL_MASS, theta_acc)
    }
}

/// Sine and cosine, by their series where a standing pole needs them.
///
/// Up to |x| = 0.21 (12° and a little) the terms left out are below 2·10⁻¹⁷: the result is within two units in the
/// last place, and the compiler can inline it, which the library's call prevents.
fn sin_cos(x: f64) -> (f64, f64) {
    if x.abs() > 0.21 {
        return x.sin_cos();
    }
    let y = x * x;
    // pairs first: half the chain of dependent operations that Horner's rule makes
    let series = |c: [f64; 6]| (c[0] + c[1] * y) + (y * y) * ((c[2] + c[3] * y) + (y * y) * (c[4] + c[5] * y));
    (x * series(SINE), series(COSINE))
}

/// (−1)ᵏ / (2k + 1)!
const SINE: [f64; 6] = [1.0, -1.0 / 6.0, 1.0 / 120.0, -1.0 / 5_040.0, 1.0 / 362_880.0, -1.0 / 39_916_800.0];
/// (−1)ᵏ / (2k)!
const COSINE: [f64; 6] = [1.0, -1.0 / 2.0, 1.0 / 24.0, -1.0 / 720.0, 1.0 / 40_320.0, -1.0 / 3_628_800.0];

impl CartPole {
    /// The next state; deterministic.
    #[must_use]
    pub fn advance(&self, s: &CartPoleState, action: usize) -> CartPoleState {
        let (x_acc, theta_acc) = s.accelerations(if action == 1 { FORCE } else { -FORCE });
        let (x_dot, theta_dot) = (s.x_dot + TAU * x_acc, s.theta_dot + TAU * theta_acc);
        let (dx, dtheta) = match self.integrator {
            Integrator::Euler => (s.x_dot, s.theta_dot),
            Integrator::SemiImplicitEuler => (x_dot, theta_dot),
        };
        CartPoleState { x: s.x + TAU * dx, x_dot, theta: s.theta + TAU * dtheta, theta_dot }
    }
}

impl Environment for CartPole {
    type State = CartPoleState;
    type Action = usize;

    fn reset(&self, rng: &mut dyn Rng) -> CartPoleState {
        let mut draw = || rng.random_range(-0.05..0.05);
        CartPoleState { x: draw(), x_dot: draw(), theta: draw(), theta_dot: draw() }
    }

    fn step(&self, state: &CartPoleState, action: &usize, _: &mut dyn Rng) -> Step<CartPoleState> {
        let state = self.advance(state, *action);
        let end = if state.has_fallen() { StepEnd::Terminated } else { StepEnd::Running };
        Step { state, reward: 1.0, end }
    }
}

#[cfg(test)]
mod tests {
    use tdrm_core::Seed;

    use super::*;

    #[test]
    fn a_push_from_rest_by_hand() {
        // h = 10/1.1; θ̈ = −h / (0.5 (4/3 − 0.1/1.1)) = −14.634…; ẍ = h + 0.05·14.634…/1.1 = 9.756…
        let next = CartPole::default().advance(&CartPoleState::default(), 1);
        assert_eq!((next.x, next.theta), (0.0, 0.0));
        let theta_acc = -(10.0 / 1.1) / (0.5 * (4.0 / 3.0 - 0.1 / 1.1));
        assert!((next.theta_dot - 0.02 * theta_acc).abs() < 1e-15);
        assert!((next.x_dot - 0.02 * (10.0 / 1.1 - 0.05 * theta_acc / 1.1)).abs() < 1e-15);
    }

    #[test]
    fn the_series_agree_with_the_library() {
        for i in -500..=500 {
            let x = f64::from(i) / 1000.0;
            let ((sin, cos), (s, c)) = (sin_cos(x), x.sin_cos());
            assert!((sin - s).abs() <= 4e-16 * s.abs() && (cos - c).abs() <= 4e-16, "{x}: {sin} {s}, {cos} {c}");
        }
    }

    #[test]
    fn the_semi_implicit_step_moves_at_once() {
        let next = CartPole { integrator: Integrator::SemiImplicitEuler }.advance(&CartPoleState::default(), 0);
        assert!((next.x - 0.02 * next.x_dot).abs() < 1e-18 && next.x_dot < 0.0 && next.theta > 0.0);
    }

    #[test]
    fn left_and_right_are_mirror_images() {
        let s = CartPoleState { x: 0.3, x_dot: -0.2, theta: 0.1, theta_dot: 0.4 };
        let mirror =
            |s: CartPoleState| CartPoleState { x: -s.x, x_dot: -s.x_dot, theta: -s.theta, theta_dot: -s.theta_dot };
        let cart = CartPole::default();
        assert_eq!(cart.advance(&mirror(s), 0), mirror(cart.advance(&s, 1)));
    }

    #[test]
    fn a_pole_that_leans_too_far_has_fallen() {
        let mut rng = Seed::root(0).rng();
        let leaning = CartPoleState { theta: 0.209, theta_dot: 1.0, ..CartPoleState::default() };
        assert_eq!(CartPole::default().step(&leaning, &0, &mut rng).end, StepEnd::Terminated);
        let start = CartPole::default().reset(&mut rng);
        assert!(start.observation().iter().all(|x| x.abs() <= 0.05));
    }
}
