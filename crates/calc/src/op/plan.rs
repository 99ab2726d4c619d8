//! The op `plan`: a search on a listed model.

use serde::{Deserialize, Serialize};
use tdrm_algo::search::planning::{Arrival, GumbelSearch, Plan, PlanNode, Prediction, Puct};
use tdrm_core::ShapeError;

use super::objective::mask::{self, Mask};
use crate::{CalcError, OpDoc};

/// Its fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    planner: Planner,
    model: Model,
    #[serde(default)]
    root: usize,
    /// Actions of the root that may not be taken.
    #[serde(default)]
    forbidden: Option<Mask>,
    /// Zeros where absent.
    #[serde(default)]
    gumbel: Option<Vec<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Planner {
    Puct(Puct),
    Gumbel(GumbelSearch),
}

/// A model that lists everything, `[S][A]` and `[S]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    next: Vec<Vec<usize>>,
    rewards: Vec<Vec<f64>>,
    discounts: Vec<Vec<f64>>,
    logits: Vec<Vec<f64>>,
    values: Vec<f64>,
}

/// Its answer.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    visit_counts: Vec<u64>,
    q_values: Vec<f64>,
    value: f64,
    action_weights: Vec<f64>,
    action: usize,
    nodes: Vec<Node>,
}

/// A node of the tree; the root has neither parent nor action.
#[derive(Debug, Serialize)]
struct Node {
    visits: u64,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<usize>,
}

/// Most simulations of a request.
const SIMULATIONS: usize = 100_000;

impl Request {
    pub(crate) fn run(self) -> Result<Answer, CalcError> {
        self.model.check()?;
        let root = self.model.values.get(self.root).map(|_| self.model.prediction(self.root));
        let root =
            root.ok_or_else(|| CalcError::invalid(format!("expected a root among the states, got {}", self.root)))?;
        let forbidden: &[bool] = mask::slice(self.forbidden.as_ref());
        let mut step = |&state: &usize, action: usize| self.model.arrival(state, action);
        let simulations = match &self.planner {
            Planner::Puct(puct) => puct.simulations,
            Planner::Gumbel(search) => search.simulations,
        };
        if simulations.get() > SIMULATIONS {
            return Err(CalcError::invalid(format!("expected at most {SIMULATIONS} simulations, got {simulations}")));
        }
        let plan = match &self.planner {
            Planner::Puct(puct) => puct.plan(root, forbidden, &mut step),
            Planner::Gumbel(search) => {
                let gumbel = self.gumbel.clone().unwrap_or_else(|| vec![0.0; root.logits.len()]);
                search.plan(root, forbidden, &gumbel, &mut step)
            }
        };
        plan.map(Answer::from).map_err(CalcError::invalid)
    }
}

impl Model {
    fn check(&self) -> Result<(), CalcError> {
        let states = self.values.len();
        let actions = self.logits.first().map_or(0, Vec::len);
        ShapeError::check("next", states, self.next.len())?;
        for (name, table) in [("rewards", &self.rewards), ("discounts", &self.discounts), ("logits", &self.logits)] {
            ShapeError::check(name, states, table.len())?;
            table.iter().try_for_each(|row| ShapeError::check(name, actions, row.len()))?;
        }
        self.next.iter().try_for_each(|row| ShapeError::check("next", actions, row.len()))?;
        match self.next.iter().flatten().find(|&&s| s >= states) {
            Some(s) => Err(CalcError::invalid(format!("expected states below {states} in `next`, got {s}"))),
            None => Ok(()),
        }
    }

    fn prediction(&self, state: usize) -> Prediction<usize> {
        Prediction { state, logits: self.logits[state].clone(), value: self.values[state] }
    }

    fn arrival(&self, state: usize, action: usize) -> Arrival<usize> {
        let next = self.prediction(self.next[state][action]);
        Arrival { reward: self.rewards[state][action], discount: self.discounts[state][action], next }
    }
}

impl From<Plan> for Answer {
    fn from(plan: Plan) -> Self {
        let node = |n: PlanNode| {
            let (parent, action) = n.origin.unzip();
            Node { visits: n.visits, value: n.value, parent, action }
        };
        Self {
            visit_counts: plan.visit_counts,
            q_values: plan.q_values,
            value: plan.value,
            action_weights: plan.action_weights,
            action: plan.action,
            nodes: plan.nodes.into_iter().map(node).collect(),
        }
    }
}

macro_rules! planner {
    ($kind:literal, $fields:literal, $formula:literal, $example:literal) => {
        OpDoc {
            name: "plan",
            kind: $kind,
            fields: concat!($fields, "; model.{next, rewards, discounts, logits} [S][A], model.values[S], root = 0, forbidden[A] = none"),
            formula: $formula,
            example: concat!(
                r#"{"op":"plan","planner":{"kind":""#, $kind, r#"","simulations":4"#, $example,
                r#"},"model":{"next":[[1,0],[1,1]],"rewards":[[0,1],[0,0]],"discounts":[[1,1],[0,0]],"logits":[[0.5,0],[0,0]],"values":[0.2,0.4]}}"#
            ),
        }
    };
}

/// Its lines of the list.
pub(crate) const OPS: &[OpDoc] = &[
    planner!(
        "puct",
        "planner.{simulations, depth = simulations, init = 1.25, base = 19652, q = {kind = parent_and_siblings | range, low, high}}",
        "argmax q̂ + P √N/(1 + n) (init + ln((N + base + 1)/base)); answers visits, Q, weights and the tree",
        r#","q":{"kind":"range","low":0,"high":1}"#
    ),
    planner!(
        "gumbel",
        "planner.{simulations, considered, depth = simulations, q = {scale = 0.1, visits = 50, rescale = unit | off}}, gumbel[A] = 0",
        "root: sequential halving by g + logit + σ(Q); below: argmax π' − n/(1 + Σn)",
        r#","considered":2"#
    ),
];
