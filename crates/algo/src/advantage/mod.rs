//! Advantages: how much better than expected.
//!
//! One number per sample ([`Estimator`] on [`Outcomes`]), one per step or token ([`suffix_sums`], [`ProcessGroups`],
//! [`MinForm`], [`vine`], [`ReinforcePlusPlus`], [`remax`]), or several channels mixed ([`mix`]). Advantages from a
//! critic are [`crate::value::Gae`]. Every division by a spread goes through [`over_spread`].

mod best_of_k;
mod error;
mod estimator;
mod group;
mod groups;
mod outcomes;
mod process;
mod spread;
mod token;
mod weighted;
mod whiten;

pub use best_of_k::{BestOfK, PassAtK, Scale};
pub use error::AdvantageError;
pub use estimator::{Estimator, mix};
pub use group::{GroupMean, GroupZScore, LeaveOneOut, Pool, Singleton};
pub use groups::Groups;
pub use outcomes::Outcomes;
pub use process::{MinForm, ProcessGroups, ProcessPool, suffix_sums, vine};
pub use spread::{ZeroSpread, mean, over_spread, standard_deviation};
pub use token::{ReinforcePlusPlus, broadcast, remax};
pub use weighted::{Gpg, GreedyBaseline, LengthWeighted};
pub use whiten::BatchWhiten;
