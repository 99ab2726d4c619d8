//! Tokens: text in, tokens out, and back; special tokens; chats.
//!
//! ```text
//! messages ── template ──▶ text ── encode ──▶ tokens ──▶ model ──▶ tokens ── decode, stream ──▶ text
//! ```
//!
//! * [`Tokenizer`] reads the tokenizer files of a Hugging Face model directory. It encodes with offsets in characters,
//!   decodes, knows the special tokens, and renders chats.
//! * [`StreamDecoder`] decodes while tokens arrive: every piece is final, and the pieces together are the whole.
//! * [`ChatRequest`] is a chat: messages, tools, documents, template arguments. [`ChatTemplate`] renders it.
//!
//! Between a model and its environment go tokens, not text: what was sampled is scored and trained on as it was sampled, and
//! no function here decodes and encodes again to get tokens. Decoding and encoding need not give the same tokens back.
//!
//! What comes out is what `transformers` 4.57 and `tokenizers` 0.22 give on the same files; the tests replay their answers.

mod chat;
mod class;
mod cleanup;
mod error;
mod files;
mod json;
mod special;
mod stages;
mod stream;
mod tokenizer;
mod utf8;

pub use chat::{ChatRequest, ChatTemplate};
pub use error::{ChatError, TokensError};
pub use json::Json;
pub use stream::StreamDecoder;
pub use tokenizer::{Encoded, Special, Tokenizer};
