//! The fence: one owner per shard at a time, and it is the commit that refuses the others.

use data::error::CommitError;
use data::rows::Rows;
use data::store::{Batch, BatchPart, Claim, Lease, RecordRow, StoreError};
use domain::clock::Timestamp;
use domain::id::{Digest, Epoch, Pos, Seq, SessionId, Shard, SpanId, TraceId};
use domain::principal::Mode;

use crate::world::{Fixture, LEASE_MS, commit, head, said, session, session_on, stamp, words};

/// How much of a lease is left before it is over: longer than a test takes, for stores whose own clock runs on.
const SLACK_MS: i64 = 20_000;

/// The rows of one record, as they would be had the lease been right.
fn part(lease: Lease, session: SessionId) -> BatchPart {
    let envelope = data::record::Envelope {
        shard: lease.shard,
        pos: Pos(lease.pos.0 + 1),
        session,
        seq: Seq(1),
        prev: Pos(0),
        epoch: lease.epoch,
        at: Timestamp(1),
        principal: Digest::of(b"p"),
        trace: TraceId(1),
        span: SpanId(1),
        parent: None,
        cause: String::new(),
        control_pos: Pos(0),
        mode: Mode::Live,
        synthetic: false,
        key: 0,
        codec: 1,
        headers: Vec::new(),
    };
    BatchPart {
        shard: lease.shard,
        epoch: lease.epoch,
        pos: lease.pos,
        records: vec![RecordRow { envelope: envelope.unread(), body: b"sealed".to_vec() }],
        heads: Vec::new(),
        keys: Vec::new(),
        mail: Vec::new(),
        snapshots: Vec::new(),
        consumed: Vec::new(),
        holdings: Vec::new(),
        inbox: Vec::new(),
        texts: vec![(Digest::of(&session.as_u128().to_be_bytes()), "text".to_owned())],
        remembered: Vec::new(),
        forgotten: Vec::new(),
    }
}

async fn claim(fixture: &Fixture, node: &str, shards: &[u16]) -> Vec<Lease> {
    let shards = Some(shards.iter().copied().map(Shard).collect());
    fixture.claim(Claim { node: node.to_owned(), shards }).await.unwrap().leases
}

async fn fenced(fixture: &Fixture, parts: Vec<BatchPart>) -> Result<Vec<Shard>, StoreError> {
    Ok(fixture.commit(Batch { parts }).await?.fenced)
}

pub(crate) async fn a_stale_epoch_is_refused_at_the_commit_and_writes_nothing(fixture: Fixture) {
    let old = claim(&fixture, "node-a", &[0]).await[0];
    fixture.move_ms(LEASE_MS);
    let new = claim(&fixture, "node-b", &[0]).await[0];
    assert_eq!(new.epoch, Epoch(old.epoch.0 + 1));

    let stale = part(old, session(1));
    let text = stale.texts[0].0;
    assert_eq!(fenced(&fixture, vec![stale]).await.unwrap(), [Shard(0)]);
    assert!(fixture.tail(Shard(0), Pos(0), 10).await.unwrap().is_empty());
    assert_eq!(fixture.text(text).await.unwrap(), None);
    assert_eq!(fenced(&fixture, vec![part(new, session(2))]).await.unwrap(), []);
}

pub(crate) async fn a_fenced_shard_leaves_the_others_of_its_batch(fixture: Fixture) {
    let leases = claim(&fixture, "node-a", &[0, 1, 2]).await;
    fixture.move_ms(LEASE_MS);
    claim(&fixture, "node-b", &[1]).await;
    let parts = leases.iter().map(|lease| part(*lease, session_on(lease.shard.0 as u8, 1))).collect();
    assert_eq!(fenced(&fixture, parts).await.unwrap(), [Shard(1)]);
    for (shard, records) in [(0, 1), (1, 0), (2, 1)] {
        assert_eq!(fixture.tail(Shard(shard), Pos(0), 10).await.unwrap().len(), records, "shard {shard}");
    }
}

pub(crate) async fn a_wrong_position_is_refused(fixture: Fixture) {
    let lease = claim(&fixture, "node-a", &[0]).await[0];
    assert_eq!(fenced(&fixture, vec![part(lease, session(1))]).await.unwrap(), []);
    // The same again: what a blind retry would do.
    assert_eq!(fenced(&fixture, vec![part(lease, session(1))]).await.unwrap(), [Shard(0)]);
    assert_eq!(fixture.tail(Shard(0), Pos(0), 10).await.unwrap().len(), 1);
}

pub(crate) async fn a_claim_waits_until_another_nodes_lease_is_over(fixture: Fixture) {
    assert_eq!(claim(&fixture, "node-a", &[0]).await.len(), 1);
    fixture.move_ms(LEASE_MS - SLACK_MS);
    assert_eq!(claim(&fixture, "node-b", &[0, 1]).await.iter().map(|l| l.shard).collect::<Vec<_>>(), [Shard(1)]);
    fixture.move_ms(SLACK_MS);
    assert_eq!(claim(&fixture, "node-b", &[0]).await.len(), 1);
}

pub(crate) async fn a_commit_renews_the_lease(fixture: Fixture) {
    let lease = claim(&fixture, "node-a", &[0]).await[0];
    fixture.move_ms(LEASE_MS - SLACK_MS);
    assert_eq!(fenced(&fixture, vec![part(lease, session(1))]).await.unwrap(), []);
    fixture.move_ms(LEASE_MS - SLACK_MS);
    assert_eq!(claim(&fixture, "node-b", &[0]).await, []);
}

pub(crate) async fn the_same_node_claims_again_at_once(fixture: Fixture) {
    let first = claim(&fixture, "node-a", &[0]).await[0];
    let second = claim(&fixture, "node-a", &[0]).await[0];
    assert_eq!(second.epoch, Epoch(first.epoch.0 + 1));
    assert_eq!(fenced(&fixture, vec![part(first, session(1))]).await.unwrap(), [Shard(0)]);
}

pub(crate) async fn a_fenced_session_never_reaches_the_store_again_and_loads_anew(fixture: Fixture) {
    let (a, id) = (fixture.log().await, session(1));
    let mut on_a = a.begin(id);
    commit(&a, &mut on_a, Rows::of(said("on a"))).await;
    fixture.move_ms(LEASE_MS);
    let b = fixture.log_on(fixture.store.clone(), "node-b").await;
    let mut on_b = b.load(id).await.unwrap().unwrap().writer;
    commit(&b, &mut on_b, Rows::of(said("on b"))).await;

    for _ in 0..2 {
        let refused = a.commit(&mut on_a, stamp(id), head(), Rows::of(said("on a, late"))).await;
        assert_eq!(refused.unwrap_err(), CommitError::Fenced);
    }
    // Node a gets the shard back; what it knew of the session before is out of date all the same.
    fixture.move_ms(LEASE_MS);
    let mut again = a.load(id).await.unwrap().unwrap().writer;
    let refused = a.commit(&mut on_a, stamp(id), head(), Rows::of(said("on a, late"))).await;
    assert_eq!(refused.unwrap_err(), CommitError::Fenced);
    commit(&a, &mut again, Rows::of(said("on a again"))).await;
    assert_eq!(words(&a, id).await, ["on a", "on b", "on a again"]);
}

pub(crate) async fn a_session_that_never_heard_of_the_fence_is_refused_all_the_same(fixture: Fixture) {
    let a = fixture.log().await;
    let (mut told, mut untold) = (a.begin(session(1)), a.begin(session(2)));
    commit(&a, &mut told, Rows::of(said("on a"))).await;
    commit(&a, &mut untold, Rows::of(said("on a"))).await;
    fixture.move_ms(LEASE_MS);
    let b = fixture.log_on(fixture.store.clone(), "node-b").await;
    let mut on_b = b.load(session(2)).await.unwrap().unwrap().writer;
    commit(&b, &mut on_b, Rows::of(said("on b"))).await;

    let refused = a.commit(&mut told, stamp(session(1)), head(), Rows::of(said("late"))).await;
    assert_eq!(refused.unwrap_err(), CommitError::Fenced);
    fixture.move_ms(LEASE_MS);
    // The shard is back; the session that was not asked meanwhile does not know what it missed.
    assert!(a.load(session(1)).await.unwrap().is_some());
    let refused = a.commit(&mut untold, stamp(session(2)), head(), Rows::of(said("late"))).await;
    assert_eq!(refused.unwrap_err(), CommitError::Fenced);
    assert_eq!(words(&a, session(2)).await, ["on a", "on b"]);
}

pub(crate) async fn a_receipt_says_until_when_to_send(fixture: Fixture) {
    use domain::clock::Clock;
    let log = fixture.log().await;
    let mut writer = log.begin(session(1));
    let receipt = commit(&log, &mut writer, Rows::of(said("one"))).await;
    let left = receipt.dispatch_before_ms() - fixture.clock.monotonic_ms();
    assert!((1..LEASE_MS).contains(&left), "{left} ms of a lease of {LEASE_MS} ms");
}

pub(crate) async fn a_renewed_lease_holds_and_one_that_was_taken_is_said_to_be(fixture: Fixture) {
    let held = claim(&fixture, "node-a", &[0, 1, 2]).await;
    let epochs: Vec<_> = held.iter().map(|lease| (lease.shard, lease.epoch)).collect();
    fixture.move_ms(LEASE_MS - SLACK_MS);
    assert_eq!(fixture.renew(epochs.clone()).await.unwrap(), []);
    fixture.move_ms(LEASE_MS - SLACK_MS);
    assert_eq!(claim(&fixture, "node-b", &[0, 1, 2]).await, []);
    fixture.move_ms(SLACK_MS);
    let taken = claim(&fixture, "node-b", &[1]).await[0];
    assert_eq!(fixture.renew(epochs).await.unwrap(), [Shard(1)]);
    // What was not taken goes on as it was, at the same position; what was taken is its new owner's.
    assert_eq!(fenced(&fixture, vec![part(held[0], session(1))]).await.unwrap(), []);
    assert_eq!(fenced(&fixture, vec![part(taken, session_on(1, 1))]).await.unwrap(), []);
}

pub(crate) async fn what_is_released_can_be_had_at_once(fixture: Fixture) {
    let held = claim(&fixture, "node-a", &[0, 1]).await;
    let taken = |lease: &Lease| (lease.shard, lease.epoch);
    fixture.release(vec![taken(&held[0]), (Shard(1), Epoch(held[1].epoch.0 + 1))]).await.unwrap();
    let found = claim(&fixture, "node-b", &[0, 1]).await;
    assert_eq!(found.iter().map(taken).collect::<Vec<_>>(), [(Shard(0), Epoch(held[0].epoch.0 + 1))]);
    assert_eq!(fenced(&fixture, vec![part(held[0], session(1))]).await.unwrap(), [Shard(0)]);
    assert_eq!(fenced(&fixture, vec![part(held[1], session_on(1, 1))]).await.unwrap(), []);
}

pub(crate) async fn a_log_that_stops_hands_its_shards_over(fixture: Fixture) {
    let a = fixture.log().await;
    let mut on_a = a.begin(session(1));
    commit(&a, &mut on_a, Rows::of(said("on a"))).await;
    a.stop().await;
    let b = fixture.log_on(fixture.store.clone(), "node-b").await;
    let mut on_b = b.load(session(1)).await.unwrap().unwrap().writer;
    commit(&b, &mut on_b, Rows::of(said("on b"))).await;
    assert_eq!(words(&b, session(1)).await, ["on a", "on b"]);
}
