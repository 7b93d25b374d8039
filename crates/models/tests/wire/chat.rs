//! OpenAI Chat Completions, decoded.

use domain::call::Stop;
use domain::message::Content;
use models::provider::{Delta, ProviderError};
use models::wire::Wire;
use serde_json::{Value, json};

use crate::stream::{answer, contents, counts, failure, golden, text, wanted};

#[test]
fn words_and_cache_numbers_arrive_whole() {
    let (answer, deltas) = answer(Wire::Chat, "text.sse");
    assert_eq!(contents(&answer), [text("Die Rechnung über 4.180 € ist offen: 請求書 🦀")]);
    assert_eq!((answer.stop, answer.served_model.as_deref()), (Stop::Done, Some("gpt-5.5-2026-04-23")));
    assert_eq!((counts(&answer), deltas.len()), ([2073, 31, 4096], 3));
    assert_eq!(answer.usage.raw["prompt_tokens_details"]["cached_tokens"], 4096);
}

#[test]
fn parallel_uses_keep_their_order_and_arguments() {
    let (answer, deltas) = answer(Wire::Chat, "parallel_tools.sse");
    let expected = [
        text("I read both sides."),
        wanted("call_golden_a", "sap-invoice-read", json!({"company": "acme", "invoice_id": "INV-2041"})),
        wanted("call_golden_b", "ledger-read", json!({"company": "acme", "limit": 200})),
        wanted("call_golden_c", "now", json!({})),
    ];
    assert_eq!((contents(&answer), answer.stop), (expected.to_vec(), Stop::Use));
    let began = |i| matches!(&deltas[i], Delta::UseStarted { index: 0, id, .. } if id == "call_golden_a");
    assert!(began(1), "{deltas:?}");
    assert_eq!(deltas[2], Delta::Arguments { index: 0, piece: "{\"company\":\"ac".to_owned() });
}

#[test]
fn what_compatible_servers_leave_out_loses_nothing() {
    let (answer, _) = answer(Wire::Chat, "compatible.sse");
    let [Content::Reasoning { text, raw }, first, second] = &contents(&answer)[..] else { panic!("{answer:?}") };
    assert_eq!((text.as_str(), raw), ("First the ledger.", &json!({"reasoning_content": "First the ledger."})));
    assert_eq!(*first, wanted("call_0", "ledger-read", json!({"company": "acme"})));
    assert_eq!(*second, wanted("call_1", "now", json!({})));
    assert_eq!((answer.stop, counts(&answer)), (Stop::Use, [9, 12, 0]));
}

#[test]
fn every_way_to_stop_is_told_apart() {
    let (cut, _) = answer(Wire::Chat, "length_malformed.sse");
    let [Content::Use { malformed: Some(written), arguments: Value::Null, .. }] = &contents(&cut)[..] else {
        panic!("{cut:?}")
    };
    assert_eq!((cut.stop, written.ends_with("Dear")), (Stop::Length, true));
    let (refused, deltas) = answer(Wire::Chat, "refusal.sse");
    assert_eq!((refused.stop, contents(&refused)), (Stop::Refused, vec![text("I can't help with that.")]));
    assert_eq!(deltas.len(), 2);
    assert_eq!(answer(Wire::Chat, "content_filter.sse").0.stop, Stop::Refused);
    let (first, _) = answer(Wire::Chat, "two_choices.sse");
    assert_eq!((contents(&first), first.usage.output), (vec![text("Heads")], 2));
}

#[test]
fn errors_are_told_apart_by_when_they_come() {
    let early = failure(Wire::Chat, "error_first.sse");
    assert!(matches!(early, ProviderError::Rejected { status: 429, retryable: true, .. }), "{early}");
    let late = failure(Wire::Chat, "error_mid_stream.sse");
    assert!(late.is_possibly_billed() && late.to_string().contains("server_error: The server had an error"), "{late}");
    let cut = failure(Wire::Chat, "truncated.sse");
    assert!(cut.to_string().ends_with("the stream ended in the middle of the answer"), "{cut}");
    let body =
        br#"{"error":{"message":"You exceeded your quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    assert!(!models::wire::refused(429, body, None).may_be_sent_again());
}

#[test]
fn a_real_engine_is_understood_streamed_and_whole() {
    let (streamed, deltas) = answer(Wire::Chat, "engine-smollm2.sse");
    assert_eq!(streamed.message.words(), "The capital of France is Paris.");
    assert_eq!((streamed.usage.output, counts(&streamed)[0], deltas.len()), (8, 25, 7));
    let whole = Wire::Chat.whole(&golden(Wire::Chat, "engine-smollm2.json"), 0).expect("an answer");
    assert_eq!((whole.message, whole.stop), (streamed.message, streamed.stop));
    assert_eq!((whole.usage.input, whole.usage.cache_read, whole.usage.output), (1, 24, 8));
    let (held, _) = answer(Wire::Chat, "engine-constrained.sse");
    let said: Value = serde_json::from_str(&held.message.words()).expect("it was held to JSON");
    assert_eq!(said, json!({"tool": "ledger-read", "arguments": {"company": "acme"}}));
}
