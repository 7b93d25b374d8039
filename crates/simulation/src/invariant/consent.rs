//! A consent counts if a person gave it, and for exactly what they were asked: the arguments, the definition, and the
//! agent's revision that was in force when the call was decided.

use std::collections::BTreeMap;

use domain::call::ApprovalRequest;
use domain::event::{Event, Intent};
use domain::id::{ApprovalId, Digest, Name, Pos};
use serde_json::Value;

use super::tale::Tale;
use crate::people::FORGED;

/// Which revision of each agent was in force from where on.
pub(crate) type Revisions = BTreeMap<Name, Vec<(Pos, Digest)>>;

/// Every consent of a session that was used for something else than it was given for, or that nobody gave.
pub(crate) fn of(tale: &Tale, revisions: &Revisions) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut asked: BTreeMap<ApprovalId, (&ApprovalRequest, Option<Value>, bool)> = BTreeMap::new();
    for event in tale.events() {
        match event {
            Event::ApprovalRequested { request, .. } => {
                asked.insert(request.approval, (request, None, false));
            }
            Event::ApprovalDecided { verdict } => {
                if let Some((_, edited, genuine)) = asked.get_mut(&verdict.approval) {
                    edited.clone_from(&verdict.edited);
                    *genuine = verdict.approved && verdict.signature != FORGED;
                }
            }
            Event::CallRequested { intent, approval: Some(approval), .. } => {
                let used = asked.get(approval).map(|asked| differs(asked, intent, tale, revisions));
                let why = used.unwrap_or(Some("was never asked for"));
                wrong.extend(why.map(|why| format!("{} was sent under consent {approval}, which {why}", intent.call)));
            }
            _ => {}
        }
    }
    wrong
}

fn differs(
    (request, edited, genuine): &(&ApprovalRequest, Option<Value>, bool),
    intent: &Intent,
    tale: &Tale,
    revisions: &Revisions,
) -> Option<&'static str> {
    let arguments = edited.as_ref().map_or(request.binding.arguments, Digest::of_json);
    let of_agent = revisions.get(&tale.session.principal.link.agent).into_iter().flatten();
    let in_force = of_agent.rev().find(|(pos, _)| *pos <= intent.decided.control_pos).map(|(_, revision)| *revision);
    match () {
        () if !genuine => Some("no person gave"),
        () if arguments != intent.arguments_hash => Some("is for other arguments"),
        () if request.binding.schema != intent.schema_hash => Some("is for another definition"),
        () if Some(request.binding.revision) != in_force => Some("is for another revision of the agent"),
        () => None,
    }
}
