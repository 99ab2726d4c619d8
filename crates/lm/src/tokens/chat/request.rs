//! A chat, as a caller asks for it.

use serde::{Deserialize, Serialize};

use super::super::error::ChatError;
use super::super::json::Json;

/// A chat to be rendered: the arguments of `apply_chat_template`.
///
/// Read it straight from JSON text, so that the keys of tools and arguments keep their order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatRequest {
    /// The messages, objects with `role`, `content` and whatever else the template reads.
    pub messages: Vec<Json>,
    /// Tools as JSON schemas. `None` and an empty list differ only to templates that ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Json>>,
    /// Documents to answer from, objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<Vec<Json>>,
    /// Whether to open the answer of the assistant.
    #[serde(default)]
    pub add_generation_prompt: bool,
    /// Whether to leave the last message open, so that the model goes on with it.
    #[serde(default)]
    pub continue_final_message: bool,
    /// Further variables of the template, such as `enable_thinking`; they take precedence over special tokens.
    #[serde(default = "no_arguments")]
    pub template_args: Json,
    /// Which of several templates; `None` picks `tool_use` where there are tools and such a template, else `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_name: Option<String>,
    /// The time that `strftime_now` tells, in seconds since 1970-01-01 00:00 UTC. `None` is the clock of the system, in
    /// UTC (`transformers` tells local time); give it where a rendering must be repeatable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<i64>,
}

fn no_arguments() -> Json {
    Json::Object(Vec::new())
}

/// Variables that the chat itself sets.
const OWN: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];

impl ChatRequest {
    /// A chat of messages and nothing else.
    #[must_use]
    pub fn new(messages: Vec<Json>) -> Self {
        Self { messages, template_args: no_arguments(), ..Self::default() }
    }

    /// A request that can be rendered: messages, tools and documents are objects, arguments have names of their own.
    pub(super) fn check(&self) -> Result<(), ChatError> {
        if self.messages.is_empty() {
            return Err(ChatError::NoMessages);
        }
        if self.continue_final_message && self.add_generation_prompt {
            return Err(ChatError::ContinueAndPrompt);
        }
        objects("messages", &self.messages)?;
        objects("tools", self.tools.as_deref().unwrap_or_default())?;
        objects("documents", self.documents.as_deref().unwrap_or_default())?;
        match self.arguments()?.iter().find(|(name, _)| OWN.contains(&name.as_str())) {
            Some((name, _)) => Err(ChatError::ReservedArgument { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// The template arguments.
    pub(super) fn arguments(&self) -> Result<&[(String, Json)], ChatError> {
        match &self.template_args {
            Json::Null => Ok(&[]),
            Json::Object(entries) => Ok(entries),
            other => {
                Err(ChatError::Shape { list: "template_args", index: 0, expected: "an object", got: other.kind() })
            }
        }
    }
}

fn objects(list: &'static str, items: &[Json]) -> Result<(), ChatError> {
    match items.iter().enumerate().find(|(_, item)| !matches!(item, Json::Object(_))) {
        Some((index, item)) => Err(ChatError::Shape { list, index, expected: "an object", got: item.kind() }),
        None => Ok(()),
    }
}
