//! Sums and maxima in fixed lanes: the same result on every machine, and loops that vectorise.

const LANES: usize = 8;

/// The largest value; −∞ of none. NaNs are passed over.
pub(super) fn largest(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// How many values pass.
pub(super) fn count(values: &[f32], passes: impl Fn(f32) -> bool) -> usize {
    // Counters as wide as the values, for as many values as they can count.
    let part = |values: &[f32]| values.iter().map(|&value| u32::from(passes(value))).sum::<u32>();
    values.chunks(1 << 16).map(|values| part(values) as usize).sum()
}

/// Whether two rows have the same bits.
pub(super) fn same(a: &[f32], b: &[f32]) -> bool {
    let differences =
        |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| u32::from(a.to_bits() != b.to_bits())).sum::<u32>();
    a.len() == b.len() && a.chunks(256).zip(b.chunks(256)).map(differences).all(|n| n == 0)
}

/// `Σ_i f(i)` for i < n, several sums at a time.
pub(super) fn sums<const K: usize>(n: usize, f: impl Fn(usize) -> [f64; K]) -> [f64; K] {
    let mut lanes = [[0.0; LANES]; K];
    let whole = n - n % LANES;
    for start in (0..whole).step_by(LANES) {
        for lane in 0..LANES {
            for (sum, term) in lanes.iter_mut().zip(f(start + lane)) {
                sum[lane] += term;
            }
        }
    }
    let mut sums = lanes.map(|lanes| lanes.into_iter().sum());
    for i in whole..n {
        for (sum, term) in sums.iter_mut().zip(f(i)) {
            *sum += term;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_same_where_each_number_is_and_what_passes_is_counted() {
        let row: Vec<f32> = (0..1000_u16).map(f32::from).collect();
        assert!(same(&row, &row) && !same(&row, &row[1..]) && same(&[], &[]));
        for i in [0, 255, 256, 999] {
            let mut other = row.clone();
            other[i] = f32::NEG_INFINITY;
            assert!(!same(&row, &other));
            assert_eq!(count(&other, |x| x > f32::NEG_INFINITY), 999);
        }
        assert_eq!(count(&vec![1.0; 70_000], |x| x > 0.0), 70_000);
    }

    #[test]
    fn every_element_counts_once_whatever_the_length() {
        for n in 0..40_u8 {
            let values: Vec<f32> = (0..n).map(f32::from).collect();
            let [sum, count] = sums(values.len(), |i| [f64::from(values[i]), 1.0]);
            let (n, expected) = (f64::from(n), f64::from(n) * (f64::from(n) - 1.0) / 2.0);
            assert_eq!((sum.to_bits(), count.to_bits()), (expected.abs().to_bits(), n.to_bits()));
            let expected = if values.is_empty() { f32::NEG_INFINITY } else { n as f32 - 1.0 };
            assert_eq!(largest(&values).to_bits(), expected.to_bits());
        }
    }
}
