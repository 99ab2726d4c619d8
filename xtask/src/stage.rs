//! The stages of `cargo xtask check`, cheapest first.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::{book, goldens, imports, lints, methods, tools};

/// One check of the repository.
#[derive(Debug)]
pub(crate) struct Stage {
    /// What `cargo xtask` calls it.
    pub(crate) name: &'static str,
    /// What it makes sure of.
    pub(crate) about: &'static str,
    run: fn(&Path) -> Result<()>,
}

/// All stages; the tests come last, so that what a run prints ends with their results.
pub(crate) const STAGES: &[Stage] = &[
    Stage { name: "fmt", about: "the code is formatted", run: tools::fmt },
    Stage { name: "imports", about: "crates import inwards only", run: |r| pass(&imports::check(r)?) },
    Stage { name: "lints", about: "every crate inherits the lints", run: |r| pass(&lints::check(r)?) },
    Stage { name: "methods", about: "a paper is four things", run: |r| pass(&methods::check(r)?) },
    Stage { name: "goldens", about: "golden files say who made them", run: |r| pass(&goldens::check(r)?) },
    Stage { name: "book", about: "pages, links and code blocks of docs/", run: book_and_build },
    Stage { name: "typos", about: "spelling, where typos is installed", run: tools::typos },
    Stage { name: "deny", about: "licences and sources, where cargo-deny is installed", run: tools::deny },
    Stage { name: "clippy", about: "no lint fires", run: tools::clippy },
    Stage { name: "docs", about: "the API documentation has no warning", run: tools::docs },
    Stage { name: "test", about: "all tests pass, doctests included", run: tools::test },
];

impl Stage {
    /// The stage of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        STAGES.iter().find(|s| s.name == name)
    }

    /// Runs it in the repository at `root` and returns the seconds it took.
    pub(crate) fn timed(&self, root: &Path) -> Result<f64> {
        let start = Instant::now();
        (self.run)(root)?;
        Ok(start.elapsed().as_secs_f64())
    }
}

fn book_and_build(root: &Path) -> Result<()> {
    pass(&book::check(root)?)?;
    tools::mdbook(root)
}

/// No complaint passes, any complaint fails with all of them.
fn pass(complaints: &[String]) -> Result<()> {
    if complaints.is_empty() {
        return Ok(());
    }
    bail!("{}", complaints.join("\n"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_complaint_fails_the_stage_and_is_printed() {
        assert!(pass(&[]).is_ok());
        let error = pass(&["a is wrong".into(), "b too".into()]).unwrap_err();
        assert_eq!(error.to_string(), "a is wrong\nb too");
    }

    #[test]
    fn the_tests_come_last() {
        assert_eq!(STAGES.last().map(|s| s.name), Some("test"));
        assert!(Stage::named("clippy").is_some() && Stage::named("tset").is_none());
    }
}
