//! The optimal policy and its values.

use tdrm_core::{Discount, TabularMdp};

use super::{DpError, StateActions, action_values, backup, evaluate, max};

/// V*, Q* and a policy that attains them.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimal {
    /// V*(s), `[S]`.
    pub values: Vec<f64>,
    /// Q*(s, a), `[S][A]`.
    pub action_values: StateActions,
    /// The first of the best actions in each state, `[S]`.
    pub actions: Vec<usize>,
}

/// V*, Q* and π*.
///
/// Value iteration until it stands still; with γ < 1 policy iteration then makes the values exact. With γ = 1
/// values are started at 0, so that among several solutions of Bellman's equation the one reached by terminating
/// policies is found.
///
/// # Errors
/// If values grow without bound (γ = 1 and a loop of positive reward, or no policy that terminates).
pub fn optimal<M: TabularMdp + ?Sized>(mdp: &M, gamma: Discount) -> Result<Optimal, DpError> {
    let discounted = gamma != Discount::ONE;
    let mut values = value_iteration(mdp, gamma, if discounted { COARSE } else { FINE })?;
    if discounted {
        values = policy_iteration(mdp, gamma, values)?;
    }
    let q = action_values(mdp, gamma, &values);
    let actions = greedy(&q);
    Ok(Optimal { values, action_values: q, actions })
}

const FINE: f64 = 2e-15;
const COARSE: f64 = 1e-9;
/// Two actions closer than this, relative to their size, are equally good.
const TIE: f64 = 1e-11;
const SWEEPS: usize = 1_000_000;
const POLICIES: usize = 1_000;
/// An average reward of 1 per step reaches this only if it never ends.
const ENDLESS: f64 = 1e5;

fn value_iteration<M: TabularMdp + ?Sized>(mdp: &M, gamma: Discount, tolerance: f64) -> Result<Vec<f64>, DpError> {
    let mut values = vec![0.0; mdp.n_states()];
    let largest_reward = (0..mdp.n_states() * mdp.n_actions())
        .flat_map(|i| mdp.transitions(i / mdp.n_actions(), i % mdp.n_actions()))
        .fold(0.0_f64, |m, o| m.max(o.reward.abs()));
    for _ in 0..SWEEPS {
        let (mut change, mut size) = (0.0_f64, 1.0_f64);
        for s in 0..values.len() {
            let best = best_backup(mdp, gamma.get(), &values, s);
            change = change.max((best - values[s]).abs());
            size = size.max(best.abs());
            values[s] = best;
        }
        if change <= tolerance * size {
            return Ok(values);
        }
        if gamma == Discount::ONE && size > ENDLESS * largest_reward.max(1.0) {
            break;
        }
    }
    if gamma == Discount::ONE { Err(DpError::Endless { gamma: 1.0 }) } else { Ok(values) }
}

fn best_backup<M: TabularMdp + ?Sized>(mdp: &M, gamma: f64, values: &[f64], s: usize) -> f64 {
    (0..mdp.n_actions()).map(|a| backup(mdp, gamma, values, s, a)).fold(f64::NEG_INFINITY, f64::max)
}

/// Howard's iteration; an action is replaced only by a strictly better one, so that it ends.
fn policy_iteration<M: TabularMdp + ?Sized>(
    mdp: &M,
    gamma: Discount,
    mut values: Vec<f64>,
) -> Result<Vec<f64>, DpError> {
    let mut actions = greedy(&action_values(mdp, gamma, &values));
    for _ in 0..POLICIES {
        values = evaluate(mdp, gamma, &StateActions::deterministic(&actions, mdp.n_actions()))?;
        let q = action_values(mdp, gamma, &values);
        let better = greedy(&q);
        let improves = |s: usize| q.row(s)[better[s]] > q.row(s)[actions[s]] + TIE * (1.0 + values[s].abs());
        let improved: Vec<_> = (0..actions.len()).filter(|&s| improves(s)).collect();
        if improved.is_empty() {
            break;
        }
        for s in improved {
            actions[s] = better[s];
        }
    }
    Ok(values)
}

fn greedy(q: &StateActions) -> Vec<usize> {
    let first_best = |row: &[f64]| {
        let best = max(row);
        row.iter().position(|&x| x >= best - TIE * (1.0 + best.abs())).unwrap_or(0)
    };
    q.rows().map(first_best).collect()
}
