//! Exact dynamic programming: the oracle of every learning test.
//!
//! ```text
//! Q(s,a)  = Σ_{s'} P(s'|s,a) [ r + γ V(s') ],   V(s') = 0 where the outcome terminates
//! V^π(s)  = Σ_a π(a|s) Q^π(s,a)                 a linear system, solved directly
//! V*(s)   = max_a Q*(s,a)                       value iteration, then policy iteration
//! d(s)    = Σ_t γ^t P(s_t = s)                  discounted visits, a linear system
//! ∂J/∂θ(s,a) = d(s) π(a|s) [ Q^π(s,a) − V^π(s) ]   of a softmax table θ
//! ```
//!
//! γ = 1 is allowed where every policy in question terminates. Sutton & Barto (2018), chapters 3, 4 and 13.
//!
//! ```
//! use tdrm_core::Discount;
//! use tdrm_envs::{dp::{evaluate, StateActions}, tabular::random_walk};
//! let walk = random_walk(5, 0.0, 1.0)?;
//! let v = evaluate(&walk, Discount::ONE, &StateActions::uniform(&walk))?;
//! assert!((v[2] - 0.5).abs() < 1e-12); // Sutton & Barto, example 6.2: 1/6, 2/6, 3/6, 4/6, 5/6
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod linear;
mod optimal;
mod policy;
mod soft;
mod state_actions;

use tdrm_core::{Discount, ShapeError, TabularMdp};

pub use optimal::{Optimal, optimal};
pub use policy::{entropy, evaluate, expected_return, kl, occupancy, policy_gradient};
pub use soft::{SoftOptimal, soft_optimal};
pub use state_actions::StateActions;

/// A quantity that does not exist.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DpError {
    /// The policy has another shape than the MDP.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// With this discount the sum of rewards has no limit.
    #[error("values do not exist with discount {gamma}: expected every policy in question to terminate")]
    Endless {
        /// The discount.
        gamma: f64,
    },
}

/// Q(s, ·) of the values of the successors, `[S][A]`.
#[must_use]
pub fn action_values<M: TabularMdp + ?Sized>(mdp: &M, gamma: Discount, values: &[f64]) -> StateActions {
    let gamma = gamma.get();
    StateActions::from_fn(mdp.n_states(), mdp.n_actions(), |s, a| backup(mdp, gamma, values, s, a))
}

/// Σ P(s'|s,a) [ r + γ V(s') ].
fn backup<M: TabularMdp + ?Sized>(mdp: &M, gamma: f64, values: &[f64], state: usize, action: usize) -> f64 {
    let worth = |o: &tdrm_core::Outcome| o.reward + if o.terminated { 0.0 } else { gamma * values[o.next_state] };
    mdp.transitions(state, action).iter().map(|o| o.probability * worth(o)).sum()
}

fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
