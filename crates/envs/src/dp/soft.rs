//! The optimal policy under a price for leaving a reference.

use tdrm_core::{Discount, Positive, TabularMdp};

use super::{DpError, StateActions, action_values, max};

/// Soft values and the policy that attains them.
#[derive(Debug, Clone, PartialEq)]
pub struct SoftOptimal {
    /// V(s), `[S]`.
    pub values: Vec<f64>,
    /// π(a|s), `[S][A]`.
    pub policy: StateActions,
}

/// Maximises E Σ γ^t [ r_t − τ KL(π(·|s_t) ‖ μ(·|s_t)) ].
///
/// ```text
/// V(s) = τ ln Σ_a μ(a|s) exp(Q(s,a) / τ),   π(a|s) = μ(a|s) exp((Q(s,a) − V(s)) / τ)
/// ```
///
/// The optimum of KL-regularised RL with β = τ (in a bandit: π ∝ μ exp(r/β)). With a uniform μ it is the
/// maximum-entropy policy, up to the constant ln A per step.
///
/// # Errors
/// If shapes disagree, or values grow without bound.
pub fn soft_optimal<M: TabularMdp + ?Sized>(
    mdp: &M,
    gamma: Discount,
    temperature: Positive,
    reference: &StateActions,
) -> Result<SoftOptimal, DpError> {
    reference.check(mdp)?;
    let tau: f64 = temperature.get();
    let mut values = vec![0.0; mdp.n_states()];
    for _ in 0..SWEEPS {
        let q = action_values(mdp, gamma, &values);
        let next: Vec<f64> = q.rows().zip(reference.rows()).map(|(q, mu)| soft_max(q, mu, tau)).collect();
        let change = values.iter().zip(&next).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let size = next.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
        values = next;
        if change <= 1e-15 * size {
            break;
        }
        if !size.is_finite() || size > ENDLESS {
            return Err(DpError::Endless { gamma: gamma.get() });
        }
    }
    let q = action_values(mdp, gamma, &values);
    let weight = |s: usize, a: usize| reference.row(s)[a] * ((q.row(s)[a] - values[s]) / tau).exp();
    let policy = StateActions::from_fn(mdp.n_states(), mdp.n_actions(), weight);
    Ok(SoftOptimal { values, policy })
}

const SWEEPS: usize = 100_000;
const ENDLESS: f64 = 1e9;

/// τ ln Σ μ exp(q / τ).
fn soft_max(q: &[f64], mu: &[f64], tau: f64) -> f64 {
    let best = max(q);
    let sum: f64 = q.iter().zip(mu).map(|(q, mu)| mu * ((q - best) / tau).exp()).sum();
    best + tau * sum.ln()
}
