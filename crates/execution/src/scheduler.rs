//! Wakes what has mail, and holds what is awake. One task per session that works; none for one that waits.
//! It must not know what mail means or what a session does.
//!
//! ```text
//!   posted here ──told──▶ ┐                            ┌─▶ task of session A ──┐
//!   mail table ──looks──▶ ├─ backlog ── whose turn? ───┼─▶ task of session B ──┤ rests, with what it has seen
//!   unfinished at start ─▶┘     ▲                      └─▶ …                   │
//!                               └────────────────────────────────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data::commit::Log;
use data::error::DataError;
use data::store::HeadFilter;
use domain::id::{SessionId, Shard};
use domain::session::Phase;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use crate::attach::{AttachError, Request, Starts};
use crate::backlog::{Bounds, Gauge, Rested};
use crate::desk::{Desk, Held};
use crate::looks::Look;
use crate::mailbox::Full;
use crate::offered::Offered;
use crate::progress::Announcer;
use crate::trigger::Triggers;
use crate::turn;

/// Named bounds of the execution plane.
#[derive(Debug, Clone)]
pub struct Options {
    /// Sessions in memory at once; more wait in the backlog.
    pub awake: usize,
    /// More of them, for what people decided alone.
    pub kept: usize,
    /// Sessions with mail that the node keeps in mind; more wait in the mail table, and no message is accepted.
    pub backlog: usize,
    /// Messages to one session that it has not taken.
    pub mailbox: u32,
    /// Pieces of mail looked at in one go.
    pub mail_batch: usize,
    /// How long to wait before asking a store that failed again, in milliseconds.
    pub retry_ms: u64,
    /// Whom to ask about schedules that fall due.
    pub triggers: Triggers,
    /// Whom to ask how sessions of clients start.
    pub starts: Starts,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            awake: 256,
            kept: 16,
            backlog: 131_072,
            mailbox: domain::descriptor::DEFAULT_MAILBOX,
            mail_batch: 1024,
            retry_ms: 500,
            triggers: Triggers::default(),
            starts: Starts::default(),
        }
    }
}

/// What a session's task works with.
#[derive(Clone)]
pub(crate) struct Parts {
    pub log: Log,
    pub models: models::Door,
    pub gateway: gateway::Door,
    pub announcer: Announcer,
    pub desk: Arc<Desk>,
    pub triggers: Triggers,
    pub offered: Arc<Offered>,
}

/// The running scheduler.
pub(crate) struct Scheduler {
    desk: Arc<Desk>,
    stopping: watch::Sender<bool>,
    task: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// Starts the scheduler's task.
pub(crate) fn start(parts: Parts, options: Options) -> Scheduler {
    let desk = parts.desk.clone();
    let (stopping, stop) = watch::channel(false);
    let owned = parts.log.owned_changed();
    // Before anybody can post: what is told of a shard that is not served yet would be lost.
    let moved = desk.moved();
    let stable = Stable {
        parts,
        options,
        stop,
        owned,
        owned_changed: false,
        tasks: JoinSet::new(),
        names: BTreeMap::new(),
        look: None,
        to_recover: moved.gained.into_iter().collect(),
        lost: BTreeSet::new(),
        claim_at_ms: 0,
    };
    let task = tokio::spawn(stable.run());
    Scheduler { desk, stopping, task: Mutex::new(Some(task)) }
}

impl Options {
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { awake: self.awake, kept: self.kept, backlog: self.backlog, mailbox: self.mailbox }
    }
}

impl Scheduler {
    /// Takes what a client asks of a session, if there is room.
    pub(crate) fn ask(&self, session: SessionId, request: Request) -> Result<(), AttachError> {
        if *self.stopping.borrow() {
            return Err(AttachError::Lost("The server is stopping.".to_owned()));
        }
        self.desk.ask(session, request)
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// A place for mail that is to be posted, if there is one.
    pub(crate) fn room(&self, mail: &domain::mail::Mail) -> Result<Option<Held<'_>>, Full> {
        if *self.stopping.borrow() {
            return Err(Full { bound: "the runtime (it is stopping)", retry_after_ms: 2_000 });
        }
        self.desk.reserve(mail)
    }

    pub(crate) fn awake(&self) -> Vec<SessionId> {
        self.desk.awake()
    }

    pub(crate) fn queued(&self, session: SessionId) -> Option<u64> {
        self.desk.queued(session)
    }

    pub(crate) fn gauges(&self) -> Vec<Gauge> {
        self.desk.gauges()
    }

    pub(crate) async fn stop(&self, drain: Duration) {
        let _ = self.stopping.send(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && tokio::time::timeout(drain, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

/// How a session's task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It sleeps, or is over.
    Rests(Rested),
    /// The log did not take its records: rehydrate it and try again.
    Again,
    /// Its records cannot be read by this build, or working on it fails badly: it is left alone until the next start.
    Unreadable,
}

/// The longest the scheduler sleeps without a look at the clock, in milliseconds: a clock may step forward.
const LONGEST_PAUSE_MS: i64 = 60_000;

/// Of how many partitions it is asked at once who is unfinished.
const PARTITIONS_ASKED: usize = 256;

/// Waits for word to stop. Without anybody who could give it, waits for ever.
pub(crate) async fn stop_changed(stop: &mut watch::Receiver<bool>) {
    if stop.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

struct Stable {
    parts: Parts,
    options: Options,
    stop: watch::Receiver<bool>,
    owned: watch::Receiver<()>,
    /// Whether the shards that are owned are to be looked at again.
    owned_changed: bool,
    tasks: JoinSet<Ended>,
    names: BTreeMap<Id, SessionId>,
    /// The look at the table that goes on, with its number.
    look: Option<(u64, Look)>,
    /// Shards whose unfinished sessions nobody has looked for.
    to_recover: BTreeSet<Shard>,
    /// Shards that other nodes took, to be had again when they let go.
    lost: BTreeSet<Shard>,
    claim_at_ms: i64,
}

impl Stable {
    async fn run(mut self) {
        while !*self.stop.borrow() {
            self.look_at_shards();
            self.parts.desk.hear();
            while let Some(ended) = self.tasks.try_join_next_with_id() {
                self.forget(ended);
            }
            self.parts.desk.try_again(self.monotonic_ms());
            while let Some(go) = self.parts.desk.next() {
                let session = go.session;
                let handle = self.tasks.spawn(turn::live(self.parts.clone(), go, self.stop.clone()));
                self.names.insert(handle.id(), session);
            }
            match self.read().await {
                Ok(true) => {}
                Ok(false) => self.wait(LONGEST_PAUSE_MS).await,
                Err(error) => {
                    tracing::error!(%error, "the mail could not be read; trying again");
                    self.wait(self.retry_ms()).await;
                }
            }
        }
        // Drain: nobody is woken; a task that has nothing in flight ends by itself.
        self.parts.desk.turn_away();
        while self.tasks.join_next().await.is_some() {}
        self.parts.desk.turn_away();
    }

    fn look_at_shards(&mut self) {
        let changed = self.owned.has_changed().unwrap_or(false);
        if !std::mem::take(&mut self.owned_changed) && !changed {
            return;
        }
        self.owned.mark_unchanged();
        let moved = self.parts.desk.moved();
        self.lost.extend(moved.lost);
        self.lost.retain(|shard| !moved.gained.contains(shard));
        self.to_recover.extend(moved.gained);
    }

    fn retry_ms(&self) -> i64 {
        i64::try_from(self.options.retry_ms).unwrap_or(LONGEST_PAUSE_MS)
    }

    fn monotonic_ms(&self) -> i64 {
        self.parts.log.clock().monotonic_ms()
    }

    /// Reads what is to be known next. `false`: there is nothing to read now.
    async fn read(&mut self) -> Result<bool, DataError> {
        self.claim().await?;
        if !self.to_recover.is_empty() {
            self.find_unfinished().await?;
            return Ok(true);
        }
        let asked = self.parts.desk.partitions_to_ask(PARTITIONS_ASKED);
        if !asked.is_empty() {
            self.ask_who_is_unfinished(&asked).await?;
            return Ok(true);
        }
        if self.look.is_none() {
            self.look = self.parts.desk.look();
        }
        self.turn_page().await
    }

    async fn turn_page(&mut self) -> Result<bool, DataError> {
        let Some((number, look)) = &mut self.look else { return Ok(false) };
        let (shards, from) = (self.parts.desk.owned(), look.from.clone());
        let page = self.parts.log.due(&shards, look.by, from, self.options.mail_batch).await?;
        if self.parts.desk.page(*number, &page) {
            look.from = page.next_page;
        } else {
            self.look = None;
        }
        Ok(true)
    }

    /// Has lost shards again: where nodes share the store, the log sees to that.
    async fn claim(&mut self) -> Result<(), DataError> {
        if self.parts.log.shares_store() {
            self.lost.clear();
        }
        if self.lost.is_empty() || self.monotonic_ms() < self.claim_at_ms {
            return Ok(());
        }
        self.claim_at_ms = self.monotonic_ms().saturating_add(self.retry_ms());
        self.parts.log.claim(self.lost.iter().copied().collect()).await
    }

    /// What a crash, or another node, left at work.
    async fn find_unfinished(&mut self) -> Result<(), DataError> {
        let filter = HeadFilter { phases: vec![Phase::Ready, Phase::Running], ..HeadFilter::default() };
        let heads = self.parts.log.heads(filter).await?;
        let shards = std::mem::take(&mut self.to_recover);
        for (session, head, _) in heads {
            if shards.contains(&self.parts.log.shard_of(session)) {
                self.parts.desk.recover(session, head.agent.as_str(), head.partition);
            }
        }
        Ok(())
    }

    async fn ask_who_is_unfinished(&self, partitions: &[u64]) -> Result<(), DataError> {
        let phases = vec![Phase::Ready, Phase::Running, Phase::Suspended];
        let filter = HeadFilter { phases, partitions: partitions.to_vec(), ..HeadFilter::default() };
        let heads = self.parts.log.heads(filter).await?;
        let found: Vec<_> =
            heads.into_iter().filter_map(|(session, head, _)| Some((head.partition?, session))).collect();
        self.parts.desk.unfinished(partitions, &found);
        Ok(())
    }

    /// Waits until there may be something to do, at most so long.
    async fn wait(&mut self, longest_ms: i64) {
        let clock = self.parts.log.clock();
        let idle_ms = self.parts.desk.idle_for_ms(clock.now(), clock.monotonic_ms());
        let claim_ms = if self.lost.is_empty() { longest_ms } else { self.claim_at_ms - clock.monotonic_ms() };
        let pause_ms = idle_ms.min(claim_ms).min(longest_ms).max(1);
        // In this order, so that mail that keeps coming keeps nobody from being forgotten.
        tokio::select! {
            biased;
            () = stop_changed(&mut self.stop) => {}
            Some(ended) = self.tasks.join_next_with_id() => self.forget(ended),
            Ok(()) = self.owned.changed() => self.owned_changed = true,
            () = self.parts.log.mail_posted().notified() => {}
            () = self.parts.desk.asked() => {}
            () = tokio::time::sleep(Duration::from_millis(pause_ms.unsigned_abs())) => {}
        }
    }

    fn forget(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let (task, ended) = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "a session's task ended badly; it is left alone until the next start");
            (error.id(), Ended::Unreadable)
        });
        let Some(session) = self.names.remove(&task) else { return };
        match ended {
            Ended::Rests(rested) => self.parts.desk.rested(session, rested),
            Ended::Again => self.parts.desk.failed(session, self.monotonic_ms().saturating_add(self.retry_ms())),
            Ended::Unreadable => self.parts.desk.leave_alone(session),
        }
    }
}
