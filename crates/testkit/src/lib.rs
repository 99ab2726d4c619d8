//! Laws of the tdrm traits, generators and mocks, for testing implementations inside and outside of tdrm.
//!
//! The docs of each trait state a contract; [`laws`] checks it on any implementation. A law is a function that
//! takes the implementation and some inputs and returns the first [`LawViolation`] it finds, so that a test of one
//! line says what is wrong, where, and with which numbers:
//!
//! ```
//! use tdrm_core::{Rewards, reward_fn};
//! use tdrm_testkit::{LawViolation, laws};
//!
//! # fn test() -> Result<(), LawViolation> {
//! let model = reward_fn(|s: &str| Rewards::Trajectory(s.len() as f64)); // yours
//! laws::reward_model(&model, &["a", "bb", "ccc"], 0.0)?;
//! # Ok(())
//! # }
//! # test().unwrap();
//! ```
//!
//! [`generators`] holds proptest strategies for inputs (steps, trajectories, MDPs, policies, trees), [`mocks`]
//! small parts that do what a script says.

pub mod generators;
pub mod laws;
pub mod mocks;

pub use laws::LawViolation;

/// The examples of the book's pages on this crate and its neighbours are tests of this crate.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/src/environments.md")]
    mod environments {}
    #[doc = include_str!("../../../docs/src/search.md")]
    mod search {}
    #[doc = include_str!("../../../docs/src/testkit.md")]
    mod testkit {}
}
