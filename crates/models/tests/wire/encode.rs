//! Requests in every protocol: what must be in them, that a longer conversation begins with the shorter one's bytes, and
//! that what a model said goes back as it said it.

use std::sync::Arc;

use domain::message::{Content, Message, Origin, Part, Role, Trust};
use models::provider::{Effort, Format, Options, Request, Tool, ToolChoice};
use models::wire::Wire;
use serde_json::{Value, json};

use crate::stream::{FOLDERS, answer, text, wanted};

/// A server that is no vendor's.
const ELSEWHERE: &str = "http://127.0.0.1:1";

fn said(role: Role, contents: Vec<Content>) -> Arc<Message> {
    let part = |content| Part { content, origin: Origin::Model, labels: Vec::new(), trust: Trust::Trusted };
    Arc::new(Message { role, parts: contents.into_iter().map(part).collect() })
}

fn result(use_id: &str, text: &str, error: bool) -> Content {
    Content::Result { use_id: use_id.to_owned(), text: text.to_owned(), structured: None, error, vouches: None }
}

fn person(words: &str) -> Arc<Message> {
    said(Role::Person, vec![text(words)])
}

fn tool(name: &str) -> Tool {
    let input_schema = json!({"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "number"}}});
    Tool { name: name.to_owned(), description: format!("Does {name}."), input_schema, raw: None }
}

fn request(messages: Vec<Arc<Message>>) -> Request {
    Request {
        agent: "finance".parse().expect("a name"),
        model: "gpt-5.5".to_owned(),
        instructions: "Be exact.".into(),
        messages,
        tools: [tool("now"), tool("ledger-read")].into(),
        max_output_tokens: 4096,
        options: Options::default(),
        verbatim: None,
    }
}

fn body(wire: Wire, request: &Request) -> Value {
    serde_json::from_slice(&wire.encode(request, ELSEWHERE)).expect("a body is JSON")
}

/// A conversation with everything in it.
fn long() -> Vec<Arc<Message>> {
    vec![
        person("Reconcile acme."),
        said(
            Role::Agent,
            vec![
                text("I look."),
                wanted("u1", "ledger-read", json!({"b": "x", "a": 1})),
                wanted("u2", "now", json!({})),
            ],
        ),
        said(Role::Capability, vec![result("u1", "4.180 €", false), result("u2", "no clock", true)]),
        person("And?"),
        said(Role::Agent, vec![wanted("u3", "now", json!({}))]),
        person("Never mind."),
    ]
}

#[test]
fn a_longer_conversation_begins_with_the_bytes_of_the_shorter() {
    for (_, wire) in FOLDERS {
        if wire == Wire::Anthropic {
            continue; // its cache marks move; its own tests look at that
        }
        let bodies: Vec<Vec<u8>> = [1, 3, 4].map(|n| wire.encode(&request(long()[..n].to_vec()), ELSEWHERE)).into();
        for (shorter, longer) in bodies.iter().zip(&bodies[1..]) {
            let kept = shorter.len() - "]}]}".len() - usize::from(wire == Wire::Gemini || wire == Wire::Responses);
            assert_eq!(longer[..kept], shorter[..kept], "{wire:?}");
        }
        assert_eq!(wire.encode(&request(long()), ELSEWHERE), wire.encode(&request(long()), ELSEWHERE));
    }
}

#[test]
fn chat_says_it_all() {
    let body = body(Wire::Chat, &request(long()));
    assert_eq!((&body["max_tokens"], &body["stream_options"]["include_usage"]), (&json!(4096), &json!(true)));
    let names: Vec<_> = body["tools"].as_array().unwrap().iter().map(|tool| &tool["function"]["name"]).collect();
    assert_eq!(names, ["ledger-read", "now"]);
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let expected = json!([
        {"role": "system", "content": "Be exact."},
        {"role": "user", "content": "Reconcile acme."},
        {"role": "assistant", "content": "I look.", "tool_calls": [call("u1", "ledger-read", r#"{"a":1,"b":"x"}"#), call("u2", "now", "{}")]},
        {"role": "tool", "tool_call_id": "u1", "content": "4.180 €"},
        {"role": "tool", "tool_call_id": "u2", "content": "no clock"},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": null, "tool_calls": [call("u3", "now", "{}")]},
        {"role": "tool", "tool_call_id": "u3", "content": "There is no result: the session went on without it."},
        {"role": "user", "content": "Never mind."},
    ]);
    assert_eq!(body["messages"], expected);
    let vendor: Value =
        serde_json::from_slice(&Wire::Chat.encode(&request(long()), "https://api.openai.com/v1")).unwrap();
    assert_eq!((&vendor["max_completion_tokens"], &vendor["max_tokens"]), (&json!(4096), &Value::Null));
}

#[test]
fn responses_say_it_all_and_store_nothing() {
    let body = body(Wire::Responses, &request(long()));
    assert_eq!((&body["store"], &body["include"]), (&json!(false), &json!(["reasoning.encrypted_content"])));
    assert_eq!((&body["instructions"], &body["max_output_tokens"]), (&json!("Be exact."), &json!(4096)));
    assert_eq!((&body["tools"][0]["name"], &body["tools"][0]["strict"]), (&json!("ledger-read"), &json!(false)));
    let kinds: Vec<_> = body["input"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    let (call, output) = ("function_call", "function_call_output");
    assert_eq!(kinds, ["message", "message", call, call, output, output, "message", call, output, "message"]);
    assert_eq!(body["input"][2]["arguments"], r#"{"a":1,"b":"x"}"#);
    assert_eq!(body["input"][4], json!({"type": output, "call_id": "u1", "output": "4.180 €"}));
    let plain = Request { model: "gpt-4o".to_owned(), ..request(long()) };
    assert_eq!(self::body(Wire::Responses, &plain)["include"], Value::Null);
}

#[test]
fn gemini_says_it_all() {
    let body = body(Wire::Gemini, &request(long()));
    assert_eq!(body["systemInstruction"], json!({"parts": [{"text": "Be exact."}]}));
    assert_eq!(body["generationConfig"], json!({"maxOutputTokens": 4096}));
    let declared = &body["tools"][0]["functionDeclarations"][0];
    assert_eq!(
        (&declared["name"], declared["parametersJsonSchema"]["type"].as_str()),
        (&json!("ledger-read"), Some("object"))
    );
    let roles: Vec<_> =
        body["contents"].as_array().unwrap().iter().map(|turn| turn["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "model", "user", "model", "user"]);
    let answers = &body["contents"][2]["parts"];
    assert_eq!(
        answers[0]["functionResponse"],
        json!({"id": "u1", "name": "ledger-read", "response": {"output": "4.180 €"}})
    );
    assert_eq!(answers[1]["functionResponse"]["response"], json!({"error": "no clock"}));
    assert_eq!(answers[2], json!({"text": "And?"}));
}

#[test]
fn what_a_model_said_goes_back_as_it_said_it() {
    let (sealed, _) = answer(Wire::Responses, "reasoning_tools.sse");
    let raw = sealed.message.parts[0].content.clone();
    let history = |message: Message| request(vec![person("Go."), Arc::new(message)]);
    let sent = body(Wire::Responses, &history(sealed.message.clone()));
    let Content::Reasoning { raw, .. } = raw else { panic!("{raw:?}") };
    assert_eq!((&sent["input"][1], &sent["input"][2]["call_id"]), (&raw, &json!("call_golden_a")));
    let (thought, _) = answer(Wire::Gemini, "thought_tools.sse");
    let sent = body(Wire::Gemini, &history(thought.message));
    let parts = &sent["contents"][1]["parts"];
    assert_eq!(parts[0]["thoughtSignature"], "R29sZGVuIHNpZ25hdHVyZQ==");
    assert_eq!(
        (&parts[0]["functionCall"]["name"], &parts[1]["thoughtSignature"]),
        (&json!("sap-invoice-read"), &Value::Null)
    );
    let (reasoned, _) = answer(Wire::Chat, "compatible.sse");
    let sent = body(Wire::Chat, &history(reasoned.message));
    assert_eq!(sent["messages"][2]["reasoning_content"], "First the ledger.");
    // Nobody gets what another protocol's model kept for itself.
    for (_, wire) in FOLDERS.into_iter().filter(|(_, wire)| *wire != Wire::Responses) {
        let sent = wire.encode(&history(sealed.message.clone()), ELSEWHERE);
        let sent = String::from_utf8(sent).expect("text");
        assert!(!sent.contains("encrypted_content") && sent.contains("call_golden_a"), "{wire:?}: {sent}");
    }
}

#[test]
fn options_are_said_in_each_protocols_words() {
    let schema = json!({"type": "object"});
    let options = Options {
        temperature: Some(0.5),
        top_p: None,
        stop: vec!["END".to_owned()],
        tool_choice: Some(ToolChoice::Tool("now".to_owned())),
        parallel_tools: Some(false),
        effort: Some(Effort::High),
        format: Some(Format::Schema { name: "answer".to_owned(), schema: schema.clone() }),
    };
    let asked = Request { options, ..request(vec![person("Go.")]) };
    let chat = body(Wire::Chat, &asked);
    assert_eq!(
        (&chat["temperature"], &chat["stop"], &chat["reasoning_effort"]),
        (&json!(0.5), &json!(["END"]), &json!("high"))
    );
    assert_eq!(
        (&chat["tool_choice"]["function"]["name"], &chat["parallel_tool_calls"]),
        (&json!("now"), &json!(false))
    );
    assert_eq!(chat["response_format"]["json_schema"], json!({"name": "answer", "schema": schema}));
    let responses = body(Wire::Responses, &asked);
    assert_eq!((&responses["reasoning"]["effort"], &responses["tool_choice"]["name"]), (&json!("high"), &json!("now")));
    assert_eq!(responses["text"]["format"]["type"], "json_schema");
    let gemini = body(Wire::Gemini, &asked);
    assert_eq!(gemini["toolConfig"]["functionCallingConfig"], json!({"mode": "ANY", "allowedFunctionNames": ["now"]}));
    assert_eq!(
        (&gemini["generationConfig"]["stopSequences"], &gemini["generationConfig"]["responseJsonSchema"]),
        (&json!(["END"]), &schema)
    );
    let messages = body(Wire::Anthropic, &Request { model: "claude-opus-5-5".to_owned(), ..asked.clone() });
    assert_eq!((&messages["stop_sequences"], &messages["temperature"]), (&json!(["END"]), &json!(0.5)));
    assert_eq!(messages["tool_choice"], json!({"type": "tool", "name": "now", "disable_parallel_tool_use": true}));
    assert_eq!(
        messages["output_config"],
        json!({"effort": "high", "format": {"type": "json_schema", "schema": schema}})
    );
    let old = body(Wire::Anthropic, &Request { model: "claude-haiku-4-5-20251001".to_owned(), ..asked });
    assert_eq!((&old["thinking"]["budget_tokens"], &old["temperature"]), (&json!(4095), &Value::Null));
}

#[test]
fn openai_is_told_which_of_our_own_calls_belong_together() {
    let at = |wire: Wire, model: &str, messages: usize, url: &str| -> Value {
        let request = Request { model: model.to_owned(), ..request(long()[..messages].to_vec()) };
        serde_json::from_slice(&wire.encode(&request, url)).unwrap()
    };
    let openai = "https://api.openai.com/v1";
    for wire in [Wire::Chat, Wire::Responses] {
        let (first, later) = (at(wire, "gpt-5.5", 1, openai), at(wire, "gpt-5.5", 4, openai));
        assert!(first["prompt_cache_key"].is_string(), "{first}");
        assert_eq!(first["prompt_cache_key"], later["prompt_cache_key"]);
        assert_eq!(at(wire, "gpt-5.5", 1, ELSEWHERE).get("prompt_cache_key"), None, "others may refuse it");
    }
    let marked = at(Wire::Chat, "gpt-5.6-sol", 1, openai);
    assert_eq!(marked["messages"][0]["content"][0]["prompt_cache_breakpoint"], json!({"mode": "explicit"}));
}

#[test]
fn a_chat_that_is_handed_on_to_anthropic_has_its_marks() {
    let request = Request { model: "anthropic/claude-opus-4.5".to_owned(), ..request(long()) };
    let body: Value = serde_json::from_slice(&Wire::Chat.encode(&request, "https://openrouter.ai/api/v1")).unwrap();
    let marks = body.to_string().matches(r#""cache_control":{"type":"ephemeral"}"#).count();
    assert_eq!((marks, body.get("prompt_cache_key")), (2, None), "{body}");
    assert_eq!(body["messages"][0]["content"][0]["cache_control"], json!({"type": "ephemeral"}));
    let last = body["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(last["content"][0]["cache_control"], json!({"type": "ephemeral"}));
    let other = Request { model: "openai/gpt-5.5".to_owned(), ..request };
    let body = Wire::Chat.encode(&other, "https://openrouter.ai/api/v1");
    assert!(!String::from_utf8(body).unwrap().contains("cache_control"));
}
