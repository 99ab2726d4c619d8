//! Laws of reward models.

use tdrm_core::{Real, RewardModel, Rewards};

use super::{ARITY, BATCH, DETERMINISM, LawViolation, ORDER, Verdict, all_close, require, succeed};

const FINITE: &str = "a score is a finite number";
const FORM: &str = "an input is scored in the same form (outcome or steps) every time";

/// Checks a reward model on a batch of inputs.
///
/// # Errors
/// The first law that it breaks.
///
/// ```
/// use tdrm_core::{Rewards, reward_fn};
/// use tdrm_testkit::laws;
/// let model = reward_fn(|s: &str| Rewards::Trajectory(1.0 / s.len() as f64));
/// let error = laws::reward_model(&model, &["ok", ""], 0.0).unwrap_err();
/// assert_eq!(error.to_string(), "a score is a finite number: input 1 has [inf]");
/// ```
pub fn reward_model<M: RewardModel + ?Sized>(model: &M, batch: &[&M::Input], tolerance: f64) -> Verdict {
    let together = score(model, batch)?;
    for (i, rewards) in together.iter().enumerate() {
        let finite = rewards.as_slice().iter().all(|x| x.as_f64().is_finite());
        require(FINITE, finite, || format!("input {i} has {:?}", rewards.as_slice()))?;
    }
    same(DETERMINISM, &together, &score(model, batch)?, tolerance)?;
    let reversed: Vec<_> = batch.iter().rev().copied().collect();
    let mut answers = score(model, &reversed)?;
    answers.reverse();
    same(ORDER, &together, &answers, tolerance)?;
    for (i, input) in batch.iter().enumerate() {
        same(BATCH, &together[i..=i], &score(model, &[input])?, tolerance)?;
    }
    score(model, &[]).map(|_| ())
}

fn score<M: RewardModel + ?Sized>(model: &M, batch: &[&M::Input]) -> Result<Vec<Rewards<M::Scalar>>, LawViolation> {
    let rewards = succeed(ARITY, model.score(batch))?;
    require(ARITY, rewards.len() == batch.len(), || format!("{} inputs, {} scores", batch.len(), rewards.len()))?;
    Ok(rewards)
}

fn same<F: Real>(law: &'static str, a: &[Rewards<F>], b: &[Rewards<F>], tolerance: f64) -> Verdict {
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        let form = std::mem::discriminant(x) == std::mem::discriminant(y);
        require(FORM, form, || format!("input {i}: {x:?} against {y:?}"))?;
        let numbers = |r: &Rewards<F>| r.as_slice().iter().map(|x| x.as_f64()).collect::<Vec<_>>();
        all_close(law, &format!("input {i}"), &numbers(x), &numbers(y), tolerance)?;
    }
    Ok(())
}
