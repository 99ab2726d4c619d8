//! What `cargo metadata` says about the packages of this workspace.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// Its own packages.
    pub(crate) packages: Vec<Package>,
}

/// A package of the workspace.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Where its manifest lies, absolute.
    pub(crate) manifest_path: String,
    /// What its manifest asks for.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a dependency table.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    /// The package that is asked for.
    pub(crate) name: String,
    /// `None` is a normal dependency.
    pub(crate) kind: Option<Kind>,
    /// Whether it waits for a feature.
    #[serde(default)]
    pub(crate) optional: bool,
}

/// The kind of a dependency that is not normal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// For tests, examples and benches only.
    Dev,
    /// For the build script only.
    Build,
}

impl Package {
    /// Whether it is one of the published crates, below `crates/`.
    pub(crate) fn is_crate(&self) -> bool {
        Path::new(&self.manifest_path).ancestors().nth(2).is_some_and(|folder| folder.ends_with("crates"))
    }
}

/// Asks cargo, without the network.
pub(crate) fn read(root: &Path) -> Result<Metadata> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata printed something unexpected")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn crates_are_told_from_tools() {
        let metadata = read(&crate::files::root()).unwrap();
        let package = |name: &str| metadata.packages.iter().find(|p| p.name == name).cloned().unwrap();
        assert!(package("tdrm-core").is_crate());
        assert!(!package("xtask").is_crate());
    }
}
