//! PUCT and Gumbel search: by hand, on small models with a known answer, and on hostile input.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::num::NonZeroUsize;

use proptest::prelude::*;
use tdrm_algo::search::planning::{
    Arrival, GumbelSearch, NormalisedQ, Plan, PlanError, Prediction, Puct, considered_visits,
};

fn count(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

/// A binary tree of three levels; a state is the number of its node, the leaves pay.
const PAY: [f64; 8] = [0.1, 0.3, 0.2, 0.6, 0.5, 0.4, 0.0, 0.9];

fn node(state: usize, logits: [f64; 2]) -> Prediction<usize> {
    Prediction { state, logits: logits.to_vec(), value: 0.0 }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape of `Dynamics`")]
fn descend(&state: &usize, action: usize) -> Arrival<usize> {
    let child = 2 * state + 1 + action;
    let leaf = child.checked_sub(7);
    Arrival {
        reward: leaf.map_or(0.0, |l| PAY[l % 8]),
        discount: if leaf.is_some() { 0.0 } else { 1.0 },
        next: node(child.min(7), [0.0; 2]),
    }
}

fn puct(simulations: usize) -> Puct {
    Puct { q: NormalisedQ::Range { low: 0.0, high: 1.0 }, ..Puct::new(count(simulations)) }
}

fn gumbel(simulations: usize) -> GumbelSearch {
    GumbelSearch::new(count(simulations), count(2))
}

#[test]
fn two_simulations_by_hand() {
    // Prior 1/2 each, equal scores: action 0 first, r = 0.25, γ = 1/2, v = 1: Q = 0.75, V(root) = (0 + 0.75)/2.
    // Then q̂(0) = 0.75 + ½√2/2 · 1.25 = 1.19 against ½√2 · 1.25 = 0.88 of action 1: action 0 again, its child's
    // action 0: 0.25 + ½ · 1 = 0.75 there, and 0.25 + ½ · 0.75 = 0.625 at the root.
    let mut model = |(): &(), _: usize| Arrival {
        reward: 0.25,
        discount: 0.5,
        next: Prediction { state: (), logits: vec![0.0; 2], value: 1.0 },
    };
    let root = Prediction { state: (), logits: vec![0.0; 2], value: 0.0 };
    let plan = puct(2).plan(root, &[], &mut model).unwrap();
    assert_eq!(plan.visit_counts, [2, 0]);
    // V(child) = (1 + 0.75)/2 = 0.875: Q = 0.25 + 0.4375;  V(root) = (0 + 0.75 + 0.625)/3
    assert_eq!(plan.q_values, [0.6875, 0.0]);
    assert!((plan.value - 1.375 / 3.0).abs() < 1e-15);
    assert_eq!(plan.nodes.iter().map(|n| n.origin).collect::<Vec<_>>(), [None, Some((0, 0)), Some((1, 0))]);
    assert_eq!(plan.action_weights, [1.0, 0.0]);
}

#[test]
fn the_best_leaf_is_found_by_both() {
    let deep = Puct { depth: Some(count(3)), ..puct(2000) };
    assert_eq!(deep.plan(node(0, [1.0, 0.0]), &[], &mut descend).unwrap().action, 1);
    assert_eq!(gumbel(64).plan(node(0, [2.0, 0.0]), &[], &[0.0; 2], &mut descend).unwrap().action, 1);
}

#[test]
fn a_gumbel_number_that_is_large_enough_decides() {
    let plan = gumbel(8).plan(node(0, [0.0; 2]), &[], &[1e6, 0.0], &mut descend).unwrap();
    assert_eq!(plan.action, 0);
    assert!(plan.action_weights[1] > plan.action_weights[0], "weights are of the policy, without the noise");
}

#[test]
fn what_cannot_be_planned_is_refused() {
    let refused =
        |root: Prediction<usize>, forbidden: &[bool]| puct(3).plan(root, forbidden, &mut descend).unwrap_err();
    assert_eq!(refused(node(0, [0.0; 2]), &[true, true]), PlanError::NoAction { actions: 2, forbidden: 2 });
    assert_eq!(refused(node(0, [0.0; 2]), &[true]), PlanError::Length { column: "forbidden", expected: 2, got: 1 });
    let none = Prediction { state: 0, logits: vec![], value: 0.0 };
    assert_eq!(refused(none, &[]), PlanError::NoAction { actions: 0, forbidden: 0 });
    assert_eq!(refused(node(0, [f64::NAN, 0.0]), &[]), PlanError::NotANumber);
    let three = Prediction { state: 0, logits: vec![0.0; 3], value: 0.0 };
    assert_eq!(refused(three, &[]), PlanError::Length { column: "logits", expected: 3, got: 2 });
    let short = gumbel(3).plan(node(0, [0.0; 2]), &[], &[0.0], &mut descend).unwrap_err();
    assert_eq!(short, PlanError::Length { column: "gumbel", expected: 2, got: 1 });
}

/// What holds of every plan.
fn check(plan: &Plan, simulations: usize, forbidden: &[bool]) {
    assert_eq!(plan.visit_counts.iter().sum::<u64>(), simulations as u64);
    assert!((plan.action_weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(plan.visit_counts.iter().zip(forbidden).all(|(&n, &f)| !f || n == 0));
    assert!(!forbidden[plan.action]);
    assert_eq!(plan.nodes[0].visits, simulations as u64 + 1);
    let parents_first = |(i, n): (usize, &tdrm_algo::search::planning::PlanNode)| n.origin.is_none_or(|(p, _)| p < i);
    assert!(plan.nodes.iter().enumerate().all(parents_first));
}

proptest! {
    #[test]
    fn visits_are_simulations_and_forbidden_actions_stay_untouched(
        table in prop::collection::vec((prop::collection::vec((0usize..5, -1.0..1.0f64, 0.0..=1.0f64, -3.0..3.0f64), 3), -1.0..1.0f64), 5),
        simulations in 1usize..60,
        depth in prop::option::of(1usize..5),
        forbidden in 0usize..4,
        noise in prop::collection::vec(-2.0..2.0f64, 3),
    ) {
        let forbidden: Vec<bool> = (0..3).map(|a| a == forbidden).collect();
        let predict = |s: usize| Prediction { state: s, logits: table[s].0.iter().map(|x| x.3).collect(), value: table[s].1 };
        let mut model = |&s: &usize, a: usize| {
            let (next, reward, discount, _) = table[s].0[a];
            Arrival { reward, discount, next: predict(next) }
        };
        let depth = depth.map(count);
        let by_prior = Puct { depth, ..Puct::new(count(simulations)) };
        check(&by_prior.plan(predict(0), &forbidden, &mut model).unwrap(), simulations, &forbidden);
        let by_halving = GumbelSearch { depth, ..GumbelSearch::new(count(simulations), count(3)) };
        check(&by_halving.plan(predict(0), &forbidden, &noise, &mut model).unwrap(), simulations, &forbidden);
    }

    #[test]
    fn halving_spends_every_simulation_and_never_skips_a_visit(considered in 0usize..40, simulations in 0usize..200) {
        let schedule = considered_visits(considered, simulations);
        prop_assert_eq!(schedule.len(), simulations);
        prop_assert!(schedule.windows(2).all(|w| w[1] == w[0] || w[1] == w[0] + 1));
        prop_assert!(schedule.first().is_none_or(|&first| first == 0));
    }

    #[test]
    fn hostile_numbers_give_a_plan_or_an_error(
        value in prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324, -0.0]),
        logit in prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 0.0]),
        reward in prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::MAX, f64::MIN, 0.0]),
    ) {
        let predict = || Prediction { state: (), logits: vec![logit, 0.0], value };
        let mut model = |(): &(), _: usize| Arrival { reward, discount: 1.0, next: predict() };
        let plans = [
            Puct::new(count(9)).plan(predict(), &[], &mut model),
            gumbel(9).plan(predict(), &[], &[0.0, 0.0], &mut model),
        ];
        for plan in plans {
            match plan {
                Ok(plan) => prop_assert_eq!(plan.visit_counts.iter().sum::<u64>(), 9),
                Err(error) => prop_assert_eq!(error, PlanError::NotANumber),
            }
        }
    }
}
