//! What stays readable of an event beside its sealed body: hashes, amounts and decisions. It must never know content.

mod written;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::budget::{Amounts, Hold};
use crate::call::{ApprovalRequest, ApprovalVerdict, CallOutcome, Settlement};
use crate::capability::CapabilityRef;
use crate::decision::DecidedAt;
use crate::event::{Event, Intent};
use crate::id::{ApprovalId, CallId, Digest, Name};

/// The longest name of a number in a provider's usage that is kept, in bytes.
const LONGEST_KEY: usize = 64;

/// What stays readable beside a sealed event. Short names, and written shorter than in a body: there is one per event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The kind.
    pub k: String,
    /// Its version.
    pub v: u16,
    /// The call's ordinal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<u32>,
    /// The attempt, where it is not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u16>,
    /// The model or capability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Hash of the effective arguments.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "written::hash")]
    pub args: Option<Digest>,
    /// Hash of the schema.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "written::hash")]
    pub schema: Option<Digest>,
    /// Under what it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "written::decided")]
    pub decided: Option<DecidedAt>,
    /// The reservation.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "written::holds")]
    pub holds: Vec<Hold>,
    /// What it came to, raw usage and price table's hash included.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "written::settled")]
    pub settled: Option<Settlement>,
    /// Whether it ended well: `ok`, `failed`, `unknown`, `stopped`, `refused`, or what a person said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// The consent it asks for, answers or uses up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalId>,
    /// How many people must consent, where it takes more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<u16>,
}

impl Event {
    /// What stays readable beside the sealed body: hashes, amounts and decisions, never content.
    pub fn header(&self) -> Header {
        let mut header = Header { k: self.kind().to_owned(), v: 1, ..Header::default() };
        match self {
            Event::ModelRequested { intent, model, .. } => header.intend(intent, model.clone()),
            Event::CallRequested { intent, capability, approval, .. } => {
                header.intend(intent, capability.to_string());
                header.approval = *approval;
            }
            Event::CallRecorded { intent, capability, .. } => header.intend(intent, capability.to_string()),
            Event::ModelAnswered { call, attempt, outcome, settlement }
            | Event::CallAnswered { call, attempt, outcome, settlement } => {
                header.name(*call, *attempt);
                header.end = Some(end_of(outcome).to_owned());
                header.settled = Some(readable(settlement));
            }
            Event::CallRefused { call, capability, refusal, decided, .. } => {
                header.name(*call, 1);
                header.what = capability.clone().filter(|what| is_name(what));
                header.decided = Some(decided.clone());
                header.end = Some(format!("refused:{:?}", refusal.by).to_lowercase());
            }
            Event::ClientCalled { call, capability, arguments, .. } => {
                header.use_of(*call, capability, arguments);
            }
            Event::CallWaits { call, .. } | Event::ClientTold { call, .. } => header.name(*call, 1),
            Event::ApprovalRequested { request, decided } => header.ask(request, decided),
            Event::ApprovalDecided { verdict } => header.decide(verdict),
            Event::ApprovalReminded { approval, .. } | Event::ApprovalWithdrawn { approval, .. } => {
                header.approval = Some(*approval);
            }
            Event::CallInDoubt { call, attempt, settlement } => {
                header.name(*call, *attempt);
                header.settled = settlement.as_ref().map(readable);
            }
            Event::CallResolved { call, settlement, .. } => {
                header.name(*call, 1);
                header.settled = settlement.as_ref().map(readable);
            }
            Event::CapabilitiesOffered { offers } => header.schema = Some(*offers),
            Event::Suspended { compute_ms, .. } | Event::Finished { compute_ms } | Event::Failed { compute_ms, .. } => {
                header.settled = Some(came_to(Amounts { compute_ms: *compute_ms, ..Amounts::default() }));
            }
            Event::Charged { usd_micros } => {
                header.settled = Some(came_to(Amounts { usd_micros: *usd_micros, ..Amounts::default() }));
            }
            Event::SessionStarted { .. }
            | Event::MessageReceived { .. }
            | Event::Killed { .. }
            | Event::Paused { .. }
            | Event::Resumed { .. }
            | Event::ClientSaid { .. } => {}
        }
        header
    }
}

impl Header {
    fn name(&mut self, call: CallId, attempt: u16) {
        self.call = Some(call.ordinal);
        self.attempt = (attempt > 1).then_some(attempt);
    }

    fn ask(&mut self, request: &ApprovalRequest, decided: &DecidedAt) {
        self.name(request.approval.call, 1);
        self.what = Some(request.capability.to_string());
        self.args = Some(request.binding.arguments);
        self.schema = Some(request.binding.schema);
        self.decided = Some(decided.clone());
        self.approval = Some(request.approval);
        self.quorum = Some(request.terms.quorum).filter(|quorum| *quorum > 1);
    }

    fn decide(&mut self, verdict: &ApprovalVerdict) {
        self.name(verdict.approval.call, 1);
        self.approval = Some(verdict.approval);
        self.args = verdict.edited.as_ref().map(Digest::of_json);
        self.end = Some(if verdict.approved { "approved" } else { "denied" }.to_owned());
    }

    /// What a client wants is in its own words, too.
    fn use_of(&mut self, call: CallId, capability: &str, arguments: &Value) {
        self.name(call, 1);
        self.what = Some(capability.to_owned()).filter(|what| is_name(what));
        self.args = Some(Digest::of_json(arguments));
    }

    fn intend(&mut self, intent: &Intent, what: String) {
        self.name(intent.call, intent.attempt);
        self.what = Some(what);
        self.args = Some(intent.arguments_hash);
        self.schema = Some(intent.schema_hash);
        self.decided = Some(intent.decided.clone());
        self.holds = intent.holds.clone();
    }
}

/// What a model wants is in its own words, which may be any: only what could be a capability's name is one.
fn is_name(what: &str) -> bool {
    what.parse::<Name>().is_ok() || what.parse::<CapabilityRef>().is_ok()
}

fn came_to(amounts: Amounts) -> Settlement {
    Settlement { amounts, ..Settlement::default() }
}

/// A settlement without words: of the provider's own usage, the numbers.
fn readable(settlement: &Settlement) -> Settlement {
    Settlement { usage: settlement.usage.as_ref().and_then(numbers), ..settlement.clone() }
}

fn numbers(usage: &Value) -> Option<Value> {
    match usage {
        Value::Number(_) => Some(usage.clone()),
        Value::Object(fields) => {
            let plain = fields.iter().filter(|(key, _)| is_plain(key));
            let counted: Map<_, _> = plain.filter_map(|(key, value)| Some((key.clone(), numbers(value)?))).collect();
            (!counted.is_empty()).then_some(Value::Object(counted))
        }
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => None,
    }
}

fn is_plain(key: &str) -> bool {
    key.len() <= LONGEST_KEY && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn end_of(outcome: &CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Answered { .. } => "ok",
        CallOutcome::Failed { .. } => "failed",
        CallOutcome::Unknown { .. } => "unknown",
        CallOutcome::Stopped { .. } => "stopped",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_name, numbers};

    #[test]
    fn of_what_a_model_wants_only_a_name_stays_readable() {
        for name in ["email-draft", "mcp://gateway/email-draft", "internal://remember"] {
            assert!(is_name(name), "{name}");
        }
        for words in ["Acme owes 4,180 to IBAN NL91", "mcp://gateway/Acme owes", "", "E-mail"] {
            assert!(!is_name(words), "{words}");
        }
    }

    #[test]
    fn of_a_providers_usage_only_numbers_stay_readable() {
        let usage = json!({
            "input_tokens": 7,
            "cache_creation": {"ephemeral_1h_input_tokens": 2, "why": "Acme owes"},
            "service_tier": "Acme owes",
            "Acme owes": 4180,
            "iterations": [{"input_tokens": 7}],
            "server_tool_use": null,
        });
        let kept = json!({"input_tokens": 7, "cache_creation": {"ephemeral_1h_input_tokens": 2}});
        assert_eq!((numbers(&usage), numbers(&json!({"note": "Acme owes"}))), (Some(kept), None));
    }
}
