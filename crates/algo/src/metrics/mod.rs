//! Estimators and metrics.
