//! What a session's records say of one decision of the rules: who asked, for what, with which facts, and what the rules
//! said then. Must not know what they would say now.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::capability::CapabilityRef;
use domain::clock::Timestamp;
use domain::decision::{DecidedAt, RefusedBy};
use domain::event::Event;
use domain::heard::Heard;
use domain::id::{CallId, Name};
use domain::principal::Principal;
use domain::provenance::Provenance;
use domain::session::{CallKind, Session};
use serde_json::{Map, Value};

use crate::grants::RULE_OF_GRANTS;
use crate::policy::suppose::Decision;

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    /// A model's answer.
    Model { provider: Name, model: String },
    /// The use of a tool; `Err`: a name that the agent had no tool of.
    Tool { capability: Result<CapabilityRef, String>, arguments: Map<String, Value> },
}

/// One call, as the rules were last asked about it.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) call: CallId,
    pub(crate) at: Timestamp,
    pub(crate) principal: Arc<Principal>,
    pub(crate) act: Act,
    /// What the rules said; `None`: something else refused it.
    pub(crate) was: Option<Decision>,
    pub(crate) decided: DecidedAt,
    /// Where its arguments came from, as the gate saw it.
    pub(crate) provenance: Option<Provenance>,
    /// What the session had heard, where nobody wrote that down.
    pub(crate) heard: Option<Arc<Heard>>,
}

/// The decisions of sessions' records, call by call.
#[derive(Debug, Default)]
pub struct Recordings {
    pub(crate) calls: BTreeMap<CallId, Recorded>,
}

impl Recordings {
    /// When the first of them was decided.
    pub fn earliest(&self) -> Option<Timestamp> {
        self.calls.values().map(|call| call.at).min()
    }

    /// Takes note of an event of a session that was thus before it.
    pub fn note(&mut self, session: &Session, event: &Event, at: Timestamp, heard: Option<Arc<Heard>>) {
        let Some((act, was, decided, provenance)) = said(session, event) else { return };
        let Some(call) = event.call() else { return };
        let principal = Arc::clone(&session.principal);
        let new = Recorded { call, at, principal, act, was, decided, provenance, heard };
        let known = self.calls.remove(&call);
        self.calls.insert(call, known.map_or(new.clone(), |known| later(known, new)));
    }
}

/// What the records say of a call in the end: consent that was asked for and given is a question all the same, and what
/// something else than the rules refused keeps what they had said.
fn later(known: Recorded, new: Recorded) -> Recorded {
    match (known.was, new.was) {
        (Some(Decision::Ask), Some(Decision::Allow)) => Recorded { was: Some(Decision::Ask), ..new },
        (Some(_), None) => known,
        // What was asked about before is known better than by its name.
        (Some(_), Some(_)) if matches!(new.act, Act::Tool { capability: Err(_), .. }) => {
            Recorded { act: known.act, provenance: known.provenance, ..new }
        }
        (Some(_) | None, _) => new,
    }
}

type Said = (Act, Option<Decision>, DecidedAt, Option<Provenance>);

fn said(session: &Session, event: &Event) -> Option<Said> {
    let tool = |capability: &CapabilityRef, arguments: &Value| {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        Act::Tool { capability: Ok(capability.clone()), arguments }
    };
    match event {
        Event::ModelRequested { intent, provider, model, .. } => {
            let act = Act::Model { provider: provider.clone(), model: model.clone() };
            Some((act, Some(Decision::Allow), intent.decided.clone(), None))
        }
        Event::CallRequested { intent, capability, arguments, approval, provenance, .. } => {
            let granted = intent.decided.policy_ids.iter().any(|id| id.starts_with(RULE_OF_GRANTS));
            let was = if approval.is_some() || granted { Decision::Ask } else { Decision::Allow };
            let provenance = provenance.as_deref().cloned();
            Some((tool(capability, arguments), Some(was), intent.decided.clone(), provenance))
        }
        Event::CallRecorded { intent, capability, arguments, .. } => {
            Some((tool(capability, arguments), Some(Decision::Record), intent.decided.clone(), None))
        }
        Event::ApprovalRequested { request, decided } if request.raise().is_none() => {
            let provenance = request.provenance.as_deref().cloned();
            Some((tool(&request.capability, &request.arguments), Some(Decision::Ask), decided.clone(), provenance))
        }
        Event::CallRefused { call, model: false, capability, refusal, decided } => {
            let open = session.open.get(&call.ordinal)?;
            let CallKind::Capability { arguments, .. } = &open.kind else { return None };
            let was = (refusal.by == RefusedBy::Policy).then_some(Decision::Deny);
            let name = capability.clone().unwrap_or_default();
            let arguments = arguments.as_object().cloned().unwrap_or_default();
            Some((Act::Tool { capability: Err(name), arguments }, was, decided.clone(), None))
        }
        _ => None,
    }
}
