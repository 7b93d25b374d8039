//! The golden streams, decoded. Their sources are named in the README beside them.

use std::cell::RefCell;
use std::path::PathBuf;

use bytes::Bytes;
use domain::call::Stop;
use domain::message::Content;
use models::provider::{Answer, Delta, ProviderError};
use models::wire::Wire;
use serde_json::{Value, json};

type Decoded = (Result<Answer, ProviderError>, Vec<Delta>);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/anthropic")
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).expect("the golden file is there")
}

fn decode(chunks: &[&[u8]]) -> Decoded {
    let deltas = RefCell::new(Vec::new());
    let mut reader = Wire::Anthropic.reader(0);
    let pushed = chunks
        .iter()
        .try_for_each(|chunk| reader.push(&Bytes::copy_from_slice(chunk), &|delta| deltas.borrow_mut().push(delta)));
    (pushed.and_then(|()| reader.finish()), deltas.into_inner())
}

fn answer(name: &str) -> Answer {
    decode(&[&golden(name)]).0.expect("the stream is complete")
}

fn contents(answer: &Answer) -> Vec<Content> {
    answer.message.parts.iter().map(|part| part.content.clone()).collect()
}

fn text(text: &str) -> Content {
    Content::Text { text: text.to_owned() }
}

fn wanted(use_id: &str, capability: &str, arguments: Value) -> Content {
    Content::Use { use_id: use_id.to_owned(), capability: capability.to_owned(), arguments, malformed: None }
}

#[test]
fn every_split_of_every_golden_stream_decodes_alike() {
    let mut streams = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sse") {
            continue;
        }
        streams += 1;
        let stream = std::fs::read(&path).unwrap();
        let whole = decode(&[&stream]);
        for at in 0..=stream.len() {
            let (left, right) = stream.split_at(at);
            assert_eq!(decode(&[left, right]), whole, "{} split at {at}", path.display());
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(decode(&single), whole, "{} byte by byte", path.display());
    }
    assert!(streams >= 11, "{streams}");
}

#[test]
fn words_and_cache_numbers_arrive_whole() {
    let (answer, deltas) = decode(&[&golden("text.sse")]);
    let answer = answer.unwrap();
    assert_eq!(contents(&answer), [text("Die Rechnung über 4.180 € ist offen: 請求書 🦀")]);
    assert_eq!((answer.stop, answer.served_model.as_deref()), (Stop::Done, Some("claude-opus-4-7-20260416")));
    let usage = &answer.usage;
    let counts = [usage.input, usage.output, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h];
    assert_eq!(counts, [25, 31, 4096, 2000, 48]);
    assert_eq!(usage.total(), 6200);
    assert_eq!(usage.raw["service_tier"], "standard");
    assert_eq!(deltas.len(), 4);
    assert_eq!(deltas[0], Delta::Text("Die Rech".to_owned()));
}

#[test]
fn parallel_uses_keep_their_order_and_arguments() {
    let answer = answer("parallel_tools.sse");
    let expected = [
        text("I read both sides."),
        wanted("toolu_golden_a", "sap-invoice-read", json!({"company": "acme", "invoice_id": "INV-2041"})),
        wanted("toolu_golden_b", "ledger-read", json!({"company": "acme", "limit": 200, "offset": 0})),
        wanted("toolu_golden_c", "now", json!({})),
    ];
    assert_eq!(contents(&answer), expected);
    assert_eq!((answer.stop, answer.usage.input, answer.usage.output), (Stop::Use, 612, 117));
}

#[test]
fn reasoning_keeps_its_signature_and_stands_before_its_action() {
    let (answer, deltas) = decode(&[&golden("thinking_then_tool.sse")]);
    let answer = answer.unwrap();
    let words = "The invoice is there,\nthe ledger line is not — so it was never booked.";
    let signature = "R29sZGVuIHNpZ25hdHVyZSwgd29ydGggbm90aGluZw==";
    let raw = json!({"type": "thinking", "thinking": words, "signature": signature});
    let [reasoning, Content::Use { arguments, .. }] = &contents(&answer)[..] else { panic!("{answer:?}") };
    assert_eq!(*reasoning, Content::Reasoning { text: words.to_owned(), raw });
    assert_eq!(arguments["amount_usd"], 4180.0);
    assert!(
        matches!(&deltas[..], [Delta::Reasoning(_), Delta::Reasoning(_), Delta::UseStarted { index: 0, name, .. }, ..] if name == "email-draft")
    );
}

#[test]
fn redacted_reasoning_is_kept_unread() {
    let raw = json!({"type": "redacted_thinking", "data": "R29sZGVuIHJlZGFjdGVkIGRhdGE="});
    let expected = [Content::Reasoning { text: String::new(), raw }, text("Done.")];
    assert_eq!(contents(&answer("redacted_thinking.sse")), expected);
}

#[test]
fn blocks_of_server_tools_are_kept_as_they_came() {
    let answer = answer("server_tool.sse");
    let [_, Content::Other { raw: asked }, Content::Other { raw: found }, last] = &contents(&answer)[..] else {
        panic!("{answer:?}")
    };
    let input = json!({"query": "ledger"});
    assert_eq!(
        *asked,
        json!({"type": "server_tool_use", "id": "srvtoolu_golden", "name": "web_search", "input": input})
    );
    assert_eq!(found["content"][0]["encrypted_content"], "R29sZGVu");
    assert_eq!(*last, text("A book."));
    assert_eq!((answer.stop, answer.usage.input, answer.usage.output), (Stop::Done, 9802, 70));
    assert_eq!(answer.usage.raw["server_tool_use"]["web_search_requests"], 1);
}

#[test]
fn a_refusal_is_an_answer() {
    assert_eq!(answer("refusal.sse").stop, Stop::Refused);
}

#[test]
fn an_answer_that_was_cut_off_says_so_and_keeps_the_pieces() {
    let answer = answer("max_tokens.sse");
    assert_eq!(answer.stop, Stop::Length);
    let [_, Content::Use { malformed: Some(pieces), arguments: Value::Null, .. }] = &contents(&answer)[..] else {
        panic!("{answer:?}")
    };
    assert_eq!(pieces, "{\"to\": \"ap@acme.example\", \"body\": \"Dear col");
}

#[test]
fn arguments_that_are_not_json_are_kept_as_they_were_written() {
    let answer = answer("malformed_tool.sse");
    let [Content::Use { malformed: Some(written), .. }] = &contents(&answer)[..] else { panic!("{answer:?}") };
    assert_eq!(written, "{\"company\": \"acme\", \"limit\": ten}");
    assert_eq!(answer.stop, Stop::Use);
}

#[test]
fn an_error_in_the_middle_is_possibly_billed_and_one_at_the_start_is_a_refusal() {
    let (late, deltas) = decode(&[&golden("error_mid_stream.sse")]);
    let late = late.unwrap_err();
    assert!(late.is_possibly_billed() && !late.may_be_sent_again());
    assert!(late.to_string().contains("overloaded_error: Overloaded (request req_golden)"), "{late}");
    assert_eq!(deltas, [Delta::Text("I begin".to_owned())]);
    let early = decode(&[&golden("error_first.sse")]).0.unwrap_err();
    assert!(early.may_be_sent_again() && !early.is_possibly_billed());
    assert!(matches!(early, ProviderError::Rejected { status: 529, .. }));
}

#[test]
fn a_stream_that_ends_in_the_middle_is_unknown_wherever_it_ends() {
    let reason = "the stream ended in the middle of the answer";
    let stream = golden("text.sse");
    let start = stream.windows(2).position(|pair| pair == b"\n\n").unwrap() + 2;
    let last = stream.windows(19).position(|words| words == b"event: message_stop").unwrap();
    for end in start..last {
        let failure = decode(&[&stream[..end]]).0.unwrap_err();
        assert!(matches!(&failure, ProviderError::Unknown { reason: said } if said == reason), "{end}: {failure}");
    }
    let nothing = decode(&[b": hello\n\n"]).0.unwrap_err();
    assert!(nothing.to_string().ends_with("the stream ended before the answer began"), "{nothing}");
}

#[test]
fn a_body_that_is_no_stream_of_this_format_is_rubbish() {
    for body in ["data: hello\n\n", "data: {\"a\":1}\n\n", "data: {\"type\":\"content_block_start\"}\n\n"] {
        assert!(matches!(decode(&[body.as_bytes()]).0, Err(ProviderError::Rubbish { .. })), "{body}");
    }
    assert!(matches!(decode(&[b"data: \xff\n\n"]).0, Err(ProviderError::Rubbish { .. })));
}

#[test]
fn a_real_engines_stream_is_understood() {
    let (answer, deltas) = decode(&[&golden("engine-smollm2.sse")]);
    let answer = answer.unwrap();
    assert!(answer.message.words().starts_with("The capital of France is Paris"));
    assert_eq!(answer.served_model.as_deref(), Some("SmolLM2-135M-Instruct.Q4_1.gguf"));
    assert_eq!((answer.usage.input, answer.usage.cache_read), (1, 24));
    assert_eq!(deltas.len() as u64, answer.usage.output);
}
