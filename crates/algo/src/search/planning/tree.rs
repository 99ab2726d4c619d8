//! The tree that simulations grow.

use super::{Arrival, Dynamics, Plan, PlanError, PlanNode, Prediction};

/// A node with what is known of its actions.
pub(super) struct Node<S> {
    pub(super) prediction: Prediction<S>,
    pub(super) visits: u64,
    /// V, the mean of what was backed up.
    pub(super) value: f64,
    origin: Option<(usize, usize)>,
    pub(super) edges: Vec<Edge>,
}

/// An action of a node.
#[derive(Clone, Copy, Default)]
pub(super) struct Edge {
    child: Option<usize>,
    reward: f64,
    discount: f64,
    /// V of the child when it was last backed up.
    value: f64,
    pub(super) visits: u64,
}

impl Edge {
    /// r + γ V, 0 where the action was never taken.
    pub(super) fn q(&self) -> f64 {
        self.reward + self.discount * self.value
    }
}

impl<S> Node<S> {
    fn new(prediction: Prediction<S>, origin: Option<(usize, usize)>) -> Self {
        let (value, actions) = (prediction.value, prediction.logits.len());
        Self { prediction, visits: 1, value, origin, edges: vec![Edge::default(); actions] }
    }

    /// Visits of all actions together.
    pub(super) fn taken(&self) -> u64 {
        self.edges.iter().map(|e| e.visits).sum()
    }
}

pub(super) struct Tree<S> {
    nodes: Vec<Node<S>>,
}

impl<S> Tree<S> {
    pub(super) fn new(root: Prediction<S>) -> Self {
        Self { nodes: vec![Node::new(root, None)] }
    }

    pub(super) fn root(&self) -> &Node<S> {
        &self.nodes[0]
    }

    /// One simulation: `select` names the action at a node that is `depth` steps from the root.
    pub(super) fn simulate(
        &mut self,
        model: &mut impl Dynamics<S>,
        depth_limit: usize,
        select: impl Fn(&Node<S>, usize) -> Result<usize, PlanError>,
    ) -> Result<(), PlanError> {
        let (mut at, mut depth) = (0, 0);
        let action = loop {
            let action = select(&self.nodes[at], depth)?;
            depth += 1;
            match self.nodes[at].edges[action].child {
                Some(child) if depth < depth_limit => at = child,
                _ => break action,
            }
        };
        let arrival = model.step(&self.nodes[at].prediction.state, action);
        let leaf = self.expand(at, action, arrival)?;
        self.back_up(leaf);
        Ok(())
    }

    fn expand(&mut self, parent: usize, action: usize, arrival: Arrival<S>) -> Result<usize, PlanError> {
        let (expected, got) = (self.root().edges.len(), arrival.next.logits.len());
        if expected != got {
            return Err(PlanError::Length { column: "logits", expected, got });
        }
        let next = self.nodes.len();
        let edge = &mut self.nodes[parent].edges[action];
        (edge.reward, edge.discount) = (arrival.reward, arrival.discount);
        let leaf = *edge.child.get_or_insert(next);
        if leaf == next {
            self.nodes.push(Node::new(arrival.next, Some((parent, action))));
        } else {
            // met again at the depth limit
            let node = &mut self.nodes[leaf];
            node.visits += 1;
            node.value = arrival.next.value;
            node.prediction = arrival.next;
        }
        Ok(leaf)
    }

    fn back_up(&mut self, leaf: usize) {
        let mut at = leaf;
        let mut back = self.nodes[leaf].value;
        while let Some((parent, action)) = self.nodes[at].origin {
            let child_value = self.nodes[at].value;
            let node = &mut self.nodes[parent];
            let edge = &mut node.edges[action];
            back = edge.reward + edge.discount * back;
            edge.value = child_value;
            edge.visits += 1;
            let visits = node.visits as f64;
            node.value = (node.value * visits + back) / (visits + 1.0);
            node.visits += 1;
            at = parent;
        }
    }

    pub(super) fn plan(self, action_weights: Vec<f64>, action: usize) -> Plan {
        let listed = |n: &Node<S>| PlanNode { visits: n.visits, value: n.value, origin: n.origin };
        Plan {
            visit_counts: self.root().edges.iter().map(|e| e.visits).collect(),
            q_values: self.root().edges.iter().map(Edge::q).collect(),
            value: self.root().value,
            action_weights,
            action,
            nodes: self.nodes.iter().map(listed).collect(),
        }
    }
}
