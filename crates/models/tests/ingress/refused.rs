//! What cannot be read, and what cannot be governed: each says where and why.

use bytes::Bytes;
use domain::descriptor::Protocol;
use models::ingress::{Dialect, Trouble, converted, error_body, error_event, read};
use serde_json::{Value, json};

use crate::{ALL, rich, with};

fn check(dialect: Dialect, fields: Value, said: &str) {
    let wrong = with(dialect, fields.clone()).expect_err(&fields.to_string());
    assert!(wrong.contains(said), "{wrong}\nshould say: {said}");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let (messages, chat, responses) = (Dialect::Messages, Dialect::Chat, Dialect::Responses);
    check(messages, json!({"model": null}), "model: it is missing");
    check(messages, json!({"max_tokens": "many"}), "max_tokens: expected a whole number above 0, found a text");
    check(messages, json!({"messages": [{"role": "robot", "content": ""}]}), "messages[0].role: \"robot\" is none");
    let block = json!([{"role": "user", "content": "a"}, {"role": "user", "content": [{"text": "b"}]}]);
    check(messages, json!({"messages": block}), "messages[1].content[0].type: it is missing");
    check(chat, json!({"messages": ["hello"]}), "messages[0]: expected an object, found a text");
    check(chat, json!({"messages": [{"role": "tool", "content": ""}]}), "messages[0].tool_call_id: it is missing");
    check(chat, json!({"tools": [{"type": "function"}]}), "tools[0].function: it is missing");
    check(responses, json!({"input": [{"type": "function_call", "call_id": "c"}]}), "input[0].name: it is missing");
    check(responses, json!({"stream": "yes"}), "stream: expected true or false, found a text");
}

#[test]
fn what_would_go_past_the_gateway_is_refused() {
    let search = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    check(Dialect::Messages, json!({"tools": search}), "tools[0].type: the provider runs web_search_20250305 itself");
    check(Dialect::Messages, json!({"mcp_servers": [{"url": "https://x"}]}), "mcp_servers");
    check(Dialect::Chat, json!({"web_search_options": {}}), "web_search_options");
    for kind in ["web_search", "mcp", "code_interpreter", "file_search", "image_generation", "shell"] {
        check(Dialect::Responses, json!({"tools": [{"type": kind}]}), &format!("the provider runs {kind} itself"));
    }
    // What the client runs itself is its own.
    assert!(with(Dialect::Responses, json!({"tools": [{"type": "local_shell"}]})).is_ok());
}

#[test]
fn what_no_price_tells_beforehand_is_refused() {
    check(Dialect::Messages, json!({"speed": "fast"}), "speed");
    check(Dialect::Messages, json!({"inference_geo": "us"}), "inference_geo");
    check(Dialect::Chat, json!({"n": 2}), "n: an answer has one choice");
    check(Dialect::Chat, json!({"modalities": ["text", "audio"]}), "modalities");
    check(Dialect::Chat, json!({"service_tier": "priority"}), "the price of priority is not known");
    check(Dialect::Responses, json!({"service_tier": "priority"}), "the price of priority is not known");
    check(Dialect::Responses, json!({"background": true}), "background");
}

#[test]
fn a_field_that_is_there_twice_is_refused() {
    let body = r#"{"model": "cheap", "messages": [], "mod\u0065l": "dear"}"#;
    for dialect in ALL {
        let wrong = read(dialect, Bytes::from_static(body.as_bytes()), &[]).unwrap_err();
        assert_eq!(wrong.to_string(), "model: it is there twice");
    }
}

#[test]
fn no_body_makes_it_panic() {
    let long = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let nested = (0..90).fold(json!(1), |inner, _| json!([inner]));
    let deep = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "x", "in": nested}]}]});
    assert!(read(Dialect::Messages, deep.to_string().into(), &[]).is_err());
    let bodies = ["", "{", "[]", "null", "\"\"", "{\"model\": 1}", "\u{feff}{}", &long];
    for (dialect, body) in ALL.iter().flat_map(|dialect| bodies.iter().map(move |body| (*dialect, *body))) {
        assert!(read(dialect, Bytes::copy_from_slice(body.as_bytes()), &[]).is_err(), "{dialect:?} {body}");
    }
}

#[test]
fn what_another_protocol_cannot_say_is_refused_with_its_place() {
    let anthropic = Protocol::Anthropic { base_url: "https://models.example".to_owned(), key: None };
    let goes_on = with(Dialect::Responses, json!({"previous_response_id": "resp_1"})).unwrap();
    let wrong = converted(&goes_on, &anthropic).unwrap_err().to_string();
    assert!(wrong.starts_with("previous_response_id: the model's provider speaks anthropic"), "{wrong}");
    let free = json!({"tools": [{"type": "custom", "custom": {"name": "sql"}}]});
    let wrong = converted(&with(Dialect::Chat, free).unwrap(), &anthropic).unwrap_err().to_string();
    assert!(wrong.starts_with("tools[0]: a block of type custom cannot be said in anthropic"), "{wrong}");
    let chat = Protocol::OpenaiChat { base_url: "https://models.example".to_owned(), key: None };
    let wrong = converted(&rich(Dialect::Messages), &chat).unwrap_err().to_string();
    assert!(wrong.starts_with("tools[1]: a block of type bash_20250124"), "{wrong}");
}

#[test]
fn an_error_has_the_dialects_own_form() {
    let spent = Trouble::Exhausted("The budget of invoices is spent. Raise it.".to_owned());
    let said = "The budget of invoices is spent. Raise it.";
    let expected = json!({"type": "error", "error": {"type": "billing_error", "message": said}});
    assert_eq!(error_body(Dialect::Messages, &spent), expected);
    let openai =
        json!({"error": {"message": said, "type": "insufficient_quota", "param": null, "code": "insufficient_quota"}});
    assert_eq!(error_body(Dialect::Chat, &spent), openai);
    assert_eq!(error_body(Dialect::Responses, &spent), openai);
    assert!(!spent.may_be_retried());
    let wrong = Trouble::Malformed(with(Dialect::Chat, json!({"n": 2})).err().map(|_| malformed()).unwrap());
    assert_eq!(error_body(Dialect::Chat, &wrong)["error"]["param"], "n");
    for dialect in ALL {
        let event = String::from_utf8(error_event(dialect, &spent).to_vec()).unwrap();
        assert!(event.contains(said) && event.ends_with("\n\n"), "{event}");
    }
}

fn malformed() -> models::ingress::Malformed {
    let body = json!({"model": "m", "messages": [], "n": 2}).to_string();
    read(Dialect::Chat, body.into(), &[]).expect_err("it is refused")
}
