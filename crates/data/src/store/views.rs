//! The part of the port that views use: rows that follow the log, stored with their cursor in one transaction, and
//! rebuilt from the log at any time.

use async_trait::async_trait;
use domain::budget::Amounts;
use domain::clock::Timestamp;
use domain::id::{Digest, Name, Pos, Seq, SessionId, Shard};

use crate::store::StoreError;

/// Where views are kept.
#[async_trait]
pub trait Views: Send + Sync + 'static {
    /// How far a view has followed a shard; 0 before the first record.
    async fn cursor(&self, view: View, shard: Shard) -> Result<Pos, StoreError>;

    /// Writes a view's rows and moves its cursor, both or neither. `false`: the cursor was not at `from`, because
    /// somebody else followed meanwhile, and nothing was written.
    async fn apply_view(&self, batch: ViewBatch) -> Result<bool, StoreError>;

    /// Empties a view and sets its cursors back to 0, to follow the log from the start.
    async fn reset_view(&self, view: View) -> Result<(), StoreError>;

    /// What was spent, by agent, hour, session and what it was spent on, in this order.
    async fn spend(&self, filter: &SpendFilter) -> Result<Vec<SpendRow>, StoreError>;

    /// What agents produced, the latest first.
    async fn results(&self, filter: &ResultFilter) -> Result<Vec<ResultRow>, StoreError>;

    /// Audit leaves of a shard after a position, in order.
    async fn leaves(&self, shard: Shard, after: Pos, limit: usize) -> Result<Vec<LeafRow>, StoreError>;

    /// How far a follower from outside has been told of each shard, by its name; in order of the shards.
    async fn followed(&self, follower: &str) -> Result<Vec<(Shard, Pos)>, StoreError>;

    /// Moves a follower forward in these shards, never back.
    async fn follow(&self, follower: &str, to: &[(Shard, Pos)]) -> Result<(), StoreError>;

    /// Forgets a follower.
    async fn unfollow(&self, follower: &str) -> Result<(), StoreError>;
}

/// A view that has rows of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum View {
    /// What was spent.
    Spend,
    /// What agents produced.
    Results,
    /// Leaves of the audit tree.
    Audit,
}

/// What a view learnt from a stretch of one shard.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewBatch {
    /// Which view.
    pub view: View,
    /// The shard followed.
    pub shard: Shard,
    /// Where its cursor must be.
    pub from: Pos,
    /// Where it goes.
    pub to: Pos,
    /// Amounts to add to what the same agent, session, hour and `what` came to so far.
    pub spend: Vec<SpendRow>,
    /// New results; the same session and number again replaces.
    pub results: Vec<ResultRow>,
    /// New leaves; the same position again replaces.
    pub leaves: Vec<LeafRow>,
}

/// What a session spent on one thing in one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendRow {
    /// The agent.
    pub agent: Name,
    /// The session.
    pub session: SessionId,
    /// The full hour.
    pub hour: Timestamp,
    /// On what: a model, a capability, the runtime's own work, as the view names it.
    pub what: String,
    /// How much.
    pub amounts: Amounts,
}

/// Which spending; `None`: any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpendFilter {
    /// Of one agent.
    pub agent: Option<Name>,
    /// Of one session.
    pub session: Option<SessionId>,
    /// From this hour on.
    pub since: Option<Timestamp>,
}

/// That a session answered: the answer itself is in its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// The session.
    pub session: SessionId,
    /// Its record.
    pub seq: Seq,
    /// The shard's position of that record.
    pub pos: Pos,
    /// The agent.
    pub agent: Name,
    /// When.
    pub at: Timestamp,
}

/// Which results; `None`: any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultFilter {
    /// Of one agent.
    pub agent: Option<Name>,
    /// Of one session.
    pub session: Option<SessionId>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// A leaf of the audit tree: [`crate::record::leaf`] of the record at that position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafRow {
    /// The shard.
    pub shard: Shard,
    /// The position.
    pub pos: Pos,
    /// The hash.
    pub hash: Digest,
}
