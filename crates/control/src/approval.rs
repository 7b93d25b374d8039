//! Approval: how a person's word gets to the session that waits for it. It is checked, signed and posted as mail; the
//! session's only writer uses it. The first answer counts; no agent answers, and an administrator's key does not.

use data::rows::InboxKey;
use domain::approval::Poll;
use domain::call::{ApprovalRequest, ApprovalVerdict, SentLink};
use domain::clock::Timestamp;
use domain::depth;
use domain::event::{Event, Resolution};
use domain::id::{ApprovalId, CallId, Digest, MailId, Name, SessionId};
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
    /// The hash of the arguments that they saw, where they say so: a yes is to nothing else.
    pub seen: Option<Digest>,
    /// When it was shown to them, where that is known.
    pub shown_at: Option<Timestamp>,
    /// The link that it comes by, where it comes by one.
    pub by_link: Option<SentLink>,
}

/// A request for consent, as the session's record has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recorded {
    /// What was asked.
    pub request: Option<ApprovalRequest>,
    /// What people said while it takes more than one.
    pub votes: Vec<ApprovalVerdict>,
    /// The answer that decided it.
    pub verdict: Option<ApprovalVerdict>,
    /// Why no answer is waited for any more, where that is so.
    pub over: Option<String>,
}

/// Answers a request for consent. Where one answer decides, another is told who gave the first; where it takes more
/// than one, a person's answer counts once.
///
/// # Errors
/// If the caller may not answer it, it is over, or the answer makes no sense.
pub async fn answer(
    gate: &Gate,
    caller: &Caller,
    approval: ApprovalId,
    answer: Answer,
) -> Result<ApprovalVerdict, ControlError> {
    let session = approval.call.session;
    let recorded = recorded(gate, approval).await?;
    let mut said = recorded.votes.clone();
    let request = open_request(approval, recorded)?;
    said.extend(posted(gate, approval).await?);
    let verdict = gate.signer().sign(&request, speak(caller, &request, &said, (answer, gate.clock().now()))?);
    let mail = Mail {
        id: verdict_id(&request, &verdict.person, &said),
        session,
        due: verdict.at,
        body: MailBody::Verdict { verdict: verdict.clone() },
    };
    // Before the session hears of it: what it asks again is decided by a registry that knows.
    if let Some(raise) = granted(&request, &verdict)? {
        record(gate, &verdict, &raise).await?;
    }
    gate.log().post(vec![mail.clone()]).await?;
    // Two may have come this far at once. Mail of one id is delivered once: was it this?
    let first = match waiting(gate, session, &mail.id).await? {
        Some(MailBody::Verdict { verdict }) => Some(verdict),
        Some(_) | None => {
            let Recorded { votes, verdict: decided, .. } = self::recorded(gate, approval).await?;
            if votes.contains(&verdict) { None } else { decided }
        }
    };
    match first {
        Some(first) if first != verdict => Err(answered(&first)),
        Some(_) | None => Ok(verdict),
    }
}

/// The id of the mail that brings an answer: one per request where one decides, else one per person and answer.
fn verdict_id(request: &ApprovalRequest, person: &Name, said: &[ApprovalVerdict]) -> MailId {
    let approval = request.approval;
    if request.terms.quorum <= 1 {
        return mail_id(&format!("verdict:{approval}"));
    }
    let before = said.iter().filter(|verdict| verdict.person == *person).count();
    mail_id(&format!("verdict:{approval}:{person}:{before}"))
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
            let said = found.votes.iter().chain([verdict]);
            let over = found.request.as_ref().is_none_or(|request| Poll::of(request, said).is_over());
            if over { found.verdict = Some(verdict.clone()) } else { found.votes.push(verdict.clone()) }
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
    let Recorded { request, verdict, over, .. } = recorded;
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

/// A person's answer, before it is signed: whether they may give it after what was `said` already, and whether it makes
/// sense.
///
/// # Errors
/// If they may not, or it makes none.
pub fn speak(
    caller: &Caller,
    request: &ApprovalRequest,
    said: &[ApprovalVerdict],
    (answer, now): (Answer, Timestamp),
) -> Result<ApprovalVerdict, ControlError> {
    let approval = request.approval;
    let person = may_answer(caller, request, now)?.clone();
    if now >= request.expires_at {
        let reason = format!("{approval} expired at {}: nobody had answered, which counts as no.", request.expires_at);
        return Err(ControlError::Conflict { reason, next: "The agent was told; it may ask again.".to_owned() });
    }
    let poll = Poll::of(request, said);
    if let Some(last) = said.last().filter(|_| poll.is_over()) {
        return Err(answered(last));
    }
    let Answer { approved, reason, edited, seen, shown_at, by_link } = answer;
    sensible(approved, edited.as_ref())?;
    // What was really edited is other than what was asked; what nobody edited is what was edited before.
    let edited = match edited {
        Some(edited) => Some(edited).filter(|edited| Digest::of_json(edited) != request.binding.arguments),
        None if approved => seen_edit(request, &poll, seen)?,
        None => None,
    };
    let verdict = {
        let (shown_at, signature) = (shown_at.filter(|shown| *shown <= now), String::new());
        ApprovalVerdict { approval, approved, person, reason, edited, at: now, shown_at, by_link, signature }
    };
    let again =
        poll.yes.iter().find(|yes| yes.person == verdict.person && request.meant_by(yes) == request.meant_by(&verdict));
    match again {
        Some(first) if approved => Err(answered(first)),
        Some(_) | None => Ok(verdict),
    }
}

/// The person that a caller is, if they are one who may answer this request now.
///
/// # Errors
/// If they are none.
pub fn may_answer<'a>(caller: &'a Caller, request: &ApprovalRequest, now: Timestamp) -> Result<&'a Name, ControlError> {
    let approval = request.approval;
    let what = format!("answer {approval}");
    let of_some = request.groups_at(now).find_map(|group| must_be_person_of(caller, group, &what).ok());
    let person = of_some.map_or_else(|| must_be_person_of(caller, &request.by, &what), Ok)?;
    if request.terms.not.contains(person) {
        let reason = format!("{approval} is on behalf of {person}, who may not be one of those who decide it.");
        let next = format!("Another person of {} decides it.", request.by);
        return Err(ControlError::Forbidden { reason, next });
    }
    Ok(person)
}

/// Whether an answer makes sense by itself.
fn sensible(approved: bool, edited: Option<&Value>) -> Result<(), ControlError> {
    let invalid =
        |reason: &str, next: &str| Err(ControlError::Invalid { reason: reason.to_owned(), next: next.to_owned() });
    let all = "Edit the request's own arguments and send all of them.";
    match edited {
        Some(_) if !approved => invalid("A no carries no edited arguments.", "Leave them out, or say yes."),
        Some(edited) if !edited.is_object() => invalid("Edited arguments must be a JSON object.", all),
        Some(edited) if depth::is_too_deep(edited) => {
            invalid(&format!("Edited arguments may not nest deeper than {} levels.", depth::MOST), all)
        }
        Some(_) | None => Ok(()),
    }
}

/// The edit of somebody before that a yes is to: whoever says it must have seen it.
fn seen_edit(request: &ApprovalRequest, poll: &Poll<'_>, seen: Option<Digest>) -> Result<Option<Value>, ControlError> {
    let meant = poll.yes.last().map_or(request.binding.arguments, |last| request.meant_by(last));
    let edited = poll.edited();
    if seen.is_some_and(|seen| seen == meant) || (seen.is_none() && edited.is_none()) {
        return Ok(edited.cloned());
    }
    let by = poll.yes.last().map_or("Somebody", |last| last.person.as_str());
    let now = edited.unwrap_or(&request.arguments);
    let approval = request.approval;
    Err(ControlError::Conflict {
        reason: format!("{by} changed what {approval} asks for; it is now {now}."),
        next: format!("Read it, then say yes to exactly that: `ostler approve {approval} --seen {meant}`."),
    })
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

/// Answers to a request that were posted and not yet consumed, in order.
async fn posted(gate: &Gate, approval: ApprovalId) -> Result<Vec<ApprovalVerdict>, ControlError> {
    let (log, now) = (gate.log(), gate.clock().now());
    let mail = log.mail(approval.call.session, now, MAIL_LOOKED_AT).await?.mail.into_iter();
    let verdicts =
        mail.filter_map(|mail| if let MailBody::Verdict { verdict } = mail.body { Some(verdict) } else { None });
    Ok(verdicts.filter(|verdict| verdict.approval == approval).collect())
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
