//! Checks of this repository: `cargo xtask check` runs all of them, `cargo xtask <stage>` one.
//!
//! A check is a pure function from what the repository holds to a list of complaints; this file reads the
//! repository, runs the checks in order of cost and prints what they say.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a person at a terminal")]

mod book;
mod files;
mod goldens;
mod imports;
mod lints;
mod markdown;
mod metadata;
mod methods;
mod stage;
mod tools;

use std::process::ExitCode;

use stage::{STAGES, Stage};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["check"] => run(STAGES),
        ["check", "--skip", skipped] => match Stage::named(skipped) {
            Some(_) => run(STAGES.iter().filter(|s| s.name != *skipped)),
            None => usage(),
        },
        [name] => Stage::named(name).map_or_else(usage, |stage| run([stage])),
        _ => usage(),
    }
}

/// Runs the stages in order and stops at the first that fails.
fn run<'a>(stages: impl IntoIterator<Item = &'a Stage>) -> ExitCode {
    let mut timings = Vec::new();
    for stage in stages {
        println!("== {}: {}", stage.name, stage.about);
        match stage.timed(&files::root()) {
            Ok(seconds) => timings.push(format!("{:>8} {seconds:7.1} s", stage.name)),
            Err(error) => {
                eprintln!("\n{error:#}\n\n{} failed; run it alone with `cargo xtask {0}`", stage.name);
                return ExitCode::FAILURE;
            }
        }
    }
    println!("\n{}", timings.join("\n"));
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("cargo xtask check [--skip STAGE]   all of the following, in this order\n");
    for stage in STAGES {
        eprintln!("cargo xtask {:<22} {}", stage.name, stage.about);
    }
    ExitCode::FAILURE
}
