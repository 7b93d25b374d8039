//! Records: what is committed is what is read, in order, once.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use data::commit::RECORD_BYTES;
use data::error::{CommitError, DataError, Refused};
use data::record::leaf;
use data::rows::Rows;
use data::store::RecordRow;
use domain::call::{CallOutcome, Settlement};
use domain::event::Event;
use domain::id::{CallId, Digest, Epoch, Pos, Seq, Shard, SpanId};
use serde_json::json;

use crate::faulty::Faulty;
use crate::world::{Fixture, commit, head, intent, principal, said, session, session_on, stamp, words};

pub(crate) async fn a_record_reads_back_as_it_was_committed(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    let mut writer = log.begin(id);
    commit(&log, &mut writer, Rows::of(said("one"))).await;
    let receipt = commit(&log, &mut writer, Rows::of(said("two"))).await;
    assert_eq!((receipt.session(), receipt.seq(), receipt.pos()), (id, Seq(2), Pos(2)));

    let loaded = log.load(id).await.unwrap().unwrap();
    assert_eq!((loaded.writer.seq(), loaded.head), (Seq(2), head()));
    let second = &loaded.records[1];
    assert_eq!(second.events, Some(vec![said("two")]));
    let envelope = &second.envelope;
    assert_eq!((envelope.shard, envelope.pos, envelope.prev, envelope.seq), (Shard(0), Pos(2), Pos(1), Seq(2)));
    assert_eq!((envelope.epoch, envelope.key, envelope.codec), (Epoch(1), 1, 3));
    assert_eq!(envelope.span, SpanId::of_session(id));
    assert_eq!(envelope.cause, "mail-1");
    assert_eq!(envelope.clone().read().unwrap().headers[0].k, "message_received");
}

pub(crate) async fn positions_are_dense_however_many_commit_at_once(fixture: Fixture) {
    let log = fixture.log().await;
    let tasks = (0..60).map(|n| {
        let (log, id) = (log.clone(), session_on((n % 4) as u8, n));
        tokio::spawn(async move {
            let mut writer = log.begin(id);
            for turn in 0..5 {
                commit(&log, &mut writer, Rows::of(said(&format!("{n}/{turn}")))).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    for shard in 0..4 {
        let tail = log.tail(Shard(shard), Pos(0), 1000).await.unwrap();
        let positions: Vec<_> = tail.iter().map(|record| record.envelope.pos.0).collect();
        assert_eq!(positions, (1..=75).collect::<Vec<_>>(), "shard {shard}");
    }
    assert_eq!(words(&log, session_on(3, 7)).await, ["7/0", "7/1", "7/2", "7/3", "7/4"]);
}

pub(crate) async fn the_shards_time_never_goes_back(fixture: Fixture) {
    let log = fixture.log().await;
    let mut writer = log.begin(session(1));
    commit(&log, &mut writer, Rows::of(said("one"))).await;
    fixture.clock.move_ms(-60_000);
    commit(&log, &mut writer, Rows::of(said("two"))).await;
    log.stop().await;

    let log = fixture.log().await;
    let mut writer = log.load(session(1)).await.unwrap().unwrap().writer;
    commit(&log, &mut writer, Rows::of(said("three"))).await;
    let tail = log.tail(Shard(0), Pos(0), 10).await.unwrap();
    let times: BTreeSet<_> = tail.iter().map(|record| record.envelope.at).collect();
    assert_eq!(times.len(), 1, "{times:?}");
}

pub(crate) async fn a_principal_is_a_shared_text_written_once(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    let mut writer = log.begin(id);
    commit(&log, &mut writer, Rows::of(said("one"))).await;
    commit(&log, &mut writer, Rows::of(said("two"))).await;
    let tail = log.tail(Shard(0), Pos(0), 10).await.unwrap();
    assert_eq!(tail[0].envelope.principal, tail[1].envelope.principal);
    let text = log.text(tail[0].envelope.principal).await.unwrap().unwrap();
    let expected = serde_json::to_value(principal(id)).unwrap();
    assert_eq!(text, domain::canonical::to_string(&expected));
}

pub(crate) async fn a_receipt_holds_the_intents_of_its_record_and_no_others(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    let mut writer = log.begin(id);
    let asked = Event::ModelRequested {
        intent: intent(id, 3, 2),
        provider: "anthropic".parse().unwrap(),
        model: "small".to_owned(),
        messages: 1,
        max_output_tokens: 10,
        scripted: false,
    };
    let receipt = commit(&log, &mut writer, Rows::of(asked)).await;
    let call = |ordinal| CallId { session: id, ordinal };
    assert!(receipt.holds(call(3), 2));
    assert!(!receipt.holds(call(3), 1) && !receipt.holds(call(2), 2));
    let receipt = commit(&log, &mut writer, Rows::of(said("nothing to send"))).await;
    assert!(!receipt.holds(call(3), 2));
}

pub(crate) async fn a_record_that_is_too_large_is_refused_and_the_writer_goes_on(fixture: Fixture) {
    let log = fixture.log().await;
    let mut writer = log.begin(session(1));
    let rows = Rows::of(said(&"x".repeat(RECORD_BYTES)));
    let refused = log.commit(&mut writer, stamp(session(1)), head(), rows).await.unwrap_err();
    assert!(matches!(refused, CommitError::Refused(Refused::TooLarge { .. })), "{refused}");
    assert_eq!(commit(&log, &mut writer, Rows::of(said("less"))).await.seq(), Seq(1));
}

pub(crate) async fn a_dropped_commit_poisons_its_writer_and_the_session_loads_whole(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    let mut writer = log.begin(id);
    {
        let mut commit = pin!(log.commit(&mut writer, stamp(id), head(), Rows::of(said("one"))));
        assert!(commit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert!(writer.poisoned());
    let again = log.commit(&mut writer, stamp(id), head(), Rows::of(said("two"))).await;
    assert_eq!(again.unwrap_err(), CommitError::Poisoned);
    // Loading waits for what is still on its way, so that nothing forks.
    let mut loaded = log.load(id).await.unwrap().unwrap();
    assert_eq!(loaded.records.len(), 1);
    commit(&log, &mut loaded.writer, Rows::of(said("two"))).await;
    assert_eq!(words(&log, id).await, ["one", "two"]);
}

pub(crate) async fn a_commit_that_was_never_queued_never_happens(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    let mut writer = log.begin(id);
    drop(log.commit(&mut writer, stamp(id), head(), Rows::of(said("one"))));
    assert!(!writer.poisoned());
    assert!(log.load(id).await.unwrap().is_none());
    assert_eq!(commit(&log, &mut writer, Rows::of(said("two"))).await.pos(), Pos(1));
}

pub(crate) async fn an_unknown_codec_is_named_and_never_skipped(fixture: Fixture) {
    let change = |row: &mut RecordRow| row.envelope.codec = 9;
    let error = loaded_changed(&fixture, change).await;
    let DataError::UnknownEvent { kind, shard, pos, .. } = error else { panic!("{error}") };
    assert_eq!((kind.as_str(), shard, pos), ("codec 9", Shard(0), Pos(1)));

    let change = |row: &mut RecordRow| row.envelope.headers.0 = row.envelope.headers.0.replace("\"v\":1", "\"v\":2");
    let error = loaded_changed(&fixture, change).await;
    let DataError::UnknownEvent { kind, .. } = error else { panic!("{error}") };
    assert_eq!(kind, "message_received");

    // What is no list of headers is damage; whoever folds does not read more of them than that.
    let error = loaded_changed(&fixture, |row| row.envelope.headers.0.insert(0, 'x')).await;
    assert!(matches!(error, DataError::Damaged { .. } | DataError::Seal(_)), "{error}");
}

pub(crate) async fn a_body_opens_only_under_its_own_envelope(fixture: Fixture) {
    let error = loaded_changed(&fixture, |row| row.envelope.cause = "somebody else".to_owned()).await;
    assert!(matches!(error, DataError::Seal(_)), "{error}");
    let error = loaded_changed(&fixture, |row| row.body[20] ^= 1).await;
    assert!(matches!(error, DataError::Seal(_)), "{error}");
    let error = loaded_changed(&fixture, |row| row.envelope.seq = Seq(4)).await;
    assert!(matches!(error, DataError::Damaged { .. }), "{error}");
}

async fn loaded_changed(fixture: &Fixture, change: fn(&mut RecordRow)) -> DataError {
    let store = Faulty { change, ..Faulty::around(fixture.store.clone()) };
    let log = fixture.log_on(Arc::new(store), "node-a").await;
    if log.head(session(1)).await.unwrap().is_none() {
        let mut writer = log.begin(session(1));
        commit(&log, &mut writer, Rows::of(said("one"))).await;
    }
    log.load(session(1)).await.unwrap_err()
}

pub(crate) async fn numbers_in_headers_read_back_as_they_were_sealed(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    let mut writer = log.begin(id);
    let usages = [json!({"cost": 0.1 + 0.2, "ratio": 1e-7, "whole": 2.0, "zero": -0.0, "big": u64::MAX}), json!(null)];
    for usage in usages {
        let settlement = Settlement { usage: Some(usage), ..Settlement::default() };
        let outcome = CallOutcome::Failed { error: "no".to_owned(), retryable: false, retry_after_ms: None };
        let call = CallId { session: id, ordinal: 1 };
        let event = Event::ModelAnswered { call, attempt: 1, outcome, settlement };
        commit(&log, &mut writer, Rows::of(event)).await;
    }
    let records = log.past(id).await.unwrap().unwrap().records;
    let usage = records[0].envelope.headers[0].settled.as_ref().unwrap().usage.as_ref().unwrap();
    assert_eq!(usage["cost"], json!(0.1 + 0.2));
    let tail = log.tail(Shard(0), Pos(0), 10).await.unwrap();
    let again = log.tail(Shard(0), Pos(0), 10).await.unwrap();
    let leaves = |tail: Vec<data::commit::Tailed>| -> Vec<Digest> {
        tail.iter().map(|record| leaf(&record.envelope, record.body_hash)).collect()
    };
    assert_eq!(leaves(tail), leaves(again));
}

pub(crate) async fn commits_are_told_to_whoever_listens(fixture: Fixture) {
    let log = fixture.log().await;
    let mut listener = log.committed();
    let mut writer = log.begin(session(1));
    commit(&log, &mut writer, Rows::of(said("one"))).await;
    let heard = listener.recv().await.unwrap();
    assert_eq!((heard.session, heard.seq, heard.shard, heard.pos), (session(1), Seq(1), Shard(0), Pos(1)));
}
