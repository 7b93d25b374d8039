//! OpenAI Responses, decoded.

use domain::call::Stop;
use domain::message::Content;
use models::provider::{Delta, ProviderError};
use models::wire::Wire;
use serde_json::json;

use crate::stream::{answer, contents, counts, failure, golden, text, wanted};

#[test]
fn words_and_cache_numbers_arrive_whole() {
    let (answer, deltas) = answer(Wire::Responses, "text.sse");
    assert_eq!(contents(&answer), [text("Die Rechnung über 4.180 € ist offen: 請求書 🦀")]);
    assert_eq!((answer.stop, answer.served_model.as_deref()), (Stop::Done, Some("gpt-5.5-2026-04-23")));
    assert_eq!((counts(&answer), deltas.len()), ([2073, 31, 4096], 3));
}

#[test]
fn reasoning_is_kept_sealed_before_the_uses_that_it_led_to() {
    let (answer, deltas) = answer(Wire::Responses, "reasoning_tools.sse");
    let [Content::Reasoning { text, raw }, first, second] = &contents(&answer)[..] else { panic!("{answer:?}") };
    assert_eq!(text, "The ledger line is missing.");
    assert_eq!(
        (raw["encrypted_content"].as_str(), raw["id"].as_str()),
        (Some("R29sZGVuIHNlYWxlZCByZWFzb25pbmc="), Some("rs_golden"))
    );
    assert_eq!(
        *first,
        wanted("call_golden_a", "sap-invoice-read", json!({"company": "acme", "invoice_id": "INV-2041"}))
    );
    assert_eq!(*second, wanted("call_golden_b", "ledger-read", json!({"company": "acme", "limit": 200})));
    assert_eq!((answer.stop, answer.usage.output), (Stop::Use, 117));
    let pieces: String = deltas
        .iter()
        .filter_map(|delta| match delta {
            Delta::Arguments { index: 0, piece } => Some(piece.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(pieces, r#"{"company":"acme","invoice_id":"INV-2041"}"#);
}

#[test]
fn items_of_server_tools_are_kept_as_they_came() {
    let (answer, _) = answer(Wire::Responses, "server_tool.sse");
    let [Content::Other { raw }, last] = &contents(&answer)[..] else { panic!("{answer:?}") };
    assert_eq!((raw["action"]["query"].as_str(), last), (Some("ledger"), &text("A book.")));
    assert_eq!(answer.stop, Stop::Done);
}

#[test]
fn every_way_to_stop_is_told_apart() {
    let (cut, _) = answer(Wire::Responses, "incomplete.sse");
    assert_eq!((cut.stop, contents(&cut)), (Stop::Length, vec![text("Dear col")]));
    let (refused, _) = answer(Wire::Responses, "refusal.sse");
    assert_eq!((refused.stop, contents(&refused)), (Stop::Refused, vec![text("I can't help with that.")]));
}

#[test]
fn errors_are_told_apart_by_when_they_come() {
    for name in ["failed_first.sse", "error_first.sse"] {
        let early = failure(Wire::Responses, name);
        assert!(early.may_be_sent_again() && !early.is_possibly_billed(), "{name}: {early}");
    }
    assert!(matches!(failure(Wire::Responses, "error_first.sse"), ProviderError::Rejected { status: 529, .. }));
    let late = failure(Wire::Responses, "failed_mid_stream.sse");
    assert!(late.is_possibly_billed() && late.to_string().contains("server_error: The model failed"), "{late}");
    assert!(failure(Wire::Responses, "truncated.sse").is_possibly_billed());
    let background = br#"{"id":"resp_1","status":"queued","output":[]}"#;
    assert!(matches!(Wire::Responses.whole(background, 0), Err(ProviderError::Unknown { .. })));
}

#[test]
fn a_real_engine_is_understood_streamed_and_whole() {
    let (streamed, deltas) = answer(Wire::Responses, "engine-smollm2.sse");
    assert_eq!(streamed.message.words(), "The capital of France is Paris.");
    assert_eq!((streamed.usage.output, deltas.len()), (8, 7));
    let whole = Wire::Responses.whole(&golden(Wire::Responses, "engine-smollm2.json"), 0).expect("an answer");
    assert_eq!((whole.message, whole.stop, whole.usage.cache_read), (streamed.message, streamed.stop, 24));
    let messages = Wire::Anthropic.whole(&golden(Wire::Anthropic, "engine-smollm2.json"), 0).expect("an answer");
    assert_eq!((messages.message.words().as_str(), counts(&messages)), ("The capital of France is Paris.", [1, 8, 24]));
}
