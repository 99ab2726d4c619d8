//! Policies: drawing, scoring and training are three capabilities.

use std::error::Error;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{Seed, Temperature};

/// Log-probabilities of one action: one per token, a single one for an atomic action. Natural logarithm, ≤ 0.
pub type LogProbs = SmallVec<[f64; 1]>;

/// How an action was drawn: what importance ratios need later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// log μ(a|s) under the temperature below, per token.
    pub log_probs: LogProbs,
    /// The temperature of the draw.
    pub temperature: Temperature,
    /// The optimiser step of the weights that drew.
    pub policy_version: u64,
}

/// A drawn action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision<A> {
    /// What to do: an action index, a reasoning step, a completion.
    pub action: A,
    /// How it was drawn.
    pub behaviour: Behaviour,
}

/// A request for one draw: a context and the seed of this very draw.
#[derive(Debug)]
pub struct Draw<'a, C: ?Sized> {
    /// What the policy sees.
    pub context: &'a C,
    /// The randomness of this draw.
    pub seed: Seed,
}

impl<C: ?Sized> Clone for Draw<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: ?Sized> Copy for Draw<'_, C> {}

/// Chooses actions.
///
/// # Contract
/// Batch in, batch out: `out[i]` answers `draws[i]` and depends only on its context and its seed, not on its
/// neighbours, their number or their order. The same draw gives the same decision.
///
/// # Laws
/// `tdrm_testkit::laws::policy`: arity, determinism, batch invariance, and log-probabilities ≤ 0 that agree with
/// [`LogProb`] where the policy has it.
pub trait Policy {
    /// What the policy sees: a state, a token prefix.
    type Context: ?Sized;
    /// What it emits.
    type Action;

    /// Draws one action for each request.
    ///
    /// # Errors
    /// If the model behind the policy fails; never a made-up action.
    fn act(&self, draws: &[Draw<'_, Self::Context>]) -> Result<Vec<Decision<Self::Action>>, PolicyError>;
}

/// An action to be scored in its context.
#[derive(Debug)]
pub struct Given<'a, C: ?Sized, A> {
    /// What the policy would have seen.
    pub context: &'a C,
    /// What it would have done.
    pub action: &'a A,
}

impl<C: ?Sized, A> Clone for Given<'_, C, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: ?Sized, A> Copy for Given<'_, C, A> {}

/// Scores actions it did not draw: reference models, implicit reward models.
pub trait LogProb: Policy {
    /// `log π(action | context)` per token at this temperature, `out[i]` for `given[i]`.
    ///
    /// # Errors
    /// If the model behind the policy fails.
    fn log_prob(
        &self,
        given: &[Given<'_, Self::Context, Self::Action>],
        temperature: Temperature,
    ) -> Result<Vec<LogProbs>, PolicyError>;
}

/// What a model computed for some sequences of the batch, ragged: `[n][T_i]`.
#[derive(Debug, Clone, Copy)]
pub struct Outputs<'a> {
    /// Which sequences of the batch these are: a model may work in micro-batches.
    pub range: &'a Range<usize>,
    /// log π of each action.
    pub log_probs: &'a [Vec<f64>],
    /// Entropy of each action's distribution in nats; empty where the model does not offer it.
    pub entropies: &'a [Vec<f64>],
    /// Output of the value head at each state (a logit or a value, as the model declares); empty without one.
    pub values: &'a [Vec<f64>],
}

/// Derivatives of the caller's loss in the outputs, of the same shapes; an empty column means zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Coefficients {
    /// ∂L/∂log π.
    pub log_probs: Vec<Vec<f64>>,
    /// ∂L/∂H.
    pub entropies: Vec<Vec<f64>>,
    /// ∂L/∂v.
    pub values: Vec<Vec<f64>>,
}

/// What one optimiser step did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Optimiser steps taken so far, this one included.
    pub step: u64,
    /// Euclidean norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate of this step.
    pub learning_rate: f64,
}

/// A model whose outputs can be pushed up or down.
///
/// The loss lives with the caller: the model computes its outputs, asks for `∂L/∂outputs`, back-propagates
/// `Σ c · output` and takes one optimiser step. A table does it in closed form, a transformer with one backward
/// pass, and the caller's formula is the same (DESIGN §4).
pub trait Trainable {
    /// A sequence of (context, action) pairs.
    type Sequence;

    /// One optimiser step on the batch; `loss` is asked once for each sequence, in order, in one or more calls.
    ///
    /// # Errors
    /// If the model fails, a coefficient is not finite, or shapes disagree; the weights are then unchanged.
    fn update(
        &mut self,
        batch: &[Self::Sequence],
        loss: &mut dyn FnMut(Outputs<'_>) -> Coefficients,
    ) -> Result<Update, PolicyError>;
}

const _: fn(&dyn Policy<Context = [u32], Action = u8>) = |_| {};
const _: fn(&dyn LogProb<Context = [u32], Action = u8>) = |_| {};
const _: fn(&mut dyn Trainable<Sequence = u8>) = |_| {};

/// The model behind a policy failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The back end failed.
    #[error("policy back end failed: {0}")]
    Backend(#[source] Box<dyn Error + Send + Sync>),
    /// A context or action that this policy cannot take.
    #[error("{what}: expected {expected}, got {got}")]
    Input {
        /// What was wrong.
        what: &'static str,
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// A number that should be finite is not.
    #[error("{what} is not finite at step {step}: {got}")]
    NotFinite {
        /// Which number.
        what: &'static str,
        /// Optimiser step.
        step: u64,
        /// NaN or an infinity.
        got: f64,
    },
}

impl PolicyError {
    /// Wraps the error of a back end.
    pub fn backend(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Backend(source.into())
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<P: Policy + ?Sized> Policy for $pointer {
            type Context = P::Context;
            type Action = P::Action;

            fn act(&self, draws: &[Draw<'_, P::Context>]) -> Result<Vec<Decision<P::Action>>, PolicyError> {
                (**self).act(draws)
            }
        }

        impl<P: LogProb + ?Sized> LogProb for $pointer {
            fn log_prob(
                &self,
                given: &[Given<'_, P::Context, P::Action>],
                temperature: Temperature,
            ) -> Result<Vec<LogProbs>, PolicyError> {
                (**self).log_prob(given, temperature)
            }
        }
    )*};
}
forward!(&P, Box<P>, std::sync::Arc<P>);

macro_rules! forward_mut {
    ($($pointer:ty),*) => {$(
        impl<T: Trainable + ?Sized> Trainable for $pointer {
            type Sequence = T::Sequence;

            fn update(
                &mut self,
                batch: &[T::Sequence],
                loss: &mut dyn FnMut(Outputs<'_>) -> Coefficients,
            ) -> Result<Update, PolicyError> {
                (**self).update(batch, loss)
            }
        }
    )*};
}
forward_mut!(&mut T, Box<T>);
