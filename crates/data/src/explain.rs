//! Why a call happened: from the call back to what a person asked, the revision, the reasoning, the decision, the
//! consent, where each argument came from, and what it cost. It judges nothing; what it cannot find, it says.

use domain::budget::{BudgetKey, Hold};
use domain::call::{ApprovalRequest, ApprovalVerdict, Settlement};
use domain::clock::Timestamp;
use domain::decision::{DecidedAt, Refusal};
use domain::id::{CallId, Digest, MailId, Name, Seq, SessionId};
use domain::message::Role;
use domain::principal::{Link, Mode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::Record;
use crate::trace::{Attempt, CallResult, CapabilityCall, Consent, ModelCall, Resolved, Said, State, Step, Trace, What};

mod origin;
mod text;

pub use origin::{ArgumentOrigin, Source};
pub use text::render;

/// Everything behind one call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The call.
    pub call: CallId,
    /// `model` or `capability`.
    pub of: String,
    /// Which model or capability.
    pub what: String,
    /// How far it is.
    pub state: State,
    /// The record it was first wanted in.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// The session.
    pub session: SessionId,
    /// Its agent.
    pub agent: Name,
    /// The agent's revision: the hash of the descriptor that it ran under.
    pub revision: Digest,
    /// The group that owns the agent.
    pub owner: Name,
    /// The person behind it.
    pub on_behalf_of: Option<Name>,
    /// Who delegated, root first.
    pub parents: Vec<Link>,
    /// Whom each of those asked, root first; whoever explains it adds them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegated: Vec<Delegated>,
    /// Live, or shadow.
    pub mode: Mode,
    /// What was asked of the agent; of the root, where it was delegated.
    pub intent: Option<RootIntent>,
    /// The model call that wanted it, for a capability call.
    pub asked_by: Option<AskedBy>,
    /// The effective arguments.
    pub arguments: Option<Value>,
    /// The hash of what was sent, or would have been.
    pub arguments_hash: Option<Digest>,
    /// Where each argument came from.
    pub origins: Vec<ArgumentOrigin>,
    /// Under what the gate decided.
    pub decided: Option<DecidedAt>,
    /// Why the gate said no.
    pub refusal: Option<Refusal>,
    /// The rules that had it refused, asked about or written down, with their texts; whoever explains it adds them.
    #[serde(default)]
    pub rules: Vec<DecidingRule>,
    /// The nearest changes that would have let it pass; added likewise.
    #[serde(default)]
    pub would: Vec<String>,
    /// Every consent asked for.
    pub consents: Vec<ConsentProof>,
    /// What each attempt held of budgets and came to.
    pub spending: Vec<Spending>,
    /// More that people allowed of the budgets that it held, in the windows that it held them in; whoever explains it
    /// adds them.
    #[serde(default)]
    pub topups: Vec<Topup>,
    /// What came back.
    pub result: Option<CallResult>,
    /// What went wrong.
    pub error: Option<String>,
    /// What a person said came of it.
    pub resolution: Option<Resolved>,
    /// Whether it leads back to an intent without a gap.
    pub resolved: bool,
    /// The gaps, one sentence each.
    pub missing: Vec<String>,
}

/// A rule that decided about a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidingRule {
    /// What it is called in records.
    pub id: String,
    /// Where it comes from.
    pub from: String,
    /// What it does: `forbid`, `ask` or `record`.
    pub does: String,
    /// Its text.
    pub text: String,
}

/// What was asked of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootIntent {
    /// The person; `None`: a trigger, an administrator, or a client.
    pub from: Option<Name>,
    /// The agent whose key the client that asked showed, where one keeps the loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_of: Option<Name>,
    /// The mail that brought it; a client's request is none.
    pub mail: Option<MailId>,
    /// What it says.
    pub text: String,
    /// When it was received.
    pub at: Timestamp,
    /// In which record.
    pub seq: Seq,
}

/// A call that delegated, on the way from the root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delegated {
    /// The call.
    pub call: CallId,
    /// Whose it is.
    pub agent: Name,
    /// What the other agent was asked.
    pub arguments: Option<Value>,
}

/// The model call that wanted a capability used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskedBy {
    /// Which.
    pub call: CallId,
    /// The provider.
    pub provider: Option<Name>,
    /// The model asked for.
    pub model: String,
    /// The model that says it answered.
    pub served_model: Option<String>,
    /// Whether a script stood in for it.
    pub scripted: bool,
    /// The reasoning directly above the use.
    pub reasoning: Vec<String>,
    /// What it said beside it.
    pub text: String,
}

/// A consent, and whether it fits what was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsentProof {
    /// What a person was asked.
    pub request: ApprovalRequest,
    /// What people said while it takes more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<ApprovalVerdict>,
    /// The answer that decided it.
    pub verdict: Option<ApprovalVerdict>,
    /// Why the request was withdrawn, if it was.
    pub withdrawn: Option<String>,
    /// Whether the verdict carries the control plane's signature.
    pub signed: bool,
    /// Whether a call was sent under it.
    pub used: bool,
    /// Where what was sent differs from what was consented to; empty where nothing does.
    pub differs: Vec<String>,
}

/// What one attempt held of budgets and came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spending {
    /// Which attempt.
    pub attempt: u16,
    /// What it held until it was settled.
    pub holds: Vec<Hold>,
    /// What it came to; `None`: not settled yet.
    pub settlement: Option<Settlement>,
}

/// More that somebody allowed of a budget, for one window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Topup {
    /// Of which budget.
    pub budget: BudgetKey,
    /// How much, in the meter's unit.
    pub amount: i64,
    /// The same in words.
    pub words: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Explanation {
    /// Explains a call of the session that these records, oldest first, are of. `instructions` are the revision's.
    /// `None` if the records hold no such call.
    pub fn of(call: CallId, records: &[Record], instructions: &str) -> Option<Explanation> {
        let trace = Trace::of(records)?;
        let index = trace.steps.iter().position(|step| match &step.what {
            What::Model(found) => found.call == call,
            What::Capability(found) => found.call == call,
            _ => false,
        })?;
        let mut explanation = bare(call, &trace, index);
        match &trace.steps[index].what {
            What::Model(found) => explanation.add_model(found),
            What::Capability(found) => explanation.add_capability(found, &trace, instructions),
            _ => return None,
        }
        explanation.find_gaps();
        Some(explanation)
    }

    /// Adds the calls that delegated, root first, as far as they can be explained: what the root was asked is what this
    /// goes back to.
    pub fn add_above(&mut self, above: Vec<(CallId, Option<Explanation>)>) {
        for (index, (call, found)) in above.into_iter().enumerate() {
            let Some(found) = found else {
                self.missing.push(format!("the call {call}, which delegated it, cannot be read"));
                continue;
            };
            if index == 0 {
                self.intent = found.intent;
            }
            self.missing.extend(found.missing.into_iter().map(|gap| format!("{call}, which delegated it: {gap}")));
            self.delegated.push(Delegated { call, agent: found.agent, arguments: found.arguments });
        }
        self.resolved = self.missing.is_empty();
    }

    fn add_model(&mut self, call: &ModelCall) {
        self.of = "model".to_owned();
        self.what.clone_from(&call.model);
        self.state = call.state;
        self.refusal.clone_from(&call.refusal);
        self.error.clone_from(&call.error);
        self.add_attempts(&call.attempts);
    }

    fn add_capability(&mut self, call: &CapabilityCall, trace: &Trace, instructions: &str) {
        self.of = "capability".to_owned();
        self.what = call.capability.as_ref().map_or_else(|| call.name.clone(), ToString::to_string);
        self.state = call.state;
        self.add_attempts(&call.attempts);
        self.decided.clone_from(&call.decided);
        self.arguments = call.arguments.clone().or_else(|| Some(call.wanted.clone()));
        self.refusal.clone_from(&call.refusal);
        self.error.clone_from(&call.error);
        self.result.clone_from(&call.result);
        self.resolution.clone_from(&call.resolution);
        self.asked_by = call.asked_by.and_then(|by| trace.model(by)).map(|model| AskedBy {
            call: model.call,
            provider: model.provider.clone(),
            model: model.model.clone(),
            served_model: model.served_model.clone(),
            scripted: model.scripted,
            reasoning: call.reasoning.clone(),
            text: words(model),
        });
        self.consents = call.consents.iter().map(|consent| proof(consent, call)).collect();
        self.origins = origin::origins(call, trace, instructions);
    }

    fn add_attempts(&mut self, attempts: &[Attempt]) {
        self.spending = attempts
            .iter()
            .map(|attempt| Spending {
                attempt: attempt.intent.attempt,
                holds: attempt.intent.holds.clone(),
                settlement: attempt.settlement.clone(),
            })
            .collect();
        if let Some(last) = attempts.last() {
            self.arguments_hash = Some(last.intent.arguments_hash);
            self.decided = Some(last.intent.decided.clone());
        }
    }

    fn find_gaps(&mut self) {
        let mut missing = Vec::new();
        if self.intent.is_none() {
            missing.push("no message stands before this call: there is no intent that it goes back to".to_owned());
        }
        let by_client = self.intent.as_ref().is_some_and(|intent| intent.key_of.is_some());
        if self.of == "capability" && self.asked_by.is_none() && !by_client {
            missing.push("no model call in the record asked for it".to_owned());
        }
        if self.decided.is_none() && !matches!(self.state, State::Wanted | State::Dropped | State::Refused) {
            missing.push("no decision is recorded for it".to_owned());
        }
        for consent in self.consents.iter().filter(|consent| consent.used) {
            let id = consent.request.approval;
            match &consent.verdict {
                None => missing.push(format!("it was sent under consent {id}, which nobody gave")),
                Some(verdict) if !verdict.approved => {
                    missing.push(format!("it was sent under consent {id}, which {} denied", verdict.person));
                }
                Some(_) if !consent.signed => missing.push(format!("consent {id} carries no signature")),
                Some(_) => {}
            }
            missing.extend(consent.differs.iter().map(|what| format!("consent {id}: {what}")));
        }
        self.resolved = missing.is_empty();
        self.missing = missing;
    }
}

fn bare(call: CallId, trace: &Trace, index: usize) -> Explanation {
    let step = &trace.steps[index];
    // What a use answers to is what stood before the model call that wanted it.
    let before = match &step.what {
        What::Capability(found) => trace
            .steps
            .iter()
            .position(|step| matches!(&step.what, What::Model(model) if Some(model.call) == found.asked_by))
            .unwrap_or(index),
        _ => index,
    };
    let intent = trace.steps[..before].iter().rev().find_map(|step| intent(trace, step));
    let intent = intent.or_else(|| {
        // A client that uses capabilities only says no more than that.
        let What::Capability(called) = &step.what else { return None };
        trace.attached.then(|| client_intent(trace, step, format!("used {}", called.name)))
    });
    Explanation {
        call,
        of: String::new(),
        what: String::new(),
        state: State::Wanted,
        seq: step.seq,
        at: step.at,
        session: trace.session,
        agent: trace.agent.clone(),
        revision: trace.revision,
        owner: trace.owner.clone(),
        on_behalf_of: trace.on_behalf_of.clone(),
        parents: trace.parents.clone(),
        delegated: Vec::new(),
        mode: trace.mode,
        intent,
        asked_by: None,
        arguments: None,
        arguments_hash: None,
        origins: Vec::new(),
        decided: None,
        refusal: None,
        rules: Vec::new(),
        would: Vec::new(),
        consents: Vec::new(),
        spending: Vec::new(),
        topups: Vec::new(),
        result: None,
        error: None,
        resolution: None,
        resolved: false,
        missing: Vec::new(),
    }
}

/// What a step asks of the agent, if it does.
fn intent(trace: &Trace, step: &Step) -> Option<RootIntent> {
    match &step.what {
        What::Message { from, mail, text, .. } => {
            let (from, mail, text) = (from.clone(), Some(mail.clone()), text.clone());
            Some(RootIntent { from, key_of: None, mail, text, at: step.at, seq: step.seq })
        }
        What::Client(told) => {
            let asked = told.said.iter().rfind(|message| message.role == Role::Person);
            asked.map(|message| client_intent(trace, step, message.text.clone()))
        }
        _ => None,
    }
}

fn client_intent(trace: &Trace, step: &Step, text: String) -> RootIntent {
    RootIntent { from: None, key_of: Some(trace.agent.clone()), mail: None, text, at: step.at, seq: step.seq }
}

fn words(model: &ModelCall) -> String {
    let texts = model.says.iter().filter_map(|said| match said {
        Said::Text { text } => Some(text.as_str()),
        Said::Reasoning { .. } | Said::Use { .. } | Said::Other => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn proof(consent: &Consent, call: &CapabilityCall) -> ConsentProof {
    let id = consent.request.approval;
    let sent: Vec<_> = call.attempts.iter().filter(|attempt| attempt.approval == Some(id)).collect();
    let mut differs = Vec::new();
    for attempt in &sent {
        let (intent, binding) = (&attempt.intent, &consent.request.binding);
        let edited = consent.verdict.as_ref().and_then(|verdict| verdict.edited.as_ref());
        let same = match (edited, &call.arguments) {
            (None, _) => binding.arguments == intent.arguments_hash,
            (Some(edited), sent) => {
                Digest::of_json(edited) == intent.arguments_hash
                    || sent.as_ref().is_some_and(|sent| within(edited, sent))
            }
        };
        let pairs = [
            (same, "arguments"),
            (binding.schema == intent.schema_hash, "schema"),
            (binding.policy_set == intent.decided.policy_set, "policy set"),
        ];
        differs.extend(
            pairs.into_iter().filter(|(same, _)| !same).map(|(_, what)| {
                format!("the {what} of attempt {} is not the one that was consented to", intent.attempt)
            }),
        );
    }
    ConsentProof {
        request: consent.request.clone(),
        votes: consent.votes.clone(),
        verdict: consent.verdict.clone(),
        withdrawn: consent.withdrawn.clone(),
        signed: consent.verdict.is_some() && consent.all_said().all(|verdict| !verdict.signature.is_empty()),
        used: !sent.is_empty(),
        differs,
    }
}

/// Whether what a person wrote is in what was sent unchanged; defaults may have been added.
pub(crate) fn within(edited: &Value, sent: &Value) -> bool {
    match (edited, sent) {
        (Value::Object(edited), Value::Object(sent)) => {
            edited.iter().all(|(key, value)| sent.get(key).is_some_and(|other| within(value, other)))
        }
        (edited, sent) => edited == sent,
    }
}
