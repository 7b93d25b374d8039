//! The log: the only way to write. One commit of one session is one record; what waits for the same lane goes into
//! the store together, one group in flight per lane. It must not know what an event means: whatever is conditional
//! was decided by its caller, in memory.
//!
//! ```text
//!  commit(writer, stamp, head, rows) ─▶ lane ─▶ group ≤ 512 ─▶ positions, envelopes, seals ─▶ Store::commit
//!        ▲                                                                                       │
//!        └── Receipt ◀── in │ Fenced ◀── the shard's row is not ours │ Unknown ◀── claim, look ◀─┘
//! ```

mod account;
mod concurrent;
mod control;
mod flight;
mod group;
mod keeper;
mod lane;
mod leases;
mod mail;
mod outage;
mod read;
mod snapshot;
mod writer;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use domain::clock::Clock;
use domain::id::{Epoch, MailId, Pos, Seq, SessionId, Shard};
use tokio::sync::{broadcast, mpsc, watch};

pub use crate::commit::account::Wish;
pub use crate::commit::mail::{DuePage, MailPage, Posts};
pub use crate::commit::outage::{Outage, Waits};
pub(crate) use crate::commit::read::unpacked;
pub use crate::commit::read::{Past, Right, Tailed};
pub use crate::commit::writer::{Loaded, Receipt, SessionWriter};

use crate::commit::concurrent::{JoinHandle, Mutex, spawn};
use crate::commit::flight::Flights;
use crate::commit::lane::Lane;
use crate::commit::leases::Leases;
use crate::commit::mail::{Posted, Poster, Told};
use crate::error::{CommitError, DataError, Refused};
use crate::record::Stamp;
use crate::rows::{Head, Rows};
use crate::seal::Sealer;
use crate::store::{Claim, Store};

/// How many bytes one record's body may hold.
pub const RECORD_BYTES: usize = 16 << 20;

/// How many commits wait for a lane before the next caller waits to queue.
const LANE_QUEUE: usize = 4096;

/// How many commits of the past a slow listener can still hear of; one that is slower is told that it missed some.
const COMMITTED_KEPT: usize = 1024;

/// The log. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    lanes: Vec<mpsc::Sender<group::Queued>>,
    poster: mpsc::Sender<Posted>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What the log's own tasks need of it; they do not keep the log itself alive.
struct Shared {
    store: Arc<dyn Store>,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
    node: String,
    leases: Leases,
    taken: account::Taken,
    flights: Arc<Flights>,
    control: watch::Sender<Pos>,
    posts: Told,
    posted: AtomicI64,
    outages: outage::Outages,
    snapshot_at: AtomicU64,
    /// Mail that was said to be unreadable.
    unreadable: Mutex<BTreeSet<(SessionId, MailId)>>,
    committed: broadcast::Sender<Committed>,
}

/// That a session committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The session; [`SessionId::CONTROL`] for the control shard.
    pub session: SessionId,
    /// The record's number in it.
    pub seq: Seq,
    /// The shard.
    pub shard: Shard,
    /// The record's position there.
    pub pos: Pos,
}

impl Log {
    /// Claims what shards can be had and starts the lanes, on the current tokio runtime.
    pub async fn open(
        store: Arc<dyn Store>,
        sealer: Sealer,
        clock: Arc<dyn Clock>,
        node: &str,
    ) -> Result<Log, DataError> {
        let claimed = store.claim(Claim { node: node.to_owned(), shards: None }).await?;
        let shared = Arc::new(Shared {
            store,
            sealer,
            clock,
            node: node.to_owned(),
            leases: Leases::new(),
            taken: account::Taken::default(),
            flights: Arc::default(),
            control: watch::Sender::new(claimed.control_pos),
            posts: Told::default(),
            posted: AtomicI64::new(0),
            outages: outage::Outages::default(),
            snapshot_at: AtomicU64::new(writer::SNAPSHOT_AT),
            unreadable: Mutex::default(),
            committed: broadcast::Sender::new(COMMITTED_KEPT),
        });
        shared.take_holdings(&claimed.leases).await?;
        claimed.leases.into_iter().for_each(|lease| shared.leases.take(lease));
        let stop = watch::Sender::new(false);
        let mut tasks = Vec::new();
        let mut lanes = Vec::new();
        for _ in 0..shared.store.about().lanes.max(1) {
            let (queue, waiting) = mpsc::channel(LANE_QUEUE);
            tasks.push(spawn(Lane::new(shared.clone(), waiting, stop.subscribe()).run()));
            lanes.push(queue);
        }
        let (poster, waiting) = mpsc::channel(LANE_QUEUE);
        tasks.push(spawn(Poster::new(shared.clone(), waiting, stop.subscribe()).run()));
        if let Some(lease_ms) = shared.store.about().lease_ms {
            tasks.push(spawn(keeper::keep(shared.clone(), lease_ms, stop.subscribe())));
        }
        Ok(Log { inner: Arc::new(Inner { shared, lanes, poster, stop, tasks: Mutex::new(tasks) }) })
    }

    /// How many shards sessions are spread over.
    pub fn shards(&self) -> u16 {
        self.shared().store.about().shards
    }

    /// The store's id, chosen when it was made.
    pub fn store_id(&self) -> u128 {
        self.shared().store.about().store
    }

    /// Whether other nodes may write to the same store while this one lives.
    pub fn is_shared(&self) -> bool {
        self.shared().store.about().lease_ms.is_some()
    }

    /// The shard of a session.
    pub fn shard_of(&self, session: SessionId) -> Shard {
        if session == SessionId::CONTROL { Shard::CONTROL } else { session.shard(self.shards()) }
    }

    /// The shards that this node owns, as far as it knows, each with the epoch since which it alone wrote to it.
    pub fn owned(&self) -> BTreeMap<Shard, Epoch> {
        self.shared().leases.owned()
    }

    /// Woken when the node gained or lost a shard.
    pub fn owned_changed(&self) -> watch::Receiver<()> {
        self.shared().leases.changed()
    }

    /// Tries to own shards that it does not own: others may let go of them at any time.
    pub async fn claim(&self, shards: Vec<Shard>) -> Result<(), DataError> {
        let claim = Claim { node: self.shared().node.clone(), shards: Some(shards) };
        for lease in self.store().claim(claim).await?.leases {
            self.shared().leases.take_newest(lease);
        }
        Ok(())
    }

    /// Whether other nodes may share the store, and with it post mail that nobody here hears of.
    pub fn shares_store(&self) -> bool {
        self.store().about().lease_ms.is_some()
    }

    /// The clock that was passed in.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared().clock
    }

    /// The store's sealer, to derive keys for other purposes.
    pub fn sealer(&self) -> &Sealer {
        &self.shared().sealer
    }

    /// The shards that this node owns, and the position of each.
    pub fn positions(&self) -> Vec<(Shard, Pos)> {
        self.shared().leases.positions()
    }

    /// The latest known position of the control shard.
    pub fn control_pos(&self) -> Pos {
        *self.shared().control.borrow()
    }

    /// The latest known position of the control shard, to be woken when it moves.
    pub fn control_moved(&self) -> watch::Receiver<Pos> {
        self.shared().control.subscribe()
    }

    /// Every commit from now on. A listener that falls behind is told so, and looks at what it cares for itself.
    pub fn committed(&self) -> broadcast::Receiver<Committed> {
        self.shared().committed.subscribe()
    }

    /// Commits what one session did, durably. Dropping the future is harmless: before the commit is queued nothing
    /// happens; afterwards it happens or not, and the writer refuses further commits until the session is loaded again.
    pub async fn commit(
        &self,
        writer: &mut SessionWriter,
        stamp: Stamp,
        head: Head,
        rows: impl Borrow<Rows>,
    ) -> Result<Receipt, CommitError> {
        let prepared = writer.prepare(self.shared(), stamp, head, rows.borrow())?;
        let lane = usize::from(writer.shard().0) % self.inner.lanes.len();
        let stopped = || CommitError::Refused(Refused::Unavailable(DataError::Stopped.to_string()));
        let place = self.inner.lanes[lane].reserve().await.map_err(|_| stopped())?;
        let answer = writer.send(self.shared(), place, prepared);
        // A lane that went away without an answer leaves the writer poisoned: nobody knows.
        let done = answer.await.unwrap_or(Err(CommitError::Unknown));
        writer.settle(done)
    }

    /// Finishes what is queued, ends the log's tasks and hands its shards over. What is committed later is refused.
    pub async fn stop(&self) {
        self.inner.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the log did not end well");
            }
        }
        keeper::hand_over(self.shared()).await;
    }

    /// Keeps snapshots of sessions from so many records on, where they are shorter than those of the world.
    pub fn keep_snapshots_from(&self, records: u64) {
        self.shared().snapshot_at.store(records, Ordering::Relaxed);
    }

    fn snapshots_from(&self) -> u64 {
        self.shared().snapshot_at.load(Ordering::Relaxed)
    }

    /// The store, for views, which are of this crate.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.shared().store
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }
}

impl Shared {
    fn saw_control(&self, pos: Pos) {
        self.control.send_if_modified(|known| {
            let newer = pos > *known;
            *known = pos.max(*known);
            newer
        });
    }

    /// Nobody may be listening: that is no error.
    fn tell(&self, committed: Committed) {
        self.committed.send(committed).ok();
    }
}
