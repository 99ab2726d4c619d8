//! Chats as text: the templates of a tokenizer.

mod arguments;
mod clock;
mod dump;
mod environment;
mod filters;
mod methods;
mod python;
mod request;
mod source;
mod template;
mod templates;
mod text;
mod text_filters;

pub use request::ChatRequest;
pub use template::ChatTemplate;
pub(super) use templates::Templates;
