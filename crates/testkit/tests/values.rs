//! Value targets: their laws, and their fixed points against exact values.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use tdrm_algo::value::{
    Gae, ImportanceSampling, LeakyVTrace, MonteCarlo, NStep, OffPolicy, QLambda, Retrace, Td0, TdLambda, Trace,
    TreeBackup, Upgo, VTrace, Watkins,
};
use tdrm_core::{Discount, Environment, Lambda, NonNegative, Probability, Seed, TabularMdp, ValueTarget};
use tdrm_envs::dp::{StateActions, action_values, evaluate};
use tdrm_envs::run_episode;
use tdrm_envs::tabular::{RandomMdp, Table, random_walk};
use tdrm_testkit::generators::{OwnedSteps, off_policy_steps, policies, steps};
use tdrm_testkit::laws::{self, Scaling};

fn trace(lambda: f64) -> Trace {
    Lambda::new(lambda).unwrap().into()
}

fn clip(x: f64) -> NonNegative {
    NonNegative::new(x).unwrap()
}

type Targets = Vec<(&'static str, Box<dyn ValueTarget<f64>>)>;

fn on_policy(lambda: f64, n: usize) -> Targets {
    let n_step = NStep { n: n.try_into().unwrap(), lambda: Trace::ONE };
    vec![
        ("TD(0)", Box::new(Td0 {})),
        ("n-step", Box::new(n_step)),
        ("TD(λ)", Box::new(TdLambda { lambda: trace(lambda) })),
        ("Monte Carlo", Box::new(MonteCarlo {})),
        ("GAE", Box::new(Gae { lambda: trace(lambda) })),
    ]
}

fn v_trace(lambda: f64, rho: f64, c: f64) -> VTrace {
    VTrace { lambda: trace(lambda), rho_clip: clip(rho), c_clip: clip(c), pg_rho_clip: clip(rho) }
}

fn off_policy(lambda: f64, n: usize) -> Targets {
    let alpha = Probability::new(0.5).unwrap();
    let mut targets = on_policy(lambda, n);
    targets.extend::<Targets>(vec![
        ("V-trace", Box::new(v_trace(lambda, 1.0, 1.0))),
        ("leaky V-trace", Box::new(LeakyVTrace { alpha, lambda: trace(lambda) })),
        ("importance sampling", Box::new(ImportanceSampling { lambda: trace(lambda) })),
        ("Retrace", Box::new(Retrace { lambda: trace(lambda) })),
        ("tree backup", Box::new(TreeBackup { lambda: trace(lambda) })),
        ("Peng's Q(λ)", Box::new(QLambda { lambda: trace(lambda) })),
        ("Watkins's Q(λ)", Box::new(Watkins { lambda: trace(lambda) })),
        ("given traces", Box::new(OffPolicy { traces: vec![clip(0.5); 8] })),
        ("UPGO", Box::new(Upgo {})),
    ]);
    targets
}

proptest! {
    #[test]
    fn every_target_keeps_the_laws_on_policy(steps in steps(8), lambda in 0.0..1.0_f64, n in 1..5_usize) {
        for (name, target) in off_policy(lambda, n) {
            laws::value_target(&target, &steps, Scaling::Linear).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }

    #[test]
    fn every_target_keeps_the_laws_off_policy(steps in off_policy_steps(8), lambda in 0.0..1.0_f64, n in 1..5_usize) {
        for (name, target) in off_policy(lambda, n) {
            laws::value_target(&target, &steps, Scaling::Linear).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}

/// A trajectory with its probability under the behaviour policy.
struct Path {
    probability: f64,
    visits: Vec<(usize, usize)>,
    rewards: Vec<f64>,
    discounts: Vec<f64>,
    end: usize,
}

/// All trajectories of `length` decisions of μ from (state, action), with the terminal ones padded by nothing.
fn paths(mdp: &Table, gamma: f64, mu: &StateActions, state: usize, action: usize, length: usize) -> Vec<Path> {
    let mut all = vec![];
    for o in mdp.transitions(state, action) {
        let step = |tail: Option<&Path>| Path {
            probability: o.probability * tail.map_or(1.0, |t| t.probability),
            visits: [vec![(state, action)], tail.map_or(vec![], |t| t.visits.clone())].concat(),
            rewards: [vec![o.reward], tail.map_or(vec![], |t| t.rewards.clone())].concat(),
            discounts: [vec![if o.terminated { 0.0 } else { gamma }], tail.map_or(vec![], |t| t.discounts.clone())]
                .concat(),
            end: tail.map_or(o.next_state, |t| t.end),
        };
        if o.terminated || length == 1 {
            all.push(step(None));
            continue;
        }
        for (next, p) in mu.row(o.next_state).iter().enumerate() {
            for mut tail in paths(mdp, gamma, mu, o.next_state, next, length - 1) {
                tail.probability *= p;
                all.push(step(Some(&tail)));
            }
        }
    }
    all
}

/// An exactly enumerable off-policy problem.
struct Problem {
    mdp: Table,
    gamma: Discount,
    pi: StateActions,
    mu: StateActions,
    /// Trajectories from each state and action, `[S][A]`.
    paths: Vec<Vec<Vec<Path>>>,
}

const LENGTH: usize = 3;

impl Problem {
    fn new(seed: u64, pi: StateActions, mu: StateActions) -> Self {
        let termination = Probability::new(0.2).unwrap();
        let mdp = RandomMdp { states: 3, actions: 2, branching: 2, termination }.table(Seed::root(seed)).unwrap();
        let gamma = Discount::new(0.7).unwrap();
        let from = |s| (0..2).map(|a| paths(&mdp, 0.7, &mu, s, a, LENGTH)).collect();
        let paths = (0..3).map(from).collect();
        Self { mdp, gamma, pi, mu, paths }
    }

    /// E_μ of the first target of the trajectories from (s, a), given values and action values.
    fn expected(&self, target: &dyn ValueTarget<f64>, v: &[f64], q: &StateActions, s: usize, a: usize) -> f64 {
        let first = |path: &Path| {
            let log_ratio = |&(s, a): &(usize, usize)| (self.pi.row(s)[a] / self.mu.row(s)[a]).ln();
            let visited = path.visits.iter().map(|&(s, _)| v[s]);
            let steps = OwnedSteps {
                rewards: path.rewards.clone(),
                discounts: path.discounts.clone(),
                values: visited.chain([v[path.end]]).collect(),
                log_ratios: Some(path.visits.iter().map(log_ratio).collect()),
                q_values: Some(path.visits.iter().map(|&(s, a)| q.row(s)[a]).collect()),
            };
            path.probability * target.targets(steps.as_steps().unwrap())[0]
        };
        self.paths[s][a].iter().map(first).sum()
    }

    /// Iterates V ← E_μ G until it stands still.
    fn fixed_values(&self, target: &dyn ValueTarget<f64>) -> Vec<f64> {
        let (mut v, q) = (vec![0.0; 3], StateActions::from_fn(3, 2, |_, _| 0.0));
        for _ in 0..SWEEPS {
            let mean =
                |s: usize| -> f64 { (0..2).map(|a| self.mu.row(s)[a] * self.expected(target, &v, &q, s, a)).sum() };
            v = (0..3).map(mean).collect();
        }
        v
    }

    /// Iterates Q ← E_μ G, with v = E_π Q, until it stands still.
    fn fixed_action_values(&self, target: &dyn ValueTarget<f64>) -> StateActions {
        let mut q = StateActions::from_fn(3, 2, |_, _| 0.0);
        for _ in 0..SWEEPS {
            let v: Vec<f64> = self.pi.rows().zip(q.rows()).map(|(p, q)| p[0] * q[0] + p[1] * q[1]).collect();
            q = StateActions::from_fn(3, 2, |s, a| self.expected(target, &v, &q, s, a));
        }
        q
    }
}

/// 0.7 to this power is 6e-11; V-trace contracts more slowly where it clips.
const SWEEPS: usize = 66;

fn assert_close(got: &[f64], expected: &[f64], what: &str) {
    for (g, e) in got.iter().zip(expected) {
        assert!((g - e).abs() < 1e-8 * (1.0 + e.abs()), "{what}: {got:?} against {expected:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn on_policy_targets_converge_to_the_values_of_the_policy(
        seed in any::<u64>(), pi in policies(3, 2), lambda in 0.0..1.0_f64,
    ) {
        let problem = Problem::new(seed, pi.clone(), pi);
        let exact = evaluate(&problem.mdp, problem.gamma, &problem.pi).unwrap();
        for (name, target) in on_policy(lambda, 2) {
            assert_close(&problem.fixed_values(&target), &exact, name);
        }
    }

    #[test]
    fn importance_weights_turn_another_policys_paths_into_the_values_of_this_one(
        seed in any::<u64>(), pi in policies(3, 2), mu in policies(3, 2), lambda in 0.0..0.7_f64,
    ) {
        let problem = Problem::new(seed, pi, mu);
        let exact = evaluate(&problem.mdp, problem.gamma, &problem.pi).unwrap();
        let target = ImportanceSampling { lambda: trace(lambda) };
        assert_close(&problem.fixed_values(&target), &exact, "importance sampling");
        let unclipped = v_trace(lambda, 1e9, 1.0);
        assert_close(&problem.fixed_values(&unclipped), &exact, "V-trace without a clip on ρ");
    }

    #[test]
    fn v_trace_converges_to_the_values_of_the_clipped_policy_whatever_its_traces(
        seed in any::<u64>(), pi in policies(3, 2), mu in policies(3, 2), lambda in 0.0..1.0_f64, c in 0.0..1.0_f64,
    ) {
        let problem = Problem::new(seed, pi, mu);
        // π_ρ̄(a|s) ∝ min(ρ̄ μ(a|s), π(a|s)), Espeholt et al. (2018), eq. 3
        let weight = |s: usize, a: usize| problem.mu.row(s)[a].min(problem.pi.row(s)[a]);
        let clipped = StateActions::from_fn(3, 2, |s, a| weight(s, a) / (weight(s, 0) + weight(s, 1)));
        let exact = evaluate(&problem.mdp, problem.gamma, &clipped).unwrap();
        let mut v = problem.fixed_values(&v_trace(lambda, 1.0, c));
        // clipping shortens the step: go on until it stands still
        let zero = StateActions::from_fn(3, 2, |_, _| 0.0);
        for _ in 0..1500 {
            let target = v_trace(lambda, 1.0, c);
            let mean = |s: usize| -> f64 {
                (0..2).map(|a| problem.mu.row(s)[a] * problem.expected(&target, &v, &zero, s, a)).sum()
            };
            let next: Vec<f64> = (0..3).map(mean).collect();
            let still = v.iter().zip(&next).all(|(a, b)| (a - b).abs() < 1e-12);
            v = next;
            if still {
                break;
            }
        }
        assert_close(&v, &exact, "V-trace");
    }

    #[test]
    fn retrace_converges_to_the_action_values_of_the_policy(
        seed in any::<u64>(), pi in policies(3, 2), mu in policies(3, 2), lambda in 0.0..1.0_f64,
    ) {
        let problem = Problem::new(seed, pi, mu);
        let v = evaluate(&problem.mdp, problem.gamma, &problem.pi).unwrap();
        let exact = action_values(&problem.mdp, problem.gamma, &v);
        let q = problem.fixed_action_values(&Retrace { lambda: trace(lambda) });
        assert_close(q.as_slice(), exact.as_slice(), "Retrace");
    }
}

#[test]
fn sampled_targets_learn_the_five_state_walk() {
    // Sutton & Barto (2018), example 6.2; 1000 averaged episodes leave a standard error of about 0.02
    let walk = random_walk(5, 0.0, 1.0).unwrap();
    let exact = evaluate(&walk, Discount::ONE, &StateActions::uniform(&walk)).unwrap();
    for (name, target) in on_policy(0.8, 4) {
        for seed in 0..3 {
            let v = learn(&walk, &target, Seed::root(seed));
            let error = (v.iter().zip(&exact).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 5.0).sqrt();
            assert!(error < 0.05, "{name}, seed {seed}: {error}");
        }
    }
}

/// V(s) ← V(s) + α (G − V(s)); the mean of the second thousand of episodes.
fn learn<E: Environment<State = usize, Action = usize>>(
    walk: &E,
    target: &dyn ValueTarget<f64>,
    seed: Seed,
) -> Vec<f64> {
    let (mut v, mut mean, mut rng) = ([0.5; 5], vec![0.0; 5], seed.rng());
    for k in 0..2000 {
        let episode = run_episode(walk, 10_000, |_, _| 0, &mut rng);
        let values = episode.states.iter().map(|&s| v[s]).collect();
        let steps = OwnedSteps::on_policy(episode.rewards.clone(), episode.discounts(1.0), values);
        for (&s, g) in episode.states.iter().zip(target.targets(steps.as_steps().unwrap())) {
            v[s] += 0.05 * (g - v[s]);
        }
        if k >= 1000 {
            mean.iter_mut().zip(v).for_each(|(m, v)| *m += v / 1000.0);
        }
    }
    mean
}
