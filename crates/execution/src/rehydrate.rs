//! From a chain of records to a session in memory, and back to nothing. It reads; it decides nothing.

use data::commit::{Loaded, Log, SessionWriter};
use data::error::DataError;
use data::record::Record;
use domain::clock::Timestamp;
use domain::event::Event;
use domain::id::SessionId;
use domain::mail::Start;
use domain::session::Session;

/// A session in memory, with the right to write it.
pub(crate) struct Awake {
    /// Its state.
    pub session: Session,
    /// Its pen.
    pub writer: SessionWriter,
}

/// Folds a session's records, oldest first. `None`: there is no such session.
pub(crate) async fn rehydrate(log: &Log, id: SessionId) -> Result<Option<Awake>, DataError> {
    let Some(Loaded { writer, records, .. }) = log.load(id).await? else {
        return Ok(None);
    };
    Ok(fold(id, records).map(|session| Awake { session, writer }))
}

/// The state that records fold into, oldest first; `None` if they do not begin a session, or were erased.
pub fn fold(id: SessionId, records: Vec<Record>) -> Option<Session> {
    let mut session: Option<Session> = None;
    for record in records {
        let at = record.envelope.at;
        for event in record.events.unwrap_or_default() {
            match &mut session {
                None => session = begin(id, &event, at),
                Some(session) => session.apply(&event, at),
            }
        }
    }
    session
}

fn begin(id: SessionId, event: &Event, at: Timestamp) -> Option<Session> {
    match event {
        Event::SessionStarted { principal, key, trace, case, partition } => {
            let (principal, key, case, partition) = (principal.clone(), key.clone(), case.clone(), partition.clone());
            Some(Session::started(id, Start { principal, key, trace: *trace, case, partition }, at))
        }
        _ => None,
    }
}

/// The first event of a session that mail starts, and its state.
pub(crate) fn start(id: SessionId, start: &Start, at: Timestamp) -> (Event, Session) {
    let session = Session::started(id, start.clone(), at);
    let Start { principal, key, trace, case, partition } = start.clone();
    (Event::SessionStarted { principal, key, trace, case, partition }, session)
}
