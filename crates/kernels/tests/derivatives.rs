//! Forward passes against the f64 reference, backward passes against central differences of that reference.
#![expect(clippy::unwrap_used, reason = "tests state exact values")]

mod reference;

use tdrm_kernels::Rows;
use tdrm_kernels::attention::{self, Heads};
use tdrm_kernels::decode::{Cache, LayerDecoder, Place};
use tdrm_kernels::head::{self, FinalNorm, HeadGradients, Picks};
use tdrm_kernels::layer::{self, LayerShape, QkvBias, Saved, Workspace};
use tdrm_kernels::logprob::Score;
use tdrm_kernels::rope::RopeTable;

const THETA: f64 = 100.0;

fn shape() -> LayerShape {
    let heads = Heads { query: 4, key_value: 2, dim: 6 };
    LayerShape { hidden: 10, heads, intermediate: 12, epsilon: 1e-5, bias: QkvBias::With }
}

/// Fixed numbers of about unit size, exact in f32.
fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mix = |i: u32| (i.wrapping_add(seed).wrapping_mul(0x9E37_79B9) ^ 0x5bd1_e995).wrapping_mul(0x85EB_CA6B) >> 16;
    (0..n as u32).map(|i| (mix(i) % 2048) as f32 / 1024.0 - 1.0).collect()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

fn rows(x: &[f64], width: usize) -> Vec<Vec<f64>> {
    x.chunks_exact(width).map(<[f64]>::to_vec).collect()
}

/// Checks `got` against central differences of `loss` in each element of `at`.
fn check_gradient(name: &str, got: &[f32], at: &[f64], loss: impl Fn(&[f64]) -> f64) {
    let mut point = at.to_vec();
    let scale = 1.0 + got.iter().map(|g| f64::from(g.abs())).fold(0.0, f64::max);
    for i in 0..at.len() {
        let step = 1e-5;
        point[i] = at[i] + step;
        let above = loss(&point);
        point[i] = at[i] - step;
        let slope = (above - loss(&point)) / (2.0 * step);
        point[i] = at[i];
        // f32 kernels: some hundred roundings of 6e-8 each.
        assert!((slope - f64::from(got[i])).abs() < 2e-5 * scale, "{name}[{i}]: {} {slope}", got[i]);
    }
}

const LENGTHS: [usize; 3] = [5, 1, 3];

fn reference_layer(w: &[f64], x: &[f64]) -> Vec<f64> {
    let (all, mut start) = (rows(x, shape().hidden), 0);
    let sequence = |len: usize| {
        start += len;
        reference::layer(&shape(), THETA, w, &all[start - len..start]).concat()
    };
    LENGTHS.into_iter().flat_map(sequence).collect()
}

#[test]
fn a_layer_and_its_derivatives_are_those_of_the_reference() {
    let (shape, batch) = (shape(), Rows::new(LENGTHS).unwrap());
    let weights: Vec<f32> = numbers(shape.parameters(), 1).iter().map(|w| w * 0.5).collect();
    let (x, c) = (numbers(batch.len() * shape.hidden, 2), numbers(batch.len() * shape.hidden, 3));
    let rope = RopeTable::new(THETA, shape.heads.dim, 8).unwrap();
    let mut saved = Saved::default();
    saved.input.clone_from(&x);
    let mut y = vec![0.0; x.len()];
    layer::forward(&shape, &weights, &rope, &batch, &mut saved, &mut y).unwrap();
    let wanted = reference_layer(&wide(&weights), &wide(&x));
    assert!(y.iter().zip(&wanted).all(|(y, w)| (f64::from(*y) - w).abs() < 1e-5 * (1.0 + w.abs())));

    let (mut stream, mut gradient) = (c.clone(), vec![0.0; weights.len()]);
    let mut workspace = Workspace::default();
    layer::backward(&shape, &weights, &rope, &batch, &saved, &mut stream, &mut gradient, &mut workspace).unwrap();
    let loss = |w: &[f64], x: &[f64]| reference_layer(w, x).iter().zip(&c).map(|(y, c)| y * f64::from(*c)).sum::<f64>();
    check_gradient("x", &stream, &wide(&x), |x| loss(&wide(&weights), x));
    check_gradient("w", &gradient, &wide(&weights), |w| loss(w, &wide(&x)));
}

#[test]
fn attention_over_several_blocks_is_that_of_the_reference() {
    let (shape, t) = (shape(), 71);
    let heads = shape.heads;
    let (qkv, c) = (numbers(t * heads.width(), 4), numbers(t * heads.query_width(), 5));
    let (mut o, mut log_sum) = (vec![0.0; c.len()], vec![0.0; t * heads.query]);
    attention::forward(&heads, None, &qkv, &mut o, &mut log_sum).unwrap();
    let run = |qkv: &[f64]| reference::attention(&shape, &rows(qkv, heads.width())).concat();
    assert!(o.iter().zip(run(&wide(&qkv))).all(|(o, w)| (f64::from(*o) - w).abs() < 1e-5));

    let mut dqkv = vec![0.0; qkv.len()];
    attention::backward(&heads, None, &qkv, &o, &log_sum, &c, &mut dqkv).unwrap();
    // Derivatives in a few rows of every block: all columns of them.
    let at = wide(&qkv);
    let loss = |qkv: &[f64]| run(qkv).iter().zip(&c).map(|(o, c)| o * f64::from(*c)).sum::<f64>();
    for row in [0, 31, 32, 70] {
        let range = row * heads.width()..(row + 1) * heads.width();
        check_gradient(&format!("row {row}"), &dqkv[range.clone()], &at[range.clone()], |part| {
            let mut point = at.clone();
            point[range.clone()].copy_from_slice(part);
            loss(&point)
        });
    }
}

#[test]
fn the_language_model_head_is_that_of_the_reference() {
    let (d, v, temperature, epsilon) = (10, 13, 0.7_f32, 1e-5);
    let batch = Rows::new(LENGTHS).unwrap();
    let (x, w) = (numbers(batch.len() * d, 6), numbers(v * d, 7));
    let norm = numbers(d, 8);
    let (at, targets) = ([0, 2, 5, 6, 8], [3_u32, 12, 0, 7, 7]);
    let (c, h) = (numbers(5, 9), numbers(5, 10));
    let final_norm = FinalNorm { weight: &norm, epsilon };
    let picks = Picks::new(&batch, &at).unwrap();
    let mut scores = [Score::default(); 5];
    head::log_probs(final_norm, &w, temperature, picks, &targets, &x, &mut scores).unwrap();

    let run = |norm: &[f64], w: &[f64], x: &[f64]| -> Vec<(f64, f64)> {
        let (epsilon, temperature) = (f64::from(epsilon), f64::from(temperature));
        let one = |(at, target): (&usize, &u32)| {
            reference::score(norm, epsilon, w, &x[at * d..(at + 1) * d], *target as usize, temperature)
        };
        at.iter().zip(&targets).map(one).collect()
    };
    for (got, (log_prob, entropy)) in scores.iter().zip(run(&wide(&norm), &wide(&w), &wide(&x))) {
        assert!((f64::from(got.log_prob) - log_prob).abs() < 1e-5 && (f64::from(got.entropy) - entropy).abs() < 1e-5);
    }

    let (mut dx, mut dn, mut dw) = (vec![0.0; x.len()], vec![0.0; d], vec![0.0; w.len()]);
    let gradients = HeadGradients { x: &mut dx, norm: &mut dn, weight: &mut dw };
    head::log_probs_backward(final_norm, &w, temperature, picks, &targets, &x, &c, &h, gradients).unwrap();
    let loss = |norm: &[f64], w: &[f64], x: &[f64]| -> f64 {
        let terms = run(norm, w, x).into_iter().zip(c.iter().zip(&h));
        terms.map(|((l, e), (c, h))| f64::from(*c) * l + f64::from(*h) * e).sum()
    };
    let (n64, w64, x64) = (wide(&norm), wide(&w), wide(&x));
    check_gradient("x", &dx, &x64, |x| loss(&n64, &w64, x));
    check_gradient("norm", &dn, &n64, |norm| loss(norm, &w64, &x64));
    check_gradient("weight", &dw, &w64, |w| loss(&n64, w, &x64));
}

#[test]
fn the_scalar_head_is_that_of_the_reference() {
    let (d, bias, epsilon) = (10, 0.25, 1e-5);
    let batch = Rows::new(LENGTHS).unwrap();
    let (x, w, norm, dz) = (numbers(batch.len() * d, 6), numbers(d, 7), numbers(d, 8), numbers(3, 9));
    let at = [1, 4, 8];
    let final_norm = FinalNorm { weight: &norm, epsilon };
    let picks = Picks::new(&batch, &at).unwrap();
    let mut z = [0.0; 3];
    head::values(final_norm, &w, bias, picks, &x, &mut z).unwrap();
    let run = |norm: &[f64], w: &[f64], x: &[f64]| -> Vec<f64> {
        let normed = |at: &usize| reference::rmsnorm(&x[at * d..(at + 1) * d], norm, f64::from(epsilon));
        at.iter().map(|at| normed(at).iter().zip(w).map(|(n, w)| n * w).sum::<f64>() + f64::from(bias)).collect()
    };
    let (n64, w64, x64) = (wide(&norm), wide(&w), wide(&x));
    assert!(z.iter().zip(run(&n64, &w64, &x64)).all(|(z, wanted)| (f64::from(*z) - wanted).abs() < 1e-5));

    let (mut dx, mut dn, mut dw) = (vec![0.0; x.len()], vec![0.0; d], vec![0.0; d]);
    let gradients = HeadGradients { x: &mut dx, norm: &mut dn, weight: &mut dw };
    let db = head::values_backward(final_norm, &w, picks, &x, &dz, gradients).unwrap();
    assert!((db - dz.iter().sum::<f32>()).abs() < 1e-6);
    let loss = |norm: &[f64], w: &[f64], x: &[f64]| -> f64 {
        run(norm, w, x).iter().zip(&dz).map(|(z, dz)| z * f64::from(*dz)).sum()
    };
    check_gradient("x", &dx, &x64, |x| loss(&n64, &w64, x));
    check_gradient("norm", &dn, &n64, |norm| loss(norm, &w64, &x64));
    check_gradient("weight", &dw, &w64, |w| loss(&n64, w, &x64));
}

#[test]
fn decoding_token_by_token_is_the_layer_and_a_row_does_not_see_its_neighbours() {
    let (shape, t) = (shape(), 9);
    let weights: Vec<f32> = numbers(shape.parameters(), 1).iter().map(|w| w * 0.5).collect();
    let rope = RopeTable::new(THETA, shape.heads.dim, 16).unwrap();
    let x = numbers(t * shape.hidden, 2);
    let mut saved = Saved::default();
    saved.input.clone_from(&x);
    let mut wanted = vec![0.0; x.len()];
    layer::forward(&shape, &weights, &rope, &Rows::new([t]).unwrap(), &mut saved, &mut wanted).unwrap();

    let decoder = LayerDecoder::new(&shape, &weights).unwrap();
    let mut cache = Cache::new(&shape.heads, 3, 12);
    // Slot 1 one token at a time; slot 2 the first four at once, then the rest from a fork of slot 1's beginning.
    let mut one_by_one = x.clone();
    for (position, row) in one_by_one.chunks_exact_mut(shape.hidden).enumerate() {
        decoder.forward(&rope, &mut cache, &[Place { slot: 1, position }], row).unwrap();
    }
    assert!(one_by_one.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5));
    cache.fork(1, 2, 4).unwrap();
    let places: Vec<Place> = (4..t).map(|position| Place { slot: 2, position }).collect();
    let mut at_once = x[4 * shape.hidden..].to_vec();
    decoder.forward(&rope, &mut cache, &places, &mut at_once).unwrap();
    assert_eq!(at_once, one_by_one[4 * shape.hidden..]);
    assert!(cache.fork(0, 3, 1).is_err() && cache.fork(0, 1, 13).is_err());
}
