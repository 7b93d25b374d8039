//! Gemini, decoded.

use domain::call::Stop;
use domain::message::Content;
use models::provider::ProviderError;
use models::wire::Wire;
use serde_json::json;

use crate::stream::{answer, contents, counts, failure, golden, text, wanted};

#[test]
fn words_and_cache_numbers_arrive_whole() {
    let (answer, deltas) = answer(Wire::Gemini, "text.sse");
    assert_eq!(contents(&answer), [text("Die Rechnung über 4.180 € ist offen: 請求書 🦀")]);
    assert_eq!((answer.stop, answer.served_model.as_deref()), (Stop::Done, Some("gemini-3-pro")));
    assert_eq!((counts(&answer), deltas.len()), ([2073, 31, 4096], 3));
}

#[test]
fn a_signature_stands_before_the_use_that_it_belongs_to() {
    let (answer, _) = answer(Wire::Gemini, "thought_tools.sse");
    let expected = [
        Content::Reasoning { text: "The ledger line is missing.".to_owned(), raw: json!({"thought": true}) },
        Content::Reasoning { text: String::new(), raw: json!({"thoughtSignature": "R29sZGVuIHNpZ25hdHVyZQ=="}) },
        wanted("call_0", "sap-invoice-read", json!({"company": "acme", "invoice_id": "INV-2041"})),
        wanted("given", "now", json!({})),
    ];
    assert_eq!((contents(&answer), answer.stop), (expected.to_vec(), Stop::Use));
    assert_eq!(counts(&answer), [612, 117, 0]);
}

#[test]
fn parts_that_are_not_known_are_kept() {
    let (answer, _) = answer(Wire::Gemini, "code.sse");
    let [Content::Other { raw: code }, Content::Other { raw: result }, said, Content::Reasoning { raw, .. }] =
        &contents(&answer)[..]
    else {
        panic!("{answer:?}")
    };
    assert_eq!((code["executableCode"]["code"].as_str(), said), (Some("print(1)"), &text("One.")));
    assert_eq!(
        (result["codeExecutionResult"]["output"].as_str(), raw["thoughtSignature"].as_str()),
        (Some("1"), Some("R29sZGVu"))
    );
}

#[test]
fn every_way_to_stop_is_told_apart() {
    for (name, stop) in [("length.sse", Stop::Length), ("safety.sse", Stop::Refused), ("blocked.sse", Stop::Refused)] {
        assert_eq!(answer(Wire::Gemini, name).0.stop, stop, "{name}");
    }
}

#[test]
fn errors_are_told_apart_by_when_they_come() {
    let early = failure(Wire::Gemini, "error_first.sse");
    let waits =
        matches!(early, ProviderError::Rejected { status: 429, retryable: true, retry_after_ms: Some(7000), .. });
    assert!(waits, "{early:?}");
    let late = failure(Wire::Gemini, "error_mid_stream.sse");
    assert!(late.is_possibly_billed() && late.to_string().contains("UNAVAILABLE: The model is overloaded."), "{late}");
    assert!(failure(Wire::Gemini, "truncated.sse").is_possibly_billed());
    let stream = golden(Wire::Gemini, "length.sse");
    let whole = Wire::Gemini.whole(&stream[6..], 3).expect("one event is a whole answer");
    assert_eq!((contents(&whole), whole.stop), (vec![text("Dear col")], Stop::Length));
}
