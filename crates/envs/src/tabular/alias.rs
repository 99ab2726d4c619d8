//! Drawing from listed probabilities in constant time.

use rand::Rng;

/// One column of Walker's table: below the threshold the first item, from it on the second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Column<T> {
    /// Share of the first item, in units of 2⁻⁶⁴.
    pub(super) threshold: u64,
    pub(super) items: [T; 2],
}

/// 2⁶⁴.
const UNITS: f64 = 18_446_744_073_709_551_616.0;

/// Columns for one distribution, over the positions in it: each holds an nth of the probability, shared by at most two.
///
/// Vose (1991): columns that are too light are filled up from one that is too heavy.
pub(super) fn columns(probabilities: &[f64]) -> Vec<Column<usize>> {
    let n = probabilities.len();
    let mut left: Vec<f64> = probabilities.iter().map(|p| p * n as f64).collect();
    let mut columns: Vec<Column<usize>> = (0..n).map(|i| Column { threshold: 0, items: [i, i] }).collect();
    let (mut light, mut heavy): (Vec<usize>, Vec<usize>) = (0..n).partition(|&i| left[i] < 1.0);
    while let (Some(low), Some(&high)) = (light.pop(), heavy.last()) {
        columns[low] = Column { threshold: (left[low] * UNITS) as u64, items: [low, high] };
        left[high] -= 1.0 - left[low];
        if left[high] < 1.0 {
            heavy.pop();
            light.push(high);
        }
    }
    columns
}

/// The column among n, and the place in it, that 64 random bits choose.
///
/// The bits times n split into the column (above 2⁶⁴) and the place (below), to be held against the threshold.
#[inline]
pub(super) fn choose(n: usize, rng: &mut dyn Rng) -> (usize, u64) {
    let product = u128::from(rng.next_u64()) * n as u128;
    ((product >> 64) as usize, product as u64)
}

/// The item that 64 random bits choose; none are drawn where there is one.
#[inline]
pub(super) fn draw<T: Copy>(columns: &[Column<T>], rng: &mut dyn Rng) -> T {
    if let [only] = columns {
        return only.items[0];
    }
    let (column, place) = choose(columns.len(), rng);
    let Column { threshold, items } = columns[column];
    items[usize::from(place >= threshold)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The probabilities that the columns give.
    fn listed(columns: &[Column<usize>]) -> Vec<f64> {
        let mut p = vec![0.0; columns.len()];
        for c in columns {
            let share = c.threshold as f64 / UNITS;
            p[c.items[0]] += share / columns.len() as f64;
            p[c.items[1]] += (1.0 - share) / columns.len() as f64;
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
