//! What this door itself refuses before the gate is asked: what is not listed, not there, or does not fit. Each says
//! what is wrong and what to do next, in words that a model can act on.

use control::decide;
use control::registry::Registry;
use data::rows::{InboxChange, InboxKey, Rows};
use domain::call::{Ask, CapabilityAct};
use domain::capability::CapabilityRef;
use domain::decision::{Refusal, RefusedBy};
use domain::depth;
use domain::event::Event;
use serde_json::Value;

use super::Prepared;

/// How much of what a model wrote is quoted, in characters.
const QUOTED: usize = 200;

/// The refusal with what to commit: that it was refused, and that a request for consent to it is void.
pub(super) fn refuse(registry: &Registry, ask: &Ask<CapabilityAct>, refusal: Refusal) -> Prepared {
    let mut rows = Rows::default();
    if let Some(request) = &ask.facts.approval {
        let approval = request.approval;
        rows.inbox.push(InboxChange::Close(InboxKey::Approval { approval }));
        if ask.facts.asked().is_some() {
            rows.events.push(Event::ApprovalWithdrawn { approval, reason: refusal.reason.clone() });
        }
    }
    let capability = match &ask.act.capability {
        Ok(capability) => capability.name().to_string(),
        Err(name) => quoted(name),
    };
    rows.events.push(Event::CallRefused {
        call: ask.call,
        model: false,
        capability: Some(capability),
        refusal: refusal.clone(),
        decided: decide::unruled(registry, &ask.principal.link.agent),
    });
    Prepared::Refuse(rows, refusal)
}

pub(super) fn not_listed(name: &str, listed: &[CapabilityRef]) -> Refusal {
    let names: Vec<&str> = listed.iter().map(|capability| capability.name().as_str()).collect();
    let next = match names.is_empty() {
        true => "Go on without; this agent may use nothing.".to_owned(),
        false => format!("Use one of: {}.", names.join(", ")),
    };
    let reason = format!("`{}` is not among what this agent may use.", quoted(name));
    Refusal { by: RefusedBy::Policy, reason, next }
}

pub(super) fn malformed(capability: &CapabilityRef, written: &str) -> Refusal {
    let why = match serde_json::from_str::<Value>(written) {
        Ok(value) if depth::is_too_deep(&value) => format!("nest deeper than {} levels", depth::MOST),
        Ok(_) => "are not an object".to_owned(),
        Err(error) => format!("are not valid JSON: {error}"),
    };
    let reason = format!("The arguments of `{}` {why}. Written was: {}", capability.name(), quoted(written));
    Refusal { by: RefusedBy::Arguments, reason, next: "Write them again as one JSON object.".to_owned() }
}

pub(super) fn misfit(capability: &CapabilityRef, misfits: &str) -> Refusal {
    let reason = format!("The arguments do not fit the schema of `{}`: {misfits}.", capability.name());
    Refusal { by: RefusedBy::Arguments, reason, next: "Correct them and call again.".to_owned() }
}

pub(super) fn unknown(capability: &CapabilityRef) -> Refusal {
    Refusal {
        by: RefusedBy::Readiness,
        reason: format!("`{capability}` is listed, but it or its server has not been described yet."),
        next: "Apply its Capability and McpServer: `ostler apply -f FILE`.".to_owned(),
    }
}

pub(super) fn unavailable(capability: &CapabilityRef, why: &str) -> Refusal {
    Refusal {
        by: RefusedBy::Readiness,
        reason: format!("`{}` cannot be used at the moment: {}.", capability.name(), why.trim_end_matches('.')),
        next: "Nothing was sent. Try again later, or go on without.".to_owned(),
    }
}

pub(super) fn no_budget(error: &control::error::ControlError) -> Refusal {
    Refusal {
        by: RefusedBy::Budget,
        reason: format!("The budget cannot be read: {error}."),
        next: "Nothing was sent. Try again later.".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
