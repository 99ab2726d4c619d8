//! What can go wrong with a language model.

use std::path::PathBuf;

use tdrm_kernels::ShapeError;
use tdrm_kernels::batch::{BatchError, CoefficientError};
use tdrm_kernels::optimiser::SettingError;

/// A language model could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LmError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A configuration is not JSON of the expected form.
    #[error("configuration: {0}")]
    Json(#[from] serde_json::Error),
    /// A configuration asks for something impossible or unsupported.
    #[error("configuration, {field}: expected {expected}, got {got}")]
    Config {
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        got: String,
    },
    /// A file is not in the safetensors format.
    #[error("safetensors: {0}")]
    Format(#[from] safetensors::SafeTensorError),
    /// A checkpoint lacks a tensor.
    #[error("tensor {name} is missing")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A checkpoint has a tensor that the model does not know.
    #[error("tensor {name} is unknown to this model")]
    UnknownTensor {
        /// Its name.
        name: String,
    },
    /// A tensor has the wrong shape.
    #[error("tensor {name}: expected shape {expected:?}, got {got:?}")]
    TensorShape {
        /// Its name.
        name: String,
        /// The shape that the configuration implies.
        expected: Vec<usize>,
        /// The shape in the file.
        got: Vec<usize>,
    },
    /// A tensor is not stored as 32-bit floats.
    #[error("tensor {name}: expected dtype F32, got {got}")]
    TensorDtype {
        /// Its name.
        name: String,
        /// The type in the file.
        got: String,
    },
    /// A number that should be finite is not.
    #[error("{what} is not finite at step {step}")]
    NotFinite {
        /// Which number.
        what: String,
        /// Optimiser steps taken so far.
        step: u64,
    },
    /// A token lies outside the vocabulary.
    #[error("sequence {sequence}: expected tokens below {vocabulary}, got {token}")]
    Token {
        /// Index of the sequence in its batch.
        sequence: usize,
        /// The token.
        token: u32,
        /// Size of the vocabulary.
        vocabulary: usize,
    },
    /// A sequence is empty, too long, or its parts do not fit.
    #[error("sequence {sequence}, {what}: expected {expected}, got {got}")]
    Sequence {
        /// Index of the sequence in its batch.
        sequence: usize,
        /// What was measured.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        got: usize,
    },
    /// The caller's coefficients do not have the shape of the outputs that they belong to.
    #[error("coefficients of {what}: expected {expected}, got {got}")]
    Coefficients {
        /// Which coefficients.
        what: &'static str,
        /// How many.
        expected: usize,
        /// How many came.
        got: usize,
    },
    /// A setting lies outside its range.
    #[error("{what}: expected {expected}, got {got}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// Its range.
        expected: &'static str,
        /// Its value.
        got: f64,
    },
    /// The caller stopped the work.
    #[error("interrupted")]
    Interrupted,
    /// A kernel refused its operands.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// dfdx failed.
    #[error("dfdx: {0}")]
    Tape(String),
}

impl LmError {
    /// Refused coefficients, at this step.
    pub(crate) fn coefficients(step: u64) -> impl Fn(CoefficientError) -> Self {
        move |error| match error {
            CoefficientError::Count { what, expected, got } => Self::Coefficients { what, expected, got },
            CoefficientError::NotFinite { what } => Self::NotFinite { what: format!("coefficient of {what}"), step },
        }
    }
}

impl From<BatchError> for LmError {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Token { sequence, token, vocabulary } => Self::Token { sequence, token, vocabulary },
            BatchError::Sequence { sequence, what, expected, got } => Self::Sequence { sequence, what, expected, got },
            BatchError::Shape(error) => Self::Shape(error),
        }
    }
}

impl From<SettingError> for LmError {
    fn from(SettingError { what, expected, got }: SettingError) -> Self {
        Self::Setting { what, expected, got }
    }
}
