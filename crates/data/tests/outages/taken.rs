//! Processes that are killed or put to sleep while they own shards.

use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::Duration;

use data::store::{Batch, BatchPart, Claim, Lease, RecordRow, Store};
use domain::clock::Timestamp;
use domain::id::{Digest, Epoch, Pos, Seq, SessionId, Shard, SpanId, TraceId};
use domain::principal::Mode;

use crate::postgres::cluster;
use crate::said::{check, say};
use crate::{SESSIONS, child, childs_store, log, session, store};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_sigkill() {
    let Some(cluster) = cluster() else { return };
    let url = cluster.database();
    let mut acknowledged = Vec::new();
    for round in 1..=3 {
        let mut writer = child("taken::commits_for_ever", &url);
        for line in BufReader::new(writer.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let Some(said) = line.strip_prefix("in ") else { continue };
            let numbers: Vec<u64> = said.split(' ').map(|number| number.parse().unwrap()).collect();
            acknowledged.push((session(numbers[0]), Seq(numbers[1]), Pos(numbers[2])));
            if acknowledged.len() == 200 * round {
                // SIGKILL; what it still says until it is gone counts too.
                writer.kill().unwrap();
            }
        }
        writer.wait().unwrap();
        assert!(acknowledged.len() >= 200 * round);
        // Under the same name: it need not wait for the lease of who is gone.
        let log = log(&url, 60_000, "node-a").await;
        let sessions: Vec<_> = (0..SESSIONS).map(session).collect();
        check(&log, &sessions, &acknowledged).await;
        assert_eq!(log.owned().len(), usize::from(crate::SHARDS));
        log.stop().await;
    }
}

/// Sessions that commit as fast as they can, and say what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "run as a process of its own, and killed, by what_was_acknowledged_survives_sigkill"]
async fn commits_for_ever() {
    let log = log(&childs_store(), 60_000, "node-a").await;
    let tasks = (0..SESSIONS).map(|n| {
        let log = log.clone();
        tokio::spawn(async move {
            let loaded = log.load(session(n)).await.unwrap();
            let mut writer = loaded.map_or_else(|| log.begin(session(n)), |loaded| loaded.writer);
            while let Ok(receipt) = say(&log, &mut writer, "again").await {
                println!("in {n} {} {}", receipt.seq().0, receipt.pos());
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

/// How long the sleeper's lease lasts.
const LEASE_MS: i64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_slept_past_its_lease_is_refused_at_the_append() {
    let Some(cluster) = cluster() else { return };
    let url = cluster.database();
    let store = store(&url, LEASE_MS).await;
    let mut sleeper = child("taken::appends_until_it_is_fenced", &url);
    let mut said = BufReader::new(sleeper.stdout.take().unwrap()).lines();
    let mut last = move |what: &str| loop {
        let line = said.next().expect("the sleeper goes on").unwrap();
        if let Some(rest) = line.strip_prefix(what) {
            break rest.to_owned();
        }
    };
    last("appended 20");
    signal(sleeper.id(), "STOP");
    let claim = Claim { node: "node-b".to_owned(), shards: Some(vec![Shard(0)]) };
    let taken = loop {
        if let Some(lease) = store.claim(claim.clone()).await.unwrap().leases.pop() {
            break lease;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(taken.epoch, Epoch(2));
    assert!(taken.pos.0 >= 20);
    // The new owner writes; then the old one wakes up, and knows nothing.
    let answer = store.commit(Batch { parts: vec![part(taken, session(8))] }).await.unwrap();
    assert_eq!(answer.fenced, []);
    signal(sleeper.id(), "CONT");
    // Nothing told it but the answer to its own append.
    assert_eq!(last("fenced at the append behind "), taken.pos.to_string());
    assert!(sleeper.wait().unwrap().success());
    let tail = store.tail(Shard(0), Pos(0), usize::MAX).await.unwrap();
    let places: Vec<_> = tail.iter().map(|row| row.envelope.pos.0).collect();
    assert_eq!(places, (1..=taken.pos.0 + 1).collect::<Vec<_>>());
    let late = tail.iter().filter(|row| row.envelope.epoch == Epoch(1) && row.envelope.pos > taken.pos).count();
    assert_eq!(late, 0);
    // Its other shard, which nobody took, is written by the very append that was fenced on this one.
    let other = store.tail(Shard(4), Pos(0), usize::MAX).await.unwrap();
    assert_eq!(other.len(), places.len());
}

/// Appends to two shards at once, on and on, without ever asking whether it still owns them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run as a process of its own, and put to sleep, by an_owner_that_slept_past_its_lease_is_refused_at_the_append"]
async fn appends_until_it_is_fenced() {
    let store = store(&childs_store(), LEASE_MS).await;
    let claim = Claim { node: "node-a".to_owned(), shards: Some(vec![Shard(0), Shard(4)]) };
    let mut leases = store.claim(claim).await.unwrap().leases;
    loop {
        let parts = leases.iter().map(|lease| part(*lease, session(lease.shard.0.into()))).collect();
        let answer = store.commit(Batch { parts }).await.unwrap();
        if !answer.fenced.is_empty() {
            println!("fenced at the append behind {}", leases[0].pos);
            assert_eq!(answer.fenced, [Shard(0)], "the shard that was taken, and not the other");
            return;
        }
        leases.iter_mut().for_each(|lease| lease.pos.0 += 1);
        println!("appended {}", leases[0].pos);
        // Slow enough that it is put to sleep before it is far.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap().success());
}

/// The rows of one record that goes behind a lease's position.
fn part(lease: Lease, session: SessionId) -> BatchPart {
    let envelope = data::record::Envelope {
        shard: lease.shard,
        pos: Pos(lease.pos.0 + 1),
        session,
        seq: Seq(lease.pos.0 + 1),
        prev: lease.pos,
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
        snapshots: Vec::new(),
        mail: Vec::new(),
        consumed: Vec::new(),
        holdings: Vec::new(),
        inbox: Vec::new(),
        texts: Vec::new(),
        remembered: Vec::new(),
        forgotten: Vec::new(),
    }
}
