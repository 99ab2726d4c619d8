//! A tokenizer as a model directory holds it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use tokenizers::{Decoder as _, Model as _};

use super::chat::{ChatRequest, Templates};
use super::class::Class;
use super::cleanup::clean_up;
use super::error::TokensError;
use super::files::{read_json, read_text, syntax};
use super::json::Json;
use super::special::{Roles, generation_eos};

/// Text to tokens and back, special tokens, chat templates.
///
/// Loaded from the tokenizer files of a Hugging Face model directory; the weights need not be there. What comes out
/// agrees with the fast tokenizers of `transformers` 4.57 on the same files. Cloning shares the vocabulary.
///
/// Tokens that a model sampled are kept as they are: nothing here decodes and encodes again behind the caller's back, and
/// [`StreamDecoder`](super::StreamDecoder) only reads them.
#[derive(Clone)]
pub struct Tokenizer(Arc<Parts>);

struct Parts {
    inner: tokenizers::Tokenizer,
    size: usize,
    roles: Roles,
    generation_eos: Vec<u32>,
    clean_up: bool,
    templates: Templates,
}

/// A text as tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Encoded {
    /// Token ids. `[N]`
    pub tokens: Vec<u32>,
    /// The characters `start..end` of the text that each token stands for, counted in Unicode scalar values (not bytes),
    /// as `transformers` counts them; `(0, 0)` for a special token that is not in the text. `[N]`
    pub offsets: Vec<(usize, usize)>,
}

/// Whether special tokens take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// They do: encoding puts `bos` and the like around the text, decoding writes them out.
    With,
    /// They do not: encoding adds nothing (tokens spelled out in the text still count), decoding leaves them out.
    Without,
}

impl Special {
    /// The choice of a flag such as `add_special_tokens`.
    #[must_use]
    pub fn added(flag: bool) -> Self {
        if flag { Self::With } else { Self::Without }
    }

    /// The choice of a flag such as `skip_special_tokens`.
    #[must_use]
    pub fn skipped(flag: bool) -> Self {
        Self::added(!flag)
    }
}

impl Tokenizer {
    /// The tokenizer of a model directory.
    ///
    /// Reads `tokenizer.json`, and where they exist `tokenizer_config.json`, `special_tokens_map.json`,
    /// `generation_config.json`, `chat_template.jinja` and `additional_chat_templates/*.jinja`. Truncation and padding that
    /// `tokenizer.json` may ask for are switched off, as in a plain call of a `transformers` tokenizer.
    ///
    /// # Errors
    ///
    /// [`TokensError::Missing`] without `tokenizer.json`, [`TokensError::Malformed`] with line and column for a file that is
    /// not what it should be. A chat template with a fault is reported when a chat is asked for.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, TokensError> {
        let folder = folder.as_ref();
        let path = folder.join("tokenizer.json");
        let Some(text) = read_text(&path)? else { return Err(TokensError::Missing { path }) };
        let mut inner: tokenizers::Tokenizer = guarded("read tokenizer.json", || Ok(serde_json::from_str(&text)))?
            .map_err(|error| syntax(&path, "a tokenizer", &error))?;
        let config = read_json(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
        let class = Class::of(&config);
        let roles = Roles::read(folder, &config, &class)?;
        guarded("enter the special tokens", || class.apply(&mut inner, &config, &roles))?;
        Ok(Self(Arc::new(Parts {
            size: inner.get_vocab_size(true),
            inner,
            generation_eos: generation_eos(folder)?,
            clean_up: matches!(config.get("clean_up_tokenization_spaces"), Some(Json::Bool(true))),
            templates: Templates::read(folder, &config, roles.for_templates())?,
            roles,
        })))
    }

    /// The tokens of a text and where they lie in it.
    ///
    /// # Errors
    ///
    /// [`TokensError::Tokenizer`] where the tokenizer's own parts fail on the text.
    pub fn encode(&self, text: &str, special: Special) -> Result<Encoded, TokensError> {
        let encoding = guarded("encode a text", || self.0.inner.encode_char_offsets(text, special == Special::With))?;
        Ok(Encoded { tokens: encoding.get_ids().to_vec(), offsets: encoding.get_offsets().to_vec() })
    }

    /// The text of tokens. Bytes that are not UTF-8 come out as U+FFFD, one for each maximal part of a sequence.
    ///
    /// # Errors
    ///
    /// [`TokensError::OutOfVocabulary`] for an id that the vocabulary does not hold; [`Self::decode_known`] passes over those.
    pub fn decode(&self, tokens: &[u32], special: Special) -> Result<String, TokensError> {
        match tokens.iter().find(|&&id| self.token(id).is_none()) {
            Some(&id) => Err(TokensError::OutOfVocabulary { id, size: self.0.size }),
            None => self.decode_known(tokens, special),
        }
    }

    /// The text of tokens, passing over ids without a token, as `transformers` does.
    ///
    /// Embedding tables are often larger than the vocabulary, so a model can sample an id that stands for nothing.
    ///
    /// # Errors
    ///
    /// [`TokensError::Tokenizer`] where the tokenizer's decoder fails.
    pub fn decode_known(&self, tokens: &[u32], special: Special) -> Result<String, TokensError> {
        let words: Vec<String> = tokens.iter().filter_map(|&id| self.visible(id, special)).collect();
        if words.is_empty() {
            return Ok(String::new());
        }
        let text = match self.0.inner.get_decoder() {
            Some(decoder) => guarded("decode tokens", || decoder.decode(words))?,
            None => words.join(" "),
        };
        Ok(if self.0.clean_up { clean_up(&text) } else { text })
    }

    /// A chat as text and as tokens: the template rendered, then encoded without adding special tokens, since the template
    /// writes them itself.
    ///
    /// # Errors
    ///
    /// [`TokensError::Chat`] where there is no template, the request is not a chat, or the template refuses it.
    pub fn chat(&self, request: &ChatRequest) -> Result<(String, Vec<u32>), TokensError> {
        let text = self.0.templates.render(request)?;
        let tokens = self.encode(&text, Special::Without)?.tokens;
        Ok((text, tokens))
    }

    /// Whether there is a chat template.
    #[must_use]
    pub fn has_chat_template(&self) -> bool {
        !self.0.templates.is_empty()
    }

    /// The string under which the vocabulary holds an id: of a byte-level tokenizer, its bytes in printable disguise.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        let added = self.0.inner.get_added_vocabulary().get_added_tokens_decoder().get(&id);
        added.map(|token| token.content.clone()).or_else(|| self.0.inner.get_model().id_to_token(id))
    }

    /// The id of a token string.
    ///
    /// # Errors
    ///
    /// [`TokensError::UnknownToken`] where the vocabulary does not hold it.
    pub fn id(&self, token: &str) -> Result<u32, TokensError> {
        self.0.inner.token_to_id(token).ok_or_else(|| TokensError::UnknownToken { token: token.to_owned() })
    }

    /// Tokens of the vocabulary, added ones included. A model's embedding table may have more rows.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.0.size
    }

    /// The token of a role: `bos_token`, `eos_token`, `pad_token`, `unk_token`, `sep_token`, `cls_token`, `mask_token`.
    #[must_use]
    pub fn role(&self, role: &str) -> Option<&str> {
        self.0.roles.get(role)
    }

    /// The id of the token that begins a text.
    #[must_use]
    pub fn bos_id(&self) -> Option<u32> {
        self.role_id("bos_token")
    }

    /// The id of the token that ends a text, as the tokenizer has it; a model may end at others too
    /// ([`Self::eos_token_ids`]).
    #[must_use]
    pub fn eos_id(&self) -> Option<u32> {
        self.role_id("eos_token")
    }

    /// The id that fills a batch up.
    #[must_use]
    pub fn pad_id(&self) -> Option<u32> {
        self.role_id("pad_token")
    }

    /// The id for what the vocabulary does not hold.
    #[must_use]
    pub fn unk_id(&self) -> Option<u32> {
        self.role_id("unk_token")
    }

    /// Every id that ends a generated text: those of `generation_config.json`, then the tokenizer's own.
    #[must_use]
    pub fn eos_token_ids(&self) -> Vec<u32> {
        let mut ids = Vec::new();
        for id in self.0.generation_eos.iter().copied().chain(self.eos_id()) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// The ids that `generation_config.json` alone names as ends, in its order.
    #[must_use]
    pub fn generation_eos_token_ids(&self) -> &[u32] {
        &self.0.generation_eos
    }

    /// Every special token with its id, in the order of ids.
    #[must_use]
    pub fn special_tokens(&self) -> Vec<(u32, String)> {
        self.listed(|token| token.special)
    }

    /// Every added token, special or not, with its id, in the order of ids.
    #[must_use]
    pub fn added_tokens(&self) -> Vec<(u32, String)> {
        self.listed(|_| true)
    }

    /// Whether an id is a special token.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        self.token(id).is_some_and(|token| self.0.inner.get_added_vocabulary().is_special_token(&token))
    }

    fn role_id(&self, role: &str) -> Option<u32> {
        self.0.inner.token_to_id(self.role(role)?)
    }

    fn listed(&self, keep: impl Fn(&tokenizers::AddedToken) -> bool) -> Vec<(u32, String)> {
        let added = self.0.inner.get_added_tokens_decoder();
        let kept = added.into_iter().filter(|(_, token)| keep(token));
        let mut tokens: Vec<(u32, String)> = kept.map(|(id, token)| (id, token.content)).collect();
        tokens.sort_unstable();
        tokens
    }

    /// The token string of an id, unless it is left out.
    pub(super) fn visible(&self, id: u32, special: Special) -> Option<String> {
        let token = self.token(id)?;
        let left_out = special == Special::Without && self.0.inner.get_added_vocabulary().is_special_token(&token);
        (!left_out).then_some(token)
    }

    pub(super) fn decoder(&self) -> Option<&tokenizers::DecoderWrapper> {
        self.0.inner.get_decoder()
    }

    pub(super) fn cleans_up(&self) -> bool {
        self.0.clean_up
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tokenizer")
            .field("vocab_size", &self.0.size)
            .field("roles", &self.0.roles)
            .finish_non_exhaustive()
    }
}

/// What `work` gives, its errors typed and its panics errors.
///
/// The tokenizer library indexes and unwraps in places where a file or a text can reach (a decoder over no tokens, a strip
/// longer than its token). A server must not die of a file, so a panic of the library is an error here.
pub(super) fn guarded<T>(action: &'static str, work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, TokensError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| TokensError::Tokenizer { action, message: error.to_string() }),
        Err(_) => Err(TokensError::Tokenizer { action, message: "it panicked".to_owned() }),
    }
}
