//! What every preference and fitting loss obeys: derivatives in every input, reductions, values by hand.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use tdrm_algo::preference::{
    BradleyTerry, Divergence, Example, FitLoss, GroupPairwise, InfoNce, Kto, KtoLoss, Ordinal, Pair, PlackettLuce,
    PreferenceLoss, PreferenceObjective, Response, ReturnDecomposition, RewardPair, TokenPair, Weighting,
    cross_entropy, sigmoid, softplus,
};
use tdrm_core::{NonNegative, Positive, Probability};

fn positive(x: f64) -> Positive {
    Positive::new(x).unwrap()
}

fn smoothing(x: f64) -> Probability {
    Probability::new(x).unwrap()
}

fn losses() -> Vec<PreferenceLoss> {
    use PreferenceLoss as L;
    let (beta, label_smoothing) = (positive(0.3), smoothing(0.1));
    let mut losses = vec![
        L::Nca { beta },
        L::Bco { beta },
        L::Sppo { beta },
        L::ApoZero { beta },
        L::ApoDown { beta },
        L::Aot { beta, label_smoothing },
        L::AotUnpaired { beta, label_smoothing },
        L::Simpo { beta: positive(2.0), gamma: NonNegative::new(0.5).unwrap() },
        L::Orpo { beta: NonNegative::new(0.3).unwrap() },
        L::Sft {},
    ];
    let alpha = Divergence::Alpha { alpha: 0.5 };
    for divergence in [Divergence::ReverseKl, Divergence::ForwardKl, Divergence::JensenShannon, alpha] {
        losses.extend([
            L::Dpo { beta, divergence, label_smoothing: smoothing(0.0), length_normalised: false },
            L::Dpo { beta, divergence, label_smoothing, length_normalised: true },
            L::Cdpo { beta, label_smoothing, divergence },
            L::Robust { beta, label_smoothing, divergence },
            L::Ipo { beta, length_normalised: true, divergence },
            L::Ipo { beta, length_normalised: false, divergence },
            L::Hinge { beta, divergence },
            L::Exo { beta, label_smoothing, divergence },
            L::Discopop { beta, tau: positive(0.5), divergence },
        ]);
    }
    losses
}

fn response() -> impl Strategy<Value = Response<f64>> {
    (1.0f64..6.0, -3.0f64..-0.1, -1.5f64..1.5).prop_map(|(length, mean, x)| Response {
        logp: mean * length.floor(),
        ref_logp: mean * length.floor() - x,
        length: length.floor(),
    })
}

fn pairs() -> impl Strategy<Value = Vec<Pair<f64>>> {
    let pair =
        (response(), response(), 0.5f64..1.5).prop_map(|(chosen, rejected, weight)| Pair { chosen, rejected, weight });
    prop::collection::vec(pair, 1..5)
}

const H: f64 = 1e-6;

/// Central difference of `f`, or nothing where both sides disagree: a kink or a swap in an order.
fn slope(f: impl Fn(f64) -> f64) -> Option<f64> {
    let (above, here, below) = (f(H), f(0.0), f(-H));
    let kink = ((above - here) - (here - below)).abs() > 1e-3 * H * (1.0 + here.abs());
    (!kink).then_some((above - below) / (2.0 * H))
}

fn agrees(analytic: f64, f: impl Fn(f64) -> f64) -> bool {
    slope(f).is_none_or(|numeric| (analytic - numeric).abs() < 1e-6 * (1.0 + numeric.abs()))
}

/// Adds to one coordinate.
fn moved(values: &[f64], i: usize, shift: f64) -> Vec<f64> {
    let mut values = values.to_vec();
    values[i] += shift;
    values
}

proptest! {
    #[test]
    fn pair_losses_have_their_derivatives(pairs in pairs()) {
        for loss in losses() {
            let e = loss.evaluate(&pairs);
            for i in 0..pairs.len() {
                let chosen = |shift: f64| {
                    let mut pairs = pairs.clone();
                    pairs[i].chosen.logp += shift;
                    loss.evaluate(&pairs).loss
                };
                let rejected = |shift: f64| {
                    let mut pairs = pairs.clone();
                    pairs[i].rejected.logp += shift;
                    loss.evaluate(&pairs).loss
                };
                prop_assert!(agrees(e.chosen[i], chosen), "{loss:?} chosen {i}");
                prop_assert!(agrees(e.rejected[i], rejected), "{loss:?} rejected {i}");
            }
        }
    }

    #[test]
    fn conservative_and_robust_dpo_are_dpo_without_noise(pairs in pairs()) {
        let (beta, divergence, label_smoothing) = (positive(0.3), Divergence::ReverseKl, smoothing(0.0));
        let dpo = PreferenceLoss::Dpo { beta, divergence, label_smoothing, length_normalised: false }.evaluate(&pairs);
        prop_assert_eq!(&PreferenceLoss::Cdpo { beta, label_smoothing, divergence }.evaluate(&pairs), &dpo);
        prop_assert_eq!(&PreferenceLoss::Robust { beta, label_smoothing, divergence }.evaluate(&pairs), &dpo);
    }

    #[test]
    fn robust_dpo_is_unbiased_under_flipped_labels(pairs in pairs()) {
        // E over labels flipped with probability ε of the robust loss is the loss of the clean label.
        let (beta, divergence, epsilon) = (positive(0.3), Divergence::ReverseKl, 0.2);
        let robust = PreferenceLoss::Robust { beta, label_smoothing: smoothing(epsilon), divergence };
        let dpo = PreferenceLoss::Cdpo { beta, label_smoothing: smoothing(0.0), divergence };
        let flipped: Vec<_> = pairs.iter().map(|p| Pair { chosen: p.rejected, rejected: p.chosen, weight: p.weight }).collect();
        let mean = (1.0 - epsilon) * robust.evaluate(&pairs).loss + epsilon * robust.evaluate(&flipped).loss;
        prop_assert!((mean - dpo.evaluate(&pairs).loss).abs() < 1e-12);
    }

    #[test]
    fn dpo_at_small_beta_is_half_the_margin(pairs in pairs()) {
        // −ln σ(βh) = ln 2 − βh/2 + O(β²): the gradient over β tends to −½ for chosen and ½ for rejected.
        let beta = 1e-7;
        let dpo = PreferenceLoss::Dpo { beta: positive(beta), divergence: Divergence::ReverseKl,
            label_smoothing: smoothing(0.0), length_normalised: false };
        let e = dpo.evaluate(&pairs);
        for (pair, d) in pairs.iter().zip(&e.chosen) {
            prop_assert!((d / beta + 0.5 * pair.weight / pairs.len() as f64).abs() < 1e-5);
        }
    }

    #[test]
    fn aot_on_one_pair_is_conservative_dpo(pairs in pairs()) {
        let (beta, label_smoothing, divergence) = (positive(0.3), smoothing(0.1), Divergence::ReverseKl);
        let cdpo = PreferenceLoss::Cdpo { beta, label_smoothing, divergence }.evaluate(&pairs[..1]);
        for aot in [PreferenceLoss::Aot { beta, label_smoothing }, PreferenceLoss::AotUnpaired { beta, label_smoothing }] {
            let e = aot.evaluate(&pairs[..1]);
            prop_assert!((e.loss - cdpo.loss).abs() < 1e-12 && (e.chosen[0] - cdpo.chosen[0]).abs() < 1e-12);
        }
    }

    #[test]
    fn losses_of_log_ratios_ignore_a_common_shift_of_policy_and_reference(pairs in pairs(), c in -5.0f64..5.0) {
        let shifted: Vec<_> = pairs.iter().map(|p| Pair {
            chosen: Response { logp: p.chosen.logp + c, ref_logp: p.chosen.ref_logp + c, ..p.chosen }, ..*p
        }).collect();
        let with_reference = |l: &&PreferenceLoss| {
            !matches!(l, PreferenceLoss::Simpo { .. } | PreferenceLoss::Orpo { .. } | PreferenceLoss::Sft {} | PreferenceLoss::Aot { .. })
        };
        for loss in losses().iter().filter(with_reference) {
            let (a, b) = (loss.evaluate(&pairs).loss, loss.evaluate(&shifted).loss);
            prop_assert!((a - b).abs() < 1e-9 * (1.0 + a.abs()), "{loss:?}");
        }
    }

    #[test]
    fn token_derivatives_match_central_differences(
        chosen in prop::collection::vec(-3.0f64..-0.1, 1..5), rejected in prop::collection::vec(-3.0f64..-0.1, 1..5), alpha in 0.0f64..1.0,
    ) {
        let (ref_chosen, ref_rejected) = (moved(&chosen, 0, -0.4), moved(&rejected, 0, 0.3));
        let objective = PreferenceObjective {
            tail_weight: Some(smoothing(alpha)),
            ..PreferenceLoss::Ipo { beta: positive(0.2), length_normalised: true, divergence: Divergence::ReverseKl }.into()
        };
        let loss = |chosen: &[f64], rejected: &[f64]| {
            objective.evaluate(&[TokenPair::new(chosen, rejected, &ref_chosen, &ref_rejected)]).unwrap()
        };
        let e = loss(&chosen, &rejected);
        for t in 0..chosen.len() {
            prop_assert!(agrees(e.chosen[0][t], |d| loss(&moved(&chosen, t, d), &rejected).loss));
        }
        for t in 0..rejected.len() {
            prop_assert!(agrees(e.rejected[0][t], |d| loss(&chosen, &moved(&rejected, t, d)).loss));
        }
    }

    #[test]
    fn kto_has_its_derivative(responses in prop::collection::vec((response(), any::<bool>()), 1..5), point in 0.0f64..1.0) {
        let examples: Vec<_> = responses.iter().map(|&(response, desirable)| Example { response, desirable }).collect();
        for loss in [KtoLoss::Kto, KtoLoss::ApoZero] {
            let kto = Kto { beta: positive(0.4), desirable_weight: NonNegative::new(1.0).unwrap(),
                undesirable_weight: NonNegative::new(1.33).unwrap(), loss };
            let (_, derivatives) = kto.evaluate(&examples, point);
            for (i, &derivative) in derivatives.iter().enumerate() {
                let at = |shift: f64| {
                    let mut examples = examples.clone();
                    examples[i].response.logp += shift;
                    kto.evaluate(&examples, point).0
                };
                prop_assert!(agrees(derivative, at));
            }
        }
    }

    #[test]
    fn scores_have_their_derivatives(scores in prop::collection::vec(-3.0f64..3.0, 2..6), margin in -1.0f64..1.0, k in 0usize..2) {
        let bt = BradleyTerry { centering: NonNegative::new(0.02).unwrap() };
        let pair = |chosen, rejected| bt.evaluate(&[RewardPair { chosen, rejected, margin }]);
        let e = pair(scores[0], scores[1]);
        prop_assert!(agrees(e.chosen[0], |d| pair(scores[0] + d, scores[1]).loss));
        prop_assert!(agrees(e.rejected[0], |d| pair(scores[0], scores[1] + d).loss));

        let correct: Vec<bool> = (0..scores.len()).map(|i| i % 2 == k).collect();
        let labels: Vec<usize> = (0..scores.len()).map(|i| i % 3).collect();
        let ordinal = |cuts: &[f64], scores: &[f64]| Ordinal { cuts: cuts.to_vec() }.evaluate(scores, &labels).unwrap();
        let cuts = [-0.7, 0.9];
        let nce = InfoNce { temperature: positive(0.4) };
        let ranking = PlackettLuce {}.evaluate(&scores);
        let group = GroupPairwise {}.evaluate(&scores, &correct).unwrap();
        let contrast = nce.evaluate(&scores, k).unwrap();
        let decomposition = ReturnDecomposition {}.evaluate(&scores, 1.5, 7);
        let ordered = ordinal(&cuts, &scores);
        for i in 0..scores.len() {
            let at = |d: f64| moved(&scores, i, d);
            prop_assert!(agrees(ranking.1[i], |d| PlackettLuce {}.evaluate(&at(d)).0), "differs");
            prop_assert!(agrees(group.1[i], |d| GroupPairwise {}.evaluate(&at(d), &correct).unwrap().0), "differs");
            prop_assert!(agrees(contrast.1[i], |d| nce.evaluate(&at(d), k).unwrap().0));
            prop_assert!(agrees(decomposition.1[i], |d| ReturnDecomposition {}.evaluate(&at(d), 1.5, 7).0), "differs");
            prop_assert!(agrees(ordered.scores[i], |d| ordinal(&cuts, &at(d)).loss));
        }
        for i in 0..2 {
            prop_assert!(agrees(ordered.cuts[i], |d| ordinal(&moved(&cuts, i, d), &scores).loss));
        }
    }

    #[test]
    fn fits_have_their_derivatives(z in -4.0f64..4.0, t in 0.0f64..1.0, logits in prop::collection::vec(-3.0f64..3.0, 3), gamma in 0.0f64..3.0) {
        let gamma = NonNegative::new(gamma).unwrap();
        let focal = FitLoss::Focal { gamma, alpha: Some(smoothing(0.3)) };
        for loss in [FitLoss::Bce {}, FitLoss::Mse {}, FitLoss::MseSigmoid {}, focal] {
            prop_assert!(agrees(loss.at(z, t).1, |d| loss.at(z + d, t).0), "{loss:?}");
        }
        let target = [t / 2.0, 1.0 - t, t / 2.0];
        let (_, gradient) = cross_entropy(&logits, &target).unwrap();
        for (k, &slope) in gradient.iter().enumerate() {
            prop_assert!(agrees(slope, |d| cross_entropy(&moved(&logits, k, d), &target).unwrap().0));
        }
    }

    #[test]
    fn special_cases_coincide(a in -3.0f64..3.0, b in -3.0f64..3.0, t in 0.0f64..1.0) {
        let close = |x: f64, y: f64| (x - y).abs() < 1e-12;
        let bt = BradleyTerry { centering: NonNegative::ZERO };
        let pair = bt.evaluate(&[RewardPair { chosen: a, rejected: b, margin: 0.0 }]);
        prop_assert!(close(PlackettLuce {}.evaluate(&[a, b]).0, pair.loss), "two items: Bradley–Terry");
        prop_assert!(close(GroupPairwise {}.evaluate(&[a, b], &[true, false]).unwrap().0, pair.loss), "differs");
        prop_assert!(close(InfoNce { temperature: positive(1.0) }.evaluate(&[a, b], 0).unwrap().0, pair.loss), "differs");
        let (bce, slope) = FitLoss::Bce {}.at(a, t);
        prop_assert!(close(cross_entropy(&[0.0, a], &[1.0 - t, t]).unwrap().0, bce), "two classes: a logit");
        let plain = FitLoss::Focal { gamma: NonNegative::ZERO, alpha: None }.at(a, t);
        prop_assert!(close(plain.0, bce) && close(plain.1, slope), "focal at γ = 0");
        let one_cut = Ordinal { cuts: vec![0.0] }.evaluate(&[a], &[1]).unwrap();
        prop_assert!(close(one_cut.loss, softplus(-a)), "one cut: logistic regression");
    }

    #[test]
    fn hostile_numbers_never_panic_and_finite_ones_stay_finite(
        numbers in prop::collection::vec(prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(0.0), -1e4f64..1e4], 4),
    ) {
        let response = |logp, ref_logp| Response { logp, ref_logp, length: 3.0 };
        let pair = Pair { chosen: response(numbers[0], numbers[1]), rejected: response(numbers[2], numbers[3]), weight: 1.0 };
        for loss in losses() {
            let _ = loss.evaluate(&[pair, pair]);
            let _ = loss.evaluate::<f64>(&[]);
        }
        let _ = PlackettLuce {}.evaluate(&numbers);
        let _ = PlackettLuce {}.evaluate::<f64>(&[]);
        let _ = GroupPairwise {}.evaluate(&numbers, &[true, true, true, true]).unwrap();
        let _ = Ordinal { cuts: vec![-1.0, 1.0] }.evaluate(&numbers, &[0, 1, 2, 0]).unwrap();
        let finite = numbers.iter().all(|x| x.is_finite());
        let dpo = PreferenceLoss::Dpo { beta: positive(0.1), divergence: Divergence::ReverseKl, label_smoothing: smoothing(0.1), length_normalised: false };
        let e = dpo.evaluate(&[pair]);
        prop_assert!(!finite || (e.loss.is_finite() && e.chosen[0].is_finite()));
        prop_assert!(!finite || PlackettLuce {}.evaluate(&numbers).1.iter().all(|d| d.is_finite()), "differs");
    }
}

#[test]
fn dpo_by_hand() {
    // x_w = −1 − (−2) = 1, x_l = −3 − (−2.5) = −0.5, h = 1.5, β = 0.1: −ln σ(0.15); slope −β σ(−0.15).
    let pair = Pair {
        chosen: Response { logp: -1.0, ref_logp: -2.0, length: 2.0 },
        rejected: Response { logp: -3.0, ref_logp: -2.5, length: 4.0 },
        weight: 1.0,
    };
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-14, "{a} {b}");
    let dpo = |length_normalised| {
        PreferenceLoss::Dpo {
            beta: positive(0.1),
            divergence: Divergence::ReverseKl,
            label_smoothing: smoothing(0.0),
            length_normalised,
        }
        .evaluate(&[pair])
    };
    close(dpo(false).loss, (1.0 + (-0.15f64).exp()).ln());
    close(dpo(false).chosen[0], -0.1 / (1.0 + 0.15f64.exp()));
    // By length: 1/2 − (−0.5)/4 = 0.625.
    close(dpo(true).loss, (1.0 + (-0.0625f64).exp()).ln());
    // IPO: (1.5 − 1/(2·0.1))² = 12.25; by length (0.625 − 5)² = 19.140625.
    let ipo = |length_normalised| {
        PreferenceLoss::Ipo { beta: positive(0.1), length_normalised, divergence: Divergence::ReverseKl }
            .evaluate(&[pair])
            .loss
    };
    close(ipo(false), 12.25);
    close(ipo(true), 19.140_625);
    // SimPO: l_w = −0.5, l_l = −0.75, β = 2, γ = 0.5: z = 2·0.25 − 0.5 = 0, ℓ = ln 2.
    let simpo = PreferenceLoss::Simpo { beta: positive(2.0), gamma: NonNegative::new(0.5).unwrap() }.evaluate(&[pair]);
    close(simpo.loss, 2f64.ln());
    // SFT: −(−1)/2 tokens.
    close(PreferenceLoss::Sft {}.evaluate(&[pair]).loss, 0.5);
}

#[test]
fn orpo_by_hand() {
    // l_w = ln ½, l_l = ln ¼ on one token: odds 1 and ⅓, ln σ(ln 3) = ln ¾. ℓ = ln 2 − λ ln ¾.
    let response = |p: f64| Response { logp: p.ln(), ref_logp: 0.0, length: 1.0 };
    let pair = Pair { chosen: response(0.5), rejected: response(0.25), weight: 1.0 };
    let loss = PreferenceLoss::Orpo { beta: NonNegative::new(0.1).unwrap() }.evaluate(&[pair]).loss;
    assert!((loss - (2f64.ln() - 0.1 * 0.75f64.ln())).abs() < 1e-14);
}

#[test]
fn weights_of_wpo_by_hand() {
    // Mean log π: −1 and −2, so w = e^−3 on every derivative and on the loss.
    let (chosen, rejected) = ([-0.5, -1.5], [-2.0]);
    let loss = PreferenceLoss::Hinge { beta: positive(1.0), divergence: Divergence::ReverseKl };
    let pair = [TokenPair::new(&chosen, &rejected, &chosen, &rejected)];
    let wpo = PreferenceObjective { weighting: Weighting::Wpo, ..loss.into() }.evaluate(&pair).unwrap();
    let weight = (-3f64).exp();
    assert!((wpo.loss - weight).abs() < 1e-15, "hinge at h = 0 is 1");
    assert!((wpo.chosen[0][1] + weight).abs() < 1e-15 && (wpo.rejected[0][0] - weight).abs() < 1e-15);
}

#[test]
fn kto_by_hand() {
    // z₀ = max(0, mean(0.5, −0.1)) = 0.2; desirable x = 1.2: 1 − σ(1·(1.2 − 0.2)) = σ(−1); undesirable x = 0.2: σ(0) = ½.
    let point: f64 = Kto::reference_point([0.5, -0.1]);
    assert!((point - 0.2).abs() < 1e-15 && Kto::reference_point([-1.0f64]).abs() < 1e-15);
    let response = |x: f64| Response { logp: x, ref_logp: 0.0, length: 1.0 };
    let examples =
        [Example { response: response(1.2), desirable: true }, Example { response: response(0.2), desirable: false }];
    let one = NonNegative::new(1.0).unwrap();
    let kto = Kto { beta: positive(1.0), desirable_weight: one, undesirable_weight: one, loss: KtoLoss::Kto };
    let (loss, derivatives) = kto.evaluate(&examples, point);
    assert!((loss - sigmoid(-1.0f64).midpoint(0.5)).abs() < 1e-15);
    assert!((derivatives[1] - 0.125).abs() < 1e-15, "½ · σ'(0) = ½ · ¼");
}

#[test]
fn rankings_and_ordered_labels_by_hand() {
    // Equal scores: −ln of 1/3 · 1/2 · 1.
    assert!((PlackettLuce {}.evaluate(&[0.7f64; 3]).0 - 6f64.ln()).abs() < 1e-14);
    // Far apart: no overflow, nearly certain.
    assert!(PlackettLuce {}.evaluate(&[1e4f64, 0.0, -1e4]).0.abs() < 1e-12);
    // σ(1) − σ(−1) = 0.4621; scores far from both cuts stay finite.
    let middle = Ordinal { cuts: vec![-1.0, 1.0] };
    let loss = middle.evaluate(&[0.0f64], &[1]).unwrap().loss;
    assert!((loss + (sigmoid(1.0f64) - sigmoid(-1.0)).ln()).abs() < 1e-14);
    assert!(middle.evaluate(&[800.0f64], &[1]).unwrap().loss.is_finite());
    let error = Ordinal { cuts: vec![1.0, 1.0] }.evaluate(&[0.0f64], &[0]).unwrap_err().to_string();
    assert_eq!(error, "expected cut points that increase, got 1 after 1");
    let error = middle.evaluate(&[0.0f64], &[3]).unwrap_err().to_string();
    assert_eq!(error, "expected `labels` below 3, got 3");
}

#[test]
fn dpo_is_solved_by_the_reward_weighted_reference() {
    // With enough pairs drawn by Bradley–Terry of r, DPO's optimum has β log π/π_ref = r + const: its expected gradient
    // vanishes there. Two responses with r_w − r_l = 0.8, β = 0.1: h = 8.
    let beta = 0.1;
    let response = |x: f64| Response { logp: x, ref_logp: 0.0, length: 1.0 };
    let dpo = PreferenceLoss::Dpo {
        beta: positive(beta),
        divergence: Divergence::ReverseKl,
        label_smoothing: smoothing(0.0),
        length_normalised: false,
    };
    let slope = |a: f64, b: f64| dpo.evaluate(&[Pair { chosen: response(a), rejected: response(b), weight: 1.0 }]);
    let preferred = sigmoid(0.8f64);
    let (first, second) = (slope(8.0, 0.0), slope(0.0, 8.0));
    let expected = preferred * first.chosen[0] + (1.0 - preferred) * second.rejected[0];
    assert!(expected.abs() < 1e-16);
}
