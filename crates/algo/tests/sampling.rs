//! Decoding against transformers' filters and beam search, and against what must hold of any filter and any search.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::Deserialize;
use tdrm_algo::sampling::{
    Beam, BeamConfig, Choice, EarlyStopping, GenerationConfig, History, Hypothesis, Progress, Sampler, SamplingConfig,
    SamplingError,
};
use tdrm_core::{Positive, Probability, Temperature};

/// What probabilities and log-probabilities of logits in single precision are true to.
const SINGLE: f64 = 1e-6;

fn probability(p: f64) -> Probability {
    Probability::new(p).unwrap()
}

fn drawing() -> SamplingConfig {
    SamplingConfig::default()
}

fn sampler(config: SamplingConfig) -> Sampler {
    Sampler::new(config).unwrap()
}

/// Kept tokens and probabilities of all tokens.
fn filtered(config: &SamplingConfig, logits: &[f32], history: &[u32]) -> (Vec<u32>, Vec<f64>) {
    let mut sampler = sampler(config.clone());
    let found = sampler.filtered(logits, History::prompt(history)).unwrap();
    let mut dense = vec![0.0; logits.len()];
    for (&token, &p) in found.tokens.iter().zip(found.probabilities) {
        dense[token as usize] = p;
    }
    (found.tokens.to_vec(), dense)
}

mod golden {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        params: Params,
        prev_ids: Vec<u32>,
        logits: Vec<f32>,
        kept: Vec<u32>,
        probs: Vec<f64>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        #[serde(rename = "T")]
        temperature: Option<Temperature>,
        #[serde(default)]
        k: usize,
        p: Option<Probability>,
        min_p: Option<Probability>,
        mass: Option<Probability>,
        rep: Option<Positive>,
        #[serde(default)]
        n: usize,
    }

    impl Params {
        fn config(&self) -> SamplingConfig {
            let neutral = drawing();
            SamplingConfig {
                temperature: self.temperature.unwrap_or(neutral.temperature),
                top_k: self.k,
                top_p: self.p.unwrap_or(neutral.top_p),
                min_p: self.min_p.unwrap_or(neutral.min_p),
                typical_p: self.mass.unwrap_or(neutral.typical_p),
                repetition_penalty: self.rep.unwrap_or(neutral.repetition_penalty),
                no_repeat_ngram_size: self.n,
                ..neutral
            }
        }
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a skip must be heard")]
    fn the_filters_are_those_of_transformers() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = "shared/golden/models/sampling.json";
        let Some(path) = here.ancestors().map(|dir| dir.join(file)).find(|path| path.exists()) else {
            eprintln!("SKIPPED: no {file} above {}", here.display());
            return;
        };
        let File { cases } = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(cases.len() >= 96, "{} cases", cases.len());
        for case in cases {
            let (kept, probabilities) = filtered(&case.params.config(), &case.logits, &case.prev_ids);
            assert_eq!(kept, case.kept, "{}", case.name);
            for (got, expected) in probabilities.iter().zip(&case.probs) {
                assert!((got - expected).abs() < 1e-6, "{}: {got} is not {expected}", case.name);
            }
        }
    }

    fn own<T: for<'a> Deserialize<'a>>(name: &str) -> T {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[derive(Deserialize)]
    struct Steps {
        cases: Vec<Step>,
    }

    #[derive(Deserialize)]
    struct Step {
        config: GenerationConfig,
        prompt: usize,
        history: Vec<u32>,
        logits: Vec<f32>,
        kept: Vec<u32>,
        probabilities: Vec<f64>,
    }

    #[test]
    fn whole_configs_are_followed_as_generate_follows_them() {
        let Steps { cases } = own("filters.json");
        assert_eq!(cases.len(), 320);
        for (at, case) in cases.into_iter().enumerate() {
            let sample = case.config.sampling.do_sample;
            let mut sampler = sampler(case.config.sampling.clone());
            let history = History::new(&case.history, case.prompt).unwrap();
            let found = sampler.filtered(&case.logits, history).unwrap();
            if sample {
                assert_eq!(found.tokens, case.kept, "case {at}: {:?}", case.config.sampling);
                for (got, expected) in found.probabilities.iter().zip(&case.probabilities) {
                    assert!((got - expected).abs() < 1e-6, "case {at}: {got} is not {expected}");
                }
            } else {
                // transformers then takes the first of the largest.
                let largest = case.probabilities.iter().copied().fold(0.0, f64::max);
                let mode = case.probabilities.iter().position(|&p| p >= largest).unwrap();
                assert_eq!((found.tokens, found.probabilities), (&case.kept[mode..=mode], &[1.0][..]), "case {at}");
            }
        }
    }

    #[derive(Deserialize)]
    struct Searches {
        prompt: Vec<u32>,
        models: Vec<Model>,
    }

    #[derive(Deserialize)]
    struct Model {
        table: Vec<Vec<f32>>,
        cases: Vec<Search>,
    }

    #[derive(Deserialize)]
    struct Search {
        config: GenerationConfig,
        found: Vec<Sequence>,
    }

    #[derive(Deserialize)]
    struct Sequence {
        tokens: Vec<u32>,
        score: f32,
    }

    #[test]
    fn beam_search_finds_what_transformers_finds_in_the_same_model() {
        let Searches { prompt, models } = own("beam.json");
        assert_eq!(models.iter().map(|model| model.cases.len()).sum::<usize>(), 270);
        for Model { table, cases } in models {
            let logits = |tokens: &[u32]| {
                let [.., a, b] = tokens else { panic!("a prompt of two tokens") };
                &table[(5 * *a as usize + *b as usize + 11 * tokens.len()) % table.len()][..]
            };
            for Search { config, found } in cases {
                let got = search(&config, &prompt, logits);
                assert_eq!(got.len(), found.len(), "{config:?}: {got:?}");
                for (got, expected) in got.iter().zip(&found) {
                    assert_eq!(got.tokens, expected.tokens, "{config:?}");
                    assert!((got.score - expected.score).abs() <= 2e-6 * expected.score.abs(), "{config:?}");
                }
            }
        }
    }
}

/// Beam search over a model given as a function from tokens to logits.
fn search<'a>(config: &GenerationConfig, prompt: &[u32], logits: impl Fn(&[u32]) -> &'a [f32]) -> Vec<Hypothesis> {
    let mut sampler = sampler(config.sampling.clone());
    let most = config.max_new_tokens.unwrap().try_into().unwrap();
    let mut beam = Beam::new(config.beam, config.sampling.eos_token_id.clone(), most).unwrap();
    loop {
        let rows: Vec<Vec<f32>> = (0..beam.live())
            .map(|i| {
                let tokens = [prompt, beam.generated(i)].concat();
                let history = History::new(&tokens, prompt.len()).unwrap();
                sampler.log_probs(logits(&tokens), history).unwrap().to_vec()
            })
            .collect();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        if beam.advance(&rows).unwrap() == Progress::Done {
            return beam.into_hypotheses();
        }
    }
}

/// Logits with ties, some of them −∞, at least one finite.
fn logits() -> impl Strategy<Value = Vec<f32>> {
    let logit =
        prop_oneof![6 => (-12i8..12).prop_map(|z| f32::from(z) / 2.0), 4 => -6.0f32..6.0, 1 => Just(f32::NEG_INFINITY)];
    (prop::collection::vec(logit, 0..40), -6.0f32..6.0).prop_map(|(mut logits, finite)| {
        logits.push(finite);
        logits
    })
}

/// Any warpers.
fn warpers() -> impl Strategy<Value = SamplingConfig> {
    (0.1..3.0, 0usize..50, 0.0..=1.0, 0.0..=1.0, 0.0..=1.0).prop_map(|(temperature, top_k, top_p, min_p, typical_p)| {
        SamplingConfig {
            temperature: Temperature::new(temperature).unwrap(),
            top_k,
            top_p: probability(top_p),
            min_p: probability(min_p),
            typical_p: probability(typical_p),
            ..drawing()
        }
    })
}

/// What the filters keep by their formulas: full sorts, double precision. None where numbers that a filter compares are
/// so close that single precision may decide otherwise.
fn by_definition(config: &SamplingConfig, logits: &[f32]) -> Option<Vec<u32>> {
    let temperature: f64 = config.temperature.get();
    let scaled: Vec<f64> = logits.iter().map(|&z| f64::from(z) / temperature).collect();
    let shares = |tokens: &[u32]| {
        let total: f64 = tokens.iter().map(|&token| scaled[token as usize].exp()).sum();
        tokens.iter().map(|&token| scaled[token as usize].exp() / total).collect::<Vec<_>>()
    };
    let mut tokens: Vec<u32> = (0..logits.len() as u32).collect();
    tokens.sort_by(|&a, &b| scaled[b as usize].total_cmp(&scaled[a as usize]));
    let mut clear = tokens.windows(2).all(|pair| far(scaled[pair[0] as usize], scaled[pair[1] as usize]));
    tokens.truncate(if config.top_k == 0 { usize::MAX } else { config.top_k });
    clear &= cut_at_mass(&mut tokens, shares, config.top_p.get());
    let pi = shares(&tokens);
    let floor = config.min_p.get::<f64>() * pi[0];
    clear &= pi[1..].iter().all(|&p| far(p, floor));
    tokens.truncate(pi.iter().filter(|&&p| p >= floor).count().max(1));
    let pi = shares(&tokens);
    let entropy: f64 = pi.iter().map(|p| -p * p.ln()).sum();
    let mut by_distance: Vec<(f64, u32)> =
        pi.iter().zip(&tokens).map(|(p, &token)| ((-p.ln() - entropy).abs(), token)).collect();
    by_distance.sort_by(|a, b| a.0.total_cmp(&b.0));
    clear &= by_distance.windows(2).all(|pair| far(pair[0].0, pair[1].0));
    tokens = by_distance.into_iter().map(|(_, token)| token).collect();
    clear &= cut_at_mass(&mut tokens, shares, config.typical_p.get());
    tokens.sort_unstable();
    clear.then_some(tokens)
}

/// Keeps tokens from the first on until their mass reaches `mass`, at least one; says if no sum was close to it.
fn cut_at_mass(tokens: &mut Vec<u32>, shares: impl Fn(&[u32]) -> Vec<f64>, mass: f64) -> bool {
    let shares = shares(tokens);
    let sums: Vec<f64> = (0..shares.len()).map(|n| shares[..n].iter().sum()).collect();
    tokens.truncate(sums.iter().filter(|&&sum| sum < mass).count().max(1));
    sums[1..].iter().all(|&sum| far(sum, mass))
}

fn far(a: f64, b: f64) -> bool {
    (a - b).abs() > 1e-5
}

proptest! {
    #[test]
    fn something_is_kept_and_probabilities_sum_to_one(config in warpers(), logits in logits()) {
        let (kept, probabilities) = filtered(&config, &logits, &[]);
        prop_assert!(!kept.is_empty() && kept.is_sorted());
        prop_assert!(kept.iter().all(|&token| logits[token as usize] > f32::NEG_INFINITY));
        prop_assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_filters_are_their_definitions(config in warpers(), logits in prop::collection::vec(-6.0f32..6.0, 1..60)) {
        let expected = by_definition(&config, &logits);
        prop_assume!(expected.is_some());
        prop_assert_eq!(Some(filtered(&config, &logits, &[]).0), expected);
    }

    #[test]
    fn neutral_numbers_are_the_policy_itself(logits in logits(), history in prop::collection::vec(0u32..1, 0..9)) {
        let whole = SamplingConfig {
            top_k: logits.len(), top_p: probability(1.0), min_p: probability(0.0), typical_p: probability(1.0),
            repetition_penalty: Positive::new(1.0).unwrap(), ..drawing()
        };
        let (kept, probabilities) = filtered(&whole, &logits, &history);
        let finite = (0..).zip(&logits).filter(|(_, z)| z.is_finite()).map(|(token, _)| token);
        prop_assert_eq!(kept, finite.collect::<Vec<u32>>());
        let total: f64 = logits.iter().map(|&z| f64::from(z).exp()).sum();
        for (p, &z) in probabilities.iter().zip(&logits) {
            prop_assert!((p - f64::from(z).exp() / total).abs() < SINGLE);
        }
    }

    #[test]
    fn top_k_and_min_p_change_nothing_the_second_time(k in 1usize..40, ratio in 0.0..=1.0, logits in logits()) {
        for config in [
            SamplingConfig { top_k: k, ..drawing() },
            SamplingConfig { min_p: probability(ratio), ..drawing() },
        ] {
            let (kept, probabilities) = filtered(&config, &logits, &[]);
            let masked = |token: u32| if kept.contains(&token) { logits[token as usize] } else { f32::NEG_INFINITY };
            let once: Vec<f32> = (0..logits.len() as u32).map(masked).collect();
            prop_assert_eq!(filtered(&config, &once, &[]), (kept, probabilities));
        }
    }

    #[test]
    fn a_larger_mass_keeps_more(p in 0.0..=1.0, q in 0.0..=1.0, logits in logits()) {
        let (small, large) = if p < q { (p, q) } else { (q, p) };
        let nucleus = |p| filtered(&SamplingConfig { top_p: probability(p), ..drawing() }, &logits, &[]).0;
        let typical = |p| filtered(&SamplingConfig { typical_p: probability(p), ..drawing() }, &logits, &[]).0;
        let (few, many) = (nucleus(small), nucleus(large));
        prop_assert!(few.iter().all(|token| many.contains(token)));
        let (few, many) = (typical(small), typical(large));
        prop_assert!(few.iter().all(|token| many.contains(token)));
    }

    #[test]
    fn a_step_does_not_depend_on_those_before(
        config in warpers(), penalty in 0.5..2.0, steps in prop::collection::vec((logits(), 0.0..1.0), 1..6),
    ) {
        let config = SamplingConfig { repetition_penalty: Positive::new(penalty).unwrap(), ..config };
        let mut reused = sampler(config.clone());
        for (logits, u) in steps {
            let history = [0, logits.len() as u32 - 1];
            let fresh = sampler(config.clone()).step(&logits, History::prompt(&history), u);
            prop_assert_eq!(reused.step(&logits, History::prompt(&history), u), fresh);
        }
    }

    #[test]
    fn a_choice_reports_the_distribution_it_was_drawn_from(config in warpers(), logits in logits(), u in 0.0..1.0) {
        let choice = sampler(config.clone()).step(&logits, History::prompt(&[]), u).unwrap();
        let (kept, probabilities) = filtered(&config, &logits, &[]);
        prop_assert_eq!(choice.kept, kept.len());
        prop_assert!((choice.log_prob.exp() - probabilities[choice.token as usize]).abs() < SINGLE);
        prop_assert!((choice.entropy - entropy(&probabilities)).abs() < SINGLE);
        let total: f64 = logits.iter().map(|&z| f64::from(z).exp()).sum();
        let full: Vec<f64> = logits.iter().map(|&z| f64::from(z).exp() / total).collect();
        prop_assert!((choice.log_prob_full - full[choice.token as usize].ln()).abs() < SINGLE);
        prop_assert!((choice.entropy_full - entropy(&full)).abs() < SINGLE);
        // u lies in the token's part of [0, 1).
        let before: f64 = probabilities[..choice.token as usize].iter().sum();
        prop_assert!(before - 1e-12 <= u && u <= before + probabilities[choice.token as usize] + 1e-12);
    }

    #[test]
    fn greedy_is_the_first_of_the_largest_with_certainty(logits in logits(), u in 0.0..1.0) {
        let choice = sampler(SamplingConfig::greedy()).step(&logits, History::prompt(&[]), u).unwrap();
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        prop_assert_eq!(choice.token as usize, logits.iter().position(|&z| z >= largest).unwrap());
        prop_assert_eq!((choice.log_prob.abs(), choice.entropy.abs(), choice.kept), (0.0, 0.0, 1));
        let top_one = sampler(SamplingConfig { top_k: 1, ..drawing() }).step(&logits, History::prompt(&[]), 0.0).unwrap();
        prop_assert_eq!((top_one.token, top_one.log_prob_full), (choice.token, choice.log_prob_full));
    }

    #[test]
    fn no_row_of_numbers_is_too_odd(
        bits in prop::collection::vec(any::<u32>(), 0..20), config in warpers(), u in any::<f64>(), token in 0u32..25,
    ) {
        let logits: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        let config = SamplingConfig { repetition_penalty: Positive::new(1e-40).unwrap(), ..config };
        if let Ok(Choice { token, log_prob, entropy, .. }) = sampler(config).step(&logits, History::prompt(&[token]), u) {
            prop_assert!((token as usize) < logits.len() && log_prob <= 1e-12 && entropy >= -1e-9, "{log_prob} {entropy}");
        }
    }
}

fn entropy(probabilities: &[f64]) -> f64 {
    probabilities.iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum()
}

#[test]
fn tokens_are_drawn_as_often_as_they_are_probable() {
    let logits = [0.3, -1.0, 2.0, f32::NEG_INFINITY, 1.1, 0.3];
    let config = SamplingConfig { temperature: Temperature::new(1.4).unwrap(), top_k: 4, ..drawing() };
    let (_, expected) = filtered(&config, &logits, &[]);
    let (mut sampler, mut rng, draws) = (sampler(config), SmallRng::seed_from_u64(5), 100_000);
    let mut counts = [0_u32; 6];
    for _ in 0..draws {
        counts[sampler.step(&logits, History::prompt(&[]), rng.random()).unwrap().token as usize] += 1;
    }
    for (count, p) in counts.into_iter().zip(expected) {
        let deviation = (p * (1.0 - p) * f64::from(draws)).sqrt();
        assert!((f64::from(count) - p * f64::from(draws)).abs() <= 4.5 * deviation, "{count} of {draws} at {p}");
    }
}

#[test]
fn rules_by_hand() {
    let logits = [1.0, -1.0, 2.0, 0.5];
    let kept = |config: &SamplingConfig, tokens: &[u32], prompt| {
        let mut sampler = sampler(config.clone());
        sampler.filtered(&logits, History::new(tokens, prompt).unwrap()).unwrap().tokens.to_vec()
    };
    let ngrams = SamplingConfig { no_repeat_ngram_size: 2, ..drawing() };
    assert_eq!(kept(&ngrams, &[0, 1, 0, 2, 0], 5), [0, 3]); // after 0 came 1 and 2
    assert_eq!(kept(&ngrams, &[0], 1), [0, 1, 2, 3]);
    let long = SamplingConfig { eos_token_id: vec![2, 9], min_new_tokens: 2, ..drawing() };
    assert_eq!(kept(&long, &[0, 0, 0, 0], 3), [0, 1, 3]); // one generated
    assert_eq!(kept(&long, &[0, 0, 0, 0], 2), [0, 1, 2, 3]); // two
    let forced = SamplingConfig { forced_prefix: vec![3, 1], begin_suppress_tokens: vec![0], ..drawing() };
    assert_eq!(kept(&forced, &[0], 1), [3]);
    assert_eq!(kept(&forced, &[0, 3], 1), [1]);
    assert_eq!(kept(&forced, &[0, 3, 1], 1), [0, 1, 2, 3]);
    let words =
        SamplingConfig { bad_words_ids: vec![vec![2], vec![0, 1], vec![3]], eos_token_id: vec![3], ..drawing() };
    assert_eq!(kept(&words, &[1, 0], 2), [0, 3]); // the end alone is exempt
    assert_eq!(kept(&words, &[0, 1], 2), [0, 1, 3]);
}

#[test]
fn penalty_and_bias_by_hand() {
    // θ = 2: 1 → 0.5, −1 → −2, 2 stays; the bias of +0.25 on 1 came before: −0.75 → −1.5.
    let config = SamplingConfig {
        repetition_penalty: Positive::new(2.0).unwrap(),
        sequence_bias: vec![(vec![1], 0.25), (vec![0, 2], 9.0)],
        ..drawing()
    };
    let (_, got) = filtered(&config, &[1.0, -1.0, 2.0], &[1, 0, 1]);
    let total = 0.5_f64.exp() + (-1.5_f64).exp() + 2.0_f64.exp();
    for (p, z) in got.into_iter().zip([0.5_f64, -1.5, 2.0]) {
        assert!((p - z.exp() / total).abs() < SINGLE, "{p}");
    }
}

#[test]
fn filters_by_hand() {
    // π = 0.5, 0.25, 0.125, 0.125
    let logits = [4.0_f32.ln(), 2.0_f32.ln(), 0.0, 0.0];
    let kept = |config: SamplingConfig| filtered(&config, &logits, &[]).0;
    assert_eq!(kept(SamplingConfig { top_p: probability(0.7), ..drawing() }), [0, 1]);
    assert_eq!(kept(SamplingConfig { top_p: probability(0.8), ..drawing() }), [0, 1, 3]); // of equals the last stays
    assert_eq!(kept(SamplingConfig { top_p: probability(0.0), ..drawing() }), [0]);
    assert_eq!(kept(SamplingConfig { top_k: 3, ..drawing() }), [0, 1, 2, 3]); // and all that equal the third
    assert_eq!(kept(SamplingConfig { min_p: probability(0.3), ..drawing() }), [0, 1]);
    // H = 1.75 ln 2; surprises 1, 2, 3, 3 times ln 2 are 0.75, 0.25, 1.25, 1.25 away.
    assert_eq!(kept(SamplingConfig { typical_p: probability(0.2), ..drawing() }), [1]);
    assert_eq!(kept(SamplingConfig { typical_p: probability(0.7), ..drawing() }), [0, 1]);
    assert_eq!(kept(SamplingConfig { typical_p: probability(0.8), ..drawing() }), [0, 1, 2, 3]);
}

#[test]
fn ten_equal_tokens_and_nine_tenths_leave_nine() {
    // In double precision 1 − 0.9 is below 0.1; in single precision, as in transformers, it is not.
    let (kept, _) = filtered(&SamplingConfig { top_p: probability(0.9), ..drawing() }, &[1.5; 10], &[]);
    assert_eq!(kept, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn what_cannot_be_decoded_says_what_came() {
    let mut plain = sampler(drawing());
    let empty = History::prompt(&[]);
    let (nan, inf, never) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
    assert!(matches!(plain.step(&[0.0, nan], empty, 0.5), Err(SamplingError::Logit { token: 1, got }) if got.is_nan()));
    assert_eq!(plain.step(&[inf, nan], empty, 0.5), Err(SamplingError::Logit { token: 0, got: inf }));
    assert_eq!(plain.step(&[never; 3], empty, 0.5), Err(SamplingError::NoLogit { vocabulary: 3 }));
    assert_eq!(plain.step(&[], empty, 0.5), Err(SamplingError::NoLogit { vocabulary: 0 }));
    assert_eq!(plain.step(&[0.0], empty, 1.0), Err(SamplingError::Uniform { got: 1.0 }));
    assert_eq!(History::new(&[1, 2], 3), Err(SamplingError::Prompt { tokens: 2, prompt: 3 }));
    let mut none = sampler(SamplingConfig { suppress_tokens: vec![0, 1, 7], ..drawing() });
    assert_eq!(none.step(&[0.0, 1.0], empty, 0.5), Err(SamplingError::NothingLeft { vocabulary: 2 }));
    let mut penalty = sampler(SamplingConfig { repetition_penalty: Positive::new(1.5).unwrap(), ..drawing() });
    let outside = SamplingError::Token { place: "the history", token: 2, vocabulary: 2 };
    assert_eq!(penalty.step(&[0.0, 1.0], History::prompt(&[2]), 0.5), Err(outside));
    let mut cold = sampler(SamplingConfig { temperature: Temperature::new(1e-38).unwrap(), ..drawing() });
    assert_eq!(cold.step(&[-1.0, 9.0], empty, 0.5), Err(SamplingError::Overflow { token: 1, got: inf }));
    let error = cold.step(&[-1.0, nan], empty, 0.5).unwrap_err().to_string();
    assert_eq!(error, "expected logits in [-inf, inf), got NaN for token 1");
}

/// A model of four tokens, of which 0 ends: a row for each last token.
fn small_model() -> impl Strategy<Value = Vec<Vec<f32>>> {
    prop::collection::vec(prop::collection::vec((-300i16..300).prop_map(|z| f32::from(z) / 100.0), 4), 4)
}

fn beams(num_beams: usize, length_penalty: f64, early_stopping: EarlyStopping) -> BeamConfig {
    let num_beams = num_beams.try_into().unwrap();
    BeamConfig { num_beams, length_penalty, early_stopping, num_return_sequences: num_beams }
}

fn generation(beam: BeamConfig, most: usize) -> GenerationConfig {
    let sampling = SamplingConfig { eos_token_id: vec![0], ..SamplingConfig::greedy() };
    GenerationConfig { sampling, beam, max_new_tokens: Some(most), ..GenerationConfig::default() }
}

/// Every sequence of at most `most` tokens with its Σ ln π.
fn enumerate(table: &[Vec<f32>], tokens: &[u32], sum: f64, most: usize, out: &mut Vec<(Vec<u32>, f64)>) {
    let row = &table[tokens.last().map_or(1, |&token| token as usize)];
    let total: f64 = row.iter().map(|&z| f64::from(z).exp()).sum();
    for (token, &z) in (0..).zip(row) {
        let (longer, sum) = ([tokens, &[token]].concat(), sum + f64::from(z) - total.ln());
        if token == 0 || longer.len() == most {
            out.push((longer, sum));
        } else {
            enumerate(table, &longer, sum, most, out);
        }
    }
}

proptest! {
    #[test]
    fn one_beam_is_greedy(table in small_model(), full in any::<bool>(), penalty in -1.0..2.0) {
        let stopping = if full { EarlyStopping::Full } else { EarlyStopping::Heuristic };
        let found = search(&generation(beams(1, penalty, stopping), 6), &[1], |tokens| &table[*tokens.last().unwrap() as usize]);
        let (mut greedy, mut tokens) = (sampler(SamplingConfig::greedy()), vec![1]);
        while tokens.len() < 7 && (tokens.len() == 1 || tokens[tokens.len() - 1] != 0) {
            let row = &table[tokens[tokens.len() - 1] as usize];
            tokens.push(greedy.step(row, History::prompt(&tokens), 0.0).unwrap().token);
        }
        prop_assert_eq!(&found[0].tokens, &tokens[1..]);
    }

    #[test]
    fn enough_beams_find_the_best_of_all(table in small_model(), never in any::<bool>()) {
        let stopping = if never { EarlyStopping::Never } else { EarlyStopping::Heuristic };
        let found = search(&generation(beams(81, 0.0, stopping), 4), &[1], |tokens| &table[*tokens.last().unwrap() as usize]);
        let mut all = Vec::new();
        enumerate(&table, &[], 0.0, 4, &mut all);
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        for (found, best) in found.iter().zip(&all) {
            prop_assert!((f64::from(found.score) - best.1).abs() < 1e-4, "{found:?} is not {best:?}");
        }
    }

    #[test]
    fn hypotheses_are_sorted_distinct_sequences_with_their_scores(
        table in small_model(), num_beams in 1usize..6, penalty in -1.0..2.0, most in 1usize..6,
    ) {
        let config = generation(beams(num_beams, penalty, EarlyStopping::Heuristic), most);
        let found = search(&config, &[1], |tokens| &table[*tokens.last().unwrap() as usize]);
        let mut all = Vec::new();
        enumerate(&table, &[], 0.0, most, &mut all);
        prop_assert!(!found.is_empty() && found.len() <= num_beams);
        prop_assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score && pair[0].tokens != pair[1].tokens));
        for Hypothesis { tokens, score } in found {
            let (_, sum) = all.iter().find(|(sequence, _)| *sequence == tokens).unwrap();
            prop_assert!((f64::from(score) - sum / (tokens.len() as f64).powf(penalty)).abs() < 1e-4);
        }
    }
}
