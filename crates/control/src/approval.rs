//! Approval: how a person's word gets to the session that waits for it. It is checked, signed and posted as mail; the
//! session's only writer uses it. The first answer counts; no agent answers, and an administrator's key does not.

use data::rows::InboxKey;
use domain::call::{ApprovalRequest, ApprovalVerdict};
use domain::clock::Timestamp;
use domain::depth;
use domain::event::{Event, Resolution};
use domain::id::{ApprovalId, CallId, MailId, SessionId};
use domain::mail::{Mail, MailBody};
use domain::principal::Caller;
use serde_json::Value;

use crate::budget::ask::{granted, record};
use crate::error::ControlError;
use crate::gate::Gate;
use crate::identity::must_be_person_of;

/// How many pieces of one session's mail are looked at for a decision: those come first.
const MAIL_LOOKED_AT: usize = 1_000;

/// What a person says to a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// Yes or no.
    pub approved: bool,
    /// Why; told to the agent.
    pub reason: String,
    /// Other arguments, where they edited them before saying yes.
    pub edited: Option<Value>,
}

/// A request for consent, as the session's record has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recorded {
    /// What was asked.
    pub request: Option<ApprovalRequest>,
    /// What was answered.
    pub verdict: Option<ApprovalVerdict>,
    /// Why no answer is waited for any more, where that is so.
    pub over: Option<String>,
}

/// Answers a request for consent. Another answer to the same request is told who gave the first.
pub async fn answer(
    gate: &Gate,
    caller: &Caller,
    approval: ApprovalId,
    answer: Answer,
) -> Result<ApprovalVerdict, ControlError> {
    let request = open_request(approval, recorded(gate, approval).await?)?;
    let verdict = gate.signer().sign(&request, speak(caller, &request, answer, gate.clock().now())?);
    let session = approval.call.session;
    let mail = Mail {
        id: mail_id(&format!("verdict:{approval}")),
        session,
        due: verdict.at,
        body: MailBody::Verdict { verdict: verdict.clone() },
    };
    if let Some(MailBody::Verdict { verdict: first }) = waiting(gate, session, &mail.id).await? {
        return Err(answered(&first));
    }
    // Before the session hears of it: what it asks again is decided by a registry that knows.
    if let Some(raise) = granted(&request, &verdict)? {
        record(gate, &verdict, &raise).await?;
    }
    gate.log().post(vec![mail.clone()]).await?;
    // Two people may have come this far at once. Mail of one id is delivered once: was it this?
    let first = match waiting(gate, session, &mail.id).await? {
        Some(MailBody::Verdict { verdict }) => Some(verdict),
        Some(_) | None => recorded(gate, approval).await?.verdict,
    };
    match first {
        Some(first) if first != verdict => Err(answered(&first)),
        Some(_) | None => Ok(verdict),
    }
}

/// Says what came of a write whose outcome is unknown. The first word counts.
pub async fn resolve(gate: &Gate, caller: &Caller, call: CallId, say: Resolution) -> Result<(), ControlError> {
    let key = InboxKey::InDoubt { call };
    let item = gate.log().inbox().await?.into_iter().find(|item| item.key == key);
    let Some(item) = item else {
        let reason = format!("{call} is not in doubt: nobody is asked what came of it.");
        return Err(ControlError::Conflict { reason, next: format!("See what it came to: `ostler explain {call}`.") });
    };
    let person = must_be_person_of(caller, &item.group, &format!("say what came of {call}"))?.clone();
    let attempt = attempt_in_doubt(&events(gate, call.session).await?, call);
    let id = mail_id(&format!("resolve:{call}:{attempt}"));
    let body = MailBody::Resolved { call, attempt, person, resolution: say };
    if let Some(first) = waiting(gate, call.session, &id).await? {
        return Err(resolved(call, &first));
    }
    let mail = Mail { id, session: call.session, due: gate.clock().now(), body };
    gate.log().post(vec![mail.clone()]).await?;
    match waiting(gate, call.session, &mail.id).await? {
        Some(first) if first != mail.body => Err(resolved(call, &first)),
        Some(_) | None => Ok(()),
    }
}

/// What a session's record says of a request for consent.
pub async fn recorded(gate: &Gate, approval: ApprovalId) -> Result<Recorded, ControlError> {
    Ok(read(&events(gate, approval.call.session).await?, approval))
}

/// What events say of a request for consent.
pub fn read(events: &[Event], approval: ApprovalId) -> Recorded {
    let mut found = Recorded::default();
    for event in events {
        if let Event::ApprovalRequested { request, .. } = event
            && request.approval == approval
        {
            found.request = Some(request.clone());
        } else if let Event::ApprovalDecided { verdict } = event
            && verdict.approval == approval
        {
            found.verdict = Some(verdict.clone());
        } else if let Event::ApprovalWithdrawn { approval: other, reason } = event
            && *other == approval
        {
            found.over = Some(format!("It was withdrawn: {reason}."));
        } else if let Event::CallRefused { call, refusal, .. } = event
            && *call == approval.call
        {
            found.over = Some(format!("The call was refused meanwhile: {}", refusal.reason));
        } else if let Event::Killed { by, reason } = event {
            found.over = Some(format!("The session was ended by {by}: {reason}"));
        }
    }
    found
}

/// The request, if an answer to it is still waited for.
pub fn open_request(approval: ApprovalId, recorded: Recorded) -> Result<ApprovalRequest, ControlError> {
    let Recorded { request, verdict, over } = recorded;
    let Some(request) = request else {
        let reason = format!("There is no request for consent {approval}.");
        return Err(ControlError::NotFound { reason, next: "List those that wait: `ostler inbox`.".to_owned() });
    };
    match (verdict, over) {
        (Some(verdict), _) => Err(answered(&verdict)),
        (None, Some(reason)) => {
            Err(ControlError::Conflict { reason, next: "List what waits now: `ostler inbox`.".to_owned() })
        }
        (None, None) => Ok(request),
    }
}

/// A person's answer, before it is signed: whether they may give it, and whether it makes sense.
pub fn speak(
    caller: &Caller,
    request: &ApprovalRequest,
    answer: Answer,
    now: Timestamp,
) -> Result<ApprovalVerdict, ControlError> {
    let approval = request.approval;
    let person = must_be_person_of(caller, &request.by, &format!("answer {approval}"))?.clone();
    if now >= request.expires_at {
        let reason = format!("{approval} expired at {}: nobody had answered, which counts as no.", request.expires_at);
        return Err(ControlError::Conflict { reason, next: "The agent was told; it may ask again.".to_owned() });
    }
    let Answer { approved, reason, edited } = answer;
    let invalid =
        |reason: &str, next: &str| Err(ControlError::Invalid { reason: reason.to_owned(), next: next.to_owned() });
    match &edited {
        Some(_) if !approved => return invalid("A no carries no edited arguments.", "Leave them out, or say yes."),
        Some(edited) if !edited.is_object() => {
            return invalid(
                "Edited arguments must be a JSON object.",
                "Edit the request's own arguments and send all of them.",
            );
        }
        Some(edited) if depth::is_too_deep(edited) => {
            let reason = format!("Edited arguments may not nest deeper than {} levels.", depth::MOST);
            return invalid(&reason, "Edit the request's own arguments and send all of them.");
        }
        Some(_) | None => {}
    }
    // Nothing was really edited where the canonical text is the same.
    let edited = edited.filter(|edited| domain::id::Digest::of_json(edited) != request.binding.arguments);
    Ok(ApprovalVerdict { approval, approved, person, reason, edited, at: now, signature: String::new() })
}

fn answered(first: &ApprovalVerdict) -> ControlError {
    let said = if first.approved { "yes" } else { "no" };
    let reason = format!("{} said {said} to {} already, at {}.", first.person, first.approval, first.at);
    ControlError::Conflict { reason, next: "The first answer counts; nothing is left to do.".to_owned() }
}

fn resolved(call: CallId, first: &MailBody) -> ControlError {
    let who = if let MailBody::Resolved { person, .. } = first { person.as_str() } else { "Somebody" };
    let reason = format!("{who} said already what came of {call}.");
    ControlError::Conflict { reason, next: "The first word counts; nothing is left to do.".to_owned() }
}

fn attempt_in_doubt(events: &[Event], call: CallId) -> u16 {
    let intents = events
        .iter()
        .filter_map(|event| if let Event::CallRequested { intent, .. } = event { Some(intent) } else { None });
    intents.filter(|intent| intent.call == call).map(|intent| intent.attempt).max().unwrap_or(1)
}

async fn events(gate: &Gate, session: SessionId) -> Result<Vec<Event>, ControlError> {
    let past = gate.log().past(session).await?;
    let records = past.map(|past| past.records).unwrap_or_default();
    Ok(records.into_iter().filter_map(|record| record.events).flatten().collect())
}

/// Mail that was posted and not yet consumed.
async fn waiting(gate: &Gate, session: SessionId, id: &MailId) -> Result<Option<MailBody>, ControlError> {
    let (log, now) = (gate.log(), gate.clock().now());
    let mail = log.mail(session, now, MAIL_LOOKED_AT).await?;
    Ok(mail.mail.into_iter().find(|mail| mail.id == *id).map(|found| found.body))
}

fn mail_id(text: &str) -> MailId {
    text.parse().expect("a short word and an id are 1 to 200 printable characters")
}
