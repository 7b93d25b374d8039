//! Calls: what is wanted, by whom, and what the session knows that bears on it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::approval::{Reminder, Terms};
use crate::budget::{Amounts, BudgetKey, Meter};
use crate::capability::{CapabilityRef, Offer};
use crate::clock::Timestamp;
use crate::heard::Heard;
use crate::id::{ApprovalId, CallId, Digest, Name, Pos};
use crate::message::Message;
use crate::principal::Principal;
use crate::provenance::Provenance;
use crate::session::OpenCall;
use crate::tagged::tagged;

/// What is wanted of a language model: the conversation so far and what may be used. Which model, with which
/// instructions and limits, is the revision's business and the door's.
#[derive(Debug, Clone)]
pub struct ModelAct {
    /// Everything said so far, oldest first, append-only.
    pub messages: Vec<Arc<Message>>,
    /// What may be used, sorted by name.
    pub offers: Arc<[Offer]>,
}

/// What is wanted of a capability.
#[derive(Debug, Clone, PartialEq)]
pub struct CapabilityAct {
    /// The provider's id of the use that asked for it; its result answers to it.
    pub use_id: String,
    /// Which, as the model named it; `Err` keeps a name that resolves to nothing offered.
    pub capability: Result<CapabilityRef, String>,
    /// The arguments, as the model wrote them.
    pub arguments: Value,
    /// What the model wrote, where it was not valid JSON.
    pub malformed: Option<String>,
}

/// One thing wanted, by somebody, with what the session knows.
#[derive(Debug, Clone)]
pub struct Ask<A> {
    /// The call this would be.
    pub call: CallId,
    /// 1 for the first attempt; more after an outcome that was lost.
    pub attempt: u16,
    /// Who wants it.
    pub principal: Arc<Principal>,
    /// What is wanted.
    pub act: A,
    /// What the session knows that bears on it.
    pub facts: Facts,
}

/// What the session knows that bears on a call.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The latest request for consent to this call, where there was one.
    pub approval: Option<ApprovalRequest>,
    /// Whether that request is void: nobody is asked any more.
    pub withdrawn: bool,
    /// What others said before, while it takes more than one.
    pub votes: Vec<ApprovalVerdict>,
    /// The answer that decided it, once one did.
    pub verdict: Option<ApprovalVerdict>,
    /// What its people were told since.
    pub reminded: Vec<Reminder>,
    /// Since when it waits for its budget, where it does.
    pub waiting_since: Option<Timestamp>,
    /// The latest request for more budget for this call, where there was one.
    pub raise: Option<RaiseAsked>,
    /// How often somebody was asked anything about this call.
    pub asked: u16,
    /// What the session heard before it.
    pub heard: Arc<Heard>,
}

/// What a session knows of a request for more budget.
#[derive(Debug, Clone, PartialEq)]
pub struct RaiseAsked {
    /// What was asked.
    pub request: ApprovalRequest,
    /// Whether it is void.
    pub withdrawn: bool,
    /// What a person said, where they did.
    pub verdict: Option<ApprovalVerdict>,
}

impl Facts {
    /// What an open call knows. A request for more budget is kept apart from consent to the call itself.
    pub fn of(open: &OpenCall) -> Self {
        let OpenCall { approval, withdrawn, votes, verdict, reminded, waiting_since, .. } = open.clone();
        let asked = approval.as_ref().map_or(0, |request| request.approval.round);
        let known = Facts { waiting_since, asked, ..Facts::default() };
        match approval {
            Some(request) if request.raise().is_some() => {
                Facts { raise: Some(RaiseAsked { request, withdrawn, verdict }), ..known }
            }
            approval => Facts { approval, withdrawn, votes, verdict, reminded, ..known },
        }
    }

    /// Everything that was said to the request, in order.
    pub fn said(&self) -> impl Iterator<Item = &ApprovalVerdict> {
        self.votes.iter().chain(&self.verdict)
    }

    /// The request for consent that a person may still answer.
    pub fn asked(&self) -> Option<&ApprovalRequest> {
        self.approval.as_ref().filter(|_| !self.withdrawn && self.verdict.is_none())
    }
}

/// A request for consent, bound to the exact call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// Its id.
    pub approval: ApprovalId,
    /// What would be called.
    pub capability: CapabilityRef,
    /// The effective arguments: after defaults, as they would be sent.
    pub arguments: Value,
    /// What exactly is consented to.
    pub binding: Binding,
    /// What it is worth, in micro-dollars; `None`: unknown, which counts as above every threshold.
    pub value_usd_micros: Option<i64>,
    /// Why consent is needed, in one sentence.
    pub reason: String,
    /// Where the arguments came from, as the gate saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Box<Provenance>>,
    /// The group whose people decide.
    pub by: Name,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When it turns into denial.
    pub expires_at: Timestamp,
    /// How many must say yes, who may not answer, who else may after a while.
    #[serde(default, skip_serializing_if = "Terms::are_plain")]
    pub terms: Terms,
}

/// More of a budget, for one window of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raise {
    /// Which budget.
    pub budget: BudgetKey,
    /// Which window: when it began.
    pub window_start: Timestamp,
    /// How much more, in the meter's unit.
    pub amount: i64,
}

/// The name that a request for more budget bears where others name a capability; no agent can list it.
const RAISE: &str = "budget-topup";

impl Raise {
    /// What a person is asked: money in dollars, every other meter in its unit.
    pub fn arguments(&self) -> Value {
        let Raise { budget, window_start, amount } = self;
        let (name, amount) = match budget.meter {
            Meter::UsdMicros => ("usd", serde_json::json!(*amount as f64 / 1e6)),
            Meter::Calls | Meter::Tokens | Meter::ExternalActions | Meter::ComputeMs => ("amount", (*amount).into()),
        };
        serde_json::json!({"budget": budget.to_string(), "window_start": window_start.0, name: amount})
    }

    /// What these arguments ask for; `None` if that is nothing that can be granted.
    pub fn of(arguments: &Value) -> Option<Self> {
        let budget: BudgetKey = arguments.get("budget")?.as_str()?.parse().ok()?;
        let window_start = Timestamp(arguments.get("window_start")?.as_i64()?);
        let amount = match budget.meter {
            Meter::UsdMicros => {
                let micros = arguments.get("usd")?.as_f64()? * 1e6;
                (1.0..=1e15).contains(&micros).then(|| micros.round() as i64)?
            }
            Meter::Calls | Meter::Tokens | Meter::ExternalActions | Meter::ComputeMs => {
                arguments.get("amount")?.as_i64().filter(|amount| *amount > 0)?
            }
        };
        (arguments.as_object()?.len() == 3).then_some(Raise { budget, window_start, amount })
    }

    /// What stands for the capability in a request for it.
    pub fn capability() -> CapabilityRef {
        CapabilityRef::Internal(RAISE.parse().expect("a word of letters and a hyphen is a name"))
    }
}

impl ApprovalRequest {
    /// The budget that it asks more of; `None` if it asks for consent to a call.
    pub fn raise(&self) -> Option<Raise> {
        match &self.capability {
            CapabilityRef::Internal(name) if name.as_str() == RAISE => Raise::of(&self.arguments),
            CapabilityRef::Internal(_) | CapabilityRef::External(_) | CapabilityRef::Agent(_) => None,
        }
    }
}

/// What a consent is bound to: change any of it and the consent is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Of the canonical effective arguments.
    pub arguments: Digest,
    /// Of the capability's definition and input schema.
    pub schema: Digest,
    /// Of the policy set.
    pub policy_set: Digest,
    /// Of the agent's descriptor.
    pub revision: Digest,
}

/// What a person said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalVerdict {
    /// To which request.
    pub approval: ApprovalId,
    /// Yes or no.
    pub approved: bool,
    /// Who.
    pub person: Name,
    /// Why; told to the agent.
    #[serde(default)]
    pub reason: String,
    /// New arguments, where they edited them before saying yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Value>,
    /// When.
    pub at: Timestamp,
    /// When it was shown to them, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_at: Option<Timestamp>,
    /// The link that it came by, where it did not come by a key or a console session of theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_link: Option<SentLink>,
    /// The control plane's signature over all of the above and the binding (HMAC-SHA-256, base64).
    pub signature: String,
}

/// A one-time link that was sent to a person's channel. Whoever could read that channel could use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentLink {
    /// Where it was sent, in words.
    pub channel: String,
    /// Where in the control shard that channel is recorded.
    pub pos: Pos,
}

impl ApprovalVerdict {
    /// Who said it and by which way: `ana`, `ana, by the link sent to mail ana@example.com`.
    pub fn speaker(&self) -> String {
        let link = self.by_link.as_ref().map(|link| format!(", by the link sent to {}", link.channel));
        format!("{}{}", self.person, link.unwrap_or_default())
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum CallOutcome {
    /// The model or capability answered.
    Answered {
        /// What is added to the conversation.
        message: Message,
        /// Whether the model wants to go on using capabilities, is done, or was cut off.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop: Option<Stop>,
    },
    /// It failed, and surely had no effect or a known one. What went wrong, where, and what to do next.
    Failed {
        /// The sentence.
        error: String,
        /// Whether trying again later may help.
        #[serde(default)]
        retryable: bool,
        /// How long whoever failed asks to be left alone, in milliseconds, where it says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<i64>,
    },
    /// It was sent, and nobody knows what came of it.
    Unknown {
        /// What is known.
        error: String,
    },
    /// It was cut off by a freeze or a suspension, and may be asked for again: it was not sent, or may be repeated.
    Stopped {
        /// By what, in one sentence.
        why: String,
    },
}

tagged!(CallOutcome, "outcome");

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It said all it wanted.
    Done,
    /// It wants capabilities used.
    Use,
    /// It ran into its output limit.
    Length,
    /// It declined.
    Refused,
}

/// What a call really came to, written once, when it ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Settlement {
    /// On every meter.
    pub amounts: Amounts,
    /// The provider's own usage, raw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Value>,
    /// The model that says it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_model: Option<String>,
    /// The hash of the price table that turned usage into money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_table: Option<Digest>,
    /// Whether it was settled at its worst case because nobody knows ("possibly billed").
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub worst_case: bool,
    /// How long the door waited for the outside, in milliseconds.
    #[serde(default)]
    pub waited_ms: i64,
    /// Whether a scripted provider answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scripted: bool,
    /// Who answered, where it was not the model that the intent names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<StoodIn>,
    /// What a model call's prompt cache came to, where a provider that is no script says what it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheUse>,
    /// What whoever it was delegated to spent, with everybody below; it is counted there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegated: Option<Amounts>,
}

/// A model that answered in place of the one that was asked first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoodIn {
    /// Its provider.
    pub provider: Name,
    /// The model, as it was sent.
    pub model: String,
    /// Of the body that it was sent.
    pub arguments_hash: Digest,
}

/// What a prompt cache came to in one model call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheUse {
    /// All input, in tokens, cached or not.
    pub input_tokens: i64,
    /// The part of it that was read from a cache.
    pub read_tokens: i64,
    /// What the call would have cost without caches less what it cost; below zero where writing cost more.
    pub saved_usd_micros: i64,
    /// The part of the input that was written to a cache, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_tokens: Option<i64>,
    /// Whose doing it is that anything is kept; `None`: nobody's, or not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marked_by: Option<MarkedBy>,
}

/// Who made a provider keep the beginning of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkedBy {
    /// Ostler: it set marks.
    Ostler,
    /// The client: it had marks of its own, which went on as they were.
    Client,
    /// The provider: it keeps prefixes by itself.
    Provider,
}

impl MarkedBy {
    /// All of them.
    pub const ALL: [MarkedBy; 3] = [MarkedBy::Ostler, MarkedBy::Client, MarkedBy::Provider];

    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            MarkedBy::Ostler => "ostler",
            MarkedBy::Client => "client",
            MarkedBy::Provider => "provider",
        }
    }
}
