//! Sampled policy gradients against the exact one, by enumerating every group that can be drawn.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use tdrm_algo::advantage::{AdvantageError, GroupMean, LeaveOneOut, Outcomes};
use tdrm_algo::objective::{Advantages, Denominators, Preset, SequenceTerms};
use tdrm_core::{Discount, Positive, Trainable};
use tdrm_envs::dp::{StateActions, policy_gradient};
use tdrm_envs::learner::{Optimiser, TablePolicy};
use tdrm_envs::tabular::Sequences;
use tdrm_testkit::generators::policies;

const GROUP: usize = 3;

type Estimator<'a> = &'a dyn Fn(Outcomes<'_, f64>) -> Result<Vec<f64>, AdvantageError>;

/// E[ ĝ ] over all groups of three sequences, exactly.
fn expected_gradient(
    sequences: &Sequences,
    policy: &StateActions,
    reward: &dyn Fn(&[usize]) -> f64,
    advantages: Estimator<'_>,
) -> Vec<f64> {
    let all = sequences.all();
    let n = all.len();
    let mut mean = vec![0.0; policy.as_slice().len()];
    for code in 0..n.pow(GROUP as u32) {
        let group: Vec<_> = (0..GROUP as u32).map(|k| &all[code / n.pow(k) % n]).collect();
        let probability: f64 = group.iter().map(|y| sequences.probability(policy, y)).product();
        let rewards: Vec<_> = group.iter().map(|y| reward(y)).collect();
        let groups = [0; GROUP];
        let a = advantages(Outcomes::new(&rewards).unwrap().with_groups(&groups).unwrap()).unwrap();
        for (m, g) in mean.iter_mut().zip(gradient(sequences, policy, &group, &a)) {
            *m += probability * g;
        }
    }
    mean
}

/// The ascent direction of REINFORCE on one group: what a step of size 1 adds to the logits.
fn gradient(sequences: &Sequences, policy: &StateActions, group: &[&Vec<usize>], advantages: &[f64]) -> Vec<f64> {
    let logits = StateActions::from_fn(policy.n_states(), policy.n_actions(), |s, a| policy.row(s)[a].ln());
    let mut learner = TablePolicy::from_logits(logits, Optimiser::Sgd { learning_rate: Positive::new(1.0).unwrap() });
    let before = learner.logits().clone();
    let visits = |y: &&Vec<usize>| (0..y.len()).map(|t| (sequences.prefix(&y[..t]).unwrap(), y[t])).collect();
    let batch: Vec<Vec<_>> = group.iter().map(visits).collect();
    let objective = Preset::Reinforce.objective();
    learner
        .update(&batch, &mut |outputs| {
            let terms: Vec<_> = (outputs.log_probs.iter().zip(advantages))
                .map(|(logp, &a)| SequenceTerms::new(logp, Advantages::Sequence(a)))
                .collect();
            objective.evaluate(&terms, &Denominators::of(&terms)).unwrap().coefficients.into()
        })
        .unwrap();
    learner.logits().as_slice().iter().zip(before.as_slice()).map(|(a, b)| a - b).collect()
}

fn assert_close(got: &[f64], expected: &[f64]) {
    for (g, e) in got.iter().zip(expected) {
        assert!((g - e).abs() < 1e-12, "{got:?} against {expected:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn leave_one_out_is_unbiased_and_the_group_mean_shrinks_by_one_in_the_group(
        policy in policies(3, 2),
        rewards in prop::collection::vec(-2.0..2.0_f64, 4),
    ) {
        let sequences = Sequences::new(2, 2, None).unwrap();
        let reward = |y: &[usize]| rewards[2 * y[0] + y[1]];
        let exact = policy_gradient(&sequences.table(reward).unwrap(), Discount::ONE, &policy).unwrap();
        let sampled = |advantages: Estimator<'_>| expected_gradient(&sequences, &policy, &reward, advantages);
        assert_close(&sampled(&|o| LeaveOneOut::default().advantages(o)), exact.as_slice());
        // the mean that holds the sample itself takes 1/G of the gradient away: times G / (G − 1) it is exact
        let shrunk: Vec<f64> = exact.as_slice().iter().map(|g| g * (GROUP - 1) as f64 / GROUP as f64).collect();
        assert_close(&sampled(&|o| GroupMean::default().advantages(o)), &shrunk);
    }

    #[test]
    fn plain_rewards_are_unbiased_with_early_ends_too(policy in policies(7, 2), rewards in prop::collection::vec(-2.0..2.0_f64, 8)) {
        let sequences = Sequences::new(2, 3, Some(1)).unwrap();
        let reward = |y: &[usize]| rewards[y.iter().fold(0, |code, &t| (2 * code + t) % 8)];
        let exact = policy_gradient(&sequences.table(reward).unwrap(), Discount::ONE, &policy).unwrap();
        let all = sequences.all();
        let mut mean = vec![0.0; exact.as_slice().len()];
        for y in &all {
            let p = sequences.probability(&policy, y);
            for (m, g) in mean.iter_mut().zip(gradient(&sequences, &policy, &[y], &[reward(y)])) {
                *m += p * g;
            }
        }
        assert_close(&mean, exact.as_slice());
    }
}
