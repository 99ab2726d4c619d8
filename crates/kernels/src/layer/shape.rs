//! Sizes of a layer and the layout of its parameters.

use std::ops::Range;

use crate::attention::Heads;
use crate::{ShapeError, error};

/// Whether the query, key and value projections have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QkvBias {
    /// As in Llama.
    Without,
    /// As in Qwen2.
    With,
}

/// Sizes of a decoder layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerShape {
    /// Width of the residual stream, d.
    pub hidden: usize,
    /// Attention heads.
    pub heads: Heads,
    /// Width of the feed-forward block, F.
    pub intermediate: usize,
    /// ε of both norms.
    pub epsilon: f32,
    /// Bias of the query, key and value projections.
    pub bias: QkvBias,
}

/// Where each parameter lies in a layer's flat slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerParts {
    /// Weight of the norm before attention, `[d]`.
    pub input_norm: Range<usize>,
    /// Queries, keys, values, `[(H+2K)·D, d]`.
    pub qkv: Range<usize>,
    /// Their biases, `[(H+2K)·D]` or empty.
    pub bias: Range<usize>,
    /// Output projection, `[d, H·D]`.
    pub output: Range<usize>,
    /// Weight of the norm before the feed-forward block, `[d]`.
    pub post_norm: Range<usize>,
    /// Gate and up projections, `[2F, d]`.
    pub gate_up: Range<usize>,
    /// Down projection, `[d, F]`.
    pub down: Range<usize>,
}

/// One slice for each parameter of a layer, read.
pub(crate) struct Weights<'a> {
    pub(crate) input_norm: &'a [f32],
    pub(crate) qkv: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) output: &'a [f32],
    pub(crate) post_norm: &'a [f32],
    pub(crate) gate_up: &'a [f32],
    pub(crate) down: &'a [f32],
}

impl LayerShape {
    /// The layout of the flat slice.
    #[must_use]
    pub fn parts(&self) -> LayerParts {
        let (d, width) = (self.hidden, self.heads.width());
        let mut end = 0;
        let mut next = |len: usize| {
            let start = end;
            end += len;
            start..end
        };
        LayerParts {
            input_norm: next(d),
            qkv: next(width * d),
            bias: next(if self.bias == QkvBias::With { width } else { 0 }),
            output: next(d * self.heads.query_width()),
            post_norm: next(d),
            gate_up: next(2 * self.intermediate * d),
            down: next(d * self.intermediate),
        }
    }

    /// Parameters of a layer.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.parts().down.end
    }

    /// The parameters by name, after checking their number.
    pub(crate) fn weights<'a>(&self, parameters: &'a [f32]) -> Result<Weights<'a>, ShapeError> {
        self.heads.check()?;
        error::at_least("hidden size", 1, self.hidden)?;
        error::at_least("intermediate size", 1, self.intermediate)?;
        error::same("parameters of a layer", self.parameters(), parameters.len())?;
        let parts = self.parts();
        Ok(Weights {
            input_norm: &parameters[parts.input_norm],
            qkv: &parameters[parts.qkv],
            bias: &parameters[parts.bias],
            output: &parameters[parts.output],
            post_norm: &parameters[parts.post_norm],
            gate_up: &parameters[parts.gate_up],
            down: &parameters[parts.down],
        })
    }
}
