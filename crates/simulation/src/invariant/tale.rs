//! A session as its records tell it, and what must hold of each by itself.

use std::collections::{BTreeMap, BTreeSet};

use data::commit::Past;
use domain::call::CallOutcome;
use domain::event::{Event, Resolution};
use domain::id::{CallId, MailId, SessionId};
use domain::session::{CallState, Phase, Session};

use crate::upstream::STRANGERS;
use crate::watch::Watch;

/// A session as its records tell it.
pub struct Tale {
    /// Which.
    pub id: SessionId,
    /// Its head and records.
    pub past: Past,
    /// What they fold into.
    pub session: Session,
}

impl Tale {
    /// Everything that happened in it, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.past.records.iter().flat_map(|record| record.events.iter().flatten())
    }
}

impl Tale {
    /// Whether it has received a message, or was over before.
    pub(crate) fn heard(&self, message: &MailId) -> bool {
        self.session.phase == Phase::Killed
            || self.events().any(|event| matches!(event, Event::MessageReceived { mail, .. } if mail == message))
    }
}

/// The head is what the records fold into.
pub(crate) fn head(tale: &Tale) -> Vec<String> {
    let Tale { past, session, .. } = tale;
    let head = &past.head;
    let mut wrong = Vec::new();
    let mut same = |what: &str, same: bool| wrong.extend((!same).then(|| format!("its head has another {what}")));
    same("phase", head.phase == session.phase);
    same("agent", head.agent == session.principal.link.agent);
    same("revision", head.revision == session.principal.link.revision);
    same("key", head.key == session.key);
    same("mode", head.mode == session.principal.mode());
    same("provider", head.scripted == session.scripted);
    same("wait", head.waits_on == execution::machine::waits_on(session));
    wrong
}

/// A session that rests has nothing left to do.
pub(crate) fn rest(tale: &Tale) -> Vec<String> {
    let session = &tale.session;
    let mut wrong = Vec::new();
    // What is held wants nothing until it is let go on.
    let held = session.paused.is_some();
    let open = session.open.values().filter(|open| match open.state {
        CallState::InFlight { .. } => true,
        CallState::Wanted => !held,
        CallState::Waiting { .. } | CallState::InDoubt { .. } => false,
    });
    wrong.extend(open.map(|open| format!("{} is open and nobody works on it: {:?}", open.id, open.state)));
    match session.phase {
        Phase::Ready | Phase::Running => wrong.push(format!("it is {} and nobody works on it", session.phase)),
        Phase::Suspended if session.open.is_empty() && !held && session.retry.is_none() => {
            wrong.push("it waits for nothing".to_owned());
        }
        Phase::Suspended if session.retry.as_ref().is_some_and(|retry| retry.until.is_none()) => {
            wrong.push("its model is never asked again".to_owned());
        }
        // One that failed says it together with whatever it is told next.
        Phase::Finished if !held && !session.pending.is_empty() => wrong.push("mail is unanswered".to_owned()),
        Phase::Finished if !held && session.wants_model() => wrong.push("it finished without an answer".to_owned()),
        Phase::Suspended | Phase::Finished | Phase::Failed | Phase::Killed => {}
    }
    wrong
}

/// Mail is consumed once, and a consent is used once, unless the call surely did not happen, or may be repeated.
pub(crate) fn mail(tale: &Tale) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut mails, mut used) = (BTreeSet::new(), BTreeMap::new());
    let told = tale.events().filter(|event| matches!(event, Event::MessageReceived { .. })).count();
    if tale.session.key.starts_with("cron/") && told > 1 {
        wrong.push(format!("its schedule fired {told} times for one instant"));
    }
    let nothing = tale.past.records.iter().filter(|record| record.events.as_ref().is_some_and(Vec::is_empty));
    wrong.extend(nothing.map(|record| format!("it was woken for nothing, at {}", record.envelope.pos)));
    for event in tale.events() {
        match event {
            Event::MessageReceived { mail, .. } if !mails.insert(mail) => {
                wrong.push(format!("{mail} was received twice"));
            }
            Event::CallRequested { intent, approval: Some(approval), effect, .. }
                if used.insert(*approval, intent.attempt).is_some() && !effect.may_be_repeated() =>
            {
                wrong.push(format!("consent {approval} was used twice"));
            }
            // A person says so, or a freeze came before the first byte.
            Event::CallResolved { call, resolution: Resolution::DidNot, .. }
            | Event::CallAnswered { call, outcome: CallOutcome::Stopped { .. }, .. } => {
                used.retain(|approval, _| approval.call != *call);
            }
            _ => {}
        }
    }
    wrong
}

/// What goes to whom a stranger named, a person consented to.
pub(crate) fn strangers(tale: &Tale) -> Vec<String> {
    let sent = tale.events().filter_map(|event| match event {
        Event::CallRequested { intent, arguments, approval, .. } => Some((intent.call, arguments, approval)),
        _ => None,
    });
    let to_strangers = sent.filter(|(_, arguments, approval)| {
        let to = arguments.get("to").and_then(serde_json::Value::as_str);
        approval.is_none() && to.is_some_and(|to| to.ends_with(STRANGERS))
    });
    to_strangers.map(|(call, ..)| format!("{call} goes to whom a stranger named, and nobody was asked")).collect()
}

/// What the record says of each call is what the upstream knows.
pub(crate) fn outcomes(watch: &Watch, tale: &Tale) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut outside: BTreeMap<CallId, bool> = BTreeMap::new();
    for event in tale.events() {
        match event {
            Event::CallRequested {
                intent, capability: domain::capability::CapabilityRef::External(_), effect, ..
            } => {
                outside.insert(intent.call, !effect.may_be_repeated());
            }
            Event::CallAnswered { call, outcome, .. } if outside.get(call) == Some(&true) => {
                let (done, fine) = (watch.done(*call), says_done(outcome));
                if fine.is_some_and(|fine| fine != (done == 1)) {
                    wrong.push(format!("{call} was done {done} times, and its record says {outcome:?}"));
                }
            }
            _ => {}
        }
    }
    wrong
}

/// Whether an outcome says that something was done; `None`: that nobody knows.
fn says_done(outcome: &CallOutcome) -> Option<bool> {
    use domain::message::Content;
    match outcome {
        CallOutcome::Answered { message, .. } => {
            let failed = |part: &domain::message::Part| matches!(part.content, Content::Result { error: true, .. });
            Some(!message.parts.iter().any(failed))
        }
        CallOutcome::Failed { .. } => Some(false),
        // It may be asked for again, and done then.
        CallOutcome::Unknown { .. } | CallOutcome::Stopped { .. } => None,
    }
}
