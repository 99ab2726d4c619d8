//! The vocabulary of tdrm: traits, trajectories, checked numbers, seeds, events, errors.
