//! The world that behaviours are shown in: stores, a clock that stands still, sessions that say little.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use data::commit::{Log, SessionWriter};
use data::postgres::{Options as PostgresOptions, PostgresStore};
use data::record::Stamp;
use data::rows::{Head, Rows};
use data::seal::Sealer;
use data::sqlite::{Options, SqliteStore};
use data::store::Store;
use domain::clock::{Clock, Timestamp};
use domain::event::{Event, Intent};
use domain::id::{CallId, Digest, Name, Pos, SessionId, TraceId};
use domain::message::{Message, Origin, Role};
use domain::principal::{Autonomy, Link, Mode, Principal};
use domain::session::Phase;

use crate::postgres::cluster;

/// A store to try, with the clock that it goes by.
pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<TestClock>,
    /// Where a lease's end lies that the store's own clock judges, which no test can move.
    database: Option<String>,
    /// The directory lives as long as the store.
    _dir: Option<tempfile::TempDir>,
}

impl Deref for Fixture {
    type Target = Arc<dyn Store>;
    fn deref(&self) -> &Self::Target {
        &self.store
    }
}

/// How long a claim lasts here: so long that it never runs out by itself while a test runs.
pub(crate) const LEASE_MS: i64 = 60_000;

const SHARDS: u16 = 4;

const SEVERAL: Options = Options { alone: false, lease_ms: LEASE_MS, max_pages: None, shards: SHARDS };

pub(crate) fn sqlite_file() -> Fixture {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(TestClock::default()));
    let store = SqliteStore::open_with(dir.path(), clock.clone(), SEVERAL).unwrap();
    Fixture { store: Arc::new(store), clock, database: None, _dir: Some(dir) }
}

pub(crate) fn sqlite_memory() -> Fixture {
    let clock = Arc::new(TestClock::default());
    let store = SqliteStore::in_memory_with(clock.clone(), SEVERAL).unwrap();
    Fixture { store: Arc::new(store), clock, database: None, _dir: None }
}

/// `None` where there is no PostgreSQL: that is said, and counted as skipped.
pub(crate) async fn postgres() -> Option<Fixture> {
    let clock = Arc::new(TestClock::default());
    let url = cluster()?.database();
    let options = PostgresOptions { lease_ms: LEASE_MS, shards: SHARDS };
    let store = PostgresStore::open_with(&url.parse().unwrap(), clock.clone(), options).await.unwrap();
    let database = url.split(['/', '?']).nth(3).map(str::to_owned);
    Some(Fixture { store: Arc::new(store), clock, database, _dir: None })
}

impl Fixture {
    /// Lets time pass, for whoever judges the leases too.
    pub(crate) fn move_ms(&self, ms: i64) {
        self.clock.move_ms(ms);
        if let (Some(database), Some(cluster)) = (&self.database, cluster()) {
            cluster.sql(database, &format!("UPDATE ostler.shard SET expires = expires - {ms} WHERE expires > 0"));
        }
    }

    pub(crate) async fn log(&self) -> Log {
        self.log_on(self.store.clone(), "node-a").await
    }

    pub(crate) async fn log_on(&self, store: Arc<dyn Store>, node: &str) -> Log {
        let sealer = Sealer::from_master(&[7; 32], self.clock.clone());
        Log::open(store, sealer, self.clock.clone(), node).await.unwrap()
    }
}

/// Time stands still until it is moved; randomness is a counter, mixed.
pub(crate) struct TestClock {
    now: AtomicI64,
    drawn: AtomicU64,
}

impl Default for TestClock {
    fn default() -> Self {
        TestClock { now: AtomicI64::new(1_800_000_000_000), drawn: AtomicU64::new(0) }
    }
}

impl TestClock {
    pub(crate) fn move_ms(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn monotonic_ms(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let drawn = self.drawn.fetch_add(1, Ordering::SeqCst);
            chunk.copy_from_slice(&Digest::of(&drawn.to_be_bytes()).as_bytes()[..chunk.len()]);
        }
    }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The n-th session; those of one fixture share shard 0 unless `shard` says otherwise.
pub(crate) fn session(n: u64) -> SessionId {
    session_on(0, n)
}

pub(crate) fn session_on(shard: u8, n: u64) -> SessionId {
    SessionId::from_u128(u128::from(shard) << 120 | u128::from(n) | 1 << 64)
}

pub(crate) fn principal(session: SessionId) -> Principal {
    Principal {
        link: Link { agent: name("finance"), revision: Digest::of(b"revision"), session, call: None },
        owner: name("finance-platform"),
        on_behalf_of: Some(name("ana")),
        parents: Vec::new(),
        autonomy: Autonomy::Supervised,
    }
}

pub(crate) fn stamp(session: SessionId) -> Stamp {
    Stamp {
        principal: Arc::new(principal(session)),
        trace: TraceId(9),
        parent: None,
        cause: "mail-1".to_owned(),
        control_pos: Pos(0),
        mode: Mode::Live,
        synthetic: false,
    }
}

pub(crate) fn head() -> Head {
    Head {
        agent: name("finance"),
        revision: Digest::of(b"revision"),
        key: "invoice-7".to_owned(),
        phase: Phase::Running,
        since: Timestamp(1),
        waits_on: String::new(),
        scripted: false,
        mode: Mode::Live,
        partition: None,
    }
}

pub(crate) fn said(text: &str) -> Event {
    let message = Message::text(Role::Person, Origin::Person, text);
    Event::MessageReceived { mail: "m".parse().unwrap(), from: None, message }
}

pub(crate) fn intent(session: SessionId, ordinal: u32, attempt: u16) -> Intent {
    let call = CallId { session, ordinal };
    Intent {
        call,
        attempt,
        arguments_hash: Digest::of(b"arguments"),
        schema_hash: Digest::of(b"schema"),
        decided: domain::decision::DecidedAt {
            control_pos: Pos(0),
            policy_set: Digest::of(b"[]"),
            policy_ids: Vec::new(),
        },
        worst: domain::budget::Amounts::default(),
        holds: Vec::new(),
        idempotency_key: call.to_string(),
    }
}

/// A commit of rows by a session, which must succeed.
pub(crate) async fn commit(log: &Log, writer: &mut SessionWriter, rows: Rows) -> data::commit::Receipt {
    log.commit(writer, stamp(writer.session()), head(), rows).await.unwrap()
}

/// The words of every message that a session's records hold.
pub(crate) async fn words(log: &Log, session: SessionId) -> Vec<String> {
    let past = log.past(session).await.unwrap().unwrap();
    let events = past.records.into_iter().flat_map(|record| record.events.unwrap());
    let words = events.filter_map(|event| match event {
        Event::MessageReceived { message, .. } => Some(message.words()),
        _ => None,
    });
    words.collect()
}
