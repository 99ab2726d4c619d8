//! What loading, encoding, decoding and chat templates can refuse.

use std::path::PathBuf;

/// A tokenizer, a text or a list of tokens that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokensError {
    /// A file that a tokenizer needs is not there.
    #[error("expected a tokenizer file at `{}`, found none", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file is there and cannot be read.
    #[error("expected to read `{}`, got: {message}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// A file does not hold the JSON it should.
    #[error("expected {expected} in `{}`, got an error at line {line}, column {column}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the file should hold.
        expected: &'static str,
        /// Line of the fault, from 1; 0 where the parser names none.
        line: usize,
        /// Column of the fault, from 1; 0 where the parser names none.
        column: usize,
        /// What the parser said.
        message: String,
    },
    /// A token string that the vocabulary does not hold.
    #[error("expected a token of the vocabulary, got {token:?}")]
    UnknownToken {
        /// The string.
        token: String,
    },
    /// A token id that the vocabulary does not hold.
    #[error("expected ids of a vocabulary of {size} tokens, got {id}")]
    OutOfVocabulary {
        /// The id.
        id: u32,
        /// Tokens of the vocabulary, added ones included.
        size: usize,
    },
    /// The tokenizer library failed on a text or on tokens.
    #[error("expected to {action}, the tokenizer said: {message}")]
    Tokenizer {
        /// What was being done.
        action: &'static str,
        /// What the library said.
        message: String,
    },
    /// A chat could not be rendered.
    #[error(transparent)]
    Chat(#[from] ChatError),
}

/// A chat that cannot be turned into text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The tokenizer brings no chat template.
    #[error("expected a chat template, the tokenizer has none")]
    NoTemplate,
    /// Several templates, none of which is asked for or called `default`.
    #[error("expected the name of a chat template out of {known:?}, got {asked:?}")]
    UnknownTemplate {
        /// The name asked for; `default` where none was.
        asked: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The template is not valid Jinja, or failed while rendering.
    #[error("expected the chat template to render, it failed at line {line}: {message}")]
    Template {
        /// Line of the template, from 1; 0 where it is not known.
        line: usize,
        /// What the engine said.
        message: String,
    },
    /// The template refused the chat by `raise_exception`.
    #[error("the chat template refuses this chat: {message}")]
    Refused {
        /// The template's own words.
        message: String,
    },
    /// The template did more work than a chat may cost.
    #[error("expected a chat template that ends within {fuel} instructions")]
    OutOfFuel {
        /// Instructions it was given.
        fuel: u64,
    },
    /// A message, tool or document of the wrong shape.
    #[error("expected {list}[{index}] to be {expected}, got {got}")]
    Shape {
        /// The list: `messages`, `tools`, `documents`.
        list: &'static str,
        /// Place in the list, from 0.
        index: usize,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        got: &'static str,
    },
    /// There is no message.
    #[error("expected at least one message, got none")]
    NoMessages,
    /// A template argument under a name that the chat itself uses.
    #[error("expected template arguments under names of their own, got `{name}`")]
    ReservedArgument {
        /// The name.
        name: String,
    },
    /// Continuing the last message and opening a new one exclude each other.
    #[error("expected one of continue_final_message and add_generation_prompt, got both")]
    ContinueAndPrompt,
    /// The last message cannot be continued.
    #[error("expected a final message that the template keeps whole, {reason}")]
    NotContinuable {
        /// Why not.
        reason: &'static str,
    },
}
