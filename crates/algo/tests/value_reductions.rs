//! Special cases of the value targets that must coincide, and inputs that must not panic.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::num::NonZeroUsize;

use proptest::prelude::*;
use tdrm_algo::value::tdrm::{Clamp, Tdrm};
use tdrm_algo::value::{
    Gae, ImportanceSampling, LeakyVTrace, MonteCarlo, NStep, OffPolicy, QLambda, Retrace, Soft, Target, Td0, TdLambda,
    Trace, TreeBackup, Upgo, VTrace, Watkins,
};
use tdrm_core::{Discount, Lambda, NonNegative, Probability, Steps, ValueTarget};

/// Columns of a trajectory with terminations in the middle.
#[derive(Debug, Clone)]
struct Columns {
    rewards: Vec<f64>,
    discounts: Vec<f64>,
    values: Vec<f64>,
    log_ratios: Vec<f64>,
    q_values: Vec<f64>,
}

impl Columns {
    fn steps(&self) -> Steps<'_, f64> {
        Steps::new(&self.rewards, &self.discounts, &self.values).unwrap()
    }

    fn off_policy(&self) -> Steps<'_, f64> {
        self.steps().with_log_ratios(&self.log_ratios).unwrap().with_q_values(&self.q_values).unwrap()
    }
}

fn columns() -> impl Strategy<Value = Columns> {
    let discount = prop::sample::select(vec![0.0, 0.5, 0.97, 1.0]);
    let row = (-2.0..2.0f64, discount, -2.0..2.0f64, -1.5..1.5f64, -2.0..2.0f64);
    (prop::collection::vec(row, 0..24), -2.0..2.0f64).prop_map(|(rows, last)| Columns {
        rewards: rows.iter().map(|r| r.0).collect(),
        discounts: rows.iter().map(|r| r.1).collect(),
        values: rows.iter().map(|r| r.2).chain([last]).collect(),
        log_ratios: rows.iter().map(|r| r.3).collect(),
        q_values: rows.iter().map(|r| r.4).collect(),
    })
}

fn assert_equal(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-11), "{a:?}\n{b:?}");
}

fn lambda(x: f64) -> Trace {
    Lambda::new(x).unwrap().into()
}

fn n_step(n: usize, trace: Trace) -> NStep {
    NStep { n: NonZeroUsize::new(n).unwrap(), lambda: trace }
}

proptest! {
    #[test]
    fn lambda_zero_is_td0(c in columns()) {
        assert_equal(&TdLambda { lambda: lambda(0.0) }.targets(c.steps()), &Td0 {}.targets(c.steps()));
    }

    #[test]
    fn lambda_one_is_monte_carlo_with_bootstrap(c in columns()) {
        assert_equal(&TdLambda { lambda: lambda(1.0) }.targets(c.steps()), &MonteCarlo {}.targets(c.steps()));
    }

    #[test]
    fn one_step_is_td0_and_all_steps_are_monte_carlo(c in columns()) {
        assert_equal(&n_step(1, Trace::ONE).targets(c.steps()), &Td0 {}.targets(c.steps()));
        for n in [c.rewards.len().max(1), 99, usize::MAX] {
            assert_equal(&n_step(n, Trace::ONE).targets(c.steps()), &MonteCarlo {}.targets(c.steps()));
        }
    }

    #[test]
    fn a_window_over_everything_is_the_lambda_return(c in columns(), x in 0.0..=1.0f64) {
        assert_equal(&n_step(99, lambda(x)).targets(c.steps()), &TdLambda { lambda: lambda(x) }.targets(c.steps()));
    }

    #[test]
    fn gae_plus_values_is_the_lambda_return(c in columns(), x in 0.0..=1.0f64) {
        let gae = Gae { lambda: lambda(x) };
        assert_equal(&gae.targets(c.steps()), &TdLambda { lambda: lambda(x) }.targets(c.steps()));
        let deltas: Vec<f64> = c.steps().iter().map(|s| s.reward + s.discount * s.next_value - s.value).collect();
        assert_equal(&Gae { lambda: lambda(0.0) }.advantages(c.steps()), &deltas);
    }

    #[test]
    fn on_policy_v_trace_is_the_lambda_return(c in columns(), x in 0.0..=1.0f64) {
        let v_trace = VTrace { lambda: lambda(x), ..VTrace::default() };
        assert_equal(&v_trace.targets(c.steps()), &TdLambda { lambda: lambda(x) }.targets(c.steps()));
        let mut advantages = vec![];
        let targets = MonteCarlo {}.targets(c.steps());
        VTrace::default().pg_advantages_into(c.steps(), &targets, &mut advantages);
        assert_equal(&advantages, &Gae { lambda: lambda(1.0) }.advantages(c.steps()));
    }

    #[test]
    fn unclipped_v_trace_is_importance_sampling(c in columns(), x in 0.0..=1.0f64) {
        let far = NonNegative::new(1e9).unwrap();
        let v_trace = VTrace { lambda: lambda(x), rho_clip: far, c_clip: far, pg_rho_clip: far };
        let sampled = ImportanceSampling { lambda: lambda(x) }.targets(c.off_policy());
        assert_equal(&v_trace.targets(c.off_policy()), &sampled);
        let leaky = LeakyVTrace { alpha: Probability::new(0.0).unwrap(), lambda: lambda(x) };
        assert_equal(&leaky.targets(c.off_policy()), &sampled);
    }

    #[test]
    fn without_traces_every_action_target_is_expected_sarsa(c in columns()) {
        let td0 = Td0 {}.targets(c.steps());
        assert_equal(&OffPolicy { traces: vec![] }.targets(c.off_policy()), &td0);
        assert_equal(&Retrace { lambda: lambda(0.0) }.targets(c.off_policy()), &td0);
        assert_equal(&TreeBackup { lambda: lambda(0.0) }.targets(c.off_policy()), &td0);
        assert_equal(&Watkins { lambda: lambda(0.0) }.targets(c.off_policy()), &td0);
    }

    #[test]
    fn on_policy_action_targets_with_q_equal_to_v_are_lambda_returns(c in columns(), x in 0.0..=1.0f64) {
        let returns = TdLambda { lambda: lambda(x) }.targets(c.steps());
        assert_equal(&Retrace { lambda: lambda(x) }.targets(c.steps()), &returns);
        assert_equal(&Watkins { lambda: lambda(x) }.targets(c.steps()), &returns);
        assert_equal(&QLambda { lambda: lambda(x) }.targets(c.steps()), &returns);
    }

    #[test]
    fn free_actions_make_soft_returns_hard(c in columns(), x in 0.0..=1.0f64) {
        let soft = Soft { alpha: NonNegative::new(0.0).unwrap(), lambda: lambda(x) };
        assert_equal(&soft.targets(c.off_policy()), &TdLambda { lambda: lambda(x) }.targets(c.steps()));
    }

    #[test]
    fn soft_returns_are_returns_of_soft_rewards(c in columns(), alpha in 0.0..2.0f64) {
        let soft = Soft { alpha: NonNegative::new(alpha).unwrap(), lambda: lambda(0.9) }.targets(c.off_policy());
        let rewards: Vec<f64> = c.rewards.iter().zip(&c.log_ratios).map(|(r, l)| r - alpha * l).collect();
        let steps = Steps::new(&rewards, &c.discounts, &c.values).unwrap();
        assert_equal(&soft, &TdLambda { lambda: lambda(0.9) }.targets(steps));
    }

    #[test]
    fn upgo_is_td0_where_nothing_beats_the_expectation(c in columns()) {
        // Values far above every return: nothing is ever better than expected.
        let high = Columns { values: vec![1e6; c.values.len()], discounts: vec![0.5; c.discounts.len()], ..c };
        let upgo = Upgo {}.targets(high.steps());
        assert_equal(&upgo, &Td0 {}.targets(high.steps()));
    }

    #[test]
    fn unclamped_tdrm_is_the_n_step_return_with_its_own_discount(c in columns(), n in 1usize..6) {
        let gamma = Discount::new(0.8).unwrap();
        let tdrm = Tdrm { n: NonZeroUsize::new(n).unwrap(), gamma, clamp: Clamp::Off };
        let own: Vec<f64> = c.discounts.iter().map(|d| if *d > 0.0 { 0.8 } else { 0.0 }).collect();
        let steps = Steps::new(&c.rewards, &own, &c.values).unwrap();
        assert_equal(&tdrm.targets(c.steps()), &n_step(n, Trace::ONE).targets(steps));
    }

    #[test]
    fn no_target_looks_past_a_termination(c in columns(), x in 0.1..=1.0f64) {
        let Some(end) = c.discounts.iter().position(|d| *d < 1e-9) else { return Ok(()) };
        let cut = Columns {
            rewards: c.rewards[..=end].to_vec(),
            discounts: c.discounts[..=end].to_vec(),
            values: c.values[..=end + 1].to_vec(),
            log_ratios: c.log_ratios[..=end].to_vec(),
            q_values: c.q_values[..=end].to_vec(),
        };
        for target in all(&lambda(x)) {
            assert_equal(&target.targets(c.off_policy())[..=end], &target.targets(cut.off_policy()));
        }
    }

    #[test]
    fn hostile_numbers_never_panic(
        rows in prop::collection::vec((hostile(), hostile(), hostile(), hostile(), hostile()), 0..12),
        last in hostile(),
    ) {
        let c = Columns {
            rewards: rows.iter().map(|r| r.0).collect(),
            discounts: rows.iter().map(|r| r.1).collect(),
            values: rows.iter().map(|r| r.2).chain([last]).collect(),
            log_ratios: rows.iter().map(|r| r.3).collect(),
            q_values: rows.iter().map(|r| r.4).collect(),
        };
        for target in all(&lambda(0.5)) {
            prop_assert_eq!(target.targets(c.off_policy()).len(), c.rewards.len());
            prop_assert_eq!(target.targets(c.steps()).len(), c.rewards.len());
        }
    }
}

fn hostile() -> impl Strategy<Value = f64> {
    prop::sample::select(vec![0.0, -0.0, 1.0, 1e308, -1e308, 5e-324, f64::NAN, f64::INFINITY, f64::NEG_INFINITY])
}

/// One of each kind.
fn all(lambda: &Trace) -> Vec<Target> {
    let half = NonNegative::new(0.5).unwrap();
    let trace = || lambda.clone();
    vec![
        Target::Td0(Td0 {}),
        Target::NStep(n_step(3, trace())),
        Target::TdLambda(TdLambda { lambda: trace() }),
        Target::MonteCarlo(MonteCarlo {}),
        Target::Gae(Gae { lambda: trace() }),
        Target::VTrace(VTrace { lambda: trace(), ..VTrace::default() }),
        Target::LeakyVTrace(LeakyVTrace { alpha: Probability::new(0.5).unwrap(), lambda: trace() }),
        Target::ImportanceSampling(ImportanceSampling { lambda: trace() }),
        Target::Retrace(Retrace { lambda: trace() }),
        Target::TreeBackup(TreeBackup { lambda: trace() }),
        Target::QLambda(QLambda { lambda: trace() }),
        Target::Watkins(Watkins { lambda: trace() }),
        Target::OffPolicy(OffPolicy { traces: vec![half; 30] }),
        Target::Upgo(Upgo {}),
        Target::Soft(Soft { alpha: half, lambda: trace() }),
        Target::Tdrm(Tdrm::default()),
    ]
}

#[test]
fn a_million_steps_are_one_pass() {
    let n = 1_000_000;
    let c = Columns {
        rewards: vec![0.1; n],
        discounts: vec![0.99; n],
        values: vec![0.5; n + 1],
        log_ratios: vec![0.01; n],
        q_values: vec![0.4; n],
    };
    for target in all(&lambda(0.9)) {
        let targets = target.targets(c.off_policy());
        assert!(targets.len() == n && targets.iter().all(|g| g.is_finite()), "{target:?}");
    }
    for n in [1000, 500_000] {
        assert!(n_step(n, Trace::ONE).targets(c.steps()).iter().all(|g| g.is_finite()));
    }
}
