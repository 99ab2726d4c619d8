//! What can go wrong in a recipe, named by file, line and field.

use std::io;
use std::path::{Path, PathBuf};

use tdrm_algo::advantage::AdvantageError;
use tdrm_algo::objective::ObjectiveError;
use tdrm_core::{PolicyError, RewardError, SearchError, ShapeError};
use tdrm_dfdx::LmError;

/// A recipe could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of a file is not what it should be.
    #[error("{}:{line}: {message}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What was expected and what came.
        message: String,
    },
    /// A file as a whole is not what it should be.
    #[error("{}: {message}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What was expected and what came.
        message: String,
    },
    /// A setting makes no sense.
    #[error("{field}: expected {expected}, got {got}")]
    Setting {
        /// Which field of the configuration.
        field: &'static str,
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// A character that the vocabulary does not have.
    #[error("character {character:?} at position {position} of {text:?} is not in the model's vocabulary")]
    Vocabulary {
        /// The character.
        character: char,
        /// Its position, in characters, from 0.
        position: usize,
        /// The text.
        text: String,
    },
    /// A loss is not a number.
    #[error("{stage}: loss is {got} at step {step}; the weights of the last good step are kept")]
    Loss {
        /// Where.
        stage: String,
        /// Optimiser step.
        step: u64,
        /// NaN or an infinity.
        got: f64,
    },
    /// The run was asked to stop.
    #[error("interrupted; the same command resumes from {}", state.display())]
    Interrupted {
        /// Where the finished stages are.
        state: PathBuf,
    },
    /// The language model failed.
    #[error(transparent)]
    Lm(#[from] LmError),
    /// A Hugging Face model failed.
    #[cfg(feature = "lm")]
    #[error(transparent)]
    HuggingFace(#[from] tdrm_lm::LmError),
    /// Columns of a trajectory do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// An advantage could not be computed.
    #[error(transparent)]
    Advantage(#[from] AdvantageError),
    /// An objective could not be computed.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// A policy failed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A reward model failed.
    #[error(transparent)]
    Reward(#[from] RewardError),
    /// A search failed.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// A plot could not be drawn.
    #[error("plot `{title}`: {message}")]
    Plot {
        /// Which plot.
        title: String,
        /// What the plotting library said.
        message: String,
    },
}

impl RecipeError {
    /// An error of the file system.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// An error in the content of a file.
    pub fn content<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |e| Self::Content { path, message: e.to_string() }
    }
}
