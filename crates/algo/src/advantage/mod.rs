//! Advantages: how much better than expected.
