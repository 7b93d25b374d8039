//! A client's own bytes to a provider of its dialect: what must change changes, and every other byte stays.

use bytes::Bytes;
use models::ingress::{Dialect, read, verbatim};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{ALL, MESSAGES, incoming, rich};

fn sent(dialect: Dialect, body: &str, (model, most): (&str, u32)) -> String {
    String::from_utf8(verbatim(&incoming(dialect, body), model, most, None).to_vec()).expect("it is there")
}

#[test]
fn what_need_not_change_is_sent_as_it_came() {
    let said = rich(Dialect::Messages);
    assert_eq!(verbatim(&said, "claude-sonnet-5", 32000, None), said.body);
    let said = rich(Dialect::Responses);
    assert_eq!(verbatim(&said, "gpt-5.5", 900, None), said.body);
    let said = rich(Dialect::Chat);
    assert_eq!(verbatim(&said, "gpt-5.5", 900, None), said.body);
}

#[test]
fn the_model_and_the_cap_change_and_nothing_else() {
    let expected = MESSAGES
        .replace("\"claude-sonnet-5\"", "\"claude-opus-5\"")
        .replace("\"max_tokens\": 32000", "\"max_tokens\": 9000");
    assert_eq!(sent(Dialect::Messages, MESSAGES, ("claude-opus-5", 9000)), expected);
}

#[test]
fn thinking_stays_below_the_cap() {
    let body: Value = serde_json::from_str(&sent(Dialect::Messages, MESSAGES, ("claude-opus-5", 4000))).unwrap();
    let expected = json!({"type": "enabled", "budget_tokens": 3999, "display": "summarized"});
    assert_eq!((&body["max_tokens"], &body["thinking"]), (&json!(4000), &expected));
    let body: Value = serde_json::from_str(&sent(Dialect::Messages, MESSAGES, ("claude-opus-5", 1000))).unwrap();
    assert_eq!(body["thinking"], json!({"type": "disabled"}));
}

#[test]
fn a_cap_that_is_missing_is_put_behind_the_last_field() {
    let chat = "{ \"model\" : \"m\",\n\t\"messages\":[ ] ,\"seed\": 7.50\n}\n";
    let expected = "{ \"model\" : \"n\",\n\t\"messages\":[ ] ,\"seed\": 7.50,\"max_completion_tokens\":50\n}\n";
    assert_eq!(sent(Dialect::Chat, chat, ("n", 50)), expected);
    let responses = "{\"model\":\"m\",\"input\":\"é\\u00e9\"}";
    assert_eq!(
        sent(Dialect::Responses, responses, ("m", 50)),
        "{\"model\":\"m\",\"input\":\"é\\u00e9\",\"max_output_tokens\":50}"
    );
}

#[test]
fn both_names_of_the_chat_cap_are_bound_and_neither_is_raised() {
    let body = r#"{"model":"m","messages":[],"max_tokens":20,"max_completion_tokens":90}"#;
    let expected = r#"{"model":"m","messages":[],"max_tokens":20,"max_completion_tokens":50}"#;
    assert_eq!(sent(Dialect::Chat, body, ("m", 50)), expected);
}

#[test]
fn a_stream_of_chat_tells_its_usage() {
    let plain = r#"{"model":"m","messages":[],"max_tokens":9,"stream":true}"#;
    let expected =
        r#"{"model":"m","messages":[],"max_tokens":9,"stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(sent(Dialect::Chat, plain, ("m", 50)), expected);
    let no =
        r#"{"model":"m","messages":[],"max_tokens":9,"stream":true,"stream_options":{"include_usage": false, "x":1}}"#;
    assert_eq!(sent(Dialect::Chat, no, ("m", 50)), no.replace("false", "true"));
    let empty = r#"{"model":"m","messages":[],"max_tokens":9,"stream":true,"stream_options":{ }}"#;
    assert_eq!(sent(Dialect::Chat, empty, ("m", 50)), empty.replace("{ }", r#"{"include_usage":true }"#));
    let null = r#"{"model":"m","messages":[],"max_tokens":9,"stream":true,"stream_options":null}"#;
    assert_eq!(sent(Dialect::Chat, null, ("m", 50)), null.replace("null", r#"{"include_usage":true}"#));
}

/// A JSON value as somebody may write it: with white space anywhere, escapes, and numbers of any form.
fn written() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("1.50e+02".to_owned()),
        Just("-0.0".to_owned()),
        Just("12345678901234567890123".to_owned()),
        Just(r#""\u0041 \/ \"quoted\"""#.to_owned()),
        "[a-zé😀 ]{0,8}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let item =
            (space(), inner, space()).prop_map(|(before, value, after)| format!("{before}{value}{after}")).boxed();
        prop_oneof![
            prop::collection::vec(item.clone(), 1..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(("[a-z]{1,5}", space(), item), 1..4).prop_map(|fields| {
                let fields =
                    fields.iter().enumerate().map(|(at, (key, gap, value))| format!("\"{key}{at}\"{gap}:{value}"));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", " ", "\n", "\t", "\r\n  "])
}

/// Fields that nobody knows, with the white space around them: before the name, behind it, the value, behind it.
fn unknown() -> impl Strategy<Value = Vec<(&'static str, &'static str, String, &'static str)>> {
    prop::collection::vec((space(), space(), written(), space()), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_other_byte_is_kept(before in unknown(), after in unknown(), gap in space(), client in 1u32..9000, most in 1u32..9000) {
        for (dialect, conversation, cap) in [
            (Dialect::Messages, "\"messages\": []", "max_tokens"),
            (Dialect::Chat, "\"messages\": []", "max_completion_tokens"),
            (Dialect::Responses, "\"input\": \"\"", "max_output_tokens"),
        ] {
            let field = |side: &str, at: usize, (a, b, value, c): &(&str, &str, String, &str)| {
                format!("{a}\"x-{side}{at}\"{b}:{value}{c}")
            };
            let fields = |model: &str, cap_said: u32| {
                let mut fields: Vec<String> = before.iter().enumerate().map(|(at, it)| field("b", at, it)).collect();
                fields.push(format!("{gap}\"model\"{gap}:{gap}\"{model}\""));
                fields.push(format!("{gap}{conversation}"));
                fields.push(format!("\"{cap}\":{gap}{cap_said}{gap}"));
                fields.extend(after.iter().enumerate().map(|(at, it)| field("a", at, it)));
                format!("{gap}{{{}}}{gap}", fields.join(","))
            };
            let body = fields("small", client);
            let said = read(dialect, Bytes::from(body), &[]).expect("it can be read");
            let bound = client.min(most);
            let sent = verbatim(&said, "large", bound, None);
            prop_assert_eq!(String::from_utf8_lossy(&sent), fields("large", bound));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in written()) {
        for dialect in ALL {
            read(dialect, Bytes::from(bytes.clone()), &[]).ok();
            let body = format!("{{\"model\":\"m\",\"messages\":{text},\"input\":{text},\"tools\":{text},\"system\":{text}}}");
            if let Ok(said) = read(dialect, Bytes::from(body), &[]) {
                verbatim(&said, "n", 5, None);
            }
        }
    }
}
