//! `agent://NAME`: another agent is asked, in a session of its own. Beginning it is mail of the commit that intends it,
//! and what comes of it is mail, too; between them the session sleeps. It must not know what either may do.
//!
//! ```text
//! session ── CallRequested, CallWaits + Message ──▶ child ── … ── Finished | Failed | Killed
//!    ▲                                                │
//!    └────────────── CallAnswered ◀── Returned ───────┘        kill, suspend, resume: handed down as they come
//! ```

use std::sync::Arc;

use data::rows::Rows;
use domain::budget::Amounts;
use domain::clock::Timestamp;
use domain::decision::{Wait, WaitFor};
use domain::event::Event;
use domain::heard::Heard;
use domain::id::{CallId, Digest, MailId, SessionId};
use domain::mail::{Mail, MailBody, Returned, Start};
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use domain::session::Session;
use gateway::LocalCall;
use serde_json::Value;

use crate::scheduler::Parts;

/// Begins it: the other session's first message, and the wait for its last. What it holds of a standing grant is used.
pub(super) fn begin(parts: &Parts, session: &Session, mut rows: Rows, local: &LocalCall, start: Start) -> Rows {
    let used = Amounts { calls: 1, ..Amounts::default() };
    rows.merge(parts.gateway.settle(local.call.session, &local.holds, &used));
    let (agent, child) = (start.principal.link.agent.clone(), start.principal.link.session);
    let start = Box::new(Start { trace: session.trace, ..start });
    let body = MailBody::Message { start, from: None, message: asked(local) };
    let id = mail_id(&format!("delegate:{}", local.call));
    rows.mail.push(Mail { id, session: child, due: parts.log.clock().now(), body });
    let wait = Wait { why: WaitFor::Delegated { agent, session: child }, until: None };
    rows.events.push(Event::CallWaits { call: local.call, model: false, wait });
    rows
}

/// What the other agent is asked: in the words of this one, which vouch for nothing. What entered this session may be
/// in them.
fn asked(local: &LocalCall) -> Message {
    let text = match local.arguments.get("input").and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => local.arguments.to_string(),
    };
    let known = local.provenance.as_deref();
    let tainted = known.is_none_or(|known| known.tainted);
    let part = Part {
        content: Content::Text { text },
        origin: Origin::Agent,
        labels: known.map(|known| known.labels.iter().cloned().collect()).unwrap_or_default(),
        trust: if tainted { Trust::Untrusted } else { Trust::Trusted },
    };
    Message { role: Role::Person, parts: vec![part] }
}

/// What whoever delegated is told once an event ends the session: in the same commit, once.
pub(crate) fn returned(
    session: &Session,
    event: &Event,
    heard: impl FnOnce() -> Arc<Heard>,
    now: Timestamp,
) -> Option<Mail> {
    let call = session.principal.delegated_by()?;
    let end = Returned::of(event, || session.answer().map(|message| message.words()))?;
    let (from, spent, labels) = (session.id, session.spent, heard().labels.iter().cloned().collect());
    let body = MailBody::Returned { call, from, end, spent, labels };
    Some(Mail { id: mail_id(&format!("returned:{call}")), session: call.session, due: now, body })
}

/// What holds a session, ends it or lets it go on does the same to those that it waits for. A kill is the same mail
/// whoever sends it; anything else is as often new as it was said.
pub(crate) fn handed_down(mail: &Mail, open: &[(CallId, SessionId)], now: Timestamp) -> Vec<Mail> {
    let each = open.iter().filter_map(|(call, child)| {
        let within = |reason: &str| format!("{reason} ({child} works for {})", call.session).trim_start().to_owned();
        let new = |word: &str| format!("{word}:{}", Digest::of(format!("{}/{call}", mail.id).as_bytes()));
        let (id, body) = match &mail.body {
            MailBody::Kill { by, reason } => {
                (format!("kill:{child}"), MailBody::Kill { by: by.clone(), reason: within(reason) })
            }
            MailBody::Suspend { by, reason } => {
                (new("suspend"), MailBody::Suspend { by: by.clone(), reason: within(reason) })
            }
            MailBody::Resume { by } => (new("resume"), MailBody::Resume { by: by.clone() }),
            MailBody::Message { .. }
            | MailBody::Verdict { .. }
            | MailBody::Resolved { .. }
            | MailBody::Wake
            | MailBody::Tick { .. }
            | MailBody::Returned { .. } => return None,
        };
        Some(Mail { id: mail_id(&id), session: *child, due: now, body })
    });
    each.collect()
}

fn mail_id(text: &str) -> MailId {
    text.parse().expect("a word, a colon and an id are printable and short")
}
