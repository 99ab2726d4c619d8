//! Environments: tabular MDPs with exact dynamic programming, classic tasks, reasoning tasks as text.

pub mod dp;
pub mod reasoning;
pub mod tabular;
