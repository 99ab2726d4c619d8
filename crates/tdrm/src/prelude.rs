//! What nearly every program names: `use tdrm::prelude::*`.
//!
//! The traits, the data they speak of, and their errors. Parts (a target, an objective, a strategy) are named where
//! they are used: `tdrm::value::TdLambda`.

#[doc(no_inline)]
pub use rand::Rng;
#[doc(no_inline)]
pub use tdrm_core::{
    Answers, Behaviour, BoxReward, Budget, Channel, ChannelRewards, Coefficients, Decision, Discount, Draw,
    Environment, Event, Expand, Found, Given, Lambda, LogProb, NonNegative, Observer, Outputs, Policy, PolicyError,
    Positive, Probability, Real, RewardError, RewardModel, Rewards, SearchError, SearchSpace, SearchStrategy, Seed,
    ShapeError, Step, StepEnd, Steps, TabularMdp, Temperature, Trainable, Trajectory, Transition, Update, ValueTarget,
    Verdict, Verifier, observer_fn, reward_fn,
};
