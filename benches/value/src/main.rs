//! Speed of value targets on one thread: elements per second of each form at each shape.
//!
//! `cargo run --release -p tdrm-bench-value [f32|f64] [B T]…` prints one JSON line per target, form and shape;
//! `compare.py` runs it beside rlax and torchrl.

use std::io::Write;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use tdrm_algo::value::{BatchTarget, Gae, NStep, TdLambda, TimeMajor, VTrace};
use tdrm_core::{Lambda, Real, Steps, ValueTarget};

type Failure = Box<dyn std::error::Error>;

/// Columns of a rectangular batch, in both layouts.
struct Data<F> {
    batch: usize,
    length: usize,
    /// One trajectory after the other.
    rows: Columns<F>,
    /// One time after the other.
    times: Columns<F>,
}

struct Columns<F> {
    rewards: Vec<F>,
    discounts: Vec<F>,
    values: Vec<F>,
    log_ratios: Vec<F>,
}

impl<F: Real> Data<F> {
    fn new(batch: usize, length: usize) -> Self {
        let wave = |n: usize, k: usize| (0..n).map(|i| F::of((i * k % 997) as f64 / 499.0 - 1.0)).collect();
        let rows = Columns {
            rewards: wave(batch * length, 13),
            discounts: vec![F::of(0.99); batch * length],
            values: wave(batch * (length + 1), 29),
            log_ratios: wave(batch * length, 31),
        };
        let times = Columns {
            rewards: turned(&rows.rewards, length),
            discounts: rows.discounts.clone(),
            values: turned(&rows.values, length + 1),
            log_ratios: turned(&rows.log_ratios, length),
        };
        Self { batch, length, rows, times }
    }

    fn steps(&self) -> Result<Vec<Steps<'_, F>>, Failure> {
        let columns = &self.rows;
        let rows = columns.rewards.chunks(self.length).zip(columns.discounts.chunks(self.length));
        let values = columns.values.chunks(self.length + 1);
        Ok(rows.zip(values).map(|((r, d), v)| Steps::new(r, d, v)).collect::<Result<_, _>>()?)
    }

    fn off_policy(&self) -> Result<Vec<Steps<'_, F>>, Failure> {
        let log_ratios = self.rows.log_ratios.chunks(self.length);
        Ok(self.steps()?.into_iter().zip(log_ratios).map(|(s, l)| s.with_log_ratios(l)).collect::<Result<_, _>>()?)
    }

    fn time_major(&self) -> Result<TimeMajor<'_, F>, Failure> {
        let columns = &self.times;
        Ok(TimeMajor::new(self.batch, &columns.rewards, &columns.discounts, &columns.values)?)
    }
}

/// `[B, length]` to `[length, B]`.
fn turned<F: Real>(rows: &[F], length: usize) -> Vec<F> {
    (0..length).flat_map(|t| rows.iter().skip(t).step_by(length).copied()).collect()
}

/// Elements per second of the fastest of many runs within a second.
fn fastest(elements: usize, mut run: impl FnMut()) -> f64 {
    let (start, mut best) = (Instant::now(), Duration::MAX);
    while start.elapsed() < Duration::from_secs(1) {
        let lap = Instant::now();
        run();
        best = best.min(lap.elapsed());
    }
    elements as f64 / best.as_secs_f64()
}

/// The three forms of one target on one shape.
fn forms<F: Real>(
    data: &Data<F>,
    rows: &[Steps<'_, F>],
    times: TimeMajor<'_, F>,
    target: &impl BatchTarget<F>,
    mut report: impl FnMut(&str, f64) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let elements = data.batch * data.length;
    let mut out = Vec::new();
    let speed = fastest(elements, || {
        target.batch_into(rows, &mut out);
        std::hint::black_box(&out);
    });
    report("batch", speed)?;
    let speed = fastest(elements, || {
        target.time_major_into(times, &mut out);
        std::hint::black_box(&out);
    });
    report("time major", speed)?;
    let speed = fastest(elements, || {
        for &steps in rows {
            target.targets_into(steps, &mut out);
            std::hint::black_box(&out);
        }
    });
    report("single", speed)
}

/// Advantages in place of targets.
struct Advantages(Gae);

impl<F: Real> ValueTarget<F> for Advantages {
    fn targets_into(&self, steps: Steps<'_, F>, out: &mut Vec<F>) {
        self.0.advantages_into(steps, out);
    }
}

impl<F: Real> BatchTarget<F> for Advantages {
    fn batch_into(&self, batch: &[Steps<'_, F>], out: &mut Vec<F>) {
        self.0.advantages_batch_into(batch, out);
    }

    fn time_major_into(&self, steps: TimeMajor<'_, F>, out: &mut Vec<F>) {
        self.0.advantages_time_major_into(steps, out);
    }
}

fn measure<F: Real>(scalar: &str, batch: usize, length: usize, out: &mut impl Write) -> Result<(), Failure> {
    let data = Data::<F>::new(batch, length);
    let mut report = |name: &str, form: &str, speed: f64| -> Result<(), Failure> {
        let line = serde_json::json!({"target": name, "form": form, "scalar": scalar, "batch": batch,
            "length": length, "elements_per_second": speed});
        Ok(writeln!(out, "{line}")?)
    };
    let lambda = Lambda::try_from(0.95)?;
    let (rows, times) = (data.steps()?, data.time_major()?);
    forms(&data, &rows, times, &TdLambda { lambda: lambda.into() }, |form, x| report("td_lambda", form, x))?;
    forms(&data, &rows, times, &Advantages(Gae { lambda: lambda.into() }), |form, x| report("gae", form, x))?;
    let n_step = NStep { n: NonZeroUsize::new(5).ok_or("n is positive")?, lambda: tdrm_algo::value::Trace::ONE };
    forms(&data, &rows, times, &n_step, |form, x| report("n_step", form, x))?;
    let (rows, times) = (data.off_policy()?, times.with_log_ratios(&data.times.log_ratios)?);
    let v_trace = VTrace { lambda: lambda.into(), ..VTrace::default() };
    forms(&data, &rows, times, &v_trace, |form, x| report("v_trace", form, x))
}

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1).peekable();
    let scalar = words.next_if(|word| word.starts_with('f')).unwrap_or_else(|| "f32".to_owned());
    let numbers: Vec<usize> = words.map(|x| x.parse()).collect::<Result<_, _>>()?;
    let shapes = if numbers.is_empty() { vec![4096, 128, 8, 32_768] } else { numbers };
    let mut out = std::io::stdout().lock();
    for shape in shapes.chunks_exact(2) {
        match scalar.as_str() {
            "f32" => measure::<f32>(&scalar, shape[0], shape[1], &mut out)?,
            "f64" => measure::<f64>(&scalar, shape[0], shape[1], &mut out)?,
            other => return Err(format!("expected f32 or f64, got {other}").into()),
        }
    }
    Ok(())
}
