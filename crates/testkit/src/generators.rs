//! Proptest strategies for the inputs of the laws.
//!
//! Each is a function of the sizes it may reach; cases shrink towards short, small and zero.

use proptest::prelude::*;
use tdrm_core::{
    Behaviour, Channel, ChannelRewards, Discount, Probability, Seed, ShapeError, StepEnd, Steps, Temperature,
    Trajectory,
};
use tdrm_envs::dp::StateActions;
use tdrm_envs::tabular::{RandomMdp, Table};

use crate::mocks::ScriptedTree;

/// The columns of a [`Steps`], owned.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OwnedSteps {
    /// r, `[T]`.
    pub rewards: Vec<f64>,
    /// γ, `[T]`.
    pub discounts: Vec<f64>,
    /// v, `[T+1]`.
    pub values: Vec<f64>,
    /// log π − log μ, `[T]`.
    pub log_ratios: Option<Vec<f64>>,
    /// Q(s, a), `[T]`.
    pub q_values: Option<Vec<f64>>,
}

impl OwnedSteps {
    /// Without the off-policy columns.
    #[must_use]
    pub const fn on_policy(rewards: Vec<f64>, discounts: Vec<f64>, values: Vec<f64>) -> Self {
        Self { rewards, discounts, values, log_ratios: None, q_values: None }
    }

    /// Number of transitions T.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rewards.len()
    }

    /// True if there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rewards.is_empty()
    }

    /// The view that formulas take.
    ///
    /// # Errors
    /// If lengths disagree.
    pub fn as_steps(&self) -> Result<Steps<'_, f64>, ShapeError> {
        let mut steps = Steps::new(&self.rewards, &self.discounts, &self.values)?;
        if let Some(log_ratios) = &self.log_ratios {
            steps = steps.with_log_ratios(log_ratios)?;
        }
        if let Some(q_values) = &self.q_values {
            steps = steps.with_q_values(q_values)?;
        }
        Ok(steps)
    }
}

/// Discounts: often 0 (terminal), often 1, else in between.
pub fn discounts() -> impl Strategy<Value = f64> {
    prop_oneof![1 => Just(0.0), 1 => Just(1.0), 4 => 0.0..1.0]
}

/// A discount as a type, below 1.
pub fn discounting() -> impl Strategy<Value = Discount> {
    (0.0..0.99_f64).prop_map(|x| Discount::new(x).unwrap_or(Discount::TERMINAL))
}

/// On-policy steps of up to `longest` transitions.
pub fn steps(longest: usize) -> impl Strategy<Value = OwnedSteps> {
    (0..=longest).prop_flat_map(|n| {
        let number = || -10.0..10.0_f64;
        (vec_of(number(), n), vec_of(discounts(), n), vec_of(number(), n + 1))
            .prop_map(|(rewards, discounts, values)| OwnedSteps::on_policy(rewards, discounts, values))
    })
}

/// Steps with log-ratios and action values.
pub fn off_policy_steps(longest: usize) -> impl Strategy<Value = OwnedSteps> {
    steps(longest).prop_flat_map(|steps| {
        let n = steps.len();
        (vec_of(-2.0..2.0_f64, n), vec_of(-10.0..10.0_f64, n)).prop_map(move |(log_ratios, q_values)| OwnedSteps {
            log_ratios: Some(log_ratios),
            q_values: Some(q_values),
            ..steps.clone()
        })
    })
}

fn vec_of<S: Strategy>(element: S, n: usize) -> impl Strategy<Value = Vec<S::Value>> {
    prop::collection::vec(element, n)
}

/// Trajectories of up to `longest` response tokens, cut into steps, with behaviour and two reward channels.
pub fn trajectories(longest: usize) -> impl Strategy<Value = Trajectory> {
    let tokens = |n: usize| prop::collection::vec(0..1000_u32, 0..=n);
    let end = prop_oneof![Just(StepEnd::Terminated), Just(StepEnd::Truncated)];
    (tokens(4), tokens(longest), end, any::<u64>()).prop_map(|(prompt, response, end, bits)| {
        let n = response.len();
        trajectory(prompt, response, end, &step_ends(n, bits)).unwrap_or_else(|_| Trajectory::new(vec![], vec![], end))
    })
}

/// A step ends where a bit is set, and at the end.
fn step_ends(n: usize, bits: u64) -> Vec<usize> {
    (1..=n).filter(|&t| t == n || bits >> (t % 64) & 1 == 1).collect()
}

fn trajectory(
    prompt: Vec<u32>,
    response: Vec<u32>,
    end: StepEnd,
    ends: &[usize],
) -> Result<Trajectory, tdrm_core::TrajectoryError> {
    let log_probs = response.iter().map(|&token| -f64::from(token % 17) / 8.0).collect();
    let outcome = response.last().map_or(0.0, |token| f64::from(token % 2));
    let process = ends.iter().map(|&e| f64::from(response[e - 1] % 10) / 10.0).collect();
    let behaviour = Behaviour { log_probs, temperature: Temperature::ONE, policy_version: 0 };
    let mut t = Trajectory::new(prompt, response, end).with_step_ends(ends)?.with_behaviour(behaviour)?;
    t.set_channel(Channel::OUTCOME, ChannelRewards::PerTrajectory(outcome))?;
    t.set_channel(Channel::PROCESS, ChannelRewards::PerSegment(process))?;
    Ok(t)
}

/// Random MDPs of up to `states` states and `actions` actions, in which every policy terminates.
pub fn tabular_mdps(states: usize, actions: usize) -> impl Strategy<Value = Table> {
    let termination = (0.05..0.5_f64).prop_map(|p| Probability::new(p).unwrap_or(CERTAIN));
    (1..=states.max(1), 1..=actions.max(1), 1..4_usize, termination, any::<u64>()).prop_filter_map(
        "a random MDP is an MDP",
        |(states, actions, branching, termination, seed)| {
            RandomMdp { states, actions, branching, termination }.table(Seed::root(seed)).ok()
        },
    )
}

const CERTAIN: Probability = match Probability::new(1.0) {
    Ok(p) => p,
    Err(_) => unreachable!(),
};

/// A random MDP with a stochastic policy for it.
pub fn mdps_with_policy(states: usize, actions: usize) -> impl Strategy<Value = (Table, StateActions)> {
    use tdrm_core::TabularMdp;
    tabular_mdps(states, actions).prop_flat_map(|table| {
        let policy = policies(table.n_states(), table.n_actions());
        (Just(table), policy)
    })
}

/// Softmax policies of moderate logits.
pub fn policies(n_states: usize, n_actions: usize) -> impl Strategy<Value = StateActions> {
    vec_of(-2.0..2.0_f64, n_states * n_actions)
        .prop_map(move |logits| StateActions::from_fn(n_states, n_actions, |s, a| logits[s * n_actions + a]).softmax())
}

/// Trees of up to `branching` children and `depth` levels with random values, leaves at every level, and answers
/// from a small set.
pub fn trees(branching: usize, depth: usize) -> impl Strategy<Value = ScriptedTree> {
    (1..=branching.max(1), 1..=depth.max(1), any::<u64>())
        .prop_map(|(branching, depth, seed)| ScriptedTree::random(branching, depth, Seed::root(seed)))
}
