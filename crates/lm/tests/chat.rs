//! Chat templates against the answers of transformers' renderer.

mod common;

use std::path::Path;

use common::shared;
use serde::Deserialize;
use tdrm_lm::tokens::{ChatError, ChatRequest, ChatTemplate, Json};

/// The goldens of our own: `tests/golden/make_chats.py` says how they came about.
#[derive(Deserialize)]
struct Goldens {
    variables: Json,
    expressions: Vec<ExpressionCase>,
    tokens: Json,
    templates: Json,
    chats: Json,
    options: Vec<Options>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct ExpressionCase {
    expression: String,
    text: Option<String>,
}

#[derive(Deserialize, Clone)]
struct Options {
    #[serde(default)]
    add_generation_prompt: bool,
    #[serde(default)]
    continue_final: bool,
    tools: Option<Vec<Json>>,
    documents: Option<Vec<Json>>,
    #[serde(default)]
    variables: Json,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    chat: String,
    options: usize,
    text: Option<String>,
    refused: Option<String>,
}

fn goldens() -> Goldens {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chats.json");
    let text = std::fs::read_to_string(path).expect("the goldens are in the repository");
    serde_json::from_str(&text).expect("goldens have their shape")
}

fn entries(json: &Json) -> Vec<(String, Json)> {
    match json {
        Json::Object(entries) => entries.clone(),
        _ => Vec::new(),
    }
}

fn list(json: &Json) -> Vec<Json> {
    match json {
        Json::List(items) => items.clone(),
        _ => Vec::new(),
    }
}

fn user(content: &str) -> Json {
    serde_json::json!({"role": "user", "content": content}).into()
}

fn rendered(source: &str, content: &str) -> Result<String, ChatError> {
    ChatTemplate::new(source)?.render(&ChatRequest::new(vec![user(content)]), &[])
}

/// Expressions that are known to come out differently: the name of Python's class for the keys of a dictionary, keys that
/// are equal across types, a faulty escape, and a title-case letter that is not the capital.
const KNOWN: [&str; 4] = ["d.keys()", "{1: 'a', none: 'b', true: 'c', 2.5: 'd'}|tojson", r"'\N'", "'ǆ'.title()"];

#[test]
fn expressions_are_written_as_python_writes_them() {
    let goldens = goldens();
    let mut wrong = Vec::new();
    for case in &goldens.expressions {
        let mut request = ChatRequest::new(vec![user("")]);
        request.template_args = goldens.variables.clone();
        let source = format!("{{{{ {} }}}}", case.expression);
        let got = ChatTemplate::new(&source).and_then(|template| template.render(&request, &[]));
        if got.as_ref().ok() != case.text.as_ref() && !KNOWN.contains(&case.expression.as_str()) {
            wrong.push(format!("{}\n  expected {:?}\n  got      {got:?}", case.expression, case.text));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), goldens.expressions.len(), wrong.join("\n"));
}

#[test]
fn templates_in_the_manner_of_real_ones_render_exactly() {
    let goldens = goldens();
    let tokens = entries(&goldens.tokens);
    let mut wrong = Vec::new();
    for case in &goldens.cases {
        let source = goldens.templates.get(&case.template).and_then(Json::as_str).expect("a template");
        let options = goldens.options[case.options].clone();
        let request = ChatRequest {
            tools: options.tools,
            documents: options.documents,
            add_generation_prompt: options.add_generation_prompt,
            continue_final_message: options.continue_final,
            template_args: options.variables,
            ..ChatRequest::new(list(goldens.chats.get(&case.chat).expect("a chat")))
        };
        let got = ChatTemplate::new(source).and_then(|template| template.render(&request, &tokens));
        let right = match (&got, &case.text, &case.refused) {
            (Ok(text), Some(expected), _) => text == expected,
            (Err(ChatError::Refused { message }), None, Some(expected)) => message == expected,
            (Err(error), None, None) => !matches!(error, ChatError::Refused { .. }),
            _ => false,
        };
        if !right {
            wrong.push(format!(
                "{} / {} / {}\n  expected {:?} {:?}\n  got      {got:?}",
                case.template, case.chat, case.options, case.text, case.refused
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), goldens.cases.len(), wrong.join("\n"));
}

#[test]
fn renderings_of_published_templates_are_exact() {
    #[derive(Deserialize)]
    struct Rendering {
        template: String,
        messages: Vec<Json>,
        tools: Option<Vec<Json>>,
        add_generation_prompt: bool,
        kwargs: Json,
        text: String,
    }
    let Some(folder) = shared("golden/models/tokenizers/trl_templates") else { return };
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a reference file");
    let renderings: Vec<Rendering> = serde_json::from_str(&read("renderings.json")).expect("renderings");
    assert!(renderings.len() >= 48);
    let tokens = [("bos_token".to_owned(), Json::from("<|begin_of_text|>"))];
    for case in renderings {
        let request = ChatRequest {
            tools: case.tools,
            add_generation_prompt: case.add_generation_prompt,
            template_args: case.kwargs,
            ..ChatRequest::new(case.messages)
        };
        let template = ChatTemplate::new(&read(&case.template)).expect("a template");
        let got = template.render(&request, &tokens);
        assert_eq!(got.as_deref(), Ok(case.text.as_str()), "{} {request:?}", case.template);
    }
}

#[test]
fn a_refusal_keeps_the_templates_own_words() {
    let refused = rendered("{% macro f() %}{{ raise_exception('not ' ~ 1) }}{% endmacro %}{{ f() }}", "");
    assert_eq!(refused, Err(ChatError::Refused { message: "not 1".to_owned() }));
}

#[test]
fn errors_name_the_line_of_the_template() {
    for (source, line) in [("\n{% if %}", 2), ("{{ 1 }}\n\n{{ none.x.y }}", 3), ("{% endfor %}", 1), ("a\n{{ 'x", 2)] {
        match rendered(source, "") {
            Err(ChatError::Template { line: got, .. }) => assert_eq!(got, line, "{source}"),
            other => panic!("expected an error in {source:?}, got {other:?}"),
        }
    }
}

#[test]
fn hostile_templates_end_and_do_not_panic() {
    let hostile = [
        "{% for i in range(100000) %}{% for j in range(100000) %}{% for k in range(100000) %}{% endfor %}{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for a in [[]] recursive %}{{ loop([[]]) }}{% endfor %}",
        "{% for a in [1] %}{{ loop.cycle() }}{% endfor %}",
        "{{ 1 is divisibleby(0) }}",
        "{{ messages[9][9] }}",
        "{{ 'x' * 1000000000000 }}",
        "{{ 'x'.ljust(1000000000000) }}",
        "{{ (1, 2)[::0] }}",
        "{{ messages.append(1) }}",
        "{{ [[1][2:1:-1][5]][0].x }}",
        "{% include 'x' %}",
        "{% extends 'x' %}",
        "{{ -9223372036854775808 // 0 }}",
        "{{ 2 ** 100000 }}",
        "{% raw %}",
        "{{ [1:2 }}",
        "{% generation %}",
        "{{ x | tojson(indent='a', separators=(1,)) }}",
    ];
    for source in hostile {
        assert!(rendered(source, "").is_err(), "{source}");
    }
    let endless = rendered(hostile[0], "");
    assert!(matches!(endless, Err(ChatError::OutOfFuel { .. })), "{endless:?}");
    let nested = format!("{{{{ {}{} }}}}", "[".repeat(5000), "]".repeat(5000));
    assert!(rendered(&nested, "").is_err());
}

#[test]
fn requests_that_are_no_chats_are_refused() {
    let template = ChatTemplate::new("{{ messages[0].content }}").expect("a template");
    let render = |request: &ChatRequest| template.render(request, &[]);
    assert_eq!(render(&ChatRequest::new(vec![])), Err(ChatError::NoMessages));
    let shape = |list, got| ChatError::Shape { list, index: 0, expected: "an object", got };
    assert_eq!(render(&ChatRequest::new(vec![Json::from("hi")])), Err(shape("messages", "a string")));
    let good = ChatRequest::new(vec![user("hi")]);
    let tools = ChatRequest { tools: Some(vec![Json::Null]), ..good.clone() };
    assert_eq!(render(&tools), Err(shape("tools", "null")));
    let documents = ChatRequest { documents: Some(vec![Json::List(vec![])]), ..good.clone() };
    assert_eq!(render(&documents), Err(shape("documents", "an array")));
    let own = ChatRequest { template_args: Json::Object(vec![("messages".to_owned(), Json::Null)]), ..good.clone() };
    assert_eq!(render(&own), Err(ChatError::ReservedArgument { name: "messages".to_owned() }));
    let both = ChatRequest { continue_final_message: true, add_generation_prompt: true, ..good.clone() };
    assert_eq!(render(&both), Err(ChatError::ContinueAndPrompt));
    assert!(serde_json::from_str::<ChatRequest>(r#"{"messages": [], "temperature": 1}"#).is_err());
}

#[test]
fn requests_are_read_in_the_order_they_are_written() {
    let text = r#"{"messages": [{"role": "user", "content": "q"}], "tools": [{"z": 1, "a": {"y": 1.0, "b": []}}]}"#;
    let request: ChatRequest = serde_json::from_str(text).expect("a request");
    let template = ChatTemplate::new("{{ tools | tojson }}{{ tools }}").expect("a template");
    let expected = r#"[{"z": 1, "a": {"y": 1.0, "b": []}}][{'z': 1, 'a': {'y': 1.0, 'b': []}}]"#;
    assert_eq!(template.render(&request, &[]).as_deref(), Ok(expected));
}

#[test]
fn the_clock_is_the_requests() {
    let template = ChatTemplate::new("{{ strftime_now('%d %b %Y') }}").expect("a template");
    let mut request = ChatRequest::new(vec![user("")]);
    request.now = Some(1_721_952_000);
    assert_eq!(template.render(&request, &[]).as_deref(), Ok("26 Jul 2024"));
    request.now = None;
    assert_eq!(template.render(&request, &[]).map(|text| text.len()), Ok("26 Jul 2024".len()));
}

#[test]
fn arguments_come_before_special_tokens() {
    let template = ChatTemplate::new("{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}").expect("a template");
    let tokens = [("bos_token".to_owned(), Json::from("<s>")), ("eos_token".to_owned(), Json::from("</s>"))];
    let mut request = ChatRequest::new(vec![user("")]);
    request.template_args = Json::Object(vec![("eos_token".to_owned(), Json::from("END"))]);
    assert_eq!(template.render(&request, &tokens).as_deref(), Ok("<s>ENDFalse"));
}

#[test]
fn what_users_write_is_never_read_as_a_template() {
    let content = "{{ 1 + 1 }}{% if %}{# #}[1:2]\\n";
    assert_eq!(rendered("{{ messages[0].content }}", content).as_deref(), Ok(content));
}
