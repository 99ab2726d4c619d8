//! Log-probabilities of chosen tokens and entropies of softmax rows, with their derivatives.
//!
//! ```text
//! z = x / τ,   log p_j = z_j − log Σ_k exp z_k,   H = −Σ_j p_j log p_j
//! ∂(c·log p_t + h·H)/∂x_j = [ c(δ_jt − p_j) − h·p_j(log p_j + H) ] / τ
//! ```

use crate::{ShapeError, error, simd};

/// What a softmax row says about its chosen token.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// `log p_t`, at most 0.
    pub log_prob: f32,
    /// H in nats, at least 0.
    pub entropy: f32,
}

/// Scores the chosen token of each row of logits `[n, V]` at temperature τ.
///
/// # Errors
/// If the lengths do not fit or a target lies outside the vocabulary.
pub fn forward(logits: &[f32], targets: &[u32], temperature: f32, scores: &mut [Score]) -> Result<(), ShapeError> {
    let vocabulary = check(logits, targets)?;
    error::same("scores", targets.len(), scores.len())?;
    if vocabulary > 0 {
        rows(logits, targets, vocabulary, temperature.recip(), scores);
    }
    Ok(())
}

/// Replaces logits `[n, V]` by ∂L/∂logits, given `∂L/∂log p_t` `[n]` and ∂L/∂H `[n]`.
///
/// # Errors
/// If the lengths do not fit or a target lies outside the vocabulary.
pub fn backward(
    logits: &mut [f32],
    targets: &[u32],
    temperature: f32,
    d_log_prob: &[f32],
    d_entropy: &[f32],
) -> Result<(), ShapeError> {
    let vocabulary = check(logits, targets)?;
    error::same("derivatives of log-probabilities", targets.len(), d_log_prob.len())?;
    error::same("derivatives of entropies", targets.len(), d_entropy.len())?;
    if vocabulary > 0 {
        rows_backward(logits, targets, vocabulary, temperature.recip(), d_log_prob, d_entropy);
    }
    Ok(())
}

/// The vocabulary's size, or 0 if there are no rows.
fn check(logits: &[f32], targets: &[u32]) -> Result<usize, ShapeError> {
    let vocabulary = logits.len().checked_div(targets.len()).unwrap_or(0);
    error::same("logits", vocabulary * targets.len(), logits.len())?;
    for &target in targets {
        error::at_least("vocabulary", target as usize + 1, vocabulary)?;
    }
    Ok(vocabulary)
}

/// `max z`, and `Σ exp(z − max z)`.
#[inline(always)]
fn partition<S: simd::Isa>(x: &[f32], inverse_temperature: f32) -> (f32, f32) {
    let top = simd::max(x) * inverse_temperature;
    let mut lanes = [0.0; 16];
    let chunks = x.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().map(|&x| simd::exp::<S>(S::madd(x, inverse_temperature, -top))).sum();
    for x in chunks {
        for i in 0..16 {
            lanes[i] += simd::exp::<S>(S::madd(x[i], inverse_temperature, -top));
        }
    }
    (top, simd::sum(&lanes) + rest)
}

/// `Σ p_j (z_j − max z)`.
#[inline(always)]
fn mean_excess<S: simd::Isa>(x: &[f32], inverse_temperature: f32, top: f32, z: f32) -> f32 {
    let mut lanes = [0.0; 16];
    for x in x.chunks(16) {
        for (lane, &x) in lanes.iter_mut().zip(x) {
            let excess = S::madd(x, inverse_temperature, -top);
            *lane = S::madd(simd::exp::<S>(excess), excess, *lane);
        }
    }
    simd::sum(&lanes) / z
}

/// Draws a token from `softmax(x / τ)` by inverting its distribution function at `uniform` in [0, 1).
///
/// # Errors
/// If there are no logits.
pub fn draw(logits: &[f32], temperature: f32, uniform: f64) -> Result<u32, ShapeError> {
    error::at_least("vocabulary", 1, logits.len())?;
    Ok(crate::scratch::with(logits.len(), |weights| invert(logits, temperature.recip(), uniform, weights)))
}

dispatch! {
    fn invert<S>(x: &[f32], inverse_temperature: f32, uniform: f64, weights: &mut [f32]) -> u32 {
        let top = simd::max(x) * inverse_temperature;
        for (w, x) in weights.iter_mut().zip(x) {
            *w = simd::exp::<S>(S::madd(*x, inverse_temperature, -top));
        }
        let mut rest = uniform * weights.iter().map(|&w| f64::from(w)).sum::<f64>();
        for (token, &w) in weights.iter().enumerate() {
            rest -= f64::from(w);
            if rest < 0.0 {
                return token as u32;
            }
        }
        // Only rounding leads here: the last token that has any weight.
        weights.iter().rposition(|&w| w > 0.0).unwrap_or(0) as u32
    }
}

/// The first token with the largest logit.
#[must_use]
pub fn greedy(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (token, &x) in logits.iter().enumerate() {
        if x > logits[best] {
            best = token;
        }
    }
    best as u32
}

dispatch! {
    fn rows<S>(logits: &[f32], targets: &[u32], vocabulary: usize, inverse_temperature: f32, scores: &mut [Score]) {
        for ((x, &target), score) in logits.chunks_exact(vocabulary).zip(targets).zip(scores) {
            let (top, z) = partition::<S>(x, inverse_temperature);
            let chosen = S::madd(x[target as usize], inverse_temperature, -top);
            let log_z = z.ln();
            *score = Score {
                log_prob: chosen - log_z,
                entropy: log_z - mean_excess::<S>(x, inverse_temperature, top, z),
            };
        }
    }
}

dispatch! {
    fn rows_backward<S>(
        logits: &mut [f32],
        targets: &[u32],
        vocabulary: usize,
        inverse_temperature: f32,
        d_log_prob: &[f32],
        d_entropy: &[f32],
    ) {
        let rows = logits.chunks_exact_mut(vocabulary).zip(targets).zip(d_log_prob.iter().zip(d_entropy));
        for ((x, &target), (&c, &h)) in rows {
            let (top, z) = partition::<S>(x, inverse_temperature);
            let log_z = z.ln();
            // Only a wanted entropy costs a second pass; without one the whole term is zero.
            let mean = if h == 0.0 { 0.0 } else { log_z - mean_excess::<S>(x, inverse_temperature, top, z) };
            let (scale, c_scaled, h_scaled) = (z.recip(), c * inverse_temperature, h * inverse_temperature);
            for x in x.iter_mut() {
                let excess = S::madd(*x, inverse_temperature, -top);
                let p = simd::exp::<S>(excess) * scale;
                *x = -p * S::madd(h_scaled, excess - log_z + mean, c_scaled);
            }
            x[target as usize] += c_scaled;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests state exact values")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same in f64, as the formula reads.
    fn reference(x: &[f32], target: usize, temperature: f64) -> (f64, f64) {
        let z: Vec<f64> = x.iter().map(|&x| f64::from(x) / temperature).collect();
        let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum = top + z.iter().map(|z| (z - top).exp()).sum::<f64>().ln();
        let entropy = -z.iter().map(|z| (z - log_sum).exp() * (z - log_sum)).sum::<f64>();
        (z[target] - log_sum, entropy)
    }

    #[test]
    fn two_equal_logits_have_one_bit() {
        let mut scores = [Score::default()];
        forward(&[3.0, 3.0], &[1], 1.0, &mut scores).unwrap();
        let ln2 = std::f32::consts::LN_2;
        assert!((scores[0].log_prob + ln2).abs() < 1e-6 && (scores[0].entropy - ln2).abs() < 1e-6);
    }

    #[test]
    fn a_target_outside_the_vocabulary_is_refused() {
        let wrong = forward(&[0.0; 4], &[0, 2], 1.0, &mut [Score::default(); 2]);
        assert_eq!(wrong, Err(ShapeError { what: "vocabulary", expected: 3, got: 2 }));
    }

    #[test]
    fn the_distribution_function_is_inverted() {
        // p = (1/4, 3/4): below 1/4 the first token, from there on the second.
        let logits = [0.0, 3.0_f32.ln()];
        let draws = [0.0, 0.2499, 0.2501, 0.9999].map(|u| draw(&logits, 1.0, u).unwrap());
        assert_eq!(draws, [0, 0, 1, 1]);
        assert_eq!(greedy(&[1.0, 4.0, 4.0]), 1);
    }

    #[test]
    fn no_rows_are_no_work() {
        forward(&[], &[], 1.0, &mut []).unwrap();
        backward(&mut [], &[], 1.0, &[], &[]).unwrap();
    }

    proptest! {
        #[test]
        fn scores_and_derivatives_agree_with_the_formula(
            x in prop::collection::vec(-6.0_f32..6.0, 2..70),
            temperature in 0.3_f32..2.0,
            (c, h) in (-2.0_f32..2.0, -2.0_f32..2.0),
            pick in 0.0_f64..1.0,
        ) {
            let target = (pick * x.len() as f64) as usize;
            let mut score = [Score::default()];
            forward(&x, &[target as u32], temperature, &mut score).unwrap();
            let (log_prob, entropy) = reference(&x, target, f64::from(temperature));
            prop_assert!((f64::from(score[0].log_prob) - log_prob).abs() < 1e-5 * (1.0 + log_prob.abs()));
            prop_assert!((f64::from(score[0].entropy) - entropy).abs() < 2e-5);

            let mut dx = x.clone();
            backward(&mut dx, &[target as u32], temperature, &[c], &[h]).unwrap();
            for j in 0..x.len() {
                // Central differences of the f64 reference with the step that f32 inputs really make.
                let loss = |x: &[f32]| {
                    let (l, e) = reference(x, target, f64::from(temperature));
                    f64::from(c) * l + f64::from(h) * e
                };
                let (mut up, mut down) = (x.clone(), x.clone());
                up[j] += 0.01;
                down[j] -= 0.01;
                let slope = (loss(&up) - loss(&down)) / (f64::from(up[j]) - f64::from(down[j]));
                prop_assert!((f64::from(dx[j]) - slope).abs() < 2e-3, "{j}: {} {slope}", dx[j]);
            }
        }
    }
}
