//! Estimates with intervals.

use std::num::NonZeroUsize;

use rand::RngExt;
use rand::seq::index;
use tdrm_algo::metrics::{Interval, best_of_k, bootstrap_mean, paired_bootstrap, pass_at_k};
use tdrm_core::{Probability, Seed};

use crate::report::Estimate;

/// Resamples behind a bootstrap interval.
const RESAMPLES: NonZeroUsize = match NonZeroUsize::new(1000) {
    Some(n) => n,
    None => unreachable!(),
};
/// Coverage of the intervals.
const LEVEL: Probability = match Probability::new(0.95) {
    Ok(level) => level,
    Err(_) => unreachable!(),
};
/// Subsets behind an estimate of the majority vote.
const SUBSETS: usize = 64;

/// Mean; 0 of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0_usize), |(sum, n), x| (sum + x, n + 1));
    sum / n.max(1) as f64
}

/// Mean with a 95 % percentile bootstrap interval over the values; NaN of nothing.
pub(crate) fn mean_with_interval(values: &[f64], seed: Seed) -> Estimate {
    bootstrap_mean(values, LEVEL, RESAMPLES, seed).map_or(Estimate::exact(f64::NAN), estimate)
}

/// Paired difference of means, a − b, over the same problems, with its two-sided p-value; NaN of nothing.
pub(crate) fn difference(a: &[f64], b: &[f64], seed: Seed) -> (Estimate, f64) {
    let nothing = (Estimate::exact(f64::NAN), f64::NAN);
    paired_bootstrap(a, b, LEVEL, RESAMPLES, seed).map_or(nothing, |d| (estimate(d.difference), d.p_value))
}

fn estimate(interval: Interval) -> Estimate {
    Estimate { mean: interval.mean, low: interval.low, high: interval.high }
}

/// A statistic of `n` units with its percentile bootstrap interval.
pub(crate) fn resampled(n: usize, statistic: impl Fn(&[usize]) -> f64, seed: Seed) -> Estimate {
    let all: Vec<_> = (0..n).collect();
    let point = statistic(&all);
    if n == 0 {
        return Estimate::exact(point);
    }
    let rng = &mut seed.rng();
    let mut draws: Vec<f64> = (0..RESAMPLES.get())
        .map(|_| statistic(&(0..n).map(|_| rng.random_range(0..n)).collect::<Vec<_>>()))
        .filter(|x| x.is_finite())
        .collect();
    draws.sort_by(f64::total_cmp);
    let at = |q: f64| draws.get(((draws.len().max(1) - 1) as f64 * q).round() as usize).copied().unwrap_or(point);
    Estimate { mean: point, low: at(0.025), high: at(0.975) }
}

/// Brier score of (value, outcome) pairs, problems resampled.
pub(crate) fn brier(pairs: &[Vec<(f64, bool)>], seed: Seed) -> Estimate {
    let square = |&(v, right): &(f64, bool)| (v - f64::from(u8::from(right))).powi(2);
    let sums: Vec<_> = pairs.iter().map(|p| (p.iter().map(square).sum::<f64>(), p.len() as f64)).collect();
    let of = |rows: &[usize]| {
        let (sum, n) = rows.iter().fold((0.0, 0.0), |(s, n), &i| (s + sums[i].0, n + sums[i].1));
        sum / f64::max(n, 1.0)
    };
    resampled(pairs.len(), of, seed)
}

/// Area under the ROC curve of (value, outcome) pairs, ties counted half, problems resampled.
///
/// `None` where one of the two outcomes never occurs.
pub(crate) fn auc(pairs: &[Vec<(f64, bool)>], seed: Seed) -> Option<Estimate> {
    let mut sorted: Vec<(f64, bool, usize)> =
        pairs.iter().enumerate().flat_map(|(i, p)| p.iter().map(move |&(v, right)| (v, right, i))).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let of = |rows: &[usize]| {
        let mut weights = vec![0.0; pairs.len()];
        for &i in rows {
            weights[i] += 1.0;
        }
        weighted_auc(&sorted, &weights)
    };
    let estimate = resampled(pairs.len(), of, seed);
    estimate.mean.is_finite().then_some(estimate)
}

/// Sorted (value, outcome, problem) triples with a weight per problem; NaN where one outcome has no weight.
fn weighted_auc(sorted: &[(f64, bool, usize)], weights: &[f64]) -> f64 {
    let (mut wrong_below, mut right_total, mut area) = (0.0, 0.0, 0.0);
    for tied in sorted.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let of = |outcome| tied.iter().filter(|t| t.1 == outcome).map(|t| weights[t.2]).sum::<f64>();
        let (right, wrong) = (of(true), of(false));
        area += right * (wrong_below + 0.5 * wrong);
        wrong_below += wrong;
        right_total += right;
    }
    area / (right_total * wrong_below)
}

/// Expected outcome of the best of `n` of these samples by score, over all subsets of size n; ties are broken evenly.
pub(crate) fn best_of(scores: &[f64], outcomes: &[bool], n: usize) -> f64 {
    let outcomes: Vec<_> = outcomes.iter().map(|&right| f64::from(u8::from(right))).collect();
    best_of_k(scores, &outcomes, n).unwrap_or(f64::NAN)
}

/// P(at least one of k samples is right).
pub(crate) fn pass_at(n: usize, right: usize, k: usize) -> f64 {
    pass_at_k(n as u64, right as u64, k as u64).unwrap_or(f64::NAN)
}

/// Expected outcome of the majority answer of `n` samples, over random subsets.
pub(crate) fn majority(answers: &[Option<&str>], outcomes: &[bool], n: usize, seed: Seed) -> f64 {
    let subsets = if n >= answers.len() { 1 } else { SUBSETS };
    let rng = &mut seed.rng();
    let vote = |_| {
        let chosen = index::sample(rng, answers.len(), n.min(answers.len()));
        let voters: Vec<_> = chosen.iter().collect();
        let ballots: Vec<_> = voters.iter().map(|&i| answers[i]).collect();
        let classes = tdrm_algo::search::tally(&ballots, &vec![1.0; ballots.len()]);
        let winner = classes.first().and_then(|class| class.voters.first());
        f64::from(u8::from(winner.is_some_and(|&w| outcomes[voters[w]])))
    };
    mean((0..subsets).map(vote))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests state exact values")]
    use super::*;

    #[test]
    fn a_perfect_order_has_area_one_and_a_constant_one_half() {
        let pairs = vec![vec![(0.1, false), (0.9, true)], vec![(0.2, false), (0.8, true)]];
        assert_eq!(auc(&pairs, Seed::root(0)).unwrap().mean, 1.0);
        let flat: Vec<Vec<_>> = pairs.iter().map(|p| p.iter().map(|x| (0.5, x.1)).collect()).collect();
        assert_eq!(auc(&flat, Seed::root(0)).unwrap().mean, 0.5);
        assert!(auc(&[vec![(0.5, true)]], Seed::root(0)).is_none());
    }

    #[test]
    fn the_best_of_two_by_hand() {
        // scores 1 < 2 < 3, outcomes 1, 0, 1: pairs {1,2} → 0, {1,3} → 1, {2,3} → 1
        assert!((best_of(&[1.0, 2.0, 3.0], &[true, false, true], 2) - 2.0 / 3.0).abs() < 1e-12);
        // all tied: the mean, whatever n
        assert!((best_of(&[1.0; 4], &[true, false, false, false], 3) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn the_brier_score_of_one_half_is_a_quarter() {
        assert_eq!(brier(&[vec![(0.5, true), (0.5, false)]], Seed::root(0)).mean, 0.25);
    }

    #[test]
    fn an_interval_holds_its_mean_and_is_the_same_twice() {
        let values: Vec<f64> = (0..50).map(f64::from).collect();
        let e = mean_with_interval(&values, Seed::root(1));
        assert!(e.low < e.mean && e.mean < e.high && e.mean == 24.5);
        assert_eq!(e, mean_with_interval(&values, Seed::root(1)));
    }

    #[test]
    fn the_majority_of_all_samples_is_exact() {
        let answers = [Some("3"), Some("5"), Some("5"), None];
        assert_eq!(majority(&answers, &[true, false, false, false], 4, Seed::root(0)), 0.0);
        assert_eq!(majority(&answers, &[false, true, true, false], 4, Seed::root(0)), 1.0);
    }
}
