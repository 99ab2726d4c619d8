//! Hugging Face language models on candle: load, score, generate, train, save.

pub mod tokens;
