//! Fused CPU kernels of decoder language models on plain slices, forward and backward.
