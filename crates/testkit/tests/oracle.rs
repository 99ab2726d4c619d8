//! Properties of exact dynamic programming on random MDPs.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::{any, prop_assert, proptest};
use rand::{Rng, RngExt};
use tdrm_core::{Discount, Positive, Seed, TabularMdp};
use tdrm_envs::dp::{
    StateActions, action_values, evaluate, expected_return, kl, occupancy, optimal, policy_gradient, soft_optimal,
};
use tdrm_envs::run_episode;
use tdrm_testkit::generators::{discounting, mdps_with_policy, policies, tabular_mdps};
use tdrm_testkit::laws;

/// Linear systems of at most 8 unknowns with condition below about 100 / (1 − γ): ten digits remain.
const ROUNDING: f64 = 1e-9;

fn near(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()))
}

fn mean(row: &[f64], values: &[f64]) -> f64 {
    row.iter().zip(values).map(|(p, x)| p * x).sum()
}

proptest! {
    #[test]
    fn values_of_a_policy_are_a_fixed_point((mdp, policy) in mdps_with_policy(8, 3), gamma in discounting()) {
        let v = evaluate(&mdp, gamma, &policy).unwrap();
        let q = action_values(&mdp, gamma, &v);
        for (s, v) in v.iter().enumerate() {
            prop_assert!(near(*v, mean(policy.row(s), q.row(s)), ROUNDING));
        }
    }

    #[test]
    fn no_policy_is_better_than_the_best((mdp, policy) in mdps_with_policy(8, 3), gamma in discounting()) {
        let best = optimal(&mdp, gamma).unwrap();
        let v = evaluate(&mdp, gamma, &policy).unwrap();
        for (s, v) in v.iter().enumerate() {
            prop_assert!(best.values[s] >= v - ROUNDING * (1.0 + v.abs()));
        }
        let greedy = StateActions::deterministic(&best.actions, mdp.n_actions());
        for (a, b) in evaluate(&mdp, gamma, &greedy).unwrap().iter().zip(&best.values) {
            prop_assert!(near(*a, *b, ROUNDING));
        }
    }

    #[test]
    fn the_best_values_exist_without_discount_where_every_policy_ends((mdp, policy) in mdps_with_policy(6, 3)) {
        let best = optimal(&mdp, Discount::ONE).unwrap();
        let q = action_values(&mdp, Discount::ONE, &best.values);
        for (s, v) in evaluate(&mdp, Discount::ONE, &policy).unwrap().iter().enumerate() {
            let greedy = q.row(s).iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(near(best.values[s], greedy, ROUNDING) && best.values[s] >= v - ROUNDING * (1.0 + v.abs()));
        }
    }

    #[test]
    fn visits_balance_and_weigh_rewards((mdp, policy) in mdps_with_policy(8, 3), gamma in discounting()) {
        // d = ρ + γ Pᵀ d, and Σ d(s) r_π(s) = J
        let d = occupancy(&mdp, gamma, &policy).unwrap();
        let mut inflow = mdp.initial().to_vec();
        let mut reward = 0.0;
        for (s, row) in policy.rows().enumerate() {
            for (a, p) in row.iter().enumerate() {
                for o in mdp.transitions(s, a) {
                    reward += d[s] * p * o.probability * o.reward;
                    inflow[o.next_state] += if o.terminated { 0.0 } else { gamma.get::<f64>() * d[s] * p * o.probability };
                }
            }
        }
        prop_assert!(d.iter().zip(&inflow).all(|(a, b)| near(*a, *b, ROUNDING)));
        prop_assert!(near(reward, expected_return(&mdp, gamma, &policy).unwrap(), ROUNDING));
    }

    #[test]
    fn the_policy_gradient_agrees_with_central_differences(
        (mdp, policy) in mdps_with_policy(5, 3),
        gamma in discounting(),
    ) {
        let logits = StateActions::from_fn(mdp.n_states(), mdp.n_actions(), |s, a| policy.row(s)[a].ln());
        let gradient = policy_gradient(&mdp, gamma, &policy).unwrap();
        let value = |k: usize, h: f64| {
            let mut shifted = logits.clone();
            shifted.as_mut_slice()[k] += h;
            expected_return(&mdp, gamma, &shifted.softmax()).unwrap()
        };
        for (k, g) in gradient.as_slice().iter().enumerate() {
            let numeric = (value(k, 1e-4) - value(k, -1e-4)) / 2e-4;
            // truncation h²/6 · J‴, with J‴ up to about 1 / (1 − γ)³ = 10⁶ in bad cases: compare against the scale of J
            let scale = 1.0 / (1.0 - gamma.get::<f64>());
            prop_assert!((g - numeric).abs() < 1e-6 * scale * scale, "{g} against {numeric}");
        }
    }

    #[test]
    fn the_soft_optimum_beats_every_policy_at_its_own_price(
        (mdp, policy) in mdps_with_policy(5, 3),
        seed in any::<u64>(),
        tau in 0.05..5.0_f64,
    ) {
        let reference = StateActions::from_fn(mdp.n_states(), mdp.n_actions(), |s, a| {
            (seed.rotate_left((3 * s + a) as u32) % 97) as f64 / 40.0
        }).softmax();
        let gamma = Discount::new(0.9).unwrap();
        let priced = |p: &StateActions| {
            expected_return(&mdp, gamma, p).unwrap() - tau * kl(&mdp, gamma, p, &reference).unwrap()
        };
        let soft = soft_optimal(&mdp, gamma, Positive::new(tau).unwrap(), &reference).unwrap();
        prop_assert!(soft.policy.rows().all(|row| near(row.iter().sum(), 1.0, ROUNDING)));
        prop_assert!(near(priced(&soft.policy), mean(mdp.initial(), &soft.values), ROUNDING));
        prop_assert!(priced(&soft.policy) >= priced(&policy) - ROUNDING * (1.0 + priced(&policy).abs()));
    }

    #[test]
    fn a_low_price_gives_the_best_policy_and_a_high_one_the_reference(mdp in tabular_mdps(5, 3)) {
        let gamma = Discount::new(0.8).unwrap();
        let uniform = StateActions::uniform(&mdp);
        let at = |tau: f64| soft_optimal(&mdp, gamma, Positive::new(tau).unwrap(), &uniform).unwrap();
        let best = optimal(&mdp, gamma).unwrap();
        let cheap = at(1e-4).values;
        // V* − τ ln A / (1 − γ) ≤ V_soft ≤ V*
        prop_assert!(cheap.iter().zip(&best.values).all(|(a, b)| *a <= b + 1e-9 && b - a < 1e-2));
        let dear = at(1e6).policy;
        prop_assert!(dear.as_slice().iter().zip(uniform.as_slice()).all(|(a, b)| (a - b).abs() < 1e-4));
    }

    #[test]
    fn divergence_is_zero_from_itself_only((mdp, policy) in mdps_with_policy(5, 3), gamma in discounting()) {
        let uniform = StateActions::uniform(&mdp);
        prop_assert!(kl(&mdp, gamma, &policy, &policy).unwrap().abs() < 1e-12);
        let d = kl(&mdp, gamma, &policy, &uniform).unwrap();
        prop_assert!(d >= 0.0);
    }

    #[test]
    fn random_mdps_are_mdps(mdp in tabular_mdps(8, 4)) {
        laws::tabular_mdp(&mdp).unwrap();
    }

    #[test]
    fn policies_are_distributions(policy in policies(4, 3)) {
        prop_assert!(policy.rows().all(|row| near(row.iter().sum(), 1.0, 1e-12) && row.iter().all(|p| *p > 0.0)));
    }
}

#[test]
fn the_mean_of_sampled_returns_is_the_exact_return() {
    for seed in 0..3 {
        let family = tdrm_envs::tabular::RandomMdp {
            states: 6,
            actions: 3,
            branching: 3,
            termination: tdrm_core::Probability::new(0.2).unwrap(),
        };
        let mdp = family.table(Seed::root(seed)).unwrap();
        let policy = StateActions::uniform(&mdp);
        let mut rng = Seed::root(100 + seed).rng();
        let returns: Vec<f64> = (0..20_000)
            .map(|_| {
                let draw = |_: &usize, rng: &mut dyn Rng| rng.random_range(0..3);
                run_episode(&mdp, 10_000, draw, &mut rng).discounted_return(0.9)
            })
            .collect();
        let n = returns.len() as f64;
        let mean = returns.iter().sum::<f64>() / n;
        let error = (returns.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / n / n).sqrt();
        let exact = expected_return(&mdp, Discount::new(0.9).unwrap(), &policy).unwrap();
        assert!((mean - exact).abs() < 4.0 * error, "{mean} ± {error} against {exact}");
    }
}
