//! The products of a model's projections: what this machine does with them, against AVX-512 or less.

use std::time::Instant;

use half::bf16;
use tdrm_kernels::linear::{self, Matrix};
use tdrm_kernels::matmul::{Into, Mat, MatMut, product};

/// Rows, inputs, outputs: projections of Qwen2.5-0.5B and of the small shape.
const SHAPES: [(usize, usize, usize); 7] = [
    (512, 896, 9728),
    (512, 4864, 896),
    (512, 896, 1152),
    (64, 896, 9728),
    (1, 896, 9728),
    (1024, 256, 2048),
    (1024, 1024, 256),
];
/// Seconds that a measurement takes at least.
const LEAST: f64 = 0.5;
/// Elements that are compared with sums in 64 bits.
const CHECKED: usize = 1009;

/// Prints a table: multiply-adds per second on one thread, twice each (GFLOP/s), and errors relative to the product's size.
#[expect(clippy::print_stdout, reason = "the table is the output")]
pub(crate) fn run() -> anyhow::Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    println!("| rows × inputs × outputs | 32 bits, vectors | 32 bits, best | ratio | bfloat16 | errors |");
    println!("|---|---|---|---|---|---|");
    for (rows, inputs, outputs) in SHAPES {
        let (x, w) = (numbers(rows * inputs, 7919), numbers(outputs * inputs, 104_729));
        let narrow: Vec<bf16> = w.iter().map(|&w| bf16::from_f32(w)).collect();
        let mut y = vec![0.0; rows * outputs];
        let operations = 2e-9 * (rows * inputs * outputs) as f64;
        let error = |y: &[f32], exact: &dyn Fn(usize, usize) -> f64| {
            let at = (0..y.len()).step_by(y.len().div_ceil(CHECKED));
            let pairs = at.map(|k| (f64::from(y[k]), (0..inputs).map(|i| exact(k, i)).sum::<f64>()));
            let (off, size) = pairs.fold((0.0, 0.0), |(off, size), (y, x)| (off + (y - x).powi(2), size + x * x));
            (off / size).sqrt()
        };
        let whole =
            |k: usize, i: usize| f64::from(x[k / outputs * inputs + i]) * f64::from(w[k % outputs * inputs + i]);
        let rounded = |k: usize, i: usize| {
            bf16::from_f32(x[k / outputs * inputs + i]).to_f64() * narrow[k % outputs * inputs + i].to_f64()
        };
        let vectors = best(|| {
            let w = Mat::new(&w, outputs, inputs)?.t();
            product(MatMut::new(&mut y, rows, outputs)?, Into::Store, Mat::new(&x, rows, inputs)?, w)
        })?;
        let mut errors = vec![error(&y, &whole)];
        let wide = best(|| linear::forward(&x, Matrix::F32(&w), &[], inputs, &mut y))?;
        errors.push(error(&y, &whole));
        let half = best(|| linear::forward(&x, Matrix::Bf16(&narrow), &[], inputs, &mut y))?;
        errors.push(error(&y, &rounded));
        let errors: Vec<String> = errors.iter().map(|error| format!("{error:.0e}")).collect();
        println!(
            "| {rows} × {inputs} × {outputs} | {:.0} | {:.0} | {:.2} | {:.0} | {} |",
            operations / vectors,
            operations / wide,
            vectors / wide,
            operations / half,
            errors.join(", ")
        );
    }
    Ok(())
}

/// Seconds of the fastest run.
fn best<E>(mut work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let (start, mut best) = (Instant::now(), f64::MAX);
    while start.elapsed().as_secs_f64() < LEAST {
        let once = Instant::now();
        work()?;
        best = best.min(once.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Numbers in [-1, 1].
fn numbers(n: usize, step: usize) -> Vec<f32> {
    (0..n).map(|i| (i * step % 2003) as f32 / 1001.0 - 1.0).collect()
}
