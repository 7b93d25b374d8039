//! A session's past, gone through again from its records: before each event, what the session was then and what it had
//! heard. Nothing is asked, sent or written. It must not know what is looked for.

use std::sync::Arc;

use data::record::Record;
use domain::clock::Timestamp;
use domain::event::Event;
use domain::heard::Heard;
use domain::id::SessionId;
use domain::session::Session;

use crate::hearing::Hearing;
use crate::rehydrate::begin;

/// An event, and the session as it was before it.
#[derive(Debug)]
pub struct Before<'a> {
    /// The session; `None`: the event begins it.
    pub session: Option<&'a Session>,
    /// What happens.
    pub event: &'a Event,
    /// When.
    pub at: Timestamp,
    /// What the session had heard, where a capability is asked for.
    pub heard: Option<Arc<Heard>>,
}

/// Goes through a session's records, oldest first; `None` if they do not begin it, or were erased.
pub fn relive(id: SessionId, records: &[Record], each: &mut dyn FnMut(&Before<'_>)) -> Option<Session> {
    let (mut session, mut hearing): (Option<Session>, _) = (None, Hearing::default());
    for record in records {
        let at = record.envelope.at;
        for event in record.events.as_ref()? {
            let heard = session.as_ref().filter(|_| asks(event)).map(|session| hearing.of(session));
            each(&Before { session: session.as_ref(), event, at, heard });
            match &mut session {
                None => session = begin(id, event, at),
                Some(session) => session.apply(event, at),
            }
        }
    }
    session
}

/// Whether it tells what the gate said to the use of a capability.
fn asks(event: &Event) -> bool {
    matches!(
        event,
        Event::CallRequested { .. }
            | Event::CallRecorded { .. }
            | Event::CallRefused { model: false, .. }
            | Event::ApprovalRequested { .. }
    )
}
