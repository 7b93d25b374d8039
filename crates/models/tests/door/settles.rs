//! What a call comes to is written once, when it ends, however it ends.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::call::{CallOutcome, Stop};
use domain::event::Event;
use domain::id::Digest;
use domain::message::{Content, Message, Origin, Role, Trust};
use models::price::PriceTable;
use models::provider::{Answer, Provider, ProviderError, Request, Sink, Usage};
use models::scripted::{Reply, Scripted, Step};
use models::{Performed, Prepared};
use serde_json::{Value, json};

use crate::world::{MODEL, PLAYED, call, changed, described, ended, hello, played_by, usd_and_calls, world};

#[tokio::test]
async fn an_answer_is_settled_at_its_real_price() {
    let mut world = world(vec![Step::Say(Reply::text("Good day."))]).await;
    let (rows, ticket) = world.may(1).await;
    let (held, spent) = changed(&rows);
    let Some(Event::ModelRequested { intent, model, max_output_tokens, scripted, .. }) = rows.events.last().cloned()
    else {
        panic!("{rows:?}")
    };
    assert_eq!((model.as_str(), max_output_tokens, scripted), ("claude-opus-4-7", 1000, true));
    assert!(held.usd_micros >= 25_000 && held.calls == 1 && spent == usd_and_calls(0, 0));
    let receipt = world.commit(rows).await;
    let Performed { event, rows, .. } = world.door.perform(ticket, &receipt, &|_| ()).await;
    let sent = &world.script.seen()[0];
    assert_eq!(intent.arguments_hash, Digest::of(&world.script.body(sent)));
    let (outcome, settlement) = ended(event);
    assert!(matches!(outcome, CallOutcome::Answered { stop: Some(Stop::Done), .. }));
    let usage = settlement.usage.clone().unwrap();
    let (input, output) = (usage["input_tokens"].as_i64().unwrap(), usage["output_tokens"].as_i64().unwrap());
    assert_eq!(settlement.amounts.usd_micros, 5 * input + 25 * output);
    assert_eq!((settlement.amounts.tokens, settlement.amounts.calls), (input + output, 1));
    assert_eq!(settlement.price_table, Some(PriceTable::compiled_in().hash()));
    assert_eq!((settlement.scripted, settlement.worst_case), (true, false));
    assert_eq!(settlement.served_model.as_deref(), Some("claude-opus-4-7"));
    let settled = (usd_and_calls(-held.usd_micros, -1), usd_and_calls(settlement.amounts.usd_micros, 1));
    assert_eq!(changed(&rows), settled);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_settled_at_its_worst_case() {
    let mut world = world(vec![Step::BreakOff(Reply::text("Good"))]).await;
    let (outcome, settlement, rows) = world.once(1).await;
    let CallOutcome::Unknown { error } = outcome else { panic!("{outcome:?}") };
    assert!(error.ends_with("it is possibly billed"), "{error}");
    assert!(settlement.worst_case);
    let (held, spent) = changed(&rows);
    assert_eq!((held.usd_micros, spent), (-spent.usd_micros, usd_and_calls(settlement.amounts.usd_micros, 1)));
}

#[tokio::test]
async fn rubbish_fails_and_is_possibly_billed() {
    let rubbish = ProviderError::Rubbish { protocol: "the format", reason: "a web page".to_owned() };
    let mut world = world(vec![Step::Fail(rubbish)]).await;
    let (outcome, settlement, _) = world.once(1).await;
    assert!(matches!(outcome, CallOutcome::Failed { retryable: false, .. }) && settlement.worst_case);
}

#[tokio::test]
async fn a_refusal_costs_one_call_and_no_money() {
    let refused = ProviderError::Rejected {
        status: 400,
        reason: "prompt is too long".to_owned(),
        retryable: false,
        retry_after_ms: None,
    };
    let mut world = world(vec![Step::Fail(refused)]).await;
    let (outcome, settlement, rows) = world.once(1).await;
    let CallOutcome::Failed { error, retryable: false, .. } = outcome else { panic!("{outcome:?}") };
    assert!(error.contains("HTTP 400") && error.contains("prompt is too long"), "{error}");
    assert!(!settlement.worst_case);
    assert_eq!(changed(&rows).1, usd_and_calls(0, 1));
}

#[tokio::test]
async fn a_call_in_doubt_after_a_crash_is_settled_at_its_worst_case() {
    let mut world = world(Vec::new()).await;
    let (rows, ticket) = world.may(1).await;
    let held = changed(&rows).0;
    let Some(Event::ModelRequested { intent, .. }) = rows.events.last().cloned() else { panic!("{rows:?}") };
    world.commit(rows).await;
    drop(ticket);
    let rows = world.door.in_doubt(call(1), 1, (&intent.holds, intent.worst));
    assert_eq!(changed(&rows), (usd_and_calls(-held.usd_micros, -1), held));
    let (outcome, settlement) = ended(rows.events[0].clone());
    assert!(matches!(outcome, CallOutcome::Unknown { .. }) && settlement.worst_case);
    assert_eq!(settlement.amounts, intent.worst);
}

/// Answers as another model, and says nothing of what it took unless told.
struct Other(u64);

#[async_trait]
impl Provider for Other {
    fn body(&self, request: &Request) -> Bytes {
        request.model.clone().into()
    }

    async fn send(&self, _: &Request, _: Bytes, _: Sink<'_>) -> Result<Answer, ProviderError> {
        let message = Message::text(Role::Agent, Origin::Model, "Hello");
        let usage = Usage { output: self.0, raw: json!({"output_tokens": self.0}), ..Usage::default() };
        Ok(Answer {
            message,
            stop: Stop::Done,
            usage,
            served_model: Some("claude-opus-4-8".to_owned()),
            tail: Bytes::new(),
        })
    }
}

#[tokio::test]
async fn a_pinned_revision_is_sent_and_another_model_that_answers_is_recorded() {
    let pinned = "name: claude-opus-4-7, pinned_revision: \"2026-02-14\"";
    let provider = format!("{PLAYED}\n  revisions: {{claude-opus-4-7: {{\"2026-02-14\": claude-opus-4-7-20260416}}}}");
    let mut world = played_by(pinned, &provider, Arc::new(Other(9)), Arc::new(Scripted::play(Vec::new()))).await;
    let (rows, ticket) = world.may(1).await;
    assert!(
        matches!(rows.events.last(), Some(Event::ModelRequested { model, .. }) if model == "claude-opus-4-7-20260416")
    );
    let receipt = world.commit(rows).await;
    let (_, settlement) = ended(world.door.perform(ticket, &receipt, &|_| ()).await.event);
    assert_eq!(settlement.served_model.as_deref(), Some("claude-opus-4-8"));
    assert_eq!((settlement.amounts.usd_micros, settlement.scripted), (9 * 25, false));
}

#[tokio::test]
async fn an_answer_without_usage_is_not_free() {
    let mut world = played_by(MODEL, PLAYED, Arc::new(Other(0)), Arc::new(Scripted::play(Vec::new()))).await;
    let (outcome, settlement, _) = world.once(1).await;
    assert!(matches!(outcome, CallOutcome::Answered { .. }));
    assert!(settlement.worst_case && settlement.amounts.usd_micros > 0);
}

#[tokio::test]
async fn the_providers_own_prices_are_charged() {
    let provider = format!("{PLAYED}\n  prices: {{claude-opus-4-7: {{free: true}}}}");
    let mut world = described(MODEL, &provider, vec![Step::Say(Reply::text("Free."))]).await;
    let (_, settlement, _) = world.once(1).await;
    assert_eq!(settlement.amounts.usd_micros, 0);
    assert!(settlement.amounts.tokens > 0 && settlement.price_table.is_some());
}

#[tokio::test]
async fn words_are_worth_no_more_trust_than_what_was_read() {
    let steps = || vec![Step::Say(Reply::text("So it says."))];
    for trust in [Trust::Trusted, Trust::Untrusted] {
        let mut world = world(steps()).await;
        let mut read = hello();
        read.parts[0].trust = trust;
        let ask = world.ask(1, vec![read]);
        let Prepared::Go(rows, ticket) = world.door.prepare(&ask).await else { panic!("it may") };
        let receipt = world.commit(rows).await;
        let (outcome, _) = ended(world.door.perform(ticket, &receipt, &|_| ()).await.event);
        let CallOutcome::Answered { message, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(message.parts[0].trust, trust);
    }
}

#[tokio::test]
async fn an_absurd_count_is_settled_at_the_worst_case_and_not_counted() {
    let absurd = Arc::new(Other(i64::MAX as u64));
    let mut world = played_by(MODEL, PLAYED, absurd, Arc::new(Scripted::play(Vec::new()))).await;
    let (outcome, settlement, rows) = world.once(1).await;
    assert!(matches!(outcome, CallOutcome::Failed { retryable: false, .. }), "{outcome:?}");
    assert!(settlement.worst_case && settlement.amounts.tokens < 10_000, "{settlement:?}");
    world.commit(rows).await;
}

#[tokio::test]
async fn arguments_that_could_not_be_read_again_are_kept_as_they_were_written() {
    let deep = (0..126).fold(json!(1), |inner, _| json!({"a": inner}));
    let mut world = world(vec![Step::Say(Reply::text("").using("draft", deep.clone()))]).await;
    let CallOutcome::Answered { message, .. } = world.once(1).await.0 else { panic!("it answers") };
    let Content::Use { arguments, malformed, .. } = &message.parts[0].content else { panic!("{message:?}") };
    assert_eq!((arguments, malformed.as_ref()), (&Value::Null, Some(&deep.to_string())));
}

#[tokio::test]
async fn the_same_conversation_has_the_same_hashes() {
    let world = world(Vec::new()).await;
    let hashes = |rows: &data::rows::Rows| match rows.events.last() {
        Some(Event::ModelRequested { intent, .. }) => (intent.arguments_hash, intent.schema_hash),
        other => panic!("{other:?}"),
    };
    let (first, _one) = world.may(1).await;
    let (second, _two) = world.may(2).await;
    assert_eq!(hashes(&first), hashes(&second));
    assert_eq!(hashes(&first).1, Digest::of_json(&Value::Array(Vec::new())));
}
