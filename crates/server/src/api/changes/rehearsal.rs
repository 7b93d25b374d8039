//! What a change would have made of what happened lately: the calls of an agent's last sessions, decided again by what
//! is in force and by what would be. Nothing is recorded.

use control::policy::suppose::{self, Case, Decision};
use control::registry::Registry;
use data::store::HeadFilter;
use data::trace::{CapabilityCall, Trace, What};
use domain::change::{Differs, Rehearsal};
use domain::clock::Timestamp;
use domain::id::Name;

use crate::app::App;
use crate::error::ApiResult;

/// How many sessions of an agent are looked at, the latest first.
const SESSIONS: usize = 50;
/// How many of their calls.
const CALLS: u32 = 500;
/// How many of those that differ are told.
const TOLD: usize = 20;

/// Decides again what these agents did lately.
pub(super) async fn rehearsed(
    app: &App,
    (before, after): (&Registry, &Registry),
    agents: &[Name],
) -> ApiResult<Rehearsal> {
    let definitions = app.gateway.definitions(after).await;
    let decide = |registry: &Registry, case: &Case, at: Timestamp| {
        suppose::decision(registry, &definitions, case, at).unwrap_or(Decision::Deny)
    };
    let mut found = Rehearsal::default();
    for agent in agents {
        let filter = HeadFilter { agent: Some(agent.clone()), limit: Some(SESSIONS), ..HeadFilter::default() };
        for (session, _, _) in app.log.heads(filter).await? {
            // One that cannot be read does not hide the others.
            let Ok(records) = app.records(session).await else { continue };
            let Some(trace) = Trace::of(&records) else { continue };
            found.sessions += 1;
            for (call, at) in calls(&trace) {
                if found.calls >= CALLS {
                    break;
                }
                let case = case(&trace, call);
                let (was, is) = (decide(before, &case, at), decide(after, &case, at));
                found.calls += 1;
                if was != is {
                    found.changed += 1;
                    found.differ.push(differs(&trace, call, (was, is)));
                }
            }
        }
    }
    found.differ.truncate(TOLD);
    Ok(found)
}

/// The calls of a session, the latest first, and when each was wanted.
fn calls(trace: &Trace) -> impl Iterator<Item = (&CapabilityCall, Timestamp)> {
    let calls = trace.steps.iter().rev().filter_map(|step| match &step.what {
        What::Capability(call) => Some((&**call, step.at)),
        _ => None,
    });
    calls.filter(|(call, _)| call.capability.is_some() && call.malformed.is_none())
}

fn case(trace: &Trace, call: &CapabilityCall) -> Case {
    let asked = call.consents.last().and_then(|consent| consent.request.provenance.as_deref().cloned());
    let arguments = call.arguments.as_ref().unwrap_or(&call.wanted);
    Case {
        agent: trace.agent.clone(),
        tool: call.capability.as_ref().map(ToString::to_string).unwrap_or_default(),
        input: arguments.as_object().cloned().unwrap_or_default(),
        value_usd: None,
        at: None,
        autonomy: None,
        on_behalf_of: trace.on_behalf_of.clone(),
        depth: trace.parents.len(),
        spent_today_usd: 0.0,
        approved_by: Vec::new(),
        provenance: asked.unwrap_or_default(),
    }
}

fn differs(trace: &Trace, call: &CapabilityCall, (was, is): (Decision, Decision)) -> Differs {
    let word = |decision: Decision| match decision {
        Decision::Allow => "allow",
        Decision::Ask => "ask",
        Decision::Record => "record",
        Decision::Deny => "deny",
    };
    Differs {
        call: call.call,
        agent: trace.agent.clone(),
        capability: call.name.clone(),
        value_usd_micros: call.value_usd_micros,
        before: word(was).to_owned(),
        after: word(is).to_owned(),
    }
}
