//! What can go wrong with a language model.

use std::path::{Path, PathBuf};

use tdrm_algo::sampling::{BeamError, SamplingConfigError, SamplingError};
use tdrm_kernels::ShapeError;
use tdrm_kernels::batch::{BatchError, CoefficientError};
use tdrm_kernels::optimiser::SettingError;

use crate::tokens::TokensError;

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
    /// A file is not JSON of the expected form.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A configuration asks for something impossible or unsupported.
    #[error("config.json, {field}: expected {expected}, got {got}")]
    Config {
        /// The field.
        field: String,
        /// What it should be.
        expected: String,
        /// What it is.
        got: String,
    },
    /// A file is not in the safetensors format.
    #[error("{}: not a safetensors file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint lacks a tensor.
    #[error("tensor {name} is missing: expected shape {expected:?} in {}", path.display())]
    MissingTensor {
        /// Its name.
        name: String,
        /// The shape that the configuration implies.
        expected: Vec<usize>,
        /// The checkpoint.
        path: PathBuf,
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
    /// A tensor is stored in a type that is not a float.
    #[error("tensor {name}: expected F32, BF16, F16 or F64, got {got}")]
    TensorDtype {
        /// Its name.
        name: String,
        /// The type in the file.
        got: String,
    },
    /// A number that should be finite is not.
    #[error("{what} is not finite")]
    NotFinite {
        /// Which number.
        what: String,
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
        what: String,
        /// Its range.
        expected: String,
        /// Its value.
        got: String,
    },
    /// The Hugging Face Hub did not give a model.
    #[cfg(feature = "hub")]
    #[error("{name} at revision {revision}: {reason}")]
    Hub {
        /// The repository.
        name: String,
        /// A branch, tag or commit.
        revision: String,
        /// What happened.
        reason: String,
    },
    /// The model has no such head.
    #[error("this checkpoint has no {wanted}: it is a {architecture}")]
    Head {
        /// What was asked for.
        wanted: &'static str,
        /// What the checkpoint is.
        architecture: String,
    },
    /// The caller stopped the work.
    #[error("interrupted")]
    Interrupted,
    /// A tokenizer or a chat template failed.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// Settings of decoding that cannot be followed.
    #[error(transparent)]
    Decoding(#[from] SamplingConfigError),
    /// A token could not be chosen.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// A beam search could not go on.
    #[error(transparent)]
    Beam(#[from] BeamError),
    /// A kernel refused its operands.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// candle failed.
    #[error("candle: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl LmError {
    /// Adds the file's name to an I/O error.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// Adds the file's name to a JSON error.
    pub(crate) fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Json { path, source }
    }

    /// A field of `config.json`.
    #[expect(clippy::needless_pass_by_value, reason = "numbers and names as they are at hand, in many places")]
    pub(crate) fn config(field: &str, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::Config { field: field.to_owned(), expected: expected.into(), got: got.to_string() }
    }

    /// A setting.
    #[expect(clippy::needless_pass_by_value, reason = "numbers and names as they are at hand, in many places")]
    pub(crate) fn setting(what: &str, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::Setting { what: what.to_owned(), expected: expected.into(), got: got.to_string() }
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

impl From<CoefficientError> for LmError {
    fn from(error: CoefficientError) -> Self {
        match error {
            CoefficientError::Count { what, expected, got } => Self::Coefficients { what, expected, got },
            CoefficientError::NotFinite { what } => Self::NotFinite { what: format!("a coefficient of {what}") },
        }
    }
}

impl From<SettingError> for LmError {
    fn from(SettingError { what, expected, got }: SettingError) -> Self {
        Self::setting(what, expected, got)
    }
}
