//! Reward models and reinforcement learning of language models, as small composable traits.
//!
//! This crate only gives one name to the crates behind it:
//!
//! | here | from | what it is |
//! |---|---|---|
//! | the root and [`prelude`] | `tdrm-core` | the traits and the data that passes between them |
//! | [`value`], [`advantage`], [`objective`], [`preference`], [`search`], [`sampling`], [`metrics`] | `tdrm-algo` | pure mathematics on slices |
//! | [`envs`] | `tdrm-envs` | environments, exact dynamic programming, reasoning tasks as text |
//! | [`verify`] | `tdrm-verify` | verifiers of answers |
//! | `testkit` (feature) | `tdrm-testkit` | laws, generators and mocks for implementors |
//! | `dfdx` (feature) | `tdrm-dfdx` | tensor back end: a compact language model, actor-critics |
//! | `lm` (feature) | `tdrm-lm` | tensor back end: Hugging Face language and reward models |
//! | `recipes` (feature) | `tdrm-recipes` | configs, drivers, published methods |
//!
//! Without features it is light: no tensors, no files, no clocks.
//!
//! # Example
//! A reward model is anything that scores; small ones compose into large ones, and the order of wrapping matters:
//!
//! ```
//! use tdrm::prelude::*;
//!
//! let length = || reward_fn(|s: &str| Rewards::Trajectory(s.len() as f64));
//! let inside = length().clip(0.0, 2.0).plus(0.5, length());
//! let outside = length().plus(0.5, length()).clip(0.0, 2.0);
//!
//! assert_eq!(inside.score(&["abcd"])?, [Rewards::Trajectory(4.0)]); // min(4, 2) + 4/2
//! assert_eq!(outside.score(&["abcd"])?, [Rewards::Trajectory(2.0)]); // min(4 + 4/2, 2)
//! # Ok::<(), RewardError>(())
//! ```

/// The random number generators that the traits speak of.
pub use rand;
pub use tdrm_algo::{advantage, metrics, objective, preference, sampling, search, value};
pub use tdrm_core::*;
#[cfg(feature = "dfdx")]
pub use tdrm_dfdx as dfdx;
pub use tdrm_envs as envs;
#[cfg(feature = "lm")]
pub use tdrm_lm as lm;
#[cfg(feature = "recipes")]
pub use tdrm_recipes as recipes;
#[cfg(feature = "testkit")]
pub use tdrm_testkit as testkit;
pub use tdrm_verify as verify;

#[cfg(doctest)]
mod book;
pub mod prelude;
