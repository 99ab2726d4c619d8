//! Estimators and metrics.
//!
//! | question | answer |
//! |---|---|
//! | how often does one of k samples succeed | [`pass_at_k`] |
//! | how good is the best-ranked of k samples | [`best_of_k`], [`best_of_k_curve`] |
//! | what are the steps worth together | [`Aggregate`] |
//! | are these probabilities calibrated, do they rank | [`brier`], [`calibration`], [`auc`] |
//! | how smooth is a value function | [`smoothness`], [`mean_by_step`], [`gaussian_smooth`] |
//! | is the difference real | [`bootstrap_mean`], [`paired_bootstrap`], [`mcnemar`], [`holm`] |
//!
//! Votes are counted by [`crate::search::tally`].

mod aggregate;
mod best_of_k;
mod calibration;
mod error;
mod pass_at_k;
mod ranking;
mod resample;
mod smoothness;
mod tests_of_pairs;

pub use aggregate::Aggregate;
pub use best_of_k::{best_of_k, best_of_k_curve};
pub use calibration::{Bin, Calibration, brier, calibration};
pub use error::MetricError;
pub use pass_at_k::{PassAtKError, pass_at_k};
pub use ranking::auc;
pub use resample::{Interval, PairedDifference, bootstrap_mean, paired_bootstrap};
pub use smoothness::{MeanStd, Smoothness, ValueRow, gaussian_smooth, mean_by_step, smoothness};
pub use tests_of_pairs::{McNemar, holm, mcnemar};
