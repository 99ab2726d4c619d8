//! Answers JSON lines on standard input like `tdrm verify` does; `--time` adds microseconds to standard error.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a filter")]

use std::io::BufRead as _;

use tdrm_verify::{MathVerifier, Options, cli_line};

fn main() {
    let time = std::env::args().any(|a| a == "--time");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let start = std::time::Instant::now();
        let answer = cli_line(&line, Options::default(), MathVerifier::DEFAULT_FUEL);
        if time {
            eprintln!("{} µs", start.elapsed().as_micros());
        }
        println!("{answer}");
    }
}
