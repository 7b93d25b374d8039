//! Everything that can happen in a session. Persisted: kinds and fields are only ever added, and a golden file per
//! kind guards old logs. The bodies are sealed; [`Header`] is what stays readable beside them.

mod header;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::event::header::Header;

use crate::approval::Reminder;
use crate::budget::{Amounts, Hold};
use crate::call::{ApprovalRequest, ApprovalVerdict, CallOutcome, Settlement};
use crate::capability::{CapabilityRef, Effect};
use crate::decision::{DecidedAt, Refusal, Wait};
use crate::id::{ApprovalId, CallId, Digest, MailId, Name, TraceId};
use crate::message::Message;
use crate::principal::Principal;
use crate::provenance::Provenance;
use crate::session::Run;
use crate::tagged::tagged;

/// What every intent to reach the outside carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The call.
    pub call: CallId,
    /// 1 for the first attempt.
    pub attempt: u16,
    /// Of the canonical effective request: what exactly will be sent.
    pub arguments_hash: Digest,
    /// Of the definition it was checked against: a capability's schema, a model's offered tools.
    pub schema_hash: Digest,
    /// Under what it was allowed.
    pub decided: DecidedAt,
    /// The most it can come to: what it is settled at if nobody ever knows.
    pub worst: Amounts,
    /// What it holds of its budgets until it is settled: its worst case, on every meter that has one.
    pub holds: Vec<Hold>,
    /// What the upstream sees as idempotency key: the same for every attempt.
    pub idempotency_key: String,
}

/// One thing that happened in a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum Event {
    /// The session began.
    SessionStarted {
        /// Who it is.
        principal: Principal,
        /// The caller's own name for it.
        key: String,
        /// The trace it belongs to.
        trace: TraceId,
        /// The shadow case it works on, where the caller said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        case: Option<String>,
        /// The partition it belongs to, where its agent has one instance per partition.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        partition: Option<String>,
        /// Whether a client keeps its loop.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        attached: bool,
    },
    /// Somebody wrote to it.
    MessageReceived {
        /// The mail that brought it.
        mail: MailId,
        /// Who wrote, where it was a person.
        from: Option<Name>,
        /// What they said.
        message: Message,
    },
    /// What the model will be offered, from now on; the list is a shared text of this hash.
    CapabilitiesOffered {
        /// Of the canonical JSON of the list of offers.
        offers: Digest,
    },
    /// A model will be asked.
    ModelRequested {
        /// The call.
        intent: Intent,
        /// Which provider.
        provider: Name,
        /// Which model, as it is sent.
        model: String,
        /// How many messages of the conversation it is sent.
        messages: u32,
        /// The output it may write, in tokens.
        max_output_tokens: u32,
        /// Whether the provider is scripted.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        scripted: bool,
    },
    /// The model's outcome.
    ModelAnswered {
        /// The call.
        call: CallId,
        /// Which attempt.
        attempt: u16,
        /// How it ended.
        outcome: CallOutcome,
        /// What it came to.
        settlement: Settlement,
    },
    /// A capability will be used.
    CallRequested {
        /// The call.
        intent: Intent,
        /// Which.
        capability: CapabilityRef,
        /// The effective arguments: what exactly will be sent.
        arguments: Value,
        /// What it may change.
        effect: Effect,
        /// What it is worth, in micro-dollars, where that is known.
        value_usd_micros: Option<i64>,
        /// The consent that it uses up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval: Option<ApprovalId>,
        /// Where the arguments came from, as the gate saw it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provenance: Option<Box<Provenance>>,
    },
    /// The capability's outcome.
    CallAnswered {
        /// The call.
        call: CallId,
        /// Which attempt.
        attempt: u16,
        /// How it ended.
        outcome: CallOutcome,
        /// What it came to.
        settlement: Settlement,
    },
    /// Shadow: what would have been sent, and the synthetic result that the agent was given. Nothing was sent.
    CallRecorded {
        /// The call, as it would have been.
        intent: Intent,
        /// Which capability.
        capability: CapabilityRef,
        /// The effective arguments.
        arguments: Value,
        /// What it would have changed.
        effect: Effect,
        /// What it would have been worth, in micro-dollars.
        value_usd_micros: Option<i64>,
        /// What the agent was told.
        outcome: CallOutcome,
    },
    /// The gate said no.
    CallRefused {
        /// The call.
        call: CallId,
        /// Whether it was a model call.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        model: bool,
        /// Which capability was wanted, as the model named it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        capability: Option<String>,
        /// Why.
        refusal: Refusal,
        /// Under what it was decided.
        decided: DecidedAt,
    },
    /// The gate said not yet.
    CallWaits {
        /// The call.
        call: CallId,
        /// Whether it is a model call.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        model: bool,
        /// What it waits for.
        wait: Wait,
    },
    /// A person is asked.
    ApprovalRequested {
        /// What they are asked.
        request: ApprovalRequest,
        /// Under what it was decided that they must be.
        decided: DecidedAt,
    },
    /// The people who may answer are told that a request still waits, or that it is theirs to answer, too.
    ApprovalReminded {
        /// Which.
        approval: ApprovalId,
        /// What they are told.
        what: Reminder,
        /// The group that is told.
        to: Name,
    },
    /// A person answered. Where it takes more than one, the answer that decides is the last.
    ApprovalDecided {
        /// What they said.
        verdict: ApprovalVerdict,
    },
    /// A request for consent is void: something it was bound to changed, or the session ended.
    ApprovalWithdrawn {
        /// Which.
        approval: ApprovalId,
        /// Why.
        reason: String,
    },
    /// A call was sent before a crash, and nobody knows what came of it.
    CallInDoubt {
        /// The call.
        call: CallId,
        /// Which attempt.
        attempt: u16,
        /// What the lost attempt is taken to have come to, where nobody is asked: it is repeated, or the session ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settlement: Option<Settlement>,
    },
    /// A person said what came of it.
    CallResolved {
        /// The call.
        call: CallId,
        /// Who.
        person: Name,
        /// What they said.
        resolution: Resolution,
        /// What it is taken to have come to; nothing, if it did not happen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settlement: Option<Settlement>,
    },
    /// The session sleeps until mail comes, or until `until`.
    Suspended {
        /// Why, one per open call.
        waits: Vec<Wait>,
        /// What it worked since it woke, in milliseconds, less waiting on doors.
        compute_ms: i64,
    },
    /// The agent answered; a new message wakes it again.
    Finished {
        /// What it worked since it woke, in milliseconds.
        compute_ms: i64,
    },
    /// It cannot go on; a new message lets it try again.
    Failed {
        /// Why, in one sentence.
        reason: String,
        /// The refusal behind it, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refusal: Option<Refusal>,
        /// What it worked since it woke, in milliseconds.
        compute_ms: i64,
    },
    /// Somebody ended it for good.
    Killed {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Somebody suspended it: it wants nothing until it is resumed, whatever arrives.
    Paused {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Somebody let it go on.
    Resumed {
        /// Who.
        by: String,
    },
    /// The client that keeps the loop, known by the agent's key, tells its conversation: what is new of it, and in which
    /// order it tells all of it. What it leaves out or turns round is seen by that.
    ClientSaid {
        /// What the session did not have yet, in order.
        messages: Vec<Message>,
        /// The whole conversation, as runs of the session's messages, these included.
        conversation: Vec<Run>,
        /// What it tells its model to be, where it says something else than before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instructions: Option<String>,
        /// What its model may use, where that is something else than before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tools: Option<Value>,
    },
    /// The client uses a capability.
    ClientCalled {
        /// As which call.
        call: CallId,
        /// The provider's id of the use, where the model of this session asked for it; else one of our own.
        use_id: String,
        /// Which, as the client named it.
        capability: String,
        /// The arguments, as the client wrote them.
        arguments: Value,
    },
    /// The client was told how a call of it ended. What was not made yet is not made any more.
    ClientTold {
        /// The call.
        call: CallId,
        /// What it was told instead of a result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead: Option<String>,
    },
    /// What the session's own work since it woke costs, where its agent's descriptor prices it.
    Charged {
        /// In micro-dollars.
        usd_micros: i64,
    },
}

tagged!(Event, "kind");

/// What a person says of a write in doubt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Resolution {
    /// It happened, with this result.
    Happened {
        /// What the agent is told.
        result: String,
    },
    /// It did not: send it again, under the same consent and key.
    DidNot,
    /// Let it be; the agent is told that nobody knows.
    Abandon,
}

impl Event {
    /// Every kind, as [`Event::kind`] names it.
    pub const KINDS: &[&str] = &[
        "session_started",
        "message_received",
        "capabilities_offered",
        "model_requested",
        "model_answered",
        "call_requested",
        "call_answered",
        "call_recorded",
        "call_refused",
        "call_waits",
        "approval_requested",
        "approval_reminded",
        "approval_decided",
        "approval_withdrawn",
        "call_in_doubt",
        "call_resolved",
        "suspended",
        "finished",
        "failed",
        "killed",
        "paused",
        "resumed",
        "client_said",
        "client_called",
        "client_told",
        "charged",
    ];

    /// The kind, as it is persisted.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::SessionStarted { .. } => "session_started",
            Event::MessageReceived { .. } => "message_received",
            Event::CapabilitiesOffered { .. } => "capabilities_offered",
            Event::ModelRequested { .. } => "model_requested",
            Event::ModelAnswered { .. } => "model_answered",
            Event::CallRequested { .. } => "call_requested",
            Event::CallAnswered { .. } => "call_answered",
            Event::CallRecorded { .. } => "call_recorded",
            Event::CallRefused { .. } => "call_refused",
            Event::CallWaits { .. } => "call_waits",
            Event::ApprovalRequested { .. } => "approval_requested",
            Event::ApprovalReminded { .. } => "approval_reminded",
            Event::ApprovalDecided { .. } => "approval_decided",
            Event::ApprovalWithdrawn { .. } => "approval_withdrawn",
            Event::CallInDoubt { .. } => "call_in_doubt",
            Event::CallResolved { .. } => "call_resolved",
            Event::Suspended { .. } => "suspended",
            Event::Finished { .. } => "finished",
            Event::Failed { .. } => "failed",
            Event::Killed { .. } => "killed",
            Event::Paused { .. } => "paused",
            Event::Resumed { .. } => "resumed",
            Event::ClientSaid { .. } => "client_said",
            Event::ClientCalled { .. } => "client_called",
            Event::ClientTold { .. } => "client_told",
            Event::Charged { .. } => "charged",
        }
    }

    /// What it says was spent: here, and by whoever was delegated to.
    pub fn spent(&self) -> Amounts {
        let settled = |settlement: &Settlement| match &settlement.delegated {
            Some(delegated) => settlement.amounts.plus(delegated),
            None => settlement.amounts,
        };
        let worked = |compute_ms: i64| Amounts { compute_ms, ..Amounts::default() };
        match self {
            Event::ModelAnswered { settlement, .. } | Event::CallAnswered { settlement, .. } => settled(settlement),
            Event::CallInDoubt { settlement, .. } | Event::CallResolved { settlement, .. } => {
                settlement.as_ref().map(settled).unwrap_or_default()
            }
            Event::Suspended { compute_ms, .. } | Event::Finished { compute_ms } | Event::Failed { compute_ms, .. } => {
                worked(*compute_ms)
            }
            Event::Charged { usd_micros } => Amounts { usd_micros: *usd_micros, ..Amounts::default() },
            Event::SessionStarted { .. }
            | Event::MessageReceived { .. }
            | Event::CapabilitiesOffered { .. }
            | Event::ModelRequested { .. }
            | Event::CallRequested { .. }
            | Event::CallRecorded { .. }
            | Event::CallRefused { .. }
            | Event::CallWaits { .. }
            | Event::ApprovalRequested { .. }
            | Event::ApprovalReminded { .. }
            | Event::ApprovalDecided { .. }
            | Event::ApprovalWithdrawn { .. }
            | Event::Killed { .. }
            | Event::Paused { .. }
            | Event::Resumed { .. }
            | Event::ClientSaid { .. }
            | Event::ClientCalled { .. }
            | Event::ClientTold { .. } => Amounts::default(),
        }
    }

    /// The call it is about, where it is about one.
    pub fn call(&self) -> Option<CallId> {
        match self {
            Event::ModelRequested { intent, .. }
            | Event::CallRequested { intent, .. }
            | Event::CallRecorded { intent, .. } => Some(intent.call),
            Event::ModelAnswered { call, .. }
            | Event::CallAnswered { call, .. }
            | Event::CallRefused { call, .. }
            | Event::CallWaits { call, .. }
            | Event::CallInDoubt { call, .. }
            | Event::CallResolved { call, .. }
            | Event::ClientCalled { call, .. }
            | Event::ClientTold { call, .. } => Some(*call),
            Event::ApprovalRequested { request, .. } => Some(request.approval.call),
            Event::ApprovalDecided { verdict } => Some(verdict.approval.call),
            Event::ApprovalReminded { approval, .. } | Event::ApprovalWithdrawn { approval, .. } => Some(approval.call),
            Event::SessionStarted { .. }
            | Event::MessageReceived { .. }
            | Event::CapabilitiesOffered { .. }
            | Event::Suspended { .. }
            | Event::Finished { .. }
            | Event::Failed { .. }
            | Event::Killed { .. }
            | Event::Paused { .. }
            | Event::Resumed { .. }
            | Event::ClientSaid { .. }
            | Event::Charged { .. } => None,
        }
    }
}
