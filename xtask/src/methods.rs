//! Four-things check: a published method is code, a page, a test and a row in the table of papers.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::files;

const SOURCE: &str = "crates/recipes/src/methods";
const TESTS: &str = "tests/methods";
const PAPERS: &str = "docs/src/papers.md";
/// Declares the tests of the methods as modules of the test program.
const TEST_MODULES: &str = "tests/methods/mod.rs";

/// Complaints about the repository at `root`.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let files: Vec<String> = files::below(root, SOURCE)?.into_iter().chain(files::below(root, TESTS)?).collect();
    let modules =
        if files.iter().any(|f| f == TEST_MODULES) { files::read(&root.join(TEST_MODULES))? } else { String::new() };
    Ok(missing(&files, &modules, &files::read(&root.join(PAPERS))?))
}

/// What the methods among `files` lack.
fn missing(files: &[String], modules: &str, papers: &str) -> Vec<String> {
    methods(files).iter().flat_map(|method| missing_of(method, files, modules, papers)).collect()
}

/// Every name that has at least one of the three files.
fn methods(files: &[String]) -> BTreeSet<&str> {
    files.iter().filter_map(|f| method(f)).filter(|m| *m != "mod").collect()
}

/// The method that a file belongs to: `methods/x.rs`, `methods/x.md`; deeper files belong to their folder's method.
fn method(file: &str) -> Option<&str> {
    let inside = [SOURCE, TESTS].iter().find_map(|folder| file.strip_prefix(folder)?.strip_prefix('/'))?;
    inside.split(['/', '.']).next()
}

fn missing_of(method: &str, files: &[String], modules: &str, papers: &str) -> Vec<String> {
    let things = [format!("{SOURCE}/{method}.rs"), format!("{SOURCE}/{method}.md"), format!("{TESTS}/{method}.rs")];
    let absent = things.iter().filter(|thing| !files.contains(thing));
    let absent = absent.map(|thing| format!("method `{method}` lacks {thing}"));
    absent.chain(never_run(method, files, modules)).chain(row_complaint(method, papers)).collect()
}

/// A test file that no module declares is not compiled.
fn never_run(method: &str, files: &[String], modules: &str) -> Option<String> {
    let test = format!("{TESTS}/{method}.rs");
    let declared = modules.lines().any(|line| line.trim() == format!("mod {method};"));
    (files.contains(&test) && !declared).then(|| format!("{test} is never run: add `mod {method};` to {TEST_MODULES}"))
}

/// The row of a method is the one whose first cell is its name in backticks.
fn row_complaint(method: &str, papers: &str) -> Option<String> {
    let name = format!("| `{method}` |");
    match papers.lines().find(|line| line.starts_with(&name)) {
        None => Some(format!("method `{method}` lacks a row in {PAPERS} that begins with {name}")),
        Some(row) if row.trim_end().ends_with("| planned |") => {
            Some(format!("{PAPERS} calls `{method}` planned, but its files are here"))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULES: &str = "//! Tests.\n\nmod dapo;\n";
    const ROW: &str = "| `dapo` | DAPO | asymmetric clip | PO | recipes |";

    fn files(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn all_three() -> Vec<String> {
        files(&[
            "crates/recipes/src/methods/dapo.md",
            "crates/recipes/src/methods/dapo.rs",
            "crates/recipes/src/methods/mod.rs",
            "tests/methods/dapo.rs",
            "tests/methods/mod.rs",
        ])
    }

    #[test]
    fn no_methods_lack_nothing() {
        assert_eq!(missing(&files(&["tests/methods/mod.rs"]), "", "").len(), 0);
    }

    #[test]
    fn four_things_are_complete() {
        assert_eq!(missing(&all_three(), MODULES, ROW).len(), 0);
    }

    #[test]
    fn each_absent_thing_is_named() {
        assert_eq!(
            missing(&files(&["crates/recipes/src/methods/dapo.rs"]), "", ""),
            [
                "method `dapo` lacks crates/recipes/src/methods/dapo.md",
                "method `dapo` lacks tests/methods/dapo.rs",
                "method `dapo` lacks a row in docs/src/papers.md that begins with | `dapo` |",
            ]
        );
    }

    #[test]
    fn a_test_without_its_method_is_an_orphan() {
        assert_eq!(missing(&files(&["tests/methods/dapo.rs"]), MODULES, ROW).len(), 2);
    }

    #[test]
    fn a_test_that_no_module_declares_is_never_run() {
        let said = missing(&all_three(), "mod grpo;", ROW);
        assert_eq!(said, ["tests/methods/dapo.rs is never run: add `mod dapo;` to tests/methods/mod.rs"]);
    }

    #[test]
    fn a_row_may_not_call_planned_what_is_here() {
        let said = missing(&all_three(), MODULES, "| `dapo` | DAPO | asymmetric clip | PO | planned |");
        assert_eq!(said, ["docs/src/papers.md calls `dapo` planned, but its files are here"]);
    }

    #[test]
    fn a_method_with_a_folder_is_one_method() {
        let files = files(&["crates/recipes/src/methods/tdrm/arms.rs", "crates/recipes/src/methods/tdrm.rs"]);
        assert_eq!(methods(&files).into_iter().collect::<Vec<_>>(), ["tdrm"]);
    }
}
