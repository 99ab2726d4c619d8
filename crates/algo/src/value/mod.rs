//! Value targets and off-policy corrections.
