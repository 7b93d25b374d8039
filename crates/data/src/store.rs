//! The port to a durable store: plain rows in, plain rows out, and one guard, the fence on a shard's row. No logic:
//! grouping, sealing and folding happen above it, once. It must not know what an event means, nor open a body.
//!
//! ```text
//!  claim ─▶ Lease(shard, epoch, pos) ─▶ commit(Batch): pos + n where shard, epoch and pos are as in the lease
//!                                          ├─ the row is there: its records, heads, mail, … are written
//!                                          └─ it is missing: fenced, nothing of it is; the batch's others stand
//! ```

mod error;
mod mail;
mod views;

use std::path::Path;

use async_trait::async_trait;
use domain::budget::BudgetKey;
use domain::clock::Timestamp;
use domain::control::Scope;
use domain::id::{CallId, Digest, Epoch, MailId, Name, Pos, Seq, SessionId, Shard, TraceId};
use domain::session::Phase;

pub use crate::store::error::StoreError;
pub use crate::store::mail::{Due, DueBy, DueCursor, DueRow, MailRow};
pub use crate::store::views::{LeafRow, ResultFilter, ResultRow, SpendFilter, SpendRow, View, ViewBatch, Views};

use crate::record::{Envelope, Unread};
use crate::rows::{Head, HoldingDelta, InboxChange, InboxItem};

/// A durable store.
///
/// A commit whose answer was lost ([`StoreError::Unknown`]) is decidable: [`Store::claim`] the shard again, which
/// takes epoch + 1 so that the lost commit can no longer land, and look at the position that came back. Expected
/// plus n: it committed. Expected: it never will.
#[async_trait]
pub trait Store: Views {
    /// What kind of store this is.
    fn about(&self) -> &About;

    /// Takes shards that are free, expired by the store's own clock, or last held by the same node, each at
    /// epoch + 1. What another node holds is left out of the answer.
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError>;

    /// Makes claims last as long again, where their epoch is still the shard's; answers the shards where it is not,
    /// which somebody else has taken.
    async fn renew(&self, held: Vec<(Shard, Epoch)>) -> Result<Vec<Shard>, StoreError>;

    /// Gives shards up at once, where their epoch is still the shard's, so that others need not wait.
    async fn release(&self, held: Vec<(Shard, Epoch)>) -> Result<(), StoreError>;

    /// Writes a group of commits, atomically per shard, durably before it answers.
    async fn commit(&self, batch: Batch) -> Result<Answer, StoreError>;

    /// Appends to the control shard, which has no owner: only at the position that the record carries.
    async fn commit_control(&self, row: ControlRow) -> Result<ControlAnswer, StoreError>;

    /// Adds mail; what is there already (same session, same id) is left as it is. Mail that was consumed is no
    /// longer there: that it does nothing when posted again is known to the session that consumed it.
    async fn post(&self, mail: Vec<MailRow>) -> Result<(), StoreError>;

    /// Mail of several shards that is due and comes after `after`, without what it says, in the order of due time and
    /// then of posting, whatever its shard; and when the next is.
    async fn due(&self, shards: &[Shard], by: DueBy, after: Option<DueCursor>, limit: usize)
    -> Result<Due, StoreError>;

    /// What is due at `now` for one session, or was when it was posted: what people decided first, each in the order in
    /// which it could be delivered ([`DueRow::place`]) and then of posting.
    async fn mail(
        &self,
        session: SessionId,
        shard: Shard,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<MailRow>, StoreError>;

    /// A session's past in one read: its head, its keys, and its records, oldest first; `None` if it has none.
    async fn history(&self, session: SessionId, shard: Shard, from: HistoryFrom)
    -> Result<Option<History>, StoreError>;

    /// A shard's records after a position, in order.
    async fn tail(&self, shard: Shard, after: Pos, limit: usize) -> Result<Vec<RecordRow>, StoreError>;

    /// The keys of these sessions, every generation.
    async fn keys(&self, sessions: &[SessionId]) -> Result<Vec<KeyRow>, StoreError>;

    /// Heads of sessions, the latest change first.
    async fn heads(&self, filter: &HeadFilter) -> Result<Vec<HeadRow>, StoreError>;

    /// How many sessions of each agent are in each phase, without a look at their heads; those that there are none of
    /// are left out.
    async fn counts(&self) -> Result<Vec<PhaseCount>, StoreError>;

    /// A shared text.
    async fn text(&self, hash: Digest) -> Result<Option<String>, StoreError>;

    /// What a shard holds of budgets.
    async fn holdings(&self, shard: Shard) -> Result<Vec<HoldingRow>, StoreError>;

    /// For whoever has just claimed these shards: gives back to the accounts what each holds beyond what is held and
    /// spent, so that nothing is left where nobody knows of it, and answers the holdings of windows that began since
    /// `since`, and all of which calls in flight hold something. Left out: shards at another epoch, and what one session
    /// may spend, unless it is held.
    async fn take_holdings(&self, of: &[(Shard, Epoch)], since: Timestamp) -> Result<Vec<HoldingRow>, StoreError>;

    /// Moves what shards give back to a budget's account, and then from the account to a shard's holding, as much as the
    /// cap leaves. The cap is an account's latest one. Shards at another epoch neither give nor get.
    async fn draw(&self, draw: Draw) -> Result<Drawn, StoreError>;

    /// What is known of these windows of budgets, over all shards.
    async fn standing(&self, of: &[(BudgetKey, Timestamp)]) -> Result<Vec<Standing>, StoreError>;

    /// All that waits for people, oldest first.
    async fn inbox(&self) -> Result<Vec<InboxItem>, StoreError>;

    /// What the agent remembers and may still recall at `now`, the latest first.
    async fn recall(&self, agent: &Name, now: Timestamp, limit: usize) -> Result<Vec<MemoryRow>, StoreError>;

    /// Forgets for good; answers how many rows went. An erasure that fails may have happened in part: asked for again,
    /// it does the rest.
    async fn forget(&self, what: Forget) -> Result<u64, StoreError>;

    /// Copies the whole store, as it is at one instant, into a file that does not exist yet, while it goes on being
    /// written to; answers its bytes. The file is a store of the embedded engine's, whatever this one is.
    async fn backup_to(&self, to: &Path) -> Result<u64, StoreError>;
}

/// What kind of store this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its id, chosen when it was made.
    pub store: u128,
    /// The format that it is written in.
    pub format: u32,
    /// How many shards sessions are spread over; fixed when it was made.
    pub shards: u16,
    /// How many commits may usefully be in flight at once.
    pub lanes: usize,
    /// How long a claim lasts without a commit; `None`: no other node can have it while this one lives.
    pub lease_ms: Option<i64>,
    /// Whether nothing was ever committed to it.
    pub fresh: bool,
}

/// A wish to own shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who wants them.
    pub node: String,
    /// Which; `None`: all that can be had.
    pub shards: Option<Vec<Shard>>,
}

/// What a claim came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Shards that are now owned.
    pub leases: Vec<Lease>,
    /// The control shard's position.
    pub control_pos: Pos,
}

/// The right to write to a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The shard.
    pub shard: Shard,
    /// Under which epoch.
    pub epoch: Epoch,
    /// Its position.
    pub pos: Pos,
    /// The time of its last record: the shard's time never goes back.
    pub at: Timestamp,
}

/// A group of commits, of one or more shards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// At most one part per shard.
    pub parts: Vec<BatchPart>,
}

/// What a batch writes to one shard: all of it, or, if the fence refuses, nothing of it. At most one head per
/// session, one delta per budget and window, one change per inbox key and per memory item.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchPart {
    /// The shard.
    pub shard: Shard,
    /// The fence: the epoch that the shard's row must be at.
    pub epoch: Epoch,
    /// The fence: the position that the shard's row must be at; it advances by the number of records.
    pub pos: Pos,
    /// Records, dense from `pos` + 1.
    pub records: Vec<RecordRow>,
    /// Heads of the sessions that they belong to.
    pub heads: Vec<HeadRow>,
    /// Keys of sessions that are new.
    pub keys: Vec<KeyRow>,
    /// Snapshots of sessions, in place of those that they had.
    pub snapshots: Vec<SnapshotRow>,
    /// Mail posted, to any shard; what is there already is left as it is.
    pub mail: Vec<MailRow>,
    /// Mail consumed.
    pub consumed: Vec<(SessionId, MailId)>,
    /// Changes of what the shard holds of budgets.
    pub holdings: Vec<HoldingDelta>,
    /// Changes of what waits for people.
    pub inbox: Vec<InboxChange>,
    /// Shared texts by their hash; what is there already is left as it is.
    pub texts: Vec<(Digest, String)>,
    /// What is remembered.
    pub remembered: Vec<MemoryRow>,
    /// What is forgotten, by agent and item.
    pub forgotten: Vec<(Name, CallId)>,
}

/// What a batch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Shards whose fence refused: nothing of theirs was written.
    pub fenced: Vec<Shard>,
    /// The control shard's position once these commits were durable, or in the same transaction.
    pub control_pos: Pos,
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordRow {
    /// What stays readable.
    pub envelope: Envelope<Unread>,
    /// The sealed body.
    pub body: Vec<u8>,
}

/// One record of the control shard.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlRow {
    /// The record; the shard must be at the position before its own.
    pub record: RecordRow,
    /// The shared text of who did it.
    pub texts: Vec<(Digest, String)>,
}

/// What a commit to the control shard came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlAnswer {
    /// It is in.
    Committed,
    /// Somebody else was there before; nothing was written.
    Moved {
        /// Where the shard is.
        now: Pos,
    },
}

/// A session's head as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRow {
    /// The session.
    pub session: SessionId,
    /// Its shard.
    pub shard: Shard,
    /// Its last record.
    pub pos: Pos,
    /// That record's number.
    pub seq: Seq,
    /// Its trace.
    pub trace: TraceId,
    /// What the next look at it needs.
    pub head: Head,
}

/// Which heads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeadFilter {
    /// One session only.
    pub session: Option<SessionId>,
    /// Of one agent only.
    pub agent: Option<Name>,
    /// In one of these phases only; empty: in any.
    pub phases: Vec<Phase>,
    /// Of one of these partitions only; empty: of any or none. Which of them are unfinished (ready, running or
    /// suspended) is asked often, and quickly answered.
    pub partitions: Vec<u64>,
    /// At most so many; `None`: all.
    pub limit: Option<usize>,
    /// Only those that wait for this freeze to end, in the order of their ids.
    pub frozen: Option<Scope>,
    /// Of those, what comes after this one.
    pub after: Option<SessionId>,
}

/// A session's key, wrapped by the store's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// The session.
    pub session: SessionId,
    /// 1 for the first, which is the only one as yet.
    pub generation: u32,
    /// The wrapped key; `None` once it was dropped.
    pub wrapped: Option<Vec<u8>>,
}

/// From where a session's past is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryFrom {
    /// From its first record.
    Start,
    /// From behind its snapshot, where there is one of this version of the fold.
    Snapshot {
        /// The version.
        fold: u32,
    },
}

/// A session's past.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Its head.
    pub head: HeadRow,
    /// Its keys, every generation.
    pub keys: Vec<KeyRow>,
    /// Its snapshot, where it was asked for.
    pub snapshot: Option<SnapshotRow>,
    /// Its records, oldest first: all, or those behind the snapshot.
    pub records: Vec<RecordRow>,
}

/// A session's state as of one of its records: a cache, which may be dropped at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRow {
    /// The session.
    pub session: SessionId,
    /// The last record that it holds.
    pub seq: Seq,
    /// That record's position.
    pub pos: Pos,
    /// The version of the fold that made it.
    pub fold: u32,
    /// The generation of the session's key that seals it.
    pub key: u32,
    /// The sealed body.
    pub body: Vec<u8>,
}

/// How many sessions of an agent are in a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseCount {
    /// The agent.
    pub agent: Name,
    /// The phase.
    pub phase: Phase,
    /// How many.
    pub sessions: u64,
}

/// What a shard holds of one window of one budget, in the meter's unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldingRow {
    /// Whose.
    pub shard: Shard,
    /// Which budget.
    pub budget: BudgetKey,
    /// When the window began.
    pub window_start: Timestamp,
    /// Drawn from the account.
    pub drawn: i64,
    /// Held by calls in flight.
    pub reserved: i64,
    /// Spent.
    pub spent: i64,
}

/// A wish to draw from an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// For which shard.
    pub shard: Shard,
    /// The fence: the epoch that the shard's row must be at.
    pub epoch: Epoch,
    /// From which budget.
    pub budget: BudgetKey,
    /// From which window.
    pub window_start: Timestamp,
    /// The budget's cap.
    pub cap: i64,
    /// How much is needed.
    pub need: i64,
    /// How much more may be moved, for the calls to come.
    pub ahead: i64,
    /// Of what is left beyond the need, at most one part in so many is moved ahead.
    pub share: i64,
    /// What shards give back first, each at its epoch.
    pub back: Vec<(Shard, Epoch, i64)>,
}

/// What a draw came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawn {
    /// What was moved to the holding.
    pub granted: i64,
    /// What the shard has drawn in total.
    pub drawn: i64,
    /// What calls in flight hold of it.
    pub reserved: i64,
    /// What was spent of it.
    pub spent: i64,
    /// Of those that were to give something back, who did.
    pub gave: Vec<Shard>,
    /// Whether the shard is at another epoch: nothing was moved to it.
    pub fenced: bool,
}

/// One window of a budget, over all shards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// The cap that was last drawn under; 0 if nothing ever was.
    pub cap: i64,
    /// Drawn from the account.
    pub drawn: i64,
    /// Held by calls in flight.
    pub reserved: i64,
    /// Spent.
    pub spent: i64,
}

/// Something remembered, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryRow {
    /// The agent whose sessions share it.
    pub agent: Name,
    /// The call that remembered it; its session's key seals the text.
    pub id: CallId,
    /// Which generation of that key.
    pub generation: u32,
    /// The sealed text.
    pub text: Vec<u8>,
    /// When.
    pub at: Timestamp,
    /// When retention ends.
    pub expires: Option<Timestamp>,
}

/// What to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forget {
    /// Mail that says nothing any more.
    Mail {
        /// Whose.
        session: SessionId,
        /// Which.
        ids: Vec<MailId>,
    },
    /// A session's content: its keys, its waiting mail, what it remembered and what its head says in words. The
    /// envelopes and the sealed bodies stay, and nobody can open those any more.
    Session {
        /// Which.
        session: SessionId,
        /// Its shard.
        shard: Shard,
    },
    /// What agents remember, where its retention has ended.
    Expired {
        /// By now.
        now: Timestamp,
    },
}
