//! What the next state is worth when there is a value per action.

use serde::{Deserialize, Serialize};
use tdrm_core::{Probability, Real};

/// An index or a row that does not fit the actions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// No such action.
    #[error("expected an action below {actions}, got {got}")]
    Action {
        /// Number of actions.
        actions: usize,
        /// The index that came.
        got: usize,
    },
    /// A row of another length.
    #[error("`{row}` has {got} entries, expected {actions}")]
    Row {
        /// Which row.
        row: &'static str,
        /// Number of actions.
        actions: usize,
        /// Its length.
        got: usize,
    },
}

/// How a row of action values becomes the value of its state.
///
/// ```text
/// sarsa                q(s', a')
/// expected_sarsa       Σ_a π(a|s') q(s', a)
/// q_learning           max_a q(s', a)
/// double_q_learning    q(s', argmax_a q̃(s', a))
/// persistent           (1 − κ) max_a q(s', a) + κ q(s', a),  a the action just taken
/// ```
///
/// Sutton & Barto (2018), §6.4–6.7; van Hasselt et al. (2016); Bellemare et al. (2016) for the persistent operator.
///
/// ```
/// use tdrm_algo::value::NextValue;
/// let expected = NextValue::ExpectedSarsa { probabilities: vec![0.25, 0.75] };
/// assert_eq!(expected.of(&[4.0, 8.0])?, 7.0);
/// # Ok::<(), tdrm_algo::value::ActionError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum NextValue<F> {
    /// Of the action that was taken next.
    Sarsa {
        /// a'.
        next_action: usize,
    },
    /// In expectation under a policy.
    ExpectedSarsa {
        /// π(·|s'), `[A]`.
        probabilities: Vec<F>,
    },
    /// Of the best action.
    QLearning {},
    /// Of the action that another estimate thinks best.
    DoubleQLearning {
        /// q̃(s', ·), `[A]`.
        selector: Vec<F>,
    },
    /// Of the best action, pulled to the one just taken, which widens the gap between actions.
    Persistent {
        /// a.
        action: usize,
        /// κ.
        gap: Probability,
    },
}

impl<F: Real> NextValue<F> {
    /// v(s') from q(s', ·), `[A]`.
    ///
    /// # Errors
    /// If there is no action, or an index or a row does not fit.
    pub fn of(&self, q: &[F]) -> Result<F, ActionError> {
        match self {
            Self::Sarsa { next_action } => at(q, *next_action),
            Self::ExpectedSarsa { probabilities } => {
                same_length("probabilities", q, probabilities)?;
                Ok(q.iter().zip(probabilities).map(|(&q, &p)| p * q).sum())
            }
            Self::QLearning {} => at(q, greedy(q)),
            Self::DoubleQLearning { selector } => {
                same_length("selector", q, selector)?;
                at(q, greedy(selector))
            }
            Self::Persistent { action, gap } => {
                let gap: F = gap.get();
                Ok((F::one() - gap) * at(q, greedy(q))? + gap * at(q, *action)?)
            }
        }
    }
}

/// The first of the best actions; 0 where there is none.
fn greedy<F: Real>(q: &[F]) -> usize {
    (1..q.len()).fold(0, |best, a| if q[a] > q[best] { a } else { best })
}

fn at<F: Real>(q: &[F], action: usize) -> Result<F, ActionError> {
    q.get(action).copied().ok_or(ActionError::Action { actions: q.len(), got: action })
}

fn same_length<F>(row: &'static str, q: &[F], other: &[F]) -> Result<(), ActionError> {
    if q.len() == other.len() { Ok(()) } else { Err(ActionError::Row { row, actions: q.len(), got: other.len() }) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const Q: [f64; 3] = [1.0, 8.0, 4.0];

    #[test]
    fn each_rule_by_hand() {
        assert_eq!(NextValue::Sarsa { next_action: 2 }.of(&Q), Ok(4.0));
        assert_eq!(NextValue::QLearning {}.of(&Q), Ok(8.0));
        assert_eq!(NextValue::DoubleQLearning { selector: vec![0.0, 1.0, 2.0] }.of(&Q), Ok(4.0));
        let gap = Probability::new(0.25).unwrap();
        assert_eq!(NextValue::Persistent { action: 2, gap }.of(&Q), Ok(7.0)); // ¾·8 + ¼·4
    }

    #[test]
    fn a_greedy_policy_makes_expected_sarsa_q_learning() {
        let greedy = NextValue::ExpectedSarsa { probabilities: vec![0.0, 1.0, 0.0] };
        assert_eq!(greedy.of(&Q), NextValue::QLearning {}.of(&Q));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = NextValue::Sarsa { next_action: 3 }.of(&Q).unwrap_err();
        assert_eq!(error.to_string(), "expected an action below 3, got 3");
        assert!(NextValue::DoubleQLearning { selector: vec![] }.of(&Q).is_err());
        assert!(NextValue::<f64>::QLearning {}.of(&[]).is_err());
    }
}
