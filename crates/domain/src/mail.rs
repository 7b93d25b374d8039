//! Mail: the only way to wake a session. A person's message, a timer, a decision, a webhook: each is posted from any
//! node, idempotent by its id, and consumed in the commit that appends what it caused.

use serde::{Deserialize, Serialize};

use crate::budget::Amounts;
use crate::call::ApprovalVerdict;
use crate::clock::Timestamp;
use crate::event::{Event, Resolution};
use crate::id::{CallId, Digest, MailId, Name, SessionId, TraceId};
use crate::message::Message;
use crate::principal::Principal;

/// One piece of mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mail {
    /// Chosen by whoever posts it.
    pub id: MailId,
    /// To whom.
    pub session: SessionId,
    /// When it may be delivered: a timer is mail due later.
    pub due: Timestamp,
    /// What it says.
    pub body: MailBody,
}

/// What mail says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mail", rename_all = "snake_case")]
pub enum MailBody {
    /// Somebody writes; the session is started if it does not exist.
    Message {
        /// How to start it.
        start: Box<Start>,
        /// Who writes, where it is a person.
        from: Option<Name>,
        /// What they say.
        message: Message,
    },
    /// A person answered a request for consent.
    Verdict {
        /// What they said, signed by the control plane.
        verdict: ApprovalVerdict,
    },
    /// A person said what came of a write in doubt.
    Resolved {
        /// The call.
        call: CallId,
        /// The attempt that they speak of: a later one is not resolved by it.
        attempt: u16,
        /// Who.
        person: Name,
        /// What they said.
        resolution: Resolution,
    },
    /// Something may have changed: look again.
    Wake,
    /// A schedule falls due. It goes to no session: it becomes the message that starts one.
    Tick {
        /// The agent.
        agent: Name,
        /// Which of its triggers.
        trigger: Name,
    },
    /// End it for good.
    Kill {
        /// Who wants it.
        by: String,
        /// Why.
        reason: String,
    },
    /// Hold it where it is: what runs is stopped, and nothing is begun until it is resumed.
    Suspend {
        /// Who wants it.
        by: String,
        /// Why.
        reason: String,
    },
    /// Let it go on after it was suspended.
    Resume {
        /// Who wants it.
        by: String,
    },
    /// What a session delegated to another came to.
    Returned {
        /// The call that delegated.
        call: CallId,
        /// The session that it was delegated to.
        from: SessionId,
        /// How that ended.
        end: Returned,
        /// What it spent, with everybody that it delegated to.
        spent: Amounts,
        /// The labels of everything that entered it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        labels: Vec<String>,
    },
}

/// How a session ended that another delegated to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum Returned {
    /// It answered.
    Answered {
        /// Its last words.
        text: String,
    },
    /// It could not go on.
    Failed {
        /// Why.
        reason: String,
    },
    /// Somebody ended it.
    Killed {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
}

impl Returned {
    /// How an event ends a session whose last words these are; `None`: it does not end it.
    pub fn of(event: &Event, answer: impl FnOnce() -> Option<String>) -> Option<Self> {
        match event {
            Event::Finished { .. } => Some(Returned::Answered { text: answer().unwrap_or_default() }),
            Event::Failed { reason, .. } => Some(Returned::Failed { reason: reason.clone() }),
            Event::Killed { by, reason } => Some(Returned::Killed { by: by.clone(), reason: reason.clone() }),
            _ => None,
        }
    }

    /// What whoever delegated to `agent` is told, and whether that is an error.
    pub fn told(self, agent: &Name) -> (String, bool) {
        match self {
            Returned::Answered { text } => (text, false),
            Returned::Failed { reason } => (format!("The agent {agent} could not go on: {reason}"), true),
            Returned::Killed { by, reason } => {
                let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                (format!("{by} ended the session of the agent {agent}{because}. Do not ask it again."), true)
            }
        }
    }
}

/// What comes of a schedule that falls due; nothing, where it is gone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Firing {
    /// The message that starts a session, and the next tick.
    pub mail: Vec<Mail>,
    /// Why no session is started, where one should be.
    pub skipped: Option<String>,
}

/// How to start a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Who it is.
    pub principal: Principal,
    /// The caller's own name for it.
    pub key: String,
    /// The trace it belongs to.
    pub trace: TraceId,
    /// The shadow case it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The partition it belongs to, where its agent has one instance per partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Whether a client keeps its loop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attached: bool,
}

impl Start {
    /// How the session began that this event is the beginning of; `None` for any other event.
    pub fn of(event: &Event) -> Option<Self> {
        let Event::SessionStarted { principal, key, trace, case, partition, attached } = event else { return None };
        Some(Start {
            principal: principal.clone(),
            key: key.clone(),
            trace: *trace,
            case: case.clone(),
            partition: partition.clone(),
            attached: *attached,
        })
    }
}

/// How mail is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MailClass {
    /// A person decided: it goes before everything else, and counts against no bound.
    Decision,
    /// Somebody writes: it counts against the bounds of its session and of its agent.
    Message,
    /// A timer, or the end of what was delegated: it counts against no bound.
    Wake,
}

impl MailBody {
    /// How it is queued.
    pub fn class(&self) -> MailClass {
        match self {
            MailBody::Verdict { .. }
            | MailBody::Resolved { .. }
            | MailBody::Kill { .. }
            | MailBody::Suspend { .. }
            | MailBody::Resume { .. } => MailClass::Decision,
            MailBody::Message { .. } => MailClass::Message,
            MailBody::Wake | MailBody::Tick { .. } | MailBody::Returned { .. } => MailClass::Wake,
        }
    }
}

impl Start {
    /// The number that its partition goes by.
    pub fn partition_number(&self) -> Option<u64> {
        let partition = self.partition.as_ref()?;
        Some(partition_number(&self.principal.link.agent, partition))
    }
}

/// The number that an agent's partition goes by: the first eight bytes of a hash of both. Two that share one take
/// turns for nothing, and that is all.
pub fn partition_number(agent: &Name, partition: &str) -> u64 {
    let hash = Digest::of(format!("ostler/partition/{agent}/{partition}").as_bytes());
    let first: [u8; 8] = hash.as_bytes()[..8].try_into().expect("a digest has 32 bytes");
    u64::from_be_bytes(first)
}
