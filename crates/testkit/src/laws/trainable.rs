//! Laws of models that learn.

use std::ops::Range;

use tdrm_core::{Coefficients, Outputs, PolicyError, Trainable, Update};

use super::{DETERMINISM, LawViolation, Verdict, all_close, require, succeed};

const ONCE: &str = "each sequence is asked for once, in order";
const COUNT: &str = "steps are counted by one and norms are finite";
const REFUSAL: &str = "a coefficient that is not finite is refused and leaves the weights as they were";
const DESCENT: &str = "a small step up the log-probabilities raises them";

/// Checks a model that learns; `fresh` builds the same model each time.
///
/// The learning rate of the model must be small enough for one step to go uphill.
///
/// # Errors
/// The first law that it breaks.
pub fn trainable<T: Trainable>(mut fresh: impl FnMut() -> T, batch: &[T::Sequence], tolerance: f64) -> Verdict {
    let (mut a, mut b) = (fresh(), fresh());
    let before = push_up(&mut a, batch)?;
    same(DETERMINISM, &before, &push_up(&mut b, batch)?, tolerance)?;
    let after = push_up(&mut a, batch)?;
    same(DETERMINISM, &after, &push_up(&mut b, batch)?, tolerance)?;
    counted(&before.update, &after.update)?;
    if before.update.gradient_norm > 0.0 {
        let (low, high) = (before.log_probs.iter().sum::<f64>(), after.log_probs.iter().sum::<f64>());
        require(DESCENT, high > low, || format!("the sum went from {low} to {high}"))?;
    }
    refuses(fresh(), batch, &before, tolerance)
}

/// What one step has shown.
struct Seen {
    log_probs: Vec<f64>,
    update: Update,
}

/// One step on the loss −Σ log π.
fn push_up<T: Trainable>(model: &mut T, batch: &[T::Sequence]) -> Result<Seen, LawViolation> {
    let (mut ranges, mut log_probs) = (vec![], vec![]);
    let update = model.update(batch, &mut |outputs: Outputs<'_>| {
        ranges.push((outputs.range.clone(), outputs.log_probs.len()));
        log_probs.extend(outputs.log_probs.concat());
        constant(&outputs, -1.0)
    });
    let update = succeed(ONCE, update)?;
    tiled(&ranges, batch.len())?;
    Ok(Seen { log_probs, update })
}

fn constant(outputs: &Outputs<'_>, c: f64) -> Coefficients {
    let log_probs = outputs.log_probs.iter().map(|row| vec![c; row.len()]).collect();
    Coefficients { log_probs, ..Coefficients::default() }
}

fn tiled(ranges: &[(Range<usize>, usize)], n: usize) -> Verdict {
    let mut next = 0;
    for (range, rows) in ranges {
        let fits = range.start == next && *rows == range.len();
        require(ONCE, fits, || format!("expected a range from {next}, got {range:?} with {rows} rows"))?;
        next = range.end;
    }
    require(ONCE, next == n, || format!("{n} sequences, asked for {next}"))
}

fn counted(first: &Update, second: &Update) -> Verdict {
    let norms = [first.gradient_norm, second.gradient_norm];
    let holds = second.step == first.step + 1 && norms.iter().all(|n| n.is_finite() && *n >= 0.0);
    require(COUNT, holds, || format!("{first:?}, then {second:?}"))
}

fn refuses<T: Trainable>(mut model: T, batch: &[T::Sequence], untouched: &Seen, tolerance: f64) -> Verdict {
    if untouched.log_probs.is_empty() {
        return Ok(());
    }
    let result: Result<Update, PolicyError> = model.update(batch, &mut |outputs| constant(&outputs, f64::NAN));
    require(REFUSAL, result.is_err(), || "a coefficient of NaN was accepted".to_owned())?;
    let seen = push_up(&mut model, batch)?;
    all_close(REFUSAL, "log-probabilities", &untouched.log_probs, &seen.log_probs, tolerance)
}

fn same(law: &'static str, a: &Seen, b: &Seen, tolerance: f64) -> Verdict {
    all_close(law, "log-probabilities", &a.log_probs, &b.log_probs, tolerance)?;
    all_close(law, "gradient norm", &[a.update.gradient_norm], &[b.update.gradient_norm], tolerance)
}
