//! Import directions: who may depend on what.
//!
//! Crates are cut by weight and purity, and arrows point inwards only: text knows no tensor, mathematics knows no
//! file, nobody knows the command line. [`TABLE`] is the table of the design with the external crates spelt out, so
//! that weight is added on purpose: by a line in this file, in the same commit.
//!
//! Only normal and build dependencies are held against the table. Dev-dependencies are free, but all arrows together
//! may not form a cycle: a crate whose tests import a crate that imports it is compiled twice, and the two copies of
//! a type are not equal. Such tests belong into `tests/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use crate::metadata::{self, Dependency, Kind, Package};

/// What one crate may import.
#[derive(Debug)]
struct Row {
    package: &'static str,
    /// `None` is anything.
    may: Option<&'static [&'static str]>,
    /// What it may import behind a feature only.
    optional: &'static [&'static str],
}

const fn row(package: &'static str, may: &'static [&'static str]) -> Row {
    Row { package, may: Some(may), optional: &[] }
}

/// What the core may import, and so everything that stands on the core.
const VOCABULARY: &[&str] = &["num-traits", "rand", "serde", "smallvec", "thiserror"];

/// One row for each crate; packages outside of `crates/` are tools and may import anything.
const TABLE: &[Row] = &[
    row("tdrm-core", &[]),
    Row { package: "tdrm-algo", may: Some(&["tdrm-core"]), optional: &["rayon"] },
    row("tdrm-calc", &["serde_json", "tdrm-algo", "tdrm-core", "tdrm-envs"]),
    // serde_json: the request lines of `tdrm verify`, text in and text out.
    row("tdrm-verify", &["num-bigint", "num-integer", "num-rational", "serde_json", "tdrm-core"]),
    row("tdrm-envs", &["rand_distr", "tdrm-core"]),
    row("tdrm-testkit", &["proptest", "tdrm-algo", "tdrm-core", "tdrm-envs"]),
    Row { package: "tdrm-kernels", may: Some(&["gemm", "half", "libc", "memmap2", "rayon"]), optional: &["cudarc"] },
    Row {
        package: "tdrm-lm",
        may: Some(&[
            "candle-core",
            "half",
            "minijinja",
            "minijinja-contrib",
            "rand_distr",
            "rayon",
            "safetensors",
            "serde_json",
            "tdrm-algo",
            "tdrm-core",
            "tdrm-kernels",
            "tokenizers",
        ]),
        optional: &["hf-hub"],
    },
    row(
        "tdrm-dfdx",
        &["dfdx", "half", "rand_distr", "rayon", "safetensors", "serde_json", "tdrm-algo", "tdrm-core", "tdrm-kernels"],
    ),
    Row {
        package: "tdrm-recipes",
        may: Some(&[
            "plotters",
            "rayon",
            "serde_json",
            "tdrm-algo",
            "tdrm-core",
            "tdrm-dfdx",
            "tdrm-envs",
            "tdrm-kernels",
            "tdrm-verify",
            "toml",
        ]),
        optional: &["safetensors", "tdrm-lm"],
    },
    Row { package: "tdrm-cli", may: None, optional: &[] },
    Row { package: "tdrm", may: None, optional: &[] },
];

/// Complaints about the workspace at `root`.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let packages = metadata::read(root)?.packages;
    Ok(wrong_arrows(&packages).into_iter().chain(cycle(&packages)).collect())
}

/// Dependencies that no row allows, and crates without a row.
fn wrong_arrows(packages: &[Package]) -> Vec<String> {
    packages
        .iter()
        .filter(|p| p.is_crate())
        .flat_map(|package| match TABLE.iter().find(|row| row.package == package.name) {
            Some(row) => against(row, package),
            None => vec![format!("{} has no row in xtask/src/imports.rs: say there what it may import", package.name)],
        })
        .collect()
}

fn against(row: &Row, package: &Package) -> Vec<String> {
    let Some(may) = row.may else { return vec![] };
    let allowed = |d: &Dependency| {
        let name = d.name.as_str();
        may.contains(&name) || VOCABULARY.contains(&name) || (d.optional && row.optional.contains(&name))
    };
    package
        .dependencies
        .iter()
        .filter(|d| d.kind != Some(Kind::Dev) && !allowed(d))
        .map(|d| wrong(row, may, &d.name))
        .collect()
}

fn wrong(row: &Row, may: &[&str], import: &str) -> String {
    let list: Vec<&str> = may.iter().chain(VOCABULARY).copied().collect();
    let list = list.join(", ");
    if row.optional.contains(&import) {
        return format!("{} imports {import} always; it may do so behind a feature only", row.package);
    }
    format!("{} imports {import}; it may import {list} (DESIGN §2; the table is xtask/src/imports.rs)", row.package)
}

/// The first cycle of the workspace, dev-dependencies included, as a path.
fn cycle(packages: &[Package]) -> Option<String> {
    let own: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    let arrows: BTreeMap<&str, Vec<&str>> = packages
        .iter()
        .map(|p| {
            (p.name.as_str(), p.dependencies.iter().map(|d| d.name.as_str()).filter(|d| own.contains(d)).collect())
        })
        .collect();
    let path = own.iter().find_map(|start| path_back(&arrows, &mut vec![start]))?;
    Some(format!("the workspace has a cycle: {}; move the tests that close it into tests/", path.join(" -> ")))
}

/// A path that begins with `path` and ends where it began.
fn path_back<'a>(arrows: &BTreeMap<&'a str, Vec<&'a str>>, path: &mut Vec<&'a str>) -> Option<Vec<&'a str>> {
    let (first, last) = (*path.first()?, *path.last()?);
    for &next in arrows.get(last)? {
        if next == first {
            return Some(path.iter().copied().chain([first]).collect());
        }
        if !path.contains(&next) {
            path.push(next);
            if let Some(found) = path_back(arrows, path) {
                return Some(found);
            }
            path.pop();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, imports: &[(&str, Option<Kind>)]) -> Package {
        let manifest_path = format!("/r/crates/{}/Cargo.toml", name.trim_start_matches("tdrm-"));
        let dependencies =
            imports.iter().map(|&(name, kind)| Dependency { name: name.to_owned(), kind, optional: false }).collect();
        Package { name: name.to_owned(), manifest_path, dependencies }
    }

    #[test]
    fn an_arrow_outwards_is_refused_and_the_message_says_what_is_allowed() {
        let wrong = wrong_arrows(&[package("tdrm-core", &[("serde", None), ("tdrm-algo", None)])]);
        let expected = "tdrm-core imports tdrm-algo; it may import num-traits, rand, serde, smallvec, thiserror \
                        (DESIGN §2; the table is xtask/src/imports.rs)";
        assert_eq!(wrong, [expected]);
    }

    #[test]
    fn weight_is_added_on_purpose_only() {
        assert_eq!(wrong_arrows(&[package("tdrm-verify", &[("num-bigint", None)])]).len(), 0);
        assert_eq!(wrong_arrows(&[package("tdrm-verify", &[("regex", None)])]).len(), 1);
        assert_eq!(wrong_arrows(&[package("tdrm-verify", &[("regex", Some(Kind::Build))])]).len(), 1);
    }

    #[test]
    fn dev_dependencies_are_free() {
        assert_eq!(wrong_arrows(&[package("tdrm-core", &[("proptest", Some(Kind::Dev))])]).len(), 0);
    }

    #[test]
    fn a_heavy_import_may_be_allowed_behind_a_feature_only() {
        let mut algo = package("tdrm-algo", &[("rayon", None)]);
        assert_eq!(
            wrong_arrows(&[algo.clone()]),
            ["tdrm-algo imports rayon always; it may do so behind a feature only"]
        );
        algo.dependencies[0].optional = true;
        assert_eq!(wrong_arrows(&[algo]).len(), 0);
    }

    #[test]
    fn the_command_line_may_import_anything_and_nobody_may_import_it() {
        assert_eq!(wrong_arrows(&[package("tdrm-cli", &[("tdrm-dfdx", None), ("clap", None)])]).len(), 0);
        for row in TABLE {
            assert!(row.may.is_none_or(|may| !may.contains(&"tdrm-cli") && !may.contains(&"tdrm")));
        }
    }

    #[test]
    fn a_crate_without_a_row_is_refused() {
        let wrong = wrong_arrows(&[package("tdrm-quantum", &[])]);
        assert_eq!(wrong, ["tdrm-quantum has no row in xtask/src/imports.rs: say there what it may import"]);
    }

    #[test]
    fn tools_outside_of_crates_may_import_anything() {
        let mut tool = package("xtask", &[("anyhow", None)]);
        tool.manifest_path = "/r/xtask/Cargo.toml".to_owned();
        assert_eq!(wrong_arrows(&[tool]).len(), 0);
    }

    #[test]
    fn a_cycle_through_a_dev_dependency_is_shown_as_a_path() {
        let algo = package("tdrm-algo", &[("tdrm-testkit", Some(Kind::Dev)), ("serde", None)]);
        let testkit = package("tdrm-testkit", &[("tdrm-algo", None)]);
        let path = "tdrm-algo -> tdrm-testkit -> tdrm-algo";
        let said = cycle(&[algo.clone(), testkit]);
        assert!(said.is_some_and(|s| s.contains(path)));
        assert_eq!(cycle(&[algo]), None);
    }
}
