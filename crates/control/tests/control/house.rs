//! A gate over a real log in memory, with ana and bob of the owner group and a session that can commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use control::people::{add_person, bootstrap};
use control::{Checks, Gate};
use data::commit::{Log, SessionWriter};
use data::record::Stamp;
use data::rows::{Head, Rows};
use data::seal::Sealer;
use data::sqlite::SqliteStore;
use domain::clock::{Clock, Timestamp};
use domain::descriptor::{Descriptor, parse_file};
use domain::event::Event;
use domain::id::{SessionId, TraceId};
use domain::principal::{Caller, Link, Principal};
use domain::session::Phase;

use crate::world::{ARTICLE, NOW, PARTS, checks, name};

/// A clock that stands still until it is moved, and counts where others roll dice.
pub(crate) struct TestClock {
    now: AtomicI64,
    random: AtomicU64,
}

impl TestClock {
    pub(crate) fn pass(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn monotonic_ms(&self) -> i64 {
        self.now.load(Ordering::SeqCst) - NOW.0
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let next = self.random.fetch_add(1, Ordering::SeqCst).to_be_bytes();
            chunk.copy_from_slice(&next[8 - chunk.len()..]);
        }
    }
}

pub(crate) struct House {
    pub(crate) gate: Arc<Gate>,
    pub(crate) log: Log,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) admin_key: String,
}

impl House {
    /// A fresh store and its first key.
    pub(crate) async fn empty() -> Self {
        let clock = Arc::new(TestClock { now: AtomicI64::new(NOW.0), random: AtomicU64::new(1) });
        let store = Arc::new(SqliteStore::in_memory(clock.clone()).unwrap());
        let sealer = Sealer::from_master(&[7; 32], clock.clone());
        let log = Log::open(store.clone(), sealer, clock.clone(), "test").await.unwrap();
        let gate = open(&log, checks()).await;
        let admin_key = bootstrap(&gate).await.unwrap().unwrap().key;
        House { gate, log, store, clock, admin_key }
    }

    /// The article's agent with its parts, and two people of its owner group.
    pub(crate) async fn new() -> Self {
        House::of(ARTICLE).await
    }

    /// The same with another agent of the same name.
    pub(crate) async fn of(agent: &str) -> Self {
        let house = House::empty().await;
        control::apply::apply(&house.gate, &Caller::Admin, parsed(&format!("{PARTS}---\n{agent}")), false)
            .await
            .unwrap();
        for person in ["ana", "bob"] {
            add_person(&house.gate, &Caller::Admin, &name(person), &[name("finance-platform")]).await.unwrap();
        }
        house
    }

    /// Another node's gate over the same log, as it is now.
    /// The process ended, and another one opened the same store.
    pub(crate) async fn restart(&mut self) {
        let sealer = Sealer::from_master(&[7; 32], self.clock.clone());
        self.log = Log::open(self.store.clone(), sealer, self.clock.clone(), "test").await.unwrap();
        self.gate = self.another_gate().await;
    }

    pub(crate) async fn another_gate(&self) -> Arc<Gate> {
        open(&self.log, checks()).await
    }

    pub(crate) fn principal(&self) -> Principal {
        let agent = name("reconciliation-finance");
        let entry = self.gate.registry().agent(&agent).unwrap().clone();
        let link = Link { agent, revision: entry.revision, session: SessionId::from_u128(7), call: None };
        let (owner, autonomy) = (name("finance-platform"), entry.rules.autonomy);
        Principal { link, owner, on_behalf_of: None, parents: Vec::new(), autonomy }
    }

    /// Begins the session and commits these rows as its first record.
    pub(crate) async fn begun(&self, rows: Rows) -> SessionWriter {
        let principal = self.principal();
        let started = Event::SessionStarted {
            principal,
            key: "k".to_owned(),
            trace: TraceId(1),
            case: None,
            partition: None,
            attached: false,
        };
        let mut all = Rows::of(started);
        all.merge(rows);
        let mut writer = self.log.begin(SessionId::from_u128(7));
        self.commit(&mut writer, all).await;
        writer
    }

    pub(crate) async fn commit(&self, writer: &mut SessionWriter, rows: Rows) {
        let principal = self.principal();
        let head = Head {
            agent: principal.link.agent.clone(),
            revision: principal.link.revision,
            key: "k".to_owned(),
            phase: Phase::Suspended,
            since: self.clock.now(),
            waits_on: String::new(),
            scripted: false,
            mode: principal.mode(),
            partition: None,
        };
        let stamp = Stamp {
            mode: principal.mode(),
            principal: Arc::new(principal),
            trace: TraceId(1),
            parent: None,
            cause: "test".to_owned(),
            control_pos: self.gate.registry().pos(),
            synthetic: false,
        };
        self.log.commit(writer, stamp, head, rows).await.unwrap();
    }
}

pub(crate) async fn open(log: &Log, checks: Checks) -> Arc<Gate> {
    Gate::open(log.clone(), b"secret", checks).await.unwrap()
}

pub(crate) fn parsed(text: &str) -> Vec<Descriptor> {
    parse_file("test.yaml", text, &|_| None).unwrap()
}
