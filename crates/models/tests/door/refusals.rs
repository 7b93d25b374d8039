//! What is not allowed, not ready or not durable is not sent.

use domain::call::CallOutcome;
use domain::control::{ControlEvent, Scope};
use domain::decision::RefusedBy;
use domain::event::Event;
use models::scripted::{Reply, Step};
use models::{Performed, Prepared};

use crate::world::{MODEL, PLAYED, World, changed, described, ended, usd_and_calls, world};

async fn refused(world: &World) -> (RefusedBy, String) {
    match world.prepare(1).await {
        Prepared::Refuse(rows, refusal) => {
            assert!(matches!(rows.events.last(), Some(Event::CallRefused { model: true, .. })), "{rows:?}");
            assert!(rows.holdings.is_empty() && !refusal.next.is_empty());
            (refusal.by, refusal.reason)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_unknown_revision_is_refused_with_the_known_ones() {
    let pinned = "name: claude-opus-4-7, pinned_revision: \"2026-02-14\"";
    let provider = "protocol: anthropic\n  base_url: http://127.0.0.1:9";
    let (by, reason) = refused(&described(pinned, provider, Vec::new()).await).await;
    assert_eq!(by, RefusedBy::Readiness);
    assert!(reason.contains("known: 2026-04-16 (claude-opus-4-7-20260416)"), "{reason}");
}

#[tokio::test]
async fn an_unknown_price_is_refused() {
    let (by, reason) = refused(&described("name: a-model-of-ours", PLAYED, Vec::new()).await).await;
    assert_eq!(by, RefusedBy::Readiness);
    assert!(reason.contains("the price of a-model-of-ours is not in the table"), "{reason}");
}

#[tokio::test]
async fn a_missing_key_is_refused_by_its_name() {
    let provider = "protocol: anthropic\n  key: {secret: MY_KEY}";
    let (by, reason) = refused(&described(MODEL, provider, Vec::new()).await).await;
    assert_eq!((by, reason.contains("MY_KEY")), (RefusedBy::Readiness, true), "{reason}");
}

#[tokio::test]
async fn a_script_that_does_not_exist_is_refused() {
    let provider = "protocol: scripted\n  script: unheard-of";
    let (by, reason) = refused(&described(MODEL, provider, Vec::new()).await).await;
    assert_eq!((by, reason.contains("unheard-of")), (RefusedBy::Readiness, true), "{reason}");
}

#[tokio::test]
async fn a_spent_budget_refuses_before_anything_is_sent() {
    let steps = (0..5).map(|_| Step::Say(Reply::text("Yes."))).collect();
    let mut world = world(steps).await;
    for ordinal in 1..=5 {
        let (_, _, rows) = world.once(ordinal).await;
        world.commit(rows).await;
    }
    let Prepared::Refuse(_, refusal) = world.prepare(6).await else { panic!("five calls an hour") };
    assert_eq!(refusal.by, RefusedBy::Budget);
    assert_eq!(world.script.seen().len(), 5);
}

#[tokio::test]
async fn a_receipt_of_another_intent_sends_nothing_and_releases_everything() {
    let mut world = world(vec![Step::Say(Reply::text("Never said."))]).await;
    let (first, ticket) = world.may(1).await;
    let (second, _other) = world.may(2).await;
    let held = changed(&first).0;
    let receipt = world.commit(second).await;
    let Performed { event, rows, .. } = world.door.perform(ticket, &receipt, &|_| ()).await;
    let (outcome, settlement) = ended(event);
    assert!(matches!(outcome, CallOutcome::Failed { retryable: false, .. }), "{outcome:?}");
    assert_eq!(settlement.amounts, usd_and_calls(0, 0));
    assert_eq!(changed(&rows), (usd_and_calls(-held.usd_micros, -1), usd_and_calls(0, 0)));
    assert!(world.script.seen().is_empty());
}

#[tokio::test]
async fn a_freeze_between_decision_and_commit_stops_the_call() {
    let mut world = world(vec![Step::Say(Reply::text("Never said."))]).await;
    let (rows, ticket) = world.may(1).await;
    let what = Scope::Agent { agent: "thinker".parse().unwrap() };
    world.control(ControlEvent::Frozen { what, reason: "a drill".to_owned(), by: "admin".to_owned() }).await;
    let receipt = world.commit(rows).await;
    let Performed { event, rows, .. } = world.door.perform(ticket, &receipt, &|_| ()).await;
    let CallOutcome::Stopped { why } = ended(event).0 else { panic!("it is frozen") };
    assert!(why.contains("a drill"), "{why}");
    assert_eq!(changed(&rows).1, usd_and_calls(0, 0));
    assert!(world.script.seen().is_empty());
}

#[tokio::test]
async fn a_change_that_does_not_touch_the_agent_lets_the_call_go_on() {
    let mut world = world(vec![Step::Say(Reply::text("Said."))]).await;
    let (rows, ticket) = world.may(1).await;
    let (person, groups) = ("ana".parse().unwrap(), Vec::new());
    world.control(ControlEvent::PersonAdded { person, groups }).await;
    let receipt = world.commit(rows).await;
    let Performed { event, .. } = world.door.perform(ticket, &receipt, &|_| ()).await;
    assert!(matches!(ended(event).0, CallOutcome::Answered { .. }));
}

#[tokio::test]
async fn a_node_that_slept_past_its_lease_does_not_send() {
    let mut world = world(vec![Step::Say(Reply::text("Never said."))]).await;
    let (rows, ticket) = world.may(1).await;
    let receipt = world.commit(rows).await;
    world.clock.advance(30_000);
    let Performed { event, .. } = world.door.perform(ticket, &receipt, &|_| ()).await;
    let CallOutcome::Failed { error, retryable: true, .. } = ended(event).0 else { panic!("the lease is over") };
    assert!(error.contains("lease"), "{error}");
    assert!(world.script.seen().is_empty());
}
