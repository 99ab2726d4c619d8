//! Choosing among samples.

use tdrm_core::Seed;

use super::quality::Values;
use super::{Sampled, stats};
use crate::report::Estimate;

/// Powers of two up to `most`.
#[must_use]
pub(super) fn sizes(most: usize) -> Vec<usize> {
    std::iter::successors(Some(1), |n| Some(2 * n)).take_while(|&n| n <= most).collect()
}

/// Expected accuracy of the best of `n` by these scores, per problem: exact over all subsets of the samples.
#[must_use]
pub(super) fn best_of(n: usize, scores: &[Vec<f64>], data: &[Sampled]) -> Vec<f64> {
    data.iter().zip(scores).map(|(p, scores)| stats::best_of(scores, &outcomes(p), n)).collect()
}

/// The value of the complete response, `[problems][samples]`.
#[must_use]
pub(super) fn last(values: &Values) -> Vec<Vec<f64>> {
    summarise(values, |v| v[v.len() - 1])
}

/// Other summaries of the values after each step (s_0 excluded).
#[must_use]
pub(super) fn summaries(values: &Values) -> Vec<(String, Vec<Vec<f64>>)> {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    vec![
        ("last".to_owned(), last(values)),
        ("min".to_owned(), summarise(values, |v| v.iter().copied().fold(f64::INFINITY, f64::min))),
        ("product".to_owned(), summarise(values, |v| v.iter().map(|x| x.ln()).sum())),
        ("mean".to_owned(), summarise(values, mean)),
    ]
}

/// Applies `f` to the values of s_1 … s_K; to that of s_0 where there is no step.
fn summarise(values: &Values, f: impl Fn(&[f64]) -> f64) -> Vec<Vec<f64>> {
    let own = |v: &Vec<f64>| if v.len() > 1 { f(&v[1..]) } else { f(v) };
    values.iter().map(|problem| problem.iter().map(own).collect()).collect()
}

/// P(at least one of n samples is right), per problem.
#[must_use]
pub(super) fn oracle(n: usize, data: &[Sampled]) -> Vec<f64> {
    data.iter()
        .map(|p| {
            let right = p.samples.iter().filter(|s| s.correct).count();
            stats::pass_at(p.samples.len(), right, n)
        })
        .collect()
}

/// Expected accuracy of the majority answer of n samples, per problem, over random subsets.
#[must_use]
pub(super) fn majority(n: usize, data: &[Sampled], seed: Seed) -> Vec<f64> {
    data.iter()
        .enumerate()
        .map(|(i, p)| {
            let answers: Vec<_> = p.samples.iter().map(|s| s.answer.as_deref()).collect();
            stats::majority(&answers, &outcomes(p), n, seed.child(i as u64))
        })
        .collect()
}

/// Accuracy of best-of-N where N need not be a power of two: linear between the sizes.
#[must_use]
pub(super) fn interpolated(curve: &[(usize, Estimate)], n: f64) -> f64 {
    let after = curve.iter().position(|(size, _)| *size as f64 >= n).unwrap_or(curve.len().saturating_sub(1));
    match (after.checked_sub(1).and_then(|i| curve.get(i)), curve.get(after)) {
        (Some((n0, e0)), Some((n1, e1))) if (*n1 as f64) > n => {
            let share = (n - *n0 as f64) / (*n1 - *n0) as f64;
            e0.mean + share * (e1.mean - e0.mean)
        }
        (_, Some((_, e))) => e.mean,
        (_, None) => f64::NAN,
    }
}

fn outcomes(p: &Sampled) -> Vec<bool> {
    p.samples.iter().map(|s| s.correct).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "tests state exact values")]
    use super::*;

    #[test]
    fn sizes_are_powers_of_two() {
        assert_eq!(sizes(20), [1, 2, 4, 8, 16]);
    }

    #[test]
    fn between_two_sizes_the_curve_is_a_line() {
        let curve = [(1, Estimate::exact(0.5)), (2, Estimate::exact(0.6)), (4, Estimate::exact(0.8))];
        assert_eq!(interpolated(&curve, 1.0), 0.5);
        assert!((interpolated(&curve, 3.0) - 0.7).abs() < 1e-12); // halfway between 0.6 and 0.8
        assert_eq!(interpolated(&curve, 9.0), 0.8);
    }

    #[test]
    fn summaries_leave_the_prompt_out() {
        let values = vec![vec![vec![0.1, 0.5, 0.25]]];
        let by_name: Vec<_> = summaries(&values).into_iter().map(|(n, v)| (n, v[0][0])).collect();
        assert_eq!(by_name[0], ("last".to_owned(), 0.25));
        assert_eq!(by_name[1], ("min".to_owned(), 0.25));
        assert!((by_name[2].1 - 0.125_f64.ln()).abs() < 1e-12);
        assert_eq!(by_name[3].1, 0.375);
    }
}
