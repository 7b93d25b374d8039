//! Answers that were lost: what came of the commit is read off the position, under a later epoch.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use data::error::{CommitError, Refused};
use data::rows::Rows;
use domain::id::{Epoch, Pos, Seq, Shard};

use crate::faulty::{Fate, Faulty};
use crate::world::{Fixture, commit, head, said, session, sqlite_memory, stamp, words};

pub(crate) async fn a_lost_answer_to_a_commit_that_landed_is_a_receipt(fixture: Fixture) {
    let store = Arc::new(Faulty::around(fixture.store.clone()));
    let (log, id) = (fixture.log_on(store.clone(), "node-a").await, session(1));
    let mut writer = log.begin(id);
    store.next(Fate::Landed);
    assert_eq!(commit(&log, &mut writer, Rows::of(said("one"))).await.seq(), Seq(1));
    // Nobody else wrote meanwhile: the same writer goes on, under the epoch that the question took.
    assert_eq!(commit(&log, &mut writer, Rows::of(said("two"))).await.pos(), Pos(2));
    assert_eq!(words(&log, id).await, ["one", "two"]);
    let tail = log.tail(Shard(0), Pos(0), 10).await.unwrap();
    let epochs: Vec<_> = tail.iter().map(|record| record.envelope.epoch).collect();
    assert_eq!(epochs, [Epoch(1), Epoch(2)]);
}

pub(crate) async fn a_lost_commit_that_did_not_land_is_refused_and_may_be_tried_again(fixture: Fixture) {
    let store = Arc::new(Faulty::around(fixture.store.clone()));
    let (log, id) = (fixture.log_on(store.clone(), "node-a").await, session(1));
    let mut writer = log.begin(id);
    store.next(Fate::Lost);
    let refused = log.commit(&mut writer, stamp(id), head(), Rows::of(said("one"))).await.unwrap_err();
    assert!(matches!(refused, CommitError::Refused(Refused::Unavailable(_))), "{refused}");
    assert_eq!(commit(&log, &mut writer, Rows::of(said("one"))).await.pos(), Pos(1));
    assert_eq!(words(&log, id).await, ["one"]);
}

pub(crate) async fn what_cannot_be_decided_is_unknown_and_the_session_loads_anew(fixture: Fixture) {
    let store = Arc::new(Faulty::around(fixture.store.clone()));
    let (log, id) = (fixture.log_on(store.clone(), "node-a").await, session(1));
    let mut writer = log.begin(id);
    store.next(Fate::Landed);
    store.no_claims.store(true, Ordering::SeqCst);
    let unknown = log.commit(&mut writer, stamp(id), head(), Rows::of(said("one"))).await;
    assert_eq!(unknown.unwrap_err(), CommitError::Unknown);
    store.no_claims.store(false, Ordering::SeqCst);
    let poisoned = log.commit(&mut writer, stamp(id), head(), Rows::of(said("one"))).await;
    assert_eq!(poisoned.unwrap_err(), CommitError::Poisoned);
    let mut loaded = log.load(id).await.unwrap().unwrap();
    assert_eq!(loaded.records.len(), 1);
    commit(&log, &mut loaded.writer, Rows::of(said("two"))).await;
    assert_eq!(words(&log, id).await, ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_moment_is_asked_again_once_it_may_be_back() {
    let fixture = sqlite_memory();
    let store = Arc::new(Faulty::around(fixture.store.clone()));
    let (log, id) = (fixture.log_on(store.clone(), "node-a").await, session(1));
    let mut writer = log.begin(id);
    store.next(Fate::Landed);
    store.no_claims.store(true, Ordering::SeqCst);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(250)).await;
        store.no_claims.store(false, Ordering::SeqCst);
    });
    assert_eq!(commit(&log, &mut writer, Rows::of(said("one"))).await.seq(), Seq(1));
}
