//! The kernels for Nvidia GPUs, compiled for the processor and held against the kernels for it.
//!
//! Needs a C++ compiler (`CXX`, or `c++`); without one nothing is checked, and the test says so.
#![expect(clippy::unwrap_used, reason = "tests state exact values")]
#![expect(clippy::print_stderr, reason = "a check that is left out is said")]

mod emulator;

use half::bf16;
use tdrm_kernels::adamw::{self, AdamW};
use tdrm_kernels::attention::{self, Heads};
use tdrm_kernels::cuda::{self, Access, Attention, Element, Kind, Launch, Seen};
use tdrm_kernels::decode::{Cache, Place};
use tdrm_kernels::logprob::{self, Score};
use tdrm_kernels::rope::{Pairs, RopeTable, Rotation};
use tdrm_kernels::{Rows, rmsnorm, swiglu};

const ELEMENTS: [Element; 2] = [Element::F32, Element::Bf16];

/// An operand's elements.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    /// Of the type of weights and activations.
    Element(Vec<f32>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    U32(Vec<u32>),
}

impl Values {
    fn zeros(kind: Kind, len: usize) -> Self {
        match kind {
            Kind::Element => Self::Element(vec![0.0; len]),
            Kind::F32 => Self::F32(vec![0.0; len]),
            Kind::F64 => Self::F64(vec![0.0; len]),
            Kind::U32 => Self::U32(vec![0; len]),
        }
    }

    fn kind_and_len(&self) -> (Kind, usize) {
        match self {
            Self::Element(x) => (Kind::Element, x.len()),
            Self::F32(x) => (Kind::F32, x.len()),
            Self::F64(x) => (Kind::F64, x.len()),
            Self::U32(x) => (Kind::U32, x.len()),
        }
    }

    fn bytes(&self, element: Element) -> Vec<u8> {
        match (self, element) {
            (Self::Element(x), Element::Bf16) => x.iter().flat_map(|x| bf16::from_f32(*x).to_ne_bytes()).collect(),
            (Self::Element(x) | Self::F32(x), _) => x.iter().flat_map(|x| x.to_ne_bytes()).collect(),
            (Self::F64(x), _) => x.iter().flat_map(|x| x.to_ne_bytes()).collect(),
            (Self::U32(x), _) => x.iter().flat_map(|x| x.to_ne_bytes()).collect(),
        }
    }

    fn read(&self, element: Element, bytes: &[u8]) -> Self {
        let f32s = || bytes.as_chunks::<4>().0.iter().map(|b| f32::from_ne_bytes(*b)).collect();
        match (self, element) {
            (Self::Element(_), Element::Bf16) => {
                Self::Element(bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_ne_bytes(*b).to_f32()).collect())
            }
            (Self::Element(_), Element::F32) => Self::Element(f32s()),
            (Self::F32(_), _) => Self::F32(f32s()),
            (Self::F64(_), _) => Self::F64(bytes.as_chunks::<8>().0.iter().map(|b| f64::from_ne_bytes(*b)).collect()),
            (Self::U32(_), _) => Self::U32(bytes.as_chunks::<4>().0.iter().map(|b| u32::from_ne_bytes(*b)).collect()),
        }
    }

    fn floats(self) -> Vec<f32> {
        match self {
            Self::Element(x) | Self::F32(x) => x,
            _ => panic!("not 32-bit floats"),
        }
    }
}

/// Runs a launch on the operands that it reads; returns those that it writes. `given` are all operands, or those that
/// are read, the others being zeros.
fn run(element: Element, launch: &Launch, given: Vec<Values>) -> Option<Vec<Values>> {
    let mut given = given.into_iter();
    let all = given.len() == launch.operands().len();
    let operands: Vec<Values> = launch
        .operands()
        .iter()
        .map(|operand| {
            let zeros = || Values::zeros(operand.kind, operand.len);
            let values = if all || operand.access == Access::Read { given.next().unwrap() } else { zeros() };
            assert_eq!(values.kind_and_len(), (operand.kind, operand.len), "{}", launch.kernel());
            values
        })
        .collect();
    let bytes: Vec<Vec<u8>> = operands.iter().map(|values| values.bytes(element)).collect();
    let after = emulator::run(element, launch, &bytes)?;
    let mut written = Vec::new();
    for (((values, operand), before), after) in operands.iter().zip(launch.operands()).zip(bytes).zip(after) {
        if operand.access == Access::Write {
            written.push(values.read(element, &after));
        } else {
            assert_eq!(after, before, "{}: an input has changed", launch.kernel());
        }
    }
    Some(written)
}

/// Numbers in [−1, 1), rounded to the type; always the same for a seed.
fn random(element: Element, seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let x = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
        if element == Element::Bf16 { bf16::from_f32(x).to_f32() } else { x }
    };
    (0..len).map(|_| next()).collect()
}

/// What a result may differ by: a few units of the type's last place.
fn tolerance(element: Element) -> f32 {
    match element {
        Element::F32 => 2e-6,
        Element::Bf16 => 1.0 / 128.0,
    }
}

fn assert_near(what: &str, got: &[f32], wanted: &[f32], tolerance: f32) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(wanted).enumerate() {
        assert!((g - w).abs() <= tolerance * (1.0 + w.abs()), "{what}, element {i}: got {g}, expected {w}");
    }
}

#[test]
fn norms_are_those_of_the_processor() {
    for (element, width) in ELEMENTS.into_iter().flat_map(|e| [8, 33, 896, 3000].map(|w| (e, w))) {
        let n = 3;
        let (x, w) = (random(element, 1, n * width), random(element, 2, width));
        let norm = |x: &[f32]| {
            let (mut y, mut scale) = (vec![0.0; x.len()], vec![0.0; x.len() / width]);
            rmsnorm::forward(x, &w, 1e-6, &mut y, &mut scale).unwrap();
            y
        };
        let launch = cuda::rms_norm(n, width, 1e-6).unwrap();
        let inputs = vec![Values::Element(x.clone()), Values::Element(w.clone())];
        let Some(mut y) = run(element, &launch, inputs) else { return };
        assert_near(&format!("{element:?} {width}"), &y.remove(0).floats(), &norm(&x), tolerance(element));

        let r = random(element, 3, n * width);
        let launch = cuda::add_rms_norm(n, width, 1e-6).unwrap();
        let inputs = vec![Values::Element(x.clone()), Values::Element(r.clone()), Values::Element(w.clone())];
        let y = run(element, &launch, inputs).unwrap().remove(0).floats();
        let sum: Vec<f32> = x.iter().zip(&r).map(|(x, r)| x + r).collect();
        assert_near("sum", &y[..n * width], &sum, tolerance(element) / 2.0);
        assert_near("norm of the sum", &y[n * width..], &norm(&y[..n * width]), tolerance(element));
    }
}

#[test]
fn each_head_is_normalised_by_itself() {
    for (element, dim) in ELEMENTS.into_iter().flat_map(|e| [8, 80, 128].map(|d| (e, d))) {
        let (n, heads) = (2, Heads { query: 4, key_value: 2, dim });
        let (qkv, wq, wk) = (random(element, 1, n * heads.width()), random(element, 2, dim), random(element, 3, dim));
        let launch = cuda::norm_heads(n, &heads, 1e-6).unwrap();
        let inputs = vec![Values::Element(qkv.clone()), Values::Element(wq.clone()), Values::Element(wk.clone())];
        let Some(mut y) = run(element, &launch, inputs) else { return };
        let mut wanted = qkv.clone();
        for (i, head) in wanted.chunks_exact_mut(dim).enumerate() {
            let w = match i % 8 {
                0..4 => &wq,
                4..6 => &wk,
                _ => continue,
            };
            let x = head.to_vec();
            rmsnorm::forward(&x, w, 1e-6, head, &mut [0.0]).unwrap();
        }
        assert_near(&format!("{element:?} {dim}"), &y.remove(0).floats(), &wanted, tolerance(element));
    }
}

#[test]
fn gates_are_those_of_the_processor() {
    for (element, width) in ELEMENTS.into_iter().flat_map(|e| [1, 33, 500].map(|w| (e, w))) {
        let gate_up: Vec<f32> = random(element, 4, 2 * 3 * width).iter().map(|x| x * 8.0).collect();
        let mut wanted = vec![0.0; 3 * width];
        swiglu::forward(&gate_up, width, &mut wanted).unwrap();
        let launch = cuda::swiglu(3, width).unwrap();
        let Some(mut y) = run(element, &launch, vec![Values::Element(gate_up)]) else { return };
        assert_near(&format!("{element:?} {width}"), &y.remove(0).floats(), &wanted, 2.0 * tolerance(element));
    }
}

#[test]
fn biases_are_added_to_each_row() {
    for element in ELEMENTS {
        let (n, width) = (5, 70);
        let (x, b) = (random(element, 7, n * width), random(element, 8, width));
        let wanted: Vec<f32> = x.iter().enumerate().map(|(i, x)| x + b[i % width]).collect();
        let launch = cuda::add_bias(n, width).unwrap();
        let Some(mut y) = run(element, &launch, vec![Values::Element(x), Values::Element(b)]) else { return };
        assert_near(&format!("{element:?}"), &y.remove(0).floats(), &wanted, tolerance(element) / 2.0);
    }
}

#[test]
fn scores_are_those_of_the_processor() {
    for (element, vocabulary) in ELEMENTS.into_iter().flat_map(|e| [1, 5, 1000, 5003].map(|v| (e, v))) {
        for temperature in [1.0, 0.3] {
            let logits: Vec<f32> = random(element, 5, 3 * vocabulary).iter().map(|x| x * 16.0).collect();
            let targets = [0, vocabulary as u32 / 2, vocabulary as u32 - 1];
            let mut wanted = [Score::default(); 3];
            logprob::forward(&logits, &targets, temperature, &mut wanted).unwrap();
            let launch = cuda::score_rows(3, vocabulary, temperature).unwrap();
            let inputs = vec![Values::Element(logits), Values::U32(targets.to_vec())];
            let Some(mut scores) = run(element, &launch, inputs) else { return };
            let wanted: Vec<f32> = wanted.iter().flat_map(|score| [score.log_prob, score.entropy]).collect();
            // The logits are the same on both sides, so the type does not matter.
            assert_near(&format!("{element:?} {vocabulary}"), &scores.remove(0).floats(), &wanted, 1e-5);
        }
    }
}

/// Heads with a rotation.
struct Case {
    heads: Heads,
    rope: RopeTable,
    window: Option<usize>,
}

fn cases() -> Vec<Case> {
    let case = |query, key_value, dim, half: usize, pairs, window| {
        let frequencies: Vec<f32> = (0..half).map(|i| 0.7_f32.powi(i as i32)).collect();
        let rope = RopeTable::with_frequencies(&frequencies, 1.0, pairs, dim, 256).unwrap();
        Case { heads: Heads { query, key_value, dim }, rope, window }
    };
    vec![
        case(4, 2, 64, 32, Pairs::Halves, None),
        case(2, 2, 80, 40, Pairs::Halves, Some(33)),
        case(7, 1, 128, 64, Pairs::Halves, None),
        case(10, 1, 128, 32, Pairs::Neighbours, None),
        case(4, 2, 64, 16, Pairs::Halves, Some(1)),
        case(2, 1, 8, 4, Pairs::Neighbours, Some(7)),
    ]
}

impl Case {
    fn angles(&self) -> Values {
        let (cos, sin) = self.rope.tables();
        Values::F32([cos, sin].concat())
    }

    fn rotated(&self, qkv: &[f32], positions: &[usize]) -> Vec<f32> {
        let (mut rotated, heads) = (qkv.to_vec(), self.heads.query + self.heads.key_value);
        let positions = positions.iter().copied();
        self.rope.rotate(&mut rotated, self.heads.width(), heads, positions, Rotation::Forward).unwrap();
        rotated
    }
}

/// Rotated keys and values in a cache of `room` rows, as `append` leaves them.
fn appended(element: Element, case: &Case, seen: &Seen, room: usize, kv: Vec<f32>, qkv: &[f32]) -> Option<Values> {
    let attention = Attention::new(case.heads, &case.rope, seen, room, case.window).unwrap();
    let inputs =
        vec![Values::Element(kv), Values::Element(qkv.to_vec()), case.angles(), Values::U32(seen.index().to_vec())];
    Some(run(element, &attention.append().unwrap(), inputs)?.remove(0))
}

#[test]
fn packed_sequences_attend_as_on_the_processor() {
    for (element, case) in ELEMENTS.into_iter().flat_map(|e| cases().into_iter().map(move |c| (e, c))) {
        let heads = case.heads;
        let rows = Rows::new([1, 31, 33, 200]).unwrap();
        let n = rows.len();
        let qkv = random(element, 6, n * heads.width());
        let mut wanted = vec![0.0; n * heads.query_width()];
        for sequence in (0..rows.sequences()).map(|i| rows.range(i)) {
            let positions: Vec<usize> = (0..sequence.len()).collect();
            let qkv = &qkv[sequence.start * heads.width()..sequence.end * heads.width()];
            let o = &mut wanted[sequence.start * heads.query_width()..sequence.end * heads.query_width()];
            let mut log_sum = vec![0.0; sequence.len() * heads.query];
            attention::forward(&heads, case.window, &case.rotated(qkv, &positions), o, &mut log_sum).unwrap();
        }
        let seen = Seen::packed(&rows);
        let Some(kv) = appended(element, &case, &seen, n, vec![0.0; 2 * n * heads.key_value_width()], &qkv) else {
            return;
        };
        let attention = Attention::new(heads, &case.rope, &seen, n, case.window).unwrap();
        let tiles = seen.tiles().unwrap().to_vec();
        let inputs =
            vec![kv, Values::Element(qkv), case.angles(), Values::U32(seen.index().to_vec()), Values::U32(tiles)];
        let o = run(element, &attention.attend_tiles().unwrap(), inputs).unwrap().remove(0).floats();
        assert_near(&format!("{element:?} {heads:?} {:?}", case.window), &o, &wanted, 2.0 * tolerance(element));
    }
}

#[test]
fn rows_attend_to_a_cache_as_on_the_processor() {
    let (capacity, lengths) = (208, [1, 31, 33, 64, 65, 200]);
    for (element, case) in ELEMENTS.into_iter().flat_map(|e| cases().into_iter().map(move |c| (e, c))) {
        let (heads, slots) = (case.heads, lengths.len());
        let room = slots * capacity;
        let mut cache = Cache::new(&heads, slots, capacity);
        let mut kv = vec![0.0; 2 * room * heads.key_value_width()];
        // All tokens but the last of each slot, then the last ones together.
        for (slot, length) in lengths.into_iter().enumerate().filter(|(_, length)| *length > 1) {
            let places: Vec<Place> = (0..length - 1).map(|position| Place { slot, position }).collect();
            let qkv = random(element, slot as u64, places.len() * heads.width());
            let positions: Vec<usize> = (0..length - 1).collect();
            cache.append(&heads, &places, &case.rotated(&qkv, &positions)).unwrap();
            let Some(after) = appended(element, &case, &Seen::places(&places, capacity), room, kv, &qkv) else {
                return;
            };
            kv = after.floats();
        }
        let places: Vec<Place> =
            lengths.into_iter().enumerate().map(|(slot, length)| Place { slot, position: length - 1 }).collect();
        let positions: Vec<usize> = places.iter().map(|place| place.position).collect();
        let qkv = random(element, 99, slots * heads.width());
        let rotated = case.rotated(&qkv, &positions);
        cache.append(&heads, &places, &rotated).unwrap();
        let mut wanted = vec![0.0; slots * heads.query_width()];
        cache.attend_rows(&heads, case.window, &places, &rotated, &mut wanted).unwrap();

        let seen = Seen::places(&places, capacity);
        let kv = appended(element, &case, &seen, room, kv, &qkv).unwrap();
        let attention = Attention::new(heads, &case.rope, &seen, room, case.window).unwrap();
        let inputs = vec![kv, Values::Element(qkv), case.angles(), Values::U32(seen.index().to_vec())];
        let what = format!("{element:?} {heads:?} {:?}", case.window);
        let o = run(element, &attention.attend_rows().unwrap(), inputs.clone()).unwrap().remove(0).floats();
        assert_near(&what, &o, &wanted, 2.0 * tolerance(element));

        let parts = run(element, &attention.attend_parts(3).unwrap(), inputs).unwrap();
        let o = run(element, &attention.join_parts(3).unwrap(), parts).unwrap().remove(0).floats();
        assert_near(&format!("{what} in parts"), &o, &wanted, 2.0 * tolerance(element));
    }
}

#[test]
fn places_outside_of_the_cache_are_left_out() {
    let case = cases().remove(0);
    let (heads, room) = (case.heads, 16);
    let places = [(0, 3), (3, 0), (0, 300)].map(|(slot, position)| Place { slot, position });
    let seen = Seen::places(&places, 8);
    let (qkv, before) = (random(Element::F32, 1, 3 * heads.width()), random(Element::F32, 2, 2 * room * 128));
    let Some(kv) = appended(Element::F32, &case, &seen, room, before.clone(), &qkv) else { return };
    let changed = |x: &[f32]| x.chunks_exact(128).zip(before.chunks_exact(128)).filter(|(a, b)| a != b).count();
    assert_eq!(changed(&kv.clone().floats()), 2, "one key and one value");
    let attention = Attention::new(heads, &case.rope, &seen, room, None).unwrap();
    let inputs = vec![kv, Values::Element(qkv), case.angles(), Values::U32(seen.index().to_vec())];
    let o = run(Element::F32, &attention.attend_rows().unwrap(), inputs).unwrap().remove(0).floats();
    assert!(o[..256].iter().any(|x| *x != 0.0) && o[256..].iter().all(|x| *x == 0.0));
}

#[test]
fn a_step_of_the_optimiser_is_that_of_the_processor() {
    let constants = AdamW {
        learning_rate: 1e-3,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.1,
        step: 3,
        gradient_scale: 0.5,
    };
    let (len, range) = (700, 100..650);
    for element in ELEMENTS {
        let round = |x: &f32| if element == Element::Bf16 { bf16::from_f32(*x).to_f32() } else { *x };
        let [mut theta, g, mut m, second] = [1, 2, 3, 4].map(|seed| random(Element::F32, seed, len));
        let mut v: Vec<f32> = second.iter().map(|x| x * x).collect();
        let mut parameter: Vec<f32> = theta.iter().map(round).collect();
        // One weight was set: it counts.
        parameter[200] = 0.5;
        let state = [theta.clone(), m.clone(), v.clone()].concat();
        let inputs = vec![Values::F32(state.clone()), Values::F32(g.clone()), Values::Element(parameter.clone())];
        let Some(mut after) = run(element, &cuda::adamw(len, &range, &constants).unwrap(), inputs) else { return };
        theta[200] = 0.5;
        let all = range.clone();
        adamw::step(&constants, &mut theta[all.clone()], &g[all.clone()], &mut m[all.clone()], &mut v[all]).unwrap();
        let after = after.remove(0).floats();
        let mut wanted = [theta, m, v].concat();
        // Outside of the range nothing is touched.
        wanted[..100].copy_from_slice(&state[..100]);
        assert_near(&format!("{element:?}"), &after, &wanted, 1e-7);

        let launch = cuda::squares(len, &range).unwrap();
        let Values::F64(sums) = run(element, &launch, vec![Values::F32(g.clone())]).unwrap().remove(0) else {
            panic!("sums in 64 bits")
        };
        assert!((sums.iter().sum::<f64>() - adamw::sum_of_squares(&g[range.clone()])).abs() < 1e-9);
    }
}
