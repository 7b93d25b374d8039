//! A session: the state that its events fold into. Folding decides nothing; `execution::machine` does.

mod attached;
mod fold;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use attached::{Attached, Called, Given, RESULTS_KEPT, Run, extend};

use crate::approval::{Poll, Reminder};
use crate::budget::{Amounts, Hold};
use crate::call::{ApprovalRequest, ApprovalVerdict, Stop};
use crate::capability::{CapabilityRef, Effect};
use crate::clock::Timestamp;
use crate::decision::{Wait, WaitFor};
use crate::id::{CallId, Digest, MailId, SessionId, TraceId};
use crate::mail::{Start, partition_number};
use crate::message::{Message, Part, Role};
use crate::principal::Principal;
use crate::tagged::tagged;

/// How many mail ids a session remembers, so that mail posted again does nothing.
pub const MAIL_REMEMBERED: usize = 256;

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It has work and no task yet.
    Ready,
    /// It works.
    Running,
    /// It sleeps: it holds no task and no memory.
    Suspended,
    /// It answered; a new message wakes it.
    Finished,
    /// It could not go on; a new message lets it try again.
    Failed,
    /// It was ended for good.
    Killed,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Ready => "ready",
            Phase::Running => "running",
            Phase::Suspended => "suspended",
            Phase::Finished => "finished",
            Phase::Failed => "failed",
            Phase::Killed => "killed",
        })
    }
}

/// What a call is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum CallKind {
    /// The model.
    Model,
    /// A capability, as the model asked for it.
    Capability {
        /// The provider's id of the use.
        use_id: String,
        /// Its name, as the model wrote it.
        capability: String,
        /// Its arguments, as the model wrote them, or as a person edited them.
        arguments: Value,
        /// What the model wrote, where it was not valid JSON.
        malformed: Option<String>,
    },
}

tagged!(CallKind, "of");

/// How far an open call is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum CallState {
    /// Wanted; the gate was not asked yet, or is to be asked again.
    Wanted,
    /// Its intent is durable; its outcome is not.
    InFlight {
        /// What it holds of its budgets.
        holds: Vec<Hold>,
        /// The most it can have come to.
        worst: Amounts,
        /// What it may change (a model call: nothing).
        effect: Effect,
    },
    /// The gate said not yet.
    Waiting {
        /// What for.
        wait: Wait,
    },
    /// It was sent and nobody knows what came of it.
    InDoubt {
        /// What it holds of its budgets.
        holds: Vec<Hold>,
        /// The most it can have come to.
        worst: Amounts,
        /// What it may have changed.
        effect: Effect,
    },
}

tagged!(CallState, "is");

/// A call that has no outcome yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenCall {
    /// Which.
    pub id: CallId,
    /// The latest attempt; 0 before the first intent.
    pub attempt: u16,
    /// What it is of.
    pub kind: CallKind,
    /// How far it is.
    pub state: CallState,
    /// Since when its budget has been tied up, without a break.
    pub waiting_since: Option<Timestamp>,
    /// When the timer that it is of is over, once that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<Timestamp>,
    /// How many attempts were cut off by a freeze or a suspension.
    #[serde(default)]
    pub stopped: u16,
    /// The latest request for consent.
    pub approval: Option<ApprovalRequest>,
    /// Whether that request is void: nobody is asked any more.
    #[serde(default)]
    pub withdrawn: bool,
    /// What people said to it, while it takes more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<ApprovalVerdict>,
    /// The answer that decided it.
    pub verdict: Option<ApprovalVerdict>,
    /// What its people were told since it was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reminded: Vec<Reminder>,
}

/// That somebody suspended a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// How it had ended, where it had and nothing was said since: it is so again once it is resumed.
    pub rested: Option<Phase>,
}

/// That a session's model failed, and may do better later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often in a row it failed.
    pub failed: u32,
    /// When it failed first.
    pub since: Timestamp,
    /// When it failed last.
    pub last: Timestamp,
    /// How long it asked to be left alone then, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<i64>,
    /// When it is asked again, once that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What went wrong last, in one sentence.
    pub error: String,
}

/// A session, folded from its events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// Who it is.
    pub principal: Arc<Principal>,
    /// The caller's own name for it.
    pub key: String,
    /// Its trace.
    pub trace: TraceId,
    /// The shadow case it works on.
    pub case: Option<String>,
    /// The partition it belongs to, where its agent has one instance per partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Where it is in its life.
    pub phase: Phase,
    /// When its phase last changed.
    pub since: Timestamp,
    /// Everything said, append-only.
    pub messages: Vec<Arc<Message>>,
    /// What arrived while the model was busy; said as soon as it can be.
    pub pending: Vec<Arc<Message>>,
    /// The hash of what the model is offered.
    pub offers: Option<Digest>,
    /// Calls without an outcome, by ordinal.
    pub open: BTreeMap<u32, OpenCall>,
    /// Results of the current round of uses that are in, by ordinal; said together, in the order asked.
    pub results: BTreeMap<u32, Part>,
    /// The ordinal of the next call.
    pub next_ordinal: u32,
    /// Model calls since the last message.
    pub turns: u32,
    /// Uses with malformed or unfit arguments in a row.
    pub unfit_in_a_row: u32,
    /// How the last model call ended.
    pub last_stop: Option<Stop>,
    /// Why the last model call failed or was refused, until the next one.
    pub model_failure: Option<String>,
    /// That the last model calls failed and the next may do better, until one is answered or somebody writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Why it failed, while it has.
    pub failure: Option<String>,
    /// Whether a scripted provider has answered in it.
    pub scripted: bool,
    /// Who suspended it, while it is.
    #[serde(default)]
    pub paused: Option<Pause>,
    /// What it spent, with everybody that it delegated to.
    #[serde(default)]
    pub spent: Amounts,
    /// The last mail ids consumed.
    pub consumed: VecDeque<MailId>,
    /// What it knows of the client that keeps its loop, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<Box<Attached>>,
}

impl Session {
    /// The session that a `SessionStarted` event begins.
    pub fn started(id: SessionId, start: Start, at: Timestamp) -> Self {
        let Start { principal, key, trace, case, partition, attached } = start;
        Session {
            id,
            principal: Arc::new(principal),
            key,
            trace,
            case,
            partition,
            phase: Phase::Ready,
            since: at,
            messages: Vec::new(),
            pending: Vec::new(),
            offers: None,
            open: BTreeMap::new(),
            results: BTreeMap::new(),
            next_ordinal: 1,
            turns: 0,
            unfit_in_a_row: 0,
            last_stop: None,
            model_failure: None,
            retry: None,
            failure: None,
            scripted: false,
            paused: None,
            spent: Amounts::default(),
            consumed: VecDeque::new(),
            attached: attached.then(Box::default),
        }
    }

    /// Remembers a consumed mail id, and forgets the oldest beyond [`MAIL_REMEMBERED`].
    pub fn remember(&mut self, mail: &MailId) {
        self.consumed.push_back(mail.clone());
        while self.consumed.len() > MAIL_REMEMBERED {
            self.consumed.pop_front();
        }
    }

    /// The number that its partition goes by.
    pub fn partition_number(&self) -> Option<u64> {
        let partition = self.partition.as_ref()?;
        Some(partition_number(&self.principal.link.agent, partition))
    }

    /// Whether the model's turn has come: nothing is open and the last word is not the model's. Where a client keeps the
    /// loop, it says so itself.
    pub fn wants_model(&self) -> bool {
        self.attached.is_none()
            && self.open.is_empty()
            && self.messages.last().is_some_and(|last| last.role != Role::Agent)
    }

    /// The calls that wait for another agent: each with its session, in which it is.
    pub fn delegated(&self) -> impl Iterator<Item = (CallId, SessionId)> + '_ {
        self.open.values().filter_map(|open| Some((open.id, open.delegated_to()?)))
    }

    /// The last thing the agent said.
    pub fn answer(&self) -> Option<&Arc<Message>> {
        self.messages.iter().rev().find(|message| message.role == Role::Agent)
    }
}

/// The name of a capability that an open call is of, where it is of one.
impl OpenCall {
    /// The session that it was delegated to, while it waits for that.
    pub fn delegated_to(&self) -> Option<SessionId> {
        match &self.state {
            CallState::Waiting { wait: Wait { why: WaitFor::Delegated { session, .. }, .. } } => Some(*session),
            CallState::Waiting { .. } | CallState::Wanted | CallState::InFlight { .. } | CallState::InDoubt { .. } => {
                None
            }
        }
    }

    /// Whether the request is over once this is said to it.
    pub fn is_decided_by(&self, verdict: &ApprovalVerdict) -> bool {
        let said = self.votes.iter().chain([verdict]);
        self.approval.as_ref().is_none_or(|request| Poll::of(request, said).is_over())
    }

    /// Whether the very same yes of this person counts already.
    pub fn heard(&self, verdict: &ApprovalVerdict) -> bool {
        let same = |other: &&ApprovalVerdict| (&other.person, &other.edited) == (&verdict.person, &verdict.edited);
        let counted = self.approval.as_ref().map(|request| Poll::of(request, &self.votes).yes);
        verdict.approved && counted.is_some_and(|yes| yes.iter().any(same))
    }

    /// The reference that its name resolves to among those offered.
    pub fn resolves_to(&self, offered: &[CapabilityRef]) -> Option<CapabilityRef> {
        match &self.kind {
            CallKind::Model => None,
            CallKind::Capability { capability, .. } => {
                offered.iter().find(|reference| reference.name().as_str() == capability).cloned()
            }
        }
    }
}
