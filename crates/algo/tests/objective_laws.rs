//! What every objective obeys: derivatives, reductions, invariances, masks, hostile numbers.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use tdrm_algo::objective::{
    Advantages, Aggregation, Cispo, ClipConvention, CovariancePenalty, Denominators, Evaluation, Filter, Importance,
    Kl, KlEstimator, Mismatch, Objective, PpoClip, Preset, RatioLevel, ScoreFunction, SequenceTerms,
};
use tdrm_core::{NonNegative, Positive, Probability};

/// A sequence that owns its columns.
#[derive(Debug, Clone)]
struct Owned {
    logp: Vec<f64>,
    old: Vec<f64>,
    reference: Vec<f64>,
    rollout: Vec<f64>,
    entropy: Vec<f64>,
    mask: Vec<bool>,
    advantages: Vec<f64>,
    log_z: f64,
}

impl Owned {
    fn terms(&self) -> SequenceTerms<'_, f64> {
        SequenceTerms {
            old_logp: &self.old,
            ref_logp: &self.reference,
            rollout_logp: &self.rollout,
            entropy: &self.entropy,
            full_kl: &self.entropy,
            mask: &self.mask,
            log_z: self.log_z,
            ..SequenceTerms::new(&self.logp, Advantages::Token(&self.advantages))
        }
    }
}

fn terms(batch: &[Owned]) -> Vec<SequenceTerms<'_, f64>> {
    batch.iter().map(Owned::terms).collect()
}

fn evaluate(objective: &Objective, batch: &[Owned]) -> Evaluation<f64> {
    let terms = terms(batch);
    objective.evaluate(&terms, &objective.prepare(&terms).unwrap()).unwrap()
}

/// log π, its distance from π_old, π_ref and μ, entropy, mask.
type Token = (f64, f64, f64, f64, f64, bool);

fn sequences() -> impl Strategy<Value = Vec<Owned>> {
    let token = (-3.0f64..-0.05, -1.0f64..1.0, -1.0f64..1.0, -0.5f64..0.5, 0.0f64..2.0, prop::bool::weighted(0.8));
    let sequence =
        (prop::collection::vec(token, 1..6), -2.0f64..2.0, -1.0f64..1.0).prop_map(|(tokens, advantage, log_z)| {
            let column = |f: &dyn Fn(&Token) -> f64| tokens.iter().map(f).collect::<Vec<f64>>();
            Owned {
                logp: column(&|t| t.0),
                old: column(&|t| t.0 - t.1),
                reference: column(&|t| t.0 - t.2),
                rollout: column(&|t| t.0 - t.1 - t.3),
                entropy: column(&|t| t.4),
                mask: tokens.iter().map(|t| t.5).collect(),
                advantages: vec![advantage; tokens.len()],
                log_z,
            }
        });
    prop::collection::vec(sequence, 1..5)
}

fn unit(x: f64) -> NonNegative {
    NonNegative::new(x).unwrap()
}

/// Every preset, and compositions that use the axes that presets leave alone.
fn objectives() -> Vec<(String, Objective)> {
    let presets = Preset::ALL.iter().map(|preset| (format!("{preset:?}"), preset.objective()));
    let grpo = Preset::Grpo.objective();
    let dual = PpoClip { low: unit(0.2), high: unit(0.28), dual: Some(Positive::new(1.5).unwrap()) };
    let weighted = Kl { weighted_by_ratio: true, ..Kl::in_loss(KlEstimator::K3, unit(0.1)) };
    let band = Mismatch::SequenceMasked { low: unit(0.9), high: unit(1.2) };
    let composed = [
        ("dual clip", Objective::new(RatioLevel::Token, dual, Aggregation::TOKEN_MEAN)),
        (
            "dual clip of sequences",
            Objective::new(RatioLevel::SequenceMean, dual, Aggregation::SEQUENCE_MEAN_TOKEN_SUM),
        ),
        ("ratio-weighted KL", grpo.clone().with_kl(weighted)),
        (
            "ratio-weighted KL of sequences",
            Objective { ratio: RatioLevel::SequenceMean, ..grpo.clone().with_kl(weighted) },
        ),
        ("k2", grpo.clone().with_kl(Kl::in_loss(KlEstimator::K2, unit(0.3)))),
        ("full KL", grpo.clone().with_kl(Kl::in_loss(KlEstimator::Full, unit(0.3)))),
        (
            "entropy",
            Objective { entropy_aggregation: Some(Aggregation::TOKEN_MEAN), ..grpo.clone().with_entropy(unit(0.01)) },
        ),
        (
            "truncated",
            Objective { mismatch: Some(Mismatch::TokenTruncated { low: unit(0.0), high: unit(1.1) }), ..grpo.clone() },
        ),
        (
            "masked",
            Objective { mismatch: Some(Mismatch::TokenMasked { low: unit(0.8), high: unit(1.2) }), ..grpo.clone() },
        ),
        ("masked sequences", Objective { mismatch: Some(band), ..grpo.clone() }),
        (
            "top entropy",
            Objective {
                filters: vec![Filter::TopEntropy { fraction: Probability::new(0.5).unwrap() }],
                ..grpo.clone()
            },
        ),
        ("off-policy mask", Objective { filters: vec![Filter::OffPolicySequence { threshold: unit(0.1) }], ..grpo }),
    ];
    presets.chain(composed.map(|(name, objective)| (name.to_owned(), objective))).collect()
}

/// How the loss may be differentiated: where a weight of the ratio is held fixed, π and π_old must move together.
fn moves_old(name: &str) -> bool {
    ["Cispo", "Vespo", "DppoTv", "DppoKl", "FlowRl"].contains(&name)
}

/// These select on the log-probabilities of the batch, or give each token the value of its sequence.
fn has_no_difference_quotient(name: &str) -> bool {
    ["KlCov", "GspoToken"].contains(&name)
}

/// Central difference of the loss in one log-probability; none where both sides disagree: a kink.
fn difference(objective: &Objective, batch: &[Owned], i: usize, t: usize, with_old: bool) -> Option<f64> {
    let h = 1e-6;
    let at = |shift: f64| {
        let mut moved = batch.to_vec();
        moved[i].logp[t] += shift;
        if with_old {
            moved[i].old[t] += shift;
            moved[i].rollout[t] += shift;
        }
        evaluate(objective, &moved).loss
    };
    let (above, here, below) = (at(h), at(0.0), at(-h));
    let kink = ((above - here) / h - (here - below) / h).abs() > 1e-3 * (1.0 + here.abs());
    (!kink).then_some((above - below) / (2.0 * h))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn coefficients_are_the_derivatives_of_the_loss(batch in sequences()) {
        for (name, objective) in objectives().iter().filter(|(name, _)| !has_no_difference_quotient(name)) {
            let analytic = evaluate(objective, &batch).coefficients.log_probs;
            for (i, coefficients) in analytic.iter().enumerate() {
                for (t, coefficient) in coefficients.iter().enumerate() {
                    let Some(numeric) = difference(objective, &batch, i, t, moves_old(name)) else { continue };
                    let close = (coefficient - numeric).abs() < 1e-5 * (1.0 + numeric.abs());
                    prop_assert!(close, "{name} [{i}][{t}]: {} against {numeric}", coefficient);
                }
            }
        }
    }

    #[test]
    fn entropy_full_kl_and_log_z_have_their_derivatives(batch in sequences()) {
        let objectives = objectives();
        let find = |name: &str| objectives.iter().find(|(n, _)| n == name).unwrap().1.clone();
        let (entropy, full, flow) = (find("entropy"), find("full KL"), find("FlowRl"));
        let h = 1e-6;
        let moved = |objective: &Objective, change: &dyn Fn(&mut Owned, f64)| {
            let at = |shift: f64| {
                let mut moved = batch.clone();
                change(&mut moved[0], shift);
                evaluate(objective, &moved).loss
            };
            (at(h) - at(-h)) / (2.0 * h)
        };
        let dentropy = evaluate(&entropy, &batch).coefficients.entropies[0][0];
        prop_assert!((dentropy - moved(&entropy, &|s, d| s.entropy[0] += d)).abs() < 1e-6);
        let dkl = evaluate(&full, &batch).coefficients.full_kls[0][0];
        prop_assert!((dkl - moved(&full, &|s, d| s.entropy[0] += d)).abs() < 1e-6);
        let dlog_z = evaluate(&flow, &batch).coefficients.log_z[0];
        prop_assert!((dlog_z - moved(&flow, &|s, d| s.log_z += d)).abs() < 1e-4 * (1.0 + dlog_z.abs()));
    }

    #[test]
    fn micro_batches_of_any_size_add_up_to_the_same_gradient(batch in sequences(), size in 1usize..4) {
        for (name, objective) in &objectives() {
            let all = terms(&batch);
            let denominators = objective.prepare(&all).unwrap();
            let whole = objective.evaluate(&all, &denominators).unwrap();
            let parts: Vec<_> = all.chunks(size).map(|part| objective.evaluate(part, &denominators).unwrap()).collect();
            let joined: Vec<_> = parts.iter().flat_map(|part| part.coefficients.log_probs.clone()).collect();
            prop_assert_eq!(&joined, &whole.coefficients.log_probs, "{}", name); // to the bit
            let loss: f64 = parts.iter().map(|part| part.loss).sum();
            prop_assert!((loss - whole.loss).abs() < 1e-12 * (1.0 + whole.loss.abs()), "{name}");
        }
    }

    #[test]
    fn the_order_of_the_sequences_permutes_the_gradient(batch in sequences()) {
        let backwards: Vec<Owned> = batch.iter().rev().cloned().collect();
        for (name, objective) in &objectives() {
            let (forth, mut back) = (evaluate(objective, &batch), evaluate(objective, &backwards));
            back.coefficients.log_probs.reverse();
            let pairs = forth.coefficients.log_probs.iter().flatten().zip(back.coefficients.log_probs.iter().flatten());
            prop_assert!(pairs.clone().all(|(a, b)| (a - b).abs() <= 1e-14 * (1.0 + a.abs())), "{name}");
            prop_assert!((forth.loss - back.loss).abs() < 1e-12 * (1.0 + forth.loss.abs()), "{name}");
        }
    }

    #[test]
    fn packed_buffers_and_masked_padding_change_nothing(batch in sequences()) {
        // Packing: columns are slices, here of one buffer with a gap. Padding: masked tokens that are not numbers.
        let padded: Vec<Owned> = batch.iter().map(|sequence| {
            let mut padded = sequence.clone();
            for column in [&mut padded.logp, &mut padded.old, &mut padded.reference, &mut padded.rollout,
                           &mut padded.entropy, &mut padded.advantages] {
                column.extend([f64::NAN, f64::INFINITY]);
            }
            padded.mask.extend([false, false]);
            padded
        }).collect();
        for (name, objective) in &objectives() {
            let (bare, with) = (evaluate(objective, &batch), evaluate(objective, &padded));
            prop_assert_eq!(bare.loss.to_bits(), with.loss.to_bits(), "{}", name);
            for ((bare, with), sequence) in
                bare.coefficients.log_probs.iter().zip(&with.coefficients.log_probs).zip(&batch)
            {
                let (real, padding) = with.split_at(sequence.logp.len());
                prop_assert_eq!(bare, real, "{}", name);
                prop_assert!(padding.iter().all(|c| c.abs().to_bits() == 0), "{name}");
            }
        }
    }

    #[test]
    fn masked_tokens_have_zero_gradient(batch in sequences()) {
        for (name, objective) in &objectives() {
            for (sequence, coefficients) in batch.iter().zip(evaluate(objective, &batch).coefficients.log_probs) {
                let masked = sequence.mask.iter().zip(coefficients).filter(|(active, _)| !**active);
                prop_assert!(masked.into_iter().all(|(_, c)| c.abs().to_bits() == 0), "{name}");
            }
        }
    }

    #[test]
    fn on_policy_the_gradient_is_the_weighted_score_function(mut batch in sequences()) {
        for sequence in &mut batch {
            sequence.old.clone_from(&sequence.logp);
        }
        let score = Objective::new(RatioLevel::Token, ScoreFunction {}, Aggregation::TOKEN_MEAN);
        let expected = evaluate(&score, &batch).coefficients.log_probs;
        for preset in [Preset::Ppo, Preset::Dapo, Preset::Cispo, Preset::Gpg, Preset::Sapo, Preset::DppoTv, Preset::DppoKl] {
            let objective = Objective { aggregation: Aggregation::TOKEN_MEAN, ..preset.objective() };
            let ours = evaluate(&objective, &batch).coefficients.log_probs;
            let close = ours.iter().flatten().zip(expected.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-14);
            prop_assert!(close, "{preset:?}");
        }
    }

    #[test]
    fn an_infinite_clip_is_the_importance_ratio(batch in sequences()) {
        let open = PpoClip { low: unit(1e300), high: unit(1e300), dual: None };
        let dual = PpoClip { dual: Some(Positive::new(1e300).unwrap()), low: unit(0.2), high: unit(0.2) };
        let closed = PpoClip { dual: None, ..dual };
        for level in [RatioLevel::Token, RatioLevel::SequenceMean, RatioLevel::SequenceSum, RatioLevel::SequenceMeanToken] {
            let with = |surrogate: PpoClip| evaluate(&Objective::new(level, surrogate, Aggregation::TOKEN_MEAN), &batch);
            let bare = evaluate(&Objective::new(level, Importance {}, Aggregation::TOKEN_MEAN), &batch);
            prop_assert_eq!(with(open).coefficients, bare.coefficients);
            prop_assert_eq!(with(dual).coefficients, with(closed).coefficients, "a dual clip at infinity is none");
        }
    }

    #[test]
    fn on_one_token_every_level_is_the_token_level(mut batch in sequences()) {
        for sequence in &mut batch {
            for column in [&mut sequence.logp, &mut sequence.old, &mut sequence.reference, &mut sequence.rollout,
                           &mut sequence.entropy, &mut sequence.advantages] {
                column.truncate(1);
            }
            sequence.mask = vec![true];
        }
        for surrogate in [Preset::Ppo, Preset::Cispo, Preset::Sapo, Preset::Kimi, Preset::Dro].map(|p| p.objective().surrogate) {
            let at = |level| evaluate(&Objective::new(level, surrogate, Aggregation::TOKEN_MEAN), &batch);
            let token = at(RatioLevel::Token);
            for level in [RatioLevel::SequenceMean, RatioLevel::SequenceSum, RatioLevel::SequenceMeanToken,
                          RatioLevel::SequenceSumToken, RatioLevel::StepMean, RatioLevel::StepSum] {
                prop_assert_eq!(&at(level).coefficients, &token.coefficients, "{:?} {:?}", surrogate, level);
            }
        }
    }

    #[test]
    fn gspo_by_token_is_gspo_where_a_sequence_has_one_advantage(batch in sequences()) {
        let (token, sequence) = (RatioLevel::SequenceMeanToken, RatioLevel::SequenceMean);
        let at = |level| {
            let objective = Objective { ratio: level, ..Preset::GspoToken.objective() };
            evaluate(&objective, &batch)
        };
        let (by_token, by_sequence) = (at(token), at(sequence));
        prop_assert!((by_token.loss - by_sequence.loss).abs() < 1e-12);
        let coefficients = |e: &Evaluation<f64>| e.coefficients.log_probs.concat();
        for (a, b) in coefficients(&by_token).iter().zip(coefficients(&by_sequence)) {
            prop_assert!((a - b).abs() < 1e-13);
        }
    }

    #[test]
    fn a_kl_is_weighted_by_the_tokens_own_ratio_where_tokens_keep_their_gradient(mut batch in sequences()) {
        let weighted = Kl { weighted_by_ratio: true, ..Kl::in_loss(KlEstimator::K3, unit(0.1)) };
        let objective = |level| Objective { ratio: level, ..Preset::Vespo.objective().with_kl(weighted) };
        let levels = [RatioLevel::Token, RatioLevel::SequenceMeanToken, RatioLevel::SequenceSumToken];
        // With the policy term the KL adds up; without advantages it stands alone.
        let kl = |batch: &[Owned]| {
            levels.map(|level| {
                let (both, policy) = (evaluate(&objective(level), batch), evaluate(&Objective { kl: None, ..objective(level) }, batch));
                let terms = both.coefficients.log_probs.iter().flatten().zip(policy.coefficients.log_probs.iter().flatten());
                (both.loss - policy.loss, terms.map(|(both, policy)| both - policy).collect::<Vec<f64>>())
            })
        };
        let with_policy = kl(&batch);
        for sequence in &mut batch {
            sequence.advantages.fill(0.0);
        }
        let [token, ..] = &kl(&batch);
        for (loss, coefficients) in &with_policy {
            prop_assert!((loss - token.0).abs() < 1e-9 * (1.0 + token.0.abs()), "{loss} {}", token.0);
            let close = coefficients.iter().zip(&token.1).all(|(a, b)| (a - b).abs() < 1e-9 * (1.0 + b.abs()));
            prop_assert!(close, "{coefficients:?} {:?}", token.1);
        }
    }

    #[test]
    fn step_levels_are_sequence_levels_of_their_steps(batch in sequences()) {
        // A sequence cut into two steps, and the two steps as sequences of their own, under a constant denominator.
        let constant = Aggregation::Constant { denominator: Positive::new(3.0).unwrap() };
        let surrogate = Preset::Ppo.objective().surrogate;
        let sequence = &batch[0];
        let (cut, n) = (sequence.logp.len() / 2, sequence.logp.len());
        prop_assume!(cut > 0);
        let ends = [cut, n];
        let by_step = Objective::new(RatioLevel::StepMean, surrogate, constant);
        let whole = [SequenceTerms { step_ends: &ends, ..sequence.terms() }];
        let one = by_step.evaluate(&whole, &Denominators::of(&whole)).unwrap();
        let part = |range: std::ops::Range<usize>| {
            let terms = [SequenceTerms {
                old_logp: &sequence.old[range.clone()],
                mask: &sequence.mask[range.clone()],
                ..SequenceTerms::new(&sequence.logp[range.clone()], Advantages::Token(&sequence.advantages[range]))
            }];
            let objective = Objective::new(RatioLevel::SequenceMean, surrogate, constant);
            objective.evaluate(&terms, &Denominators::of(&terms)).unwrap().coefficients.log_probs.concat()
        };
        prop_assert_eq!(one.coefficients.log_probs.concat(), [part(0..cut), part(cut..n)].concat());
    }

    #[test]
    fn hostile_numbers_never_panic_and_large_log_ratios_stay_finite(
        rows in prop::collection::vec(prop::collection::vec(hostile(), 0..5), 0..4), finite in any::<bool>(),
    ) {
        let batch: Vec<Owned> = rows.iter().map(|row| Owned {
            logp: row.iter().map(|x| if finite { tame(*x) } else { *x }).collect(),
            old: vec![-1.0; row.len()],
            reference: vec![-1.0; row.len()],
            rollout: vec![-1.0; row.len()],
            entropy: vec![1.0; row.len()],
            mask: vec![true; row.len()],
            advantages: vec![-0.7; row.len()],
            log_z: 0.0,
        }).collect();
        for (name, objective) in &objectives() {
            let result = evaluate(objective, &batch);
            if finite {
                prop_assert!(result.loss.is_finite(), "{name}: {}", result.loss);
                prop_assert!(result.coefficients.log_probs.iter().flatten().all(|c| c.is_finite()), "{name}");
            }
        }
    }

    #[test]
    fn single_precision_agrees_to_its_accuracy(batch in sequences()) {
        let objective = Preset::Grpo.objective();
        let narrow = |column: &[f64]| column.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let columns: Vec<_> = batch.iter().map(|s| (narrow(&s.logp), narrow(&s.old), narrow(&s.reference))).collect();
        let terms: Vec<_> = columns.iter().zip(&batch).map(|((logp, old, reference), s)| SequenceTerms {
            old_logp: old, ref_logp: reference, mask: &s.mask,
            ..SequenceTerms::new(logp, Advantages::Sequence(s.advantages[0] as f32))
        }).collect();
        let single = objective.evaluate(&terms, &Denominators::of(&terms)).unwrap();
        prop_assert!((f64::from(single.loss) - evaluate(&objective, &batch).loss).abs() < 1e-4);
    }
}

fn hostile() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MIN_POSITIVE / 4.0),
        Just(0.0),
        -1e4f64..1e4
    ]
}

fn tame(x: f64) -> f64 {
    if x.is_finite() { x } else { -1e4 }
}

#[test]
fn clipping_by_hand() {
    // ρ = e^0.5 = 1.6487 at A = 1 is above 1.2: ℓ = −1.2, no gradient. ρ = 1.6487 at A = −1: ℓ = 1.6487, gradient too.
    // Mean over two tokens: loss (−1.2 + 1.6487)/2, coefficients 0 and 1.6487/2.
    let (logp, old, advantages) = ([-0.5, -0.5], [-1.0, -1.0], [1.0, -1.0]);
    let terms = [SequenceTerms { old_logp: &old, ..SequenceTerms::new(&logp, Advantages::Token(&advantages)) }];
    let ppo = Preset::Ppo.objective().evaluate(&terms, &Denominators::of(&terms)).unwrap();
    let ratio = 0.5f64.exp();
    assert!((ppo.loss - (ratio - 1.2) / 2.0).abs() < 1e-15);
    assert!((ppo.coefficients.log_probs[0][0]).abs() < 1e-15);
    assert!((ppo.coefficients.log_probs[0][1] - ratio / 2.0).abs() < 1e-15);
    assert!((ppo.metrics.clip_fraction_high - 0.5).abs() < 1e-15 && ppo.metrics.clip_fraction_low.abs() < 1e-15);
    assert!((ppo.metrics.ratio_max - ratio).abs() < 1e-15 && (ppo.metrics.approx_kl + 0.5).abs() < 1e-15);
    // Dual clip at c = 1.5: the second token's loss is −1.5 · A = 1.5 and its gradient is gone.
    let dual = PpoClip { low: unit(0.2), high: unit(0.2), dual: Some(Positive::new(1.5).unwrap()) };
    let dual = Objective::new(RatioLevel::Token, dual, Aggregation::TOKEN_MEAN);
    let dual = dual.evaluate(&terms, &Denominators::of(&terms)).unwrap();
    assert!((dual.loss - (1.5 - 1.2) / 2.0).abs() < 1e-15 && dual.coefficients.log_probs[0][1].abs() < 1e-15);
    assert!((dual.metrics.clip_fraction_dual - 0.5).abs() < 1e-15);
}

#[test]
fn aggregation_by_hand() {
    // Token losses −A log π with A = 1, log π = −1: each is 1. Lengths 1, 3 and 0.
    let (one, three) = ([-1.0], [-1.0; 3]);
    let none: [f64; 0] = [];
    let terms: Vec<_> =
        [&one[..], &three, &none].into_iter().map(|logp| SequenceTerms::new(logp, Advantages::Sequence(1.0))).collect();
    let loss = |aggregation: Aggregation| {
        let objective = Objective::new(RatioLevel::Token, ScoreFunction {}, aggregation);
        objective.evaluate(&terms, &Denominators::of(&terms)).unwrap().loss
    };
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} {b}");
    close(loss(Aggregation::TOKEN_MEAN), 1.0); // 4/4
    close(loss(Aggregation::SEQUENCE_MEAN_TOKEN_MEAN), 1.0); // (1 + 1)/2, the empty one does not count
    close(loss(Aggregation::SEQUENCE_MEAN), 2.0 / 3.0); // (1 + 1 + 0)/3
    close(loss(Aggregation::SEQUENCE_MEAN_TOKEN_SUM), 2.0); // (1 + 3)/2
    close(loss(Aggregation::Constant { denominator: Positive::new(8.0).unwrap() }), 0.5); // 4/8
    let objective = Objective::new(RatioLevel::Token, ScoreFunction {}, Aggregation::TOKEN_MEAN);
    close(objective.evaluate(&terms, &Denominators::of(&terms).times(4.0)).unwrap().loss, 0.25); // a quarter of it
}

#[test]
fn both_conventions_of_cispo_by_hand() {
    // ρ = e^1 = 2.718, A = 1, log π = −0.5. Around one with ε = 0.2: weight 1.2; absolute with 2: weight 2.
    let (logp, old) = ([-0.5f64], [-1.5]);
    let terms = [SequenceTerms { old_logp: &old, ..SequenceTerms::new(&logp, Advantages::Sequence(1.0)) }];
    let coefficient = |high: f64, convention| {
        let cispo = Cispo { low: None, high: unit(high), convention };
        let objective = Objective::new(RatioLevel::Token, cispo, Aggregation::TOKEN_MEAN);
        objective.evaluate(&terms, &Denominators::of(&terms)).unwrap().coefficients.log_probs[0][0]
    };
    assert!((coefficient(0.2, ClipConvention::AroundOne) + 1.2).abs() < 1e-15);
    assert!((coefficient(2.0, ClipConvention::Absolute) + 2.0).abs() < 1e-15);
}

#[test]
fn mismatch_weights_by_hand() {
    // π_old/μ = e^0 = 1 and e^1 = 2.718; their geometric mean is e^0.5 = 1.649, their product 2.718.
    let (logp, rollout) = ([-1.0, -1.0], [-1.0, -2.0]);
    let terms = [SequenceTerms { rollout_logp: &rollout, ..SequenceTerms::new(&logp, Advantages::Sequence(1.0)) }];
    let weights = |mismatch: Mismatch| {
        let bare = Objective::new(RatioLevel::Token, ScoreFunction {}, Aggregation::SEQUENCE_MEAN_TOKEN_SUM);
        let objective = Objective { mismatch: Some(mismatch), ..bare };
        let e = objective.evaluate(&terms, &Denominators::of(&terms)).unwrap();
        e.coefficients.log_probs[0].iter().map(|c| -c).collect::<Vec<f64>>()
    };
    let close = |a: Vec<f64>, b: [f64; 2]| assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-15), "{a:?} {b:?}");
    let (low, high, e) = (unit(0.5), unit(2.0), 1f64.exp());
    close(weights(Mismatch::TokenTruncated { low, high }), [1.0, 2.0]);
    close(weights(Mismatch::TokenMasked { low, high }), [1.0, 0.0]);
    close(weights(Mismatch::SequenceMasked { low, high }), [1.0, e]);
    close(weights(Mismatch::SequenceMasked { low, high: unit(1.5) }), [0.0, 0.0]);
    close(weights(Mismatch::SequenceTruncated { low, high }), [2.0, 2.0]);
}

#[test]
fn the_covariance_penalty_by_hand() {
    // A = 1, −1, 0 and log π = −1, −3, −2: means 0 and −2, covariances 1·1, (−1)(−1), 0: the first two tie at 1.
    let (logp, old, advantages) = ([-1.0f64, -3.0, -2.0], [-1.5, -2.5, -2.0], [1.0, -1.0, 0.0]);
    let terms = [SequenceTerms { old_logp: &old, ..SequenceTerms::new(&logp, Advantages::Token(&advantages)) }];
    let penalty = CovariancePenalty { fraction: Probability::new(0.34).unwrap(), coefficient: unit(1.0) };
    let bare = Objective::new(RatioLevel::Token, Importance {}, Aggregation::SEQUENCE_MEAN_TOKEN_SUM);
    let with = bare.clone().with_covariance_penalty(penalty);
    let difference = with.evaluate(&terms, &with.prepare(&terms).unwrap()).unwrap().loss
        - bare.evaluate(&terms, &Denominators::of(&terms)).unwrap().loss;
    assert!((difference - 1.0).abs() < 1e-15, "|0.5| + |−0.5|, both of the tie");
    assert!(with.evaluate(&terms, &Denominators::of(&terms)).is_err(), "the whole batch was not looked at");
}

#[test]
fn an_objective_says_which_column_it_lacks() {
    let logp = [-1.0, -2.0];
    let terms = [SequenceTerms::new(&logp, Advantages::Sequence(1.0))];
    let error = |objective: &Objective| objective.evaluate(&terms, &Denominators::of(&terms)).unwrap_err().to_string();
    assert_eq!(error(&Preset::Grpo.objective()), "sequence 0: the KL term needs `ref_logp`, got none");
    assert_eq!(
        error(&Preset::Gpg.objective().with_entropy(unit(0.1))),
        "sequence 0: the entropy term needs `entropy`, got none"
    );
    let short = [-1.0];
    let terms = [SequenceTerms { old_logp: &short, ..terms[0] }];
    let error = Preset::Ppo.objective().evaluate(&terms, &Denominators::of(&terms)).unwrap_err().to_string();
    assert_eq!(error, "sequence 0: expected 2 entries of `old_logp`, got 1");
}
