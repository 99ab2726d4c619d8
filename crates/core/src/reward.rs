//! Reward models and the adaptors that compose them.

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use crate::{Real, ShapeError};

/// The reward of one trajectory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rewards<F> {
    /// One number for the whole trajectory (outcome reward models).
    Trajectory(F),
    /// One number per step, in order (process reward models).
    Steps(Vec<F>),
}

impl<F: Real> Rewards<F> {
    /// All numbers, `[1]` or `[K]`.
    #[must_use]
    pub fn as_slice(&self) -> &[F] {
        match self {
            Self::Trajectory(r) => std::slice::from_ref(r),
            Self::Steps(r) => r,
        }
    }

    /// The number that stands for the complete trajectory: the outcome, or the last step's; `None` without steps.
    #[must_use]
    pub fn last(&self) -> Option<F> {
        self.as_slice().last().copied()
    }

    /// Applies `f` to each number.
    #[must_use]
    pub fn map(self, f: impl Fn(F) -> F) -> Self {
        match self {
            Self::Trajectory(r) => Self::Trajectory(f(r)),
            Self::Steps(r) => Self::Steps(r.into_iter().map(f).collect()),
        }
    }

    /// `self + weight · other`; the reward of a whole trajectory is paid at its last step.
    ///
    /// # Errors
    /// If both have steps, but not the same number, or an outcome meets a trajectory without steps.
    pub fn plus(self, weight: F, other: Self) -> Result<Self, ShapeError> {
        match (self, other) {
            (Self::Trajectory(a), Self::Trajectory(b)) => Ok(Self::Trajectory(a + weight * b)),
            (Self::Steps(a), Self::Steps(b)) => {
                ShapeError::check("steps", a.len(), b.len())?;
                Ok(Self::Steps(a.into_iter().zip(b).map(|(x, y)| x + weight * y).collect()))
            }
            (Self::Steps(steps), Self::Trajectory(r)) => pay_at_end(steps, weight * r),
            (Self::Trajectory(r), Self::Steps(steps)) => pay_at_end(steps.into_iter().map(|x| weight * x).collect(), r),
        }
    }
}

fn pay_at_end<F: Real>(mut steps: Vec<F>, reward: F) -> Result<Rewards<F>, ShapeError> {
    let last = steps.last_mut().ok_or(ShapeError { column: "steps", expected: 1, got: 0 })?;
    *last = *last + reward;
    Ok(Rewards::Steps(steps))
}

/// Scores trajectories.
///
/// # Contract
/// `out[i]` belongs to `batch[i]` and does not depend on its neighbours, their number or their order. A failure is
/// an `Err`: it never becomes a number.
///
/// # Laws
/// `tdrm_testkit::laws::reward_model`: arity, determinism, batch invariance, permutation, finite scores.
///
/// # Composition
/// Adaptors wrap from the inside out:
/// ```
/// use tdrm_core::{RewardModel, Rewards, reward_fn};
/// let length = reward_fn(|s: &str| Rewards::Trajectory(s.len() as f32));
/// let shout = reward_fn(|s: &str| Rewards::Trajectory(if s.ends_with('!') { 1.0 } else { 0.0 }));
/// let model = length.clip(0.0, 3.0).plus(0.5, shout);
/// assert_eq!(model.score(&["hello!", "hi"])?, [Rewards::Trajectory(3.5), Rewards::Trajectory(2.0)]);
/// # Ok::<(), tdrm_core::RewardError>(())
/// ```
pub trait RewardModel: Send + Sync {
    /// What is scored: a text, a token sequence, a task with its response.
    type Input: ?Sized;
    /// `f32` or `f64`.
    type Scalar: Real;

    /// One reward per input.
    ///
    /// # Errors
    /// If the model behind the trait fails.
    fn score(&self, batch: &[&Self::Input]) -> Result<Vec<Rewards<Self::Scalar>>, RewardError>;

    /// Clamps each number to `[low, high]`.
    fn clip(self, low: Self::Scalar, high: Self::Scalar) -> Clip<Self>
    where
        Self: Sized,
    {
        Clip { inner: self, low, high }
    }

    /// Multiplies each number by `factor`.
    fn scale(self, factor: Self::Scalar) -> Scale<Self>
    where
        Self: Sized,
    {
        Scale { inner: self, factor }
    }

    /// Adds `weight` times another model; see [`Rewards::plus`] for steps against trajectories.
    fn plus<N>(self, weight: Self::Scalar, other: N) -> Plus<Self, N>
    where
        Self: Sized,
        N: RewardModel<Input = Self::Input, Scalar = Self::Scalar>,
    {
        Plus { inner: self, weight, other }
    }

    /// Erases the type.
    fn boxed<'a>(self) -> BoxReward<'a, Self::Input, Self::Scalar>
    where
        Self: Sized + 'a,
    {
        Box::new(self)
    }
}

/// A type-erased reward model.
pub type BoxReward<'a, X, F> = Box<dyn RewardModel<Input = X, Scalar = F> + 'a>;

const _: fn(&dyn RewardModel<Input = str, Scalar = f32>) = |_| {};

/// Scoring failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewardError {
    /// The model behind the trait failed.
    #[error("reward back end failed: {0}")]
    Backend(#[source] Box<dyn Error + Send + Sync>),
    /// A back end returned another number of scores than it was asked for.
    #[error("expected {expected} scores, back end returned {got}")]
    Arity {
        /// Trajectories asked for.
        expected: usize,
        /// Scores returned.
        got: usize,
    },
    /// Step rewards of different models do not fit together.
    #[error("rewards of trajectory {index} do not fit: {source}")]
    Shape {
        /// Position in the batch.
        index: usize,
        /// What does not fit.
        source: ShapeError,
    },
    /// A score that should be finite is not.
    #[error("score of trajectory {index} is not finite: {got}")]
    NotFinite {
        /// Position in the batch.
        index: usize,
        /// NaN or an infinity.
        got: f64,
    },
    /// A response that the model cannot judge and whose reward the caller did not choose.
    #[error("trajectory {index} cannot be judged: {reason}")]
    Unjudged {
        /// Position in the batch.
        index: usize,
        /// Why.
        reason: String,
    },
}

impl RewardError {
    /// Wraps the error of a back end.
    pub fn backend(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Backend(source.into())
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<M: RewardModel + ?Sized> RewardModel for $pointer {
            type Input = M::Input;
            type Scalar = M::Scalar;

            fn score(&self, batch: &[&M::Input]) -> Result<Vec<Rewards<M::Scalar>>, RewardError> {
                (**self).score(batch)
            }
        }
    )*};
}
forward!(&M, Box<M>, std::sync::Arc<M>);

/// See [`RewardModel::clip`].
#[derive(Debug, Clone)]
#[must_use = "a reward model does nothing until it scores"]
pub struct Clip<M: RewardModel> {
    inner: M,
    low: M::Scalar,
    high: M::Scalar,
}

impl<M: RewardModel> RewardModel for Clip<M> {
    type Input = M::Input;
    type Scalar = M::Scalar;

    fn score(&self, batch: &[&M::Input]) -> Result<Vec<Rewards<M::Scalar>>, RewardError> {
        let rewards = self.inner.score(batch)?;
        Ok(rewards.into_iter().map(|r| r.map(|x| clamp(x, self.low, self.high))).collect())
    }
}

/// Clamps, but lets NaN through: a failure must stay visible.
fn clamp<F: Real>(x: F, low: F, high: F) -> F {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

/// See [`RewardModel::scale`].
#[derive(Debug, Clone)]
#[must_use = "a reward model does nothing until it scores"]
pub struct Scale<M: RewardModel> {
    inner: M,
    factor: M::Scalar,
}

impl<M: RewardModel> RewardModel for Scale<M> {
    type Input = M::Input;
    type Scalar = M::Scalar;

    fn score(&self, batch: &[&M::Input]) -> Result<Vec<Rewards<M::Scalar>>, RewardError> {
        let rewards = self.inner.score(batch)?;
        Ok(rewards.into_iter().map(|r| r.map(|x| x * self.factor)).collect())
    }
}

/// See [`RewardModel::plus`].
#[derive(Debug, Clone)]
#[must_use = "a reward model does nothing until it scores"]
pub struct Plus<M: RewardModel, N> {
    inner: M,
    weight: M::Scalar,
    other: N,
}

impl<M, N> RewardModel for Plus<M, N>
where
    M: RewardModel,
    N: RewardModel<Input = M::Input, Scalar = M::Scalar>,
{
    type Input = M::Input;
    type Scalar = M::Scalar;

    fn score(&self, batch: &[&M::Input]) -> Result<Vec<Rewards<M::Scalar>>, RewardError> {
        let pairs = arity(batch, self.inner.score(batch)?)?.into_iter().zip(arity(batch, self.other.score(batch)?)?);
        pairs
            .enumerate()
            .map(|(index, (a, b))| a.plus(self.weight, b).map_err(|source| RewardError::Shape { index, source }))
            .collect()
    }
}

fn arity<X: ?Sized, R>(batch: &[&X], scores: Vec<R>) -> Result<Vec<R>, RewardError> {
    if batch.len() == scores.len() {
        Ok(scores)
    } else {
        Err(RewardError::Arity { expected: batch.len(), got: scores.len() })
    }
}

/// See [`reward_fn`].
#[must_use = "a reward model does nothing until it scores"]
pub struct RewardFn<X: ?Sized, G>(G, PhantomData<fn(&X)>);

impl<X: ?Sized, G> fmt::Debug for RewardFn<X, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RewardFn")
    }
}

/// A reward model from a closure on one trajectory.
pub fn reward_fn<X: ?Sized, F: Real, G: Fn(&X) -> Rewards<F> + Send + Sync>(f: G) -> RewardFn<X, G> {
    RewardFn(f, PhantomData)
}

impl<X: ?Sized, F: Real, G: Fn(&X) -> Rewards<F> + Send + Sync> RewardModel for RewardFn<X, G> {
    type Input = X;
    type Scalar = F;

    fn score(&self, batch: &[&X]) -> Result<Vec<Rewards<F>>, RewardError> {
        Ok(batch.iter().map(|x| (self.0)(x)).collect())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn length() -> impl RewardModel<Input = str, Scalar = f64> {
        reward_fn(|s: &str| Rewards::Trajectory(s.len() as f64))
    }

    fn per_letter() -> impl RewardModel<Input = str, Scalar = f64> {
        reward_fn(|s: &str| Rewards::Steps(s.bytes().map(|b| f64::from(b - b'a')).collect()))
    }

    #[test]
    fn clipping_after_adding_differs_from_adding_after_clipping() {
        // "abc": clip(3, 0, 2) + 1·3 = 5, clip(3 + 1·3, 0, 2) = 2
        let inside = length().clip(0.0, 2.0).plus(1.0, length());
        let outside = length().plus(1.0, length()).clip(0.0, 2.0);
        assert_eq!(inside.score(&["abc"]).unwrap(), [Rewards::Trajectory(5.0)]);
        assert_eq!(outside.score(&["abc"]).unwrap(), [Rewards::Trajectory(2.0)]);
    }

    #[test]
    fn an_outcome_is_paid_at_the_last_step() {
        // steps (0, 1, 2) + 0.5 · 3 at the end
        let model = per_letter().plus(0.5, length());
        assert_eq!(model.score(&["abc"]).unwrap(), [Rewards::Steps(vec![0.0, 1.0, 3.5])]);
        // 3 at the end of 0.5 · (0, 1, 2)
        let model = length().plus(0.5, per_letter());
        assert_eq!(model.score(&["abc"]).unwrap(), [Rewards::Steps(vec![0.0, 0.5, 4.0])]);
    }

    #[test]
    fn an_outcome_without_a_step_to_pay_it_at_is_an_error() {
        let error = length().plus(1.0, per_letter()).score(&["abc", ""]).unwrap_err();
        assert!(matches!(error, RewardError::Shape { index: 1, .. }), "{error}");
    }

    #[test]
    fn a_nan_is_not_clipped_into_a_number() {
        let broken = reward_fn(|_: &str| Rewards::Trajectory(f64::NAN)).clip(0.0, 1.0);
        assert!(broken.score(&["x"]).unwrap()[0].last().unwrap().is_nan());
    }

    #[test]
    fn boxes_references_and_arcs_are_reward_models_too() {
        let boxed: BoxReward<'_, str, f64> = length().scale(2.0).boxed();
        let shared = std::sync::Arc::new(boxed);
        assert_eq!((&shared).clip(0.0, 4.0).score(&["abc"]).unwrap(), [Rewards::Trajectory(4.0)]);
    }

    #[test]
    fn a_back_end_that_loses_a_score_is_found_out() {
        struct Lossy;
        impl RewardModel for Lossy {
            type Input = str;
            type Scalar = f64;
            fn score(&self, _: &[&str]) -> Result<Vec<Rewards<f64>>, RewardError> {
                Ok(vec![])
            }
        }
        let error = length().plus(1.0, Lossy).score(&["a"]).unwrap_err();
        assert_eq!(error.to_string(), "expected 1 scores, back end returned 0");
    }
}
