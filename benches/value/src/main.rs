//! Speed of TD(λ) and GAE in `f32` on one thread: elements per second at each shape.
//!
//! `cargo run --release -p tdrm-bench-value [B T]…` prints one JSON line per target, form and shape; `compare.py`
//! runs it beside rlax and torchrl.

use std::io::Write;
use std::time::{Duration, Instant};

use tdrm_algo::value::{Gae, TdLambda};
use tdrm_core::{Lambda, Steps, ValueTarget};

type Failure = Box<dyn std::error::Error>;

/// Columns of a rectangular batch, one trajectory after the other.
struct Data {
    rewards: Vec<f32>,
    discounts: Vec<f32>,
    values: Vec<f32>,
    length: usize,
}

impl Data {
    fn new(batch: usize, length: usize) -> Self {
        let wave = |n: usize, k: usize| (0..n).map(|i| (i * k % 997) as f32 / 499.0 - 1.0).collect();
        Self {
            rewards: wave(batch * length, 13),
            discounts: vec![0.99; batch * length],
            values: wave(batch * (length + 1), 29),
            length,
        }
    }

    fn steps(&self) -> Result<Vec<Steps<'_, f32>>, Failure> {
        let rows = self.rewards.chunks(self.length).zip(self.discounts.chunks(self.length));
        let values = self.values.chunks(self.length + 1);
        Ok(rows.zip(values).map(|((r, d), v)| Steps::new(r, d, v)).collect::<Result<_, _>>()?)
    }
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

fn measure(batch: usize, length: usize, out: &mut impl Write) -> Result<(), Failure> {
    let data = Data::new(batch, length);
    let (td, gae) =
        (TdLambda { lambda: Lambda::try_from(0.95)?.into() }, Gae { lambda: Lambda::try_from(0.95)?.into() });
    let elements = batch * length;
    let mut target = Vec::new();
    let mut report = |name: &str, form: &str, speed: f64| {
        let line = serde_json::json!({"target": name, "form": form, "batch": batch, "length": length,
            "elements_per_second": speed});
        writeln!(out, "{line}")
    };
    let speed = fastest(elements, || {
        td.batch_into(&data.steps().unwrap_or_default(), &mut target);
        std::hint::black_box(&target);
    });
    report("td_lambda", "batch", speed)?;
    let speed = fastest(elements, || {
        gae.batch_into(&data.steps().unwrap_or_default(), &mut target);
        std::hint::black_box(&target);
    });
    report("gae", "batch", speed)?;
    let speed = fastest(elements, || {
        for steps in data.steps().unwrap_or_default() {
            td.targets_into(steps, &mut target);
            std::hint::black_box(&target);
        }
    });
    report("td_lambda", "single", speed)?;
    let speed = fastest(elements, || {
        for steps in data.steps().unwrap_or_default() {
            gae.advantages_into(steps, &mut target);
            std::hint::black_box(&target);
        }
    });
    report("gae", "single", speed)?;
    Ok(())
}

fn main() -> Result<(), Failure> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|x| x.parse()).collect::<Result<_, _>>()?;
    let shapes = if numbers.is_empty() { vec![4096, 128, 8, 32_768] } else { numbers };
    let mut out = std::io::stdout().lock();
    for shape in shapes.chunks_exact(2) {
        measure(shape[0], shape[1], &mut out)?;
    }
    Ok(())
}
