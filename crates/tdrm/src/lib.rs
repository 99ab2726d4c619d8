//! Reward models and reinforcement learning of language models: one name for all crates of tdrm.
