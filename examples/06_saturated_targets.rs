//! The published targets of TDRM do not depend on the value estimates; the repaired ones do.
//!
//! `cargo run --package tdrm-examples --example 06_saturated_targets`
#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use anyhow::Result;
use tdrm::prelude::*;
use tdrm::value::tdrm::{PrefixValues, TdMode};

const LENGTHS: [usize; 5] = [0, 20, 45, 60, 80]; // tokens of the answer prefixes s_0 … s_4

/// Targets of a wrong answer under these values at its prefixes, and the share that the clamp decided.
fn targets(mode: TdMode, values: &[f64]) -> Result<(Vec<f64>, f64)> {
    let mut targets = vec![];
    let saturation = mode.targets(PrefixValues::new(&LENGTHS, values, 0.0)?, &mut targets);
    Ok((targets, saturation.share()))
}

fn modes() -> Result<[(&'static str, TdMode); 3]> {
    let half = Lambda::new(0.5)?;
    Ok([("published", TdMode::published()), ("repaired", TdMode::repaired()), ("TD(0.5)", TdMode::td_lambda(half))])
}

const HOPEFUL: [f64; 5] = [0.9, 0.9, 0.8, 0.4, 0.1];
const DOUBTFUL: [f64; 5] = [0.4, 0.3, 0.3, 0.2, 0.1];

fn main() -> Result<()> {
    for (name, mode) in modes()? {
        for values in [HOPEFUL, DOUBTFUL] {
            let (targets, share) = targets(mode, &values)?;
            println!("{name:10} V = {values:.1?} -> y = {targets:.2?}, {:3.0} % clamped", 100.0 * share);
        }
    }
    Ok(())
}

#[test]
fn only_the_repaired_targets_see_the_values() -> Result<()> {
    let [(_, published), (_, repaired), (_, td)] = modes()?;
    assert_eq!(targets(published, &HOPEFUL)?, targets(published, &DOUBTFUL)?);
    assert_eq!(targets(repaired, &HOPEFUL)?.0, [0.9, 0.8, 0.4, 0.0, 0.0]); // each from its successor, then the label
    assert_ne!(targets(td, &HOPEFUL)?, targets(td, &DOUBTFUL)?);
    main()
}
