//! How far a request is, where it takes more than one person: who said yes, who may not, who else may after a while.

use data::trace::Consent;
use domain::approval::{Escalation, Poll};
use domain::clock::Timestamp;
use domain::id::{Digest, Name};
use serde::Serialize;
use serde_json::Value;

/// How far a request is.
#[derive(Clone, Serialize)]
pub(crate) struct Progress {
    /// How many people must say yes.
    pub needed: u16,
    /// Who did.
    pub yes: Vec<Yes>,
    /// Who may not: it is on their behalf.
    pub not: Vec<Name>,
    /// Who else may answer, from when on.
    pub escalates: Option<Escalation>,
    /// Who edited the arguments since it was asked.
    pub edited_by: Option<Name>,
    /// The hash of the arguments that a yes is to.
    pub arguments_sha256: Digest,
    /// The same in a sentence; empty where there is nothing to say.
    pub text: String,
}

/// A yes that counts.
#[derive(Clone, Serialize)]
pub(crate) struct Yes {
    pub person: Name,
    pub at: Timestamp,
    pub reason: String,
}

/// How far a request is, and its arguments as somebody edited them.
pub(crate) fn of(consent: &Consent, now: Timestamp) -> (Progress, Option<Value>) {
    let request = &consent.request;
    let poll = Poll::of(request, consent.all_said());
    let yes: Vec<Yes> = poll
        .yes
        .iter()
        .map(|verdict| Yes { person: verdict.person.clone(), at: verdict.at, reason: verdict.reason.clone() })
        .collect();
    let last = poll.yes.last();
    let edited_by = last.filter(|last| last.edited.is_some()).map(|last| last.person.clone());
    let text = sentence(&poll, &request.terms.not, request.terms.escalate.as_ref(), now);
    let progress = Progress {
        needed: poll.needed,
        yes,
        not: request.terms.not.clone(),
        escalates: request.terms.escalate.clone(),
        edited_by,
        arguments_sha256: last.map_or(request.binding.arguments, |last| request.meant_by(last)),
        text,
    };
    (progress, poll.edited().cloned())
}

fn sentence(poll: &Poll<'_>, not: &[Name], escalate: Option<&Escalation>, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if poll.needed > 1 {
        let said = poll.yes.iter().map(|yes| {
            let edited = if yes.edited.is_some() { " to edited arguments" } else { "" };
            format!("{} said yes{edited} at {}", yes.person, yes.at)
        });
        let said = said.collect::<Vec<_>>().join(", ");
        let said = if said.is_empty() { "nobody has said yes".to_owned() } else { said };
        parts.push(format!("{} of {}: {said}", poll.yes.len(), poll.needed));
    }
    parts.extend(not.iter().map(|person| format!("not {person}, on whose behalf it is")));
    parts.extend(escalate.map(|escalation| {
        let since = if now >= escalation.at { "since" } else { "from" };
        format!("people of {} may answer, too, {since} {}", escalation.to, escalation.at)
    }));
    parts.join("; ")
}
