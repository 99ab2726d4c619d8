//! Sampled estimators against the exact gradient, by enumeration: no noise, no tolerance but rounding.
#![expect(clippy::unwrap_used, reason = "tests")]

use tdrm_algo::objective::categorical::{add_log_prob_gradient, kl, log_softmax};
use tdrm_algo::objective::{
    Advantages, Aggregation, Denominators, Importance, Kl, KlEstimator, Objective, Preset, RatioLevel, SequenceTerms,
    TrajectoryBalance,
};
use tdrm_core::{NonNegative, Positive};

/// Arms with p = .5, .3, .2 and rewards 0, 1, .3, groups of three.
const ARMS: [f64; 3] = [0.5, 0.3, 0.2];
const REWARDS: [f64; 3] = [0.0, 1.0, 0.3];
const GROUP: usize = 3;

fn logits() -> Vec<f64> {
    ARMS.iter().map(|p: &f64| p.ln()).collect()
}

/// ∂/∂θ_k Σ π r = π_k (r_k − J).
fn exact() -> Vec<f64> {
    let value: f64 = ARMS.iter().zip(REWARDS).map(|(p, r)| p * r).sum();
    ARMS.iter().zip(REWARDS).map(|(p, r)| p * (r - value)).collect()
}

/// Expectation over all groups of `−∂L/∂θ`.
fn expected_ascent(objective: &Objective, advantages: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let log_probs = log_softmax(&logits());
    let mut ascent = vec![0.0; 3];
    for code in 0..3usize.pow(GROUP as u32) {
        let actions: Vec<usize> = (0..GROUP).map(|i| code / 3usize.pow(i as u32) % 3).collect();
        let probability: f64 = actions.iter().map(|&a| ARMS[a]).product();
        let rewards: Vec<f64> = actions.iter().map(|&a| REWARDS[a]).collect();
        let columns: Vec<[f64; 1]> = actions.iter().map(|&a| [log_probs[a]]).collect();
        let terms: Vec<_> = columns
            .iter()
            .zip(advantages(&rewards))
            .map(|(logp, advantage)| SequenceTerms::new(logp, Advantages::Sequence(advantage)))
            .collect();
        let evaluation = objective.evaluate(&terms, &Denominators::of(&terms)).unwrap();
        for (&action, coefficients) in actions.iter().zip(&evaluation.coefficients.log_probs) {
            add_log_prob_gradient(&log_probs, action, -probability * coefficients[0], &mut ascent);
        }
    }
    ascent
}

fn mean(rewards: &[f64]) -> f64 {
    rewards.iter().sum::<f64>() / rewards.len() as f64
}

fn leave_one_out(rewards: &[f64]) -> Vec<f64> {
    let n = rewards.len() as f64;
    rewards.iter().map(|r| n / (n - 1.0) * (r - mean(rewards))).collect()
}

fn centred(rewards: &[f64]) -> Vec<f64> {
    rewards.iter().map(|r| r - mean(rewards)).collect()
}

fn standardised(rewards: &[f64]) -> Vec<f64> {
    let centred = centred(rewards);
    let std = (centred.iter().map(|a| a * a).sum::<f64>() / (rewards.len() as f64 - 1.0)).sqrt();
    centred.iter().map(|a| a / (std + 1e-6)).collect()
}

fn assert_close(ours: &[f64], theirs: &[f64], tolerance: f64) {
    let close = ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < tolerance);
    assert!(close, "{ours:?} against {theirs:?}");
}

#[test]
fn leave_one_out_is_unbiased_for_every_ratio_surrogate() {
    assert_close(&exact(), &[-0.18, 0.192, -0.012], 1e-12);
    for preset in
        [Preset::Rloo, Preset::Reinforce, Preset::Ppo, Preset::Gspo, Preset::Gmpo, Preset::Cispo, Preset::Sapo]
    {
        assert_close(&expected_ascent(&preset.objective(), leave_one_out), &exact(), 1e-14);
    }
}

#[test]
fn the_group_mean_is_biased_by_exactly_one_sample_in_the_group() {
    let shrunk: Vec<f64> = exact().iter().map(|g| g * (GROUP as f64 - 1.0) / GROUP as f64).collect();
    let objective = Objective { aggregation: Aggregation::SEQUENCE_MEAN, ..Preset::DrGrpo.objective() };
    assert_close(&expected_ascent(&objective, centred), &shrunk, 1e-14);
}

#[test]
fn dividing_by_the_group_spread_flips_the_sign_of_a_component() {
    let objective = Objective { kl: None, ..Preset::Grpo.objective() };
    assert_close(&expected_ascent(&objective, standardised), &[-0.270, 0.239, 0.031], 1e-3);
}

/// A language of two tokens and three steps: logits of a state are those of its prefix.
struct Language {
    logits: Vec<[f64; 2]>,
}

const LENGTH: usize = 3;

impl Language {
    fn new(salt: f64) -> Self {
        let logit = |i: usize| ((i as f64 + salt) * 1.7).sin();
        Self { logits: (0..(1 << LENGTH) - 1).map(|i| [logit(2 * i), logit(2 * i + 1)]).collect() }
    }

    /// States and log-probabilities along a string of bits.
    fn path(&self, string: usize) -> (Vec<usize>, Vec<f64>) {
        let mut state = 0;
        (0..LENGTH)
            .map(|t| {
                let (here, token) = (state, string >> t & 1);
                state = 2 * state + 1 + token;
                (here, log_softmax(&self.logits[here])[token])
            })
            .unzip()
    }

    fn probability(&self, string: usize) -> f64 {
        self.path(string).1.iter().sum::<f64>().exp()
    }

    /// Adds Σ_t c_t ∂log π_t/∂θ to a gradient in all logits.
    fn backward(&self, string: usize, coefficients: &[f64], scale: f64, gradient: &mut [Vec<f64>]) {
        for (t, state) in self.path(string).0.into_iter().enumerate() {
            let log_probs = log_softmax(&self.logits[state]);
            add_log_prob_gradient(&log_probs, string >> t & 1, scale * coefficients[t], &mut gradient[state]);
        }
    }

    fn zeros(&self) -> Vec<Vec<f64>> {
        vec![vec![0.0; 2]; self.logits.len()]
    }
}

fn reward(string: usize) -> f64 {
    [0.1, 0.9, 0.4, 0.0, 1.0, 0.3, 0.7, 0.2][string]
}

/// ∂J/∂θ = Σ_y π(y) r(y) ∂log π(y)/∂θ.
fn exact_sequence_gradient(language: &Language) -> Vec<Vec<f64>> {
    let mut gradient = language.zeros();
    for string in 0..1 << LENGTH {
        language.backward(string, &[1.0; LENGTH], language.probability(string) * reward(string), &mut gradient);
    }
    gradient
}

/// Expectation over pairs of strings drawn from `behaviour` of the ascent direction of `policy`.
fn expected_sequence_ascent(objective: &Objective, policy: &Language, behaviour: &Language) -> Vec<Vec<f64>> {
    let mut gradient = policy.zeros();
    for first in 0..1 << LENGTH {
        for second in 0..1 << LENGTH {
            let probability = behaviour.probability(first) * behaviour.probability(second);
            let advantages = leave_one_out(&[reward(first), reward(second)]);
            let columns: Vec<_> = [first, second].iter().map(|&s| (policy.path(s).1, behaviour.path(s).1)).collect();
            let terms: Vec<_> = columns
                .iter()
                .zip(advantages)
                .map(|((logp, old), a)| SequenceTerms {
                    old_logp: old,
                    ..SequenceTerms::new(logp, Advantages::Sequence(a))
                })
                .collect();
            let evaluation = objective.evaluate(&terms, &Denominators::of(&terms)).unwrap();
            for (string, coefficients) in [first, second].into_iter().zip(&evaluation.coefficients.log_probs) {
                policy.backward(string, coefficients, -probability, &mut gradient);
            }
        }
    }
    gradient
}

#[test]
fn on_sequences_leave_one_out_is_unbiased_on_policy() {
    let language = Language::new(0.3);
    for preset in [Preset::Rloo, Preset::Reinforce] {
        let ours = expected_sequence_ascent(&preset.objective(), &language, &language);
        assert_close(&ours.concat(), &exact_sequence_gradient(&language).concat(), 1e-14);
    }
}

#[test]
fn the_sequence_ratio_is_unbiased_off_policy_and_the_token_ratio_is_not() {
    let (policy, behaviour) = (Language::new(0.3), Language::new(0.9));
    let at = |level| Objective::new(level, Importance {}, Aggregation::SEQUENCE_MEAN_TOKEN_SUM);
    let exact = exact_sequence_gradient(&policy).concat();
    let whole = Objective { aggregation: Aggregation::SEQUENCE_MEAN, ..at(RatioLevel::SequenceSum) };
    assert_close(&expected_sequence_ascent(&whole, &policy, &behaviour).concat(), &exact, 1e-13);
    let by_token = expected_sequence_ascent(&at(RatioLevel::Token), &policy, &behaviour).concat();
    assert!(by_token.iter().zip(&exact).any(|(a, b)| (a - b).abs() > 1e-3));
}

#[test]
fn the_gradient_of_k2_in_the_loss_is_that_of_the_divergence_of_a_bandit() {
    let (policy, reference) = (log_softmax(&[0.3f64, -0.5, 0.8]), log_softmax(&[0.0f64, 0.4, -0.2]));
    let divergence = kl(&policy, &reference);
    let objective = Preset::Gpg.objective().with_kl(Kl::in_loss(KlEstimator::K2, NonNegative::new(1.0).unwrap()));
    let mut gradient = vec![0.0; 3];
    for action in 0..3 {
        let (logp, ref_logp) = ([policy[action]], [reference[action]]);
        let terms = [SequenceTerms { ref_logp: &ref_logp, ..SequenceTerms::new(&logp, Advantages::Sequence(0.0)) }];
        let c = objective.evaluate(&terms, &Denominators::of(&terms)).unwrap().coefficients.log_probs[0][0];
        add_log_prob_gradient(&policy, action, policy[action].exp() * c, &mut gradient);
    }
    let exact: Vec<f64> = (0..3).map(|k| policy[k].exp() * (policy[k] - reference[k] - divergence)).collect();
    assert_close(&gradient, &exact, 1e-14);
}

#[test]
fn mirror_descent_and_trajectory_balance_vanish_exactly_at_their_optimum() {
    // π* = π_i e^{r/τ}/Z; the residual A − τ ln π*/π_i with A = r − τ ln Z is 0 for every action.
    let (tau, old) = (0.5f64, log_softmax(&[0.2f64, -0.3, 0.1]));
    let log_z: f64 = old.iter().zip(REWARDS).map(|(lp, r)| (lp + r / tau).exp()).sum::<f64>().ln();
    let kimi = Objective::new(
        RatioLevel::SequenceSum,
        tdrm_algo::objective::MirrorDescent { tau: Positive::new(tau).unwrap() },
        Aggregation::SEQUENCE_MEAN,
    );
    let flow = Objective::new(
        RatioLevel::SequenceSum,
        TrajectoryBalance { beta: Positive::new(1.0 / tau).unwrap(), clip: None },
        Aggregation::SEQUENCE_MEAN,
    );
    for action in 0..3 {
        let (logp, old) = ([old[action] + REWARDS[action] / tau - log_z], [old[action]]);
        let terms = |advantage| SequenceTerms {
            old_logp: &old,
            ref_logp: &old,
            log_z,
            ..SequenceTerms::new(&logp, Advantages::Sequence(advantage))
        };
        for (objective, advantage) in [(&kimi, REWARDS[action] - tau * log_z), (&flow, REWARDS[action])] {
            let terms = [terms(advantage)];
            let e = objective.evaluate(&terms, &Denominators::of(&terms)).unwrap();
            assert!(e.loss.abs() < 1e-28 && e.coefficients.log_probs[0][0].abs() < 1e-14);
        }
    }
}

#[test]
fn the_gradient_of_kimi_is_the_published_one_times_two_tau() {
    // −2τ [ (r − b) ∇log π − (τ/2) ∇(x²) ]: per unit of ∇log π that is −2τ(A − τx).
    let (tau, x, advantage) = (0.3f64, 0.4, 0.7);
    let (logp, old) = ([-1.0], [-1.0 - x]);
    let terms = [SequenceTerms { old_logp: &old, ..SequenceTerms::new(&logp, Advantages::Sequence(advantage)) }];
    let surrogate = tdrm_algo::objective::MirrorDescent { tau: Positive::new(tau).unwrap() };
    let kimi = Objective::new(RatioLevel::SequenceSum, surrogate, Aggregation::SEQUENCE_MEAN);
    let c = kimi.evaluate(&terms, &Denominators::of(&terms)).unwrap().coefficients.log_probs[0][0];
    assert!((c + 2.0 * tau * (advantage - tau * x)).abs() < 1e-14);
}
