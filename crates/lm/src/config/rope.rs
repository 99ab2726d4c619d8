//! Rotary frequencies, with the methods that lengthen a context.

use std::f64::consts::PI;

use serde_json::json;
use tdrm_kernels::rope::{Pairs, RopeTable};

use super::fields::Fields;
use crate::LmError;

/// How frequencies are changed for contexts longer than those of the training.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// ω_i = θ^(−2i/R).
    None,
    /// ω_i / factor. Chen et al. (2023), *Extending Context Window … via Positional Interpolation*.
    Linear {
        /// By how much positions are squeezed.
        factor: f64,
    },
    /// θ grows with the length of a sequence beyond the trained one; up to there it is [`RopeScaling::None`], and this
    /// crate goes no further.
    Dynamic,
    /// Long waves are squeezed, short ones kept, those between are blended: the rule of Llama 3.1.
    Llama3 {
        /// By how much long waves are squeezed.
        factor: f64,
        /// Waves longer than the trained context over this are long.
        low_freq_factor: f64,
        /// Waves shorter than the trained context over this are short.
        high_freq_factor: f64,
        /// The trained context.
        original: f64,
    },
    /// Peng et al. (2023), *YaRN* (arXiv 2309.00071), §3.2–3.4.
    Yarn {
        /// By how much positions are squeezed.
        factor: f64,
        /// Rotations within the trained context above which a wave is kept.
        beta_fast: f64,
        /// Rotations below which it is squeezed.
        beta_slow: f64,
        /// The trained context.
        original: f64,
        /// Multiplies cosines and sines.
        attention_factor: f64,
        /// Whether the ends of the blend are rounded outwards to whole pairs.
        truncate: bool,
    },
}

/// Rotary position embedding of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base θ.
    pub theta: f64,
    /// Rotated coordinates of a head, R.
    pub dim: usize,
    /// Which coordinates are rotated together.
    pub pairs: Pairs,
    /// How frequencies are changed.
    pub scaling: RopeScaling,
    /// Longest sequence that the scaling covers, where it covers fewer than the model's positions.
    pub limit: Option<usize>,
}

impl Rope {
    /// Reads `rope_theta` and `rope_scaling`, or `rope_parameters`, which newer files have instead.
    pub(super) fn read(
        config: Fields<'_>,
        head_dim: usize,
        partial: f64,
        pairs: Pairs,
        positions: usize,
    ) -> Result<Self, LmError> {
        let newer = config.object("rope_parameters")?;
        let parameters = newer.or(config.object("rope_scaling")?);
        let of_parameters = parameters.map(|p| p.positive("rope_theta")).transpose()?.flatten();
        let theta = of_parameters.or(config.positive("rope_theta")?).unwrap_or(10_000.0);
        let partial = match parameters.map(|p| p.positive("partial_rotary_factor")).transpose()?.flatten() {
            Some(factor) => factor,
            None => config.positive("partial_rotary_factor")?.unwrap_or(partial),
        };
        if partial > 1.0 {
            return Err(LmError::config("partial_rotary_factor", "a number in (0, 1]", partial));
        }
        let dim = (head_dim as f64 * partial) as usize;
        if dim == 0 || dim % 2 == 1 {
            return Err(LmError::config("head_dim", "an even number of rotated coordinates", dim));
        }
        let scaling = parameters.map_or(Ok(RopeScaling::None), |p| RopeScaling::read(p, config, positions))?;
        let limit = (scaling == RopeScaling::Dynamic).then_some(positions);
        Ok(Self { theta, dim, pairs, scaling, limit })
    }

    /// Frequencies ω `[R/2]`, rounded to f32 where the reference implementation rounds.
    #[must_use]
    pub fn frequencies(&self) -> Vec<f32> {
        let wave = |i: usize| self.theta.powf((2 * i) as f64 / self.dim as f64);
        let plain = |i: usize| 1.0 / wave(i);
        let all = (0..self.dim / 2).map(|i| match self.scaling {
            RopeScaling::None | RopeScaling::Dynamic => plain(i),
            RopeScaling::Linear { factor } => plain(i) / factor,
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original } => {
                let omega = plain(i);
                let length = 2.0 * PI / omega;
                if length < original / high_freq_factor {
                    omega
                } else if length > original / low_freq_factor {
                    omega / factor
                } else {
                    let keep = (original / length - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    (1.0 - keep) * omega / factor + keep * omega
                }
            }
            RopeScaling::Yarn { factor, beta_fast, beta_slow, original, truncate, .. } => {
                let (low, high) = self.yarn_range(beta_fast, beta_slow, original, truncate);
                let squeezed = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                plain(i) * (1.0 - squeezed) + plain(i) / factor * squeezed
            }
        });
        all.map(|omega| omega as f32).collect()
    }

    /// The pairs between which YaRN blends.
    fn yarn_range(&self, beta_fast: f64, beta_slow: f64, original: f64, truncate: bool) -> (f64, f64) {
        let dim = self.dim as f64;
        let pair = |rotations: f64| dim * (original / (rotations * 2.0 * PI)).ln() / (2.0 * self.theta.ln());
        let (low, high) = (pair(beta_fast), pair(beta_slow));
        let (low, high) = if truncate { (low.floor(), high.ceil()) } else { (low, high) };
        let (low, high) = (low.max(0.0), high.min(dim - 1.0));
        // The reference widens an empty range to divide by something.
        if (high - low).abs() < f64::EPSILON { (low, high + 0.001) } else { (low, high) }
    }

    /// Cosines and sines for positions below `positions`.
    pub(crate) fn table(&self, head_dim: usize, positions: usize) -> Result<RopeTable, LmError> {
        let scale = match self.scaling {
            RopeScaling::Yarn { attention_factor, .. } => attention_factor as f32,
            _ => 1.0,
        };
        Ok(RopeTable::with_frequencies(&self.frequencies(), scale, self.pairs, head_dim, positions)?)
    }
}

impl RopeScaling {
    fn read(parameters: Fields<'_>, config: Fields<'_>, positions: usize) -> Result<Self, LmError> {
        let kind = match parameters.text("rope_type")? {
            Some(kind) => kind,
            None => parameters.text("type")?.unwrap_or("default"),
        };
        let original = match parameters.size("original_max_position_embeddings")? {
            Some(original) => original,
            None => config.size("original_max_position_embeddings")?.unwrap_or(positions),
        };
        let original = original as f64;
        match kind {
            "default" => Ok(Self::None),
            "linear" => Ok(Self::Linear { factor: parameters.required_positive("factor")? }),
            "dynamic" => Ok(Self::Dynamic),
            "llama3" => {
                let low_freq_factor = parameters.required_positive("low_freq_factor")?;
                let high_freq_factor = parameters.required_positive("high_freq_factor")?;
                if high_freq_factor <= low_freq_factor {
                    let expected = format!("more than low_freq_factor, {low_freq_factor}");
                    return Err(LmError::config("rope_scaling.high_freq_factor", expected, high_freq_factor));
                }
                let factor = parameters.required_positive("factor")?;
                Ok(Self::Llama3 { factor, low_freq_factor, high_freq_factor, original })
            }
            "yarn" => {
                let factor = parameters.positive("factor")?.unwrap_or(positions as f64 / original);
                Ok(Self::Yarn {
                    factor,
                    beta_fast: parameters.positive("beta_fast")?.unwrap_or(32.0),
                    beta_slow: parameters.positive("beta_slow")?.unwrap_or(1.0),
                    original,
                    attention_factor: yarn_attention(parameters, factor)?,
                    truncate: parameters.flag("truncate")?.unwrap_or(true),
                })
            }
            other => {
                Err(LmError::config("rope_scaling.rope_type", "default, linear, dynamic, llama3 or yarn", json!(other)))
            }
        }
    }
}

/// 1 + 0.1 ln factor, or what the file says instead.
fn yarn_attention(parameters: Fields<'_>, factor: f64) -> Result<f64, LmError> {
    if let Some(given) = parameters.positive("attention_factor")? {
        return Ok(given);
    }
    let grown = |mscale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 };
    // Zero means "not set" in the files that have it.
    let nonzero = |field| match parameters.get(field).and_then(serde_json::Value::as_f64) {
        Some(x) if x.abs() > 0.0 => parameters.positive(field),
        _ => Ok(None),
    };
    match (nonzero("mscale")?, nonzero("mscale_all_dim")?) {
        (Some(mscale), Some(all)) => Ok(grown(mscale) / grown(all)),
        _ => Ok(grown(1.0)),
    }
}
