//! The book: every page is in the summary, every link leads somewhere, every Rust block is compiled.
//!
//! Runs without mdBook. The Rust blocks of a page are doctests of the facade: `crates/tdrm/src/book.rs` includes
//! each page that has any.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use crate::files;
use crate::markdown::{fences, headings, includes, links};

const SOURCE: &str = "docs/src";
const SUMMARY: &str = "SUMMARY.md";
const DOCTESTS: &str = "crates/tdrm/src/book.rs";

/// The text of each page by its path below `docs/src`; files that are not Markdown have no text.
type Pages = BTreeMap<String, String>;

/// Complaints about the book of the repository at `root`.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut pages = Pages::new();
    for file in files::below(root, SOURCE)? {
        let text = if is_page(&file) { files::read(&root.join(&file))? } else { String::new() };
        pages.insert(file.trim_start_matches(SOURCE).trim_start_matches('/').to_owned(), text);
    }
    let doctests = files::read(&root.join(DOCTESTS))?;
    let exists = |path: &str| root.join(SOURCE).join(path).exists();
    let book = [in_summary(&pages), dead_links(&pages), dead_includes(&pages, exists), untested(&pages, &doctests)];
    Ok([book.concat(), dead_paths(root)?].concat())
}

fn is_page(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|e| e == "md")
}

/// Pages that the summary does not list, or lists twice; [`dead_links`] finds those that it lists in vain.
fn in_summary(pages: &Pages) -> Vec<String> {
    let Some(summary) = pages.get(SUMMARY) else { return vec![format!("{SOURCE}/{SUMMARY} is missing")] };
    let listed = links(summary);
    let count = |page: &str| listed.iter().filter(|l| **l == page).count();
    let pages = pages.keys().filter(|p| is_page(p) && *p != SUMMARY);
    pages
        .filter_map(|page| match count(page) {
            0 => Some(format!("{SOURCE}/{page} is not in {SUMMARY}")),
            1 => None,
            n => Some(format!("{SOURCE}/{page} is {n} times in {SUMMARY}")),
        })
        .collect()
}

/// Relative links of the Markdown files at the root that lead to no file.
fn dead_paths(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for file in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        complaints.extend(dead_paths_of(file, &files::read(&root.join(file))?, |path| root.join(path).exists()));
    }
    Ok(complaints)
}

fn dead_paths_of(file: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let dead = links(text).into_iter().filter(|link| is_relative(link) && !exists(link));
    dead.map(|link| format!("{file} links to {link}, which does not exist")).collect()
}

/// Relative links to pages, headings or files that do not exist, or that lie outside of the book.
fn dead_links(pages: &Pages) -> Vec<String> {
    let mut complaints = Vec::new();
    for (page, text) in pages {
        for link in links(text).into_iter().filter(|l| is_relative(l)) {
            if !resolves(pages, page, link) {
                complaints.push(format!("{SOURCE}/{page} links to {link}, which is not in the book"));
            }
        }
    }
    complaints
}

fn is_relative(link: &str) -> bool {
    !["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme))
}

fn resolves(pages: &Pages, page: &str, link: &str) -> bool {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { Some(page.to_owned()) } else { beside(page, path) };
    let text = target.and_then(|target| pages.get(&target));
    text.is_some_and(|text| anchor.is_empty() || headings(text).contains(anchor))
}

/// `path` as seen from `page`, below `docs/src`; none where it leaves it.
fn beside(page: &str, path: &str) -> Option<String> {
    let mut folders: Vec<&str> = page.split('/').collect();
    folders.pop();
    for part in path.split('/').filter(|part| *part != ".") {
        match part {
            ".." => drop(folders.pop()?),
            name => folders.push(name),
        }
    }
    Some(folders.join("/"))
}

/// `{{#include path}}` of files that do not exist; these may lie outside of the book.
fn dead_includes(pages: &Pages, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for (page, text) in pages {
        for include in includes(text) {
            let path = Path::new(page).parent().unwrap_or(Path::new("")).join(include);
            if !exists(&tidy(&path)) {
                complaints.push(format!("{SOURCE}/{page} includes {include}, which does not exist"));
            }
        }
    }
    complaints
}

/// The path without `a/..`, so that a folder that does not exist is not walked through.
fn tidy(path: &Path) -> String {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        let inside = matches!(tidy.components().next_back(), Some(Component::Normal(_)));
        if part == Component::ParentDir && inside {
            tidy.pop();
        } else {
            tidy.push(part);
        }
    }
    tidy.to_string_lossy().into_owned()
}

/// Pages with Rust blocks that no doctest compiles.
fn untested(pages: &Pages, doctests: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (page, text) in pages {
        let blocks: Vec<&str> = fences(text).into_iter().filter(|f| f.starts_with("rust")).collect();
        if !blocks.is_empty() && !doctests.contains(&format!("\"{page}\"")) {
            complaints.push(format!("{SOURCE}/{page} has Rust blocks: add the page to {DOCTESTS}"));
        }
        if blocks.iter().any(|b| b.contains("ignore")) {
            complaints.push(format!("{SOURCE}/{page} has a Rust block that is not compiled: drop `ignore`"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(pages: &[(&str, &str)]) -> Pages {
        pages.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_page_outside_of_the_summary_is_refused() {
        let pages = book(&[("SUMMARY.md", "- [A](a.md)\n- [A](a.md)"), ("a.md", ""), ("b.md", ""), ("c.png", "")]);
        assert_eq!(
            in_summary(&pages),
            ["docs/src/a.md is 2 times in SUMMARY.md", "docs/src/b.md is not in SUMMARY.md"]
        );
        assert_eq!(in_summary(&book(&[])), ["docs/src/SUMMARY.md is missing"]);
    }

    #[test]
    fn a_link_leads_to_a_page_of_the_book() {
        let a = "[up](../b.md), [heading](#one-two), [there](../b.md#x), [far](https://a.b/c.md) and `v[0](x.md)`";
        let pages = book(&[("guide/a.md", &format!("# One, two\n{a}")), ("b.md", "## `X`")]);
        assert_eq!(dead_links(&pages).len(), 0);
    }

    #[test]
    fn a_dead_link_is_named_with_its_page() {
        let pages = book(&[("a.md", "[b](b.md) [out](../../README.md) [none](#none)")]);
        assert_eq!(
            dead_links(&pages),
            [
                "docs/src/a.md links to b.md, which is not in the book",
                "docs/src/a.md links to ../../README.md, which is not in the book",
                "docs/src/a.md links to #none, which is not in the book",
            ]
        );
    }

    #[test]
    fn the_readme_links_to_files_that_exist() {
        let text = "[a](docs/a.md) [b](docs/b.md) [c](https://c.d)";
        let said = dead_paths_of("README.md", text, |path| path == "docs/a.md");
        assert_eq!(said, ["README.md links to docs/b.md, which does not exist"]);
    }

    #[test]
    fn includes_may_leave_the_book_but_must_exist() {
        let pages = book(&[("guide/a.md", "{{#include ../../../crates/x.md}}\n{{#include b.rs:3:5}}")]);
        let said = dead_includes(&pages, |path| path == "../../crates/x.md");
        assert_eq!(said, ["docs/src/guide/a.md includes b.rs, which does not exist"]);
    }

    #[test]
    fn rust_blocks_are_doctests() {
        let pages = book(&[
            ("a.md", "```rust\nfn f() {}\n```"),
            ("b.md", "```text\nrust\n```"),
            ("c.md", "```rust,ignore\n```"),
        ]);
        assert_eq!(
            untested(&pages, "page!(\"c.md\")"),
            [
                "docs/src/a.md has Rust blocks: add the page to crates/tdrm/src/book.rs",
                "docs/src/c.md has a Rust block that is not compiled: drop `ignore`",
            ]
        );
    }
}
