//! Generation with a static key-value cache.

mod cache;

pub(crate) use cache::Cache;
