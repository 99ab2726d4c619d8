//! The vocabulary of `tdrm`: the traits that parts implement and the data that passes between them.
//!
//! | trait | verb |
//! |---|---|
//! | [`Policy`], [`LogProb`], [`Trainable`] | draws, scores, learns |
//! | [`RewardModel`] | scores trajectories |
//! | [`ValueTarget`] | turns rewards, discounts and values into targets |
//! | [`Verifier`] | judges a response against a task |
//! | [`SearchSpace`], [`SearchStrategy`] | offers partial solutions, spends a budget on them |
//! | [`Environment`], [`TabularMdp`] | resets and steps, lists its transitions |
//! | [`Observer`] | receives events |
//!
//! # Conventions
//! `T` transitions, `T + 1` values. A discount of 0 means terminal; a truncation keeps γ and bootstraps; there is
//! no `done` flag. Batches are ragged. Randomness is an argument ([`Seed`]). Every trait is dyn-safe and is
//! implemented by `&T`, `Box<T>` and `Arc<T>` of its implementors (`&mut T` and `Box<T>` where it mutates).
//!
//! ```
//! use tdrm_core::{Real, Steps, ValueTarget};
//!
//! /// One-step TD target, r + γ v(s').
//! struct OneStep;
//! impl<F: Real> ValueTarget<F> for OneStep {
//!     fn targets_into(&self, steps: Steps<'_, F>, out: &mut Vec<F>) {
//!         out.clear();
//!         out.extend(steps.iter().map(|t| t.reward + t.discount * t.next_value));
//!     }
//! }
//!
//! let steps = Steps::new(&[0.0, 1.0], &[0.5, 0.0], &[0.0, 4.0, 9.0])?;
//! assert_eq!(OneStep.targets(steps), [2.0, 1.0]); // 0 + 0.5·4; the second step terminates
//! # Ok::<(), tdrm_core::ShapeError>(())
//! ```

mod environment;
mod observe;
mod policy;
mod real;
mod reward;
mod search;
mod seed;
mod steps;
mod target;
mod trajectory;
mod unit;
mod verifier;

pub use environment::{Environment, Outcome, Step, StepEnd, TabularMdp};
pub use observe::{Event, Observer, observer_fn};
pub use policy::{
    Behaviour, Coefficients, Decision, Draw, Given, LogProb, LogProbs, Outputs, Policy, PolicyError, Trainable, Update,
};
pub use real::Real;
pub use reward::{BoxReward, Clip, Plus, RewardError, RewardFn, RewardModel, Rewards, Scale, reward_fn};
pub use search::{Answers, Budget, Completed, Expand, Found, Scored, SearchError, SearchSpace, SearchStrategy};
pub use seed::Seed;
pub use steps::{ShapeError, Steps, Transition};
pub use target::ValueTarget;
pub use trajectory::{Channel, ChannelRewards, Segment, SegmentKind, Trajectory, TrajectoryError};
pub use unit::{Discount, Lambda, NonNegative, OutOfRange, Positive, Probability, Temperature};
pub use verifier::{Unparsable, Verdict, Verifier};
