//! The templates that a tokenizer brings, by name.

use std::path::Path;

use super::super::error::{ChatError, TokensError};
use super::super::files::{malformed, read_text};
use super::super::json::Json;
use super::{ChatRequest, ChatTemplate};

/// Templates by name, and the special tokens they may write.
#[derive(Debug, Clone)]
pub(crate) struct Templates {
    named: Vec<(String, Result<ChatTemplate, ChatError>)>,
    tokens: Vec<(String, Json)>,
}

/// The name of the template that is meant where none is named.
const DEFAULT: &str = "default";

impl Templates {
    /// The templates of a folder. Template files take the place of those in the configuration.
    pub(crate) fn read(folder: &Path, config: &Json, tokens: Vec<(String, Json)>) -> Result<Self, TokensError> {
        let mut sources = from_files(folder)?;
        if sources.is_empty() {
            sources = from_config(folder, config)?;
        }
        let named = sources.into_iter().map(|(name, source)| (name, ChatTemplate::new(&source))).collect();
        Ok(Self { named, tokens })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// The text of a chat.
    pub(crate) fn render(&self, request: &ChatRequest) -> Result<String, ChatError> {
        self.choose(request)?.render(request, &self.tokens)
    }

    fn choose(&self, request: &ChatRequest) -> Result<&ChatTemplate, ChatError> {
        let find = |name: &str| self.named.iter().find(|(known, _)| known == name).map(|(_, template)| template);
        let chosen = match &request.template_name {
            Some(name) => find(name),
            None => request.tools.as_ref().and_then(|_| find("tool_use")).or_else(|| find(DEFAULT)),
        };
        match chosen {
            Some(template) => template.as_ref().map_err(Clone::clone),
            None if self.named.is_empty() => Err(ChatError::NoTemplate),
            None => Err(ChatError::UnknownTemplate {
                asked: request.template_name.clone().unwrap_or_else(|| DEFAULT.to_owned()),
                known: self.named.iter().map(|(name, _)| name.clone()).collect(),
            }),
        }
    }
}

/// `chat_template.jinja` and `additional_chat_templates/NAME.jinja`.
fn from_files(folder: &Path) -> Result<Vec<(String, String)>, TokensError> {
    let mut sources = Vec::new();
    if let Some(source) = read_text(&folder.join("chat_template.jinja"))? {
        sources.push((DEFAULT.to_owned(), source));
    }
    let additional = folder.join("additional_chat_templates");
    let Ok(files) = std::fs::read_dir(&additional) else { return Ok(sources) };
    let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "jinja")) {
        if let (Some(name), Some(source)) = (path.file_stem(), read_text(path)?) {
            sources.push((name.to_string_lossy().into_owned(), source));
        }
    }
    Ok(sources)
}

/// `chat_template` of `tokenizer_config.json`: one template, or a list of `{"name": …, "template": …}`.
fn from_config(folder: &Path, config: &Json) -> Result<Vec<(String, String)>, TokensError> {
    let wrong = |message: &str| {
        let path = folder.join("tokenizer_config.json");
        malformed(&path, "chat_template to be a string, or a list of objects with name and template", message)
    };
    match config.get("chat_template") {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::String(source)) => Ok(vec![(DEFAULT.to_owned(), source.clone())]),
        Some(Json::List(items)) => items
            .iter()
            .map(|item| {
                let part = |key| item.get(key).and_then(Json::as_str).map(str::to_owned);
                part("name").zip(part("template")).ok_or_else(|| wrong("an element is something else"))
            })
            .collect(),
        Some(other) => Err(wrong(other.kind())),
    }
}
