//! Search strategies under the laws, and their reductions on random trees.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use proptest::prelude::*;
use tdrm_algo::search::{Beam, BestOfN, Dvts, GreedySearch, Majority, Mcts, Rebase, WeightedMajority, tally};
use tdrm_core::{Budget, Expand, NonNegative, Positive, SearchError, SearchSpace, SearchStrategy, Seed};
use tdrm_testkit::generators::trees;
use tdrm_testkit::laws;
use tdrm_testkit::mocks::{Drawing, ScriptedTree};

fn count(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

fn best<T: SearchStrategy<ScriptedTree>>(strategy: &T, tree: &ScriptedTree, seed: Seed) -> f64 {
    strategy.search(&mut tree.clone(), Budget::Unlimited, seed).unwrap().best().unwrap().score
}

proptest! {
    #[test]
    fn every_strategy_keeps_the_laws(tree in trees(3, 4), n in 1..6_usize, width in 1..4_usize, seed in any::<u64>()) {
        let (n, width, depth, seed) = (count(n), count(width), 5, Seed::root(seed));
        for drawing in [Drawing::InOrder, Drawing::AtRandom] {
            let tree = || tree.clone().drawing(drawing);
            laws::search_strategy(&BestOfN { n, depth }, tree, seed).unwrap();
            laws::search_strategy(&Majority { n, depth }, tree, seed).unwrap();
            laws::search_strategy(&WeightedMajority { n, depth }, tree, seed).unwrap();
            laws::search_strategy(&GreedySearch { branching: width, depth }, tree, seed).unwrap();
            laws::search_strategy(&Beam { beam: n, width, depth }, tree, seed).unwrap();
            laws::search_strategy(&Dvts { subtrees: n, width, depth }, tree, seed).unwrap();
            let temperature = Positive::new(0.2).unwrap();
            laws::search_strategy(&Rebase { width: n, temperature, depth }, tree, seed).unwrap();
            let exploration = NonNegative::new(1.0).unwrap();
            laws::search_strategy(&Mcts { width, simulations: 10, depth, exploration }, tree, seed).unwrap();
        }
    }

    #[test]
    fn a_beam_that_covers_the_tree_finds_its_optimum(tree in trees(3, 4)) {
        let all = Beam { beam: count(81), width: count(3), depth: 4 };
        if let Some(optimum) = tree.best_leaf() {
            let found = all.search(&mut tree.clone(), Budget::Unlimited, Seed::root(0)).unwrap();
            prop_assert_eq!(found.best().unwrap().score.to_bits(), optimum.to_bits());
        }
    }

    #[test]
    fn enough_simulations_visit_the_whole_tree(tree in trees(3, 3)) {
        // each of at most 13 inner nodes is expanded once before a wide exploration runs out of new ones
        let exploration = NonNegative::new(100.0).unwrap();
        let mcts = Mcts { width: count(3), simulations: 400, depth: 3, exploration };
        if let Some(optimum) = tree.best_leaf() {
            prop_assert_eq!(best(&mcts, &tree, Seed::root(0)).to_bits(), optimum.to_bits());
        }
    }

    #[test]
    fn a_beam_of_one_is_greedy_search(tree in trees(3, 4), width in 1..4_usize, seed in any::<u64>()) {
        let (tree, seed) = (tree.drawing(Drawing::AtRandom), Seed::root(seed));
        let beam = Beam { beam: count(1), width: count(width), depth: 4 };
        let greedy = GreedySearch { branching: count(width), depth: 4 };
        let run = |s: &dyn SearchStrategy<ScriptedTree>| s.search(&mut tree.clone(), Budget::Unlimited, seed).unwrap();
        prop_assert_eq!(run(&beam), run(&greedy));
    }

    #[test]
    fn best_of_one_is_sampling(tree in trees(3, 4), seed in any::<u64>()) {
        let (mut tree, seed) = (tree.drawing(Drawing::AtRandom), Seed::root(seed));
        let found = BestOfN { n: count(1), depth: 4 }.search(&mut tree, Budget::Unlimited, seed).unwrap();
        let sample = tree.complete(&[Expand { node: &0, width: 1, seed: seed.child(0) }], 4).unwrap().concat();
        prop_assert_eq!(found.candidates[0].node, sample[0].node);
        prop_assert_eq!(found.spent, sample[0].cost);
    }

    #[test]
    fn more_samples_are_never_worse(seed in any::<u64>()) {
        let tree = ScriptedTree::full(3, 3, |path| path.iter().fold(0.0, |x, &c| 3.0 * x + c as f64));
        let tree = tree.drawing(Drawing::AtRandom);
        let scores: Vec<_> =
            [1, 2, 8, 32].map(|n| best(&BestOfN { n: count(n), depth: 3 }, &tree, Seed::root(seed))).into();
        prop_assert!(scores.is_sorted(), "{:?}", scores);
    }
}

/// One case of search-and-learn's majority functions.
#[derive(serde::Deserialize)]
struct Vote {
    answers: Vec<String>,
    scores: Vec<f64>,
    weighted: String,
    majority: String,
}

/// What that grader holds equal.
fn canonical(answer: &str) -> &str {
    match answer {
        "x+1" => "1+x",
        "0.5" | r"\frac{1}{2}" => "1/2",
        "3.0" => "3",
        r"\sqrt{4}" => "2",
        other => other,
    }
}

/// A reference file, or a loud skip where it is absent.
fn golden<T: serde::de::DeserializeOwned>(file: &str) -> Option<T> {
    let above = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let found = above.map(|p| p.join("shared/golden/search").join(file)).find(|p| p.exists());
    if found.is_none() {
        eprintln!("SKIPPED: ../shared/golden/search/{file} is not here");
    }
    found.map(|path| serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
}

#[test]
fn votes_agree_with_search_and_learn() {
    let Some(cases) = golden::<Vec<Vote>>("sal_votes.json") else { return };
    for case in &cases {
        let answers: Vec<_> = case.answers.iter().map(|a| Some(canonical(a))).collect();
        assert_eq!(
            tally(&answers, &vec![1.0; answers.len()])[0].answer,
            canonical(&case.majority),
            "{:?}",
            case.answers
        );
        assert_eq!(tally(&answers, &case.scores)[0].answer, canonical(&case.weighted), "{:?}", case.answers);
    }
    assert_eq!(cases.len(), 18);
}

/// The searches of search-and-learn over scripted trees.
#[derive(serde::Deserialize)]
struct Searches {
    searches: Vec<Search>,
}

#[derive(serde::Deserialize)]
struct Search {
    kind: String,
    config: Config,
    prompt: String,
    tree: BTreeMap<String, Vec<Step>>,
    out: Out,
}

#[derive(serde::Deserialize)]
struct Config {
    n: usize,
    #[serde(default)]
    beam_width: usize,
    #[serde(default)]
    num_iterations: usize,
    agg_strategy: String,
}

#[derive(serde::Deserialize)]
struct Step {
    text: String,
    eos: bool,
    score: f64,
}

#[derive(serde::Deserialize)]
struct Out {
    completions: Vec<String>,
    llm_step_requests: u64,
}

/// A scripted tree as a space: a node is a text with its step scores and whether it has ended.
struct Scripted<'a> {
    search: &'a Search,
    /// The children of the last request of each level.
    last: Vec<String>,
}

type Text = (String, Vec<f64>, bool);

impl SearchSpace for Scripted<'_> {
    type Node = Text;

    fn root(&self) -> Text {
        (String::new(), vec![], false)
    }

    fn expand(&mut self, requests: &[Expand<'_, Text>]) -> Result<Vec<Vec<Text>>, SearchError> {
        let children = |r: &Expand<'_, Text>| -> Vec<Text> {
            let (text, scores, _) = r.node;
            let steps = &self.search.tree[&format!("{}{text}", self.search.prompt)];
            let child = |s: &Step| (format!("{text}{}", s.text), [scores.as_slice(), &[s.score]].concat(), s.eos);
            steps.iter().take(r.width).map(child).collect()
        };
        let families: Vec<Vec<Text>> = requests.iter().map(children).collect();
        self.last = families.iter().flatten().map(|child| child.0.clone()).collect();
        Ok(families)
    }

    fn value(&mut self, nodes: &[Text]) -> Result<Vec<f64>, SearchError> {
        let value = |scores: &[f64]| match self.search.config.agg_strategy.as_str() {
            "last" => scores.last().copied().unwrap_or_default(),
            "min" => scores.iter().copied().fold(f64::INFINITY, f64::min),
            _ => scores.iter().product(),
        };
        Ok(nodes.iter().map(|n| value(&n.1)).collect())
    }

    fn is_complete(&self, node: &Text) -> bool {
        node.2
    }
}

/// Eight levels are more than these trees have; with four the reference lets its last level run to the end of the text,
/// which a depth here does not.
#[test]
fn subtrees_expand_what_those_of_search_and_learn_do() {
    let Some(file) = golden::<Searches>("sal_searches.json") else { return };
    let dvts = file.searches.iter().filter(|s| s.kind == "dvts" && s.config.num_iterations == 8);
    let mut replayed = 0;
    for search in dvts {
        let Config { n, beam_width, num_iterations, .. } = search.config;
        let strategy = Dvts { subtrees: count(n / beam_width), width: count(beam_width), depth: num_iterations };
        let mut space = Scripted { search, last: vec![] };
        let found = strategy.search(&mut space, Budget::Unlimited, Seed::root(0)).unwrap();
        assert_eq!(found.spent, search.out.llm_step_requests, "{}", search.prompt);
        assert_eq!(space.last, search.out.completions, "{}", search.prompt);
        replayed += 1;
    }
    assert_eq!(replayed, 10);
}
