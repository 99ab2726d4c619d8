//! Losses of a chosen and a rejected response.

use serde::{Deserialize, Serialize};
use tdrm_core::{NonNegative, Positive, Probability, Real};

use super::{Divergence, log_sigmoid, log1m_exp, sigmoid, softplus};

/// A response under the policy and the reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response<F> {
    /// log π(y|x), summed over its tokens.
    pub logp: F,
    /// log π_ref(y|x), summed; unused by losses without a reference.
    pub ref_logp: F,
    /// Number of tokens, for losses that normalise by it.
    pub length: F,
}

impl<F: Real> Response<F> {
    /// x = log π/π_ref.
    pub(super) fn log_ratio(&self) -> F {
        self.logp - self.ref_logp
    }

    fn length(&self) -> F {
        self.length.max(F::one())
    }
}

/// A preference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair<F> {
    /// The response that was preferred.
    pub chosen: Response<F>,
    /// The other one.
    pub rejected: Response<F>,
    /// Weight of the pair, held fixed; 1 ordinarily.
    pub weight: F,
}

/// A preference loss on a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct PairEvaluation<F> {
    /// Mean over the pairs.
    pub loss: F,
    /// ∂loss/∂log π(chosen), `[n]`.
    pub chosen: Vec<F>,
    /// ∂loss/∂log π(rejected), `[n]`.
    pub rejected: Vec<F>,
}

/// A loss of pairs. With `x_w`, `x_l` the log-ratios log π/π_ref of chosen and rejected, `s` their score under the
/// [`Divergence`], `h = s_w − s_l`:
///
/// ```text
/// dpo             −ln σ(βh)                                       2305.18290 eq. 7
/// cdpo            −(1−ε) ln σ(βh) − ε ln σ(−βh)                   Mitchell (2023)
/// robust          (−(1−ε) ln σ(βh) + ε ln σ(−βh)) / (1 − 2ε)      2403.00409 eq. 12
/// ipo             (h − 1/(2β))²                                   2310.12036 eq. 17
/// hinge           max(0, 1 − βh)                                  SLiC, 2305.10425
/// exo             KL( σ(±βh) ‖ (1−ε, ε) )                         2402.00856 eq. 16
/// nca             −ln σ(βx_w) − ½ ln σ(−βx_w) − ½ ln σ(−βx_l)     2402.05369
/// bco             −ln σ(βx_w) − ln σ(−βx_l)                       2404.04656, without the running mean
/// sppo            (x_w − 1/(2β))² + (x_l + 1/(2β))²               2405.00675 eq. 4.7, hard labels
/// apo_zero        1 − σ(βx_w) + σ(βx_l)                           2408.06266 eq. 7
/// apo_down        σ(βx_w) + 1 − σ(β(x_w − x_l))                   2408.06266 eq. 8
/// discopop        −(1−m) ln σ(βh) + m e^{−βh},  m = σ(βh/τ)       2406.08414 eq. 5
/// aot             dpo with ε on sorted log π_w/π_l against sorted reference     2406.05882
/// aot_unpaired    dpo with ε on sorted x_w against sorted x_l
/// simpo           −ln σ(β(l_w − l_l) − γ),  l = log π / |y|       2405.14734 eq. 6
/// orpo            −l_w − λ ln σ(ln odds(l_w)/odds(l_l)),  odds = e^l/(1 − e^l)  2403.07691 eq. 6
/// sft             −Σ log π_w / Σ |y_w| over the batch
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum PreferenceLoss {
    /// Direct preference optimisation.
    Dpo {
        /// β.
        beta: Positive,
        /// How log-ratios become scores.
        #[serde(default)]
        divergence: Divergence,
        /// ε; with ε > 0 it is `cdpo`.
        #[serde(default = "never")]
        label_smoothing: Probability,
        /// Divides each score by the number of tokens of its response (TRL: `sigmoid_norm`).
        #[serde(default)]
        length_normalised: bool,
    },
    /// Conservative DPO: labels flip with probability ε.
    Cdpo {
        /// β.
        beta: Positive,
        /// ε.
        label_smoothing: Probability,
        /// How log-ratios become scores.
        #[serde(default)]
        divergence: Divergence,
    },
    /// Robust DPO: unbiased under labels that flip with probability ε < ½.
    Robust {
        /// β.
        beta: Positive,
        /// ε.
        label_smoothing: Probability,
        /// How log-ratios become scores.
        #[serde(default)]
        divergence: Divergence,
    },
    /// Identity preference optimisation.
    Ipo {
        /// β, the paper's τ.
        beta: Positive,
        /// Divides each score by the number of tokens: TRL does, OpenRLHF and the paper's formula do not.
        #[serde(default)]
        length_normalised: bool,
        /// How log-ratios become scores.
        #[serde(default)]
        divergence: Divergence,
    },
    /// Hinge loss of SLiC.
    Hinge {
        /// β.
        beta: Positive,
        /// How log-ratios become scores.
        #[serde(default)]
        divergence: Divergence,
    },
    /// Efficient exact optimisation for two responses; diverges as ε → 0.
    Exo {
        /// β.
        beta: Positive,
        /// ε.
        label_smoothing: Probability,
        /// How log-ratios become scores.
        #[serde(default)]
        divergence: Divergence,
    },
    /// Noise-contrastive alignment of a pair.
    Nca {
        /// β.
        beta: Positive,
    },
    /// Binary classifier optimisation of a pair.
    Bco {
        /// β.
        beta: Positive,
    },
    /// Self-play preference optimisation with hard labels.
    Sppo {
        /// β.
        beta: Positive,
    },
    /// Anchored: chosen up, rejected down.
    ApoZero {
        /// β.
        beta: Positive,
    },
    /// Anchored: both down, rejected more.
    ApoDown {
        /// β.
        beta: Positive,
    },
    /// The discovered blend of logistic and exponential.
    Discopop {
        /// β.
        beta: Positive,
        /// τ; the paper: 0.05.
        tau: Positive,
        /// How log-ratios become scores.
        #[serde(default)]
        divergence: Divergence,
    },
    /// Alignment by optimal transport of paired log-ratios.
    Aot {
        /// β.
        beta: Positive,
        /// ε.
        #[serde(default = "never")]
        label_smoothing: Probability,
    },
    /// Alignment by optimal transport of unpaired log-ratios.
    AotUnpaired {
        /// β.
        beta: Positive,
        /// ε.
        #[serde(default = "never")]
        label_smoothing: Probability,
    },
    /// Simple preference optimisation: no reference, length-normalised, target margin.
    Simpo {
        /// β.
        beta: Positive,
        /// γ.
        #[serde(default = "no_margin")]
        gamma: NonNegative,
    },
    /// Odds-ratio preference optimisation: no reference, with its supervised term.
    Orpo {
        /// λ.
        #[serde(alias = "lambda")]
        beta: NonNegative,
    },
    /// Supervised fine-tuning on the chosen responses, mean over the tokens of the batch.
    Sft {},
}

fn never() -> Probability {
    Probability::NEVER
}

fn no_margin() -> NonNegative {
    NonNegative::ZERO
}

/// ℓ, ∂ℓ/∂log π(chosen), ∂ℓ/∂log π(rejected).
type Triple<F> = (F, F, F);

impl PreferenceLoss {
    /// The loss on a batch and its derivatives.
    #[must_use]
    pub fn evaluate<F: Real>(&self, pairs: &[Pair<F>]) -> PairEvaluation<F> {
        let mut out = PairEvaluation {
            loss: F::zero(),
            chosen: vec![F::zero(); pairs.len()],
            rejected: vec![F::zero(); pairs.len()],
        };
        match *self {
            Self::Aot { beta, label_smoothing } => aot(pairs, beta.get(), label_smoothing.get(), &mut out),
            Self::AotUnpaired { beta, label_smoothing } => {
                aot_unpaired(pairs, beta.get(), label_smoothing.get(), &mut out);
            }
            _ => self.each(pairs, &mut out),
        }
        out
    }

    fn each<F: Real>(&self, pairs: &[Pair<F>], out: &mut PairEvaluation<F>) {
        let tokens: F = pairs.iter().map(|pair| pair.chosen.length).sum();
        for (i, pair) in pairs.iter().enumerate() {
            let (loss, chosen, rejected) = match self {
                Self::Sft {} => sft(pair, tokens, pairs.len()),
                _ => self.pair(pair),
            };
            let share = pair.weight / F::count(pairs.len());
            out.loss = out.loss + share * loss;
            out.chosen[i] = share * chosen;
            out.rejected[i] = share * rejected;
        }
    }

    fn pair<F: Real>(&self, pair: &Pair<F>) -> Triple<F> {
        let (w, l) = (pair.chosen.log_ratio(), pair.rejected.log_ratio());
        match *self {
            Self::Dpo { beta, divergence, label_smoothing, length_normalised } => {
                margin(pair, beta.get(), divergence, length_normalised, |z| smoothed(z, label_smoothing.get()))
            }
            Self::Cdpo { beta, label_smoothing, divergence } => {
                margin(pair, beta.get(), divergence, false, |z| smoothed(z, label_smoothing.get()))
            }
            Self::Robust { beta, label_smoothing, divergence } => {
                margin(pair, beta.get(), divergence, false, |z| robust(z, label_smoothing.get()))
            }
            Self::Ipo { beta, length_normalised, divergence } => {
                let target = (F::of(2.0) * beta.get::<F>()).recip();
                margin(pair, F::one(), divergence, length_normalised, |h| squared(h - target))
            }
            Self::Hinge { beta, divergence } => margin(pair, beta.get(), divergence, false, hinge),
            Self::Exo { beta, label_smoothing, divergence } => {
                margin(pair, beta.get(), divergence, false, |z| exo(z, label_smoothing.get()))
            }
            Self::Discopop { beta, tau, divergence } => {
                margin(pair, beta.get(), divergence, false, |z| discopop(z, tau.get()))
            }
            Self::Nca { beta } => nca(beta.get(), w, l),
            Self::Bco { beta } => bco(beta.get(), w, l),
            Self::Sppo { beta } => sppo(beta.get(), w, l),
            Self::ApoZero { beta } => apo_zero(beta.get(), w, l),
            Self::ApoDown { beta } => apo_down(beta.get(), w, l),
            Self::Simpo { beta, gamma } => simpo(pair, beta.get(), gamma.get()),
            Self::Orpo { beta } => orpo(pair, beta.get()),
            Self::Aot { .. } | Self::AotUnpaired { .. } | Self::Sft {} => (F::zero(), F::zero(), F::zero()),
        }
    }
}

/// A link of `z = β (s_w − s_l)`.
fn margin<F: Real>(
    pair: &Pair<F>,
    beta: F,
    divergence: Divergence,
    length_normalised: bool,
    link: impl Fn(F) -> (F, F),
) -> Triple<F> {
    let share = |response: &Response<F>| if length_normalised { response.length().recip() } else { F::one() };
    let (share_w, share_l) = (share(&pair.chosen), share(&pair.rejected));
    let (score_w, slope_w) = divergence.score(pair.chosen.log_ratio());
    let (score_l, slope_l) = divergence.score(pair.rejected.log_ratio());
    let (loss, slope) = link(beta * (score_w * share_w - score_l * share_l));
    (loss, slope * beta * slope_w * share_w, -slope * beta * slope_l * share_l)
}

fn smoothed<F: Real>(z: F, epsilon: F) -> (F, F) {
    let keep = F::one() - epsilon;
    (keep * softplus(-z) + epsilon * softplus(z), epsilon * sigmoid(z) - keep * sigmoid(-z))
}

fn robust<F: Real>(z: F, epsilon: F) -> (F, F) {
    let (keep, scale) = (F::one() - epsilon, F::one() - epsilon - epsilon);
    ((keep * softplus(-z) - epsilon * softplus(z)) / scale, -(keep * sigmoid(-z) + epsilon * sigmoid(z)) / scale)
}

fn squared<F: Real>(error: F) -> (F, F) {
    (error * error, F::of(2.0) * error)
}

fn hinge<F: Real>(z: F) -> (F, F) {
    let gap = F::one() - z;
    if gap > F::zero() || gap.is_nan() { (gap, -F::one()) } else { (F::zero(), F::zero()) }
}

fn exo<F: Real>(z: F, epsilon: F) -> (F, F) {
    let (q_w, q_l) = (sigmoid(z), sigmoid(-z));
    let (gap_w, gap_l) = (log_sigmoid(z) - (-epsilon).ln_1p(), log_sigmoid(-z) - epsilon.ln());
    (q_w * gap_w + q_l * gap_l, q_w * q_l * (gap_w - gap_l))
}

/// The product m e^{−z} is formed in log space: at z ≪ 0 its factors are 0 and ∞.
fn discopop<F: Real>(z: F, tau: F) -> (F, F) {
    let (m, rest) = (sigmoid(z / tau), sigmoid(-z / tau));
    let (logistic, exponential) = (softplus(-z), (-z - softplus(-z / tau)).exp());
    let slope = m * rest / tau;
    let dlogistic = -sigmoid(-z) * rest - logistic * slope;
    (logistic * rest + exponential, dlogistic + exponential * (rest / tau - F::one()))
}

fn nca<F: Real>(beta: F, w: F, l: F) -> Triple<F> {
    let (half, w, l) = (F::of(0.5), beta * w, beta * l);
    let loss = softplus(-w) + half * softplus(w) + half * softplus(l);
    (loss, beta * (half * sigmoid(w) - sigmoid(-w)), beta * half * sigmoid(l))
}

fn bco<F: Real>(beta: F, w: F, l: F) -> Triple<F> {
    let (w, l) = (beta * w, beta * l);
    (softplus(-w) + softplus(l), -beta * sigmoid(-w), beta * sigmoid(l))
}

fn sppo<F: Real>(beta: F, w: F, l: F) -> Triple<F> {
    let target = (beta + beta).recip();
    let ((up, dup), (down, ddown)) = (squared(w - target), squared(l + target));
    (up + down, dup, ddown)
}

fn apo_zero<F: Real>(beta: F, w: F, l: F) -> Triple<F> {
    let (w, l) = (beta * w, beta * l);
    (sigmoid(-w) + sigmoid(l), -beta * bump(w), beta * bump(l))
}

fn apo_down<F: Real>(beta: F, w: F, l: F) -> Triple<F> {
    let (up, gap) = (beta * w, beta * (w - l));
    (sigmoid(up) + sigmoid(-gap), beta * (bump(up) - bump(gap)), beta * bump(gap))
}

/// σ'(x) = σ(x) σ(−x).
pub(super) fn bump<F: Real>(x: F) -> F {
    sigmoid(x) * sigmoid(-x)
}

fn simpo<F: Real>(pair: &Pair<F>, beta: F, gamma: F) -> Triple<F> {
    let (w, l) = (pair.chosen.logp / pair.chosen.length(), pair.rejected.logp / pair.rejected.length());
    let z = beta * (w - l) - gamma;
    let slope = -sigmoid(-z) * beta;
    (softplus(-z), slope / pair.chosen.length(), -slope / pair.rejected.length())
}

fn orpo<F: Real>(pair: &Pair<F>, lambda: F) -> Triple<F> {
    let (w, l) = (pair.chosen.logp / pair.chosen.length(), pair.rejected.logp / pair.rejected.length());
    let log_odds = |mean: F| mean - log1m_exp(mean);
    let slope_of_log_odds = |mean: F| -mean.exp_m1().recip(); // 1 + e^l/(1 − e^l) = 1/(1 − e^l)
    let z = log_odds(w) - log_odds(l);
    let slope = -lambda * sigmoid(-z);
    (
        lambda * softplus(-z) - w,
        (slope * slope_of_log_odds(w) - F::one()) / pair.chosen.length(),
        -slope * slope_of_log_odds(l) / pair.rejected.length(),
    )
}

/// The share of one pair in the mean over tokens, scaled so that the mean over pairs is the mean over tokens.
fn sft<F: Real>(pair: &Pair<F>, tokens: F, pairs: usize) -> Triple<F> {
    let share = F::count(pairs) / tokens.max(F::one());
    (-pair.chosen.logp * share, -share, F::zero())
}

fn aot<F: Real>(pairs: &[Pair<F>], beta: F, epsilon: F, out: &mut PairEvaluation<F>) {
    let policy = order(pairs, |pair| pair.chosen.logp - pair.rejected.logp);
    let reference = order(pairs, |pair| pair.chosen.ref_logp - pair.rejected.ref_logp);
    let weight = F::count(pairs.len()).recip();
    for (k, (&(i, ours), &(_, theirs))) in policy.iter().zip(&reference).enumerate() {
        let (loss, slope) = smoothed(beta * (ours - theirs), epsilon);
        let share = weight * pairs[k].weight;
        out.loss = out.loss + share * loss;
        out.chosen[i] = share * beta * slope;
        out.rejected[i] = -share * beta * slope;
    }
}

fn aot_unpaired<F: Real>(pairs: &[Pair<F>], beta: F, epsilon: F, out: &mut PairEvaluation<F>) {
    let chosen = order(pairs, |pair| pair.chosen.log_ratio());
    let rejected = order(pairs, |pair| pair.rejected.log_ratio());
    let weight = F::count(pairs.len()).recip();
    for (k, (&(i, w), &(j, l))) in chosen.iter().zip(&rejected).enumerate() {
        let (loss, slope) = smoothed(beta * (w - l), epsilon);
        let share = weight * pairs[k].weight;
        out.loss = out.loss + share * loss;
        out.chosen[i] = share * beta * slope;
        out.rejected[j] = -share * beta * slope;
    }
}

/// Indices and values in ascending order of value.
fn order<F: Real>(pairs: &[Pair<F>], value: impl Fn(&Pair<F>) -> F) -> Vec<(usize, F)> {
    let mut order: Vec<(usize, F)> = pairs.iter().map(value).enumerate().collect();
    order.sort_by(|a, b| a.1.as_f64().total_cmp(&b.1.as_f64()));
    order
}
