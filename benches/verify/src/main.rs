//! Speed of the math verifier on JSON lines of unique pairs.
//!
//! `tdrm-bench-verify FILE.jsonl [--seconds S] [--threads N]` reads lines with `gold` and `pred`, judges all of them
//! again and again for `S` seconds, and prints one JSON object: pairs per CPU-second of one thread, latencies in
//! microseconds, and pairs per CPU-second of `N` threads at the same time over those of one.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tdrm_core::Verifier as _;
use tdrm_verify::MathVerifier;

type Pair = (String, String);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let file = args.get(1).ok_or("expected a file of JSON lines")?;
    let option = |name: &str, default: f64| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|i| args.get(i + 1)).and_then(|v| v.parse().ok()).unwrap_or(default)
    };
    let pairs = read(file)?;
    let seconds = Duration::from_secs_f64(option("--seconds", 2.0));
    let threads = option("--threads", 2.0) as usize;

    let correct = pass(&pairs);
    let latencies = latencies(&pairs);
    let single = throughput(&pairs, seconds, 1);
    let many = throughput(&pairs, seconds, threads);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_nanos() as f64 / 1e3;
    let report = json!({
        "file": file, "pairs": pairs.len(), "correct": correct,
        "pairs_per_cpu_second": single, "p50_us": at(0.5), "p99_us": at(0.99), "p99_9_us": at(0.999), "max_us": at(1.0),
        "threads": threads, "scaling": many / single,
    });
    println!("{report}");
    Ok(())
}

fn read(file: &str) -> Result<Vec<Pair>, Box<dyn std::error::Error>> {
    let mut pairs = Vec::new();
    for line in std::fs::read_to_string(file)?.lines() {
        let value: Value = serde_json::from_str(line)?;
        let field = |name: &str| value[name].as_str().map(str::to_owned).ok_or(format!("expected a text in {name:?}"));
        pairs.push((field("gold")?, field("pred")?));
    }
    Ok(pairs)
}

/// Judges every pair once; the number of correct ones.
fn pass(pairs: &[Pair]) -> usize {
    let verifier = MathVerifier::new();
    pairs
        .iter()
        .filter(|(gold, pred)| black_box(verifier.verify(black_box(gold), black_box(pred))).is_correct())
        .count()
}

/// Sorted times of single pairs: the best of three for each, so that a pre-empted one does not count as slow.
fn latencies(pairs: &[Pair]) -> Vec<Duration> {
    let verifier = MathVerifier::new();
    let time = |(gold, pred): &Pair| {
        let start = Instant::now();
        black_box(verifier.verify(black_box(gold), black_box(pred)));
        start.elapsed()
    };
    let mut times: Vec<Duration> =
        pairs.iter().map(|pair| (0..3).map(|_| time(pair)).min().unwrap_or_default()).collect();
    times.sort_unstable();
    times
}

/// CPU time of this thread, as the Linux scheduler accounts it; wall time since `start` elsewhere. On a busy machine it
/// does not count the time in which others ran.
fn cpu_time(start: Instant) -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = spent.and_then(|s| s.split_whitespace().next()?.parse().ok());
    nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// Pairs per CPU-second, summed over threads that run at the same time, each judging all pairs until the time is over.
fn throughput(pairs: &[Pair], seconds: Duration, threads: usize) -> f64 {
    let rates: Vec<f64> = std::thread::scope(|scope| {
        let work = || {
            let (start, mut passes) = (Instant::now(), 0_u32);
            let before = cpu_time(start);
            while start.elapsed() < seconds {
                black_box(pass(pairs));
                passes += 1;
            }
            f64::from(passes) * pairs.len() as f64 / cpu_time(start).saturating_sub(before).as_secs_f64()
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|w| w.join().ok()).collect()
    });
    rates.iter().sum()
}
