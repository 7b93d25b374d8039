//! Which of the demo's scripts answers whom: by the agent's name, otherwise by what it may use.

use domain::id::Name;

use super::conversation::Conversation;
use super::{Reply, aging, desk, dunning, notes, reconcile, vendor};
use crate::provider::Request;

type Play = fn(&Conversation<'_>) -> Reply;

/// The script of an agent that has one of its own.
pub(super) fn script_of(agent: &Name) -> Option<Play> {
    let scripts: [(&str, Play); 5] = [
        ("reconcil", reconcile::reply),
        ("vendor", vendor::reply),
        ("dunning", dunning::reply),
        ("aging", aging::reply),
        ("note", notes::reply),
    ];
    scripts.iter().find(|(word, _)| agent.as_str().contains(word)).map(|(_, play)| *play)
}

/// What the demo says to this request.
pub(super) fn reply(request: &Request) -> Reply {
    let conversation = Conversation::read(request);
    let play = script_of(&request.agent).unwrap_or_else(|| by_offers(&conversation));
    play(&conversation)
}

fn by_offers(conversation: &Conversation<'_>) -> Play {
    let scripts: [(&[&str], Play); 6] = [
        (&[desk::CLERK], desk::reply),
        (&["sap-invoice-read", "ledger-read"], reconcile::reply),
        (&["sap-invoice-read", "email-draft"], dunning::reply),
        (&["aging-report"], aging::reply),
        (&["vendor-lookup"], vendor::reply),
        (&["calculate"], notes::reply),
    ];
    let fits = |needs: &[&str]| needs.iter().all(|capability| conversation.may(capability));
    scripts.iter().find(|(needs, _)| fits(needs)).map_or(introduce, |(_, play)| *play)
}

/// An agent that no script was written for.
fn introduce(conversation: &Conversation<'_>) -> Reply {
    let said: String = conversation.task.chars().take(200).collect();
    Reply::text(format!(
        "This answer is scripted: no model was asked. You wrote: \"{said}\". Point this agent's provider at a real model \
         to have it answered."
    ))
    .because("No script was written for this agent, so I say what I am.")
}
