//! What must hold of sessions that delegate: each child has a call that began it and each such call one child, whatever a
//! child came to reached its parent, what it spent is what its parent says it spent, and nobody is left behind.

use std::collections::{BTreeMap, BTreeSet};

use domain::budget::Amounts;
use domain::capability::CapabilityRef;
use domain::event::Event;
use domain::id::{CallId, Name, SessionId};
use domain::session::Phase;

use super::Tale;

/// The calls of a session that delegated, and whom they asked.
fn begun(tale: &Tale) -> impl Iterator<Item = (CallId, &Name)> {
    tale.events().filter_map(|event| match event {
        Event::CallRequested { intent, capability: CapabilityRef::Agent(agent), .. } => Some((intent.call, agent)),
        _ => None,
    })
}

/// What a call came to that was delegated, as whoever delegated recorded it.
fn came_to(tale: &Tale, call: CallId) -> Option<Amounts> {
    tale.events().find_map(|event| match event {
        Event::CallAnswered { call: of, settlement, .. } if *of == call => settlement.delegated,
        _ => None,
    })
}

/// Whether a session is over.
fn over(tale: &Tale) -> bool {
    matches!(tale.session.phase, Phase::Finished | Phase::Failed | Phase::Killed)
}

/// Why a session does not go back to one that nobody delegated to, if it does not.
pub(crate) fn rootless(tale: &Tale, tales: &[Tale]) -> Option<String> {
    let principal = &tale.session.principal;
    let Some(call) = principal.delegated_by() else {
        return (!principal.parents.is_empty()).then(|| format!("{} does not say which call began it", tale.id));
    };
    let Some(parent) = tales.iter().find(|other| other.id == call.session) else {
        return Some(format!("{} was begun by {call}, which nobody made", tale.id));
    };
    let above = &parent.session.principal;
    let same = principal.parents.split_last().is_some_and(|(last, rest)| {
        rest == above.parents && (&last.agent, last.session) == (&above.link.agent, above.link.session)
    });
    if !same || principal.on_behalf_of != above.on_behalf_of {
        return Some(format!("{} has another chain than {call}, which began it", tale.id));
    }
    if !begun(parent).any(|(of, agent)| of == call && *agent == principal.link.agent) {
        return Some(format!("{} was begun by {call}, which is not recorded", tale.id));
    }
    rootless(parent, tales)
}

/// Whenever everything rests.
pub(crate) fn at_rest(tales: &[Tale]) -> Vec<String> {
    let by_id: BTreeMap<SessionId, &Tale> = tales.iter().map(|tale| (tale.id, tale)).collect();
    let mut wrong: Vec<String> = tales.iter().filter_map(|tale| rootless(tale, tales)).collect();
    for tale in tales {
        let waits: BTreeSet<CallId> = tale.session.delegated().map(|(call, _)| call).collect();
        for (call, agent) in begun(tale) {
            let Some(child) = by_id.get(&SessionId::delegated_by(call)) else {
                wrong.push(format!("{call} asked {agent}, and nobody was begun"));
                continue;
            };
            let told = came_to(tale, call);
            if over(child) && waits.contains(&call) {
                wrong.push(format!("{call} waits for {}, which is over", child.id));
            }
            if told.is_some_and(|told| !over(child) || told != child.session.spent) {
                wrong.push(format!("{call} spent {told:?}, and {} {:?}", child.id, child.session.spent));
            }
            if tale.session.phase == Phase::Killed && !over(child) {
                wrong.push(format!("{} works for {}, which was killed", child.id, tale.id));
            }
        }
    }
    wrong
}
