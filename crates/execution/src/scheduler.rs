//! Wakes what has mail, and holds what is awake. One task per session that works; none for one that waits.
//! It must not know what mail means or what a session does.
//!
//! ```text
//!   mail table ──due──▶ route ──┬─▶ task of session A ──┐
//!        ▲                      └─▶ task of session B ──┤ ends: forgotten
//!        └── posted / timer / a task ended ◀────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use data::commit::Log;
use data::error::DataError;
use data::store::HeadFilter;
use domain::clock::Timestamp;
use domain::id::{MailId, SessionId, Shard};
use domain::mail::Mail;
use domain::session::Phase;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};

use crate::mailbox::Full;
use crate::progress::Announcer;
use crate::trigger::Triggers;
use crate::turn;

/// Named bounds of the execution plane.
#[derive(Debug, Clone)]
pub struct Options {
    /// Sessions in memory at once; more wait in the mail table.
    pub awake: usize,
    /// Pieces of mail looked at in one go.
    pub mail_batch: usize,
    /// How long to wait before asking a store that failed again, in milliseconds.
    pub retry_ms: u64,
    /// Whom to ask about schedules that fall due.
    pub triggers: Triggers,
}

impl Default for Options {
    fn default() -> Self {
        Options { awake: 256, mail_batch: 1024, retry_ms: 500, triggers: Triggers::default() }
    }
}

/// What a session's task works with.
#[derive(Clone)]
pub(crate) struct Parts {
    pub log: Log,
    pub models: models::Door,
    pub gateway: gateway::Door,
    pub announcer: Announcer,
    pub triggers: Triggers,
}

/// The running scheduler.
pub(crate) struct Scheduler {
    awake: Arc<Mutex<BTreeSet<SessionId>>>,
    stopping: watch::Sender<bool>,
    task: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// Starts the scheduler's task.
pub(crate) fn start(parts: Parts, options: Options) -> Scheduler {
    let awake = Arc::new(Mutex::new(BTreeSet::new()));
    let (stopping, stop) = watch::channel(false);
    let stable = Stable {
        parts,
        options,
        stop,
        awake: awake.clone(),
        open: BTreeMap::new(),
        tasks: JoinSet::new(),
        names: BTreeMap::new(),
        parked: BTreeMap::new(),
        recovering: VecDeque::new(),
    };
    let task = tokio::spawn(stable.run());
    Scheduler { awake, stopping, task: Mutex::new(Some(task)) }
}

impl Scheduler {
    /// Whether more mail can be accepted.
    pub(crate) fn room(&self) -> Result<(), Full> {
        if *self.stopping.borrow() {
            return Err(Full { bound: "the runtime (it is stopping)", retry_after_ms: 2_000 });
        }
        Ok(())
    }

    pub(crate) fn awake(&self) -> Vec<SessionId> {
        self.awake.lock().expect("nothing panics while holding this lock").iter().copied().collect()
    }

    pub(crate) async fn stop(&self, drain: Duration) {
        let _ = self.stopping.send(true);
        let task = self.task.lock().expect("nothing panics while holding this lock").take();
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
    Rests,
    /// The log did not take its records: rehydrate it and try again.
    Again,
    /// Its records cannot be read by this build, or working on it fails badly: it is left alone until the next start.
    Unreadable,
}

/// How many batches of mail one look goes through at most.
const MAIL_PAGES: usize = 64;

/// The longest the scheduler sleeps without looking, in milliseconds.
const LONGEST_PAUSE_MS: i64 = 3_600_000;

/// One session in memory: its way in, and the mail it was handed.
struct Stall {
    door: mpsc::UnboundedSender<Mail>,
    handed: BTreeSet<MailId>,
}

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
    awake: Arc<Mutex<BTreeSet<SessionId>>>,
    open: BTreeMap<SessionId, Stall>,
    tasks: JoinSet<Ended>,
    names: BTreeMap<Id, SessionId>,
    /// Sessions that could not be worked on, and when (monotonic) to try again.
    parked: BTreeMap<SessionId, i64>,
    /// Sessions that a crash left at work.
    recovering: VecDeque<SessionId>,
}

impl Stable {
    async fn run(mut self) {
        self.find_unfinished().await;
        while !*self.stop.borrow() {
            // One instant for both: what falls due after this look is what is waited for.
            let now = self.parts.log.clock().now();
            let looked = match self.hand_out(now).await {
                Ok(()) => self.parts.log.due(&[self.shard()], now, None, 0).await.map(|page| page.next),
                Err(error) => Err(error),
            };
            match looked {
                Ok(next) => self.wait(next).await,
                Err(error) => {
                    tracing::error!(%error, "the mail could not be read; trying again");
                    self.wait(Some(now.plus_ms(self.retry_ms()))).await;
                }
            }
        }
        // Drain: no more mail is handed out; a task that has nothing in flight ends by itself.
        self.open.clear();
        while self.tasks.join_next().await.is_some() {}
    }

    fn shard(&self) -> Shard {
        Shard(0)
    }

    fn retry_ms(&self) -> i64 {
        i64::try_from(self.options.retry_ms).unwrap_or(LONGEST_PAUSE_MS)
    }

    async fn find_unfinished(&mut self) {
        let filter = HeadFilter { phases: vec![Phase::Ready, Phase::Running], ..HeadFilter::default() };
        loop {
            match self.parts.log.heads(filter.clone()).await {
                Ok(heads) => {
                    self.recovering = heads.into_iter().map(|(session, ..)| session).collect();
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "unfinished sessions could not be read; trying again");
                    tokio::time::sleep(Duration::from_millis(self.options.retry_ms)).await;
                }
            }
        }
    }

    /// Hands due mail to the sessions it is for, waking them as far as there is room.
    async fn hand_out(&mut self, now: Timestamp) -> Result<(), DataError> {
        let monotonic_ms = self.parts.log.clock().monotonic_ms();
        self.parked.retain(|_, until| *until > monotonic_ms);
        for session in std::mem::take(&mut self.recovering) {
            if self.open.len() < self.options.awake && !self.is_parked(session) {
                self.stall(session);
            } else {
                self.recovering.push_back(session);
            }
        }
        // To the end: mail that was handed out, or whose session is parked, stays where it is and would hide the rest.
        let mut after = None;
        for _ in 0..MAIL_PAGES {
            let page = self.parts.log.due(&[self.shard()], now, after, self.options.mail_batch).await?;
            let mut sessions: Vec<SessionId> = page.rows.iter().map(|row| row.session).collect();
            sessions.dedup();
            for session in sessions {
                self.hand(session, now).await?;
            }
            after = page.next_page;
            if after.is_none() {
                break;
            }
        }
        Ok(())
    }

    async fn hand(&mut self, session: SessionId, now: Timestamp) -> Result<(), DataError> {
        let room = self.open.contains_key(&session) || self.open.len() < self.options.awake;
        if !room || self.is_parked(session) {
            return Ok(());
        }
        for mail in self.parts.log.mail(session, now, self.options.mail_batch).await? {
            let stall = self.stall(session);
            if stall.handed.insert(mail.id.clone()) {
                // A task that just ended is replaced when its end is seen; its mail is still in the table.
                let _ = stall.door.send(mail);
            }
        }
        Ok(())
    }

    fn is_parked(&self, session: SessionId) -> bool {
        self.parked.contains_key(&session)
    }

    fn stall(&mut self, session: SessionId) -> &mut Stall {
        let Stable { parts, stop, awake, open, tasks, names, .. } = self;
        open.entry(session).or_insert_with(|| {
            let (door, mail) = mpsc::unbounded_channel();
            let handle = tasks.spawn(turn::live(parts.clone(), session, mail, stop.clone()));
            names.insert(handle.id(), session);
            awake.lock().expect("nothing panics while holding this lock").insert(session);
            Stall { door, handed: BTreeSet::new() }
        })
    }

    /// Waits until there may be something to hand out: at the latest when mail is `next` due.
    async fn wait(&mut self, next: Option<Timestamp>) {
        let clock = self.parts.log.clock();
        let retry = self.parked.values().map(|until| until.saturating_sub(clock.monotonic_ms())).min();
        let due_in = next.map_or(LONGEST_PAUSE_MS, |due| due.since_ms(clock.now()));
        let pause = due_in.min(retry.unwrap_or(LONGEST_PAUSE_MS)).clamp(1, LONGEST_PAUSE_MS);
        let posted = self.parts.log.mail_posted().notified();
        // In this order, so that mail that keeps coming keeps nobody from being forgotten.
        tokio::select! {
            biased;
            () = stop_changed(&mut self.stop) => {}
            Some(ended) = self.tasks.join_next_with_id() => {
                match ended {
                    Ok((id, ended)) => self.forget(id, ended),
                    Err(error) => {
                        tracing::error!(%error, "a session's task ended badly; it is left alone until the next start");
                        self.forget(error.id(), Ended::Unreadable);
                    }
                }
            }
            () = posted => {}
            () = tokio::time::sleep(Duration::from_millis(pause.unsigned_abs())) => {}
        }
    }

    fn forget(&mut self, task: Id, ended: Ended) {
        let Some(session) = self.names.remove(&task) else { return };
        self.awake.lock().expect("nothing panics while holding this lock").remove(&session);
        self.open.remove(&session);
        match ended {
            Ended::Rests => {}
            Ended::Again => {
                let until = self.parts.log.clock().monotonic_ms().saturating_add(self.retry_ms());
                self.parked.insert(session, until);
                self.recovering.push_back(session);
            }
            Ended::Unreadable => {
                self.parked.insert(session, i64::MAX);
            }
        }
    }
}
