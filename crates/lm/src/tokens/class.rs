//! What `tokenizer_class` adds to the files: default roles, and where `bos` and `eos` go.
//!
//! `tokenizer.json` is nearly the whole tokenizer. Loading it through a named class of `transformers` changes three
//! things: roles that no file names get the defaults of the class; the classes descended from Llama build the post-processor
//! anew from `add_bos_token` and `add_eos_token`; a plain byte-level pre-tokenizer takes `add_prefix_space` from the
//! configuration. Facts from transformers 4.57.1, `models/*/tokenization_*_fast.py`.

use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, PreTokenizerWrapper, Tokenizer};

use super::json::Json;
use super::special::{Roles, described};

/// What a class brings.
pub(super) struct Class {
    /// Roles and their tokens where no file says otherwise.
    pub(super) roles: &'static [(&'static str, &'static str)],
    /// Further special tokens.
    pub(super) additional: &'static [&'static str],
    /// `(add_bos_token, add_eos_token)` where the class builds its own post-processor.
    template: Option<(bool, bool)>,
}

const END: &str = "<|endoftext|>";
const LLAMA: &[(&str, &str)] = &[("unk_token", "<unk>"), ("bos_token", "<s>"), ("eos_token", "</s>")];
const CODE_LLAMA: [&str; 4] = ["▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>"];
const GEMMA: &[(&str, &str)] =
    &[("unk_token", "<unk>"), ("bos_token", "<bos>"), ("eos_token", "<eos>"), ("pad_token", "<pad>")];
const COHERE: &[(&str, &str)] =
    &[("unk_token", "<UNK>"), ("bos_token", "<BOS_TOKEN>"), ("eos_token", "<|END_OF_TURN_TOKEN|>")];
const GPT2: &[(&str, &str)] = &[("unk_token", END), ("bos_token", END), ("eos_token", END)];
const QWEN2: &[(&str, &str)] = &[("unk_token", END), ("eos_token", END), ("pad_token", END)];

impl Class {
    /// The class that a configuration names; a class without particulars where it names another or none.
    pub(super) fn of(config: &Json) -> Self {
        let name = config.get("tokenizer_class").and_then(Json::as_str).unwrap_or_default();
        let plain = |roles| Self { roles, additional: &[], template: None };
        let templated = |roles, add| Self { roles, additional: &[], template: Some(add) };
        match name.strip_suffix("Fast").unwrap_or(name) {
            "LlamaTokenizer" => templated(LLAMA, (true, false)),
            "CodeLlamaTokenizer" => Self { additional: &CODE_LLAMA, ..templated(LLAMA, (true, false)) },
            "GemmaTokenizer" => templated(GEMMA, (true, false)),
            "CohereTokenizer" => templated(COHERE, (true, false)),
            "GPTNeoXTokenizer" => templated(GPT2, (false, false)),
            "GPT2Tokenizer" => plain(GPT2),
            "Qwen2Tokenizer" => plain(QWEN2),
            _ => plain(&[]),
        }
    }

    /// The tokenizer as the class would have it.
    ///
    /// # Errors
    ///
    /// What the tokenizer library says of the tokens.
    pub(super) fn apply(&self, tokenizer: &mut Tokenizer, config: &Json, roles: &Roles) -> tokenizers::Result<()> {
        add_tokens(tokenizer, config, roles)?;
        prefix_space(tokenizer, config);
        if let Some((bos, eos)) = self.template {
            let flag = |key: &str, default: bool| match config.get(key) {
                Some(Json::Bool(flag)) => *flag,
                _ => default,
            };
            let bos = flag("add_bos_token", bos).then(|| roles.get("bos_token")).flatten();
            let eos = flag("add_eos_token", eos).then(|| roles.get("eos_token")).flatten();
            surround(tokenizer, bos, eos)?;
        }
        tokenizer.with_truncation(None)?;
        tokenizer.with_padding(None);
        Ok(())
    }
}

/// Enters the tokens of `added_tokens_decoder`, or else those the tokenizer has, as special where they have a role; then
/// tokens with a role that are in no vocabulary yet.
fn add_tokens(tokenizer: &mut Tokenizer, config: &Json, roles: &Roles) -> tokenizers::Result<()> {
    let mut added: Vec<(u32, AddedToken)> = match config.get("added_tokens_decoder") {
        Some(Json::Object(entries)) => {
            entries.iter().filter_map(|(id, token)| Some((id.parse().ok()?, described(token)?))).collect()
        }
        _ => tokenizer.get_added_tokens_decoder().into_iter().collect(),
    };
    added.sort_by_key(|(id, _)| *id);
    let mut tokens: Vec<AddedToken> = added.into_iter().map(|(_, token)| token).collect();
    for token in &mut tokens {
        token.special |= roles.all().any(|role| role == token.content);
    }
    let known = tokenizer.get_added_tokens_decoder();
    for role in roles.all().filter(|role| !role.is_empty()) {
        let entered = tokens.iter().chain(known.values()).any(|token| token.content == role);
        if !entered {
            let flags = roles.described.iter().find(|token| token.content == role).cloned();
            let token = flags.unwrap_or_else(|| AddedToken::from(role, true));
            tokens.push(token.special(true));
        }
    }
    tokenizer.add_tokens(tokens)?;
    Ok(())
}

/// Gives a plain byte-level pre-tokenizer the configured `add_prefix_space`.
fn prefix_space(tokenizer: &mut Tokenizer, config: &Json) {
    let wanted = matches!(config.get("add_prefix_space"), Some(Json::Bool(true)));
    if let Some(PreTokenizerWrapper::ByteLevel(byte_level)) = tokenizer.get_pre_tokenizer()
        && byte_level.add_prefix_space != wanted
    {
        let changed = byte_level.add_prefix_space(wanted);
        tokenizer.with_pre_tokenizer(Some(changed));
    }
}

/// Puts `bos` before and `eos` after a text that is encoded with special tokens.
fn surround(tokenizer: &mut Tokenizer, bos: Option<&str>, eos: Option<&str>) -> tokenizers::Result<()> {
    let one = |place: &str, kind: u8| {
        let bos = bos.map(|token| format!("{token}:{kind}"));
        let eos = eos.map(|token| format!("{token}:{kind}"));
        bos.into_iter().chain([format!("{place}:{kind}")]).chain(eos).collect::<Vec<_>>()
    };
    let single = one("$A", 0);
    let pair = [one("$A", 0), one("$B", 1)].concat();
    let ids = bos.into_iter().chain(eos).map(|token| {
        tokenizer
            .token_to_id(token)
            .map(|id| (token.to_owned(), id))
            .ok_or_else(|| format!("no id for {token:?}").into())
    });
    let special = ids.collect::<tokenizers::Result<Vec<_>>>()?;
    let template = TemplateProcessing::builder().try_single(single)?.try_pair(pair)?.special_tokens(special).build()?;
    tokenizer.with_post_processor(Some(template));
    Ok(())
}
