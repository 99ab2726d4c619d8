//! V^π of the oracle is the fixed point of every on-policy target, however the episode is cut.

use tdrm::envs::dp::{StateActions, evaluate};
use tdrm::envs::tabular::{Table, random_walk};
use tdrm::prelude::*;
use tdrm::value::Target;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const GAMMA: f64 = 0.9;
const TARGETS: [&str; 7] = [
    r#"{"kind":"td0"}"#,
    r#"{"kind":"n_step","n":2}"#,
    r#"{"kind":"td_lambda","lambda":0.7}"#,
    r#"{"kind":"td_lambda","lambda":[0.1,0.9,0.5,0.3,1,0,0.2,0.6]}"#,
    r#"{"kind":"monte_carlo"}"#,
    r#"{"kind":"gae","lambda":0.8}"#,
    r#"{"kind":"v_trace","lambda":1,"rho_clip":1,"c_clip":1}"#,
];

/// Rewards, discounts and values of one walk of at most `limit` steps; a limit truncates.
fn walk(table: &Table, v: &[f64], start: usize, limit: usize, rng: &mut dyn Rng) -> [Vec<f64>; 3] {
    let [mut rewards, mut discounts, mut values] = [vec![], vec![], vec![v[start]]];
    let mut state = start;
    while rewards.len() < limit {
        let step = table.step(&state, &0, rng);
        rewards.push(step.reward);
        discounts.push(step.end.discount(GAMMA));
        // Behind the end there is no state: whatever stands there must not matter.
        values.push(if step.end.is_over() { 1e6 } else { v[step.state] });
        state = step.state;
        if step.end.is_over() {
            break;
        }
    }
    [rewards, discounts, values]
}

/// Mean of G_0 − V(s_0) over many walks, in standard errors; 0 where there is no spread at all.
fn standard_errors(target: &Target, table: &Table, v: &[f64], start: usize, limit: usize) -> Result<f64, ShapeError> {
    const WALKS: u64 = 4000;
    let (mut sum, mut squares) = (0.0, 0.0);
    for i in 0..WALKS {
        let mut rng = Seed::root(11).child(start as u64).child(i).rng();
        let [rewards, discounts, values] = walk(table, v, start, limit, &mut rng);
        let ratios = vec![0.0; rewards.len()];
        let steps = Steps::new(&rewards, &discounts, &values)?.with_log_ratios(&ratios)?;
        let error = target.targets(steps)[0] - v[start];
        (sum, squares) = (sum + error, squares + error * error);
    }
    let (n, mean) = (WALKS as f64, sum / WALKS as f64);
    let spread = (squares / n - mean * mean).max(0.0);
    Ok(if spread > 0.0 { mean / (spread / n).sqrt() } else { mean })
}

fn all_targets_agree_with_the_oracle(limit: usize) -> Outcome {
    let table = random_walk(5, -1.0, 1.0)?;
    let v = evaluate(&table, Discount::new(GAMMA)?, &StateActions::uniform(&table))?;
    for text in TARGETS {
        let target: Target = serde_json::from_str(text)?;
        for start in 0..5 {
            let z = standard_errors(&target, &table, &v, start, limit)?;
            // 35 comparisons of a fixed seed: 4.5 standard errors are once in 4000 such tests.
            assert!(z.abs() < 4.5, "{text} from state {start}: {z:.2} standard errors");
        }
    }
    Ok(())
}

#[test]
fn the_oracle_is_the_fixed_point_of_whole_episodes() -> Outcome {
    all_targets_agree_with_the_oracle(usize::MAX)
}

#[test]
fn the_oracle_is_the_fixed_point_of_truncated_episodes() -> Outcome {
    all_targets_agree_with_the_oracle(3)
}
