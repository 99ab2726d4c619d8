//! Pure mathematics on slices: value targets, advantages, objectives, preferences, search, metrics.
