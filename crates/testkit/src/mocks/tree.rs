//! A search space that is written down.

use rand::RngExt;
use tdrm_core::{Answers, Expand, SearchError, SearchSpace, Seed};

/// One node of a [`ScriptedTree`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TreeNode {
    /// Positions of the children in the tree.
    pub children: Vec<usize>,
    /// The value that the space reports.
    pub value: f64,
    /// Whether it is a complete solution; a node without children that is not is a dead end.
    pub complete: bool,
    /// Its answer, if it has one.
    pub answer: Option<String>,
    /// What generating it costs.
    pub cost: u64,
}

/// Which children an expansion offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Drawing {
    /// The first `width`, each once.
    #[default]
    InOrder,
    /// `width` draws with replacement, by the seed of the request.
    AtRandom,
}

/// A tree of nodes by number, the root being 0.
///
/// ```
/// use tdrm_testkit::mocks::ScriptedTree;
/// let tree = ScriptedTree::full(2, 3, |path| path.iter().sum::<usize>() as f64);
/// assert_eq!((tree.nodes().len(), tree.best_leaf()), (1 + 2 + 4 + 8, Some(3.0)));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptedTree {
    nodes: Vec<TreeNode>,
    drawing: Drawing,
}

impl ScriptedTree {
    /// These nodes; a child that does not exist is never offered.
    #[must_use]
    pub fn new(mut nodes: Vec<TreeNode>) -> Self {
        if nodes.is_empty() {
            nodes.push(TreeNode::default());
        }
        Self { nodes, drawing: Drawing::InOrder }
    }

    /// Every node has `branching` children down to `depth`, where it is complete; `value` is a function of the
    /// choices that lead to a node.
    #[must_use]
    pub fn full(branching: usize, depth: usize, mut value: impl FnMut(&[usize]) -> f64) -> Self {
        let (mut nodes, mut level) = (vec![TreeNode { value: value(&[]), ..TreeNode::default() }], vec![(0, vec![])]);
        for _ in 0..depth {
            let mut next = vec![];
            for (parent, path) in level {
                for choice in 0..branching {
                    let path: Vec<usize> = [path.as_slice(), &[choice]].concat();
                    let (id, value) = (nodes.len(), value(&path));
                    nodes.push(TreeNode { value, cost: 1, ..TreeNode::default() });
                    nodes[parent].children.push(id);
                    next.push((id, path));
                }
            }
            level = next;
        }
        for (leaf, _) in level {
            nodes[leaf].complete = true;
            nodes[leaf].answer = Some((leaf % 3).to_string());
        }
        Self::new(nodes)
    }

    /// A tree of this seed: up to `branching` children, leaves and dead ends at every level, costs 1 to 3, values
    /// in [0, 1), answers among three.
    #[must_use]
    pub fn random(branching: usize, depth: usize, seed: Seed) -> Self {
        let mut rng = seed.rng();
        let mut tree = Self::full(branching, depth, |_| 0.0);
        for node in &mut tree.nodes {
            node.value = rng.random();
            node.cost = rng.random_range(1..4);
            let fate: f64 = rng.random();
            if fate < 0.3 && !node.complete {
                node.children.clear();
                node.complete = fate < 0.25;
            }
            node.answer = (node.complete && fate < 0.9).then(|| rng.random_range(0..3_u32).to_string());
        }
        tree
    }

    /// Offers children in this way.
    #[must_use]
    pub const fn drawing(mut self, drawing: Drawing) -> Self {
        self.drawing = drawing;
        self
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &[TreeNode] {
        &self.nodes
    }

    /// The best value of a complete node that can be reached: the answer of an exhaustive search.
    #[must_use]
    pub fn best_leaf(&self) -> Option<f64> {
        let (mut best, mut open) = (None::<f64>, vec![0]);
        while let Some(id) = open.pop() {
            let node = &self.nodes[id];
            if node.complete {
                best = Some(best.map_or(node.value, |b| b.max(node.value)));
            } else {
                open.extend(node.children.iter().copied().filter(|&child| child < self.nodes.len()));
            }
        }
        best
    }

    fn children(&self, request: &Expand<'_, usize>) -> Vec<usize> {
        let Some(node) = self.nodes.get(*request.node).filter(|node| !node.complete) else { return vec![] };
        let known: Vec<_> = node.children.iter().copied().filter(|&child| child < self.nodes.len()).collect();
        match self.drawing {
            Drawing::InOrder => known.into_iter().take(request.width).collect(),
            Drawing::AtRandom if known.is_empty() => vec![],
            Drawing::AtRandom => {
                let mut rng = request.seed.rng();
                (0..request.width).map(|_| known[rng.random_range(0..known.len())]).collect()
            }
        }
    }
}

impl SearchSpace for ScriptedTree {
    type Node = usize;

    fn root(&self) -> usize {
        0
    }

    fn expand(&mut self, requests: &[Expand<'_, usize>]) -> Result<Vec<Vec<usize>>, SearchError> {
        Ok(requests.iter().map(|r| self.children(r)).collect())
    }

    fn value(&mut self, nodes: &[usize]) -> Result<Vec<f64>, SearchError> {
        Ok(nodes.iter().map(|&id| self.nodes.get(id).map_or(0.0, |node| node.value)).collect())
    }

    fn is_complete(&self, node: &usize) -> bool {
        self.nodes.get(*node).is_some_and(|node| node.complete)
    }

    fn cost(&self, node: &usize) -> u64 {
        self.nodes.get(*node).map_or(0, |node| node.cost)
    }
}

impl Answers for ScriptedTree {
    fn answer(&self, node: &usize) -> Option<String> {
        self.nodes.get(*node).and_then(|node| node.answer.clone())
    }
}
