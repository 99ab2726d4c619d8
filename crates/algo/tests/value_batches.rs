//! Many trajectories at once give the numbers of one at a time, bit by bit.

#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use tdrm_algo::value::{BatchTarget, Gae, Target, TimeMajor, Trace};
use tdrm_core::{Lambda, Real, Steps, ValueTarget};

/// One of each kind, with a λ per step where there may be one.
const TARGETS: [&str; 21] = [
    r#"{"kind":"td0"}"#,
    r#"{"kind":"n_step","n":1}"#,
    r#"{"kind":"n_step","n":3,"lambda":0.7}"#,
    r#"{"kind":"n_step","n":99}"#,
    r#"{"kind":"td_lambda","lambda":0.9}"#,
    r#"{"kind":"td_lambda","lambda":[0.9,0,1,0.3]}"#,
    r#"{"kind":"monte_carlo"}"#,
    r#"{"kind":"gae","lambda":0.95}"#,
    r#"{"kind":"gae","lambda":[0.5,1]}"#,
    r#"{"kind":"v_trace","lambda":0.9,"c_clip":0.8}"#,
    r#"{"kind":"leaky_v_trace","alpha":0.7}"#,
    r#"{"kind":"importance_sampling","lambda":0.5}"#,
    r#"{"kind":"retrace","lambda":0.9}"#,
    r#"{"kind":"tree_backup","lambda":[1,0.5]}"#,
    r#"{"kind":"q_lambda","lambda":0.8}"#,
    r#"{"kind":"watkins"}"#,
    r#"{"kind":"off_policy","traces":[0.5,1.5,0.2,0.9]}"#,
    r#"{"kind":"upgo"}"#,
    r#"{"kind":"soft","alpha":0.3,"lambda":0.9}"#,
    r#"{"kind":"tdrm","n":2}"#,
    r#"{"kind":"tdrm","n":3,"gamma":0.5,"clamp":false}"#,
];

/// A number of no particular pattern in [-1.5, 1.5].
fn number(i: usize, salt: usize) -> f64 {
    ((i * 7919 + salt * 104_729 + 13) % 1009) as f64 / 336.0 - 1.5
}

/// Columns of one trajectory; a fifth of its steps terminate.
struct Columns<F> {
    rewards: Vec<F>,
    discounts: Vec<F>,
    values: Vec<F>,
    log_ratios: Vec<F>,
    q_values: Vec<F>,
}

impl<F: Real> Columns<F> {
    fn new(len: usize, salt: usize) -> Self {
        let column = |n: usize, k: usize| (0..n).map(|t| F::of(number(t, 5 * salt + k))).collect();
        let discount = |t: usize| if number(t, salt + 99) < -0.9 { F::zero() } else { F::of(0.97) };
        Self {
            rewards: column(len, 0),
            discounts: (0..len).map(discount).collect(),
            values: column(len + 1, 1),
            log_ratios: column(len, 2),
            q_values: column(len, 3),
        }
    }

    fn steps(&self, given: Given) -> Steps<'_, F> {
        let mut steps = Steps::new(&self.rewards, &self.discounts, &self.values).unwrap();
        if given.log_ratios {
            steps = steps.with_log_ratios(&self.log_ratios).unwrap();
        }
        if given.q_values {
            steps = steps.with_q_values(&self.q_values).unwrap();
        }
        steps
    }
}

#[derive(Debug, Clone, Copy)]
struct Given {
    log_ratios: bool,
    q_values: bool,
}

fn given() -> impl Strategy<Value = Given> {
    (any::<bool>(), any::<bool>()).prop_map(|(log_ratios, q_values)| Given { log_ratios, q_values })
}

/// `[B][T]` to `[T, B]`.
fn turned<F: Real>(columns: &[Columns<F>], rows: usize, column: impl Fn(&Columns<F>) -> &[F]) -> Vec<F> {
    (0..rows).flat_map(|t| columns.iter().map(move |c| (c, t))).map(|(c, t)| column(c)[t]).collect()
}

fn bits<F: Real>(x: &[F]) -> Vec<u64> {
    x.iter().map(|x| x.as_f64().to_bits()).collect()
}

fn a_rectangle_equals_its_columns<F: Real>(rows: usize, columns: usize, given: Given) {
    let data: Vec<Columns<F>> = (0..columns).map(|i| Columns::new(rows, i)).collect();
    let (rewards, discounts) = (turned(&data, rows, |c| &c.rewards), turned(&data, rows, |c| &c.discounts));
    let values = turned(&data, rows + 1, |c| &c.values);
    let (log_ratios, q_values) = (turned(&data, rows, |c| &c.log_ratios), turned(&data, rows, |c| &c.q_values));
    let mut rectangle = TimeMajor::new(columns, &rewards, &discounts, &values).unwrap();
    if given.log_ratios {
        rectangle = rectangle.with_log_ratios(&log_ratios).unwrap();
    }
    if given.q_values {
        rectangle = rectangle.with_q_values(&q_values).unwrap();
    }
    for text in TARGETS {
        let target: Target = serde_json::from_str(text).unwrap();
        let mut together = vec![F::nan(); 3];
        target.time_major_into(rectangle, &mut together);
        let alone: Vec<Vec<F>> = data.iter().map(|c| target.targets(c.steps(given))).collect();
        let expected: Vec<F> = (0..rows).flat_map(|t| alone.iter().map(move |g| g[t])).collect();
        assert_eq!(bits(&together), bits(&expected), "{text} {rows} × {columns}");
    }
}

fn a_ragged_batch_equals_its_trajectories<F: Real>(lengths: &[usize], given: Given) {
    let data: Vec<Columns<F>> = lengths.iter().enumerate().map(|(i, &n)| Columns::new(n, i)).collect();
    let batch: Vec<Steps<'_, F>> = data.iter().map(|c| c.steps(given)).collect();
    for text in TARGETS {
        let target: Target = serde_json::from_str(text).unwrap();
        let mut together = vec![F::nan(); 3];
        target.batch_into(&batch, &mut together);
        let expected: Vec<F> = batch.iter().flat_map(|&steps| target.targets(steps)).collect();
        assert_eq!(bits(&together), bits(&expected), "{text} {lengths:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn side_by_side_is_one_by_one(rows in 0usize..12, columns in 0usize..20, given in given()) {
        a_rectangle_equals_its_columns::<f64>(rows, columns, given);
        a_rectangle_equals_its_columns::<f32>(rows, columns, given);
    }

    #[test]
    fn ragged_is_one_by_one(lengths in prop::collection::vec(0usize..30, 0..20), given in given()) {
        a_ragged_batch_equals_its_trajectories::<f64>(&lengths, given);
        a_ragged_batch_equals_its_trajectories::<f32>(&lengths, given);
    }
}

#[test]
fn more_columns_and_longer_ones_than_a_block_holds() {
    let on_policy = Given { log_ratios: false, q_values: false };
    a_rectangle_equals_its_columns::<f32>(3, 2100, Given { log_ratios: true, q_values: true });
    a_rectangle_equals_its_columns::<f64>(300, 5, on_policy);
    a_ragged_batch_equals_its_trajectories::<f64>(&[300, 129, 128, 127, 400, 257, 256, 128, 7], on_policy);
}

#[test]
fn trajectories_with_and_without_a_column_share_a_batch() {
    let data: Vec<Columns<f64>> = (0..8).map(|i| Columns::new(140 + i, i)).collect();
    let batch: Vec<_> =
        data.iter().enumerate().map(|(i, c)| c.steps(Given { log_ratios: i % 2 == 0, q_values: i % 3 == 0 })).collect();
    for text in TARGETS {
        let target: Target = serde_json::from_str(text).unwrap();
        let mut together = vec![];
        target.batch_into(&batch, &mut together);
        assert_eq!(together, batch.iter().flat_map(|&s| target.targets(s)).collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn advantages_are_batched_like_targets() {
    let data: Vec<Columns<f64>> = (0..11).map(|i| Columns::new(9, i)).collect();
    let batch: Vec<_> = data.iter().map(|c| c.steps(Given { log_ratios: false, q_values: false })).collect();
    let (rewards, discounts) = (turned(&data, 9, |c| &c.rewards), turned(&data, 9, |c| &c.discounts));
    let values = turned(&data, 10, |c| &c.values);
    let rectangle = TimeMajor::new(11, &rewards, &discounts, &values).unwrap();
    for lambda in [Trace::ONE, Trace::PerStep(vec![Lambda::ZERO, Lambda::ONE])] {
        let gae = Gae { lambda };
        let (mut together, mut across) = (vec![7.0], vec![]);
        gae.advantages_batch_into(&batch, &mut together);
        gae.advantages_time_major_into(rectangle, &mut across);
        let alone: Vec<Vec<f64>> = batch.iter().map(|&s| gae.advantages(s)).collect();
        assert_eq!(together, alone.concat());
        assert_eq!(across, (0..9).flat_map(|t| alone.iter().map(move |a| a[t])).collect::<Vec<_>>());
    }
}

#[test]
fn a_rectangle_with_a_ragged_edge_is_refused() {
    assert_eq!(
        TimeMajor::new(2, &[1.0; 3], &[1.0; 3], &[0.0; 5]).unwrap_err().to_string(),
        "`rewards` has 3 entries, expected 2"
    );
    assert!(TimeMajor::new(2, &[1.0; 4], &[1.0; 2], &[0.0; 6]).is_err());
    assert!(TimeMajor::new(2, &[1.0; 4], &[1.0; 4], &[0.0; 5]).is_err());
    assert!(TimeMajor::new(0, &[1.0], &[1.0], &[0.0]).is_err());
    let steps = TimeMajor::new(2, &[1.0; 4], &[1.0; 4], &[0.0; 6]).unwrap();
    assert!(steps.with_log_ratios(&[0.0]).is_err() && steps.with_q_values(&[0.0; 6]).is_err());
    assert_eq!((steps.rows(), steps.trajectories(), steps.bootstrap()), (2, 2, &[0.0, 0.0][..]));
}
