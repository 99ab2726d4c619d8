//! Measuring reward models on problems with several solutions each.

use std::num::NonZeroUsize;

use tdrm_algo::metrics;
use tdrm_algo::search::tally;
use tdrm_core::Seed;

use super::Quality;
use crate::cycle::Sampled;
use crate::cycle::quality::{Values, pairs};
use crate::cycle::stats;
use crate::report::Estimate;

/// Most steps left that are told apart.
const STEPS_LEFT: usize = 7;
/// Bins of the reliability diagram.
const BINS: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// (value, outcome) of some prefixes, per problem.
type Pairs = Vec<Vec<(f64, bool)>>;

/// Compares values with outcomes; problems are what is resampled.
pub(super) fn quality(values: &Values, data: &[Sampled], seed: Seed) -> Quality {
    let (end, prefix) = (complete(values, data), pairs(values, data, |steps| 0..steps));
    Quality {
        auc_end: stats::auc(&end, seed),
        auc_prefix: stats::auc(&prefix, seed),
        auc_within: within(&end, seed),
        brier_end: stats::brier(&end, seed),
        brier_prefix: stats::brier(&prefix, seed),
        auc_by_steps_left: (0..STEPS_LEFT).map_while(|left| auc(&steps_left(values, data, left))).collect(),
        reliability: reliability(&end),
    }
}

/// (value, outcome) of complete solutions.
fn complete(values: &Values, data: &[Sampled]) -> Pairs {
    steps_left(values, data, 0)
}

fn steps_left(values: &Values, data: &[Sampled], left: usize) -> Pairs {
    pairs(values, data, |steps| if left > steps { 0..0 } else { steps - left..steps - left + 1 })
}

/// Area under the ROC curve of all pairs together; `None` where one outcome is missing.
fn auc(pairs: &Pairs) -> Option<f64> {
    let all: Vec<_> = (0..pairs.len()).collect();
    auc_of(pairs, &all)
}

/// The same of some problems, each as often as it is listed.
fn auc_of(pairs: &Pairs, problems: &[usize]) -> Option<f64> {
    let chosen = problems.iter().flat_map(|&i| &pairs[i]);
    let (values, outcomes): (Vec<_>, Vec<_>) = chosen.map(|&(v, right)| (v, number(right))).unzip();
    metrics::auc(&values, &outcomes).ok()
}

/// AUC of `a` minus AUC of `b` at complete solutions, the same problems resampled in both.
pub(super) fn auc_difference(a: &Values, b: &Values, data: &[Sampled], seed: Seed) -> Option<Estimate> {
    let (a, b) = (complete(a, data), complete(b, data));
    let of = |problems: &[usize]| Some(auc_of(&a, problems)? - auc_of(&b, problems)?);
    let difference = stats::resampled(data.len(), |problems| of(problems).unwrap_or(f64::NAN), seed);
    difference.mean.is_finite().then_some(difference)
}

/// Pairs of right and wrong solutions of one problem that are in order.
fn within(end: &Pairs, seed: Seed) -> Option<Estimate> {
    let counts: Vec<(f64, f64)> = end.iter().map(|p| won_and_all(p)).collect();
    let share = |problems: &[usize]| {
        let (won, all) = problems.iter().fold((0.0, 0.0), |(w, n), &i| (w + counts[i].0, n + counts[i].1));
        won / all
    };
    let estimate = stats::resampled(end.len(), share, seed);
    estimate.mean.is_finite().then_some(estimate)
}

fn won_and_all(solutions: &[(f64, bool)]) -> (f64, f64) {
    let right = solutions.iter().filter(|s| s.1).count() as f64;
    let all = right * (solutions.len() as f64 - right);
    let (values, outcomes): (Vec<_>, Vec<_>) = solutions.iter().map(|&(v, right)| (v, number(right))).unzip();
    (metrics::auc(&values, &outcomes).map_or(0.0, |share| share * all), all)
}

fn reliability(end: &Pairs) -> Vec<(f64, f64)> {
    let (values, outcomes): (Vec<_>, Vec<_>) = end.iter().flatten().map(|&(v, right)| (v, number(right))).unzip();
    let bins = metrics::calibration(&values, &outcomes, BINS).map(|c| c.bins).unwrap_or_default();
    bins.iter().filter(|b| b.count > 0).map(|b| (b.confidence, b.accuracy)).collect()
}

/// Mean squared distance of values and outcomes at complete solutions.
pub(super) fn brier(values: &Values, data: &[Sampled]) -> f64 {
    let end = complete(values, data);
    stats::mean(end.iter().flatten().map(|&(v, right)| (v - number(right)).powi(2)))
}

/// Accuracy of the most valued complete solution, per problem; equal values share.
pub(super) fn best_of(values: &Values, data: &[Sampled]) -> Vec<f64> {
    let of = |(p, v): (&Sampled, &Vec<Vec<f64>>)| {
        let (last, right) = (last(v), outcomes(p));
        metrics::best_of_k(&last, &right, last.len()).unwrap_or(0.0)
    };
    data.iter().zip(values).map(of).collect()
}

/// Accuracy of the answer with the largest sum of values, per problem; answers with equal sums share.
pub(super) fn vote(values: &Values, data: &[Sampled]) -> Vec<f64> {
    data.iter().zip(values).map(|(p, v)| elected(p, &last(v))).collect()
}

/// Accuracy of the answer that most solutions give, per problem; equally frequent answers share.
pub(super) fn majority(data: &[Sampled]) -> Vec<f64> {
    data.iter().map(|p| elected(p, &vec![1.0; p.samples.len()])).collect()
}

fn elected(p: &Sampled, weights: &[f64]) -> f64 {
    let answers: Vec<_> = p.samples.iter().map(|s| s.answer.as_deref()).collect();
    let (classes, right) = (tally(&answers, weights), outcomes(p));
    let most = classes.first().map_or(0.0, |class| class.weight);
    let winners = classes.iter().take_while(|class| class.weight >= most);
    stats::mean(winners.map(|class| stats::mean(class.voters.iter().map(|&i| right[i]))))
}

/// Share of right solutions, per problem: the accuracy of picking one at random.
pub(super) fn random(data: &[Sampled]) -> Vec<f64> {
    data.iter().map(|p| stats::mean(outcomes(p).into_iter())).collect()
}

/// Whether any solution is right, per problem.
pub(super) fn oracle(data: &[Sampled]) -> Vec<f64> {
    data.iter().map(|p| number(p.samples.iter().any(|s| s.correct))).collect()
}

/// Accuracy of source `i`, per problem.
pub(super) fn source(i: usize, data: &[Sampled]) -> Vec<f64> {
    data.iter().map(|p| number(p.samples[i].correct)).collect()
}

fn last(values: &[Vec<f64>]) -> Vec<f64> {
    values.iter().map(|v| v[v.len() - 1]).collect()
}

fn outcomes(p: &Sampled) -> Vec<f64> {
    p.samples.iter().map(|s| number(s.correct)).collect()
}

fn number(outcome: bool) -> f64 {
    f64::from(u8::from(outcome))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests state exact values")]
    use super::*;
    use crate::Problem;
    use crate::cycle::Sample;
    use crate::text::Response;

    /// Solutions of two steps, given by answer and label.
    fn problem(solutions: &[(&str, bool)]) -> Sampled {
        let sample = |&(answer, correct): &(&str, bool)| Sample {
            response: Response { tokens: vec![0; 4], log_probs: vec![], step_ends: vec![2, 4], stopped: true },
            correct,
            readable: !answer.is_empty(),
            answer: (!answer.is_empty()).then(|| answer.to_owned()),
            step_labels: None,
        };
        let problem = Problem { prompt: "?".to_owned(), gold: "1".to_owned() };
        Sampled { problem, prompt: vec![0], samples: solutions.iter().map(sample).collect() }
    }

    fn values(rows: &[&[f64]]) -> Values {
        rows.iter().map(|row| row.iter().map(|&end| vec![0.5, 0.5, end]).collect()).collect()
    }

    #[test]
    fn picks_by_hand() {
        let data =
            [problem(&[("1", true), ("2", false), ("2", false)]), problem(&[("3", false), ("1", true), ("", false)])];
        let values = values(&[&[0.9, 0.2, 0.3], &[0.6, 0.6, 0.1]]);
        assert_eq!(best_of(&values, &data), [1.0, 0.5]); // the second is a tie of wrong and right
        assert_eq!(majority(&data), [0.0, 0.5]); // two say 2; one says 3, one says 1, one says nothing
        assert_eq!(vote(&values, &data), [1.0, 0.5]); // 0.9 > 0.2 + 0.3
        assert_eq!(random(&data).iter().map(|x| (x * 3.0).round()).collect::<Vec<_>>(), [1.0, 1.0]);
        assert_eq!(oracle(&data), [1.0, 1.0]);
        assert_eq!(source(0, &data), [1.0, 0.0]);
    }

    #[test]
    fn a_problem_that_nobody_answers_is_not_elected() {
        assert_eq!(majority(&[problem(&[("", false), ("", true)])]), [0.0]);
    }

    #[test]
    fn order_within_problems_is_not_order_across_them() {
        // within each problem right above wrong; across problems 0.2 (right) below 0.8 (wrong): 3 of 4 pairs in order
        let data = [problem(&[("1", true), ("2", false)]), problem(&[("1", true), ("2", false)])];
        let q = quality(&values(&[&[0.2, 0.1], &[0.9, 0.8]]), &data, Seed::root(0));
        assert_eq!((q.auc_within.unwrap().mean, q.auc_end.unwrap().mean, q.auc_prefix.unwrap().mean), (1.0, 0.75, 0.5));
        assert_eq!(q.auc_by_steps_left, [0.75, 0.5, 0.5]);
        // (0.04 + … ): (1-0.2)² + 0.1² + (1-0.9)² + 0.8² = 0.64 + 0.01 + 0.01 + 0.64, over 4
        assert!((q.brier_end.mean - 0.325).abs() < 1e-12 && (q.brier_prefix.mean - 0.25).abs() < 1e-12);
        assert_eq!(q.reliability, [(0.1, 0.0), (0.2, 1.0), (0.8, 0.0), (0.9, 1.0)]);
    }

    #[test]
    fn a_model_differs_from_itself_by_nothing() {
        let data = [problem(&[("1", true), ("2", false)]), problem(&[("1", false), ("2", true)])];
        let (a, b) = (values(&[&[0.9, 0.1], &[0.2, 0.7]]), values(&[&[0.1, 0.9], &[0.7, 0.2]]));
        assert_eq!(auc_difference(&a, &a, &data, Seed::root(3)).unwrap(), Estimate::exact(0.0));
        assert_eq!(auc_difference(&a, &b, &data, Seed::root(3)).unwrap().mean, 1.0);
    }

    #[test]
    fn one_outcome_alone_has_no_order() {
        let data = [problem(&[("1", true), ("1", true)])];
        let q = quality(&values(&[&[0.2, 0.1]]), &data, Seed::root(0));
        assert_eq!((q.auc_end, q.auc_within, q.auc_by_steps_left), (None, None, vec![]));
    }
}
