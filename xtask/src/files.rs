//! Files of the repository.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the repository whose `cargo run` this is; a target folder that two checkouts share holds one binary.
pub(crate) fn root() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let xtask = PathBuf::from(xtask);
    xtask.parent().unwrap_or(&xtask).to_path_buf()
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// All files below `folder`, relative to `root`, sorted; none where the folder does not exist.
pub(crate) fn below(root: &Path, folder: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop().filter(|f| f.is_dir()) {
        for entry in folder.read_dir().with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(relative) = path.strip_prefix(root) {
                found.push(relative.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn files_are_found_at_any_depth() {
        let files = below(&root(), "xtask").unwrap();
        assert!(files.contains(&"xtask/Cargo.toml".to_owned()) && files.contains(&"xtask/src/files.rs".to_owned()));
    }

    #[test]
    fn a_missing_folder_holds_no_files() {
        assert!(below(&root(), "no/such/folder").unwrap().is_empty());
    }
}
