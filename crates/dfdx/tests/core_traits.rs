//! The language model behind the traits of the core.
#![expect(clippy::unwrap_used, reason = "tests state exact values")]

use tdrm_core::{Coefficients, Draw, Given, LogProb as _, Policy as _, Seed, Temperature, Trainable as _};
use tdrm_dfdx::{Lm, LmConfig, LmLearner, LmPolicy, Optimiser, SamplingConfig, Sequence, Trainer};

fn model() -> Lm {
    Lm::init(LmConfig { initializer_range: 0.2, ..LmConfig::llama(12, 16, 2, 4) }, Seed::root(5)).unwrap()
}

#[test]
fn a_policy_is_deterministic_batch_invariant_and_agrees_with_its_own_scores() {
    let policy = LmPolicy { lm: model(), sampling: SamplingConfig::sample(0.9, 10, &[3]), version: 4 };
    let contexts = [vec![1, 2], vec![5], vec![1, 2, 7, 8], vec![1, 2]];
    let draws: Vec<_> =
        contexts.iter().enumerate().map(|(i, c)| Draw { context: c.as_slice(), seed: Seed::root(i as u64) }).collect();
    let together = policy.act(&draws).unwrap();
    assert_eq!(policy.act(&draws).unwrap(), together);
    for (draw, decision) in draws.iter().zip(&together) {
        assert_eq!(policy.act(&[*draw]).unwrap()[0], *decision);
        assert_eq!(decision.behaviour.policy_version, 4);
        let given = Given { context: draw.context, action: &decision.action };
        let scored = &policy.log_prob(&[given], decision.behaviour.temperature).unwrap()[0];
        assert_eq!(scored.len(), decision.action.len());
        assert!(scored.iter().zip(&decision.behaviour.log_probs).all(|(a, b)| (a - b).abs() < 1e-4 && *b <= 0.0));
    }
}

#[test]
fn a_learner_learns_and_micro_batches_change_nothing_but_rounding() {
    let batch: Vec<_> = (0..6).map(|i| Sequence::new(&[1, i], &[i + 2, i, 3])).collect();
    let run = |micro_batch_tokens: usize| {
        let trainer = Trainer::new(model(), Optimiser::adamw(1e-2)).unwrap();
        let temperature = Temperature::new(1.0).unwrap();
        let mut learner = LmLearner { micro_batch_tokens, ..LmLearner::new(trainer, temperature) };
        let (mut losses, mut seen) = (Vec::new(), Vec::new());
        for _ in 0..30 {
            let mut total = 0.0;
            seen.clear();
            let loss = &mut |outputs: tdrm_core::Outputs<'_>| {
                seen.push(outputs.range.clone());
                total -= outputs.log_probs.iter().flatten().sum::<f64>() / 18.0;
                let log_probs = outputs.log_probs.iter().map(|row| vec![-1.0 / 18.0; row.len()]).collect();
                Coefficients { log_probs, ..Coefficients::default() }
            };
            learner.update(&batch, loss).unwrap();
            losses.push(total);
        }
        assert_eq!(seen.iter().cloned().flatten().collect::<Vec<_>>(), (0..6).collect::<Vec<_>>());
        losses
    };
    let (whole, parts) = (run(1 << 14), run(7));
    assert!(whole[29] < 0.2 * whole[0], "{whole:?}");
    assert!(whole.iter().zip(&parts).take(10).all(|(a, b)| (a - b).abs() < 1e-3));
}

#[test]
fn a_failed_update_changes_nothing() {
    let trainer = Trainer::new(model(), Optimiser::adamw(1e-2)).unwrap();
    let mut learner = LmLearner::new(trainer, Temperature::new(1.0).unwrap());
    let batch = [Sequence::new(&[1], &[2])];
    let nan =
        &mut |_: tdrm_core::Outputs<'_>| Coefficients { log_probs: vec![vec![f64::NAN]], ..Coefficients::default() };
    assert!(learner.update(&batch, nan).is_err());
    assert!(*learner.trainer.lm() == model());
    assert!(learner.trainer.gradients().all(|(_, g)| g.iter().all(|g| *g == 0.0)));
}
