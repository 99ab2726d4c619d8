//! A policy that follows a script.

use std::fmt;
use std::marker::PhantomData;

use tdrm_core::{Behaviour, Decision, Draw, Given, LogProb, LogProbs, Policy, PolicyError, Temperature};

/// Does in each context what a function says, with probability 1.
///
/// ```
/// use tdrm_core::{Draw, Policy, Seed};
/// use tdrm_testkit::mocks::ScriptedPolicy;
/// let echo = ScriptedPolicy::new(|s: &str| s.len());
/// let decisions = echo.act(&[Draw { context: "abc", seed: Seed::root(0) }])?;
/// assert_eq!((decisions[0].action, decisions[0].behaviour.log_probs[0]), (3, 0.0));
/// # Ok::<(), tdrm_core::PolicyError>(())
/// ```
#[derive(Clone, Copy)]
pub struct ScriptedPolicy<C: ?Sized, A, G> {
    script: G,
    kinds: PhantomData<fn(&C) -> A>,
}

impl<C: ?Sized, A, G> fmt::Debug for ScriptedPolicy<C, A, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedPolicy")
    }
}

impl<C: ?Sized, A, G: Fn(&C) -> A> ScriptedPolicy<C, A, G> {
    /// Follows this function.
    #[must_use]
    pub const fn new(script: G) -> Self {
        Self { script, kinds: PhantomData }
    }
}

impl<C: ?Sized, A, G: Fn(&C) -> A> Policy for ScriptedPolicy<C, A, G> {
    type Context = C;
    type Action = A;

    fn act(&self, draws: &[Draw<'_, C>]) -> Result<Vec<Decision<A>>, PolicyError> {
        let certain =
            || Behaviour { log_probs: [0.0].into_iter().collect(), temperature: Temperature::ONE, policy_version: 0 };
        Ok(draws.iter().map(|d| Decision { action: (self.script)(d.context), behaviour: certain() }).collect())
    }
}

impl<C: ?Sized, A: PartialEq, G: Fn(&C) -> A> LogProb for ScriptedPolicy<C, A, G> {
    fn log_prob(&self, given: &[Given<'_, C, A>], _: Temperature) -> Result<Vec<LogProbs>, PolicyError> {
        let score = |g: &Given<'_, C, A>| if (self.script)(g.context) == *g.action { 0.0 } else { f64::NEG_INFINITY };
        Ok(given.iter().map(|g| [score(g)].into_iter().collect()).collect())
    }
}
