//! The language model as a whole: derivatives, invariances, files.
#![expect(clippy::unwrap_used, reason = "tests state exact values")]

use std::path::PathBuf;

use tdrm_core::Seed;
use tdrm_dfdx::{
    Architecture, Finish, Lm, LmConfig, LmError, Optimiser, PolicyCoefficients, Prompt, SamplingConfig, Scores,
    Sequence, Trainer, ValueSequence,
};

fn configs() -> [LmConfig; 2] {
    let small = LmConfig { num_key_value_heads: 2, initializer_range: 0.3, ..LmConfig::llama(11, 16, 2, 4) };
    let qwen = LmConfig { architecture: Architecture::Qwen2, tie_word_embeddings: false, ..small.clone() };
    [small, qwen]
}

fn model(config: &LmConfig) -> Lm {
    Lm::init(config.clone(), Seed::root(3)).unwrap()
}

fn batch() -> Vec<Sequence> {
    let tokens = |len: u32, k: u32| (0..len).map(|i| (i * k + 1) % 11).collect::<Vec<u32>>();
    let sequence = |(len, k, prompt_len)| Sequence { tokens: tokens(len, k), prompt_len };
    [(5, 3, 1), (40, 7, 4), (2, 1, 1), (9, 5, 8), (33, 2, 2), (3, 3, 3)].map(sequence).to_vec()
}

/// Arbitrary fixed coefficients of a ragged output.
fn coefficients(like: &[Vec<f32>], phase: f32) -> Vec<Vec<f32>> {
    let mut k = phase;
    let mut next = || {
        k += 1.7;
        k.sin()
    };
    like.iter().map(|row| row.iter().map(|_| next()).collect()).collect()
}

fn policy_gradient(trainer: &mut Trainer, batch: &[Sequence]) -> Vec<f32> {
    let both = &mut |scores: &Scores| PolicyCoefficients {
        log_probs: coefficients(&scores.log_probs, 0.0),
        entropies: coefficients(&scores.entropies, 1.0),
    };
    trainer.accumulate_policy_and_entropy(batch, 0.8, both).unwrap();
    trainer.gradients().flat_map(|(_, g)| g.to_vec()).collect()
}

fn values_batch() -> Vec<ValueSequence> {
    batch()
        .into_iter()
        .map(|s| ValueSequence { positions: (0..s.tokens.len()).step_by(2).collect(), tokens: s.tokens })
        .collect()
}

/// A folder of this test's own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tdrm-dfdx-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn every_parameter_gets_a_finite_non_zero_gradient() {
    for config in configs() {
        let mut trainer = Trainer::new(model(&config), Optimiser::adamw(1e-3)).unwrap();
        policy_gradient(&mut trainer, &batch());
        trainer.accumulate_value(&values_batch(), &mut |z| coefficients(z, 2.0)).unwrap();
        for (name, gradient) in trainer.gradients() {
            assert!(gradient.iter().all(|g| g.is_finite()), "{name}");
            assert!(gradient.iter().any(|g| *g != 0.0), "{name}");
        }
    }
}

#[test]
fn a_batch_of_one_is_a_batch_of_many() {
    for config in configs() {
        let lm = model(&config);
        let together = lm.log_probs(&batch(), 0.8).unwrap();
        for (sequence, together) in batch().iter().zip(&together) {
            let alone = &lm.log_probs(std::slice::from_ref(sequence), 0.8).unwrap()[0];
            assert!(alone.iter().zip(together).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }
}

#[test]
fn eight_times_one_is_one_times_eight() {
    for config in configs() {
        let mut at_once = Trainer::new(model(&config), Optimiser::adamw(1e-3)).unwrap();
        let mut in_parts = Trainer::new(model(&config), Optimiser::adamw(1e-3)).unwrap();
        let ones = |like: &[Vec<f32>]| like.iter().map(|row| vec![-0.1; row.len()]).collect();
        at_once.accumulate_policy(&batch(), 1.0, &mut |l| ones(l)).unwrap();
        for sequence in batch() {
            in_parts.accumulate_policy(&[sequence], 1.0, &mut |l| ones(l)).unwrap();
        }
        for ((name, a), (_, b)) in at_once.gradients().zip(in_parts.gradients()) {
            let norm = a.iter().map(|x| x * x).sum::<f32>().sqrt();
            let difference = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
            assert!(difference <= 1e-5 * norm, "{name}: {difference} of {norm}");
        }
    }
}

#[test]
fn one_thread_and_many_give_the_same_bits() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut trainer = Trainer::new(model(&configs()[1]), Optimiser::adamw(1e-2)).unwrap();
            for _ in 0..3 {
                policy_gradient(&mut trainer, &batch());
                trainer.accumulate_value(&values_batch(), &mut |z| coefficients(z, 2.0)).unwrap();
                trainer.step().unwrap();
            }
            let prompts: Vec<_> =
                (0..20).map(|i| Prompt { tokens: vec![1 + i % 3, 4], seed: Seed::root(i.into()) }).collect();
            let completions = trainer.lm().generate(&prompts, &SamplingConfig::sample(1.0, 12, &[0])).unwrap();
            (trainer.into_lm(), completions)
        })
    };
    let (one, two, three) = (run(1), run(2), run(3));
    assert!(one == two && one == three);
}

#[test]
fn a_completion_does_not_depend_on_its_neighbours_or_the_slots() {
    let lm = model(&configs()[0]);
    let prompt = |i: u32| Prompt { tokens: (0..=i % 5).map(|t| (t + i) % 7).collect(), seed: Seed::root(u64::from(i)) };
    let prompts: Vec<Prompt> = (0..40).map(|i| prompt(i / 2)).collect();
    let config = SamplingConfig::sample(1.3, 8, &[9]);
    let together = lm.generate(&prompts, &config).unwrap();
    for slots in [1, 3, 7] {
        assert_eq!(lm.generate(&prompts, &SamplingConfig { slots, ..config.clone() }).unwrap(), together);
    }
    for (prompt, together) in prompts.iter().zip(&together) {
        assert_eq!(lm.generate(std::slice::from_ref(prompt), &config).unwrap()[0], *together);
    }
    assert!(together.iter().any(|c| c.finish == Finish::Stop) && together.iter().any(|c| c.finish == Finish::Length));
}

#[test]
fn cached_is_uncached() {
    for config in configs() {
        let lm = model(&config);
        let prompts: Vec<_> =
            (0..9).map(|i| Prompt { tokens: vec![i % 3, 5, 1], seed: Seed::root(i.into()) }).collect();
        for sampling in [SamplingConfig::sample(0.7, 30, &[]), SamplingConfig::greedy(30, &[2])] {
            let completions = lm.generate(&prompts, &sampling).unwrap();
            let sequences: Vec<_> =
                prompts.iter().zip(&completions).map(|(p, c)| Sequence::new(&p.tokens, &c.tokens)).collect();
            let scored = lm.log_probs(&sequences, sampling.temperature()).unwrap();
            for (completion, scored) in completions.iter().zip(scored) {
                assert_eq!(completion.log_probs.len(), scored.len());
                assert!(completion.log_probs.iter().zip(scored).all(|(a, b)| (a - b).abs() < 1e-4));
            }
        }
    }
}

#[test]
fn a_continuation_ends_where_the_model_ends() {
    let lm = model(&LmConfig { max_position_embeddings: 8, ..configs()[0].clone() });
    let prompt = |len: u32| [Prompt { tokens: (0..len).collect(), seed: Seed::root(1) }];
    let config = SamplingConfig::sample(1.0, 100, &[]);
    let completion = &lm.generate(&prompt(5), &config).unwrap()[0];
    assert_eq!((completion.tokens.len(), completion.finish), (3, Finish::Length));
    assert!(matches!(lm.generate(&prompt(8), &config), Err(LmError::Sequence { .. })));
}

#[test]
fn saving_and_loading_keeps_every_bit() {
    for config in configs() {
        let (lm, folder) = (model(&config), Folder::new(&format!("{:?}", config.architecture)));
        lm.save(&folder.0).unwrap();
        assert_eq!(Lm::load(&folder.0).unwrap(), lm);
        assert_eq!(Lm::from_bytes(&config.to_json(), &lm.to_bytes().unwrap()).unwrap(), lm);
        let left_over = std::fs::read_dir(&folder.0).unwrap().count();
        assert_eq!(left_over, 3);
    }
}

#[test]
fn a_resumed_run_is_a_straight_run() {
    let folder = Folder::new("resume");
    let state = folder.0.join("state.safetensors");
    let start = || Trainer::new(model(&configs()[0]), Optimiser::adamw(1e-2)).unwrap();
    let step = |trainer: &mut Trainer| {
        policy_gradient(trainer, &batch());
        trainer.step().unwrap()
    };
    let mut straight = start();
    step(&mut straight);
    straight.save_state(&state).unwrap();
    let wanted = (step(&mut straight), step(&mut straight));
    let mut resumed = start();
    resumed.load_state(&state).unwrap();
    assert_eq!((step(&mut resumed), step(&mut resumed)), wanted);
    assert!(resumed.into_lm() == straight.into_lm());
}

#[test]
fn a_gradient_that_is_not_finite_leaves_the_weights_alone() {
    let mut trainer = Trainer::new(model(&configs()[0]), Optimiser::adamw(1e-2)).unwrap();
    let huge = &mut |log_probs: &[Vec<f32>]| log_probs.iter().map(|row| vec![1e38; row.len()]).collect::<Vec<_>>();
    for _ in 0..3 {
        trainer.accumulate_policy(&batch(), 0.1, huge).unwrap();
    }
    assert!(matches!(trainer.step(), Err(LmError::NotFinite { .. })));
    assert!(*trainer.lm() == model(&configs()[0]));
    // The bad gradient is gone: the next step works.
    policy_gradient(&mut trainer, &batch());
    assert_eq!(trainer.step().unwrap().step, 1);
}

#[test]
fn bad_coefficients_are_refused_and_change_nothing() {
    let mut trainer = Trainer::new(model(&configs()[0]), Optimiser::adamw(1e-2)).unwrap();
    let before = policy_gradient(&mut trainer, &batch());
    let nan = trainer.accumulate_policy(&batch(), 1.0, &mut |l| l.iter().map(|r| vec![f32::NAN; r.len()]).collect());
    assert!(matches!(nan, Err(LmError::NotFinite { .. })));
    let short = trainer.accumulate_policy(&batch(), 1.0, &mut |_| vec![vec![]]);
    assert!(matches!(short, Err(LmError::Coefficients { .. })));
    assert_eq!(trainer.gradients().flat_map(|(_, g)| g.to_vec()).collect::<Vec<_>>(), before);
}

#[test]
fn malformed_sequences_are_refused() {
    let lm = model(&configs()[0]);
    let sequence = |tokens: &[u32], prompt_len| Sequence { tokens: tokens.to_vec(), prompt_len };
    assert!(matches!(lm.log_probs(&[sequence(&[1, 11], 1)], 1.0), Err(LmError::Token { token: 11, .. })));
    assert!(matches!(lm.log_probs(&[sequence(&[], 0)], 1.0), Err(LmError::Sequence { .. })));
    assert!(matches!(lm.log_probs(&[sequence(&[1], 0)], 1.0), Err(LmError::Sequence { .. })));
    assert!(matches!(lm.log_probs(&[sequence(&[1], 2)], 1.0), Err(LmError::Sequence { .. })));
    assert!(matches!(lm.log_probs(&[sequence(&[1; 513], 1)], 1.0), Err(LmError::Sequence { .. })));
    assert!(matches!(lm.log_probs(&[sequence(&[1, 2], 1)], 0.0), Err(LmError::Setting { .. })));
    let mut trainer = Trainer::new(lm, Optimiser::adamw(1e-3)).unwrap();
    for positions in [vec![1, 1], vec![2]] {
        let wrong = ValueSequence { tokens: vec![1, 2], positions };
        assert!(matches!(trainer.accumulate_value(&[wrong], &mut |z| z.to_vec()), Err(LmError::Sequence { .. })));
    }
}

#[test]
fn an_average_of_models_lies_between_them() {
    let (mut target, source) = (model(&configs()[0]), Lm::init(configs()[0].clone(), Seed::root(9)).unwrap());
    let start = target.clone();
    target.lerp_from(&source, 0.75).unwrap();
    for (((_, _, t), (_, _, a)), (_, _, b)) in target.parameters().zip(start.parameters()).zip(source.parameters()) {
        assert!(t.iter().zip(a).zip(b).all(|((t, a), b)| (t - (0.75 * a + 0.25 * b)).abs() < 1e-6));
    }
    assert!(target.lerp_from(&model(&configs()[1]), 0.5).is_err());
    assert!(target.lerp_from(&source, 1.5).is_err());
}

#[test]
fn a_policy_step_leaves_the_scalar_head_and_a_value_step_the_output_embedding() {
    let optimiser = Optimiser { weight_decay: 0.1, ..Optimiser::adamw(1e-2) };
    let of = |lm: &Lm, name: &str| lm.parameters().find(|(n, ..)| *n == name).unwrap().2.to_vec();
    let mut trainer = Trainer::new(model(&configs()[1]), optimiser).unwrap();
    let before = trainer.lm().clone();
    trainer.accumulate_policy(&batch(), 1.0, &mut |l| coefficients(l, 0.0)).unwrap();
    trainer.step().unwrap();
    assert_eq!(of(trainer.lm(), "score.weight"), of(&before, "score.weight"));
    let before = trainer.lm().clone();
    trainer.accumulate_value(&values_batch(), &mut |z| coefficients(z, 0.0)).unwrap();
    trainer.step().unwrap();
    assert_eq!(of(trainer.lm(), "lm_head.weight"), of(&before, "lm_head.weight"));
    assert_ne!(of(trainer.lm(), "score.weight"), of(&before, "score.weight"));
}

#[test]
fn values_are_read_at_every_position_and_prefixes_agree() {
    let lm = model(&configs()[0]);
    let tokens = [1, 4, 2, 7, 3];
    let all = &lm.values(&[&tokens]).unwrap()[0];
    for end in 1..=tokens.len() {
        let prefix = lm.values(&[&tokens[..end]]).unwrap()[0][end - 1];
        assert!((prefix - all[end - 1]).abs() < 1e-5);
    }
}

/// A loss as a function of the model.
type Loss<'a> = &'a dyn Fn(&Lm) -> f64;

#[test]
fn gradients_of_the_whole_model_are_its_slopes() {
    let sum = |outputs: &[Vec<f32>], c: &[Vec<f32>]| -> f64 {
        outputs.iter().flatten().zip(c.iter().flatten()).map(|(o, c)| f64::from(o * c)).sum()
    };
    for config in configs() {
        let (lm, other) = (model(&config), Lm::init(config, Seed::root(99)).unwrap());
        let policy_loss = |lm: &Lm| {
            let scores = lm.scores(&batch(), 0.8).unwrap();
            sum(&scores.log_probs, &coefficients(&scores.log_probs, 0.0))
                + sum(&scores.entropies, &coefficients(&scores.entropies, 1.0))
        };
        let value_loss = |lm: &Lm| {
            let pick =
                |(sequence, all): (ValueSequence, Vec<f32>)| sequence.positions.iter().map(|p| all[*p]).collect();
            let tokens: Vec<_> = values_batch().into_iter().map(|s| s.tokens).collect();
            let all = lm.values(&tokens.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
            let picked: Vec<Vec<f32>> = values_batch().into_iter().zip(all).map(pick).collect();
            sum(&picked, &coefficients(&picked, 2.0))
        };
        let mut policy = Trainer::new(lm.clone(), Optimiser::adamw(1e-3)).unwrap();
        policy_gradient(&mut policy, &batch());
        let mut value = Trainer::new(lm.clone(), Optimiser::adamw(1e-3)).unwrap();
        value.accumulate_value(&values_batch(), &mut |z| coefficients(z, 2.0)).unwrap();
        let losses = [(&policy, &policy_loss as Loss), (&value, &value_loss)];
        for (trainer, loss) in losses {
            // Along the line to another model, by the three-point formula for one side.
            let at = |step: f32| {
                let mut moved = lm.clone();
                moved.lerp_from(&other, 1.0 - step).unwrap();
                loss(&moved)
            };
            let h = 0.004;
            let slope = (4.0 * at(h / 2.0) - at(h) - 3.0 * at(0.0)) / f64::from(h);
            let along: f64 = trainer
                .gradients()
                .zip(lm.parameters().zip(other.parameters()))
                .flat_map(|((_, g), ((_, _, a), (_, _, b)))| g.iter().zip(a.iter().zip(b)))
                .map(|(g, (a, b))| f64::from(*g) * f64::from(b - a))
                .sum();
            assert!((along - slope).abs() < 0.01 * (1.0 + slope.abs()), "{along} {slope}");
        }
    }
}

#[test]
fn the_scalar_head_learns_soft_targets() {
    let mut trainer = Trainer::new(model(&configs()[0]), Optimiser::adamw(1e-2)).unwrap();
    let batch = values_batch();
    // Targets in (0, 1) that the tokens determine; binary cross-entropy on logits: ∂L/∂z = σ(z) − y.
    let target = |token: u32| 0.1 + 0.08 * token as f32;
    let targets: Vec<Vec<f32>> =
        batch.iter().map(|s| s.positions.iter().map(|p| target(s.tokens[*p])).collect()).collect();
    let mut error = 0.0;
    for _ in 0..150 {
        let cross_entropy = &mut |z: &[Vec<f32>]| {
            error = 0.0_f32;
            let mut derivative = |(z, y): (&f32, &f32)| {
                let d = 1.0 / (1.0 + (-z).exp()) - y;
                error = error.max(d.abs());
                d / 50.0
            };
            z.iter().zip(&targets).map(|(z, y)| z.iter().zip(y).map(&mut derivative).collect()).collect()
        };
        trainer.accumulate_value(&batch, cross_entropy).unwrap();
        trainer.step().unwrap();
    }
    assert!(error < 0.05, "{error}");
}
