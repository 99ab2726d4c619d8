//! Laws of search strategies.

use std::fmt::Debug;

use tdrm_core::{Answers, Budget, Completed, Expand, Found, SearchError, SearchSpace, SearchStrategy, Seed};

use super::{DETERMINISM, LawViolation, Verdict, equal, require, succeed};

const BUDGET: &str = "no expansion begins once the budget is spent";
const BOOKS: &str = "what is reported as spent is what was spent";
const ORDER: &str = "complete candidates come before incomplete ones, better before worse";
const SCORES: &str = "no score is NaN";

/// Checks a strategy on a space that `fresh` builds, without a budget and with several.
///
/// # Errors
/// The first law that it breaks.
///
/// ```
/// use tdrm_algo::search::GreedySearch;
/// use tdrm_core::Seed;
/// use tdrm_testkit::{laws, mocks::ScriptedTree};
/// let tree = || ScriptedTree::full(3, 4, |path| path.iter().sum::<usize>() as f64);
/// let greedy = GreedySearch { branching: 2.try_into().unwrap(), depth: 4 };
/// laws::search_strategy(&greedy, tree, Seed::root(0))?;
/// # Ok::<(), tdrm_testkit::LawViolation>(())
/// ```
pub fn search_strategy<T, S>(strategy: &T, mut fresh: impl FnMut() -> S, seed: Seed) -> Verdict
where
    S: SearchSpace,
    S::Node: PartialEq + Debug,
    T: SearchStrategy<Metered<S>> + ?Sized,
{
    let unlimited = run(strategy, fresh(), Budget::Unlimited, seed)?;
    equal(DETERMINISM, "search", &unlimited, &run(strategy, fresh(), Budget::Unlimited, seed)?)?;
    for quarter in 0..4 {
        let budget = Budget::Units(unlimited.spent * quarter / 4);
        let found = run(strategy, fresh(), budget, seed)?;
        equal(DETERMINISM, "search on a budget", &found, &run(strategy, fresh(), budget, seed)?)?;
    }
    Ok(())
}

fn run<T, S>(strategy: &T, space: S, budget: Budget, seed: Seed) -> Result<Found<S::Node>, LawViolation>
where
    S: SearchSpace,
    S::Node: PartialEq + Debug,
    T: SearchStrategy<Metered<S>> + ?Sized,
{
    let mut space = Metered::new(space, budget);
    let found = succeed(DETERMINISM, strategy.search(&mut space, budget, seed))?;
    require(BUDGET, space.overdrawn.is_none(), || {
        format!("with {budget:?} a batch began after {:?} units", space.overdrawn)
    })?;
    equal(BOOKS, "units (reported, metered)", &found.spent, &space.spent)?;
    equal(BOOKS, "nodes (reported, metered)", &found.nodes, &space.nodes)?;
    ordered(&space, &found)?;
    Ok(found)
}

fn ordered<S: SearchSpace>(space: &Metered<S>, found: &Found<S::Node>) -> Verdict {
    let nan = found.candidates.iter().position(|c| c.score.is_nan());
    require(SCORES, nan.is_none(), || format!("candidate {nan:?}"))?;
    let rank = |i: usize| (space.is_complete(&found.candidates[i].node), found.candidates[i].score);
    for i in 1..found.candidates.len() {
        let ((complete, score), (next_complete, next_score)) = (rank(i - 1), rank(i));
        let holds = if complete == next_complete { score >= next_score } else { complete };
        require(ORDER, holds, || {
            format!("candidate {} is {:?}, the next {:?} (complete, score)", i - 1, rank(i - 1), rank(i))
        })?;
    }
    Ok(())
}

/// A space that meters what is asked of it.
#[derive(Debug, Clone)]
pub struct Metered<S> {
    inner: S,
    budget: Budget,
    spent: u64,
    nodes: u64,
    /// What had been spent when a batch began that should not have.
    overdrawn: Option<u64>,
}

impl<S: SearchSpace> Metered<S> {
    fn new(inner: S, budget: Budget) -> Self {
        Self { inner, budget, spent: 0, nodes: 0, overdrawn: None }
    }

    fn begin<N>(&mut self, requests: &[Expand<'_, N>]) {
        if !requests.is_empty() && !self.budget.allows(self.spent) {
            self.overdrawn.get_or_insert(self.spent);
        }
    }
}

impl<S: SearchSpace> SearchSpace for Metered<S> {
    type Node = S::Node;

    fn root(&self) -> S::Node {
        self.inner.root()
    }

    fn expand(&mut self, requests: &[Expand<'_, S::Node>]) -> Result<Vec<Vec<S::Node>>, SearchError> {
        self.begin(requests);
        let families = self.inner.expand(requests)?;
        for child in families.iter().flatten() {
            self.nodes += 1;
            self.spent += self.inner.cost(child);
        }
        Ok(families)
    }

    fn value(&mut self, nodes: &[S::Node]) -> Result<Vec<f64>, SearchError> {
        self.inner.value(nodes)
    }

    fn is_complete(&self, node: &S::Node) -> bool {
        self.inner.is_complete(node)
    }

    fn cost(&self, node: &S::Node) -> u64 {
        self.inner.cost(node)
    }

    fn complete(
        &mut self,
        requests: &[Expand<'_, S::Node>],
        max_depth: usize,
    ) -> Result<Vec<Vec<Completed<S::Node>>>, SearchError> {
        self.begin(requests);
        let solutions = self.inner.complete(requests, max_depth)?;
        for done in solutions.iter().flatten() {
            self.nodes += 1;
            self.spent += done.cost;
        }
        Ok(solutions)
    }
}

impl<S: Answers> Answers for Metered<S> {
    fn answer(&self, node: &S::Node) -> Option<String> {
        self.inner.answer(node)
    }
}
