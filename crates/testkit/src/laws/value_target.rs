//! Laws of value targets.

use tdrm_core::{Steps, ValueTarget};

use super::{DETERMINISM, Verdict, all_close, require, succeed};
use crate::generators::OwnedSteps;

const LENGTH: &str = "there is one target per transition";
const OVERWRITE: &str = "what was in the output before does not matter";
const CUT: &str = "what follows a discount of 0 changes nothing before it";
const LINEAR: &str = "scaling rewards and values scales the targets";
const TOTAL: &str = "any numbers give one target per transition";

/// Whether a target promises to scale with its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaling {
    /// Twice the rewards and values give twice the targets.
    Linear,
    /// No such promise: clamps, shaping, classification labels.
    Other,
}

/// Checks a value target on one trajectory, and on hostile versions of it.
///
/// # Errors
/// The first law that it breaks.
///
/// ```
/// use tdrm_core::{Real, Steps, ValueTarget};
/// use tdrm_testkit::{generators::OwnedSteps, laws};
///
/// /// Forgets that a discount of 0 ends the episode.
/// struct Undiscounted;
/// impl<F: Real> ValueTarget<F> for Undiscounted {
///     fn targets_into(&self, steps: Steps<'_, F>, out: &mut Vec<F>) {
///         out.clear();
///         out.extend(steps.iter().map(|t| t.reward + t.next_value));
///     }
/// }
/// let steps = OwnedSteps::on_policy(vec![0.0, 1.0, 0.0], vec![0.9; 3], vec![0.1, 0.2, 0.3, 0.4]);
/// let error = laws::value_target(&Undiscounted, &steps, laws::Scaling::Linear).unwrap_err();
/// assert!(error.to_string().starts_with("what follows a discount of 0 changes nothing before it: "));
/// ```
pub fn value_target<T: ValueTarget<f64> + ?Sized>(target: &T, steps: &OwnedSteps, scaling: Scaling) -> Verdict {
    let targets = checked(target, steps, LENGTH)?;
    all_close(DETERMINISM, "targets", &targets, &checked(target, steps, LENGTH)?, 0.0)?;
    let mut reused = vec![f64::NAN; steps.len() + 3];
    target.targets_into(view(steps)?, &mut reused);
    all_close(OVERWRITE, "targets", &targets, &reused, 0.0)?;
    cut(target, steps)?;
    if scaling == Scaling::Linear {
        linear(target, steps, &targets)?;
    }
    hostile(target, steps)
}

fn view(steps: &OwnedSteps) -> Result<Steps<'_, f64>, super::LawViolation> {
    succeed(LENGTH, steps.as_steps())
}

fn checked<T: ValueTarget<f64> + ?Sized>(
    target: &T,
    steps: &OwnedSteps,
    law: &'static str,
) -> Result<Vec<f64>, super::LawViolation> {
    let targets = target.targets(view(steps)?);
    require(law, targets.len() == steps.len(), || format!("{} transitions, {} targets", steps.len(), targets.len()))?;
    Ok(targets)
}

/// The targets up to a terminal step at `t` do not see what lies behind it.
fn cut<T: ValueTarget<f64> + ?Sized>(target: &T, steps: &OwnedSteps) -> Verdict {
    for t in 0..steps.len() {
        let mut ended = steps.clone();
        ended.discounts[t] = 0.0;
        let mut other = ended.clone();
        let future = |column: &mut Vec<f64>| column.iter_mut().skip(t + 1).for_each(|x| *x = 0.5 - *x);
        future(&mut other.rewards);
        future(&mut other.values);
        other.q_values.iter_mut().for_each(future);
        other.log_ratios.iter_mut().for_each(future);
        let (a, b) = (checked(target, &ended, LENGTH)?, checked(target, &other, LENGTH)?);
        all_close(CUT, &format!("targets up to the terminal step {t}"), &a[..=t], &b[..=t], 1e-12)?;
    }
    Ok(())
}

fn linear<T: ValueTarget<f64> + ?Sized>(target: &T, steps: &OwnedSteps, targets: &[f64]) -> Verdict {
    // a power of two scales without rounding
    let mut twice = steps.clone();
    let double = |column: &mut Vec<f64>| column.iter_mut().for_each(|x| *x *= 2.0);
    double(&mut twice.rewards);
    double(&mut twice.values);
    twice.q_values.iter_mut().for_each(double);
    let expected: Vec<_> = targets.iter().map(|x| 2.0 * x).collect();
    all_close(LINEAR, "targets of twice the inputs", &expected, &checked(target, &twice, LENGTH)?, 1e-12)
}

fn hostile<T: ValueTarget<f64> + ?Sized>(target: &T, steps: &OwnedSteps) -> Verdict {
    for poison in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE / 4.0, f64::MAX] {
        let mut poisoned = steps.clone();
        let columns = [&mut poisoned.rewards, &mut poisoned.discounts, &mut poisoned.values];
        let optional = poisoned.q_values.iter_mut().chain(&mut poisoned.log_ratios);
        for column in columns.into_iter().chain(optional) {
            column.iter_mut().step_by(2).for_each(|x| *x = poison);
        }
        checked(target, &poisoned, TOTAL)?;
    }
    checked(target, &OwnedSteps::on_policy(vec![], vec![], vec![1.0]), TOTAL).map(|_| ())
}
