//! A reward model without an opinion.

use std::fmt;
use std::marker::PhantomData;

use tdrm_core::{Real, RewardError, RewardModel, Rewards};

/// Scores every input alike: the control arm of a comparison.
///
/// ```
/// use tdrm_core::{RewardModel, Rewards};
/// use tdrm_testkit::mocks::ConstantReward;
/// assert_eq!(ConstantReward::<str, f64>::new(0.5).score(&["a"])?, [Rewards::Trajectory(0.5)]);
/// # Ok::<(), tdrm_core::RewardError>(())
/// ```
pub struct ConstantReward<X: ?Sized, F> {
    reward: F,
    kind: PhantomData<fn(&X)>,
}

impl<X: ?Sized, F: fmt::Debug> fmt::Debug for ConstantReward<X, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConstantReward").field(&self.reward).finish()
    }
}

impl<X: ?Sized, F> ConstantReward<X, F> {
    /// This reward.
    #[must_use]
    pub const fn new(reward: F) -> Self {
        Self { reward, kind: PhantomData }
    }
}

impl<X: ?Sized, F: Real> RewardModel for ConstantReward<X, F> {
    type Input = X;
    type Scalar = F;

    fn score(&self, batch: &[&X]) -> Result<Vec<Rewards<F>>, RewardError> {
        Ok(vec![Rewards::Trajectory(self.reward); batch.len()])
    }
}
