//! What the unit tests share.

/// Numbers in [-1, 1] that fill all bits of a float.
pub(crate) fn numbers(n: usize, seed: u32) -> Vec<f32> {
    (0..n as u32)
        .map(|i| ((i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) % 200_003) as f32 / 100_000.0 - 1.0)
        .collect()
}
