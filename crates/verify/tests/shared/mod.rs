//! Finding the reference data next to the repository.

use std::path::PathBuf;

/// Text of a file below `../shared`; `None`, said loudly, where it is absent.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn read(path: &str) -> Option<String> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let found = manifest.ancestors().skip(1).map(|dir| dir.join("shared").join(path)).find(|p| p.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: shared/{path} is not there; nothing was tested");
    }
    std::fs::read_to_string(found?).ok()
}
