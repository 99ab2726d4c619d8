//! Lints: every package inherits the table of the root manifest, and `unsafe` is for the kernels alone.
//!
//! `unsafe_code = "forbid"` makes the compiler refuse the keyword wherever the table is inherited, so it is enough to
//! see that it is. `tdrm-kernels` keeps a table of its own, which must say `deny` and hold every lint that the root
//! turns on.

use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::{files, metadata};

/// The one package that may expect `unsafe_code`, locally and with a reason.
const UNSAFE: &str = "tdrm-kernels";

/// Complaints about the workspace at `root`.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let root_lints = root_table(&parse(&root.join("Cargo.toml"))?);
    let mut complaints: Vec<String> = forbids_unsafe(&root_lints).into_iter().collect();
    for package in metadata::read(root)?.packages {
        let manifest = parse(Path::new(&package.manifest_path))?;
        complaints.extend(if package.name == UNSAFE {
            own_table(&root_lints, &manifest)
        } else {
            inherits(&package.name, &manifest)
        });
    }
    Ok(complaints)
}

fn parse(path: &Path) -> Result<Table> {
    files::read(path)?.parse().with_context(|| format!("{} is not TOML", path.display()))
}

fn table<'a>(manifest: &'a Table, path: &[&str]) -> Option<&'a Table> {
    path.iter().try_fold(manifest, |table, key| table.get(*key)?.as_table())
}

fn root_table(manifest: &Table) -> Table {
    table(manifest, &["workspace", "lints"]).cloned().unwrap_or_default()
}

fn forbids_unsafe(root_lints: &Table) -> Option<String> {
    let level = table(root_lints, &["rust"])?.get("unsafe_code").and_then(Value::as_str);
    (level != Some("forbid")).then(|| "the root manifest must say `unsafe_code = \"forbid\"`".to_owned())
}

fn inherits(package: &str, manifest: &Table) -> Vec<String> {
    let inherited = table(manifest, &["lints"]).and_then(|lints| lints.get("workspace")?.as_bool());
    let complaint = || format!("{package} does not inherit the lints: add `[lints]` with `workspace = true`");
    if inherited == Some(true) { vec![] } else { vec![complaint()] }
}

/// A table of its own must hold what the root turns on, with `unsafe_code` denied instead of forbidden.
fn own_table(root_lints: &Table, manifest: &Table) -> Vec<String> {
    let own = table(manifest, &["lints"]).cloned().unwrap_or_default();
    let mut complaints = Vec::new();
    for (tool, lints) in root_lints {
        for (lint, level) in lints.as_table().into_iter().flatten().filter(|(_, level)| is_on(level)) {
            let expected = if lint == "unsafe_code" { &Value::from("deny") } else { level };
            if table(&own, &[tool]).and_then(|t| t.get(lint)) != Some(expected) {
                complaints.push(format!("{UNSAFE} has lints of its own, which must say `{lint} = {expected}`"));
            }
        }
    }
    complaints
}

/// Whether the level of a lint, plain or with a priority, is more than `allow`.
fn is_on(level: &Value) -> bool {
    level.as_str().or_else(|| level.get("level")?.as_str()) != Some("allow")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const ROOT: &str = "
        [workspace.lints.rust]
        unsafe_code = 'forbid'
        [workspace.lints.clippy]
        pedantic = { level = 'warn', priority = -1 }
        similar_names = 'allow'";

    fn root_lints() -> Table {
        root_table(&ROOT.parse().unwrap())
    }

    #[test]
    fn a_package_that_does_not_inherit_is_refused() {
        assert_eq!(inherits("a", &"lints.workspace = true".parse().unwrap()).len(), 0);
        assert_eq!(inherits("a", &"[lints.rust]\nunsafe_code = 'allow'".parse().unwrap()).len(), 1);
        assert_eq!(inherits("a", &Table::new()).len(), 1);
    }

    #[test]
    fn the_root_must_forbid_unsafe() {
        assert_eq!(forbids_unsafe(&root_lints()), None);
        let lax = root_table(&ROOT.replace("forbid", "deny").parse().unwrap());
        assert!(forbids_unsafe(&lax).is_some());
    }

    #[test]
    fn the_kernels_deny_unsafe_and_keep_every_other_lint() {
        let kernels = "
            [lints.rust]
            unsafe_code = 'deny'
            [lints.clippy]
            pedantic = { level = 'warn', priority = -1 }
            inline_always = 'allow'";
        assert_eq!(own_table(&root_lints(), &kernels.parse().unwrap()).len(), 0);
        let lax = kernels.replace("'deny'", "'allow'");
        let said = own_table(&root_lints(), &lax.parse().unwrap());
        assert_eq!(said, ["tdrm-kernels has lints of its own, which must say `unsafe_code = \"deny\"`"]);
        assert_eq!(own_table(&root_lints(), &"[lints.rust]\nunsafe_code = 'deny'".parse().unwrap()).len(), 1);
    }
}
