//! A softmax policy and a value per state, in two tables.

use rand::RngExt;
use serde::{Deserialize, Serialize};
use tdrm_core::{
    Behaviour, Coefficients, Decision, Draw, Given, LogProb, LogProbs, Outputs, Policy, PolicyError, ShapeError,
    Temperature, Trainable, Update,
};

use super::Optimiser;
use super::optimiser::Moments;
use crate::dp::StateActions;

/// One visit: the state and the action taken in it.
pub type StateAction = (usize, usize);

/// A softmax table with a value table beside it: the learner of the property tests.
///
/// ```text
/// π(a|s) = exp θ(s,a) / Σ_b exp θ(s,b),   v(s) = w(s)
/// ∂log π(a|s)/∂θ(s,b) = 1[a = b] − π(b|s)
/// ∂H(s)/∂θ(s,b)       = −π(b|s) (log π(b|s) + H(s))
/// ```
///
/// It offers everything a neural policy offers ([`Policy`], [`LogProb`], [`Trainable`] with entropies and values),
/// with gradients in closed form, so that a formula is tested on it in milliseconds.
///
/// ```
/// use tdrm_core::{Coefficients, Positive, Trainable};
/// use tdrm_envs::learner::{Optimiser, TablePolicy};
/// let mut policy = TablePolicy::new(1, 2, Optimiser::Sgd { learning_rate: Positive::new(1.0)? });
/// // raise log π of action 1: loss −log π(1|0), gradient in θ is (½, −½)
/// policy.update(&[vec![(0, 1)]], &mut |_| Coefficients { log_probs: vec![vec![-1.0]], ..Coefficients::default() })?;
/// assert_eq!(policy.logits().row(0), [-0.5, 0.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct TablePolicy {
    logits: StateActions,
    values: Vec<f64>,
    optimiser: Optimiser,
    moments: Moments,
    steps: u64,
}

impl TablePolicy {
    /// The uniform policy with values 0.
    #[must_use]
    pub fn new(n_states: usize, n_actions: usize, optimiser: Optimiser) -> Self {
        Self::from_logits(StateActions::from_fn(n_states, n_actions, |_, _| 0.0), optimiser)
    }

    /// The softmax of these numbers with values 0.
    #[must_use]
    pub fn from_logits(logits: StateActions, optimiser: Optimiser) -> Self {
        let (n_states, n) = (logits.n_states(), logits.as_slice().len());
        Self { values: vec![0.0; n_states], moments: Moments::zero(n + n_states), logits, optimiser, steps: 0 }
    }

    /// θ, `[S][A]`.
    #[must_use]
    pub const fn logits(&self) -> &StateActions {
        &self.logits
    }

    /// w, `[S]`.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// π(a|s), `[S][A]`.
    #[must_use]
    pub fn probabilities(&self) -> StateActions {
        self.logits.softmax()
    }

    fn log_softmax(&self, state: usize, temperature: Temperature) -> Result<Vec<f64>, PolicyError> {
        let row = self.logits.row(state);
        if row.is_empty() {
            return Err(out_of_range("state", self.logits.n_states(), state));
        }
        Ok(log_softmax(row, temperature.get()))
    }

    fn log_prob_of(&self, (state, action): StateAction, temperature: Temperature) -> Result<f64, PolicyError> {
        let row = self.log_softmax(state, temperature)?;
        row.get(action).copied().ok_or_else(|| out_of_range("action", row.len(), action))
    }

    fn decide(&self, draw: &Draw<'_, usize>) -> Result<Decision<usize>, PolicyError> {
        let log_probs = self.log_softmax(*draw.context, Temperature::ONE)?;
        let mut left: f64 = draw.seed.rng().random();
        let chosen = log_probs.iter().position(|l| {
            left -= l.exp();
            left < 0.0
        });
        // rounding may leave the sum of probabilities a little below 1: the most probable action takes the rest
        let action = chosen.unwrap_or_else(|| most_probable(&log_probs));
        let behaviour = Behaviour {
            log_probs: [log_probs[action]].into_iter().collect(),
            temperature: Temperature::ONE,
            policy_version: self.steps,
        };
        Ok(Decision { action, behaviour })
    }

    fn forward(&self, batch: &[Vec<StateAction>]) -> Result<Forward, PolicyError> {
        let mut forward = Forward::default();
        for sequence in batch {
            let rows = sequence.iter().map(|&(s, _)| self.log_softmax(s, Temperature::ONE));
            let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
            let chosen = sequence.iter().map(|&sa| self.log_prob_of(sa, Temperature::ONE));
            forward.log_probs.push(chosen.collect::<Result<_, _>>()?);
            forward.entropies.push(rows.iter().map(|row| entropy(row)).collect());
            forward.values.push(sequence.iter().map(|&(s, _)| self.values[s]).collect());
        }
        Ok(forward)
    }

    /// Σ c · ∂output/∂(θ, w), `[S · A + S]`.
    fn backward(&self, batch: &[Vec<StateAction>], c: &Coefficients) -> Result<Vec<f64>, PolicyError> {
        let (n, n_actions) = (self.logits.as_slice().len(), self.logits.n_actions());
        let mut gradient = vec![0.0; n + self.values.len()];
        for (i, sequence) in batch.iter().enumerate() {
            for (t, &(s, a)) in sequence.iter().enumerate() {
                let (on_log_prob, on_entropy) = (at(&c.log_probs, i, t), at(&c.entropies, i, t));
                let row = self.log_softmax(s, Temperature::ONE)?;
                let h = entropy(&row);
                for (b, log_pi) in row.iter().enumerate() {
                    let pi = log_pi.exp();
                    let indicator = if a == b { 1.0 } else { 0.0 };
                    let entropy_slope = if pi > 0.0 { -pi * (log_pi + h) } else { 0.0 };
                    gradient[s * n_actions + b] += on_log_prob * (indicator - pi) + on_entropy * entropy_slope;
                }
                gradient[n + s] += at(&c.values, i, t);
            }
        }
        Ok(gradient)
    }
}

/// A policy as a file holds it: shapes are yet to be checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    logits: StateActions,
    values: Vec<f64>,
    optimiser: Optimiser,
    moments: Moments,
    steps: u64,
}

impl TryFrom<Stored> for TablePolicy {
    type Error = ShapeError;

    fn try_from(stored: Stored) -> Result<Self, ShapeError> {
        let Stored { logits, values, optimiser, moments, steps } = stored;
        ShapeError::check("values", logits.n_states(), values.len())?;
        moments.check(logits.as_slice().len() + values.len())?;
        Ok(Self { logits, values, optimiser, moments, steps })
    }
}

#[derive(Default)]
struct Forward {
    log_probs: Vec<Vec<f64>>,
    entropies: Vec<Vec<f64>>,
    values: Vec<Vec<f64>>,
}

impl Policy for TablePolicy {
    type Context = usize;
    type Action = usize;

    fn act(&self, draws: &[Draw<'_, usize>]) -> Result<Vec<Decision<usize>>, PolicyError> {
        draws.iter().map(|draw| self.decide(draw)).collect()
    }
}

impl LogProb for TablePolicy {
    fn log_prob(
        &self,
        given: &[Given<'_, usize, usize>],
        temperature: Temperature,
    ) -> Result<Vec<LogProbs>, PolicyError> {
        let score = |g: &Given<'_, usize, usize>| self.log_prob_of((*g.context, *g.action), temperature);
        given.iter().map(|g| Ok([score(g)?].into_iter().collect())).collect()
    }
}

impl Trainable for TablePolicy {
    type Sequence = Vec<StateAction>;

    fn update(
        &mut self,
        batch: &[Vec<StateAction>],
        loss: &mut dyn FnMut(Outputs<'_>) -> Coefficients,
    ) -> Result<Update, PolicyError> {
        let Forward { log_probs, entropies, values } = self.forward(batch)?;
        let range = 0..batch.len();
        let coefficients =
            loss(Outputs { range: &range, log_probs: &log_probs, entropies: &entropies, values: &values });
        check(&coefficients, batch, self.steps + 1)?;
        let gradient = self.backward(batch, &coefficients)?;
        self.steps += 1;
        let parameters = self.logits.as_mut_slice().iter_mut().chain(&mut self.values);
        self.moments.step(self.optimiser, self.steps, parameters, &gradient);
        let gradient_norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        Ok(Update { step: self.steps, gradient_norm, learning_rate: self.optimiser.learning_rate() })
    }
}

/// Each column is empty or has the shape of the batch, and is finite.
fn check(c: &Coefficients, batch: &[Vec<StateAction>], step: u64) -> Result<(), PolicyError> {
    for (what, column) in [("∂L/∂log π", &c.log_probs), ("∂L/∂H", &c.entropies), ("∂L/∂v", &c.values)] {
        let shape: Vec<_> = column.iter().map(Vec::len).collect();
        let expected: Vec<_> = batch.iter().map(Vec::len).collect();
        if !column.is_empty() && shape != expected {
            let (expected, got) = (format!("shape {expected:?}"), format!("{shape:?}"));
            return Err(PolicyError::Input { what, expected, got });
        }
        if let Some(&got) = column.iter().flatten().find(|x| !x.is_finite()) {
            return Err(PolicyError::NotFinite { what, step, got });
        }
    }
    Ok(())
}

fn at(column: &[Vec<f64>], i: usize, t: usize) -> f64 {
    column.get(i).map_or(0.0, |row| row[t])
}

fn log_softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let scaled = logits.iter().map(|x| (x - max) / temperature);
    let log_total = scaled.clone().map(f64::exp).sum::<f64>().ln();
    scaled.map(|x| x - log_total).collect()
}

fn entropy(log_probs: &[f64]) -> f64 {
    -log_probs.iter().map(|l| if l.exp() > 0.0 { l.exp() * l } else { 0.0 }).sum::<f64>()
}

fn most_probable(log_probs: &[f64]) -> usize {
    (0..log_probs.len()).fold(0, |best, i| if log_probs[i] > log_probs[best] { i } else { best })
}

fn out_of_range(what: &'static str, below: usize, got: usize) -> PolicyError {
    PolicyError::Input { what, expected: format!("a number below {below}"), got: got.to_string() }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;
    use tdrm_core::{Positive, Seed};

    use super::*;

    fn sgd(learning_rate: f64) -> Optimiser {
        Optimiser::Sgd { learning_rate: Positive::new(learning_rate).unwrap() }
    }

    fn table(logits: &[f64], n_actions: usize) -> TablePolicy {
        let rows: Vec<_> = logits.chunks(n_actions).map(<[f64]>::to_vec).collect();
        TablePolicy::from_logits(StateActions::try_from(rows).unwrap(), sgd(1.0))
    }

    /// Σ over the batch of sin-weighted outputs: any smooth loss will do.
    fn loss(policy: &TablePolicy, batch: &[Vec<StateAction>]) -> (f64, Coefficients) {
        let f = policy.forward(batch).unwrap();
        let weigh = |phase: f64| -> Vec<Vec<f64>> {
            let weight = |i: usize, t: usize| (phase + i as f64 + 0.7 * t as f64).sin();
            batch.iter().enumerate().map(|(i, s)| (0..s.len()).map(|t| weight(i, t)).collect()).collect()
        };
        let c = Coefficients { log_probs: weigh(0.1), entropies: weigh(0.2), values: weigh(0.3) };
        let dot = |a: &[Vec<f64>], b: &[Vec<f64>]| -> f64 {
            a.iter().flatten().zip(b.iter().flatten()).map(|(x, y)| x * y).sum()
        };
        let total = dot(&f.log_probs, &c.log_probs) + dot(&f.entropies, &c.entropies) + dot(&f.values, &c.values);
        (total, c)
    }

    proptest! {
        #[test]
        fn the_gradient_agrees_with_central_differences(
            logits in prop::collection::vec(-3.0..3.0, 6),
            visits in prop::collection::vec((0usize..2, 0usize..3), 1..5),
        ) {
            let policy = table(&logits, 3);
            let batch = [visits.clone(), visits];
            let (_, c) = loss(&policy, &batch);
            let gradient = policy.backward(&batch, &c).unwrap();
            for (k, g) in gradient.iter().enumerate().take(6) {
                let shifted = |h: f64| {
                    let mut logits = logits.clone();
                    logits[k] += h;
                    loss(&table(&logits, 3), &batch).0
                };
                let numeric = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
                // truncation of order h² = 1e-10 times third derivatives of order one
                prop_assert!((g - numeric).abs() < 1e-8, "{g} against {numeric}");
            }
        }
    }

    #[test]
    fn a_coefficient_that_is_not_finite_changes_nothing() {
        let mut policy = table(&[0.1, 0.2], 2);
        let before = policy.clone();
        let bad = Coefficients { log_probs: vec![vec![f64::NAN]], ..Coefficients::default() };
        let error = policy.update(&[vec![(0, 1)]], &mut |_| bad.clone()).unwrap_err();
        assert_eq!(error.to_string(), "∂L/∂log π is not finite at step 1: NaN");
        let ragged = Coefficients { values: vec![vec![1.0, 2.0]], ..Coefficients::default() };
        assert!(policy.update(&[vec![(0, 1)]], &mut |_| ragged.clone()).is_err());
        assert_eq!(policy, before);
    }

    #[test]
    fn a_state_or_action_that_does_not_exist_is_an_error() {
        let policy = table(&[0.0, 0.0], 2);
        let error = policy.act(&[Draw { context: &1, seed: Seed::root(0) }]).unwrap_err();
        assert_eq!(error.to_string(), "state: expected a number below 1, got 1");
        assert!(policy.log_prob(&[Given { context: &0, action: &2 }], Temperature::ONE).is_err());
    }

    #[test]
    fn draws_follow_the_softmax_and_temperature_flattens_it() {
        // odds 1 : 3
        let policy = table(&[0.0, 3.0_f64.ln()], 2);
        let draw = |i| Draw { context: &0, seed: Seed::root(5).child(i) };
        let draws: Vec<_> = (0..4000).map(draw).collect();
        let ones = policy.act(&draws).unwrap().iter().filter(|d| d.action == 1).count();
        assert!((ones as f64 / 4000.0 - 0.75).abs() < 5.0 * (0.75_f64 * 0.25 / 4000.0).sqrt(), "{ones}");
        let at = |t| policy.log_prob(&[Given { context: &0, action: &1 }], Temperature::new(t).unwrap()).unwrap()[0][0];
        assert!((at(1.0) - 0.75_f64.ln()).abs() < 1e-15);
        let root = 3.0_f64.sqrt();
        assert!((at(2.0) - (root / (1.0 + root)).ln()).abs() < 1e-15);
    }

    #[test]
    fn a_policy_survives_a_file() {
        let policy = table(&[0.25, -1.5], 2);
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<TablePolicy>(&json).unwrap(), policy);
        let error =
            serde_json::from_str::<TablePolicy>(&json.replace("\"values\":[0.0]", "\"values\":[]")).unwrap_err();
        assert!(error.to_string().starts_with("`values` has 0 entries, expected 1"), "{error}");
    }
}
