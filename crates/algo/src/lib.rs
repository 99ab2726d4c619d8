//! Pure mathematics on slices: value targets, advantages, objectives, preferences, search, sampling, metrics.

pub mod advantage;
mod exponential;
pub mod metrics;
pub mod objective;
pub mod preference;
pub mod sampling;
pub mod search;
pub mod value;
