//! A small actor-critic for the classic environments.
//!
//! Two multilayer perceptrons with tanh, one for the policy's logits and one for the value, on dfdx's own operations.
//! It is trained like the language model: the caller gets log π, entropies and values, and returns derivatives.

use dfdx::prelude::*;
use dfdx::tensor::{Cpu, CpuError, Merge, Tape};
use rand::RngExt as _;
use rand_distr::{Distribution as _, Normal};
use serde::{Deserialize, Serialize};
use tdrm_core::{
    Behaviour, Coefficients, Decision, Draw, Given, LogProb, LogProbs, Outputs, Policy, PolicyError, Seed, Temperature,
    Trainable, Update,
};
use tdrm_kernels::{adamw, logprob};

use crate::tape::floats;
use crate::{LmError, Optimiser};

type T1<T = NoneTape> = Tensor<(usize,), f32, Cpu, T>;
type T2<T = NoneTape> = Tensor<(usize, usize), f32, Cpu, T>;
type Owned = OwnedTape<f32, Cpu>;

/// Shape of an actor-critic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActorCriticConfig {
    /// Numbers in an observation, at least 1.
    pub observation: usize,
    /// Widths of the hidden layers, of both networks.
    pub hidden: Vec<usize>,
    /// Actions, at least 1.
    pub actions: usize,
}

impl ActorCriticConfig {
    /// `(inputs, outputs)` of the layers of a network with so many outputs.
    fn layers(&self, outputs: usize) -> Vec<(usize, usize)> {
        let widths: Vec<usize> =
            [self.observation].into_iter().chain(self.hidden.iter().copied()).chain([outputs]).collect();
        widths.windows(2).map(|pair| (pair[0], pair[1])).collect()
    }

    fn check(&self) -> Result<(), LmError> {
        let sizes = [self.observation, self.actions].into_iter().chain(self.hidden.iter().copied());
        match sizes.min() {
            Some(0) => Err(LmError::Setting { what: "size of an actor-critic", expected: "at least 1", got: 0.0 }),
            _ => Ok(()),
        }
    }
}

/// Observations and the actions taken on them, `[T]` each: the sequence that an actor-critic learns from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Episode {
    /// What was seen before each action, `[T][observation]`.
    pub observations: Vec<Vec<f32>>,
    /// What was done, `[T]`.
    pub actions: Vec<usize>,
}

/// An actor-critic with its optimiser.
///
/// As a [`Trainable`] it offers log-probabilities, entropies and values (not logits of values) at every step.
#[derive(Debug, Clone, PartialEq)]
pub struct ActorCritic {
    config: ActorCriticConfig,
    optimiser: Optimiser,
    /// Weights and biases of the policy's layers, then of the value's.
    theta: Vec<f32>,
    first_moment: Vec<f32>,
    second_moment: Vec<f32>,
    step: u64,
}

/// A layer on the device.
struct Layer {
    weight: T2,
    bias: T1,
}

impl ActorCritic {
    /// Fresh weights: normal with variance 1/inputs (the policy's last layer a hundred times smaller), biases 0.
    ///
    /// # Errors
    /// If a size is 0 or a setting of the optimiser is out of its range.
    pub fn new(config: ActorCriticConfig, optimiser: Optimiser, seed: Seed) -> Result<Self, LmError> {
        config.check()?;
        optimiser.check()?;
        let mut rng = seed.rng();
        let mut theta = Vec::new();
        for (outputs, last) in [(config.actions, 0.01), (1, 1.0)] {
            let layers = config.layers(outputs);
            for (i, &(inputs, outputs)) in layers.iter().enumerate() {
                let scale = if i + 1 == layers.len() { last } else { 1.0 } / (inputs as f32).sqrt();
                let normal = Normal::new(0.0, scale).map_err(|_| LmError::Setting {
                    what: "scale of fresh weights",
                    expected: "a positive number",
                    got: f64::from(scale),
                })?;
                theta.extend((0..inputs * outputs).map(|_| normal.sample(&mut rng)));
                theta.resize(theta.len() + outputs, 0.0);
            }
        }
        let zeros = vec![0.0; theta.len()];
        Ok(Self { config, optimiser, theta, first_moment: zeros.clone(), second_moment: zeros, step: 0 })
    }

    /// The shape.
    #[must_use]
    pub fn config(&self) -> &ActorCriticConfig {
        &self.config
    }

    /// Logits of the actions `[N][actions]` and values `[N]`.
    ///
    /// # Errors
    /// If an observation has the wrong size or is not finite.
    pub fn evaluate(&self, observations: &[&[f32]]) -> Result<(Vec<Vec<f32>>, Vec<f32>), LmError> {
        if observations.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let device = Cpu::default();
        let x = self.upload(&device, observations)?;
        let (policy, value) = self.layers(&device);
        let logits = floats(&network(&policy, x.clone()));
        let values = floats(&network(&value, x));
        Ok((logits.chunks_exact(self.config.actions).map(<[f32]>::to_vec).collect(), values))
    }

    fn upload(&self, device: &Cpu, observations: &[&[f32]]) -> Result<T2, LmError> {
        let width = self.config.observation;
        for (sequence, observation) in observations.iter().enumerate() {
            if observation.len() != width {
                let (expected, got) = (width.to_string(), observation.len());
                return Err(LmError::Sequence { sequence, what: "size of an observation", expected, got });
            }
            if !observation.iter().all(|x| x.is_finite()) {
                return Err(LmError::NotFinite { what: "observation".to_owned(), step: self.step });
            }
        }
        Ok(device.tensor_from_vec(observations.concat(), (observations.len(), width)))
    }

    /// The layers of the policy and of the value.
    fn layers(&self, device: &Cpu) -> (Vec<Layer>, Vec<Layer>) {
        let mut rest = self.theta.as_slice();
        let mut next = |len: usize| {
            let (head, tail) = rest.split_at(len);
            rest = tail;
            head.to_vec()
        };
        let mut upload = |outputs: usize| {
            let layer = |(inputs, outputs): (usize, usize)| Layer {
                weight: device.tensor_from_vec(next(inputs * outputs), (outputs, inputs)),
                bias: device.tensor_from_vec(next(outputs), (outputs,)),
            };
            self.config.layers(outputs).into_iter().map(layer).collect()
        };
        (upload(self.config.actions), upload(1))
    }

    /// The gradient of `Σ c · output`, with the coefficients that `loss` asks for.
    fn gradient(
        &self,
        batch: &[Episode],
        loss: &mut dyn FnMut(Outputs<'_>) -> Coefficients,
    ) -> Result<Vec<f32>, LmError> {
        let (device, counts) = (Cpu::default(), self.check_batch(batch)?);
        let observations: Vec<&[f32]> = batch.iter().flat_map(|e| e.observations.iter().map(Vec::as_slice)).collect();
        let actions: Vec<usize> = batch.iter().flat_map(|e| e.actions.iter().copied()).collect();
        let n = actions.len();
        let x = self.upload(&device, &observations)?;
        let (policy, value) = self.layers(&device);
        let log_p = network(&policy, x.retaped::<Owned>()).log_softmax::<Axis<1>>();
        let p = log_p.retaped::<Owned>().exp();
        let entropy = (p * log_p.retaped::<Owned>()).sum::<(usize,), Axis<1>>().negate();
        let chosen = log_p.select(device.tensor_from_vec(actions, (n,)));
        let values = network(&value, x.retaped::<Owned>()).sum::<(usize,), Axis<1>>();
        let ragged = |tensor: &T1<Owned>| ragged(&floats(tensor), &counts);
        let outputs = (ragged(&chosen), ragged(&entropy), ragged(&values));
        let range = 0..batch.len();
        let wanted = loss(Outputs { range: &range, log_probs: &outputs.0, entropies: &outputs.1, values: &outputs.2 });
        let c = |what, column: &[Vec<f64>]| {
            let c = flat(what, column, &counts, self.step)?;
            Ok::<T1, LmError>(device.tensor_from_vec(c, (n,)))
        };
        let total = (chosen * c("log-probabilities", &wanted.log_probs)?).sum::<Rank0, _>()
            + (entropy * c("entropies", &wanted.entropies)?).sum::<Rank0, _>()
            + (values * c("values", &wanted.values)?).sum::<Rank0, _>();
        let mut gradients = total.try_backward().map_err(|error| LmError::Tape(error.to_string()))?;
        let mut gradient = Vec::with_capacity(self.theta.len());
        for layer in policy.iter().chain(&value) {
            let failed = |error: CpuError| LmError::Tape(error.to_string());
            gradient.extend_from_slice(gradients.get_or_alloc_mut(&layer.weight).map_err(failed)?);
            gradient.extend_from_slice(gradients.get_or_alloc_mut(&layer.bias).map_err(failed)?);
        }
        Ok(gradient)
    }

    /// Steps of each episode.
    fn check_batch(&self, batch: &[Episode]) -> Result<Vec<usize>, LmError> {
        for (sequence, episode) in batch.iter().enumerate() {
            let (got, steps) = (episode.observations.len(), episode.actions.len());
            if got != steps {
                let expected = steps.to_string();
                return Err(LmError::Sequence { sequence, what: "observations", expected, got });
            }
            if let Some(&got) = episode.actions.iter().find(|&&action| action >= self.config.actions) {
                let expected = format!("below {}", self.config.actions);
                return Err(LmError::Sequence { sequence, what: "action", expected, got });
            }
        }
        Ok(batch.iter().map(|episode| episode.actions.len()).collect())
    }
}

/// `tanh` between layers, none after the last.
fn network<T: Tape<f32, Cpu> + Merge<T>>(layers: &[Layer], mut x: T2<T>) -> T2<T> {
    for (i, layer) in layers.iter().enumerate() {
        let shape = (x.shape().0, layer.bias.shape().0);
        let weight = layer.weight.retaped::<T>().permute::<(usize, usize), Axes2<1, 0>>();
        x = x.matmul(weight) + layer.bias.retaped::<T>().broadcast_like::<_, Axis<0>>(&shape);
        if i + 1 < layers.len() {
            x = x.tanh();
        }
    }
    x
}

fn ragged(flat: &[f32], counts: &[usize]) -> Vec<Vec<f64>> {
    let mut start = 0;
    let cut = |count: &usize| {
        start += count;
        flat[start - count..start].iter().map(|&x| f64::from(x)).collect()
    };
    counts.iter().map(cut).collect()
}

/// An empty column means zero.
fn flat(what: &'static str, column: &[Vec<f64>], counts: &[usize], step: u64) -> Result<Vec<f32>, LmError> {
    if column.is_empty() {
        return Ok(vec![0.0; counts.iter().sum()]);
    }
    if column.len() != counts.len() {
        return Err(LmError::Coefficients { what, expected: counts.len(), got: column.len() });
    }
    if let Some((row, &expected)) = column.iter().zip(counts).find(|(row, count)| row.len() != **count) {
        return Err(LmError::Coefficients { what, expected, got: row.len() });
    }
    if !column.iter().flatten().all(|c| c.is_finite()) {
        return Err(LmError::NotFinite { what: format!("coefficient of {what}"), step });
    }
    Ok(column.iter().flatten().map(|&c| c as f32).collect())
}

impl Trainable for ActorCritic {
    type Sequence = Episode;

    fn update(
        &mut self,
        batch: &[Episode],
        loss: &mut dyn FnMut(Outputs<'_>) -> Coefficients,
    ) -> Result<Update, PolicyError> {
        let steps: usize = batch.iter().map(|episode| episode.actions.len()).sum();
        // dfdx cannot sum nothing.
        let gradient = if steps == 0 { vec![0.0; self.theta.len()] } else { self.gradient(batch, loss)? };
        let gradient_norm = adamw::sum_of_squares(&gradient).sqrt();
        if !gradient_norm.is_finite() {
            return Err(PolicyError::NotFinite { what: "gradient", step: self.step, got: gradient_norm });
        }
        let constants = self.optimiser.constants(self.step, gradient_norm);
        adamw::step(&constants, &mut self.theta, &gradient, &mut self.first_moment, &mut self.second_moment)
            .map_err(PolicyError::backend)?;
        self.step += 1;
        Ok(Update { step: self.step, gradient_norm, learning_rate: f64::from(constants.learning_rate) })
    }
}

/// The temperature at which an actor-critic acts.
const ONE: f32 = 1.0;

impl Policy for ActorCritic {
    type Context = [f32];
    type Action = usize;

    fn act(&self, draws: &[Draw<'_, [f32]>]) -> Result<Vec<Decision<usize>>, PolicyError> {
        let temperature = Temperature::new(f64::from(ONE)).map_err(PolicyError::backend)?;
        let decision = |draw: &Draw<'_, [f32]>| {
            // One row at a time: a product of several rows may round differently, and a draw must not see its neighbours.
            let (logits, _) = self.evaluate(&[draw.context])?;
            let token = logprob::draw(&logits[0], ONE, draw.seed.rng().random()).map_err(PolicyError::backend)?;
            let log_prob = score(&logits[0], token as usize, ONE)?;
            let log_probs = LogProbs::from_slice(&[log_prob]);
            let behaviour = Behaviour { log_probs, temperature, policy_version: self.step };
            Ok(Decision { action: token as usize, behaviour })
        };
        draws.iter().map(decision).collect()
    }
}

impl LogProb for ActorCritic {
    fn log_prob(
        &self,
        given: &[Given<'_, [f32], usize>],
        temperature: Temperature,
    ) -> Result<Vec<LogProbs>, PolicyError> {
        let one = |given: &Given<'_, [f32], usize>| {
            let (logits, _) = self.evaluate(&[given.context])?;
            Ok(LogProbs::from_slice(&[score(&logits[0], *given.action, temperature.get())?]))
        };
        given.iter().map(one).collect()
    }
}

/// log π of one action.
fn score(logits: &[f32], action: usize, temperature: f32) -> Result<f64, PolicyError> {
    let mut scores = [logprob::Score::default()];
    logprob::forward(logits, &[action as u32], temperature, &mut scores).map_err(PolicyError::backend)?;
    Ok(f64::from(scores[0].log_prob))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests state exact values")]
mod tests {
    use super::*;

    fn network(seed: u64) -> ActorCritic {
        let config = ActorCriticConfig { observation: 3, hidden: vec![16, 8], actions: 3 };
        ActorCritic::new(config, Optimiser::adamw(1e-2), Seed::root(seed)).unwrap()
    }

    fn one_hot(i: usize) -> Vec<f32> {
        (0..3).map(|j| f32::from(u8::from(i == j))).collect()
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let mut net = network(1);
        // Larger last weights, so that the policy is not uniform.
        net.theta.iter_mut().for_each(|w| *w *= 3.0);
        let episode = Episode { observations: vec![vec![0.2, -0.7, 1.1], vec![0.9, 0.1, -0.3]], actions: vec![2, 0] };
        let c = [[0.7, -1.3], [0.4, 0.9], [-0.6, 0.2]].map(|column| vec![column.to_vec()]);
        let outputs = |net: &ActorCritic| {
            let mut total = 0.0;
            let gradient = net.gradient(std::slice::from_ref(&episode), &mut |o| {
                let columns = [o.log_probs, o.entropies, o.values];
                total = columns.iter().zip(&c).flat_map(|(o, c)| o[0].iter().zip(&c[0])).map(|(o, c)| o * c).sum();
                Coefficients { log_probs: c[0].clone(), entropies: c[1].clone(), values: c[2].clone() }
            });
            (total, gradient.unwrap())
        };
        let (_, gradient) = outputs(&net);
        for i in (0..net.theta.len()).step_by(7) {
            let (at, step) = (net.theta[i], 0.01);
            net.theta[i] = at + step;
            let above: f64 = outputs(&net).0;
            net.theta[i] = at - step;
            let slope = (above - outputs(&net).0) / (2.0 * f64::from(step));
            net.theta[i] = at;
            assert!(
                (slope - f64::from(gradient[i])).abs() < 2e-3 * (1.0 + slope.abs()),
                "{i}: {slope} {}",
                gradient[i]
            );
        }
    }

    #[test]
    fn a_contextual_bandit_is_solved_from_three_seeds() {
        for seed in 0..3 {
            let mut net = network(seed);
            for round in 0..120 {
                let contexts: Vec<_> = (0..30).map(|i| one_hot(i % 3)).collect();
                let seeds = |i: usize| Seed::root(seed).child(round).child(i as u64);
                let draws: Vec<_> =
                    contexts.iter().enumerate().map(|(i, c)| Draw { context: c.as_slice(), seed: seeds(i) }).collect();
                let decisions = net.act(&draws).unwrap();
                let actions: Vec<usize> = decisions.iter().map(|decision| decision.action).collect();
                // The right action of context i is (i + 1) mod 3; advantage = reward − value; value by squared error.
                let reward = |i: usize| f64::from(u8::from(actions[i] == (i + 1) % 3));
                let rewards: Vec<f64> = (0..30).map(reward).collect();
                let batch = [Episode { observations: contexts, actions: actions.clone() }];
                net.update(&batch, &mut |o| {
                    let advantage = rewards.iter().zip(&o.values[0]).map(|(r, v)| r - v);
                    Coefficients {
                        log_probs: vec![advantage.clone().map(|a| -a / 30.0).collect()],
                        entropies: Vec::new(),
                        values: vec![advantage.map(|a| -a / 30.0).collect()],
                    }
                })
                .unwrap();
            }
            for context in 0..3 {
                let (given, action) = (one_hot(context), (context + 1) % 3);
                let given = [Given { context: given.as_slice(), action: &action }];
                let log_prob = net.log_prob(&given, Temperature::new(1.0).unwrap()).unwrap()[0][0];
                assert!(log_prob.exp() > 0.9, "seed {seed}, context {context}: {}", log_prob.exp());
            }
        }
    }

    #[test]
    fn bad_input_is_refused_and_changes_nothing() {
        let mut net = network(0);
        let before = net.clone();
        let episode =
            |observation: Vec<f32>, action| Episode { observations: vec![observation], actions: vec![action] };
        let zero = &mut |_: Outputs<'_>| Coefficients::default();
        for wrong in [episode(vec![0.0; 2], 0), episode(vec![f32::NAN; 3], 0), episode(vec![0.0; 3], 3)] {
            assert!(net.update(&[wrong], zero).is_err());
        }
        let nan = &mut |_: Outputs<'_>| Coefficients { values: vec![vec![f64::NAN]], ..Coefficients::default() };
        assert!(net.update(&[episode(vec![0.0; 3], 1)], nan).is_err());
        assert!(net == before);
        let config = ActorCriticConfig { observation: 0, hidden: vec![], actions: 2 };
        assert!(ActorCritic::new(config, Optimiser::adamw(1e-3), Seed::root(0)).is_err());
    }
}
