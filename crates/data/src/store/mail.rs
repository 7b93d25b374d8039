//! Mail as it is stored, and what it means for it to be due. It must not know what mail says.

use domain::clock::Timestamp;
use domain::id::{MailId, SessionId, Shard};
use domain::mail::MailClass;

/// Until when mail is looked for. What was due when it was posted is due from then on, whatever the clock says later: it
/// may have been set back, or the node that posted it may be ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueBy {
    /// What is due by then.
    pub now: Timestamp,
    /// How far ahead to look for what was due when it was posted: all mail that is due until then is gone through.
    pub ahead: Timestamp,
}

impl DueBy {
    /// All that is due, however far ahead it is stamped.
    pub fn all(now: Timestamp) -> Self {
        DueBy { now, ahead: Timestamp(i64::MAX) }
    }
}

impl From<Timestamp> for DueBy {
    fn from(now: Timestamp) -> Self {
        DueBy { now, ahead: now }
    }
}

/// Mail as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailRow {
    /// The recipient's shard.
    pub shard: Shard,
    /// To whom.
    pub session: SessionId,
    /// Unique per recipient.
    pub id: MailId,
    /// When it may be delivered.
    pub due: Timestamp,
    /// When it was posted, in microseconds: not before it was due, or it was meant for later. Orders what is due at the
    /// same instant.
    pub posted: i64,
    /// How it is queued.
    pub class: MailClass,
    /// The agent in whose turn it is; empty: not known, which what people decide does not need.
    pub agent: String,
    /// The number of its session's partition, where it has one and that is known.
    pub partition: Option<u64>,
    /// The sealed body.
    pub body: Vec<u8>,
}

/// That mail is due, without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRow {
    /// The recipient's shard.
    pub shard: Shard,
    /// To whom.
    pub session: SessionId,
    /// Unique per recipient.
    pub id: MailId,
    /// When it may be delivered.
    pub due: Timestamp,
    /// When it was posted, in microseconds.
    pub posted: i64,
    /// How it is queued.
    pub class: MailClass,
    /// The agent in whose turn it is; empty if that is not known.
    pub agent: String,
    /// The number of its session's partition.
    pub partition: Option<u64>,
}

impl DueRow {
    /// Whether it was due when it was posted.
    pub fn was_due(&self) -> bool {
        self.due.0 <= self.posted / 1_000
    }

    /// Since when it could be delivered, and where it comes among what could since then: in the order of posting, also
    /// where the clock was set back between.
    pub fn place(&self) -> (Timestamp, i64) {
        (self.due.max(Timestamp(self.posted / 1_000)), self.posted)
    }
}

impl MailRow {
    /// All of it but what it says.
    pub fn due_row(&self) -> DueRow {
        DueRow {
            shard: self.shard,
            session: self.session,
            id: self.id.clone(),
            due: self.due,
            posted: self.posted,
            class: self.class,
            agent: self.agent.clone(),
            partition: self.partition,
        }
    }
}

/// Where one look at due mail ended, so that the next begins behind it: mail in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueCursor {
    /// When it was due.
    pub due: Timestamp,
    /// When it was posted, in microseconds.
    pub posted: i64,
    /// To whom.
    pub session: SessionId,
    /// Its id.
    pub id: MailId,
}

/// What is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// Mail that is due now, at most as many as asked for.
    pub rows: Vec<DueRow>,
    /// The earliest instant after the one asked for at which other mail of these shards is due.
    pub next: Option<Timestamp>,
}
