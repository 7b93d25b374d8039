//! Views follow the log: one background task reads what was committed and writes spend, results and audit leaves,
//! each with its cursor in one transaction. A view is never written from anywhere else, so it can be rebuilt at any
//! time. It must not know what a view is used for.
//!
//! ```text
//! Log::committed ─▶ task ─▶ tail(shard, after cursor) ─▶ spend │ results │ leaves + cursor ─▶ every N: checkpoint
//!                    ▲
//!   Views (handle) ──┘ caught_up, caught_up_to, rebuild, stop
//! ```

mod follow;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::clock::Timestamp;
use domain::id::{Name, Pos, SessionId, Shard};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use follow::Follower;

use crate::audit::{AuditReport, Auditor};
use crate::commit::{Committed, Log};
use crate::error::DataError;
use crate::results::AgentResult;
use crate::retention::Retention;
use crate::spend::{By, Cost};
use crate::store::{ResultFilter, SpendFilter, SpendRow, View};

/// How long commits are gathered before the views follow: one durable write of a view for many of the log.
const GATHER: Duration = Duration::from_millis(40);

/// After how long the views look again though nobody told them: what other nodes commit is found so.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// After how long a failed look is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How many requests wait for the task before the next caller waits to ask.
const ASKED: usize = 256;

/// How many results one question gets, unless it says fewer.
const RESULTS: usize = 500;

/// The views, as those who read them see them. Cheap to clone.
#[derive(Clone)]
pub struct Views {
    inner: Arc<Inner>,
}

struct Inner {
    log: Log,
    auditor: Option<Arc<Auditor>>,
    asked: mpsc::Sender<Asked>,
    reached: watch::Receiver<BTreeMap<Shard, Pos>>,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

enum Asked {
    CatchUp(oneshot::Sender<Result<(), DataError>>),
    Rebuild(View, oneshot::Sender<Result<(), DataError>>),
}

impl Views {
    /// Starts the task, on the current tokio runtime. Without an auditor nothing is signed.
    pub fn start(log: Log, auditor: Option<Auditor>) -> Views {
        let auditor = auditor.map(Arc::new);
        let (asked, asking) = mpsc::channel(ASKED);
        let stop = watch::Sender::new(false);
        let reached = watch::Sender::new(BTreeMap::new());
        let watching = reached.subscribe();
        let follower = Follower::new(log.clone(), auditor.clone());
        let task = Task {
            log: log.clone(),
            follower,
            asking,
            stop: stop.subscribe(),
            reached,
            retention: Retention::default(),
        };
        let task = Mutex::new(Some(tokio::spawn(task.run())));
        Views { inner: Arc::new(Inner { log, auditor, asked, reached: watching, stop, task }) }
    }

    /// Waits until all views hold everything that was committed before this call; `false` if that takes longer than
    /// `within`, or cannot be done.
    pub async fn caught_up(&self, within: Duration) -> bool {
        let (reply, answer) = oneshot::channel();
        let wait = async {
            self.inner.asked.send(Asked::CatchUp(reply)).await.ok()?;
            answer.await.ok()?.ok()
        };
        tokio::time::timeout(within, wait).await.is_ok_and(|done| done.is_some())
    }

    /// Waits until all views have reached a position; `false` if that takes longer than `within`.
    pub async fn caught_up_to(&self, shard: Shard, pos: Pos, within: Duration) -> bool {
        let mut reached = self.inner.reached.clone();
        let there = reached.wait_for(|reached| reached.get(&shard).is_some_and(|at| *at >= pos));
        tokio::time::timeout(within, there).await.is_ok_and(|there| there.is_ok())
    }

    /// How far all views are in each shard: the end of the log, right after [`Views::caught_up`].
    pub fn reached(&self) -> BTreeMap<Shard, Pos> {
        self.inner.reached.borrow().clone()
    }

    /// Empties a view and follows the log from its start again.
    pub async fn rebuild(&self, view: View) -> Result<(), DataError> {
        let (reply, answer) = oneshot::channel();
        self.inner.asked.send(Asked::Rebuild(view, reply)).await.map_err(|_| DataError::Stopped)?;
        answer.await.map_err(|_| DataError::Stopped)?
    }

    /// What things cost since `since`, from the start of its hour; nobody says whose agents are.
    pub async fn cost(&self, by: By, since: Timestamp) -> Result<Cost, DataError> {
        Ok(crate::spend::cost(&self.spend(since).await?, by, since, |_| None))
    }

    /// The rows of the spend view since `since`, from the start of its hour.
    pub async fn spend(&self, since: Timestamp) -> Result<Vec<SpendRow>, DataError> {
        let hour = domain::budget::Window::Hour.start(since);
        let filter = SpendFilter { since: Some(hour), ..SpendFilter::default() };
        Ok(self.inner.log.store().spend(&filter).await?)
    }

    /// What agents produced, the latest first; of one agent, of one session, or of all.
    pub async fn results(
        &self,
        agent: Option<&Name>,
        session: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<AgentResult>, DataError> {
        let filter = ResultFilter { agent: agent.cloned(), session, limit: Some(limit.min(RESULTS)) };
        let rows = self.inner.log.store().results(&filter).await?;
        let mut results = Vec::new();
        let mut pasts: BTreeMap<SessionId, Option<crate::commit::Past>> = BTreeMap::new();
        for row in rows {
            if let std::collections::btree_map::Entry::Vacant(place) = pasts.entry(row.session) {
                place.insert(self.inner.log.past(row.session).await?);
            }
            let past = pasts.get(&row.session).and_then(Option::as_ref);
            results.extend(past.and_then(|past| crate::results::read(&row, &past.records)));
        }
        Ok(results)
    }

    /// Reads the whole log again and says everything that is wrong with it; `None` without an auditor.
    pub async fn verify(&self) -> Result<Option<AuditReport>, DataError> {
        match &self.inner.auditor {
            Some(auditor) => crate::audit::verify(&self.inner.log, auditor.kept(), &auditor.verifier()).await.map(Some),
            None => Ok(None),
        }
    }

    /// Follows to the end, signs what is not signed yet, and ends the task. Call it before [`Log::stop`].
    pub async fn stop(&self) {
        self.inner.stop.send_replace(true);
        let task = self.inner.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the views' task did not end well");
        }
    }
}

struct Task {
    log: Log,
    follower: Follower,
    asking: mpsc::Receiver<Asked>,
    stop: watch::Receiver<bool>,
    reached: watch::Sender<BTreeMap<Shard, Pos>>,
    retention: Retention,
}

impl Task {
    async fn run(mut self) {
        let mut committed = self.log.committed();
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                // An error: every handle is gone.
                _ = self.stop.changed() => break,
                asked = self.asking.recv() => match asked {
                    Some(asked) => self.answer(asked).await,
                    // Every handle is gone.
                    None => break,
                },
                heard = committed.recv(), if pause > GATHER => match heard {
                    Ok(Committed { shard, .. }) => {
                        self.follower.look_at(shard);
                        pause = GATHER;
                    }
                    Err(RecvError::Lagged(_)) => {
                        self.follower.look_everywhere();
                        pause = GATHER;
                    }
                    Err(RecvError::Closed) => break,
                },
                () = tokio::time::sleep(pause) => {
                    if pause == LOOK_AGAIN {
                        self.follower.look_everywhere();
                    }
                    while let Ok(Committed { shard, .. }) = committed.try_recv() {
                        self.follower.look_at(shard);
                    }
                    pause = if self.look().await.is_ok() { LOOK_AGAIN } else { RETRY };
                    self.retention.keep(&self.log).await;
                }
            }
        }
        self.follower.look_everywhere();
        if self.look().await.is_ok() {
            self.follower.sign_all();
        }
    }

    async fn look(&mut self) -> Result<(), DataError> {
        let looked = self.follower.catch_up().await;
        if let Err(error) = &looked {
            tracing::error!(%error, "the views could not follow the log; they will try again");
        }
        self.reached.send_replace(self.follower.reached());
        looked
    }

    async fn answer(&mut self, asked: Asked) {
        let (answer, reply) = match asked {
            Asked::CatchUp(reply) => {
                self.follower.look_everywhere();
                (self.look().await, reply)
            }
            Asked::Rebuild(view, reply) => {
                let rebuilt = self.follower.rebuild(view).await;
                self.reached.send_replace(self.follower.reached());
                (rebuilt, reply)
            }
        };
        // Whoever asked may have stopped waiting.
        reply.send(answer).ok();
    }
}
