//! Search strategies over a `SearchSpace`.
