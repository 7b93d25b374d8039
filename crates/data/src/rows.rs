//! All that one commit of one session writes, as plain rows that merge. No row can fail by itself: whatever is
//! conditional was decided in memory beforehand, by the shard's only writer.

use domain::budget::BudgetKey;
use domain::clock::Timestamp;
use domain::control::Scope;
use domain::event::Event;
use domain::id::{ApprovalId, CallId, Digest, Epoch, MailId, Name, SessionId, Shard};
use domain::mail::Mail;
use serde::{Deserialize, Serialize};

/// What a commit writes beside the session's head.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// What happened, in order: the record.
    pub events: Vec<Event>,
    /// Mail that these events post.
    pub mail: Vec<Mail>,
    /// Mail that these events consume.
    pub consumed: Vec<MailId>,
    /// What they hold and settle of budgets.
    pub holdings: Vec<HoldingDelta>,
    /// What they put before people, and take away.
    pub inbox: Vec<InboxChange>,
    /// Shared texts that they refer to by hash: written once, never sealed, never changed.
    pub texts: Vec<String>,
    /// What they remember and forget.
    pub memory: Vec<MemoryChange>,
}

impl Rows {
    /// Rows of one event.
    pub fn of(event: Event) -> Self {
        Rows { events: vec![event], ..Rows::default() }
    }

    /// Adds another's rows after these.
    pub fn merge(&mut self, other: Rows) {
        self.events.extend(other.events);
        self.mail.extend(other.mail);
        self.consumed.extend(other.consumed);
        self.holdings.extend(other.holdings);
        self.inbox.extend(other.inbox);
        self.texts.extend(other.texts);
        self.memory.extend(other.memory);
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Rows::default()
    }
}

/// A change of what one shard holds of one window of one budget, in the meter's unit. Deltas commute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldingDelta {
    /// Whose holding.
    pub shard: Shard,
    /// Since which epoch what is known of it is right; not kept.
    pub since: Epoch,
    /// Which budget.
    pub budget: BudgetKey,
    /// When the window began.
    pub window_start: Timestamp,
    /// Change of what calls in flight hold.
    pub reserved: i64,
    /// Change of what was spent.
    pub spent: i64,
}

/// A change of what waits for people.
#[derive(Debug, Clone, PartialEq)]
pub enum InboxChange {
    /// Something waits for a person.
    Open(InboxItem),
    /// It no longer does.
    Close(InboxKey),
}

/// What an inbox item is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "item", rename_all = "snake_case")]
pub enum InboxKey {
    /// Consent to a call.
    Approval {
        /// The request.
        approval: ApprovalId,
    },
    /// What came of a write in doubt.
    InDoubt {
        /// The call.
        call: CallId,
    },
}

impl std::fmt::Display for InboxKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            InboxKey::Approval { approval } => write!(f, "{approval}"),
            InboxKey::InDoubt { call } => write!(f, "{call}"),
        }
    }
}

/// One thing that waits for a person. Its details are in the session's record; the inbox says who may answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxItem {
    /// What it is about.
    pub key: InboxKey,
    /// The session that waits.
    pub session: SessionId,
    /// Its agent.
    pub agent: Name,
    /// The group whose people may answer.
    pub group: Name,
    /// Since when.
    pub since: Timestamp,
    /// When the answer becomes no by itself.
    pub expires: Option<Timestamp>,
}

/// A change of what an agent remembers. Items are never edited in place; the text is sealed under the session's key.
#[derive(Debug, Clone, PartialEq)]
pub enum MemoryChange {
    /// Remember.
    Remember(MemoryItem),
    /// Forget.
    Forget {
        /// The agent.
        agent: Name,
        /// The item.
        id: CallId,
    },
}

/// One thing remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryItem {
    /// The agent whose sessions share it.
    pub agent: Name,
    /// The call that remembered it.
    pub id: CallId,
    /// What.
    pub text: String,
    /// When.
    pub at: Timestamp,
    /// When retention ends.
    pub expires: Option<Timestamp>,
}

/// What the head of a session that waits for a freeze to end says it waits for: by these words it is found again.
pub fn frozen_words(scope: &Scope) -> String {
    format!("frozen: {scope}")
}

/// The session's head: what the next look at it needs without reading the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its agent.
    pub agent: Name,
    /// Its revision.
    pub revision: Digest,
    /// The caller's own name for it.
    pub key: String,
    /// Where it is in its life.
    pub phase: domain::session::Phase,
    /// Since when.
    pub since: Timestamp,
    /// What it waits for, for people to read; empty if nothing.
    pub waits_on: String,
    /// Whether a scripted provider has answered in it.
    pub scripted: bool,
    /// Whether it is a shadow-run.
    pub mode: domain::principal::Mode,
    /// The number of its partition, where its agent has one instance per partition.
    pub partition: Option<u64>,
}
