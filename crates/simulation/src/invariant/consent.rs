//! A consent counts if a person gave it, and for exactly what they were asked: the arguments, the definition, and the
//! agent's revision that was in force when the call was decided.

use std::collections::{BTreeMap, BTreeSet};

use domain::approval::Poll;
use domain::call::{ApprovalRequest, ApprovalVerdict};
use domain::event::{Event, Intent};
use domain::id::{ApprovalId, Digest, Name, Pos};

use super::tale::Tale;
use crate::people::FORGED;

/// Which revision of each agent was in force from where on.
pub(crate) type Revisions = BTreeMap<Name, Vec<(Pos, Digest)>>;

/// Every consent of a session that was used for something else than it was given for, or that nobody gave.
pub(crate) fn of(tale: &Tale, revisions: &Revisions) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut asked: BTreeMap<ApprovalId, (&ApprovalRequest, Vec<&ApprovalVerdict>)> = BTreeMap::new();
    for event in tale.events() {
        match event {
            Event::ApprovalRequested { request, .. } => {
                asked.insert(request.approval, (request, Vec::new()));
            }
            Event::ApprovalDecided { verdict } => {
                if let Some((_, said)) = asked.get_mut(&verdict.approval) {
                    said.push(verdict);
                }
            }
            Event::CallRequested { intent, approval: Some(approval), .. } => {
                let used = asked.get(approval).map(|(request, said)| differs((request, said), intent, tale, revisions));
                let why = used.unwrap_or(Some("was never asked for"));
                wrong.extend(why.map(|why| format!("{} was sent under consent {approval}, which {why}", intent.call)));
            }
            _ => {}
        }
    }
    wrong
}

fn differs(
    (request, said): (&ApprovalRequest, &[&ApprovalVerdict]),
    intent: &Intent,
    tale: &Tale,
    revisions: &Revisions,
) -> Option<&'static str> {
    let poll = Poll::of(request, said.iter().copied());
    let arguments = poll.edited().map_or(request.binding.arguments, Digest::of_json);
    let genuine = poll.no.is_none() && said.iter().all(|verdict| verdict.signature != FORGED);
    let people: BTreeSet<_> = poll.yes.iter().map(|verdict| &verdict.person).collect();
    let excluded = people.iter().any(|person| request.terms.not.contains(person));
    let of_agent = revisions.get(&tale.session.principal.link.agent).into_iter().flatten();
    let in_force = of_agent.rev().find(|(pos, _)| *pos <= intent.decided.control_pos).map(|(_, revision)| *revision);
    match () {
        () if !genuine || people.is_empty() => Some("no person gave"),
        () if people.len() < usize::from(request.terms.quorum) => Some("too few people gave"),
        () if excluded => Some("somebody gave on whose behalf it was"),
        () if arguments != intent.arguments_hash => Some("is for other arguments"),
        () if request.binding.schema != intent.schema_hash => Some("is for another definition"),
        () if Some(request.binding.revision) != in_force => Some("is for another revision of the agent"),
        () => None,
    }
}
