//! Two small spaces for the tests of this module.

use std::num::NonZeroUsize;

use rand::RngExt;
use tdrm_core::{Answers, Expand, SearchError, SearchSpace};

pub(super) const fn count(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("tests use positive counts")
}

/// Strings of `length` digits drawn uniformly; the value is the number they write.
pub(super) struct Digits {
    pub(super) base: u8,
    pub(super) length: usize,
}

impl SearchSpace for Digits {
    type Node = Vec<u8>;

    fn root(&self) -> Vec<u8> {
        vec![]
    }

    fn expand(&mut self, requests: &[Expand<'_, Vec<u8>>]) -> Result<Vec<Vec<Vec<u8>>>, SearchError> {
        let children = |r: &Expand<'_, Vec<u8>>| {
            let mut rng = r.seed.rng();
            let width = if r.node.len() == self.length { 0 } else { r.width };
            (0..width).map(|_| [r.node.as_slice(), &[rng.random_range(0..self.base)]].concat()).collect()
        };
        Ok(requests.iter().map(children).collect())
    }

    fn value(&mut self, nodes: &[Vec<u8>]) -> Result<Vec<f64>, SearchError> {
        let base = f64::from(self.base);
        Ok(nodes.iter().map(|n| n.iter().fold(0.0, |x, &d| base * x + f64::from(d))).collect())
    }

    fn is_complete(&self, node: &Vec<u8>) -> bool {
        node.len() == self.length
    }
}

impl Answers for Digits {
    fn answer(&self, node: &Vec<u8>) -> Option<String> {
        Some(node.iter().map(|d| char::from(b'0' + d)).collect())
    }
}

/// A listed tree: the children of "a" are the listed names "a?"; a name that ends with a point, or has `length`
/// letters, is complete.
pub(super) struct Listed {
    nodes: Vec<(String, f64)>,
    length: usize,
}

impl Listed {
    pub(super) fn new(nodes: &[(&str, f64)], length: usize) -> Self {
        Self { nodes: nodes.iter().map(|&(name, value)| (name.to_owned(), value)).collect(), length }
    }

    fn stem(name: &str) -> &str {
        name.strip_suffix('.').unwrap_or(name)
    }
}

impl SearchSpace for Listed {
    type Node = String;

    fn root(&self) -> String {
        String::new()
    }

    fn expand(&mut self, requests: &[Expand<'_, String>]) -> Result<Vec<Vec<String>>, SearchError> {
        let child = |parent: &str, name: &str| Self::stem(name).len() == parent.len() + 1 && name.starts_with(parent);
        let children = |r: &Expand<'_, String>| {
            self.nodes.iter().map(|(name, _)| name).filter(|name| child(r.node, name)).take(r.width).cloned().collect()
        };
        Ok(requests.iter().map(children).collect())
    }

    fn value(&mut self, nodes: &[String]) -> Result<Vec<f64>, SearchError> {
        Ok(nodes.iter().map(|n| self.nodes.iter().find(|(name, _)| name == n).map_or(0.0, |&(_, v)| v)).collect())
    }

    fn is_complete(&self, node: &String) -> bool {
        node.ends_with('.') || node.len() == self.length
    }
}
