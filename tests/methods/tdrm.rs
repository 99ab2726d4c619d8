//! TDRM: the card's golden rows, its reductions, and what it learns on a chain with an exact oracle.
#![expect(clippy::float_cmp, reason = "tests state exact values")]

use std::num::NonZeroUsize;

use tdrm::Lambda;
use tdrm::recipes::cycle::{Arm, Sample};
use tdrm::recipes::methods::tdrm::{Mixture, published, repaired, td_lambda};
use tdrm::recipes::text::Response;

fn n(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN)
}

/// A trajectory whose steps end at these tokens.
fn sample(step_ends: &[usize], correct: bool) -> Sample {
    let len = step_ends.last().copied().unwrap_or(0);
    let response =
        Response { tokens: vec![0; len], log_probs: vec![0.0; len], step_ends: step_ends.to_vec(), stopped: true };
    Sample { response, correct, readable: true, answer: None, step_labels: None }
}

fn targets(arm: &Arm, step_ends: &[usize], correct: bool, values: &[f64]) -> Vec<f64> {
    let targets = arm.targets(&sample(step_ends, correct), values).expect("one value per prefix");
    targets.expect("no step labels needed").values
}

#[test]
fn the_rows_of_the_card() {
    let arm = published(n(1), 512);
    // (l, V', outcome) → y, card §11: r = 1.98717 → 1;  r = −8.38046 → 0;  r = −0.02116, V' = 0.9 → 0.69884
    assert_eq!(targets(&arm, &[37, 60], true, &[0.5, 0.5, 0.76172])[0], 1.0);
    assert_eq!(targets(&arm, &[135, 160], false, &[0.5, 0.5, 0.02441])[0], 0.0);
    let soft = targets(&arm, &[497, 508], false, &[0.5, 0.5, 0.9]);
    assert!((soft[0] - 0.69884).abs() < 5e-6, "{soft:?}");
    assert_eq!(soft[1], 0.0); // the terminal row is its label
}

#[test]
fn the_published_bootstrap_is_inert_below_418_tokens() {
    let ends = [40, 120, 250, 400];
    for correct in [false, true] {
        let low = targets(&published(n(1), 512), &ends, correct, &[0.0; 5]);
        let high = targets(&published(n(1), 512), &ends, correct, &[1.0; 5]);
        let outcome = targets(&Arm::Outcome {}, &ends, correct, &[0.5; 5]);
        assert_eq!(low, high);
        assert_eq!(low, outcome[1..]); // the decisive control: outcome on all prefixes
    }
}

#[test]
fn a_repaired_target_that_looks_to_the_end_is_the_outcome() {
    let (ends, values) = ([4, 9, 12], [0.3, 0.6, 0.2, 0.9]);
    let outcome = targets(&Arm::Outcome {}, &ends, true, &values);
    assert_eq!(targets(&repaired(n(3)), &ends, true, &values), outcome);
    assert_eq!(targets(&td_lambda(Lambda::ONE), &ends, true, &values), outcome);
    assert_eq!(targets(&td_lambda(Lambda::ZERO), &ends, true, &values), targets(&repaired(n(1)), &ends, true, &values));
}

#[test]
fn the_mixture_of_the_only_published_script() {
    assert!((Mixture::PUBLISHED.reward(1.0, 0.25) - 0.85).abs() < 1e-12); // 0.8·1 + 0.2·0.25
}

/// Two-step chains: at each step a coin decides whether the outcome can still be right; both must land heads.
/// V(s_0) = 1/4, V(s_1 | heads) = 1/2, V(s_1 | tails) = 0.
fn coin_chains() -> Vec<(usize, Sample)> {
    let outcome = |first: bool, second: bool| (usize::from(first), sample(&[1, 2], first && second));
    vec![outcome(false, false), outcome(false, true), outcome(true, false), outcome(true, true)]
}

/// Regresses a table [V(s_0), V(tails), V(heads)] on the arm's targets until it no longer moves.
fn fixed_point(arm: &Arm) -> [f64; 3] {
    let mut table = [0.5; 3];
    for _ in 0..400 {
        let (mut sums, mut counts) = ([0.0; 3], [0.0; 3]);
        for (first, sample) in coin_chains() {
            let cells = [0, 1 + first];
            let values = [table[0], table[1 + first], 0.0];
            let found = arm.targets(&sample, &values).expect("one value per prefix").expect("no step labels needed");
            for (&t, &y) in found.prefixes.iter().zip(&found.values).filter(|(t, _)| **t < 2) {
                sums[cells[t]] += y;
                counts[cells[t]] += 1.0;
            }
        }
        for ((v, sum), count) in table.iter_mut().zip(sums).zip(counts).filter(|(_, count)| *count > 0.0) {
            *v += 0.2 * (sum / count - *v);
        }
    }
    table
}

#[test]
fn repaired_targets_find_the_success_probabilities_of_a_coin_chain() {
    for arm in [repaired(n(1)), repaired(n(2)), td_lambda(Lambda::new(0.7).unwrap_or(Lambda::ONE))] {
        let found = fixed_point(&arm);
        for (v, truth) in found.iter().zip([0.25, 0.0, 0.5]) {
            assert!((v - truth).abs() < 1e-9, "{}: {found:?}", arm.name());
        }
    }
}
