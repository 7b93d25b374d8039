//! What only two processes can show: a lease that is stale, a directory that is held, a writer that is killed.
#![expect(clippy::unwrap_used, reason = "what tests are set up with is known to be right")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use data::commit::Log;
use data::error::CommitError;
use data::seal::Sealer;
use data::sqlite::{Options, SqliteStore};
use data::store::{Store, StoreError};
use domain::clock::{Clock, SystemClock, Timestamp};
use domain::id::{Pos, Seq, SessionId, Shard};

#[path = "support/said.rs"]
mod said;

use said::{check, say};

const DIR: &str = "OSTLER_TEST_DIR";
const LEASE_MS: i64 = 60_000;
const SHARED: Options = Options { alone: false, lease_ms: LEASE_MS, max_pages: None, shards: 1 };
const SESSIONS: u64 = 8;

/// The machine's clock, ahead by so many milliseconds.
struct Ahead(i64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_ms(self.0)
    }

    fn monotonic_ms(&self) -> i64 {
        SystemClock.monotonic_ms()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        SystemClock.fill_random(bytes);
    }
}

fn session(n: u64) -> SessionId {
    SessionId::from_u128(u128::from(n) + 1)
}

async fn open(dir: &Path, options: Options, clock: Arc<dyn Clock>, node: &str) -> Log {
    let store = SqliteStore::open_with(dir, clock.clone(), options).unwrap();
    let sealer = Sealer::open(dir, store.about(), clock.clone()).unwrap();
    Log::open(Arc::new(store), sealer, clock, node).await.unwrap()
}

/// Another process that runs one of the ignored tests below, in a directory.
fn child(test: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn childs_dir() -> PathBuf {
    PathBuf::from(std::env::var_os(DIR).expect("run by another test, which says where"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_lease_is_refused_at_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SHARED, Arc::new(SystemClock), "node-a").await;
    let mut writer = log.begin(session(0));
    say(&log, &mut writer, "before").await.unwrap();

    let status = child("takes_over", dir.path()).wait().unwrap();
    assert!(status.success());

    // Nothing has told this process: reading still works, the lease still runs by its own clock, and it is the
    // store's answer to the commit that refuses.
    assert!(log.past(session(0)).await.unwrap().is_some());
    let refused = say(&log, &mut writer, "after").await;
    assert_eq!(refused.unwrap_err(), CommitError::Fenced);
    let tail = log.tail(Shard(0), Pos(0), 10).await.unwrap();
    let written: Vec<_> = tail.iter().map(|record| (record.envelope.epoch.0, record.envelope.session)).collect();
    assert_eq!(written, [(1, session(0)), (2, session(1))]);
}

/// Two minutes later by its own clock, so that the other's lease is over.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run as a process of its own by a_stale_lease_is_refused_at_the_commit"]
async fn takes_over() {
    let log = open(&childs_dir(), SHARED, Arc::new(Ahead(2 * LEASE_MS)), "node-b").await;
    let mut writer = log.begin(session(1));
    say(&log, &mut writer, "taken over").await.unwrap();
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_is_refused_with_its_holders_pid() {
    let dir = tempfile::tempdir().unwrap();
    let mut holder = child("commits_for_ever", dir.path());
    let mut acknowledged = BufReader::new(holder.stdout.take().unwrap()).lines();
    acknowledged.find(|line| line.as_ref().unwrap().starts_with("in ")).unwrap().unwrap();

    let refused = SqliteStore::open(dir.path(), Arc::new(SystemClock)).err().unwrap();
    assert_eq!(refused, StoreError::Held { dir: dir.path().to_owned(), pid: holder.id() });
    assert!(refused.to_string().contains(&format!("pid {}", holder.id())));

    holder.kill().unwrap();
    holder.wait().unwrap();
    SqliteStore::open(dir.path(), Arc::new(SystemClock)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_sigkill() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 1..=3 {
        let mut writer = child("commits_for_ever", dir.path());
        let mut acknowledged = Vec::new();
        for line in BufReader::new(writer.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let Some(said) = line.strip_prefix("in ") else { continue };
            let numbers: Vec<u64> = said.split(' ').map(|number| number.parse().unwrap()).collect();
            acknowledged.push((session(numbers[0]), Seq(numbers[1]), Pos(numbers[2])));
            if acknowledged.len() == 200 {
                // SIGKILL; what it still says until it is gone counts too.
                writer.kill().unwrap();
            }
        }
        writer.wait().unwrap();
        assert!(acknowledged.len() >= 200);
        let log = open(dir.path(), Options::default(), Arc::new(SystemClock), "embedded").await;
        let sessions: Vec<_> = (0..SESSIONS).map(session).collect();
        check(&log, &sessions, &acknowledged).await;
        log.stop().await;
    }
}

/// Several sessions that commit as fast as they can, and say what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "run as a process of its own, and killed, by what_was_acknowledged_survives_sigkill"]
async fn commits_for_ever() {
    let log = open(&childs_dir(), Options::default(), Arc::new(SystemClock), "embedded").await;
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
