//! What a client's SDK is told, as a stream and whole; and that what it hands back is what was said.

use bytes::Bytes;
use domain::call::Stop;
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use models::ingress::{AnswerWriter, Dialect, Incoming, Stamp, keep_alive, listed, whole};
use models::provider::{Answer, Delta, Usage};
use serde_json::{Value, json};

use crate::{ALL, rich, with};

pub(crate) fn stamp() -> Stamp {
    Stamp { id: "01test".to_owned(), model: "served-model".to_owned(), created: 1_795_334_400 }
}

fn part(content: Content) -> Part {
    Part { content, origin: Origin::Model, labels: Vec::new(), trust: Trust::Trusted }
}

pub(crate) fn wants(use_id: &str, arguments: Value) -> Content {
    let (use_id, capability) = (use_id.to_owned(), "lookup".to_owned());
    Content::Use { use_id, capability, arguments, malformed: None }
}

/// An answer with everything in it.
pub(crate) fn answer() -> Answer {
    let raw = json!({"type": "reasoning", "id": "rs_9", "encrypted_content": "gAAA", "summary": []});
    let parts = vec![
        part(Content::Reasoning { text: "I look it up.".to_owned(), raw }),
        part(Content::Text { text: "Let me look: \"é\".".to_owned() }),
        part(wants("call_1", json!({"number": "7"}))),
        part(wants("call_2", json!({"number": "8"}))),
    ];
    let usage = Usage {
        input: 100,
        output: 40,
        cache_read: 1000,
        cache_write_5m: 30,
        raw: json!({"output_tokens_details": {"reasoning_tokens": 12}}),
        ..Usage::default()
    };
    let message = Message { role: Role::Agent, parts };
    Answer { message, stop: Stop::Use, usage, served_model: None, tail: Bytes::new() }
}

/// What was said of it while it came.
pub(crate) fn deltas() -> Vec<Delta> {
    let start = |index, id: &str| Delta::UseStarted { index, id: id.to_owned(), name: "lookup".to_owned() };
    let piece = |index, piece: &str| Delta::Arguments { index, piece: piece.to_owned() };
    vec![
        Delta::Reasoning("I look ".to_owned()),
        Delta::Reasoning("it up.".to_owned()),
        Delta::Text("Let me look: ".to_owned()),
        Delta::Text("\"é\".".to_owned()),
        start(0, "call_1"),
        piece(0, "{\"num"),
        piece(0, "ber\":\"7\"}"),
        start(1, "call_2"),
        piece(1, "{\"number\":\"8\"}"),
    ]
}

pub(crate) fn streamed(incoming: &Incoming, deltas: &[Delta], answer: &Answer) -> String {
    let mut writer = AnswerWriter::new(incoming, stamp());
    let mut out: Vec<u8> = deltas.iter().flat_map(|delta| writer.delta(delta)).collect();
    out.extend(writer.finish(answer));
    String::from_utf8(out).expect("it is text")
}

fn events(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).expect("it is JSON")).collect()
}

/// All pieces of a stream together, as a client puts them together: texts, and arguments.
fn gathered(dialect: Dialect, stream: &str) -> (String, Vec<String>) {
    let (mut text, mut arguments) = (String::new(), std::collections::BTreeMap::<u64, String>::new());
    for event in events(stream) {
        let delta = &event["delta"];
        match dialect {
            Dialect::Messages => {
                text += delta["text"].as_str().unwrap_or_default();
                if let Some(piece) = delta["partial_json"].as_str() {
                    *arguments.entry(event["index"].as_u64().expect("it is there")).or_default() += piece;
                }
            }
            Dialect::Chat => {
                let delta = &event["choices"][0]["delta"];
                text += delta["content"].as_str().unwrap_or_default();
                for call in delta["tool_calls"].as_array().into_iter().flatten() {
                    let piece = call["function"]["arguments"].as_str().unwrap_or_default();
                    *arguments.entry(call["index"].as_u64().expect("it is there")).or_default() += piece;
                }
            }
            Dialect::Responses => match event["type"].as_str().expect("it is there") {
                "response.output_text.delta" => text += delta.as_str().expect("it is there"),
                "response.function_call_arguments.delta" => {
                    *arguments.entry(event["output_index"].as_u64().expect("it is there")).or_default() +=
                        delta.as_str().expect("it is there");
                }
                _ => {}
            },
        }
    }
    (text, arguments.into_values().collect())
}

#[test]
fn a_client_gathers_what_was_said_however_it_came() {
    let said = ("Let me look: \"é\".".to_owned(), vec![r#"{"number":"7"}"#.to_owned(), r#"{"number":"8"}"#.to_owned()]);
    let all = deltas();
    // All of it as it comes, nothing until it is whole, and everything in between.
    for (dialect, told) in ALL.iter().flat_map(|dialect| (0..=all.len()).map(move |told| (*dialect, told))) {
        let stream = streamed(&rich(dialect), &all[..told], &answer());
        let gathered = gathered(dialect, &stream);
        // Of a use that was cut off in its arguments, the rest is said where it can be.
        assert_eq!(gathered, said, "{dialect:?}, {told} deltas:\n{stream}");
    }
}

#[test]
fn pieces_of_several_uses_may_come_in_turn() {
    let mut all = deltas();
    all.swap(6, 7);
    for dialect in ALL {
        let (_, arguments) = gathered(dialect, &streamed(&rich(dialect), &all, &answer()));
        assert_eq!(arguments, [r#"{"number":"7"}"#, r#"{"number":"8"}"#], "{dialect:?}");
    }
}

#[test]
fn what_a_client_hands_back_is_what_was_said() {
    let messages = whole(&rich(Dialect::Messages), &stamp(), &answer());
    let messages: Value = serde_json::from_slice(&messages).unwrap();
    let back = json!({"messages": [{"role": "assistant", "content": messages["content"]}]});
    assert_eq!(with(Dialect::Messages, back).unwrap().messages, [answer().message]);

    let responses = whole(&rich(Dialect::Responses), &stamp(), &answer());
    let responses: Value = serde_json::from_slice(&responses).unwrap();
    let back = with(Dialect::Responses, json!({"input": responses["output"]})).unwrap();
    assert_eq!(back.messages, [answer().message]);
    let stream = streamed(&rich(Dialect::Responses), &deltas(), &answer());
    let last = &events(&stream).pop().unwrap()["response"]["output"];
    assert_eq!(with(Dialect::Responses, json!({"input": last})).unwrap().messages, [answer().message]);

    let chat: Value = serde_json::from_slice(&whole(&rich(Dialect::Chat), &stamp(), &answer())).unwrap();
    let back = with(Dialect::Chat, json!({"messages": [chat["choices"][0]["message"]]})).unwrap();
    assert_eq!(back.messages[0].parts[1..], answer().message.parts[1..]);
}

#[test]
fn streamed_reasoning_comes_back_to_its_place() {
    let stream = streamed(&rich(Dialect::Messages), &deltas(), &answer());
    let mut blocks: Vec<Value> = Vec::new();
    for event in events(&stream) {
        let (at, delta) = (event["index"].as_u64().unwrap_or(0) as usize, &event["delta"]);
        match event["type"].as_str().unwrap() {
            "content_block_start" => blocks.push(event["content_block"].clone()),
            "content_block_delta" => match delta["type"].as_str().unwrap() {
                "input_json_delta" => {
                    let so_far = blocks[at]["json"].as_str().unwrap_or_default().to_owned();
                    blocks[at]["json"] = (so_far + delta["partial_json"].as_str().unwrap()).into();
                    blocks[at]["input"] =
                        serde_json::from_str(blocks[at]["json"].as_str().unwrap()).unwrap_or_default();
                }
                "signature_delta" => blocks[at]["signature"] = delta["signature"].clone(),
                _ => {
                    let field = if blocks[at]["type"] == "text" { "text" } else { "thinking" };
                    let so_far = blocks[at][field].as_str().unwrap().to_owned();
                    blocks[at][field] = (so_far + delta[field].as_str().unwrap()).into();
                }
            },
            _ => {}
        }
    }
    assert_eq!(blocks[0]["thinking"], "I look it up.");
    let back = json!({"messages": [{"role": "assistant", "content": blocks}]});
    assert_eq!(with(Dialect::Messages, back).unwrap().messages, [answer().message]);
}

#[test]
fn who_did_not_ask_for_thinking_reads_the_answer_first() {
    let plain = with(Dialect::Messages, json!({"thinking": null})).unwrap();
    let body: Value = serde_json::from_slice(&whole(&plain, &stamp(), &answer())).unwrap();
    assert_eq!(body["content"][0]["type"], "text");
    let stream = events(&streamed(&plain, &deltas(), &answer()));
    let first = stream.iter().find(|event| event["type"] == "content_block_start").unwrap();
    assert_eq!((&first["index"], &first["content_block"]["type"]), (&json!(0), &json!("text")));
}

#[test]
fn every_end_has_its_word() {
    let word = |dialect, stop| {
        let answer = Answer { stop, ..answer() };
        let body: Value = serde_json::from_slice(&whole(&rich(dialect), &stamp(), &answer)).unwrap();
        let said = match dialect {
            Dialect::Messages => &body["stop_reason"],
            Dialect::Chat => &body["choices"][0]["finish_reason"],
            Dialect::Responses if body["status"] == "completed" => &body["status"],
            Dialect::Responses => &body["incomplete_details"]["reason"],
        };
        said.as_str().unwrap().to_owned()
    };
    let words = [
        (Stop::Done, ["end_turn", "stop", "completed"]),
        (Stop::Use, ["tool_use", "tool_calls", "completed"]),
        (Stop::Length, ["max_tokens", "length", "max_output_tokens"]),
        (Stop::Refused, ["refusal", "content_filter", "content_filter"]),
    ];
    for (stop, expected) in words {
        assert_eq!(ALL.map(|dialect| word(dialect, stop)), expected);
    }
}

#[test]
fn a_provider_of_the_same_dialect_is_handed_on_as_it_is() {
    let raw = Bytes::from_static(b"event: message_start\ndata: {\"type\":  \"message_start\"}\n\n");
    let tail = Bytes::from_static(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    let answer = Answer { tail: tail.clone(), ..answer() };
    for dialect in ALL {
        let mut writer = AnswerWriter::new(&rich(dialect), stamp());
        assert_eq!((writer.delta(&Delta::Raw(raw.clone())), writer.finish(&answer)), (raw.clone(), tail.clone()));
        assert_eq!(whole(&rich(dialect), &stamp(), &answer), tail);
    }
}

#[test]
fn a_usage_that_a_client_did_not_ask_for_is_kept_from_it() {
    let last = "data: {\"choices\": [{\"delta\": {}, \"finish_reason\": \"stop\"}],\"usage\":null}\n\n";
    let usage = "data: {\"choices\": [],\"usage\":{\"prompt_tokens\":1}}\n\n";
    let tail = Bytes::from(format!("{last}{usage}data: [DONE]\n\n"));
    let ended = Answer { tail: tail.clone(), ..answer() };
    let finish = |incoming: &Incoming| AnswerWriter::new(incoming, stamp()).finish(&ended);
    assert_eq!(finish(&rich(Dialect::Chat)), format!("{last}data: [DONE]\n\n"));
    let raw = Delta::Raw(Bytes::from_static(usage.as_bytes()));
    assert!(AnswerWriter::new(&rich(Dialect::Chat), stamp()).delta(&raw).is_empty());
    let asked = with(Dialect::Chat, json!({"stream": true, "stream_options": {"include_usage": true}})).unwrap();
    assert_eq!(finish(&asked), tail);
}

#[test]
fn what_keeps_a_client_waiting_says_nothing() {
    assert!(keep_alive(Dialect::Messages).starts_with(b"event: ping\n"));
    assert!(keep_alive(Dialect::Chat).starts_with(b":") && keep_alive(Dialect::Responses).starts_with(b":"));
}

#[test]
fn models_are_listed_for_the_sdks_of_both_vendors() {
    let list = listed(&[("claude-opus-5".to_owned(), "anthropic".to_owned())]);
    assert_eq!(
        (&list["object"], &list["has_more"], &list["first_id"]),
        (&json!("list"), &json!(false), &json!("claude-opus-5"))
    );
    let model = &list["data"][0];
    assert_eq!(
        (&model["id"], &model["object"], &model["type"]),
        (&json!("claude-opus-5"), &json!("model"), &json!("model"))
    );
}
