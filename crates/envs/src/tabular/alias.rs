//! Drawing from listed probabilities in constant time.

use rand::Rng;

/// One column of Walker's table: below the threshold the first outcome, from it on the second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Column {
    /// Share of the first outcome, in units of 2⁻⁶⁴.
    threshold: u64,
    outcomes: [u32; 2],
}

/// 2⁶⁴.
const UNITS: f64 = 18_446_744_073_709_551_616.0;

/// Columns for one distribution: each holds an nth of the probability, shared by at most two outcomes.
///
/// Vose (1991): columns that are too light are filled up from one that is too heavy.
pub(super) fn columns(probabilities: &[f64]) -> Vec<Column> {
    let n = probabilities.len();
    let mut left: Vec<f64> = probabilities.iter().map(|p| p * n as f64).collect();
    let mut columns: Vec<Column> = (0..n as u32).map(|i| Column { threshold: 0, outcomes: [i, i] }).collect();
    let (mut light, mut heavy): (Vec<usize>, Vec<usize>) = (0..n).partition(|&i| left[i] < 1.0);
    while let (Some(low), Some(&high)) = (light.pop(), heavy.last()) {
        columns[low] = Column { threshold: (left[low] * UNITS) as u64, outcomes: [low as u32, high as u32] };
        left[high] -= 1.0 - left[low];
        if left[high] < 1.0 {
            heavy.pop();
            light.push(high);
        }
    }
    columns
}

/// Position of the outcome that 64 random bits choose; none are drawn where there is one outcome.
///
/// The bits times n split into a column (above 2⁶⁴) and a place in it (below).
#[inline]
pub(super) fn draw(columns: &[Column], rng: &mut dyn Rng) -> usize {
    if columns.len() == 1 {
        return 0;
    }
    let product = u128::from(rng.next_u64()) * columns.len() as u128;
    let Column { threshold, outcomes } = columns[(product >> 64) as usize];
    outcomes[usize::from(product as u64 >= threshold)] as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The probabilities that the columns give.
    fn listed(columns: &[Column]) -> Vec<f64> {
        let mut p = vec![0.0; columns.len()];
        for c in columns {
            let share = c.threshold as f64 / UNITS;
            p[c.outcomes[0] as usize] += share / columns.len() as f64;
            p[c.outcomes[1] as usize] += (1.0 - share) / columns.len() as f64;
        }
        p
    }

    #[test]
    fn three_outcomes_by_hand() {
        // 3·(½, ⅓, ⅙) = 1½, 1, ½: the last column takes its other half from the first outcome
        let p = listed(&columns(&[0.5, 1.0 / 3.0, 1.0 / 6.0]));
        assert!(p.iter().zip([0.5, 1.0 / 3.0, 1.0 / 6.0]).all(|(a, b)| (a - b).abs() < 1e-15), "{p:?}");
    }

    proptest! {
        #[test]
        fn columns_hold_the_probabilities_they_were_made_of(weights in prop::collection::vec(0.0..1.0_f64, 1..40)) {
            let total: f64 = weights.iter().sum::<f64>() + 1.0;
            let mut expected: Vec<f64> = weights.iter().map(|w| w / total).collect();
            expected.push(1.0 / total);
            let columns = columns(&expected);
            for (a, b) in listed(&columns).iter().zip(&expected) {
                prop_assert!((a - b).abs() < 1e-12, "{a} {b}");
            }
        }
    }
}
