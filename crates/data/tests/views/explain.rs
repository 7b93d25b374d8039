//! From a call back to the intent.

use data::explain::{Explanation, Source, render};
use domain::event::Event;
use domain::id::Digest;
use serde_json::json;

use crate::story::{Story, name, payment, reconciliation};

fn explain(story: &Story, ordinal: u32) -> Explanation {
    let instructions = "Always write the subject Payment request.";
    Explanation::of(story.call(ordinal), &story.records(), instructions).unwrap()
}

fn sources<'a>(explanation: &'a Explanation, path: &str) -> &'a [Source] {
    &explanation.origins.iter().find(|origin| origin.path == path).unwrap().sources
}

#[test]
fn a_write_leads_back_to_what_the_person_asked() {
    let explanation = explain(&reconciliation(), 5);
    assert!(explanation.resolved, "{:?}", explanation.missing);
    let intent = explanation.intent.as_ref().unwrap();
    assert_eq!(
        (intent.from.clone(), intent.text.as_str()),
        (Some(name("ana")), "Reconcile invoice INV-7 of 4,180.00 USD")
    );
    assert_eq!(explanation.revision, Digest::of(b"revision 1"));
    assert_eq!(explanation.asked_by.as_ref().unwrap().reasoning, ["Nothing is posted: ask for the payment."]);
    assert_eq!(explanation.decided.as_ref().unwrap().policy_ids, ["descriptor/tools"]);
    assert_eq!(explanation.spending[0].holds[0].amount, 50_000);
    let consent = &explanation.consents[0];
    assert!(consent.signed && consent.used && consent.differs.is_empty(), "{consent:?}");
}

#[test]
fn each_argument_is_traced_to_where_it_stands_word_for_word() {
    let story = reconciliation();
    let explanation = explain(&story, 5);
    let vendor =
        Source::Capability { call: story.call(3), name: "mcp://gateway/vendor-read".to_owned(), trusted: false };
    assert_eq!(sources(&explanation, "/to"), [vendor]);
    assert!(
        matches!(sources(&explanation, "/amount_usd"), [Source::Request { who: Some(who), .. }] if *who == name("ana"))
    );
    assert_eq!(sources(&explanation, "/subject"), [Source::Instructions]);
    assert_eq!(sources(&explanation, "/urgent"), [Source::Default]);
    assert!(explanation.origins.iter().any(|origin| origin.only_untrusted()));
}

#[test]
fn what_stands_nowhere_was_made_by_the_model_and_what_a_person_edited_by_them() {
    let mut story = reconciliation();
    let edited = json!({"to": "ap@acme.example", "amount_usd": 4000, "subject": "Payment request", "urgent": false});
    let (decides, uses) =
        (story.decides(5, true, Some(edited.clone())), story.uses(5, "email-draft", &edited, Some(1)));
    story.told[5].2 = vec![decides, uses];
    let explanation = explain(&story, 5);
    assert!(explanation.resolved, "{:?}", explanation.missing);
    assert!(matches!(sources(&explanation, "/amount_usd"), [Source::Edited { person, .. }] if *person == name("bo")));
    let explanation = Explanation::of(story.call(5), &story.records(), "").unwrap();
    assert_eq!(sources(&explanation, "/subject"), [Source::Model]);
}

#[test]
fn a_call_that_was_sent_otherwise_than_consented_does_not_resolve() {
    let mut story = reconciliation();
    let mut other = payment();
    other["amount_usd"] = json!(9999);
    let uses = story.uses(5, "email-draft", &other, Some(1));
    story.told[5].2[1] = uses;
    let explanation = explain(&story, 5);
    assert!(!explanation.resolved);
    assert!(explanation.missing[0].contains("arguments"), "{:?}", explanation.missing);
    assert!(render(&explanation).contains("THIS DOES NOT LEAD BACK"));
}

#[test]
fn a_call_without_a_verdict_or_without_a_message_does_not_resolve() {
    let mut story = reconciliation();
    story.told[5].2.remove(0);
    assert!(explain(&story, 5).missing[0].contains("which nobody gave"));
    let mut story = reconciliation();
    story.told[0].2.retain(|event| !matches!(event, Event::MessageReceived { .. }));
    assert!(!explain(&story, 4).resolved);
}

#[test]
fn a_model_call_is_explained_too_and_an_unknown_call_is_not() {
    let story = reconciliation();
    let explanation = explain(&story, 4);
    assert_eq!((explanation.of.as_str(), explanation.what.as_str()), ("model", "claude-x"));
    assert!(explanation.resolved, "{:?}", explanation.missing);
    assert_eq!(Explanation::of(story.call(99), &story.records(), ""), None);
}

#[test]
fn the_words_say_who_why_under_what_and_for_how_much() {
    let story = reconciliation();
    let text = render(&explain(&story, 5));
    for line in [
        "asked by ana at 2026-11-22 08:00:00: “Reconcile invoice INV-7 of 4,180.00 USD”",
        "done by agent reconciliation-finance of finance-platform",
        "because: Nothing is posted: ask for the payment.",
        "decided at control position 4",
        "approved by bo at 2026-11-22 08:03:08: “matches the ledger”",
        "what was sent is exactly what was consented to",
        "/to = \"ap@acme.example\": returned by mcp://gateway/vendor-read in call 3 (untrusted)",
        "/urgent = false: a default of the capability's schema",
        "held 50000 of agent/reconciliation-finance/usd_micros_per_day; came to 1 external action",
        "answered: drafted as D-1",
        "this leads back to what was asked, without a gap",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}
