//! The command line of tdrm.
//!
//! `tdrm` alone runs the main job: the whole cycle of reward models and policy on the embedded language model.

mod args;
mod commands;
mod gsm8k;
mod lines;
#[cfg(feature = "lm")]
mod lm;
mod observe;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tdrm_kernels::alloc::tune();
    match commands::run(args::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            observe::complain(&error);
            ExitCode::FAILURE
        }
    }
}
