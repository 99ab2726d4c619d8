//! Search over reasoning steps: a language model proposes, a reward model values.

use tdrm_core::{Completed, Expand, PolicyError, RewardError, SearchError, SearchSpace, Temperature};
use tdrm_dfdx::{Lm, Prompt};

use super::fit::sigmoid;
use crate::RecipeError;
use crate::model::{Draws, Model};

/// A partial response of one problem.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// Tokens of the response so far, whole steps.
    pub tokens: Vec<u32>,
    /// Tokens of its last step.
    last: usize,
    complete: bool,
}

/// The steps of one problem as a search space.
///
/// A node is a response prefix of whole steps; children are sampled steps; the value is that of the reward model,
/// V(prompt, prefix) in [0, 1]; the cost of a node is the number of tokens of its last step.
#[derive(Debug)]
pub struct StepSpace<'a> {
    policy: &'a Model,
    reward: &'a Lm,
    prompt: Vec<u32>,
    temperature: Temperature,
    step_tokens: usize,
}

impl<'a> StepSpace<'a> {
    /// A space for one prompt; steps of at most `step_tokens` tokens, drawn at this temperature.
    ///
    /// # Errors
    /// If the prompt cannot be encoded.
    pub fn new(
        policy: &'a Model,
        reward: &'a Lm,
        prompt: &str,
        temperature: Temperature,
        step_tokens: usize,
    ) -> Result<Self, RecipeError> {
        let prompt = policy.tokenizer().encode(prompt)?;
        Ok(Self { policy, reward, prompt, temperature, step_tokens })
    }

    fn draws(&self, request: &Expand<'_, Prefix>) -> Draws {
        Draws::Sampled { count: request.width, temperature: self.temperature, seed: request.seed }
    }

    fn prompts(&self, request: &Expand<'_, Prefix>) -> Vec<Prompt> {
        let tokens = [&self.prompt[..], &request.node.tokens].concat();
        (0..request.width as u64).map(|j| Prompt { tokens: tokens.clone(), seed: request.seed.child(j) }).collect()
    }

    /// Continues each request's node until one of `stops`, all in one batch.
    fn continued(
        &self,
        requests: &[Expand<'_, Prefix>],
        max_tokens: usize,
        stops: &[u32],
    ) -> Result<Vec<Vec<Prefix>>, SearchError> {
        let Some(first) = requests.first() else { return Ok(vec![]) };
        let open: Vec<_> = requests.iter().filter(|r| !r.node.complete).collect();
        let prompts: Vec<_> = open.iter().flat_map(|r| self.prompts(r)).collect();
        let drawn = self.policy.continue_prompts(&prompts, self.draws(first), max_tokens, stops);
        let mut drawn = drawn.map_err(|e| SearchError::Policy(PolicyError::backend(e)))?.into_iter();
        let children = |r: &Expand<'_, Prefix>| {
            let width = if r.node.complete { 0 } else { r.width };
            drawn.by_ref().take(width).map(|c| self.child(r.node, &c.tokens)).collect()
        };
        Ok(requests.iter().map(children).collect())
    }

    /// A step that was cut off, ends the response, or says the answer completes the node.
    fn child(&self, parent: &Prefix, step: &[u32]) -> Prefix {
        let tokens = [&parent.tokens[..], step].concat();
        let broken_off = step.last().is_none_or(|&t| t != self.policy.separator());
        let answers = step.first().is_some_and(|&t| Some(t) == self.policy.tokenizer().character('#'));
        Prefix { tokens, last: step.len(), complete: broken_off || answers }
    }
}

impl SearchSpace for StepSpace<'_> {
    type Node = Prefix;

    fn root(&self) -> Prefix {
        Prefix { tokens: vec![], last: 0, complete: false }
    }

    fn expand(&mut self, requests: &[Expand<'_, Prefix>]) -> Result<Vec<Vec<Prefix>>, SearchError> {
        let stops = [self.policy.separator(), self.policy.end()];
        self.continued(requests, self.step_tokens, &stops)
    }

    fn value(&mut self, nodes: &[Prefix]) -> Result<Vec<f64>, SearchError> {
        let tokens: Vec<_> = nodes.iter().map(|n| [&self.prompt[..], &n.tokens].concat()).collect();
        let batch: Vec<_> = tokens.iter().map(Vec::as_slice).collect();
        let logits = self.reward.values(&batch).map_err(|e| SearchError::Reward(RewardError::backend(e)))?;
        Ok(logits.iter().map(|row| row.last().map_or(0.0, |&z| sigmoid(z))).collect())
    }

    fn is_complete(&self, node: &Prefix) -> bool {
        node.complete
    }

    fn cost(&self, node: &Prefix) -> u64 {
        node.last as u64
    }

    fn complete(
        &mut self,
        requests: &[Expand<'_, Prefix>],
        max_depth: usize,
    ) -> Result<Vec<Vec<Completed<Prefix>>>, SearchError> {
        let drawn = self.continued(requests, max_depth * self.step_tokens, &[self.policy.end()])?;
        let finished = |p: Prefix| Completed { cost: p.last as u64, node: Prefix { complete: true, ..p } };
        Ok(drawn.into_iter().map(|row| row.into_iter().map(finished).collect()).collect())
    }
}
