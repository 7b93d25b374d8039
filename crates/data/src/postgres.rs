//! The store for a PostgreSQL server of one's own, 15 or later: one statement per group of commits, whose first act is
//! the fence; four lanes with a connection each, and a few connections for everything else. Only the server's clock is
//! compared with a lease's end. It must not know what the rows mean.
//!
//! ```text
//!  commit(batch) ─▶ lane's connection ─▶ WITH fence AS (UPDATE shard …), records AS (INSERT …), … ─▶ part by part: in?
//!                                        SELECT pos of the control shard, sent behind it in one go
//!  other verbs   ─▶ pool ─▶ one statement each
//! ```

mod account;
mod batch;
mod fault;
mod line;
mod open;
mod pool;
mod read;
mod row;
mod statement;
mod tls;
mod transfer;
mod url;
mod view;
mod write;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use domain::budget::BudgetKey;
use domain::clock::{Clock, Timestamp};
use domain::id::{Digest, Epoch, Name, Pos, SessionId, Shard};

pub use crate::postgres::transfer::restore;
pub use crate::postgres::url::{StoreUrl, StoreUrlError};

use crate::postgres::line::{Line, Purpose};
use crate::postgres::pool::Pool;
use crate::rows::InboxItem;
use crate::store::{
    About, Answer, Batch, Claim, Claimed, ControlAnswer, ControlRow, Draw, Drawn, Due, DueBy, DueCursor, Forget,
    HeadFilter, HeadRow, History, HistoryFrom, HoldingRow, KeyRow, LeafRow, MailRow, MemoryRow, PhaseCount, RecordRow,
    ResultFilter, ResultRow, SpendFilter, SpendRow, Standing, Store, StoreError, View, ViewBatch, Views,
};

/// How many commits are in flight at once.
const LANES: usize = 4;

/// The store on a PostgreSQL server.
pub struct PostgresStore {
    pool: Pool,
    about: About,
    lease_ms: i64,
}

/// How a store is opened. Anything but the default is for tests and drills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long a claim lasts without a commit or a renewal.
    pub lease_ms: i64,
    /// How many shards a store that is made now has.
    pub shards: u16,
}

impl Default for Options {
    fn default() -> Self {
        Options { lease_ms: 5_000, shards: 256 }
    }
}

impl PostgresStore {
    /// Opens the store in a database, and makes its schema, `ostler`, if it is not there.
    ///
    /// # Errors
    /// The server is not reachable, refuses the user, cannot keep a log (too old, without fsync, a standby), or holds
    /// a newer format; each says what to do.
    pub async fn open(url: &StoreUrl, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::open_with(url, clock, Options::default()).await
    }

    /// The same, otherwise than usual.
    pub async fn open_with(url: &StoreUrl, clock: Arc<dyn Clock>, options: Options) -> Result<Self, StoreError> {
        let place = url.to_string();
        let line = Line::connect(url, Purpose::Anything).await.map_err(|fault| fault.reading(&place))?;
        open::check(&line, &place).await?;
        open::ready(&line, &place, &*clock, options).await?;
        let about = open::about(&line, options.lease_ms).await.map_err(|fault| fault.reading(&place))?;
        Ok(PostgresStore { pool: Pool::new(url.clone(), LANES), about, lease_ms: options.lease_ms })
    }

    /// The lane of a batch: the log puts all shards of one into one lane.
    fn lane(batch: &Batch) -> usize {
        batch.parts.first().map_or(0, |part| usize::from(part.shard.0) % LANES)
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn about(&self) -> &About {
        &self.about
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        let shards = claim.shards.clone().unwrap_or_else(|| (0..self.about.shards).map(Shard).collect());
        // Taking epoch + 1 twice is harmless: the answer that came says which.
        let claimed = self.pool.write(|db| write::claim(db, &claim, &shards, self.lease_ms)).await;
        claimed.map_err(known)
    }

    async fn renew(&self, held: Vec<(Shard, Epoch)>) -> Result<Vec<Shard>, StoreError> {
        self.pool.write(|db| write::renew(db, &held, self.lease_ms)).await.map_err(known)
    }

    async fn release(&self, held: Vec<(Shard, Epoch)>) -> Result<(), StoreError> {
        self.pool.write(|db| write::release(db, &held)).await.map_err(known)
    }

    async fn commit(&self, batch: Batch) -> Result<Answer, StoreError> {
        self.pool.commit(Self::lane(&batch), |db| write::commit(db, &batch, self.lease_ms)).await
    }

    async fn commit_control(&self, row: ControlRow) -> Result<ControlAnswer, StoreError> {
        self.pool.write(|db| write::commit_control(db, &row)).await
    }

    async fn post(&self, mail: Vec<MailRow>) -> Result<(), StoreError> {
        self.pool.write(|db| write::post(db, &mail)).await
    }

    async fn due(
        &self,
        shards: &[Shard],
        by: DueBy,
        after: Option<DueCursor>,
        limit: usize,
    ) -> Result<Due, StoreError> {
        self.pool.read(|db| read::due(db, shards, by, after.as_ref(), limit)).await
    }

    async fn mail(
        &self,
        session: SessionId,
        _shard: Shard,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<MailRow>, StoreError> {
        self.pool.read(|db| read::mail(db, session, now, limit)).await
    }

    async fn history(
        &self,
        session: SessionId,
        shard: Shard,
        from: HistoryFrom,
    ) -> Result<Option<History>, StoreError> {
        self.pool.read(|db| read::history(db, session, shard, from)).await
    }

    async fn tail(&self, shard: Shard, after: Pos, limit: usize) -> Result<Vec<RecordRow>, StoreError> {
        self.pool.read(|db| read::tail(db, shard, after, limit)).await
    }

    async fn keys(&self, sessions: &[SessionId]) -> Result<Vec<KeyRow>, StoreError> {
        self.pool.read(|db| read::keys(db, sessions)).await
    }

    async fn heads(&self, filter: &HeadFilter) -> Result<Vec<HeadRow>, StoreError> {
        self.pool.read(|db| read::heads(db, filter)).await
    }

    async fn counts(&self) -> Result<Vec<PhaseCount>, StoreError> {
        self.pool.read(read::counts).await
    }

    async fn text(&self, hash: Digest) -> Result<Option<String>, StoreError> {
        self.pool.read(|db| read::text(db, hash)).await
    }

    async fn holdings(&self, shard: Shard) -> Result<Vec<HoldingRow>, StoreError> {
        self.pool.read(|db| read::holdings(db, shard)).await
    }

    async fn take_holdings(&self, of: &[(Shard, Epoch)], since: Timestamp) -> Result<Vec<HoldingRow>, StoreError> {
        self.pool.write(|db| account::take(db, of, since)).await
    }

    async fn draw(&self, draw: Draw) -> Result<Drawn, StoreError> {
        self.pool.write(|db| account::draw(db, &draw)).await
    }

    async fn standing(&self, of: &[(BudgetKey, Timestamp)]) -> Result<Vec<Standing>, StoreError> {
        let shards = self.about().shards;
        self.pool.read(|db| account::standing(db, shards, of)).await
    }

    async fn inbox(&self) -> Result<Vec<InboxItem>, StoreError> {
        self.pool.read(read::inbox).await
    }

    async fn recall(&self, agent: &Name, now: Timestamp, limit: usize) -> Result<Vec<MemoryRow>, StoreError> {
        self.pool.read(|db| read::recall(db, agent, now, limit)).await
    }

    async fn forget(&self, what: Forget) -> Result<u64, StoreError> {
        self.pool.write(|db| write::forget(db, &what)).await
    }

    async fn backup_to(&self, to: &Path) -> Result<u64, StoreError> {
        transfer::copy(self.pool.url(), to).await
    }
}

#[async_trait]
impl Views for PostgresStore {
    async fn cursor(&self, view: View, shard: Shard) -> Result<Pos, StoreError> {
        self.pool.read(|db| view::cursor(db, view, shard)).await
    }

    async fn apply_view(&self, batch: ViewBatch) -> Result<bool, StoreError> {
        self.pool.write(|db| view::apply(db, &batch)).await
    }

    async fn reset_view(&self, view: View) -> Result<(), StoreError> {
        self.pool.write(|db| view::reset(db, view)).await
    }

    async fn spend(&self, filter: &SpendFilter) -> Result<Vec<SpendRow>, StoreError> {
        self.pool.read(|db| view::spend(db, filter)).await
    }

    async fn results(&self, filter: &ResultFilter) -> Result<Vec<ResultRow>, StoreError> {
        self.pool.read(|db| view::results(db, filter)).await
    }

    async fn leaves(&self, shard: Shard, after: Pos, limit: usize) -> Result<Vec<LeafRow>, StoreError> {
        self.pool.read(|db| view::leaves(db, shard, after, limit)).await
    }

    async fn followed(&self, follower: &str) -> Result<Vec<(Shard, Pos)>, StoreError> {
        self.pool.read(|db| view::followed(db, follower)).await
    }

    async fn follow(&self, follower: &str, to: &[(Shard, Pos)]) -> Result<(), StoreError> {
        self.pool.write(|db| view::follow(db, follower, to)).await
    }

    async fn unfollow(&self, follower: &str) -> Result<(), StoreError> {
        self.pool.write(|db| view::unfollow(db, follower)).await
    }
}

/// Of what may be done again whether it happened or not.
fn known(error: StoreError) -> StoreError {
    match error {
        StoreError::Unknown(why) => StoreError::Unavailable(why),
        StoreError::Full { .. }
        | StoreError::Unavailable(_)
        | StoreError::Held { .. }
        | StoreError::Foreign { .. }
        | StoreError::Newer { .. }
        | StoreError::Denied { .. }
        | StoreError::Unusable { .. }
        | StoreError::Corrupt { .. } => error,
    }
}
