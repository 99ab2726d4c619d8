//! Dense linear equations.

/// Solves `A x = b` by Gaussian elimination with partial pivoting; `None` if A is singular.
///
/// `a` is `[n · n]` row by row and is destroyed; `b` is `[n]` and becomes `x`.
pub(super) fn solve(mut a: Vec<f64>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    for column in 0..n {
        let pivot = (column..n).max_by(|&i, &j| a[i * n + column].abs().total_cmp(&a[j * n + column].abs()))?;
        if a[pivot * n + column].abs() <= SINGULAR {
            return None;
        }
        for k in 0..n {
            a.swap(column * n + k, pivot * n + k);
        }
        b.swap(column, pivot);
        eliminate(&mut a, &mut b, column);
    }
    Some(substitute(&a, b))
}

/// I − γP has entries of order 1; a pivot this small is rounding.
const SINGULAR: f64 = 1e-13;

fn eliminate(a: &mut [f64], b: &mut [f64], column: usize) {
    let n = b.len();
    let (above, below) = a.split_at_mut((column + 1) * n);
    let pivot_row = &above[column * n..];
    for (i, row) in below.chunks_exact_mut(n).enumerate() {
        let factor = row[column] / pivot_row[column];
        if factor != 0.0 {
            row[column..].iter_mut().zip(&pivot_row[column..]).for_each(|(x, p)| *x -= factor * p);
            b[column + 1 + i] -= factor * b[column];
        }
    }
}

fn substitute(a: &[f64], mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for i in (0..n).rev() {
        let row = &a[i * n..(i + 1) * n];
        let known: f64 = row[i + 1..].iter().zip(&b[i + 1..]).map(|(c, x)| c * x).sum();
        b[i] = (b[i] - known) / row[i];
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_that_needs_pivoting_is_solved() {
        // 0x + 2y = 4, 3x + y = 5: y = 2, x = 1
        assert_eq!(solve(vec![0.0, 2.0, 3.0, 1.0], vec![4.0, 5.0]), Some(vec![1.0, 2.0]));
    }

    #[test]
    fn a_singular_system_has_no_solution() {
        assert_eq!(solve(vec![1.0, 2.0, 2.0, 4.0], vec![1.0, 2.0]), None);
        assert_eq!(solve(vec![], vec![]), Some(vec![]));
    }
}
