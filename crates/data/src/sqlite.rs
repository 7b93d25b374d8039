//! The embedded store: one SQLite file, one writer thread that owns its connection, readers beside it, checkpoints
//! off the writer. It must not know what the rows mean.
//!
//! ```text
//!  async verb ─▶ queue ─▶ writer thread ─▶ ostler.db-wal ◀─ readers (read-only, on blocking threads)
//!                            ▲                  │ PASSIVE
//!                            └── held for a ── checkpointer ─▶ ostler.db
//!                                last pass when the WAL is above its bound
//! ```

mod account;
mod backup;
mod engine;
mod fault;
mod head;
mod look;
mod open;
mod read;
mod row;
pub(crate) mod transfer;
mod view;
mod write;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use domain::budget::BudgetKey;
use domain::clock::{Clock, Timestamp};
use domain::id::{Digest, Epoch, Name, Pos, SessionId, Shard};
use rusqlite::Connection;

pub use crate::sqlite::look::{Contents, contents, copy, steps_from};
pub use crate::sqlite::open::FORMAT;

use crate::rows::InboxItem;
use crate::sqlite::engine::Engine;
use crate::sqlite::fault::Fault;
use crate::store::{
    About, Answer, Batch, Claim, Claimed, ControlAnswer, ControlRow, Draw, Drawn, Due, DueBy, DueCursor, Forget,
    HeadFilter, HeadRow, History, HistoryFrom, HoldingRow, KeyRow, LeafRow, MailRow, MemoryRow, PhaseCount, RecordRow,
    ResultFilter, ResultRow, SpendFilter, SpendRow, Standing, Store, StoreError, View, ViewBatch, Views,
};

/// The embedded store.
pub struct SqliteStore {
    engine: Engine,
    about: About,
    clock: Arc<dyn Clock>,
}

/// How a store is opened. Anything but the default is for tests and drills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether to hold the data directory against every other process. Without it claims expire by the clock, as
    /// they do where several nodes share a store.
    pub alone: bool,
    /// How long a claim lasts where the directory is not held.
    pub lease_ms: i64,
    /// How many pages of 4 KiB the file may have, in place of a disk that is full.
    pub max_pages: Option<u32>,
    /// How many shards a store that is made now has.
    pub shards: u16,
}

impl Default for Options {
    fn default() -> Self {
        Options { alone: true, lease_ms: 5_000, max_pages: None, shards: 1 }
    }
}

impl SqliteStore {
    /// Opens the store in a data directory, and makes both if they are not there.
    pub fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::open_with(dir, clock, Options::default())
    }

    /// The same, otherwise than usual.
    pub fn open_with(dir: &Path, clock: Arc<dyn Clock>, options: Options) -> Result<Self, StoreError> {
        let opened = open::open(dir, &*clock, options)?;
        let lease_ms = (!options.alone).then_some(options.lease_ms);
        let about = open::about(&opened.writer, lease_ms).map_err(|fault| fault.at(&opened.path))?;
        Ok(SqliteStore { engine: Engine::threads(opened)?, about, clock })
    }

    /// A store in memory, for simulations and tests: no threads, every verb answers at once.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::in_memory_with(clock, Options::default())
    }

    /// The same, otherwise than usual.
    pub fn in_memory_with(clock: Arc<dyn Clock>, options: Options) -> Result<Self, StoreError> {
        let lease_ms = (!options.alone).then_some(options.lease_ms);
        let memory = || -> Result<_, Fault> {
            let connection = open::in_memory(&*clock, options)?;
            let about = open::about(&connection, lease_ms)?;
            Ok((connection, about))
        };
        let (connection, about) = memory().map_err(|fault| fault.at(Path::new("memory")))?;
        Ok(SqliteStore { engine: Engine::inline(connection), about, clock })
    }

    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.engine.write(job).await
    }

    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.engine.read(job).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn about(&self) -> &About {
        &self.about
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        let (now, lease_ms) = (self.clock.now(), self.about.lease_ms);
        let shards = claim.shards.unwrap_or_else(|| (0..self.about.shards).map(Shard).collect());
        self.write(move |db| write::claim(db, &claim.node, &shards, now, lease_ms)).await
    }

    async fn renew(&self, held: Vec<(Shard, Epoch)>) -> Result<Vec<Shard>, StoreError> {
        let expires = write::expiry(self.clock.now(), self.about.lease_ms);
        self.write(move |db| write::renew(db, &held, expires)).await
    }

    async fn release(&self, held: Vec<(Shard, Epoch)>) -> Result<(), StoreError> {
        self.write(move |db| write::renew(db, &held, Timestamp(0)).map(drop)).await
    }

    async fn commit(&self, batch: Batch) -> Result<Answer, StoreError> {
        let expires = write::expiry(self.clock.now(), self.about.lease_ms);
        self.write(move |db| write::commit(db, &batch, expires)).await
    }

    async fn commit_control(&self, row: ControlRow) -> Result<ControlAnswer, StoreError> {
        self.write(move |db| write::commit_control(db, &row)).await
    }

    async fn post(&self, mail: Vec<MailRow>) -> Result<(), StoreError> {
        self.write(move |db| write::post(db, &mail)).await
    }

    async fn due(
        &self,
        shards: &[Shard],
        by: DueBy,
        after: Option<DueCursor>,
        limit: usize,
    ) -> Result<Due, StoreError> {
        let shards = shards.to_vec();
        self.read(move |db| read::due(db, &shards, by, after.as_ref(), limit)).await
    }

    async fn mail(
        &self,
        session: SessionId,
        _shard: Shard,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<MailRow>, StoreError> {
        self.read(move |db| read::mail(db, session, now, limit)).await
    }

    async fn history(
        &self,
        session: SessionId,
        shard: Shard,
        from: HistoryFrom,
    ) -> Result<Option<History>, StoreError> {
        self.read(move |db| read::history(db, session, shard, from)).await
    }

    async fn tail(&self, shard: Shard, after: Pos, limit: usize) -> Result<Vec<RecordRow>, StoreError> {
        self.read(move |db| read::tail(db, shard, after, limit)).await
    }

    async fn keys(&self, sessions: &[SessionId]) -> Result<Vec<KeyRow>, StoreError> {
        let sessions = sessions.to_vec();
        self.read(move |db| read::keys(db, &sessions)).await
    }

    async fn heads(&self, filter: &HeadFilter) -> Result<Vec<HeadRow>, StoreError> {
        let filter = filter.clone();
        self.read(move |db| read::heads(db, &filter)).await
    }

    async fn counts(&self) -> Result<Vec<PhaseCount>, StoreError> {
        self.read(read::counts).await
    }

    async fn text(&self, hash: Digest) -> Result<Option<String>, StoreError> {
        self.read(move |db| read::text(db, hash)).await
    }

    async fn holdings(&self, shard: Shard) -> Result<Vec<HoldingRow>, StoreError> {
        self.read(move |db| read::holdings(db, shard)).await
    }

    async fn take_holdings(&self, of: &[(Shard, Epoch)], since: Timestamp) -> Result<Vec<HoldingRow>, StoreError> {
        let of = of.to_vec();
        self.write(move |db| account::take(db, &of, since)).await
    }

    async fn draw(&self, draw: Draw) -> Result<Drawn, StoreError> {
        self.write(move |db| account::draw(db, &draw)).await
    }

    async fn standing(&self, of: &[(BudgetKey, Timestamp)]) -> Result<Vec<Standing>, StoreError> {
        let (shards, of) = (self.about().shards, of.to_vec());
        self.read(move |db| account::standing(db, shards, &of)).await
    }

    async fn inbox(&self) -> Result<Vec<InboxItem>, StoreError> {
        self.read(read::inbox).await
    }

    async fn recall(&self, agent: &Name, now: Timestamp, limit: usize) -> Result<Vec<MemoryRow>, StoreError> {
        let agent = agent.clone();
        self.read(move |db| read::recall(db, &agent, now, limit)).await
    }

    async fn forget(&self, what: Forget) -> Result<u64, StoreError> {
        self.write(move |db| write::forget(db, &what)).await
    }

    async fn backup_to(&self, to: &Path) -> Result<u64, StoreError> {
        self.engine.backup(to).await
    }
}

#[async_trait]
impl Views for SqliteStore {
    async fn cursor(&self, view: View, shard: Shard) -> Result<Pos, StoreError> {
        self.read(move |db| view::cursor(db, view, shard)).await
    }

    async fn apply_view(&self, batch: ViewBatch) -> Result<bool, StoreError> {
        self.write(move |db| view::apply(db, &batch)).await
    }

    async fn reset_view(&self, view: View) -> Result<(), StoreError> {
        self.write(move |db| view::reset(db, view)).await
    }

    async fn spend(&self, filter: &SpendFilter) -> Result<Vec<SpendRow>, StoreError> {
        let filter = filter.clone();
        self.read(move |db| view::spend(db, &filter)).await
    }

    async fn results(&self, filter: &ResultFilter) -> Result<Vec<ResultRow>, StoreError> {
        let filter = filter.clone();
        self.read(move |db| view::results(db, &filter)).await
    }

    async fn leaves(&self, shard: Shard, after: Pos, limit: usize) -> Result<Vec<LeafRow>, StoreError> {
        self.read(move |db| view::leaves(db, shard, after, limit)).await
    }

    async fn followed(&self, follower: &str) -> Result<Vec<(Shard, Pos)>, StoreError> {
        let follower = follower.to_owned();
        self.read(move |db| view::followed(db, &follower)).await
    }

    async fn follow(&self, follower: &str, to: &[(Shard, Pos)]) -> Result<(), StoreError> {
        let (follower, to) = (follower.to_owned(), to.to_vec());
        self.write(move |db| view::follow(db, &follower, &to)).await
    }

    async fn unfollow(&self, follower: &str) -> Result<(), StoreError> {
        let follower = follower.to_owned();
        self.write(move |db| view::unfollow(db, &follower)).await
    }
}
