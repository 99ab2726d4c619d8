//! Laws of policies.

use std::fmt::Debug;

use tdrm_core::{Decision, Draw, Given, LogProb, LogProbs, Policy, Seed, Temperature};

use super::{ARITY, BATCH, DETERMINISM, LawViolation, ORDER, Verdict, all_close, equal, require, succeed};

const LOG_PROBABILITY: &str = "a log-probability is at most 0 and not NaN";
const AGREEMENT: &str = "log_prob agrees with the log-probabilities of the draw";

/// Checks a policy on a list of contexts.
///
/// # Errors
/// The first law that it breaks.
pub fn policy<P>(policy: &P, contexts: &[&P::Context], seed: Seed, tolerance: f64) -> Verdict
where
    P: Policy + ?Sized,
    P::Action: PartialEq + Debug,
{
    let draws = draws_of(contexts, seed);
    let together = act(policy, &draws)?;
    for (i, decision) in together.iter().enumerate() {
        let valid = decision.behaviour.log_probs.iter().all(|&l| l <= 0.0);
        require(LOG_PROBABILITY, valid, || format!("draw {i} has {:?}", decision.behaviour.log_probs))?;
    }
    same(DETERMINISM, &together, &act(policy, &draws)?, tolerance)?;
    let reversed: Vec<_> = draws.iter().rev().copied().collect();
    let mut answers = act(policy, &reversed)?;
    answers.reverse();
    same(ORDER, &together, &answers, tolerance)?;
    for (i, draw) in draws.iter().enumerate() {
        same(BATCH, &together[i..=i], &act(policy, &[*draw])?, tolerance)?;
    }
    act(policy, &[]).map(|_| ())
}

/// Checks the scores of a policy on actions that it draws itself.
///
/// # Errors
/// The first law that it breaks.
pub fn log_prob<P: LogProb + ?Sized>(policy: &P, contexts: &[&P::Context], seed: Seed, tolerance: f64) -> Verdict {
    let drawn = act(policy, &draws_of(contexts, seed))?;
    for (i, (context, decision)) in contexts.iter().zip(&drawn).enumerate() {
        let given = Given { context: *context, action: &decision.action };
        let scores = score(policy, &[given], decision.behaviour.temperature)?.concat();
        all_close(AGREEMENT, &format!("draw {i}"), &scores, &decision.behaviour.log_probs, tolerance)?;
    }
    let given: Vec<_> =
        contexts.iter().zip(&drawn).map(|(context, d)| Given { context: *context, action: &d.action }).collect();
    for temperature in [Temperature::ONE, Temperature::new(0.5).unwrap_or(Temperature::ONE)] {
        let together = score(policy, &given, temperature)?;
        for (i, given) in given.iter().enumerate() {
            let valid = together[i].iter().all(|&l| l <= 0.0);
            require(LOG_PROBABILITY, valid, || format!("action {i} has {:?}", together[i]))?;
            let alone = score(policy, &[*given], temperature)?.concat();
            all_close(BATCH, &format!("action {i}"), &together[i], &alone, tolerance)?;
        }
    }
    Ok(())
}

fn draws_of<'a, C: ?Sized>(contexts: &[&'a C], seed: Seed) -> Vec<Draw<'a, C>> {
    let draw = |(i, context): (usize, &&'a C)| Draw { context: *context, seed: seed.child(i as u64) };
    contexts.iter().enumerate().map(draw).collect()
}

fn act<P: Policy + ?Sized>(
    policy: &P,
    draws: &[Draw<'_, P::Context>],
) -> Result<Vec<Decision<P::Action>>, LawViolation> {
    let decisions = succeed(ARITY, policy.act(draws))?;
    require(ARITY, decisions.len() == draws.len(), || format!("{} draws, {} decisions", draws.len(), decisions.len()))?;
    Ok(decisions)
}

fn score<P: LogProb + ?Sized>(
    policy: &P,
    given: &[Given<'_, P::Context, P::Action>],
    temperature: Temperature,
) -> Result<Vec<LogProbs>, LawViolation> {
    let scores = succeed(ARITY, policy.log_prob(given, temperature))?;
    require(ARITY, scores.len() == given.len(), || format!("{} actions, {} scores", given.len(), scores.len()))?;
    Ok(scores)
}

fn same<A: PartialEq + Debug>(law: &'static str, a: &[Decision<A>], b: &[Decision<A>], tolerance: f64) -> Verdict {
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        equal(law, &format!("action of draw {i}"), &x.action, &y.action)?;
        let what = format!("log-probabilities of draw {i}");
        all_close(law, &what, &x.behaviour.log_probs, &y.behaviour.log_probs, tolerance)?;
    }
    Ok(())
}
