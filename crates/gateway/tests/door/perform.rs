//! What leaves, and what it came to.

use std::sync::Arc;

use control::people::freeze;
use domain::call::{CallOutcome, Settlement};
use domain::control::Scope;
use domain::event::Event;
use domain::id::TraceId;
use domain::message::Trust;
use domain::principal::Caller;
use gateway::{Prepared, Reply};
use serde_json::json;

use crate::stage::{apply, part, words};
use crate::{AGENT, PARTS, set};

fn ended(event: &Event) -> (&CallOutcome, &Settlement) {
    match event {
        Event::CallAnswered { outcome, settlement, .. } => (outcome, settlement),
        other => panic!("{other:?}"),
    }
}

fn failure(event: &Event) -> &str {
    match ended(event).0 {
        CallOutcome::Failed { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_carries_labels_and_trust_and_no_secret() {
    let (mut stage, _) = set(AGENT).await;
    let (event, _) = stage.call("mcp://gateway/read-ledger", json!({})).await;
    assert_eq!(words(&event), ("balance 7; token [secret TOKEN]", false));
    assert_eq!((part(&event).trust, part(&event).labels.as_slice()), (Trust::Trusted, &["internal".to_owned()][..]));
    let (event, rows) = stage.call("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 1})).await;
    assert_eq!(part(&event).trust, Trust::Untrusted);
    let amounts = ended(&event).1.amounts;
    assert_eq!((amounts.usd_micros, amounts.calls, amounts.external_actions), (2000, 1, 1));
    assert_eq!(
        rows.holdings.iter().map(|delta| (delta.reserved, delta.spent)).collect::<Vec<_>>(),
        [(-2000, 2000), (-1, 1)]
    );
}

#[tokio::test]
async fn the_upstream_sees_the_key_and_the_trace() {
    let (mut stage, script) = set(AGENT).await;
    let ask = stage.ask("mcp://gateway/read-ledger", json!({}));
    let Prepared::Go(rows, ticket) = stage.door.prepare(&ask).await else { panic!() };
    let receipt = stage.commit(rows).await;
    stage.door.perform(ticket.in_trace(TraceId(0xabc)), &receipt).await;
    let call = &script.calls()[0];
    assert_eq!(call.idempotency_key, ask.call.to_string());
    let traceparent = call.traceparent.as_deref().unwrap();
    assert!(traceparent.starts_with("00-00000000000000000000000000000abc-") && traceparent.ends_with("-01"));
}

#[tokio::test]
async fn a_tool_that_fails_has_answered() {
    let (mut stage, script) = set(AGENT).await;
    script.next([Reply::error("no such account")]);
    let (event, _) = stage.call("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 1})).await;
    assert_eq!(words(&event), ("no such account", true));
    assert_eq!(ended(&event).1.amounts.external_actions, 1);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_sent_again_and_keeps_its_holds() {
    for reply in [Reply::DoneAndLost, Reply::LostBefore, Reply::DoneAndDies] {
        let (mut stage, script) = set(AGENT).await;
        script.next([reply]);
        let (event, rows) = stage.call("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 1})).await;
        let (outcome, settlement) = ended(&event);
        assert!(matches!(outcome, CallOutcome::Unknown { error } if error.contains("nobody knows")), "{outcome:?}");
        assert!(settlement.amounts == Default::default() && rows.is_empty());
        assert_eq!(script.calls().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_is_unknown_after_its_timeout() {
    let (mut stage, script) = set(AGENT).await;
    script.next([Reply::DoneAndHangs]);
    let (event, _) = stage.call("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 1})).await;
    let CallOutcome::Unknown { error } = ended(&event).0 else { panic!() };
    assert!(error.contains("server `books`: there was no answer within 5s"), "{error}");
}

#[tokio::test]
async fn a_read_whose_answer_is_lost_is_sent_once_more_with_the_same_key() {
    let (mut stage, script) = set(AGENT).await;
    script.next([Reply::DoneAndDies]);
    let (event, _) = stage.call("mcp://gateway/read-ledger", json!({})).await;
    assert!(!words(&event).1);
    let keys: Vec<_> = script.calls().iter().map(|call| call.idempotency_key.clone()).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    assert_eq!(ended(&event).1.amounts.external_actions, 1, "one call, however often it was sent");
}

#[tokio::test]
async fn an_idempotent_call_that_stays_lost_fails_and_is_settled() {
    let (mut stage, script) = set(AGENT).await;
    script.next([Reply::DoneAndLost, Reply::DoneAndLost, Reply::DoneAndLost]);
    let (event, rows) = stage.call("mcp://gateway/upsert", json!({})).await;
    assert!(failure(&event).contains("calling it again is safe"), "{}", failure(&event));
    assert_eq!(script.calls().len(), 2);
    assert!(!rows.holdings.is_empty());
}

#[tokio::test]
async fn what_was_surely_not_sent_costs_nothing() {
    let (mut stage, script) = set(AGENT).await;
    script.next([Reply::NotSent]);
    let (event, rows) = stage.call("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 1})).await;
    assert!(failure(&event).starts_with("`draft` was not called: "), "{}", failure(&event));
    assert!(matches!(ended(&event).0, CallOutcome::Failed { retryable: true, .. }));
    assert_eq!(
        rows.holdings.iter().map(|delta| (delta.reserved, delta.spent)).collect::<Vec<_>>(),
        [(-2000, 0), (-1, 0)]
    );
}

#[tokio::test]
async fn a_freeze_before_the_commit_stops_the_call() {
    let (mut stage, script) = set(AGENT).await;
    let ask = stage.ask("mcp://gateway/read-ledger", json!({}));
    let Prepared::Go(rows, ticket) = stage.door.prepare(&ask).await else { panic!() };
    stage.freeze().await;
    let receipt = stage.commit(rows).await;
    let (event, _) = stage.door.perform(ticket, &receipt).await;
    let CallOutcome::Stopped { why } = ended(&event).0 else { panic!("{event:?}") };
    assert!(why.contains("was not called") && why.contains("stop"), "{why}");
    assert!(script.calls().is_empty());
}

#[tokio::test]
async fn a_freeze_cuts_off_what_is_under_way_and_a_write_is_in_doubt() {
    let read = ("mcp://gateway/read-ledger", json!({}));
    let write = ("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 1}));
    for (capability, arguments) in [read, write] {
        let (mut stage, script) = set(AGENT).await;
        script.next([Reply::DoneAndHangs]);
        let ask = stage.ask(capability, arguments);
        let Prepared::Go(rows, ticket) = stage.door.prepare(&ask).await else { panic!() };
        let receipt = stage.commit(rows).await;
        let (door, gate) = (stage.door.clone(), Arc::clone(&stage.gate));
        let sent = tokio::spawn(async move { door.perform(ticket, &receipt).await });
        while script.calls().is_empty() {
            tokio::task::yield_now().await;
        }
        freeze(&gate, &Caller::Admin, &Scope::All, "odd drafts").await.unwrap();
        assert_eq!(gate.quiet(std::future::pending()).await, 0);
        let (event, rows) = sent.await.unwrap();
        match ended(&event).0 {
            CallOutcome::Stopped { why } => assert!(why.contains("called again") && !rows.holdings.is_empty(), "{why}"),
            CallOutcome::Unknown { error } => {
                assert!(error.contains("odd drafts") && rows.holdings.is_empty(), "{error}")
            }
            other => panic!("{other:?}"),
        }
        let doubted = matches!(ended(&event).0, CallOutcome::Unknown { .. });
        assert_eq!(doubted, capability.ends_with("draft"), "only a write is in doubt");
    }
}

#[tokio::test]
async fn what_is_frozen_waits_and_no_server_is_asked_for_it() {
    let (mut stage, script) = set(AGENT).await;
    stage.freeze().await;
    stage.gate.refresh().await.unwrap();
    let ask = stage.ask("mcp://gateway/read-ledger", json!({}));
    let Prepared::Wait(rows, wait) = stage.door.prepare(&ask).await else { panic!("it is frozen") };
    assert_eq!(wait.why, domain::decision::WaitFor::Frozen { scope: Scope::All });
    assert_eq!((rows.events.len(), script.calls().len()), (1, 0));
}

#[tokio::test]
async fn a_narrowing_revision_before_the_commit_stops_the_call() {
    let draft = "effect: write, value_usd: args.amount_usd";
    for (what, revision) in [
        ("the tool is taken away", AGENT.replace("mcp://gateway/draft, ", "")),
        ("shadow", format!("{AGENT}  autonomy: shadow\n")),
        ("a lower threshold", AGENT.replace("gt: 1000", "gt: 10")),
        ("another effect", PARTS.replace(draft, "effect: irreversible, value_usd: args.amount_usd")),
        ("another value", PARTS.replace(draft, "effect: write")),
    ] {
        let (mut stage, script) = set(AGENT).await;
        let ask = stage.ask("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 100}));
        let Prepared::Go(rows, ticket) = stage.door.prepare(&ask).await else { panic!("{what}") };
        apply(&stage.gate, &revision).await;
        let receipt = stage.commit(rows).await;
        let (event, rows) = stage.door.perform(ticket, &receipt).await;
        assert!(failure(&event).contains("changed") || failure(&event).contains("any more"), "{}", failure(&event));
        assert!(script.calls().is_empty(), "{what}");
        assert!(rows.holdings.iter().all(|delta| delta.reserved < 0 && delta.spent == 0), "{what}");
    }
}

#[tokio::test]
async fn a_call_with_consent_is_sent_where_the_consent_still_holds() {
    for (revision, sent) in [(PARTS.replace("timeout: 5s", "timeout: 6s"), 1), (AGENT.replace("90", "91"), 0)] {
        let (mut stage, script) = set(AGENT).await;
        let ask = stage.consented("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 5000})).await;
        let prepared = stage.door.prepare(&ask).await;
        let Prepared::Go(rows, ticket) = prepared else { panic!("{prepared:?}") };
        apply(&stage.gate, &revision).await;
        let receipt = stage.commit(rows).await;
        stage.door.perform(ticket, &receipt).await;
        assert_eq!(script.calls().len(), sent, "{revision}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_between_two_tries_stops_the_second() {
    let (mut stage, script) = set(AGENT).await;
    let (gate, runtime) = (Arc::clone(&stage.gate), tokio::runtime::Handle::current());
    drop(script.clone().tool("ledger", json!({"type": "object"}), move |_| {
        let frozen = freeze(&gate, &Caller::Admin, &Scope::All, "odd reads");
        tokio::task::block_in_place(|| runtime.block_on(frozen)).unwrap();
        Reply::DoneAndLost
    }));
    let (event, _) = stage.call("mcp://gateway/read-ledger", json!({})).await;
    let CallOutcome::Stopped { why } = ended(&event).0 else { panic!("{event:?}") };
    assert!(why.contains("odd reads"), "{why}");
    assert_eq!(script.calls().len(), 1);
}

#[tokio::test]
async fn a_change_that_does_not_concern_the_agent_lets_the_call_go() {
    let (mut stage, script) = set(AGENT).await;
    let ask = stage.ask("mcp://gateway/read-ledger", json!({}));
    let Prepared::Go(rows, ticket) = stage.door.prepare(&ask).await else { panic!() };
    apply(&stage.gate, &PARTS.replace("timeout: 5s", "timeout: 6s")).await;
    let receipt = stage.commit(rows).await;
    stage.door.perform(ticket, &receipt).await;
    assert_eq!(script.calls().len(), 1);
}

#[tokio::test]
async fn a_definition_that_changes_after_the_decision_stops_the_call() {
    let (mut stage, script) = set(AGENT).await;
    let ask = stage.ask("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 1}));
    let Prepared::Go(rows, ticket) = stage.door.prepare(&ask).await else { panic!() };
    let receipt = stage.commit(rows).await;
    script.redefine("draft", |tool| tool.description = Some("Now it sends.".into()));
    let (event, _) = stage.door.perform(ticket, &receipt).await;
    assert!(failure(&event).contains("changed since the call was allowed"), "{}", failure(&event));
    assert!(script.calls().is_empty());
}

#[tokio::test]
async fn a_node_that_slept_past_its_lease_does_not_send() {
    let (mut stage, script) = set(AGENT).await;
    let ask = stage.ask("mcp://gateway/read-ledger", json!({}));
    let Prepared::Go(rows, ticket) = stage.door.prepare(&ask).await else { panic!() };
    let receipt = stage.commit(rows).await;
    stage.clock.set_ms(receipt.dispatch_before_ms());
    let (event, _) = stage.door.perform(ticket, &receipt).await;
    assert!(failure(&event).contains("may not own the session"), "{}", failure(&event));
    assert!(script.calls().is_empty());
}

#[tokio::test]
async fn the_receipt_of_another_record_sends_nothing() {
    let (mut stage, script) = set(AGENT).await;
    let ask = stage.ask("mcp://gateway/read-ledger", json!({}));
    let Prepared::Go(_, ticket) = stage.door.prepare(&ask).await else { panic!() };
    let other = stage.ask("mcp://gateway/read-ledger", json!({}));
    let Prepared::Go(rows, _) = stage.door.prepare(&other).await else { panic!() };
    let receipt = stage.commit(rows).await;
    let (event, _) = stage.door.perform(ticket, &receipt).await;
    assert!(failure(&event).contains("its intent is not in the record"), "{}", failure(&event));
    assert!(script.calls().is_empty());
}

#[tokio::test]
async fn what_was_done_is_in_the_upstreams_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("drafts.jsonl");
    let (mut stage, script) = set(AGENT).await;
    let script = script.keeping(file.clone());
    script.next([Reply::DoneAndLost, Reply::LostBefore, Reply::error("no")]);
    for _ in 0..4 {
        stage.call("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 1})).await;
    }
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 2);
    assert_eq!((script.done().len(), script.calls().len()), (2, 4));
}

#[tokio::test]
async fn what_is_settled_later_takes_or_gives_back_what_was_held() {
    let (mut stage, script) = set(AGENT).await;
    script.next([Reply::DoneAndLost]);
    let ask = stage.ask("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 1}));
    let Prepared::Go(rows, ticket) = stage.door.prepare(&ask).await else { panic!() };
    let Some(Event::CallRequested { intent, .. }) = rows.events.last().cloned() else { panic!() };
    let receipt = stage.commit(rows).await;
    stage.door.perform(ticket, &receipt).await;
    let changes = |rows: &data::rows::Rows| -> Vec<_> {
        rows.holdings.iter().map(|delta| (delta.reserved, delta.spent)).collect()
    };
    let happened = stage.door.settle(intent.call.session, &intent.holds, &intent.worst);
    assert_eq!(changes(&happened), [(-2000, 2000), (-1, 1)]);
    stage.door.undo(&happened);
    assert_eq!(changes(&stage.door.release(intent.call.session, &intent.holds)), [(-2000, 0), (-1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_server_is_sent_no_more_at_once_than_it_takes_and_who_comes_beyond_that_is_told_at_once() {
    let (mut stage, script) = set(AGENT).await;
    let books =
        "kind: McpServer\nmetadata: {name: books, owner: office}\nspec: {stdio: {command: nothing}, timeout: 5s";
    let limits = format!("apiVersion: agent.os/v1\n{books}, limits: {{concurrent: 1, queue: 1}}}}");
    apply(&stage.gate, &limits).await;
    script.next([Reply::DoneAndHangs, Reply::DoneAndHangs]);
    let mut all = Vec::new();
    for _ in 0..3 {
        let ask = stage.ask("mcp://gateway/read-ledger", json!({}));
        let Prepared::Go(rows, ticket) = stage.door.prepare(&ask).await else { panic!() };
        all.push((ticket, stage.commit(rows).await));
    }
    let mut sent = all.into_iter().map(|(ticket, receipt)| {
        let door = stage.door.clone();
        tokio::spawn(async move { door.perform(ticket, &receipt).await })
    });
    let (first, second) = (sent.next().unwrap(), sent.next().unwrap());
    tokio::task::yield_now().await;
    let began = tokio::time::Instant::now();
    let (event, rows) = sent.next().unwrap().await.unwrap();
    let CallOutcome::Failed { error, retryable: true, .. } = ended(&event).0 else { panic!("{event:?}") };
    assert!(error.contains("no place at the server books") && error.contains("try again in 1 s"), "{error}");
    assert_eq!((began.elapsed().as_millis(), ended(&event).1.amounts.calls), (0, 0));
    assert!(rows.holdings.iter().all(|delta| delta.spent == 0), "it costs nothing");
    assert_eq!(script.calls().len(), 1, "one at a time");
    // The first is tried twice, 5 s each; then it is the second's turn.
    assert!(failure(&first.await.unwrap().0).contains("safe"));
    assert_eq!(words(&second.await.unwrap().0).0, "balance 7; token [secret TOKEN]");
    assert_eq!(script.calls().len(), 3);
}
