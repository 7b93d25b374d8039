//! Requests in the Anthropic Messages format: what goes back is what came, and a longer conversation begins with the
//! bytes of the shorter one.

use std::sync::Arc;

use domain::capability::Offer;
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use models::provider::{Options, Request, Tool};
use models::wire::Wire;
use serde_json::{Value, json};

fn encode(request: &Request) -> Vec<u8> {
    Wire::Anthropic.encode(request, "https://api.anthropic.com")
}

fn part(content: Content, origin: Origin) -> Part {
    Part { content, origin, labels: Vec::new(), trust: Trust::Trusted }
}

fn person(text: &str) -> Message {
    Message::text(Role::Person, Origin::Person, text)
}

fn agent(contents: Vec<Content>) -> Message {
    Message { role: Role::Agent, parts: contents.into_iter().map(|content| part(content, Origin::Model)).collect() }
}

fn results(results: &[(&str, &str, bool)]) -> Message {
    let result = |(use_id, text, error): &(&str, &str, bool)| {
        let content = Content::Result {
            use_id: (*use_id).to_owned(),
            text: (*text).to_owned(),
            structured: None,
            error: *error,
            vouches: None,
        };
        part(content, Origin::Capability)
    };
    Message { role: Role::Capability, parts: results.iter().map(result).collect() }
}

fn text(text: &str) -> Content {
    Content::Text { text: text.to_owned() }
}

fn wanted(use_id: &str, arguments: Value) -> Content {
    let malformed = arguments.is_null().then(|| "{oops".to_owned());
    Content::Use { use_id: use_id.to_owned(), capability: "ledger-read".to_owned(), arguments, malformed }
}

fn offer(name: &str) -> Offer {
    let input_schema = json!({"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "number"}}});
    let capability = format!("mcp://gateway/{name}").parse().expect("a capability");
    Offer { capability, description: format!("Does {name}."), input_schema }
}

fn request(messages: Vec<Message>, offers: &[&str]) -> Request {
    Request {
        agent: "finance".parse().expect("a name"),
        model: "claude-opus-4-7-20260416".to_owned(),
        instructions: "Be exact.".into(),
        messages: messages.into_iter().map(Arc::new).collect(),
        tools: offers.iter().map(|name| Tool::from(&offer(name))).collect(),
        max_output_tokens: 4096,
        options: Options::default(),
        verbatim: None,
    }
}

fn body(messages: Vec<Message>) -> Value {
    serde_json::from_slice(&encode(&request(messages, &[]))).expect("a body is JSON")
}

fn signed(words: &str, signature: &str) -> Content {
    let raw = json!({"type": "thinking", "thinking": words, "signature": signature});
    Content::Reasoning { text: words.to_owned(), raw }
}

#[test]
fn the_whole_request_has_its_golden_bytes() {
    let bytes = encode(&request(vec![person("Reconcile acme.")], &["sap-invoice-read", "ledger-read"]));
    let schema = r#"{"properties":{"a":{"type":"number"},"b":{"type":"string"}},"type":"object"}"#;
    let expected = [
        r#"{"model":"claude-opus-4-7-20260416","max_tokens":4096,"stream":true,"#,
        r#""system":[{"type":"text","text":"Be exact.","cache_control":{"type":"ephemeral"}}],"#,
        &format!(r#""tools":[{{"name":"ledger-read","description":"Does ledger-read.","input_schema":{schema}}},"#),
        &format!(r#"{{"name":"sap-invoice-read","description":"Does sap-invoice-read.","input_schema":{schema}}}],"#),
        r#""messages":[{"role":"user","content":"#,
        r#"[{"type":"text","text":"Reconcile acme.","cache_control":{"type":"ephemeral"}}]}]}"#,
    ];
    assert_eq!(String::from_utf8(bytes).unwrap(), expected.concat());
}

#[test]
fn the_order_in_which_tools_are_offered_changes_nothing() {
    let encoded = |offers: &[&str]| encode(&request(vec![person("Hello")], offers));
    assert_eq!(encoded(&["a", "b", "c"]), encoded(&["c", "a", "b"]));
}

#[test]
fn a_longer_conversation_begins_with_the_bytes_of_the_shorter() {
    let mut messages = vec![
        person("Reconcile acme."),
        agent(vec![signed("Both sides.", "c2ln"), wanted("toolu_1", json!({"z": 1, "a": [1.50, {"y": 1, "b": 2}]}))]),
        results(&[("toolu_1", "{\"total\":0}", false)]),
        agent(vec![text("Nothing was booked.")]),
        person("Why?"),
    ];
    let unmarked = |messages: &[Message]| {
        let bytes = encode(&request(messages.to_vec(), &["ledger-read"]));
        let text = String::from_utf8(bytes).unwrap();
        let start = text.find("\"messages\"").unwrap();
        let (prefix, conversation) = text.split_at(start);
        let conversation = conversation.replace(",\"cache_control\":{\"type\":\"ephemeral\"}", "");
        format!("{prefix}{}", conversation.trim_end_matches("]}]}"))
    };
    let whole = unmarked(&messages);
    while messages.pop().is_some() && !messages.is_empty() {
        if messages.last().unwrap().role != Role::Agent {
            assert!(whole.starts_with(&unmarked(&messages)));
        }
    }
}

#[test]
fn at_most_four_cache_marks_are_set_and_none_on_reasoning() {
    let messages = vec![person("a"), agent(vec![text("b"), signed("c", "c2ln")]), person("d")];
    let text = String::from_utf8(encode(&request(messages, &["x", "y"]))).unwrap();
    assert_eq!(text.matches("cache_control").count(), 3);
    let mut bare = request(vec![person("a")], &["x", "y"]);
    bare.instructions = "".into();
    let body: Value = serde_json::from_slice(&encode(&bare)).unwrap();
    assert_eq!((&body["system"], &body["tools"][1]["cache_control"]["type"]), (&Value::Null, &json!("ephemeral")));
}

#[test]
fn reasoning_and_unknown_blocks_go_back_as_they_came() {
    let redacted = json!({"type": "redacted_thinking", "data": "R29sZGVu"});
    let server = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}});
    let said = agent(vec![
        signed("The line is\nmissing — é", "c2ln"),
        Content::Reasoning { text: String::new(), raw: redacted.clone() },
        Content::Other { raw: server.clone() },
        wanted("toolu_1", json!({"company": "acme"})),
    ]);
    let body = body(vec![person("a"), said, results(&[("toolu_1", "ok", false)])]);
    let thinking = json!({"type": "thinking", "thinking": "The line is\nmissing — é", "signature": "c2ln"});
    let used = json!({"type": "tool_use", "id": "toolu_1", "name": "ledger-read", "input": {"company": "acme"}});
    assert_eq!(body["messages"][1]["content"], json!([thinking, redacted, server, used]));
}

#[test]
fn results_answer_in_order_and_share_a_turn_with_what_a_person_said_meanwhile() {
    let uses = agent(vec![wanted("toolu_1", json!({})), wanted("toolu_2", json!({}))]);
    let messages = vec![
        person("a"),
        uses,
        results(&[("toolu_1", "one", false), ("toolu_2", "refused: no budget", true)]),
        person("also this"),
    ];
    let body = body(messages);
    assert_eq!(body["messages"].as_array().unwrap().len(), 3);
    let expected = json!([
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "one"},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": "refused: no budget", "is_error": true},
        {"type": "text", "text": "also this", "cache_control": {"type": "ephemeral"}},
    ]);
    assert_eq!(body["messages"][2], json!({"role": "user", "content": expected}));
}

#[test]
fn a_use_without_a_result_is_answered_so_that_the_conversation_can_go_on() {
    let used = || agent(vec![wanted("toolu_1", json!({}))]);
    for messages in [vec![person("a"), used(), person("go on")], vec![person("a"), used()]] {
        let body = body(messages);
        let first = &body["messages"][2]["content"][0];
        assert_eq!((&first["type"], &first["tool_use_id"]), (&json!("tool_result"), &json!("toolu_1")));
        assert_eq!(first["is_error"], true);
    }
}

#[test]
fn what_the_format_refuses_is_left_out() {
    let cut = json!({"type": "thinking", "thinking": "half a thou"});
    let messages = vec![
        person("a"),
        agent(vec![text(" "), text("b"), signed("made up", "scripted: worth nothing"), signed("last", "c2ln")]),
        person(""),
        agent(vec![Content::Reasoning { text: "half a thou".to_owned(), raw: cut }]),
        person("c"),
    ];
    let body = body(messages);
    let roles: Vec<_> = body["messages"].as_array().unwrap().iter().map(|turn| turn["role"].clone()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(body["messages"][1]["content"], json!([{"type": "text", "text": "b"}]));
}

#[test]
fn arguments_that_were_not_json_go_back_as_an_empty_object() {
    let body =
        body(vec![person("a"), agent(vec![wanted("toolu_1", Value::Null)]), results(&[("toolu_1", "no", true)])]);
    assert_eq!(body["messages"][1]["content"][0]["input"], json!({}));
}
