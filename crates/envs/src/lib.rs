//! Environments: tabular MDPs with exact dynamic programming, classic tasks, reasoning tasks as text.
//!
//! | module | holds |
//! |---|---|
//! | [`tabular`] | listed MDPs, from the chain to Taxi, by constructor or by name |
//! | [`dp`] | V^π, Q^π, V*, Q*, soft optimum, occupancy, policy gradient, KL: exact |
//! | [`classic`] | CartPole, MountainCar |
//! | [`learner`] | a softmax table that draws, scores and learns with exact gradients |
//! | [`reasoning`] | arithmetic as text, with a step checker and an outcome verifier |
//!
//! [`TimeLimit`] truncates any environment, [`run_episode`] runs one.

pub mod classic;
pub mod dp;
mod episode;
pub mod learner;
pub mod reasoning;
pub mod tabular;
mod time_limit;

pub use episode::{Episode, run_episode};
pub use time_limit::{TimeLimit, Timed};
