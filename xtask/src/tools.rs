//! Checks that other programs do.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The version of mdBook that `.ci/run` installs.
const MDBOOK: &str = "0.5.4";

pub(crate) fn fmt(root: &Path) -> Result<()> {
    run(cargo(root).args(["fmt", "--all", "--check"])).context("run `cargo fmt --all`")
}

pub(crate) fn clippy(root: &Path) -> Result<()> {
    run(cargo(root).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

pub(crate) fn docs(root: &Path) -> Result<()> {
    run(cargo(root).args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

pub(crate) fn test(root: &Path) -> Result<()> {
    run(cargo(root).args(["test", "--workspace"]))
}

/// Builds the book into `target/book`; its pages, links and code blocks are checked without mdBook, always.
pub(crate) fn mdbook(root: &Path) -> Result<()> {
    let hint = format!("cargo install mdbook --locked --version {MDBOOK} --root target/tools");
    let build = root.join("target/book");
    where_installed(root, "mdbook", &hint, |mdbook| {
        run(mdbook.args(["build", "docs", "--dest-dir"]).arg(&build).current_dir(root))
    })
}

pub(crate) fn typos(root: &Path) -> Result<()> {
    where_installed(root, "typos", "cargo install typos-cli --locked --root target/tools", |typos| {
        run(typos.current_dir(root))
    })
}

pub(crate) fn deny(root: &Path) -> Result<()> {
    where_installed(root, "cargo-deny", "cargo install cargo-deny --locked --root target/tools", |deny| {
        run(deny.args(["check", "licenses", "bans", "sources"]).current_dir(root))
    })
}

fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root);
    cargo
}

/// Runs an optional program from `target/tools/bin` or the path; says so where there is none.
fn where_installed(root: &Path, program: &str, hint: &str, run: impl Fn(&mut Command) -> Result<()>) -> Result<()> {
    let ours = root.join("target/tools/bin").join(program);
    let program_path = if ours.is_file() { ours.as_os_str() } else { program.as_ref() };
    if Command::new(program_path).arg("--version").output().is_err() {
        println!("   skipped: {program} is not installed ({hint})");
        return Ok(());
    }
    run(&mut Command::new(program_path))
}

fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    if !status.success() {
        bail!("{shown} failed: {status}");
    }
    Ok(())
}

/// The command as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words: Vec<_> = [program].into_iter().chain(command.get_args()).map(|w| w.to_string_lossy()).collect();
    format!("`{}`", words.join(" "))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::files;

    #[test]
    fn a_command_that_fails_is_named_as_one_would_type_it() {
        let error = run(cargo(&files::root()).arg("--no-such-flag").stderr(std::process::Stdio::null())).unwrap_err();
        assert!(error.to_string().starts_with("`cargo --no-such-flag` failed"), "{error}");
    }

    #[test]
    fn an_absent_optional_program_is_skipped() {
        where_installed(&files::root(), "no-such-program-at-all", "hint", |_| bail!("it ran")).unwrap();
    }
}
