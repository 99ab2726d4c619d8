//! Exact quantities of a given policy.

use tdrm_core::{Discount, TabularMdp};

use super::{DpError, StateActions, action_values, linear::solve};

/// V^π, `[S]`: solves V = r_π + γ P_π V.
///
/// # Errors
/// If the policy has another shape than the MDP, or γ = 1 and it need not terminate.
pub fn evaluate<M: TabularMdp + ?Sized>(mdp: &M, gamma: Discount, policy: &StateActions) -> Result<Vec<f64>, DpError> {
    policy.check(mdp)?;
    let chain = Chain::new(mdp, policy);
    let n = mdp.n_states();
    let mut system = identity(n);
    for (s, next, p) in &chain.moves {
        system[s * n + next] -= gamma.get::<f64>() * p;
    }
    solve(system, chain.rewards).ok_or(DpError::Endless { gamma: gamma.get() })
}

/// Discounted visits d(s) = Σ_t γ^t P(s_t = s), `[S]`: solves d = ρ + γ P_πᵀ d.
///
/// Their sum is the expected discounted number of decisions (1 / (1 − γ) if the policy never terminates).
///
/// # Errors
/// If the policy has another shape than the MDP, or γ = 1 and it need not terminate.
pub fn occupancy<M: TabularMdp + ?Sized>(mdp: &M, gamma: Discount, policy: &StateActions) -> Result<Vec<f64>, DpError> {
    policy.check(mdp)?;
    let n = mdp.n_states();
    let mut system = identity(n);
    for (s, next, p) in Chain::new(mdp, policy).moves {
        system[next * n + s] -= gamma.get::<f64>() * p;
    }
    solve(system, mdp.initial().to_vec()).ok_or(DpError::Endless { gamma: gamma.get() })
}

/// J(π) = Σ_s ρ(s) V^π(s).
///
/// # Errors
/// As [`evaluate`].
pub fn expected_return<M: TabularMdp + ?Sized>(
    mdp: &M,
    gamma: Discount,
    policy: &StateActions,
) -> Result<f64, DpError> {
    Ok(dot(mdp.initial(), &evaluate(mdp, gamma, policy)?))
}

/// ∂J/∂θ of a softmax table θ, `[S][A]`: d(s) π(a|s) [Q^π(s,a) − V^π(s)].
///
/// # Errors
/// As [`evaluate`].
pub fn policy_gradient<M: TabularMdp + ?Sized>(
    mdp: &M,
    gamma: Discount,
    policy: &StateActions,
) -> Result<StateActions, DpError> {
    let values = evaluate(mdp, gamma, policy)?;
    let visits = occupancy(mdp, gamma, policy)?;
    let q = action_values(mdp, gamma, &values);
    let advantage = |s: usize, a: usize| q.row(s)[a] - values[s];
    Ok(StateActions::from_fn(mdp.n_states(), mdp.n_actions(), |s, a| visits[s] * policy.row(s)[a] * advantage(s, a)))
}

/// Σ_s d^π(s) KL(π(·|s) ‖ μ(·|s)) in nats; with γ = 1 the divergence of whole trajectories.
///
/// Infinite where π does what μ never does.
///
/// # Errors
/// As [`occupancy`].
pub fn kl<M: TabularMdp + ?Sized>(
    mdp: &M,
    gamma: Discount,
    policy: &StateActions,
    reference: &StateActions,
) -> Result<f64, DpError> {
    reference.check(mdp)?;
    let visits = occupancy(mdp, gamma, policy)?;
    let divergence = |(p, q): (&[f64], &[f64])| -> f64 { p.iter().zip(q).map(|(&p, &q)| p_ln(p, p / q)).sum() };
    Ok(visits
        .iter()
        .zip(policy.rows().zip(reference.rows()))
        .map(|(d, rows)| p_ln_weighted(*d, divergence(rows)))
        .sum())
}

/// Σ_s d^π(s) H(π(·|s)) in nats; with γ = 1 the entropy of whole trajectories if the dynamics are deterministic.
///
/// # Errors
/// As [`occupancy`].
pub fn entropy<M: TabularMdp + ?Sized>(mdp: &M, gamma: Discount, policy: &StateActions) -> Result<f64, DpError> {
    let visits = occupancy(mdp, gamma, policy)?;
    let entropies = policy.rows().map(|row| -row.iter().map(|&p| p_ln(p, p)).sum::<f64>());
    Ok(visits.iter().zip(entropies).map(|(d, h)| d * h).sum())
}

/// p ln x, 0 where p is 0.
fn p_ln(p: f64, x: f64) -> f64 {
    if p > 0.0 { p * x.ln() } else { 0.0 }
}

/// d · x, 0 where d is 0 even if x is infinite.
fn p_ln_weighted(d: f64, x: f64) -> f64 {
    if d > 0.0 { d * x } else { 0.0 }
}

/// The Markov chain of a policy: r_π(s), and its moves that go on.
struct Chain {
    rewards: Vec<f64>,
    moves: Vec<(usize, usize, f64)>,
}

impl Chain {
    fn new<M: TabularMdp + ?Sized>(mdp: &M, policy: &StateActions) -> Self {
        let mut chain = Self { rewards: vec![0.0; mdp.n_states()], moves: vec![] };
        for (s, row) in policy.rows().enumerate() {
            for (a, &p) in row.iter().enumerate().filter(|(_, p)| **p > 0.0) {
                for o in mdp.transitions(s, a) {
                    chain.rewards[s] += p * o.probability * o.reward;
                    if !o.terminated {
                        chain.moves.push((s, o.next_state, p * o.probability));
                    }
                }
            }
        }
        chain
    }
}

fn identity(n: usize) -> Vec<f64> {
    (0..n * n).map(|i| if i % (n + 1) == 0 { 1.0 } else { 0.0 }).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
