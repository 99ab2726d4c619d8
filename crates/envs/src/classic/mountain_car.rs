//! MountainCar.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use tdrm_core::{Environment, Step, StepEnd};

/// A car too weak for its hill (Moore, 1990): push left (0), coast (1) or push right (2) until it is up.
///
/// ```text
/// v ← clip(v + 0.001 (a − 1) − 0.0025 cos(3x), ±0.07),   x ← clip(x + v, −1.2, 0.6)
/// ```
///
/// Every step pays −1; x ≥ 0.5 terminates; at the left wall the car stops. Starts are at rest, uniform in
/// [−0.6, −0.4]. Gymnasium 1.4, `MountainCar-v0` (time limit 200: wrap it in [`TimeLimit`](crate::TimeLimit)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountainCar {}

/// Where the car is.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountainCarState {
    /// x, in [−1.2, 0.6].
    pub position: f64,
    /// v, in [−0.07, 0.07].
    pub velocity: f64,
}

const WALL: f64 = -1.2;
const END: f64 = 0.6;
const FASTEST: f64 = 0.07;
const GOAL: f64 = 0.5;

impl MountainCar {
    /// The next state; deterministic. Actions above 2 push right.
    #[must_use]
    pub fn advance(s: &MountainCarState, action: usize) -> MountainCarState {
        let push = (action.min(2) as f64 - 1.0) * 0.001;
        let velocity = s.velocity + (push + (3.0 * s.position).cos() * -0.0025);
        let velocity = velocity.clamp(-FASTEST, FASTEST);
        let position = (s.position + velocity).clamp(WALL, END);
        let stopped = position <= WALL && velocity < 0.0;
        MountainCarState { position, velocity: if stopped { 0.0 } else { velocity } }
    }
}

impl Environment for MountainCar {
    type State = MountainCarState;
    type Action = usize;

    fn reset(&self, rng: &mut dyn Rng) -> MountainCarState {
        MountainCarState { position: rng.random_range(-0.6..-0.4), velocity: 0.0 }
    }

    fn step(&self, state: &MountainCarState, action: &usize, _: &mut dyn Rng) -> Step<MountainCarState> {
        let state = Self::advance(state, *action);
        let arrived = state.position >= GOAL && state.velocity >= 0.0;
        Step { state, reward: -1.0, end: if arrived { StepEnd::Terminated } else { StepEnd::Running } }
    }
}

#[cfg(test)]
mod tests {
    use tdrm_core::Seed;

    use super::*;

    #[test]
    fn the_wall_stops_the_car() {
        let next = MountainCar::advance(&MountainCarState { position: -1.19, velocity: -0.07 }, 0);
        assert_eq!(next, MountainCarState { position: WALL, velocity: 0.0 });
    }

    #[test]
    fn pushing_with_the_motion_climbs_the_hill_and_pushing_right_alone_does_not() {
        let mut rng = Seed::root(1).rng();
        let mut steps = |policy: fn(&MountainCarState) -> usize| {
            let episode = crate::run_episode(&MountainCar {}, 300, |s, _| policy(s), &mut rng);
            (episode.end, episode.len())
        };
        let (end, length) = steps(|s| if s.velocity < 0.0 { 0 } else { 2 });
        assert!(end == StepEnd::Terminated && length < 200, "{length}");
        assert_eq!(steps(|_| 2), (StepEnd::Running, 300));
    }
}
