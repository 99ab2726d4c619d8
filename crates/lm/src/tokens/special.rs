//! The tokens with a role: beginning, end, padding, unknown.

use std::collections::BTreeMap;
use std::path::Path;

use tokenizers::AddedToken;

use super::class::Class;
use super::error::TokensError;
use super::files::{malformed, read_json};
use super::json::Json;

/// The roles that a tokenizer configuration may name, in the order `transformers` lists them.
const ROLES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The list of further special tokens.
const ADDITIONAL: &str = "additional_special_tokens";

/// The strings that play a role, as the configuration files name them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Roles {
    /// `(role, token)`, such as `("eos_token", "<|im_end|>")`; roles that no file fills are absent.
    pub(super) named: Vec<(&'static str, String)>,
    /// Further special tokens.
    pub(super) additional: Vec<String>,
    /// The tokens that a file describes by an object, with their flags.
    pub(super) described: Vec<AddedToken>,
}

impl Roles {
    /// The token of a role.
    pub(super) fn get(&self, role: &str) -> Option<&str> {
        self.named.iter().find(|(name, _)| *name == role).map(|(_, token)| token.as_str())
    }

    /// Every token with a role.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|(_, token)| token.as_str()).chain(self.additional.iter().map(String::as_str))
    }

    /// The roles of a folder: class defaults, over them `tokenizer_config.json`, over that `special_tokens_map.json`
    /// (which counts only where the configuration has no `added_tokens_decoder`, as in `transformers`).
    pub(super) fn read(folder: &Path, config: &Json, class: &Class) -> Result<Self, TokensError> {
        let map_path = folder.join("special_tokens_map.json");
        let map = match config.get("added_tokens_decoder") {
            Some(_) => None,
            None => read_json(&map_path)?,
        };
        let mut tokens: BTreeMap<&str, String> =
            class.roles.iter().map(|&(role, token)| (role, token.to_owned())).collect();
        let mut read = Self::default();
        let sources = [(Some(config), folder.join("tokenizer_config.json")), (map.as_ref(), map_path)];
        for (source, path) in sources.iter().filter_map(|(source, path)| source.map(|source| (source, path))) {
            for (role, json) in ROLES.iter().filter_map(|role| Some((*role, source.get(role)?))) {
                match read.enter(json, path)? {
                    Some(token) => drop(tokens.insert(role, token)),
                    None => drop(tokens.remove(role)),
                }
            }
            for json in listed(source, path)? {
                let token = read.enter(json, path)?;
                read.additional.extend(token.filter(|token| !read.additional.contains(token)));
            }
        }
        read.additional.extend(class.additional.iter().map(|&token| token.to_owned()));
        read.named = ROLES.iter().filter_map(|role| Some((*role, tokens.remove(role)?))).collect();
        Ok(read)
    }

    /// The string of a token written as a string, as an object with `content` (whose flags are noted), or as null.
    fn enter(&mut self, json: &Json, path: &Path) -> Result<Option<String>, TokensError> {
        match json {
            Json::Null => Ok(None),
            Json::String(token) => Ok(Some(token.clone())),
            Json::Object(_) => {
                let token = described(json)
                    .ok_or_else(|| malformed(path, "a token object to have a string `content`", "it has none"))?;
                let content = token.content.clone();
                self.described.retain(|earlier| earlier.content != content);
                self.described.push(token);
                Ok(Some(content))
            }
            other => Err(malformed(path, "a token to be a string or an object", &format!("got {}", other.kind()))),
        }
    }

    /// What a chat template sees of the roles: `bos_token`, `eos_token`, ….
    pub(super) fn for_templates(&self) -> Vec<(String, Json)> {
        let named = self.named.iter().map(|(role, token)| ((*role).to_owned(), Json::from(token.as_str())));
        let list = self.additional.iter().map(|token| Json::from(token.as_str())).collect::<Vec<_>>();
        let additional = (!list.is_empty()).then(|| (ADDITIONAL.to_owned(), Json::List(list)));
        named.filter(|(_, token)| token.as_str() != Some("")).chain(additional).collect()
    }
}

/// The further special tokens that a file lists: an array, or an object of names and tokens.
fn listed<'j>(source: &'j Json, path: &Path) -> Result<Vec<&'j Json>, TokensError> {
    match source.get(ADDITIONAL) {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::List(items)) => Ok(items.iter().collect()),
        Some(Json::Object(entries)) => Ok(entries.iter().map(|(_, value)| value).collect()),
        Some(_) => Err(malformed(path, "additional_special_tokens to be an array", "it is not")),
    }
}

/// The added token that an object describes, with its flags.
pub(super) fn described(token: &Json) -> Option<AddedToken> {
    let flag = |key: &str| matches!(token.get(key), Some(Json::Bool(true)));
    let special = flag("special");
    let normalized = match token.get("normalized") {
        Some(Json::Bool(flag)) => *flag,
        _ => !special,
    };
    let content = token.get("content").and_then(Json::as_str)?;
    Some(
        AddedToken::from(content, special)
            .single_word(flag("single_word"))
            .lstrip(flag("lstrip"))
            .rstrip(flag("rstrip"))
            .normalized(normalized),
    )
}

/// The ids that end a text according to `generation_config.json`: one id or a list.
pub(super) fn generation_eos(folder: &Path) -> Result<Vec<u32>, TokensError> {
    let path = folder.join("generation_config.json");
    let Some(config) = read_json(&path)? else { return Ok(Vec::new()) };
    let ids: &[Json] = match config.get("eos_token_id") {
        None | Some(Json::Null) => &[],
        Some(Json::List(items)) => items,
        Some(one) => std::slice::from_ref(one),
    };
    ids.iter()
        .map(|id| match id {
            Json::Number(number) => number.as_u64().and_then(|id| u32::try_from(id).ok()),
            _ => None,
        })
        .map(|id| id.ok_or_else(|| malformed(&path, "eos_token_id to be a token id or a list of them", "it is not")))
        .collect()
}
