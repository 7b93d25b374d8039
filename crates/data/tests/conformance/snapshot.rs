//! Snapshots: a session's state as of one of its records, a cache of what its records say.

use std::sync::Arc;

use data::commit::{Loaded, Log};
use data::error::CommitError;
use data::rows::Rows;
use data::seal::Sealer;
use data::store::{Claim, HistoryFrom};
use domain::id::{SessionId, Shard};

use crate::world::{Fixture, LEASE_MS, commit, head, said, session, stamp};

const FOLD: u32 = 3;

/// What a state may look like: it compresses.
const STATE: &[u8] = &[b's'; 1000];

fn sealer(fixture: &Fixture) -> Sealer {
    Sealer::from_master(&[7; 32], fixture.clock.clone())
}

/// A session of so many records.
async fn lived(log: &Log, id: SessionId, records: u64) {
    let mut writer = log.begin(id);
    for n in 0..records {
        commit(log, &mut writer, Rows::of(said(&format!("word {n}")))).await;
    }
}

async fn load(log: &Log, id: SessionId, fold: u32) -> Loaded {
    log.load_behind_snapshot(id, fold).await.unwrap().unwrap()
}

/// Its snapshot is kept with one more record.
async fn kept(fixture: &Fixture, log: &Log, id: SessionId, state: &[u8]) {
    let mut writer = load(log, id, FOLD).await.writer;
    assert!(writer.snapshot_due());
    writer.keep_snapshot(&sealer(fixture), FOLD, state);
    commit(log, &mut writer, Rows::of(said("after"))).await;
}

pub(crate) async fn a_session_loads_from_its_snapshot_and_what_came_after(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    lived(&log, id, 64).await;
    kept(&fixture, &log, id, STATE).await;
    let loaded = load(&log, id, FOLD).await;
    assert_eq!(loaded.snapshot.as_deref(), Some(STATE));
    assert_eq!(loaded.records.iter().map(|record| record.envelope.seq.0).collect::<Vec<_>>(), [65]);
    let mut writer = loaded.writer;
    commit(&log, &mut writer, Rows::of(said("more"))).await;
    assert_eq!(load(&log, id, FOLD).await.records.len(), 2);
    // Whoever looks at what happened reads everything.
    assert_eq!(log.past(id).await.unwrap().unwrap().records.len(), 66);
    assert_eq!(log.load(id).await.unwrap().unwrap().records.len(), 66);
}

pub(crate) async fn a_snapshot_of_another_fold_is_not_read(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    lived(&log, id, 64).await;
    kept(&fixture, &log, id, STATE).await;
    let loaded = load(&log, id, FOLD + 1).await;
    assert_eq!((loaded.snapshot, loaded.records.len()), (None, 65));
    assert!(loaded.writer.snapshot_due());
}

pub(crate) async fn a_state_that_hardly_compresses_is_not_kept(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    lived(&log, id, 64).await;
    let noise: Vec<u8> = (0u8..32).flat_map(|n| *domain::id::Digest::of(&[n]).as_bytes()).collect();
    kept(&fixture, &log, id, &noise).await;
    let loaded = load(&log, id, FOLD).await;
    assert_eq!((loaded.snapshot, loaded.records.len()), (None, 65));
}

pub(crate) async fn a_snapshot_is_due_when_the_session_has_grown_by_a_quarter(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    lived(&log, id, 63).await;
    let mut due = Vec::new();
    for at in 63..130 {
        let mut writer = load(&log, id, FOLD).await.writer;
        if writer.snapshot_due() {
            due.push(at);
            writer.keep_snapshot(&sealer(&fixture), FOLD, STATE);
        }
        commit(&log, &mut writer, Rows::of(said("more"))).await;
    }
    assert_eq!(due, [64, 80, 100, 125]);
}

pub(crate) async fn a_snapshot_is_erased_with_its_session(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    lived(&log, id, 64).await;
    kept(&fixture, &log, id, STATE).await;
    let snapshot = HistoryFrom::Snapshot { fold: FOLD };
    assert!(fixture.history(id, Shard(0), snapshot).await.unwrap().unwrap().snapshot.is_some());
    log.erase(id).await.unwrap();
    assert_eq!(fixture.history(id, Shard(0), snapshot).await.unwrap().unwrap().snapshot, None);
}

pub(crate) async fn a_snapshot_of_a_commit_that_was_fenced_is_not_there(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    lived(&log, id, 64).await;
    let mut writer = load(&log, id, FOLD).await.writer;
    writer.keep_snapshot(&sealer(&fixture), FOLD, STATE);
    fixture.move_ms(LEASE_MS);
    let other = Claim { node: "node-b".to_owned(), shards: Some(vec![Shard(0)]) };
    Arc::clone(&fixture.store).claim(other).await.unwrap();
    let refused = log.commit(&mut writer, stamp(id), head(), Rows::of(said("late"))).await.unwrap_err();
    assert_eq!(refused, CommitError::Fenced);
    let found = fixture.history(id, Shard(0), HistoryFrom::Snapshot { fold: FOLD }).await.unwrap().unwrap();
    assert_eq!((found.snapshot, found.records.len()), (None, 64));
}
