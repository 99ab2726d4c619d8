//! Tokenizers against the answers of transformers, streams against whole decodings, and files that are not what they should be.

mod common;

use std::path::{Path, PathBuf};

use common::shared;
use proptest::prelude::*;
use serde::Deserialize;
use tdrm_lm::tokens::{ChatError, ChatRequest, Json, Special, StreamDecoder, Tokenizer, TokensError};

/// The answers to the two tokenizers in `tests/data`, which `tests/golden/make_tokenizers.py` trained.
#[derive(Deserialize)]
struct Goldens {
    byte_level: Answers,
    byte_fallback: Answers,
}

#[derive(Deserialize)]
struct Answers {
    size: usize,
    roles: Json,
    special_ids: Vec<u32>,
    encodings: Vec<Encoding>,
    decodings: Vec<Decoding>,
    chats: Vec<Chat>,
}

#[derive(Deserialize)]
struct Encoding {
    text: String,
    ids: Vec<u32>,
    offsets: Vec<(usize, usize)>,
    ids_without: Vec<u32>,
}

#[derive(Deserialize)]
struct Decoding {
    ids: Vec<u32>,
    text: String,
    text_without: String,
}

#[derive(Deserialize)]
struct Chat {
    messages: Vec<Json>,
    tools: Option<Vec<Json>>,
    add_generation_prompt: bool,
    text: String,
    ids: Vec<u32>,
}

impl Chat {
    fn request(&self) -> ChatRequest {
        ChatRequest {
            tools: self.tools.clone(),
            add_generation_prompt: self.add_generation_prompt,
            ..ChatRequest::new(self.messages.clone())
        }
    }
}

fn own_file(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file)
}

/// Our two tokenizers, with their answers.
fn own() -> [(Tokenizer, Answers); 2] {
    let text = std::fs::read_to_string(own_file("golden/tokenizers.json")).expect("the goldens are in the repository");
    let goldens: Goldens = serde_json::from_str(&text).expect("goldens have their shape");
    let load = |name: &str| Tokenizer::load(own_file(&format!("data/{name}"))).expect("a tokenizer");
    [(load("byte_level"), goldens.byte_level), (load("byte_fallback"), goldens.byte_fallback)]
}

fn streamed(tokenizer: &Tokenizer, ids: &[u32], special: Special) -> Vec<String> {
    let mut stream = StreamDecoder::new(tokenizer, special);
    let mut pieces: Vec<String> = ids.iter().map(|&id| stream.push(id).expect("a decoder")).collect();
    pieces.push(stream.finish().expect("a decoder"));
    pieces
}

#[test]
fn texts_encode_as_in_transformers() {
    for (tokenizer, answers) in own() {
        assert_eq!(tokenizer.vocab_size(), answers.size);
        for case in &answers.encodings {
            let with = tokenizer.encode(&case.text, Special::With).expect("a text");
            assert_eq!((&with.tokens, &with.offsets), (&case.ids, &case.offsets), "{:?}", case.text);
            let without = tokenizer.encode(&case.text, Special::Without).expect("a text");
            assert_eq!(without.tokens, case.ids_without, "{:?}", case.text);
        }
    }
}

#[test]
fn tokens_decode_as_in_transformers_at_once_and_streamed() {
    for (tokenizer, answers) in own() {
        for case in &answers.decodings {
            for (special, expected) in [(Special::With, &case.text), (Special::Without, &case.text_without)] {
                assert_eq!(tokenizer.decode(&case.ids, special).as_ref(), Ok(expected), "{:?}", case.ids);
                assert_eq!(&streamed(&tokenizer, &case.ids, special).concat(), expected, "{:?}", case.ids);
            }
        }
    }
}

#[test]
fn chats_become_text_and_tokens_as_in_transformers() {
    for (tokenizer, answers) in own() {
        for case in &answers.chats {
            assert_eq!(tokenizer.chat(&case.request()), Ok((case.text.clone(), case.ids.clone())));
        }
    }
}

#[test]
fn roles_are_those_of_transformers() {
    for (tokenizer, answers) in own() {
        for (role, id) in [
            ("bos_token", tokenizer.bos_id()),
            ("eos_token", tokenizer.eos_id()),
            ("pad_token", tokenizer.pad_id()),
            ("unk_token", tokenizer.unk_id()),
        ] {
            let expected = serde_json::to_string(answers.roles.get(role).expect("a role")).expect("JSON");
            let got = serde_json::to_string(&(tokenizer.role(role), id)).expect("JSON");
            assert_eq!(got, expected, "{role}");
        }
        let special: Vec<u32> = tokenizer.special_tokens().into_iter().map(|(id, _)| id).collect();
        assert_eq!(special, answers.special_ids);
        assert!(special.iter().all(|&id| tokenizer.is_special(id)));
    }
}

#[test]
fn ends_come_from_the_generation_configuration_and_the_tokenizer() {
    let [(byte_level, _), (byte_fallback, _)] = own();
    assert_eq!(byte_level.generation_eos_token_ids(), [301, 3]);
    assert_eq!(byte_level.eos_token_ids(), [301, 3]);
    assert_eq!(byte_fallback.eos_token_ids(), [2]);
}

#[test]
fn a_character_waits_for_its_bytes() {
    let [(byte_level, _), (byte_fallback, _)] = own();
    for tokenizer in [byte_level, byte_fallback] {
        let ids = tokenizer.encode("é 日", Special::Without).expect("a text").tokens;
        let pieces = streamed(&tokenizer, &ids, Special::With);
        assert!(pieces.iter().all(|piece| !piece.contains('\u{FFFD}')), "{pieces:?}");
        assert!(pieces[..ids.len() - 1].concat().starts_with('é'), "text comes before the end: {pieces:?}");
        assert_eq!(pieces.concat(), "é 日");
    }
}

#[test]
fn clean_up_waits_until_no_later_token_can_reach_back() {
    let [(tokenizer, _), _] = own();
    let ids = tokenizer.encode("so , I 've", Special::Without).expect("a text").tokens;
    let pieces = streamed(&tokenizer, &ids, Special::With);
    assert_eq!(pieces.concat(), "so, I've");
    assert!(pieces[0].starts_with('s'));
}

#[test]
fn an_id_without_a_token_is_an_error_or_passed_over() {
    for (tokenizer, answers) in own() {
        let beyond = u32::try_from(answers.size).expect("small");
        for id in [beyond, u32::MAX] {
            let error = TokensError::OutOfVocabulary { id, size: answers.size };
            assert_eq!(tokenizer.decode(&[5, id], Special::With), Err(error));
            let known = tokenizer.decode(&[5, 6], Special::With).expect("known ids");
            assert_eq!(tokenizer.decode_known(&[5, id, 6], Special::With).as_ref(), Ok(&known));
            assert_eq!(streamed(&tokenizer, &[5, id, 6], Special::With).concat(), known);
        }
    }
}

#[test]
fn token_strings_have_ids_and_back() {
    let [(tokenizer, _), _] = own();
    let id = tokenizer.id("<think>").expect("an added token");
    assert_eq!(tokenizer.token(id).as_deref(), Some("<think>"));
    assert!(tokenizer.added_tokens().contains(&(id, "<think>".to_owned())));
    let unknown = TokensError::UnknownToken { token: "<nowhere>".to_owned() };
    assert_eq!(tokenizer.id("<nowhere>"), Err(unknown));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pieces_of_a_stream_are_the_whole(ids in proptest::collection::vec(0u32..460, 0..40), skip: bool) {
        for (tokenizer, _) in own() {
            let special = Special::skipped(skip);
            let whole = tokenizer.decode_known(&ids, special).expect("a decoder");
            prop_assert_eq!(streamed(&tokenizer, &ids, special).concat(), whole);
        }
    }

    #[test]
    fn byte_level_tokens_give_their_text_back(text in "\\PC{0,40}") {
        let [(tokenizer, _), _] = own();
        let composed = tokenizer.encode(&text, Special::Without).expect("a text");
        prop_assert_eq!(composed.tokens.len(), composed.offsets.len());
        let characters = text.chars().count();
        prop_assert!(composed.offsets.iter().all(|&(start, end)| start <= end && end <= characters));
    }
}

/// A folder with files, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("tdrm-tokens-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("additional_chat_templates")).expect("a temporary folder");
        for (file, text) in files {
            std::fs::write(path.join(file), text).expect("a temporary file");
        }
        Self(path)
    }

    fn load(&self) -> Result<Tokenizer, TokensError> {
        Tokenizer::load(&self.0)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Characters as tokens, with the given decoder.
fn letters(decoder: &str) -> String {
    format!(
        r###"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{{"id":9,"content":"<end>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}}],
        "normalizer":null,"pre_tokenizer":null,"post_processor":null,"decoder":{decoder},
        "model":{{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,
        "vocab":{{"a":0,"##b":1,"▁c":2,"▁":3,"</w>":4," ":5,"d</w>":6,"<0xE2>":7,"<0x41>":8}},"merges":[]}}}}"###
    )
}

#[test]
fn every_kind_of_decoder_streams_as_a_whole() {
    let decoders = [
        "null",
        r###"{"type":"WordPiece","prefix":"##","cleanup":true}"###,
        r#"{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}"#,
        r#"{"type":"BPEDecoder","suffix":"</w>"}"#,
        r#"{"type":"CTC","pad_token":"a","word_delimiter_token":"▁","cleanup":true}"#,
        r#"{"type":"ByteFallback"}"#,
        r#"{"type":"Strip","content":" ","start":1,"stop":0}"#,
        r#"{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"#,
        r#"{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Replace","pattern":{"String":"a▁"},"content":"!"}]}"#,
        r###"{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"WordPiece","prefix":"##","cleanup":false}]}"###,
    ];
    for (number, decoder) in decoders.into_iter().enumerate() {
        let folder = Folder::new(&format!("decoder{number}"), &[("tokenizer.json", &letters(decoder))]);
        let tokenizer = folder.load().expect("a tokenizer");
        let mut state = 12_345_u64;
        for length in 0..60 {
            let ids: Vec<u32> = (0..length % 13)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    u32::try_from(state >> 33).unwrap_or(0) % 11
                })
                .collect();
            for special in [Special::With, Special::Without] {
                let whole = tokenizer.decode_known(&ids, special).expect("a decoder");
                assert_eq!(streamed(&tokenizer, &ids, special).concat(), whole, "{decoder} {ids:?}");
            }
        }
    }
}

#[test]
fn a_missing_tokenizer_is_named() {
    let folder = Folder::new("missing", &[]);
    let path = folder.0.join("tokenizer.json");
    assert_eq!(folder.load().err(), Some(TokensError::Missing { path: path.clone() }));
    let error = Tokenizer::load("/no/such/folder").expect_err("no folder");
    assert_eq!(error.to_string(), "expected a tokenizer file at `/no/such/folder/tokenizer.json`, found none");
}

#[test]
fn malformed_files_are_errors_with_their_place() {
    let good = letters("null");
    let malformed = |files: &[(&str, &str)]| match Folder::new("malformed", files).load() {
        Err(TokensError::Malformed { path, line, .. }) => {
            (path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(), line)
        }
        other => panic!("expected a malformed file, got {other:?}"),
    };
    assert_eq!(malformed(&[("tokenizer.json", "{\n \"version\": ")]), ("tokenizer.json".to_owned(), 2));
    assert_eq!(malformed(&[("tokenizer.json", "[]")]).0, "tokenizer.json");
    assert_eq!(malformed(&[("tokenizer.json", r#"{"model": {"type": "Magic"}}"#)]).0, "tokenizer.json");
    for (file, text) in [
        ("tokenizer_config.json", "{\n\n\"bos_token\": ]}"),
        ("tokenizer_config.json", "[1]"),
        ("tokenizer_config.json", r#"{"bos_token": 5}"#),
        ("tokenizer_config.json", r#"{"eos_token": {"text": "x"}}"#),
        ("tokenizer_config.json", r#"{"chat_template": {"default": "x"}}"#),
        ("tokenizer_config.json", r#"{"chat_template": [{"name": "x"}]}"#),
        ("tokenizer_config.json", r#"{"additional_special_tokens": "x"}"#),
        ("special_tokens_map.json", r#"{"pad_token": [1]}"#),
        ("generation_config.json", r#"{"eos_token_id": -1}"#),
        ("generation_config.json", r#"{"eos_token_id": ["x"]}"#),
        ("generation_config.json", "{"),
    ] {
        assert_eq!(malformed(&[("tokenizer.json", &good), (file, text)]).0, file, "{text}");
    }
}

#[test]
fn bytes_that_are_no_text_are_an_error() {
    let folder = Folder::new("binary", &[]);
    std::fs::write(folder.0.join("tokenizer.json"), [0xFF, 0xFE, 0x00]).expect("a temporary file");
    assert!(matches!(folder.load(), Err(TokensError::Unreadable { .. })));
}

/// Every text that differs from a good file by one cut or one changed byte loads or is refused; nothing panics.
#[test]
fn broken_tokenizer_files_never_panic() {
    let good = letters(r#"{"type":"BPEDecoder","suffix":"</w>"}"#);
    let mut refused = 0;
    for place in (0..good.len()).step_by(7).filter(|&place| good.is_char_boundary(place)) {
        let cut = good[..place].to_owned();
        let changed = format!("{}0{}", &good[..place], good.get(place + 1..).unwrap_or_default());
        for text in [cut, changed] {
            match Folder::new("broken", &[("tokenizer.json", &text)]).load() {
                Ok(tokenizer) => {
                    let _ = tokenizer.encode("a b", Special::With);
                    let _ = tokenizer.decode_known(&[0, 4, 9, 77], Special::Without);
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn decoding_only_left_out_tokens_gives_nothing() {
    let folder = Folder::new("empty", &[("tokenizer.json", &letters(r#"{"type":"BPEDecoder","suffix":"</w>"}"#))]);
    let tokenizer = folder.load().expect("a tokenizer");
    assert_eq!(tokenizer.decode(&[9, 9], Special::Without).as_deref(), Ok(""));
    assert_eq!(streamed(&tokenizer, &[9, 9], Special::Without).concat(), "");
}

#[test]
fn special_tokens_map_counts_only_without_a_decoder_of_added_tokens() {
    let map = ("special_tokens_map.json", r#"{"pad_token": {"content": "a"}, "eos_token": "<end>"}"#);
    let files = [("tokenizer.json", &*letters("null")), map, ("tokenizer_config.json", r#"{"pad_token": "▁"}"#)];
    let tokenizer = Folder::new("map", &files).load().expect("a tokenizer");
    assert_eq!((tokenizer.pad_id(), tokenizer.eos_id()), (Some(0), Some(9)));
    let decoder = ("tokenizer_config.json", r#"{"pad_token": "▁", "added_tokens_decoder": {}}"#);
    let tokenizer = Folder::new("no-map", &[files[0], map, decoder]).load().expect("a tokenizer");
    assert_eq!((tokenizer.pad_id(), tokenizer.eos_id()), (Some(3), None));
}

#[test]
fn added_tokens_keep_their_flags_and_their_spelling() {
    let config = r#"{"eos_token": {"content": "<eos>", "lstrip": true, "normalized": false}, "additional_special_tokens": ["<more>"],
        "added_tokens_decoder": {"10": {"content": " c", "normalized": true, "special": false}}}"#;
    let normalized = letters("null")
        .replace(r#""normalizer":null"#, r#""normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"}"#);
    let files = [("tokenizer.json", normalized.as_str()), ("tokenizer_config.json", config)];
    let tokenizer = Folder::new("flags", &files).load().expect("a tokenizer");
    let (eos, more, spaced) = (tokenizer.eos_id().expect("an id"), tokenizer.id("<more>"), tokenizer.id(" c"));
    assert_eq!((spaced, eos, more), (Ok(10), 11, Ok(12)));
    // The token takes the spaces before it, and ` c` is found in its normalised form and written as it was given.
    let tokens = tokenizer.encode("a  <eos> c", Special::Without).expect("a text").tokens;
    assert_eq!(tokens, [0, eos, 10]);
    assert_eq!(tokenizer.decode(&tokens, Special::Without).as_deref(), Ok("a  c"));
}

#[test]
fn a_class_of_llamas_family_puts_its_own_tokens_around() {
    let config = r#"{"tokenizer_class": "LlamaTokenizerFast", "bos_token": "a", "eos_token": "<end>", "unk_token": null,
        "add_bos_token": true, "add_eos_token": true}"#;
    let files = [("tokenizer.json", &*letters("null")), ("tokenizer_config.json", config)];
    let tokenizer = Folder::new("llama", &files).load().expect("a tokenizer");
    let encoded = tokenizer.encode("▁", Special::With).expect("a text");
    assert_eq!((encoded.tokens, encoded.offsets), (vec![0, 3, 9], vec![(0, 0), (0, 1), (0, 0)]));
    assert_eq!(tokenizer.encode("▁", Special::Without).expect("a text").tokens, [3]);
}

#[test]
fn template_files_come_before_the_configuration() {
    let config = r#"{"chat_template": "from the configuration", "eos_token": "<end>"}"#;
    let files = [("tokenizer.json", &*letters("null")), ("tokenizer_config.json", config)];
    let request = ChatRequest::new(vec![serde_json::json!({"role": "user", "content": "a"}).into()]);
    let text = |tokenizer: &Tokenizer, request: &ChatRequest| tokenizer.chat(request).map(|(text, _)| text);

    let from_config = Folder::new("config-template", &files).load().expect("a tokenizer");
    assert_eq!(text(&from_config, &request).as_deref(), Ok("from the configuration"));

    let file = ("chat_template.jinja", "{{ messages[0].content }}{{ eos_token }}{{ pad_token }}");
    let extra = ("additional_chat_templates/tool_use.jinja", "tools: {{ tools | length }}");
    let with_files = Folder::new("file-template", &[files[0], files[1], file, extra]).load().expect("a tokenizer");
    assert_eq!(with_files.chat(&request), Ok(("a<end>".to_owned(), vec![0, 9])));
    let with_tools = ChatRequest { tools: Some(vec![Json::Object(vec![])]), ..request.clone() };
    assert_eq!(text(&with_files, &with_tools).as_deref(), Ok("tools: 1"));
    let named = ChatRequest { template_name: Some("nowhere".to_owned()), ..request.clone() };
    let known = vec!["default".to_owned(), "tool_use".to_owned()];
    let unknown = ChatError::UnknownTemplate { asked: "nowhere".to_owned(), known };
    assert_eq!(text(&with_files, &named), Err(unknown.into()));
}

#[test]
fn a_tokenizer_without_template_or_with_a_broken_one_still_encodes() {
    let request = ChatRequest::new(vec![serde_json::json!({"role": "user", "content": "a"}).into()]);
    let good = letters("null");
    let none = Folder::new("no-template", &[("tokenizer.json", &good)]).load().expect("a tokenizer");
    assert!(!none.has_chat_template());
    assert_eq!(none.chat(&request), Err(ChatError::NoTemplate.into()));
    let broken = [("tokenizer.json", &*good), ("chat_template.jinja", "\n{% if %}")];
    let broken = Folder::new("broken-template", &broken).load().expect("a tokenizer");
    assert!(matches!(broken.chat(&request), Err(TokensError::Chat(ChatError::Template { line: 2, .. }))));
    assert_eq!(broken.encode("a", Special::With).expect("a text").tokens, [0]);
}

#[derive(Deserialize)]
struct Reference {
    vocab_size: usize,
    cases: Vec<ReferenceCase>,
    prefix_decodes: Vec<Vec<String>>,
    chat: Vec<Chat>,
}

#[derive(Deserialize)]
struct ReferenceCase {
    text: String,
    ids: Vec<u32>,
    ids_no_special: Vec<u32>,
    offsets: Vec<(usize, usize)>,
    tokens: Vec<String>,
    decoded: String,
    decoded_skip: String,
}

#[test]
fn reference_tokenizers_are_matched() {
    let Some(folder) = shared("golden/models/tokenizers") else { return };
    for name in ["qwen", "glm"] {
        let tokenizer = Tokenizer::load(folder.join(name)).expect("a tokenizer");
        let text = std::fs::read_to_string(folder.join(name).join("reference.json")).expect("a reference");
        let reference: Reference = serde_json::from_str(&text).expect("a reference");
        assert_eq!(tokenizer.vocab_size(), reference.vocab_size);
        for case in &reference.cases {
            let with = tokenizer.encode(&case.text, Special::With).expect("a text");
            assert_eq!((&with.tokens, &with.offsets), (&case.ids, &case.offsets), "{:?}", case.text);
            let without = tokenizer.encode(&case.text, Special::Without).expect("a text");
            assert_eq!(without.tokens, case.ids_no_special, "{:?}", case.text);
            let tokens: Option<Vec<String>> = case.ids.iter().map(|&id| tokenizer.token(id)).collect();
            assert_eq!(tokens.as_ref(), Some(&case.tokens));
            for (special, expected) in [(Special::With, &case.decoded), (Special::Without, &case.decoded_skip)] {
                assert_eq!(tokenizer.decode(&case.ids, special).as_ref(), Ok(expected));
                assert_eq!(&streamed(&tokenizer, &case.ids, special).concat(), expected);
            }
        }
        for (case, prefixes) in reference.cases.iter().zip(&reference.prefix_decodes) {
            for (length, expected) in prefixes.iter().enumerate() {
                assert_eq!(tokenizer.decode(&case.ids[..length], Special::With).as_ref(), Ok(expected));
                assert_eq!(&streamed(&tokenizer, &case.ids[..length], Special::With).concat(), expected);
            }
        }
        for case in &reference.chat {
            assert_eq!(tokenizer.chat(&case.request()), Ok((case.text.clone(), case.ids.clone())));
        }
    }
}

#[test]
fn tokenizers_of_reference_models_load() {
    let Some(folder) = shared("golden/models") else { return };
    for (name, eos) in [("qwen2_tied", "<|im_end|>"), ("llama_gqa", "<|im_end|>"), ("glm4", "<|endoftext|>")] {
        let tokenizer = Tokenizer::load(folder.join(name)).expect("a tokenizer");
        assert_eq!(tokenizer.eos_token_ids().last().copied(), tokenizer.id(eos).ok(), "{name}");
        let text = "What is 2+3? 日本 😀";
        let tokens = tokenizer.encode(text, Special::Without).expect("a text").tokens;
        assert_eq!(tokenizer.decode(&tokens, Special::With).as_deref(), Ok(text));
    }
}
