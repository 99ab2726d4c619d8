//! Estimators and metrics.

mod pass_at_k;

pub use pass_at_k::{PassAtKError, pass_at_k};
