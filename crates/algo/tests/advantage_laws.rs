//! Laws of the advantage estimators: reductions, invariances, unbiasedness, hostile input.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::num::NonZeroUsize;

use proptest::prelude::*;
use tdrm_algo::advantage::{
    BatchWhiten, BestOfK, Estimator, Gpg, GreedyBaseline, GroupMean, GroupZScore, LeaveOneOut, LengthWeighted,
    Outcomes, PassAtK,
};
use tdrm_core::NonNegative;

fn estimators() -> Vec<Estimator> {
    vec![
        Estimator::GroupZScore(GroupZScore::default()),
        Estimator::GroupMean(GroupMean::default()),
        Estimator::LeaveOneOut(LeaveOneOut::default()),
        Estimator::BatchWhiten(BatchWhiten::default()),
        Estimator::GreedyBaseline(GreedyBaseline {}),
        Estimator::PassAtK(PassAtK::default()),
        Estimator::BestOfK(BestOfK { k: NonZeroUsize::new(2).unwrap() }),
        Estimator::LengthWeighted(LengthWeighted::default()),
        Estimator::Gpg(Gpg::default()),
    ]
}

/// Rewards of three interleaved groups of at least two.
fn batch() -> impl Strategy<Value = (Vec<f64>, Vec<i64>, Vec<f64>, Vec<f64>)> {
    prop::collection::vec((-2.0..2.0f64, 0i64..3, 1u8..50, -1.0..1.0f64), 0..20).prop_map(|mut rows| {
        rows.extend((0..3).flat_map(|g| [(0.5, g, 3, 0.0), (-0.25, g, 7, 0.1)]));
        (
            rows.iter().map(|r| r.0).collect(),
            rows.iter().map(|r| r.1 * 1000 - 7).collect(),
            rows.iter().map(|r| f64::from(r.2)).collect(),
            rows.iter().map(|r| r.3).collect(),
        )
    })
}

fn advantages(estimator: &Estimator, rewards: &[f64], groups: &[i64], lengths: &[f64], baselines: &[f64]) -> Vec<f64> {
    let outcomes = Outcomes::new(rewards).unwrap().with_groups(groups).unwrap();
    estimator.advantages(outcomes.with_lengths(lengths).unwrap().with_baselines(baselines).unwrap()).unwrap()
}

fn close(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
}

proptest! {
    #[test]
    fn leave_one_out_is_the_group_mean_scaled((r, g, l, b) in batch()) {
        let mean = advantages(&Estimator::GroupMean(GroupMean::default()), &r, &g, &l, &b);
        let out = advantages(&Estimator::LeaveOneOut(LeaveOneOut::default()), &r, &g, &l, &b);
        for i in 0..r.len() {
            let n = g.iter().filter(|x| **x == g[i]).count() as f64;
            prop_assert!((out[i] - n / (n - 1.0) * mean[i]).abs() < 1e-12);
        }
    }

    #[test]
    fn permuting_samples_permutes_advantages((r, g, l, b) in batch()) {
        let reversed = |xs: &[f64]| xs.iter().rev().copied().collect::<Vec<_>>();
        let ids: Vec<i64> = g.iter().rev().copied().collect();
        for e in estimators() {
            // Ties for the best are broken by order, by declaration.
            if matches!(e, Estimator::PassAtK(_)) { continue }
            let there = advantages(&e, &r, &g, &l, &b);
            let back = advantages(&e, &reversed(&r), &ids, &reversed(&l), &reversed(&b));
            prop_assert!(close(&there, &reversed(&back)), "{:?}", e);
        }
    }

    #[test]
    fn renaming_groups_changes_nothing((r, g, l, b) in batch()) {
        let renamed: Vec<i64> = g.iter().map(|x| i64::MAX - 3 * (x + 7)).collect();
        for e in estimators() {
            prop_assert!(close(&advantages(&e, &r, &g, &l, &b), &advantages(&e, &r, &renamed, &l, &b)), "{:?}", e);
        }
    }

    #[test]
    fn shifting_rewards_changes_no_group_relative_advantage((r, g, l, b) in batch(), shift in -5.0..5.0f64) {
        let shifted: Vec<f64> = r.iter().map(|x| x + shift).collect();
        for e in estimators() {
            // ReMax compares with another reward, GPG counts rewards that are not zero.
            if matches!(e, Estimator::GreedyBaseline(_) | Estimator::Gpg(_)) { continue }
            prop_assert!(close(&advantages(&e, &r, &g, &l, &b), &advantages(&e, &shifted, &g, &l, &b)), "{:?}", e);
        }
    }

    #[test]
    fn scaling_rewards_scales_linear_estimators_and_not_the_z_score((r, g, l, b) in batch()) {
        let tripled: Vec<f64> = r.iter().map(|x| 3.0 * x).collect();
        let linear = [Estimator::GroupMean(GroupMean::default()), Estimator::LeaveOneOut(LeaveOneOut::default()),
            Estimator::LengthWeighted(LengthWeighted::default()), Estimator::Gpg(Gpg::default())];
        for e in linear {
            let once: Vec<f64> = advantages(&e, &r, &g, &l, &b).iter().map(|a| 3.0 * a).collect();
            prop_assert!(close(&once, &advantages(&e, &tripled, &g, &l, &b)), "{:?}", e);
        }
        let z = Estimator::GroupZScore(GroupZScore { epsilon: NonNegative::ZERO, ..GroupZScore::default() });
        prop_assert!(close(&advantages(&z, &r, &g, &l, &b), &advantages(&z, &tripled, &g, &l, &b)));
    }

    #[test]
    fn constant_rewards_give_no_gradient(x in -3.0..3.0f64, n in 2usize..9) {
        let (r, g) = (vec![x; n], vec![4; n]);
        for e in estimators() {
            let all = advantages(&e, &r, &g, &vec![2.0; n], &r);
            prop_assert!(all.iter().all(|a| a.abs() < 1e-12), "{:?} {:?}", e, all);
        }
    }

    #[test]
    fn hostile_rewards_never_panic(r in prop::collection::vec(hostile(), 2..9)) {
        let g = vec![0; r.len()];
        for e in estimators() {
            prop_assert_eq!(advantages(&e, &r, &g, &r, &r).len(), r.len());
        }
    }
}

fn hostile() -> impl Strategy<Value = f64> {
    prop::sample::select(vec![0.0, -0.0, 1.0, 1e308, -1e308, 5e-324, f64::NAN, f64::INFINITY, f64::NEG_INFINITY])
}

/// A policy over three actions with rewards; expectations by enumeration of all groups of `size` samples.
const P: [f64; 3] = [0.5, 0.3, 0.2];
const R: [f64; 3] = [0.0, 1.0, 0.3];

/// E[ (1/G) Σ_i A_i ∇ log π(a_i) ] in the logits, exactly.
fn expected_gradient(size: u32, estimator: &Estimator) -> [f64; 3] {
    let mut gradient = [0.0; 3];
    for code in 0..3usize.pow(size) {
        let actions: Vec<usize> = (0..size).map(|i| code / 3usize.pow(i) % 3).collect();
        let probability: f64 = actions.iter().map(|&a| P[a]).product();
        let rewards: Vec<f64> = actions.iter().map(|&a| R[a]).collect();
        let groups = vec![0; actions.len()];
        let outcomes = Outcomes::new(&rewards).unwrap().with_groups(&groups).unwrap();
        let advantages = estimator.advantages(outcomes).unwrap();
        for (&a, advantage) in actions.iter().zip(advantages) {
            for (k, slot) in gradient.iter_mut().enumerate() {
                let score = f64::from(u8::from(a == k)) - P[k];
                *slot += probability * advantage * score / f64::from(size);
            }
        }
    }
    gradient
}

/// ∇ E[r] in the logits: p_k (r_k − r̄).
fn exact_gradient() -> [f64; 3] {
    let mean: f64 = P.iter().zip(R).map(|(p, r)| p * r).sum();
    std::array::from_fn(|k| P[k] * (R[k] - mean))
}

#[test]
fn leave_one_out_is_unbiased_and_the_group_mean_is_short_by_one_sample() {
    let exact = exact_gradient();
    assert!(close(&expected_gradient(3, &Estimator::LeaveOneOut(LeaveOneOut::default())), &exact));
    let two_thirds: Vec<f64> = exact.iter().map(|g| g * 2.0 / 3.0).collect();
    assert!(close(&expected_gradient(3, &Estimator::GroupMean(GroupMean::default())), &two_thirds));
}

#[test]
fn the_z_score_points_uphill_but_not_along_the_gradient() {
    let exact = exact_gradient();
    let z = expected_gradient(3, &Estimator::GroupZScore(GroupZScore::default()));
    assert!(z.iter().zip(exact).map(|(a, b)| a * b).sum::<f64>() > 0.0);
    assert!(z[2] > 0.0 && exact[2] < 0.0, "the third component flips its sign: {z:?} {exact:?}");
}

#[test]
fn best_of_k_is_unbiased_for_the_gradient_of_the_best_of_k() {
    // E[max of 2] = Σ_ab p_a p_b max(r_a, r_b); ∂/∂logit_k = 2 p_k (E_b max(r_k, r_b) − E max)
    let best = |a: usize| -> f64 { (0..3).map(|b| P[b] * R[a].max(R[b])).sum() };
    let mean: f64 = (0..3).map(|a| P[a] * best(a)).sum();
    let exact: Vec<f64> = (0..3).map(|k| 2.0 * P[k] * (best(k) - mean)).collect();
    for size in [2, 3, 4] {
        let estimator = Estimator::BestOfK(BestOfK { k: NonZeroUsize::new(2).unwrap() });
        assert!(close(&expected_gradient(size, &estimator), &exact), "{size}");
    }
}
