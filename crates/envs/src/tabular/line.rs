//! States in a row, and no row at all.

use tdrm_core::{Outcome, Probability};

use super::{Table, TableError, point};

/// A chain of `n` states: action 1 goes forward, action 0 back to the start; leaving the end pays 1 and terminates.
///
/// With probability `slip` the other action is taken. Reward comes only after n correct decisions, so that
/// undirected exploration takes about 2ⁿ steps.
///
/// # Errors
/// If `n` is 0.
pub fn chain(n: usize, slip: Probability) -> Result<Table, TableError> {
    let slip: f64 = slip.get();
    let forward = move |s: usize| if s + 1 == n { (s, 1.0, true) } else { (s + 1, 0.0, false) };
    Table::from_fn(n, 2, point(n, 0), |s, a| {
        let back = (0, 0.0, false);
        let (meant, other) = if a == 1 { (forward(s), back) } else { (back, forward(s)) };
        outcomes([(1.0 - slip, meant), (slip, other)])
    })
}

fn outcomes<const N: usize>(listed: [(f64, (usize, f64, bool)); N]) -> Vec<Outcome> {
    let outcome =
        |(probability, (next_state, reward, terminated))| Outcome { probability, next_state, reward, terminated };
    listed.into_iter().filter(|(p, _)| *p > 0.0).map(outcome).collect()
}

/// A random walk on `n` states from the centre: one action, left and right alike, both ends terminate.
///
/// Leaving on the left pays `left`, on the right `right`. Sutton & Barto (2018), example 6.2 (n = 5, 0 and 1) and
/// example 7.1 (n = 19, −1 and 1).
///
/// # Errors
/// If `n` is 0 or a reward is not finite.
pub fn random_walk(n: usize, left: f64, right: f64) -> Result<Table, TableError> {
    Table::from_fn(n, 1, point(n, n / 2), |s, _| {
        let leftwards = if s == 0 { (s, left, true) } else { (s - 1, 0.0, false) };
        let rightwards = if s + 1 == n { (s, right, true) } else { (s + 1, 0.0, false) };
        outcomes([(0.5, leftwards), (0.5, rightwards)])
    })
}

/// A bandit whose arm `a` pays 1 with probability `arms[a]`, else 0.
///
/// # Errors
/// If there is no arm.
pub fn bandit(arms: &[Probability]) -> Result<Table, TableError> {
    Table::from_fn(1, arms.len(), vec![1.0], |_, a| {
        let p: f64 = arms[a].get();
        outcomes([(p, (0, 1.0, true)), (1.0 - p, (0, 0.0, true))])
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tdrm_core::Discount;

    use super::*;
    use crate::dp::{StateActions, evaluate, expected_return, optimal};

    #[test]
    fn the_five_state_walk_has_sixths_as_values() {
        let walk = random_walk(5, 0.0, 1.0).unwrap();
        let v = evaluate(&walk, Discount::ONE, &StateActions::uniform(&walk)).unwrap();
        v.iter().enumerate().for_each(|(s, v)| assert!((v - (s + 1) as f64 / 6.0).abs() < 1e-14));
    }

    #[test]
    fn the_nineteen_state_walk_has_tenths_as_values() {
        let walk = random_walk(19, -1.0, 1.0).unwrap();
        let v = evaluate(&walk, Discount::ONE, &StateActions::uniform(&walk)).unwrap();
        v.iter().enumerate().for_each(|(s, v)| assert!((v - (s as f64 - 9.0) / 10.0).abs() < 1e-13));
    }

    #[test]
    fn the_chain_is_worth_gamma_to_the_steps_that_are_left() {
        // forward from s of 4: reward after 4 − s steps, discounted 3 − s times
        let best = optimal(&chain(4, Probability::new(0.0).unwrap()).unwrap(), Discount::new(0.5).unwrap()).unwrap();
        assert_eq!(best.values, [0.125, 0.25, 0.5, 1.0]);
        assert_eq!(best.actions, [1, 1, 1, 1]);
    }

    #[test]
    fn a_slippery_chain_can_be_left_by_going_back() {
        // one state, slip 1/4: back succeeds with 1/4: V^back = 1 eventually, with γ = 1
        let table = chain(1, Probability::new(0.25).unwrap()).unwrap();
        let back = StateActions::deterministic(&[0], 2);
        assert!((evaluate(&table, Discount::ONE, &back).unwrap()[0] - 1.0).abs() < 1e-14);
    }

    #[test]
    fn a_uniform_policy_earns_the_mean_arm() {
        let arms = [0.0, 0.25, 1.0].map(|p| Probability::new(p).unwrap());
        let table = bandit(&arms).unwrap();
        let mean = expected_return(&table, Discount::ONE, &StateActions::uniform(&table)).unwrap();
        assert!((mean - 1.25 / 3.0).abs() < 1e-15);
        assert!(bandit(&[]).is_err());
    }
}
