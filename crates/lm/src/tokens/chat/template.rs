//! A chat template: Jinja source that turns messages into text.

use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use minijinja::{Environment, Error, ErrorKind, Value};

use super::super::error::ChatError;
use super::super::json::Json;
use super::clock::{strftime, system_now};
use super::environment::{FUEL, Raised, environment};
use super::python::str_of;
use super::request::ChatRequest;
use super::source::prepare;
use super::text::{Ends, strip};

/// A compiled chat template, rendered as `apply_chat_template` of `transformers` 4.57 renders it.
///
/// The engine is minijinja; what it does differently from Jinja2 under Python is put right: values are written as Python
/// writes them, `tojson` is `json.dumps`, slices and methods are Python's, `{% generation %}` blocks are passed through.
/// Known to be different: `%` does not format strings, `~` writes floats below 1e-4 or from 1e16 without exponent, and some
/// expressions that fail in Python (an integer sought in a string, none sliced) give something.
///
/// A rendering ends after a bounded number of instructions and never panics. Memory and stack are not bounded: a template
/// can double a string, or put a list into a list, at every step. So templates deserve the trust that weights do; messages
/// need none.
///
/// ```
/// use tdrm_lm::tokens::{ChatRequest, ChatTemplate, Json};
///
/// let template = ChatTemplate::new("{% for m in messages %}[{{ m.role }}] {{ m.content | trim }}\n{% endfor %}")?;
/// let messages = vec![Json::from(serde_json::json!({"role": "user", "content": " 2+3? "}))];
/// assert_eq!(template.render(&ChatRequest::new(messages), &[])?, "[user] 2+3?\n");
/// # Ok::<(), tdrm_lm::tokens::ChatError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ChatTemplate(Arc<Environment<'static>>);

/// The name under which the environment holds the template; it has no extension, so nothing is escaped.
const NAME: &str = "chat";

/// What is put after the last message to find its end in the rendering.
const END_MARK: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    ///
    /// [`ChatError::Template`] where the source is not Jinja.
    pub fn new(source: &str) -> Result<Self, ChatError> {
        let compile = || {
            let mut environment = environment()?;
            environment.add_template_owned(NAME, prepare(source))?;
            Ok(environment)
        };
        contained(compile).map(|environment| Self(Arc::new(environment)))
    }

    /// The text of a chat, with `tokens` (`bos_token` and the like) as variables.
    ///
    /// # Errors
    ///
    /// [`ChatError`]: the request is not a chat, the template refuses it, fails or does not end.
    pub fn render(&self, request: &ChatRequest, tokens: &[(String, Json)]) -> Result<String, ChatError> {
        request.check()?;
        if !request.continue_final_message {
            return self.render_messages(&request.messages, request, tokens);
        }
        let mut messages = request.messages.clone();
        let last = messages.last_mut().and_then(|message| message.get_mut("content"));
        let text = last.and_then(final_text).ok_or(ChatError::NotContinuable { reason: "it has no text" })?;
        let whole = text.clone();
        text.push_str(END_MARK);
        cut_at_mark(&self.render_messages(&messages, request, tokens)?, &whole)
    }

    fn render_messages(
        &self,
        messages: &[Json],
        request: &ChatRequest,
        tokens: &[(String, Json)],
    ) -> Result<String, ChatError> {
        let now = request.now.unwrap_or_else(system_now);
        let clock = Value::from_function(move |format: Value| str_of(&format).map(|format| strftime(now, &format)));
        let optional = |list: &Option<Vec<Json>>| list.as_deref().map_or(Value::from(()), values);
        let given =
            tokens.iter().chain(request.arguments()?).map(|(name, json)| (Value::from(name.as_str()), value(json)));
        let own = [
            ("messages", values(messages)),
            ("tools", optional(&request.tools)),
            ("documents", optional(&request.documents)),
            ("add_generation_prompt", Value::from(request.add_generation_prompt)),
        ];
        let variables = [(Value::from("strftime_now"), clock)].into_iter().chain(given);
        let variables = Value::from_pairs(variables.chain(own.map(|(name, value)| (Value::from(name), value))));
        contained(|| self.0.get_template(NAME)?.render(variables))
    }
}

/// The text that a message ends with: its content, or the last part of it that has a text.
fn final_text(content: &mut Json) -> Option<&mut String> {
    match content {
        Json::String(text) => Some(text),
        Json::List(parts) => match parts.iter_mut().rev().find_map(|part| part.get_mut("text")) {
            Some(Json::String(text)) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The rendering up to the mark; white space before it goes where the template trimmed the mark's own.
fn cut_at_mark(rendered: &str, whole: &str) -> Result<String, ChatError> {
    let mark = END_MARK.trim_end();
    let kept = rendered.contains(strip(whole, None, Ends::Both));
    match rendered.rfind(mark).filter(|_| kept) {
        None => Err(ChatError::NotContinuable { reason: "it leaves out some of it" }),
        Some(place) if rendered[place..].starts_with(END_MARK) => Ok(rendered[..place].to_owned()),
        Some(place) => Ok(strip(&rendered[..place], None, Ends::Right).to_owned()),
    }
}

fn values(list: &[Json]) -> Value {
    Value::from(list.iter().map(value).collect::<Vec<_>>())
}

/// A JSON value as the engine holds it.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::List(items) => values(items),
        Json::Object(entries) => Value::from_pairs(entries.iter().map(|(key, item)| (key.as_str(), value(item)))),
    }
}

/// What `work` gives, its errors typed and its panics errors: the engine indexes without looking in a few places that a
/// template can reach, such as `loop.cycle()` without arguments.
fn contained<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, ChatError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| typed(&error)),
        Err(_) => Err(ChatError::Template { line: 0, message: "the template engine panicked".to_owned() }),
    }
}

fn typed(error: &Error) -> ChatError {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(Raised(message)) = cause.downcast_ref() {
            return ChatError::Refused { message: message.clone() };
        }
        source = cause.source();
    }
    if error.kind() == ErrorKind::OutOfFuel {
        return ChatError::OutOfFuel { fuel: FUEL };
    }
    let message = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    ChatError::Template { line: error.line().unwrap_or(0), message }
}
