//! Value targets and off-policy corrections.
//!
//! | target | trace |
//! |---|---|
//! | [`Td0`], [`NStep`], [`TdLambda`], [`MonteCarlo`], [`Gae`] | on-policy |
//! | [`VTrace`], [`LeakyVTrace`], [`ImportanceSampling`] | state values, off-policy |
//! | [`Retrace`], [`TreeBackup`], [`Watkins`], [`QLambda`], [`OffPolicy`] | action values, off-policy |
//! | [`Upgo`], [`Soft`], [`tdrm::Tdrm`] | upgoing, regularised, clamped |
//!
//! All are one backward pass over [`tdrm_core::Steps`] and allocate nothing but their output. [`Target`] is the
//! config of all of them. [`BatchTarget`] takes many trajectories at once: ragged, or side by side as [`TimeMajor`]. [`tdrm`] has the targets of reasoning trajectories, [`soft_target_bce`] the loss that
//! fits them, [`Redistribution`] the return decompositions, [`NextValue`] the one-step rules of action values,
//! [`project`] and [`two_hot`] distributions over a fixed support.

mod action;
mod batch;
mod bce;
mod categorical;
mod gae;
mod n_step;
mod off_policy;
mod recursion;
mod redistribute;
mod short_windows;
mod soft;
mod span;
mod target;
mod td;
pub mod tdrm;
mod time_major;
mod trace;
mod transform;
mod vtrace;

pub use action::{ActionError, NextValue};
pub use bce::{BceAt, soft_target_bce, soft_target_bce_epsilon};
pub use categorical::{SupportError, expectation, project, two_hot};
pub use gae::Gae;
pub use n_step::NStep;
pub use off_policy::{OffPolicy, QLambda, Retrace, TreeBackup, Upgo, Watkins};
pub use recursion::BatchTarget;
pub use redistribute::Redistribution;
pub use soft::Soft;
pub use target::Target;
pub use td::{MonteCarlo, Td0, TdLambda};
pub use time_major::TimeMajor;
pub use trace::Trace;
pub use transform::{huber, signed_expm1, signed_hyperbolic, signed_log1p, signed_parabolic};
pub use vtrace::{ImportanceSampling, LeakyVTrace, VTrace};
