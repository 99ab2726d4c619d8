//! Laws of environments.

use std::fmt::Debug;

use tdrm_core::{Environment, Outcome, Seed, StepEnd, TabularMdp};

use super::{DETERMINISM, Verdict, equal, require};

const FINITE: &str = "a reward is a finite number";
const DISTRIBUTION: &str = "probabilities are positive and sum to 1";
const START: &str = "the initial distribution sums to 1";
const SUCCESSOR: &str = "successors exist";
const OUTSIDE: &str = "there are no transitions outside of the table";
const FREQUENCIES: &str = "samples follow the listed probabilities";

/// Checks an environment on an endless round of these actions: 200 steps of as many episodes as they make.
///
/// # Errors
/// The first law that it breaks.
pub fn environment<E>(environment: &E, actions: &[E::Action], seed: Seed) -> Verdict
where
    E: Environment + ?Sized,
    E::State: PartialEq + Debug,
{
    let mut state = environment.reset(&mut seed.rng());
    equal(DETERMINISM, "reset", &state, &environment.reset(&mut seed.rng()))?;
    for (t, action) in actions.iter().cycle().take(if actions.is_empty() { 0 } else { 200 }).enumerate() {
        let seed = seed.child(t as u64);
        let (a, b) = [(); 2].map(|()| environment.step(&state, action, &mut seed.rng())).into();
        require(FINITE, a.reward.is_finite(), || format!("step {t} from {state:?} pays {}", a.reward))?;
        equal(DETERMINISM, &format!("step {t}"), &a, &b)?;
        state = if a.end.is_over() { environment.reset(&mut seed.child(0).rng()) } else { a.state };
    }
    Ok(())
}

/// Checks that an MDP is one.
///
/// # Errors
/// The first law that it breaks.
pub fn tabular_mdp<M: TabularMdp + ?Sized>(mdp: &M) -> Verdict {
    let (n, m) = (mdp.n_states(), mdp.n_actions());
    let start: f64 = mdp.initial().iter().sum();
    let valid = mdp.initial().len() == n && mdp.initial().iter().all(|p| *p >= 0.0) && is_one(start);
    require(START, valid, || format!("{} of {n} states, sum {start}", mdp.initial().len()))?;
    for (s, a) in (0..n).flat_map(|s| (0..m).map(move |a| (s, a))) {
        let row = mdp.transitions(s, a);
        let sum: f64 = row.iter().map(|o| o.probability).sum();
        let positive = row.iter().all(|o| o.probability > 0.0);
        require(DISTRIBUTION, positive && is_one(sum), || format!("state {s}, action {a}: sum {sum}, {row:?}"))?;
        require(SUCCESSOR, row.iter().all(|o| o.next_state < n), || format!("state {s}, action {a}: {row:?}"))?;
        require(FINITE, row.iter().all(|o| o.reward.is_finite()), || format!("state {s}, action {a}: {row:?}"))?;
    }
    let outside = mdp.transitions(n, 0).len() + mdp.transitions(0, m).len();
    require(OUTSIDE, outside == 0, || format!("{outside} of them"))
}

fn is_one(sum: f64) -> bool {
    (sum - 1.0).abs() < 1e-9
}

/// Checks that what an environment samples is what it lists: `draws` starts and `draws` steps of each row.
///
/// A frequency may differ from its probability by what Bernstein's inequality allows once in 5·10⁹ outcomes.
///
/// # Errors
/// The first law that it breaks.
pub fn frequencies<M>(mdp: &M, draws: u32, seed: Seed) -> Verdict
where
    M: TabularMdp + Environment<State = usize, Action = usize> + ?Sized,
{
    let mut rng = seed.rng();
    let starts: Vec<usize> = (0..draws).map(|_| mdp.reset(&mut rng)).collect();
    for (s, &p) in mdp.initial().iter().enumerate() {
        let count = starts.iter().filter(|&&start| start == s).count();
        follows(count, draws, p, || format!("start in state {s}"))?;
    }
    for (s, a) in (0..mdp.n_states()).flat_map(|s| (0..mdp.n_actions()).map(move |a| (s, a))) {
        let seen: Vec<_> = (0..draws).map(|_| mdp.step(&s, &a, &mut rng)).map(|o| (o.state, o.reward, o.end)).collect();
        let row = mdp.transitions(s, a);
        for o in row {
            let p = row.iter().filter(|other| key(other) == key(o)).map(|other| other.probability).sum();
            let matches = seen
                .iter()
                .filter(|&&(state, reward, end)| key(o) == (state, reward.to_bits(), end == StepEnd::Terminated));
            follows(matches.count(), draws, p, || format!("state {s}, action {a}, outcome {o:?}"))?;
        }
    }
    Ok(())
}

fn key(o: &Outcome) -> (usize, u64, bool) {
    (o.next_state, o.reward.to_bits(), o.terminated)
}

/// Bernstein's inequality: a frequency is this far from its probability with chance 2 exp(−`DOUBT`) at most.
fn follows(count: usize, draws: u32, p: f64, what: impl FnOnce() -> String) -> Verdict {
    let n = f64::from(draws.max(1));
    let (frequency, variance, linear) = (count as f64 / n, (p * (1.0 - p)).max(0.0), DOUBT / (3.0 * n));
    let farthest = linear + (linear * linear + 2.0 * variance * DOUBT / n).sqrt();
    require(FREQUENCIES, (frequency - p).abs() <= farthest, || format!("{}: {frequency} against {p}", what()))
}

/// One false alarm in five thousand million outcomes.
const DOUBT: f64 = 23.0;
