//! The logical trace of an agent: what was said, thought, decided, consented to and done, in order. A fold of one
//! session's records, so it cannot disagree with what happened. It must not know how it is stored or shown, beyond
//! plain text.
//!
//! ```text
//! records ─▶ fold ─▶ Trace ─▶ tree        one line per step
//!                      │ └──▶ transcript  the conversation, with its decisions
//!                      └────▶ JSON        `trace -o json`, the console
//! ```

use domain::approval::{Poll, Reminder};
use domain::call::{ApprovalRequest, ApprovalVerdict, Settlement, Stop};
use domain::capability::{CapabilityRef, Effect};
use domain::clock::Timestamp;
use domain::decision::{DecidedAt, Refusal, Wait};
use domain::event::{Intent, Resolution};
use domain::id::{CallId, Digest, MailId, Name, Pos, Seq, SessionId, TraceId};
use domain::message::{Origin, Role, Trust};
use domain::principal::{Autonomy, Link, Mode};
use domain::session::Phase;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::Record;
use crate::spend::Tally;

mod cache;
mod calls;
mod client;
mod fold;
mod text;
mod transcript;
mod tree;

pub use cache::{Broke, CacheTrace, CachedCall, render_cache};
pub use text::{asker, speaker};
pub(crate) use text::{cost as spoken_cost, instant as spoken_instant, one_line};
pub use transcript::render_transcript;
pub use tree::render_tree;

/// One session's trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The session.
    pub session: SessionId,
    /// Its agent.
    pub agent: Name,
    /// The agent's revision.
    pub revision: Digest,
    /// The group that owns the agent.
    pub owner: Name,
    /// The person behind it, where there is one.
    pub on_behalf_of: Option<Name>,
    /// Who delegated, root first.
    pub parents: Vec<Link>,
    /// How much the agent may do on its own.
    pub autonomy: Autonomy,
    /// Live, or shadow: in shadow nothing was sent that changes anything.
    pub mode: Mode,
    /// The caller's own name for the session.
    pub key: String,
    /// The shadow case it works on.
    pub case: Option<String>,
    /// Whether a client keeps its loop.
    #[serde(default)]
    pub attached: bool,
    /// The trace it belongs to.
    pub trace: TraceId,
    /// Whether a scripted provider stood in for a model in it.
    pub scripted: bool,
    /// Where it is in its life.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// When it began.
    pub started: Timestamp,
    /// When it was last heard of.
    pub updated: Timestamp,
    /// Its last record.
    pub last_seq: Seq,
    /// What it came to.
    pub totals: Tally,
    /// How long it waited for the outside, in milliseconds, all calls together.
    pub waited_ms: i64,
    /// What it last answered, once it finished.
    pub answer: Option<String>,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

impl Trace {
    /// The trace of a session's records, oldest first. `None` if they do not begin with its start, or if its content
    /// was erased.
    pub fn of(records: &[Record]) -> Option<Trace> {
        fold::trace_of(records)
    }

    /// A capability call of it.
    pub fn capability(&self, call: CallId) -> Option<&CapabilityCall> {
        self.steps.iter().find_map(|step| match &step.what {
            What::Capability(found) if found.call == call => Some(&**found),
            _ => None,
        })
    }

    /// A model call of it.
    pub fn model(&self, call: CallId) -> Option<&ModelCall> {
        self.steps.iter().find_map(|step| match &step.what {
            What::Model(found) if found.call == call => Some(&**found),
            _ => None,
        })
    }
}

/// One step. A call is one step, from when it was first wanted to its end, however often it was tried or waited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The record it began in.
    pub seq: Seq,
    /// That record's position in its shard.
    pub pos: Pos,
    /// When it began.
    pub at: Timestamp,
    /// When it ended, where that is not at once.
    pub ended_at: Option<Timestamp>,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
}

/// What a step is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum What {
    /// Somebody wrote.
    Message {
        /// The person; `None`: a trigger or an administrator.
        from: Option<Name>,
        /// The mail that brought it.
        mail: MailId,
        /// What they wrote.
        text: String,
        /// Where it came from.
        origin: Origin,
        /// How far it is trusted to instruct: no more than its least trusted part.
        trust: Trust,
    },
    /// The client that keeps the loop, known by the agent's key, told its conversation.
    Client(Box<ClientSaid>),
    /// The model was asked.
    Model(Box<ModelCall>),
    /// A capability was wanted.
    Capability(Box<CapabilityCall>),
    /// It went to sleep.
    Suspended {
        /// For what.
        waits: Vec<Wait>,
        /// How long it slept, in milliseconds; `None`: it still does.
        slept_ms: Option<i64>,
        /// What it had worked, in milliseconds.
        compute_ms: i64,
    },
    /// It woke.
    Resumed {
        /// By what: a mail's id, a timer.
        cause: String,
        /// After how long, in milliseconds.
        slept_ms: i64,
    },
    /// The agent answered.
    Finished {
        /// What.
        answer: Option<String>,
        /// What it had worked, in milliseconds.
        compute_ms: i64,
    },
    /// It could not go on.
    Failed {
        /// Why.
        reason: String,
        /// The refusal behind it.
        refusal: Option<Refusal>,
        /// What it had worked, in milliseconds.
        compute_ms: i64,
    },
    /// It was ended for good.
    Killed {
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// Somebody suspended it.
    Paused {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Somebody let it go on after that.
    Continued {
        /// Who.
        by: String,
    },
}

/// What a client told of its conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientSaid {
    /// What it said that the session did not have.
    pub said: Vec<ClientMessage>,
    /// How many messages it tells in all.
    pub tells: u32,
    /// Whether it left out or turned round what it had told before.
    pub rewrote: bool,
    /// What it tells its model to be, where it says something else than before.
    pub instructions: Option<String>,
    /// How many tools its model may use, where they are others than before.
    pub tools: Option<u32>,
}

/// One message of a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientMessage {
    /// Who speaks, as the client says.
    pub role: Role,
    /// What is said; of uses of capabilities, their names.
    pub text: String,
    /// How far it is trusted to instruct: no more than its least trusted part.
    pub trust: Trust,
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Wanted; the gate was not asked yet.
    Wanted,
    /// The gate said not yet.
    Waiting,
    /// Sent; no outcome yet.
    InFlight,
    /// It answered.
    Answered,
    /// It failed.
    Failed,
    /// The gate said no.
    Refused,
    /// Shadow: written down, not sent.
    Recorded,
    /// It was sent and nobody knows what came of it.
    InDoubt,
    /// A person said that it had happened.
    Resolved,
    /// A person decided to let it be, though nobody knows.
    Abandoned,
    /// The session was ended before it did.
    Dropped,
}

/// A model call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCall {
    /// Which.
    pub call: CallId,
    /// How far it is.
    pub state: State,
    /// The provider that was asked.
    pub provider: Option<Name>,
    /// The model, as it was pinned and asked for.
    pub model: String,
    /// The model that says it answered.
    pub served_model: Option<String>,
    /// Whether that is the one asked for; `None`: it did not say.
    pub pinned: Option<bool>,
    /// Whether a scripted provider stood in.
    pub scripted: bool,
    /// How many messages of the conversation it was sent.
    pub messages: u32,
    /// The output it might write, in tokens.
    pub max_output_tokens: u32,
    /// What it said, in order: its reasoning stands directly above the use that it led to.
    pub says: Vec<Said>,
    /// Why it stopped.
    pub stop: Option<Stop>,
    /// The provider's own usage, raw, of the last attempt.
    pub usage: Option<Value>,
    /// What all attempts came to.
    pub cost: Tally,
    /// How long it waited for the provider, in milliseconds.
    pub waited_ms: i64,
    /// What went wrong.
    pub error: Option<String>,
    /// Why the gate said no.
    pub refusal: Option<Refusal>,
    /// What it waited for before it was sent.
    pub waits: Vec<Wait>,
    /// Each time it was sent.
    pub attempts: Vec<Attempt>,
}

/// One thing a model said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub enum Said {
    /// Why.
    Reasoning {
        /// What a person may read of it.
        text: String,
        /// Whether the provider kept it to itself.
        redacted: bool,
    },
    /// Words.
    Text {
        /// The words.
        text: String,
    },
    /// A capability it wants used.
    Use {
        /// The call that this became.
        call: CallId,
        /// Its name, as the model wrote it.
        capability: String,
    },
    /// A block of the provider's own.
    Other,
}

/// A capability call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CapabilityCall {
    /// Which.
    pub call: CallId,
    /// How far it is.
    pub state: State,
    /// The model call that asked for it.
    pub asked_by: Option<CallId>,
    /// The reasoning directly above it.
    pub reasoning: Vec<String>,
    /// Its name, as the model wrote it.
    pub name: String,
    /// What the name resolved to.
    pub capability: Option<CapabilityRef>,
    /// What it may change.
    pub effect: Option<Effect>,
    /// What it is worth, in micro-dollars.
    pub value_usd_micros: Option<i64>,
    /// The arguments, as the model wrote them.
    pub wanted: Value,
    /// What the model wrote, where it was not valid JSON.
    pub malformed: Option<String>,
    /// The effective arguments: what was sent, or would have been.
    pub arguments: Option<Value>,
    /// Every time a person was asked.
    pub consents: Vec<Consent>,
    /// What it waited for.
    pub waits: Vec<Wait>,
    /// Why the gate said no.
    pub refusal: Option<Refusal>,
    /// Under what the gate decided last.
    pub decided: Option<DecidedAt>,
    /// What came back.
    pub result: Option<CallResult>,
    /// What went wrong, or what is known of an outcome that is unknown.
    pub error: Option<String>,
    /// What a person said came of it.
    pub resolution: Option<Resolved>,
    /// What all attempts came to.
    pub cost: Tally,
    /// How long it waited for the upstream, in milliseconds.
    pub waited_ms: i64,
    /// Each time it was sent, or written down as it would have been.
    pub attempts: Vec<Attempt>,
}

impl CapabilityCall {
    /// Whether it was written down and not sent.
    pub fn recorded_not_sent(&self) -> bool {
        self.state == State::Recorded
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallResult {
    /// What the model read.
    pub text: String,
    /// The structured result.
    pub structured: Option<Value>,
    /// Whether the capability calls it an error.
    pub error: bool,
    /// Where it came from.
    pub origin: Origin,
    /// How far it is trusted to instruct.
    pub trust: Trust,
    /// Labels it carries.
    pub labels: Vec<String>,
}

/// One time a person was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Consent {
    /// What they were asked.
    pub request: ApprovalRequest,
    /// Under what it was decided that they must be.
    pub decided: DecidedAt,
    /// What people said while it takes more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<ApprovalVerdict>,
    /// The answer that decided it.
    pub verdict: Option<ApprovalVerdict>,
    /// What its people were told since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reminded: Vec<Told>,
    /// Why the request was withdrawn, if it was.
    pub withdrawn: Option<String>,
}

/// That people were told that a request still waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: Reminder,
    /// The group.
    pub to: Name,
}

impl Consent {
    fn asked(request: ApprovalRequest, decided: DecidedAt) -> Self {
        let (votes, reminded) = (Vec::new(), Vec::new());
        Consent { request, decided, votes, verdict: None, reminded, withdrawn: None }
    }

    /// What was said so far, in order.
    pub fn all_said(&self) -> impl Iterator<Item = &ApprovalVerdict> {
        self.votes.iter().chain(&self.verdict)
    }

    fn said(&mut self, verdict: &ApprovalVerdict) {
        let said = self.votes.iter().chain([verdict]);
        if Poll::of(&self.request, said).is_over() {
            self.verdict = Some(verdict.clone());
        } else {
            self.votes.push(verdict.clone());
        }
    }
}

/// A person's word on a write in doubt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// Who.
    pub person: Name,
    /// What they said.
    pub resolution: Resolution,
    /// When.
    pub at: Timestamp,
}

/// One time a call was sent, or written down as it would have been.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// When its intent was durable.
    pub at: Timestamp,
    /// When its outcome was.
    pub ended_at: Option<Timestamp>,
    /// What was durable before anything left: hashes, decision, holds.
    pub intent: Intent,
    /// The consent it used up.
    pub approval: Option<domain::id::ApprovalId>,
    /// What it came to.
    pub settlement: Option<Settlement>,
    /// How it ended, in a word: `ok`, `failed`, `unknown`, `stopped`, `in doubt`, `recorded`.
    pub end: Option<String>,
}
