//! The account of a search: every request passes through it, so that nothing is generated unpaid.

use std::cmp::Ordering;

use tdrm_core::{Budget, Expand, Found, RewardError, Scored, SearchError, SearchSpace, Seed};

/// A space, the budget for it, and what has been spent so far.
pub(super) struct Ledger<'s, S: SearchSpace + ?Sized> {
    pub(super) space: &'s mut S,
    budget: Budget,
    spent: u64,
    nodes: u64,
}

impl<'s, S: SearchSpace + ?Sized> Ledger<'s, S> {
    pub(super) fn new(space: &'s mut S, budget: Budget) -> Self {
        Self { space, budget, spent: 0, nodes: 0 }
    }

    /// Whether another batch may begin.
    pub(super) fn is_open(&self) -> bool {
        self.budget.allows(self.spent)
    }

    /// `width` children of each node, in the order of the nodes; node `i` draws from `seed.child(i)`.
    pub(super) fn expand(&mut self, nodes: &[&S::Node], width: usize, seed: Seed) -> Children<S::Node> {
        self.expand_by(&nodes.iter().map(|&node| (node, width)).collect::<Vec<_>>(), seed)
    }

    /// As [`Ledger::expand`], with a width for each node.
    pub(super) fn expand_by(&mut self, nodes: &[(&S::Node, usize)], seed: Seed) -> Children<S::Node> {
        let request = |(i, &(node, width)): (usize, &(_, _))| Expand { node, width, seed: seed.child(i as u64) };
        let requests: Vec<_> = nodes.iter().enumerate().map(request).collect();
        let families = answered(requests.len(), self.space.expand(&requests)?)?;
        for child in families.iter().flatten() {
            self.nodes += 1;
            self.spent = self.spent.saturating_add(self.space.cost(child));
        }
        Ok(families)
    }

    /// Complete solutions number `samples` from the root; sample `i` draws from `seed.child(i)`.
    ///
    /// Under a budget they are drawn in waves, each as large as the budget allows if no sample costs more than
    /// the dearest before it.
    pub(super) fn sample(&mut self, samples: usize, depth: usize, seed: Seed) -> Result<Vec<S::Node>, SearchError> {
        let root = self.space.root();
        let (mut drawn, mut dearest) = (Vec::with_capacity(samples), None);
        while drawn.len() < samples && self.is_open() {
            let wave = self.wave(dearest).min(samples - drawn.len());
            let ids = drawn.len() as u64..(drawn.len() + wave) as u64;
            let requests: Vec<_> = ids.map(|i| Expand { node: &root, width: 1, seed: seed.child(i) }).collect();
            for done in answered(wave, self.space.complete(&requests, depth)?)? {
                let [done] =
                    <[_; 1]>::try_from(done).map_err(|all| SearchError::Arity { expected: 1, got: all.len() })?;
                self.nodes += 1;
                self.spent = self.spent.saturating_add(done.cost);
                dearest = dearest.max(Some(done.cost));
                drawn.push(done.node);
            }
        }
        Ok(drawn)
    }

    fn wave(&self, dearest: Option<u64>) -> usize {
        match (self.budget, dearest) {
            (Budget::Units(limit), Some(cost)) => {
                usize::try_from((limit - self.spent) / cost.max(1)).unwrap_or(usize::MAX).max(1)
            }
            (Budget::Units(_), None) => 1,
            _ => usize::MAX,
        }
    }

    /// The nodes with their values.
    pub(super) fn score(&mut self, nodes: Vec<S::Node>) -> Result<Vec<Scored<S::Node>>, SearchError> {
        if nodes.is_empty() {
            return Ok(vec![]);
        }
        let values = answered(nodes.len(), self.space.value(&nodes)?)?;
        if let Some(index) = values.iter().position(|v| v.is_nan()) {
            return Err(RewardError::NotFinite { index, got: values[index] }.into());
        }
        Ok(nodes.into_iter().zip(values).map(|(node, score)| Scored { node, score }).collect())
    }

    /// Closes the account: candidates in their final order, the root where there is no other.
    pub(super) fn close(mut self, mut candidates: Vec<Scored<S::Node>>) -> Result<Found<S::Node>, SearchError> {
        if candidates.is_empty() {
            let root = self.space.root();
            candidates = self.score(vec![root])?;
        }
        candidates.sort_by(|a, b| {
            let complete = |x: &Scored<S::Node>| self.space.is_complete(&x.node);
            complete(b).cmp(&complete(a)).then(descending(a, b))
        });
        Ok(Found { candidates, spent: self.spent, nodes: self.nodes })
    }
}

/// Children of several nodes, in the order of the nodes.
pub(super) type Children<N> = Result<Vec<Vec<N>>, SearchError>;

/// Best first; scores are never NaN here.
pub(super) fn descending<N>(a: &Scored<N>, b: &Scored<N>) -> Ordering {
    b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal)
}

fn answered<T>(expected: usize, answers: Vec<T>) -> Result<Vec<T>, SearchError> {
    let got = answers.len();
    if expected == got { Ok(answers) } else { Err(SearchError::Arity { expected, got }) }
}
