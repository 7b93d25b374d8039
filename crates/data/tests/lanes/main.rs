//! The commit lanes, under a scheduler that searches interleavings: two nodes write to the same sessions, a store loses
//! answers and takes shards away, callers give up half way, and a node stops meanwhile. Whatever the schedule: what was
//! acknowledged is in the log, what was refused never is, and no chain forks.
//!
//! A failing schedule is printed. `OSTLER_SCHEDULE=FILE`, with what was printed in the file, tells it again;
//! `OSTLER_SCHEDULES=10000` tries so many of each kind.

#![expect(clippy::unwrap_used, reason = "what is set up is known to be right, and nobody panics with a lock")]

mod store;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use data::commit::{Log, SessionWriter};
use data::error::{CommitError, DataError};
use data::record::Stamp;
use data::rows::{Head, Rows};
use data::seal::Sealer;
use domain::clock::{Clock, Timestamp};
use domain::event::Event;
use domain::id::{Digest, Name, Pos, Seq, SessionId, Shard, TraceId};
use domain::mail::{Mail, MailBody};
use domain::principal::{Autonomy, Link, Mode, Principal};
use domain::session::Phase;
use shuttle::future::{JoinHandle, block_on, spawn};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

use crate::store::Shelf;

/// How many schedules are tried of each kind where nobody says otherwise.
const SCHEDULES: usize = 500;
/// How many changes of priority PCT makes.
const DEPTH: usize = 4;
/// From where schedules are drawn: the same ones each time.
const SEED: u64 = 7;
/// How often a caller loads its session.
const ROUNDS: usize = 2;
/// How many commits it makes of one loading.
const COMMITS: usize = 2;

struct StandingStill;

impl Clock for StandingStill {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000)
    }

    fn monotonic_ms(&self) -> i64 {
        0
    }

    /// Drawn from the schedule, so that no two sessions' keys are the same.
    fn fill_random(&self, bytes: &mut [u8]) {
        thread_rng().fill(bytes);
    }
}

/// What callers were told, by the cause of their commit.
#[derive(Default)]
struct Said {
    yes: BTreeMap<String, (Shard, Pos)>,
    no: Vec<String>,
    unknown: usize,
    posted: BTreeMap<String, bool>,
}

/// A commit that its caller gives up on after so many looks.
struct Abandoned<F> {
    commit: Pin<Box<F>>,
    looks: usize,
}

impl<F: Future> Future for Abandoned<F> {
    type Output = Option<F::Output>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.looks == 0 {
            return Poll::Ready(None);
        }
        self.looks -= 1;
        let polled = self.commit.as_mut().poll(context);
        if polled.is_pending() && self.looks == 0 {
            context.waker().wake_by_ref();
        }
        polled.map(Some)
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn session(shard: u8, n: u64) -> SessionId {
    SessionId::from_u128(u128::from(shard) << 120 | u128::from(n) | 1 << 64)
}

fn stamp(session: SessionId, cause: &str) -> Stamp {
    let principal = Principal {
        link: Link { agent: name("finance"), revision: Digest::of(b"revision"), session, call: None },
        owner: name("finance"),
        on_behalf_of: None,
        parents: Vec::new(),
        autonomy: Autonomy::Supervised,
    };
    Stamp {
        principal: Arc::new(principal),
        trace: TraceId(9),
        parent: None,
        cause: cause.to_owned(),
        control_pos: Pos(0),
        mode: Mode::Live,
        synthetic: false,
    }
}

fn head() -> Head {
    Head {
        agent: name("finance"),
        revision: Digest::of(b"revision"),
        key: "k".to_owned(),
        phase: Phase::Running,
        since: Timestamp(1),
        waits_on: String::new(),
        scripted: false,
        mode: Mode::Live,
        partition: None,
    }
}

/// One caller: loads, commits, gives up, loads again.
async fn work(log: Log, node: &'static str, session: SessionId, said: Arc<Mutex<Said>>) {
    for round in 0..ROUNDS {
        let right = log.right(session);
        let mut writer = match log.load(session).await {
            Ok(Some(loaded)) => loaded.writer,
            Ok(None) => log.begin_under(right, session),
            Err(DataError::Damaged { why, .. }) => panic!("{session}: {why}"),
            Err(_) => continue,
        };
        for n in 0..COMMITS {
            if !commit(&log, &mut writer, &format!("{node}/{session}/{round}/{n}"), &said).await {
                break;
            }
        }
    }
}

/// One commit; whether the writer may go on.
async fn commit(log: &Log, writer: &mut SessionWriter, cause: &str, said: &Mutex<Said>) -> bool {
    let looks = if thread_rng().gen_ratio(1, 4) { thread_rng().gen_range(0..3) } else { usize::MAX };
    let (session, shard, rows) = (writer.session(), writer.shard(), Rows::of(Event::Finished { compute_ms: 1 }));
    let commit = Box::pin(log.commit(writer, stamp(session, cause), head(), rows));
    let done = Abandoned { commit, looks }.await;
    let mut said = said.lock().unwrap();
    match done {
        Some(Ok(receipt)) => {
            said.yes.insert(cause.to_owned(), (shard, receipt.pos()));
            true
        }
        Some(Err(error @ (CommitError::Refused(_) | CommitError::Fenced))) => {
            said.no.push(cause.to_owned());
            matches!(error, CommitError::Refused(_))
        }
        Some(Err(CommitError::Unknown | CommitError::Poisoned)) | None => {
            said.unknown += 1;
            false
        }
    }
}

async fn post(log: Log, node: &'static str, said: Arc<Mutex<Said>>) {
    for n in 0..2 {
        let id = format!("{node}-{n}");
        let due = Timestamp(0);
        let mail = Mail { id: id.parse().unwrap(), session: session(0, 1), due, body: MailBody::Wake };
        let posted = log.post(vec![mail]).await.is_ok();
        said.lock().unwrap().posted.insert(id, posted);
    }
}

/// Two nodes, three sessions on two shards, mail, and now and then one that stops early.
async fn story() {
    let (shelf, said) = (Arc::new(Shelf::new()), Arc::<Mutex<Said>>::default());
    let (mut tasks, mut logs): (Vec<JoinHandle<()>>, Vec<Log>) = (Vec::new(), Vec::new());
    for node in ["a", "b"] {
        let clock = Arc::new(StandingStill);
        let sealer = Sealer::from_master(&[7; 32], clock.clone());
        let log = Log::open(shelf.clone(), sealer, clock, node).await.expect("it opens");
        for session in [session(0, 1), session(0, 2), session(1, 3)] {
            tasks.push(spawn(work(log.clone(), node, session, said.clone())));
        }
        tasks.push(spawn(post(log.clone(), node, said.clone())));
        logs.push(log);
    }
    if thread_rng().gen_ratio(1, 4) {
        logs[1].stop().await;
    }
    for task in tasks {
        task.await.expect("no task is cancelled");
    }
    for log in logs {
        log.stop().await;
    }
    check(&shelf, &said.lock().unwrap());
}

fn check(shelf: &Shelf, said: &Said) {
    let rows = shelf.rows();
    let mut by_cause = BTreeMap::new();
    let mut chains: BTreeMap<SessionId, (Seq, Pos)> = BTreeMap::new();
    for (shard, records) in &rows.records {
        for (n, row) in records.iter().enumerate() {
            let envelope = &row.envelope;
            assert_eq!(envelope.pos, Pos(n as u64 + 1), "positions are dense");
            let (seq, prev) = chains.get(&envelope.session).copied().unwrap_or((Seq(0), Pos(0)));
            assert_eq!((envelope.seq, envelope.prev), (Seq(seq.0 + 1), prev), "{} is one chain", envelope.session);
            chains.insert(envelope.session, (envelope.seq, envelope.pos));
            let twice = by_cause.insert(envelope.cause.clone(), (*shard, envelope.pos));
            assert_eq!(twice, None, "{} is there once", envelope.cause);
        }
    }
    for (cause, place) in &said.yes {
        assert_eq!(by_cause.get(cause), Some(place), "{cause} was acknowledged");
    }
    for cause in &said.no {
        assert_eq!(by_cause.get(cause), None, "{cause} was refused");
    }
    for (id, posted) in &said.posted {
        let there = rows.mail.iter().filter(|mail| mail.id.to_string() == *id).count();
        assert_eq!(there, usize::from(*posted), "mail {id}");
    }
    SEEN.lock().unwrap().add(said);
}

/// What happened in all schedules: a search that never meets trouble shows nothing.
#[derive(Debug, Default)]
struct Seen {
    schedules: usize,
    yes: usize,
    no: usize,
    unknown: usize,
}

static SEEN: Mutex<Seen> = Mutex::new(Seen { schedules: 0, yes: 0, no: 0, unknown: 0 });

impl Seen {
    fn add(&mut self, said: &Said) {
        self.schedules += 1;
        self.yes += said.yes.len();
        self.no += said.no.len();
        self.unknown += said.unknown;
    }
}

fn search(scheduler: impl Scheduler + 'static) -> usize {
    Runner::new(scheduler, Config::new()).run(|| block_on(story()))
}

#[expect(clippy::disallowed_methods, reason = "which schedules are told is a matter of the test alone")]
fn wish(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

#[test]
fn whatever_the_schedule_nothing_acknowledged_is_lost_and_no_chain_forks() {
    if let Some(file) = wish("OSTLER_SCHEDULE") {
        shuttle::replay_from_file(|| block_on(story()), file);
        return;
    }
    let schedules = wish("OSTLER_SCHEDULES").and_then(|text| text.parse().ok()).unwrap_or(SCHEDULES);
    let random = search(RandomScheduler::new_from_seed(SEED, schedules));
    let pct = search(PctScheduler::new_from_seed(SEED, DEPTH, schedules));
    let seen = std::mem::take(&mut *SEEN.lock().unwrap());
    println!("{random} random schedules, {pct} by PCT: {seen:?}");
    assert_eq!(seen.schedules, 2 * schedules);
    assert!(seen.yes.min(seen.no).min(seen.unknown) > schedules, "{seen:?}");
}
